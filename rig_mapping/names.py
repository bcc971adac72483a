# SPDX-License-Identifier: GPL-3.0-or-later
"""Which shape key shows which shape of a family, however the rig spells and dresses its names. Pure Python.

Wrong is worse than missing. A name that reads as a shape (`readings`) is taken only if nothing is around it but what
the whole rig puts around its names: a prefix, a suffix, numbers that run through the list. Anything else (`_fix`,
`_50`, `Half`) makes it another shape, but for a known prefix (`Head.`) and the number that Blender puts after a name
that is taken (`.001`).
"""

from __future__ import annotations

import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

from .profiles import Profile, get
from .readings import HABIT_SIZE, VARIED, Reading, readings_of
from .spelling import SIDES, Spelling, tokens, words

# A rig has a habit if HABIT_SIZE of its shapes follow it, and this share of them or this many times the next one.
_SHARE, _TIMES = 0.6, 3.0
# A place of sides is a rig's second one if so many shapes have it, of which no more than this share have the other too.
_MANY, _BOTH = 10, 0.1
# What looks like a variation of shapes (`_old`, `_50`) is a habit only of a rig that has hardly anything else.
_STRONG_HABIT, _STRONG_SHARE = 20, 0.8

# How sure a reading is, of 1. The factors of spelling, of what is around it and of Blender's number are multiplied.
EXACT, CAPITAL, LETTERS, ABBREVIATED = 1.0, 0.98, 0.95, 0.85
HABIT, KNOWN, STRANGE, NUMBERED, RIVALLED = 0.98, 0.9, 0.75, 0.98, 0.8


@dataclass(frozen=True)
class NameMatch:
    """`keys`: shape -> its key's name (two names, left first, where a rig splits a shape without a side).

    `confidence`: shape -> how sure that is, in (0, 1]. `ambiguous`: shape -> names of equal standing, of which none is
    mapped, or of two that stand for one shape. `doubtful`: names that look like a shape that no key is taken for, such
    as one side of a split or a strange prefix. `evidence`: names that tell the family and are not mapped.
    """

    keys: Mapping[str, tuple[str, ...]]
    confidence: Mapping[str, float]
    ambiguous: Mapping[str, tuple[str, ...]]
    doubtful: tuple[str, ...]
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class _Accepted:
    """A reading that is believed; `around`: 0 for the rig's habit or nothing around the name, 1 for nothing where the
    habit is something, 2 for a known prefix, 3 for another one."""

    reading: Reading
    around: int

    @property
    def rank(self) -> tuple[int, int, int]:
        """What it is preferred by, least first."""
        loose = self.reading.written + (2 if self.around == 1 and self.reading.written > 1 else 0)
        return self.reading.name.number, max(loose, 3) if self.around > 1 else loose, self.around

    @property
    def confidence(self) -> float:
        """How sure the reading is, in (0, 1]."""
        spelled = (EXACT, CAPITAL, LETTERS, ABBREVIATED)[self.reading.written]
        dressed = self.reading.lead or self.reading.dress != ("", "")
        around = (HABIT if dressed else 1.0, 1.0, KNOWN, STRANGE)[self.around]
        return spelled * around * (NUMBERED if self.reading.name.number else 1.0)


def _shapes_by(readings: Iterable[Reading], which: int) -> dict[str, set[tuple[str, str]]]:
    """What each prefix (0) or suffix (1) is around."""
    shapes: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for reading in readings:
        shapes[reading.dress[which]].add(reading.part)
    return shapes


def _has_telling_word(text: str) -> bool:
    """Whether a word of a prefix or suffix says that it makes another shape, or is a side."""
    telling = words().decoys | set(SIDES)
    return any(set(token.meanings) & telling for token in tokens(text.replace("_", " ")))


def _tells(text: str, readings: Sequence[Reading], which: int) -> bool:
    """Whether a prefix or suffix looks as if it made other shapes: a telling word, a side, a constant number."""
    if _has_telling_word(text):
        return True
    if not tokens(text.replace("_", " ")) and "#" in text:
        numbers = [tuple(re.findall(r"\d+", (r.prefix, r.suffix)[which])) for r in readings if r.dress[which] == text]
        return len(set(numbers)) < _SHARE * len(numbers)
    return False


def _habit(readings: Sequence[Reading], which: int) -> str | None:
    """The prefix (0) or suffix (1) that most of the rig's names have ("" for none); None if there is no such habit."""
    shapes = _shapes_by(readings, which)
    for text in sorted(shapes):
        inner = [o for o in shapes if o != text and (text.endswith(o) if which == 0 else text.startswith(o))]
        if any(shapes[o] & shapes[text] and len(shapes[o]) >= VARIED * len(shapes[text]) for o in inner):
            # The same shapes are there without it: these are their variations.
            del shapes[text]
    counts = Counter({text: len(found) for text, found in shapes.items()}).most_common()
    if not counts:
        return None
    habit, most = counts[0]
    second = counts[1][1] if len(counts) > 1 else 0
    total = sum(count for _, count in counts)
    if habit and _tells(habit, readings, which):
        return habit if most >= _STRONG_HABIT and most >= _STRONG_SHARE * total else None
    few = which == 1 and most >= 3 and most == total
    return habit if few or (most >= HABIT_SIZE and (most >= _SHARE * total or most >= _TIMES * second)) else None


