# SPDX-License-Identifier: GPL-3.0-or-later
"""What the names of a rig's shape keys may say in a family's words, and what is around those words. Pure Python.

Names are taken apart once for all families: every run of letters that may spell something is looked up in a family's
spellings.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from .profiles import Profile
from .spelling import SIDES, Spelling, Token, normal, spellings, tokens

# So many names at least make a habit of a rig.
HABIT_SIZE = 5
# Names are variations of others (old_jawOpen beside jawOpen) if this share of the others is there.
VARIED = 0.3

_NUMBERED = re.compile(r"(.+)\.([0-9]{3,9})", re.DOTALL)
# What this share of a rig's names begins with is its namespace.
_MOST = 0.5
# What this share of the names begins or ends with parts a word without any boundary, up to so many letters.
_SHARED, _END = 0.4, 24
# Sides of which one is not even this share of the other are no sides.
_FEW = 0.1
# A spelling with a prefix and no boundary before it (zorkjawopen) has at least this many letters, in such a long word.
_GLUED, _LONG_WORD = 5, 8
# So many readings of the abbreviations in one run of words are tried.
_WAYS = 16
# No name that people give has more letters; it bounds the work on one.
_LONGEST = 120


class Name(NamedTuple):
    """A key, its text without Blender's number, the number plus 1, or 0, and the length of what it begins with as most
    names of the rig do; `strayed`: it does not."""

    key: str
    text: str
    number: int
    lead: int = 0
    strayed: bool = False

    def before(self, start: int) -> tuple[str, str]:
        """The text before a place: the rig's lead, if it is all there, and the rest."""
        lead = self.lead if self.lead <= start else 0
        return self.text[:lead], self.text[lead:start]


class _Span(NamedTuple):
    """A part of a name's text whose letters may spell something; `glued`: it begins inside a word; `moved`: its side
    stands farther off, at [a, b)."""

    name: Name
    start: int
    end: int
    abbreviated: bool
    glued: bool = False
    moved: tuple[int, int] | None = None


@dataclass(frozen=True)
class Reading:
    """A name read as a spelling of a shape, or as evidence of the family.

    `lead`, `prefix` and `suffix`: the text around it, what most names begin with first; `written`: how, least first:
    0 as published, 1 with a capital, 2 by its letters, 3 abbreviated or with its side elsewhere.
    """

    name: Name
    spelling: Spelling
    lead: str
    prefix: str
    suffix: str
    written: int
    style: str

    @property
    def key(self) -> str:
        """The shape key's name."""
        return self.name.key

    @property
    def part(self) -> tuple[str, str]:
        """The shape and the half of it."""
        return self.spelling.shape, self.spelling.half

    @cached_property
    def dress(self) -> tuple[str, str]:
        """Prefix and suffix without what differs from name to name: case, separators and digits. A suffix of separators
        alone stays: _jawOpen_ has been put aside."""
        suffix = _bare(self.suffix)
        return _bare(self.prefix).replace("_", ""), suffix.rstrip("_") or suffix


@lru_cache(maxsize=4096)
def _bare(text: str) -> str:
    """A prefix or suffix without what differs from name to name. Marks such as ~ and % say something and stay."""
    return re.sub(r"\d+", "#", re.sub(r"[\s._:|/-]+", "_", text.lower()))


def _numbered(key: str) -> Name:
    numbered = _NUMBERED.fullmatch(key)
    return Name(key, normal(numbered[1]), int(numbered[2]) + 1) if numbered else Name(key, normal(key), 0)


def _shared_ends(texts: Sequence[str]) -> tuple[list[int], list[int]]:
    """Lengths of the prefixes and of the suffixes that many of the texts share, for names without any boundary."""
    ends: list[list[int]] = []
    for step in (1, -1):
        lengths, group = [], [text.lower()[::step] for text in texts]
        enough = max(HABIT_SIZE, _SHARED * len(group))
        for n in range(1, _END):
            heads = Counter(text[:n] for text in group if len(text) >= n)
            head, count = heads.most_common(1)[0] if heads else ("", 0)
            if count < enough:
                break
            lengths.append(n)
            group = [text for text in group if text.startswith(head)]
        ends.append(lengths)
    return ends[0], ends[1]


@lru_cache(maxsize=256)
def _read(names: tuple[str, ...]) -> tuple[Name, ...]:
    """The names, and what most of them begin with up to a separator: whatever that means elsewhere, in `L:jawOpen` it
    is L's. But it is a side where other names begin with the other one, and makes variations where the same names are
    there without it."""
    read = [_numbered(key) for key in names]
    leads = Counter(name.text[: m.end()] for name in read for m in re.finditer(r"[\W_]+", name.text))
    texts = {name.text for name in read}
    common = [
        lead
        for lead, count in leads.items()
        if count >= max(HABIT_SIZE, _MOST * len(read))
        and len({text.removeprefix(lead) for text in texts if text.startswith(lead)} & texts) < VARIED * count
    ]
    sides = Counter(found[0].side for found in (tokens(name.text) for name in read) if found)
    lead = max((c for c in common if not _opposed(c, sides)), key=len, default="")
    led = [name.text.startswith(lead) and name.text != lead for name in read]
    return tuple(n._replace(lead=len(lead) * on, strayed=not on) for n, on in zip(read, led, strict=True))


