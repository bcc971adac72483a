# SPDX-License-Identifier: GPL-3.0-or-later
"""Which shape key shows which shape of a family, however the rig spells and dresses its names. Pure Python.

Wrong is worse than missing. A name is read as a shape only if it is a spelling of the shape's own words, apart from
what the whole rig puts around its names: a prefix, a suffix, numbers that run through the list. Anything else around
them (`_fix`, `_50`, `Half`) makes it another shape, but for a known prefix (`Head.`) and the number that Blender puts
after a name that is taken (`.001`).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from types import MappingProxyType
from typing import NamedTuple

from .profiles import Profile, get
from .spelling import SIDES, Spelling, Token, normal, spellings, tokens, words

_NUMBERED = re.compile(r"(.+)\.([0-9]{3,9})", re.DOTALL)

# A rig has a habit if this many of its shapes follow it, and this share of them or this many times the next one.
_HABIT, _SHARE, _TIMES = 5, 0.6, 3.0
# What looks like a variation of shapes (`_old`, `_50`) is a habit only of a rig that has hardly anything else.
_STRONG_HABIT, _STRONG_SHARE = 20, 0.8
# What this share of a rig's names begins with is its namespace. Names are variations of others (old_jawOpen beside
# jawOpen) if this share of the others is there.
_MOST, _VARIED = 0.5, 0.3
# Sides of which one is not even this share of the other are no sides.
_FEW = 0.1
# A spelling with a prefix and no boundary before it (zorkjawopen) has at least this many letters, in such a long word.
_GLUED, _LONG_WORD = 5, 8
# So many readings of the abbreviations in one run of words are tried.
_WAYS = 16
# No name that people give has more; it bounds the work on one.
_LONGEST = 120

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


class _Name(NamedTuple):
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

    name: _Name
    start: int
    end: int
    abbreviated: bool
    glued: bool = False
    moved: tuple[int, int] | None = None


@dataclass(frozen=True)
class _Reading:
    """A name read as a spelling of a shape, or as evidence of the family.

    `lead`, `prefix` and `suffix`: the text around it, what most names begin with first; `written`: how, least first:
    0 as published, 1 with a capital, 2 by its letters, 3 abbreviated or with its side elsewhere.
    """

    name: _Name
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
        """Prefix and suffix without what differs from name to name: case, separators and digits."""
        return _bare(self.prefix).replace("_", ""), _bare(self.suffix).rstrip("_")


@dataclass(frozen=True)
class _Accepted:
    """A reading that is believed; `around`: 0 for the rig's habit or nothing around the name, 1 for nothing where the
    habit is something, 2 for a known prefix, 3 for another one."""

    reading: _Reading
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


@lru_cache(maxsize=4096)
def _bare(text: str) -> str:
    """A prefix or suffix without what differs from name to name. Marks such as ~ and % say something and stay."""
    return re.sub(r"\d+", "#", re.sub(r"[\s._:|/-]+", "_", text.lower()))


def _numbered(key: str) -> _Name:
    numbered = _NUMBERED.fullmatch(key)
    return _Name(key, normal(numbered[1]), int(numbered[2]) + 1) if numbered else _Name(key, normal(key), 0)


def _shared_ends(texts: Sequence[str]) -> tuple[list[int], list[int]]:
    """Lengths of the prefixes and of the suffixes that many of the texts share, for names without any boundary."""
    ends: list[list[int]] = []
    for step in (1, -1):
        lengths, group = [], [text.lower()[::step] for text in texts]
        enough = max(_HABIT, 0.4 * len(group))
        for n in range(1, 24):
            heads = Counter(text[:n] for text in group if len(text) >= n)
            head, count = heads.most_common(1)[0] if heads else ("", 0)
            if count < enough:
                break
            lengths.append(n)
            group = [text for text in group if text.startswith(head)]
        ends.append(lengths)
    return ends[0], ends[1]


@lru_cache(maxsize=256)
def _read(names: tuple[str, ...]) -> tuple[_Name, ...]:
    """The names, and what most of them begin with up to a separator: whatever that means elsewhere, in `L:jawOpen` it
    is L's. But it is a side where other names begin with the other one, and makes variations where the same names are
    there without it."""
    read = [_numbered(key) for key in names]
    leads = Counter(name.text[: m.end()] for name in read for m in re.finditer(r"[\W_]+", name.text))
    texts = {name.text for name in read}
    common = [
        lead
        for lead, count in leads.items()
        if count >= max(_HABIT, _MOST * len(read))
        and len({text.removeprefix(lead) for text in texts if text.startswith(lead)} & texts) < _VARIED * count
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


def _letters(name: _Name, heads: Sequence[int], tails: Sequence[int]) -> Iterable[tuple[str, _Span]]:
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


def _abbreviated(name: _Name, found: Sequence[Token]) -> Iterable[tuple[str, _Span]]:
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
def _endings(names: tuple[str, ...]) -> Mapping[str, Sequence[tuple[_Name, int]]]:
    """What names end with, from their beginning or from a separator on -> the names, and where that begins."""
    endings: dict[str, list[tuple[_Name, int]]] = {}
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


def _reading(span: _Span, spelling: Spelling, published: Mapping[str, str]) -> _Reading:
    text = span.name.text[span.start : span.end]
    # A first letter of the other case is the next best thing to the published name.
    turned = text[:1].swapcase() + text[1:]
    if span.moved is None and published.get(text) == spelling.shape:
        written = 0
    elif span.moved is None and published.get(turned) == spelling.shape:
        written = 1
    else:
        written = 3 if span.abbreviated or spelling.place in ("front", "middle") else 2
    return _Reading(span.name, spelling, *_around(span), written, _style(text, spelling.short))


def _exact_readings(names: tuple[str, ...], profile: Profile) -> list[_Reading]:
    """Names as published after a prefix that ends in a separator, the longest published name that fits."""
    published, endings = _published(profile), _endings(names)
    first: dict[_Name, tuple[int, str]] = {}
    for text in published.keys() & endings.keys():
        for name, begin in endings[text]:
            first[name] = min(first.get(name, (begin, text)), (begin, text))
    found = []
    for name, (begin, text) in sorted(first.items()):
        shape = published[text]
        spelling = Spelling(shape, "" if shape else text, "own", False)
        found.append(_Reading(name, spelling, *name.before(begin), "", 0, _style(text, False)))
    return found


def _readings(names: tuple[str, ...], profile: Profile) -> list[_Reading]:
    """Each name that says one thing in the family's words, at most once."""
    if profile.exact:
        return _exact_readings(names, profile)
    table, index = spellings(profile), _index(names)
    by_key: dict[str, list[tuple[_Span, Spelling]]] = {}
    for letters in table.keys() & index.keys():
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