@cache
def _vocabulary() -> frozenset[str]:
    return frozenset(word for found in words().meanings.values() for word in found)


def _is_known(prefix: str, profile: Profile) -> bool:
    known = {p.lower() for p in profile.prefixes}
    parts = re.split(r"[._:|/ -]+", prefix.strip("._:|/ -").lower())
    return "_".join(parts) in known or all(part.rstrip("0123456789") in known for part in parts)


def _around_rank(reading: Reading, habit: str | None, free: set[str], profile: Profile) -> int | None:
    """`_Accepted.around`, or None if what stands before the name makes it another shape."""
    prefix, word = reading.prefix, reading.dress[0]
    if word in ("", habit):
        return 1 if reading.name.strayed or (habit and word != habit) else 0
    if prefix[-1].isalnum() or not any(c.isalpha() for c in word):
        # Nothing stands between prefix and name (noJawOpen), or a number (50_jawOpen): only a habit is a prefix.
        return None
    if _is_known(prefix, profile):
        return 2
    found = tokens(prefix)
    meant = {meaning for token in found for meaning in token.meanings}
    if meant & (words().decoys | set(profile.decoys)):
        return None
    sides = {token.side for token in found} - {""}
    if sides:
        # A side in front: L_browInnerUp is half a shape, R_mouthSmileLeft a riddle.
        own = {token.text for token in tokens(reading.spelling.shape)} | {reading.spelling.half}
        return 3 if found[-1].side and sides <= own else None
    if meant & _vocabulary():
        return None
    # Where nearly all names share one prefix, or have none, another one on a name or two means something.
    return 3 if habit is None or word in free else None


def _accepted(readings: Sequence[Reading], profile: Profile) -> list[_Accepted]:
    """The readings that nothing around the name speaks against."""
    suffix = _habit(readings, 1)
    plain = ("", suffix)
    good = [r for r in readings if r.dress[1] in plain]
    good += _in_the_middle([r for r in readings if r.dress[1] not in plain])
    habit = _habit(good, 0)
    shapes = _shapes_by(good, 0)
    free = {
        word
        for word, found in shapes.items()
        if len(found) >= 3 and not any(found & other for o, other in shapes.items() if o != word)
    }
    ranked = [(r, _around_rank(r, habit, free, profile)) for r in good]
    return _by_sides([_Accepted(r, around) for r, around in ranked if around is not None], profile)


def _in_the_middle(readings: Sequence[Reading]) -> list[Reading]:
    """Names that mark shapes without a side as the rig marks the others' sides: jawOpen_M beside mouthSmile_L."""
    marked = [r for r in readings if not r.spelling.half and not r.spelling.place]
    counts = Counter(r.dress[1] for r in marked if r.dress[1].strip("_") in words().middle)
    return [r for r in marked if counts[r.dress[1]] >= HABIT_SIZE]


def _by_sides(accepted: list[_Accepted], profile: Profile) -> list[_Accepted]:
    """Without sides that are written as the rig does not write them.

    A side in front or in the middle of a name is one only where the whole rig writes so. Mouth_L may be a corner of
    the mouth: it is a direction only where the rig writes all its sides so.
    """
    sided = [
        a.reading for a in accepted if a.reading.spelling.place and a.reading.spelling.shape not in profile.directions
    ]
    places: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for reading in sided:
        places[reading.spelling.place].add(reading.part)
    total = sum(map(len, places.values()))
    usual = {p for p, parts in places.items() if len(parts) >= 2 and len(parts) >= 0.7 * total} | {"", "own", "end"}
    # Or where it writes many so that it writes no other way.
    usual |= {p for p, parts in places.items() if len(parts) >= _MANY and _apart(parts, places, p)}
    shortened = sum(r.spelling.short for r in sided) * 2 > len(sided)
    good = []
    moved = {a.reading.spelling for a in accepted if a.reading.spelling.place in ("front", "middle")}
    for a in accepted:
        spelling = a.reading.spelling
        direction = spelling.shape in profile.directions and a.reading.written > 1
        odd = (spelling.short and not shortened) or (
            spelling in moved and (len(places[spelling.place]) < HABIT_SIZE or not _has_partner(spelling, moved))
        )
        if spelling.place in usual and not (direction and odd):
            good.append(a)
    return good


def _apart(parts: set[tuple[str, str]], places: Mapping[str, set[tuple[str, str]]], place: str) -> bool:
    """Whether hardly any of the parts of one place of sides is also there in another one."""
    others: set[tuple[str, str]] = set().union(*(found for p, found in places.items() if p != place))
    return len(parts & others) < _BOTH * len(parts)