def _opposed(lead: str, sides: Mapping[str, int]) -> bool:
    """Whether a common beginning is a side that stands against the other one."""
    found = tokens(lead)
    other = SIDES[found[0].side == SIDES[0]] if found and found[0].side else ""
    return bool(other) and sides.get(other, 0) > _FEW * sides[found[0].side]


def _letters(name: Name, heads: Sequence[int], tails: Sequence[int]) -> Iterable[tuple[str, _Span]]:
    """Every run of letters in a name that may spell something."""
    text = name.text[:_LONGEST]
    lower = [(i, c.lower()) for i, c in enumerate(text) if c.isalnum()]
    word = "".join(c for _, c in lower)
    if len(word) != len(lower) or not word:  # a letter whose lower case is two letters: not one of ours
        return
    found = tokens(text)
    if _has_side(text[: name.lead]):
        found = tuple(token for token in found if token.start >= name.lead)
    place = {i: n for n, (i, _) in enumerate(lower)}
    starts = {place[t.start] for t in found}
    ends = {place[t.end - 1] + 1 for t in found} | {place[len(text) - n] for n in tails if len(text) - n in place}
    shared = starts | {place[n] for n in heads if n in place}
    inside = {n for t in found if t.end - t.start >= _LONG_WORD for n in range(place[t.start], place[t.end - 1])}
    for end in ends:
        for start in shared | inside:
            if start < end and (start in shared or end - start >= _GLUED):
                yield word[start:end], _Span(name, lower[start][0], lower[end - 1][0] + 1, False, start not in starts)
    yield from _abbreviated(name, found)


def _abbreviated(name: Name, found: Sequence[Token]) -> Iterable[tuple[str, _Span]]:
    """Runs of words, in full for their abbreviations; also those that a suffix or a prefix parts from their side."""
    sides = [far for far in {0, len(found) - 1} if found and found[far].side]
    for i, first in enumerate(found):
        ways = [""]
        for j in range(i, len(found)):
            ways = [way + meaning for way in ways for meaning in found[j].meanings]
            if len(ways) > _WAYS:
                break
            # The first way is the letters as they are.
            for way in ways[1:]:
                yield way, _Span(name, first.start, found[j].end, True)
            for far in sides:
                if far > j + 1 or far < i - 1:
                    span = _Span(name, first.start, found[j].end, True, moved=found[far][1:3])
                    for way in ways:
                        yield way + found[far].side, span


@lru_cache(maxsize=256)
def _index(names: tuple[str, ...]) -> Mapping[str, Sequence[_Span]]:
    """Letters -> where they stand in the names."""
    heads, tails = _shared_ends([name.text for name in _read(names)])
    index: dict[str, list[_Span]] = {}
    for name in _read(names):
        for letters, span in _letters(name, heads, tails):
            index.setdefault(letters, []).append(span)
    return index


@lru_cache(maxsize=256)
def _endings(names: tuple[str, ...]) -> Mapping[str, Sequence[tuple[Name, int]]]:
    """What names end with, from their beginning or from a separator on -> the names, and where that begins."""
    endings: dict[str, list[tuple[Name, int]]] = {}
    for name in _read(names):
        for begin in range(len(name.text)):
            if begin == 0 or not name.text[begin - 1].isalnum():
                endings.setdefault(name.text[begin:], []).append((name, begin))
    return endings


@lru_cache(maxsize=128)
def _published(profile: Profile) -> Mapping[str, str]:
    """A profile's names -> the shapes, or "" for those that are only evidence."""
    shapes = {normal(name): shape for shape in profile.shapes for name in profile.spelled(shape)}
    return {normal(name): "" for name in profile.evidence} | shapes


def _style(text: str, short: bool) -> str:
    """How a name is spelled: its separators, whether it begins with a capital, and the form of its side."""
    separators = "".join(sorted(set(re.findall(r"[\W_]", text))))
    case = "upper" if text.isupper() else "capital" if text[:1].isupper() else "lower"
    return f"{separators} {case} {short}"


def _around(span: _Span) -> tuple[str, str, str]:
    """The rig's lead, and the text before and after a span, without a side that stands farther off."""
    text, moved = span.name.text, span.moved
    lead, before = span.name.before(min(span.start, moved[0]) if moved else span.start)
    if moved is None:
        return lead, before, text[span.end :]
    if moved[0] < span.start:
        return lead, before + text[moved[1] : span.start], text[span.end :]
    return lead, before, text[span.end : moved[0]] + text[moved[1] :]


