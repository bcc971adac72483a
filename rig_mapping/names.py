# SPDX-License-Identifier: GPL-3.0-or-later
"""Which shape key shows which channel, however its name is spelled. Pure Python.

Wrong is worse than missing: a name is matched only if it is, apart from a prefix, nothing but a spelling of a
shape's own words in their order. Anything after them (`_fix`, `_corrective`) makes it another shape, but for the
number that Blender puts after a name that is taken (`.001`).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .profiles import Profile, get

_SIDES = {"Left": "l", "Right": "r"}
_SEPARATORS = "._-:|/ "
_NUMBERED = re.compile(r"(.+)\.([0-9]{3,9})", re.DOTALL)


@dataclass(frozen=True)
class NameMatch:
    """`keys`: shape -> its key's name (two names, left first, where a rig splits a shape without a side).

    `ambiguous`: shape -> names of equal standing, of which none is mapped, or of two that stand for one shape.
    `doubtful`: names that look like a shape but are not taken, such as one side of a split or a strange prefix.
    """

    keys: Mapping[str, tuple[str, ...]]
    ambiguous: Mapping[str, tuple[str, ...]]
    doubtful: tuple[str, ...]


@dataclass(frozen=True)
class _Candidate:
    """A name read as a spelling of `shape` (`half`: "l" or "r" of a split one) after `prefix`.

    `rank`: what it is preferred by, least first: Blender's number after it, and how its spelling differs.
    """

    key: str
    shape: str
    half: str
    prefix: str
    short: bool
    rank: tuple[int, int]
    style: str


def _side(shape: str) -> str:
    return next((side for side in _SIDES if shape.endswith(side)), "")


def _spellings(profile: Profile) -> dict[str, tuple[str, str, bool]]:
    """Letters in lower case -> (shape, half, whether the side is one letter)."""
    table: dict[str, tuple[str, str, bool]] = {}
    for shape in profile.shapes:
        side = _side(shape)
        table[shape.lower()] = (shape, "", False)
        if side:
            table[shape.lower()[: -len(side)] + _SIDES[side]] = (shape, "", True)
        if shape in profile.splits:
            for word, letter in _SIDES.items():
                table[shape.lower() + word.lower()] = (shape, letter, False)
                table[shape.lower() + letter] = (shape, letter, True)
    return table


def _tokens(text: str) -> list[str]:
    """Words in lower case: split at separators, at digits and where lower case meets upper case."""
    return [t.lower() for t in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+", text)]


def _style(text: str, short: bool) -> str:
    """How a name is spelled: its separators, whether it begins with a capital, and the form of its side."""
    separators = "".join(sorted(set(re.findall(r"[\W_]", text))))
    case = "upper" if text.isupper() else "capital" if text[:1].isupper() else "lower"
    return f"{separators} {case} {short}"


def _without_numbers(names: Iterable[str]) -> dict[str, tuple[int, str]]:
    """Names without Blender's number -> (0 or the number plus 1, whole name), of several the one with the least."""
    found: dict[str, tuple[int, str]] = {}
    for key in names:
        numbered = _NUMBERED.fullmatch(key)
        name, number = (numbered[1], int(numbered[2]) + 1) if numbered else (key, 0)
        found[name] = min(found.get(name, (number, key)), (number, key))
    return found


def _read(
    name: str, number: int, key: str, table: Mapping[str, tuple[str, str, bool]], lengths: tuple[int, ...]
) -> _Candidate | None:
    letters = [(i, c.lower()) for i, c in enumerate(name) if c.isalnum()]
    word = "".join(c for _, c in letters)
    if len(word) != len(letters):  # a letter whose lower case is two letters: not one of ours
        return None
    for length in lengths:
        if length > len(word) or word[-length:] not in table:
            continue
        shape, half, short = table[word[-length:]]
        begin = letters[-length][0]
        prefix, rest = name[:begin], name[begin:]
        if not half and not prefix and rest == shape:
            rank = 0
        elif not half and not prefix and rest == shape[0].upper() + shape[1:]:
            rank = 1
        else:
            rank = 3 if prefix.strip(_SEPARATORS) else 2
        return _Candidate(key, shape, half, prefix, short, (number, rank), _style(rest, short))
    return None