def _has_partner(spelling: Spelling, others: Iterable[Spelling]) -> bool:
    """Whether the other direction is there too: R_mouth alone may be anything."""
    left, right = (spelling.shape.replace(a, b) for a, b in (("Right", "Left"), ("Left", "Right")))
    return {left, right} <= {other.shape for other in others}


def _choose(candidates: list[_Accepted], styles: Counter[str], prefixes: Counter[str]) -> list[_Accepted]:
    """The best of several names for one shape: those left are of equal standing."""
    best = min(c.rank for c in candidates)
    left = [c for c in candidates if c.rank == best]
    for count, attribute in ((prefixes, "prefix"), (styles, "style")):
        most = max(count[getattr(c.reading, attribute)] for c in left)
        left = [c for c in left if count[getattr(c.reading, attribute)] == most]
    return left


def _certain(one: _Accepted) -> bool:
    return one.reading.written < 3 and one.around < 3


def _pick(mesh: set[str], readings: Sequence[Reading], accepted: Sequence[_Accepted], profile: Profile) -> NameMatch:
    """The match of one mesh, by the habits of them all."""
    prefixes = Counter(a.reading.prefix for a in accepted)
    styles = Counter(a.reading.style for a in accepted)
    by_part: dict[tuple[str, str], list[_Accepted]] = defaultdict(list)
    for one in accepted:
        if one.reading.key in mesh:
            by_part[one.reading.part].append(one)
    keys: dict[str, tuple[str, ...]] = {}
    confidence: dict[str, float] = {}
    ambiguous: dict[str, tuple[str, ...]] = {}
    for shape in profile.shapes:
        spelled = ([(shape, "")], [(shape, half) for half in SIDES])
        whole_or_halves = [parts for parts in spelled if all(part in by_part for part in parts)]
        for parts in sorted(whole_or_halves, key=lambda p: max(min(c.rank for c in by_part[part])[0] for part in p)):
            if shape in keys:
                continue
            chosen = [_choose(by_part[part], styles, prefixes) for part in parts]
            rivals = {
                part: [c for c in by_part[part] if c.rank == c0[0].rank] for part, c0 in zip(parts, chosen, strict=True)
            }
            if all(len(c) == 1 for c in chosen):
                keys[shape] = tuple(c[0].reading.key for c in chosen)
                sure = RIVALLED if any(len(r) > 1 for r in rivals.values()) else 1.0
                confidence[shape] = sure * min(c[0].confidence for c in chosen)
            for equal in rivals.values():
                if len(equal) > 1:
                    ambiguous[shape] = tuple(c.reading.key for c in equal)
    used = {key for pair in keys.values() for key in pair}
    listed = used | {key for rivals in ambiguous.values() for key in rivals}
    mine = [r for r in readings if r.key in mesh]
    doubtful = tuple(r.key for r in mine if r.spelling.shape and r.spelling.shape not in keys and r.key not in listed)
    # Names that are only evidence are taken at their word.
    evidence = tuple(found[0].reading.key for part, found in by_part.items() if not part[0] and _certain(found[0]))
    return NameMatch(
        MappingProxyType(keys), MappingProxyType(confidence), MappingProxyType(ambiguous), doubtful, evidence
    )


def lead_of(names: Sequence[str]) -> str:
    """What all names of a mesh begin with up to a separator, unless it may say that they are other shapes; "" if they
    have nothing in common, or are fewer than three."""
    if len(names) < 3:
        return ""
    pairs = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(min(names), max(names), strict=False))
    shared = "".join(letter for letter, _ in pairs)
    lead = shared[: max((m.end() for m in re.finditer(r"[._:|/ -]", shared)), default=0)]
    return "" if _has_telling_word(lead) else lead


def match_meshes(meshes: Sequence[Iterable[str]], profile: Profile) -> tuple[NameMatch, ...]:
    """Match the shape keys' names of each mesh of one character; what they have in common is learnt from all."""
    lists = [tuple(mesh) for mesh in meshes]
    names = tuple(dict.fromkeys(name for mesh in lists for name in mesh))
    readings = readings_of(names, profile)
    accepted = _accepted(readings, profile)
    return tuple(_pick(set(mesh), readings, accepted, profile) for mesh in lists)


def match_names(names: Iterable[str], profile: Profile | None = None) -> NameMatch:
    """Match shape keys' names to a profile's shapes (ARKit's 52 by default).

    Accepted: any case, any separators between words, abbreviations, Left/Right or L/R at the end (elsewhere where the
    whole rig writes so), a prefix that ends in a separator or is shared by most matched names, and a suffix or
    numbers that are. Exact spellings win over other ones, and those over prefixed ones; names with Blender's number
    (`jawOpen.001`) lose to all without, and to those with a lower one. No name is used twice, and left is never right.
    """
    return match_meshes([tuple(names)], profile or get())[0]