def _has_side(text: str) -> bool:
    return any(token.side for token in tokens(text))


def _extent(span: _Span) -> tuple[int, int]:
    moved = span.moved or (span.start, span.end)
    return min(span.start, moved[0]), max(span.end, moved[1])


def _largest(extents: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those that are in no other one."""
    unique = set(extents)
    return [e for e in unique if not any(o != e and o[0] <= e[0] and e[1] <= o[1] for o in unique)]


def _one_sided(spans: Iterable[tuple[_Span, Spelling]]) -> bool:
    """Whether sides in front are all left or all right, so that they are something else (`L:jawOpen` is L's)."""
    first = Counter(span.name.text[_extent(span)[0]].lower() for span, spelling in spans if _in_front(span, spelling))
    few, many = sorted((first["l"], first["r"]))
    return few < _FEW * many


def _in_front(span: _Span, spelling: Spelling) -> bool:
    return spelling.place == "front" or (span.moved is not None and span.moved[0] < span.start)


def _best_span(found: list[tuple[_Span, Spelling]]) -> tuple[_Span, Spelling] | None:
    """The one span that is what a name says; None if it says two things, or none for certain."""
    joined = [f for f in found if f[0].moved is None]
    parts = _largest(_extent(span) for span, spelling in joined if spelling.shape)
    if any(a[1] <= b[0] for a in parts for b in parts):
        return None
    clear = [f for f in found if not any(map(_has_side, _around(f[0])[1:]))]
    left = [f for f in clear if f[0].moved is None] or clear or joined
    largest = _largest(_extent(span) for span, _ in left)
    if len(largest) != 1:
        return None
    same = [f for f in left if _extent(f[0]) == largest[0]]
    # As it is written before what it may abbreviate, and of spans parted from their sides the longest.
    best = min((span.abbreviated, span.start - span.end) for span, _ in same)
    same = [f for f in same if (f[0].abbreviated, f[0].start - f[0].end) == best]
    return same[0] if len({(s.shape, s.half) for _, s in same}) == 1 else None


def _reading(span: _Span, spelling: Spelling, published: Mapping[str, str]) -> Reading:
    text = span.name.text[span.start : span.end]
    # A first letter of the other case is the next best thing to the published name.
    turned = text[:1].swapcase() + text[1:]
    if span.moved is None and published.get(text) == spelling.shape:
        written = 0
    elif span.moved is None and published.get(turned) == spelling.shape:
        written = 1
    else:
        written = 3 if span.abbreviated or spelling.place in ("front", "middle") else 2
    return Reading(span.name, spelling, *_around(span), written, _style(text, spelling.short))


def _exact_readings(names: tuple[str, ...], profile: Profile) -> list[Reading]:
    """Names as published after a prefix that ends in a separator, the longest published name that fits."""
    published, endings = _published(profile), _endings(names)
    first: dict[Name, tuple[int, str]] = {}
    for text in published.keys() & endings.keys():
        for name, begin in endings[text]:
            first[name] = min(first.get(name, (begin, text)), (begin, text))
    found = []
    for name, (begin, text) in sorted(first.items()):
        shape = published[text]
        spelling = Spelling(shape, "" if shape else text, "own", False)
        found.append(Reading(name, spelling, *name.before(begin), "", 0, _style(text, False)))
    return found


def readings_of(names: tuple[str, ...], profile: Profile) -> list[Reading]:
    """Each name that says one thing in the family's words, at most once."""
    if profile.exact:
        return _exact_readings(names, profile)
    table, index = spellings(profile), _index(names)
    by_key: dict[str, list[tuple[_Span, Spelling]]] = {}
    for letters in sorted(table.keys() & index.keys()):  # sorted: the same in every process
        for span in index[letters]:
            # The l of AL:jawOpen is no side.
            if not (span.glued and table[letters].short and letters[0] in "lr"):
                by_key.setdefault(span.name.key, []).append((span, table[letters]))
    if _one_sided(f for found in by_key.values() for f in found):
        by_key = {key: [f for f in found if not _in_front(*f)] for key, found in by_key.items()}
    published = _published(profile)
    best = ((key, _best_span(by_key[key])) for key in names if key in by_key)
    return [_reading(*found, published) for _, found in best if found is not None]


def hits(names: tuple[str, ...], profile: Profile) -> int:
    """How many letters of the names the profile may explain. Fast: it tells which profiles are worth matching."""
    if profile.exact:
        return sum(len(r.key) - len(r.prefix) for r in _exact_readings(names, profile))
    table = spellings(profile)
    found: dict[tuple[str, str], int] = {}
    for letters in table.keys() & _index(names).keys():
        part = table[letters][:2]
        found[part] = max(found.get(part, 0), len(letters))
    return sum(found.values())