def _good_prefix(candidate: _Candidate, profile: Profile, counts: Counter[str], total: int) -> bool:
    prefix = candidate.prefix
    word = prefix.strip(_SEPARATORS)
    if not word:
        return True
    count = counts[prefix]
    habit, most = counts.most_common(1)[0]
    has_habit = most >= 5 and most >= 0.6 * total
    if has_habit and prefix == habit:
        # Whatever the word means elsewhere, here it is the character's: Old_Man:jawOpen.
        return True
    known = {p.lower() for p in profile.prefixes}
    if prefix[-1] not in _SEPARATORS and (count < 3 or count < 0.6 * total):
        # Nothing stands between prefix and name (noJawOpen): only a habit of the whole rig is a prefix.
        return False
    if word.lower().rstrip("0123456789") in known:
        return True
    tokens = _tokens(word)
    if set(tokens) & set(profile.decoys):
        return False
    if tokens and tokens[-1] in ("l", "r", "left", "right"):
        # A side in front: L_browInnerUp is half a shape, R_mouthSmileLeft a riddle.
        return tokens[-1][0] == (_SIDES.get(_side(candidate.shape)) or candidate.half)
    # Where nearly all names share one prefix, or have none, another one on a name or two means something.
    return not (has_habit and count < 3)


def _choose(candidates: list[_Candidate], styles: Counter[str], prefixes: Counter[str]) -> list[_Candidate]:
    """The best of several names for one shape: those left are of equal standing."""
    best = min(c.rank for c in candidates)
    left = [c for c in candidates if c.rank == best]
    for count, attribute in ((prefixes, "prefix"), (styles, "style")):
        most = max(count[getattr(c, attribute)] for c in left)
        left = [c for c in left if count[getattr(c, attribute)] == most]
    return left


def match_names(names: Iterable[str], profile: Profile | None = None) -> NameMatch:
    """Match shape keys' names to a profile's shapes (ARKit's 52 by default).

    Accepted: any case, `_ - . : space` between words, Left/Right or L/R at the end, and a prefix that ends in a
    separator or is shared by most matched names. Exact spellings win over other ones, and those over prefixed
    ones; names with Blender's number (`jawOpen.001`) lose to all without, and to those with a lower one. No name
    is used twice, and left is never right.
    """
    profile = profile or get()
    table = _spellings(profile)
    lengths = tuple(sorted({len(word) for word in table}, reverse=True))
    plain = _without_numbers(names).items()
    read = [c for c in (_read(name, *numbered, table, lengths) for name, numbered in plain) if c is not None]
    prefixes = Counter(c.prefix for c in read)
    good = [c for c in read if _good_prefix(c, profile, prefixes, len(read))]
    # Mouth_L may be a corner of the mouth: it is a direction only where the rig writes all its sides so.
    sided = [c for c in good if _side(c.shape) and c.shape not in profile.directions]
    shortened = sum(c.short for c in sided) * 2 > len(sided)
    good = [c for c in good if not (c.short and c.shape in profile.directions and not shortened)]
    styles = Counter(c.style for c in good)

    by_shape: dict[tuple[str, str], list[_Candidate]] = defaultdict(list)
    for candidate in good:
        by_shape[candidate.shape, candidate.half].append(candidate)
    keys: dict[str, tuple[str, ...]] = {}
    ambiguous: dict[str, tuple[str, ...]] = {}
    for shape in profile.shapes:
        spelled = ([(shape, "")], [(shape, "l"), (shape, "r")])
        whole_or_halves = [parts for parts in spelled if all(part in by_shape for part in parts)]
        for parts in sorted(whole_or_halves, key=lambda p: max(min(c.rank for c in by_shape[part])[0] for part in p)):
            if shape in keys:
                continue
            chosen = [_choose(by_shape[part], styles, prefixes) for part in parts]
            if all(len(c) == 1 for c in chosen):
                keys[shape] = tuple(c[0].key for c in chosen)
            for part, choice in zip(parts, chosen, strict=True):
                best = choice[0].rank
                rivals = [c.key for c in by_shape[part] if c.rank == best]
                if len(rivals) > 1:
                    ambiguous[shape] = tuple(rivals)
    used = {key for pair in keys.values() for key in pair}
    listed = used | {key for rivals in ambiguous.values() for key in rivals}
    doubtful = tuple(c.key for c in read if c.key not in listed)
    return NameMatch(MappingProxyType(keys), MappingProxyType(ambiguous), doubtful)