def _shapes_by(readings: Iterable[_Reading], which: int) -> dict[str, set[tuple[str, str]]]:
    """What each prefix (0) or suffix (1) is around."""
    shapes: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for reading in readings:
        shapes[reading.dress[which]].add(reading.part)
    return shapes


def _tells(text: str, readings: Sequence[_Reading], which: int) -> bool:
    """Whether a prefix or suffix looks as if it made other shapes: a telling word, a side, a constant number."""
    found = tokens(text.replace("_", " "))
    if any(set(t.meanings) & (words().decoys | set(SIDES)) for t in found):
        return True
    if not found and "#" in text:
        numbers = [tuple(re.findall(r"\d+", (r.prefix, r.suffix)[which])) for r in readings if r.dress[which] == text]
        return len(set(numbers)) < _SHARE * len(numbers)
    return False


def _habit(readings: Sequence[_Reading], which: int) -> str | None:
    """The prefix (0) or suffix (1) that most of the rig's names have ("" for none); None if there is no such habit."""
    shapes = _shapes_by(readings, which)
    for text in sorted(shapes):
        inner = [o for o in shapes if o != text and (text.endswith(o) if which == 0 else text.startswith(o))]
        if any(shapes[o] & shapes[text] and len(shapes[o]) >= _VARIED * len(shapes[text]) for o in inner):
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
    return habit if few or (most >= _HABIT and (most >= _SHARE * total or most >= _TIMES * second)) else None


@cache
def _vocabulary() -> frozenset[str]:
    return frozenset(word for found in words().meanings.values() for word in found)


def _is_known(prefix: str, profile: Profile) -> bool:
    known = {p.lower() for p in profile.prefixes}
    parts = re.split(r"[._:|/ -]+", prefix.strip("._:|/ -").lower())
    return "_".join(parts) in known or all(part.rstrip("0123456789") in known for part in parts)


def _around_rank(reading: _Reading, habit: str | None, free: set[str], profile: Profile) -> int | None:
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


def _accepted(readings: Sequence[_Reading], profile: Profile) -> list[_Accepted]:
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


def _in_the_middle(readings: Sequence[_Reading]) -> list[_Reading]:
    """Names that mark shapes without a side as the rig marks the others' sides: jawOpen_M beside mouthSmile_L."""
    marked = [r for r in readings if not r.spelling.half and not r.spelling.place]
    counts = Counter(r.dress[1] for r in marked if r.dress[1].strip("_") in words().middle)
    return [r for r in marked if counts[r.dress[1]] >= _HABIT]


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
    shortened = sum(r.spelling.short for r in sided) * 2 > len(sided)
    good = []
    moved = {a.reading.spelling for a in accepted if a.reading.spelling.place in ("front", "middle")}
    for a in accepted:
        spelling = a.reading.spelling
        direction = spelling.shape in profile.directions and a.reading.written > 1
        odd = (spelling.short and not shortened) or (
            spelling in moved and (len(places[spelling.place]) < _HABIT or not _has_partner(spelling, moved))
        )
        if spelling.place in usual and not (direction and odd):
            good.append(a)
    return good


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


def _pick(mesh: set[str], readings: Sequence[_Reading], accepted: Sequence[_Accepted], profile: Profile) -> NameMatch:
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


def match_meshes(meshes: Sequence[Iterable[str]], profile: Profile) -> tuple[NameMatch, ...]:
    """Match the shape keys' names of each mesh of one character; what they have in common is learnt from all."""
    lists = [tuple(mesh) for mesh in meshes]
    names = tuple(dict.fromkeys(name for mesh in lists for name in mesh))
    readings = _readings(names, profile)
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
