# SPDX-License-Identifier: GPL-3.0-or-later
"""Which family a rig is of, and which of its shape keys shows which channel. Pure Python.

The family is named by evidence: how many of the names its table explains, and how exactly. Its table comes first;
channels that it leaves are filled from ARKit's names, from names of other families that cannot be mistaken, and from
common words, each with less confidence, and never with a key that is used already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType

from ..performance import BLEND_SHAPES
from . import names as spelled
from .names import NameMatch, match_meshes
from .profiles import DEFAULT, Profile, every, get, load
from .readings import hits

COMMON = Path(__file__).with_name("common_words.json")

# A row with less confidence than this is not made; its name is listed as doubtful.
THRESHOLD = 0.5
# What is not of the family's own table is filled in only by names as sure as this.
CERTAIN = 0.9
# What a row's confidence is multiplied by that does not come from the family's own table.
FROM_ARKIT, FROM_OTHERS, FROM_WORDS = 0.9, 0.8, 0.6

# So many families are matched in full; the others have fewer names by far. Exact ones always are: that is cheap.
_CLOSEST = 8
# How much more an exact name says than one that is spelled alike: the power of its confidence.
_EXACTNESS = 3
# How much of a name's worth is lost with the part of it that the family's name leaves unexplained.
_UNSAID = 0.2
# A name that is only evidence of a family counts for this many mapped ones.
_EVIDENCE = 0.5
# A family other than ARKit is believed from this many points; names of two letters (A, O) give only half a point.
_ENOUGH = 2.0
_SHORT = 0.5
# A family within this share of the best one's points is a near equal.
_NEAR = 0.9
# Other families fill a rig whose own shows less than this many channels, with no fewer names than _NAMES and than this
# share of the family's; common words fill one that shows less than _FEW, by pairs of sides.
_REDUCED, _NAMES, _BESIDE, _FEW = 26, 4, 0.25, 20


@dataclass(frozen=True)
class MatchedRow:
    """A channel's part in a shape key: its value is the sum over channels of `gain` x coefficient.

    `confidence` in [THRESHOLD, 1]: 1 the published name; 0.98 in the prefix and suffix of all the rig's names, or with
    another first letter; 0.95 in other case and separators; 0.85 abbreviated, or with its side elsewhere; times 0.9
    after a known prefix that the rig's other names do not have, 0.75 after another one, 0.98 with Blender's number,
    0.8 where the rig's habit decided between equal names; times `FROM_ARKIT`, `FROM_OTHERS` or `FROM_WORDS` if it is
    not of the family's table. `why`: the same in words.
    """

    channel: str
    key: str
    gain: float
    confidence: float
    why: str


@dataclass(frozen=True)
class Recognition:
    """The family, and how it was told.

    `score` in [0, 1]: the share of the family's shapes that are there, each by its confidence. `runner_up`: the next
    family, if it explains nearly as many names. `why`: a sentence for the user.
    """

    profile: Profile
    score: float
    runner_up: Profile | None
    why: str


@dataclass(frozen=True)
class Match:
    """The rows of one mesh, in the order of channels; `ambiguous`: shape -> names of equal standing; `doubtful`: names
    that look like a shape but are not taken."""

    profile: Profile
    rows: tuple[MatchedRow, ...]
    ambiguous: Mapping[str, tuple[str, ...]]
    doubtful: tuple[str, ...]

    @property
    def keys(self) -> Mapping[str, tuple[str, ...]]:
        """Channel -> its keys, in order."""
        found: dict[str, tuple[str, ...]] = {}
        for row in self.rows:
            found[row.channel] = (*found.get(row.channel, ()), row.key)
        return MappingProxyType(found)


@dataclass(frozen=True)
class _Fit:
    """A family held against the names."""

    profile: Profile
    match: NameMatch
    points: float

    @property
    def exact(self) -> int:
        """How many shapes have their published names."""
        return sum(confidence >= spelled.CAPITAL for confidence in self.match.confidence.values())

    @property
    def channels(self) -> int:
        """How many channels have a key."""
        return sum(any(s.name in self.match.keys for s in rows) for rows in self.profile.channels.values())


def _is_arkit(profile: Profile) -> bool:
    return DEFAULT in (profile.id, profile.base)


def _worth(name: str) -> float:
    return _SHORT if len(name) <= 2 and name.isascii() else 1.0


def _fit(names: tuple[str, ...], profile: Profile) -> _Fit:
    match = match_meshes([names], profile)[0]
    points = 0.0
    for shape, keys in match.keys.items():
        longest = max(map(len, profile.spelled(shape)))
        explained = sum(_worth(key) * (1.0 - _UNSAID + _UNSAID * min(1.0, longest / len(key))) for key in keys)
        points += match.confidence[shape] ** _EXACTNESS * explained
    evidence = _EVIDENCE * sum(map(_worth, match.evidence))
    # What a family does not use of the rig must not outweigh what it does.
    return _Fit(profile, match, points + min(evidence, _EVIDENCE * points))


def _fits(names: tuple[str, ...], families: Sequence[Profile]) -> list[_Fit]:
    """The closest families, best first; of equals the one with more channels, then the larger share, then the first."""
    counted = {profile: hits(names, profile) for profile in families}
    found = sorted((p for p in families if counted[p]), key=lambda p: -counted[p])
    closest = [p for p in found if not p.exact][:_CLOSEST] + [p for p in found if p.exact]
    fits = [_fit(names, profile) for profile in families if profile in closest]
    fits.sort(key=lambda f: (-round(f.points, 6), -f.channels, len(f.profile.shapes)))
    arkit = next((f for f in fits if f.profile.id == DEFAULT), None)
    if (
        arkit
        and arkit.points >= _NEAR * fits[0].points
        and arkit.exact >= fits[0].exact
        and not _is_arkit(fits[0].profile)
    ):
        # What others may have beside ARKit's names is as good as nothing: a decoy must not turn the scales.
        fits.remove(arkit)
        fits.insert(0, arkit)
    return fits


def _recognition(fits: Sequence[_Fit], total: int) -> Recognition:
    believed = [f for f in fits if f.match.keys and (f.points >= _ENOUGH or f.profile.id == DEFAULT)]
    if not believed:
        return Recognition(get(), 0.0, None, f"None of the {total} names belongs to a known family.")
    best = believed[0]
    shapes = best.profile.shapes
    score = sum(best.match.confidence.values()) / len(shapes)
    why = f"{len(best.match.keys)} of its {len(shapes)} shapes are there, {best.exact} of them by their published names"
    if best.match.evidence:
        why += f", and {len(best.match.evidence)} more names that tell it"
    near = next((f for f in believed[1:] if f.points >= _NEAR * best.points), None)
    if near is not None:
        why += f"; {near.profile.name} is nearly as close"
    return Recognition(best.profile, score, near.profile if near else None, why + ".")


def recognise(names: Iterable[str], families: Sequence[Profile] | None = None) -> Recognition:
    """The family that the shape keys' names of a character (of all its meshes) belong to: ARKit if none is told.

    `families`: those to choose from (all of the package by default), of equals the first.
    """
    unique = tuple(dict.fromkeys(names))
    return _recognition(_fits(unique, families or every()), len(unique))


@cache
def _common() -> Profile:
    return load(COMMON)


def _why(confidence: float) -> str:
    """A row's confidence in words."""
    if confidence >= spelled.EXACT:
        return "published name"
    if confidence >= spelled.LETTERS:
        return "published name in the rig's spelling"
    return "spelled alike" if confidence >= spelled.KNOWN * spelled.LETTERS else "abbreviated, moved or prefixed"


def _rows(profile: Profile, match: NameMatch, source: str, factor: float) -> list[MatchedRow]:
    """What a family's table makes of its shapes that are there."""
    rows = []
    for channel, shapes in profile.channels.items():
        for shape in shapes:
            for key in match.keys.get(shape.name, ()):
                why = _why(match.confidence[shape.name]) + (f" of {source}" if source else "")
                gain = shape.gain * profile.full
                rows.append(MatchedRow(channel, key, gain, round(match.confidence[shape.name] * factor, 4), why))
    return rows


def _pairs(rows: Iterable[MatchedRow]) -> list[MatchedRow]:
    """Without channels of one side whose other side has no row: a word that is there once may mean both sides."""
    rows = list(rows)
    channels = {row.channel for row in rows}
    other = {"Left": "Right", "Right": "Left"}

    def partner(channel: str) -> str:
        return next((channel.removesuffix(a) + b for a, b in other.items() if channel.endswith(a)), channel)

    return [row for row in rows if partner(row.channel) in channels]


def match_character(meshes: Sequence[Iterable[str]], profile: Profile | None = None) -> tuple[Match, ...]:
    """Match the shape keys' names of each mesh of one character; the family is the character's.

    `profile`: the family, if it is known; else it is recognised. Rows are in the order of channels. A key stands in
    rows of several channels only where one table says so, and left is never right.
    """
    lists = tuple(tuple(mesh) for mesh in meshes)
    found = _matched(lists, profile)
    leads = tuple("" if match.rows else spelled.lead_of(mesh) for match, mesh in zip(found, lists, strict=True))
    if not any(leads) or not any(match.rows for match in found):
        return found
    # Meshes with a prefix of their own beside one that is understood: teeth_geo.jawOpen beside head_geo.jawOpen.
    bare = tuple(tuple(n.removeprefix(lead) for n in mesh) for mesh, lead in zip(lists, leads, strict=True))
    again = _matched(bare, found[0].profile)
    return tuple(_led(new, lead) if lead else old for old, new, lead in zip(found, again, leads, strict=True))


def _led(match: Match, lead: str) -> Match:
    """A match with a prefix before all its names again."""
    rows = tuple(replace(row, key=lead + row.key, confidence=row.confidence * spelled.KNOWN) for row in match.rows)
    ambiguous = {shape: tuple(lead + name for name in names) for shape, names in match.ambiguous.items()}
    return Match(match.profile, rows, ambiguous, tuple(lead + name for name in match.doubtful))


@lru_cache(maxsize=256)
def _matched(lists: tuple[tuple[str, ...], ...], profile: Profile | None) -> tuple[Match, ...]:
    names = tuple(dict.fromkeys(name for mesh in lists for name in mesh))
    fits = _fits(names, every())
    family = profile or _recognition(fits, len(names)).profile
    own = match_meshes(lists, family)
    rows = [_rows(family, match, "", 1.0) for match in own]
    ours = {row.key for found in rows for row in found}
    # What the family knows is not for others, and of names that are alike to it none is more than another.
    closed = {key for match in own for found in match.ambiguous.values() for key in found}
    closed.update(key for match in own for key in match.evidence)
    if not _is_arkit(family):
        _fill(rows, lists, get(), FROM_ARKIT, closed)
    for other in fits:
        unused = [k for keys in other.match.keys.values() for k in keys if k not in ours | closed and _worth(k) == 1.0]
        enough = len(unused) >= max(_NAMES, _BESIDE * len(ours))
        if other.profile is not family and enough and _channels(rows) < _REDUCED:
            _fill(rows, lists, other.profile, FROM_OTHERS, closed)
    if _channels(rows) < _FEW:
        _fill(rows, lists, _common(), FROM_WORDS, closed, pairs=True)
    return tuple(_finish(family, match, found) for match, found in zip(own, rows, strict=True))


def _channels(rows: Iterable[Iterable[MatchedRow]]) -> int:
    return len({row.channel for found in rows for row in found})


def _fill(
    rows: Sequence[list[MatchedRow]],
    lists: Sequence[Iterable[str]],
    source: Profile,
    factor: float,
    closed: set[str],
    pairs: bool = False,
) -> None:
    """Add rows for channels that no mesh shows yet, by names that cannot be mistaken and that nothing uses."""
    shown = {row.channel for found in rows for row in found}
    taken = closed | {row.key for found in rows for row in found}
    for found, match in zip(rows, match_meshes(lists, source), strict=True):
        offered = [row for row in _rows(source, match, source.name, factor) if row.confidence >= CERTAIN * factor]
        # A key that says several things is taken for all of them or for none.
        torn = taken | {row.key for row in offered if row.channel in shown}
        new = [row for row in offered if row.key not in torn]
        found.extend(_pairs(new) if pairs else new)


def _finish(family: Profile, match: NameMatch, rows: list[MatchedRow]) -> Match:
    order = {channel: i for i, channel in enumerate(BLEND_SHAPES)}
    weak = {row.key for row in rows if row.confidence < THRESHOLD}
    kept = sorted((row for row in rows if row.confidence >= THRESHOLD), key=lambda row: order[row.channel])
    used = {row.key for row in kept}
    doubtful = tuple(name for name in dict.fromkeys((*match.doubtful, *sorted(weak))) if name not in used)
    return Match(family, tuple(kept), match.ambiguous, doubtful)


def match(names: Iterable[str], profile: Profile | None = None) -> Match:
    """Match the shape keys' names of one mesh, as `match_character` does."""
    return match_character([tuple(names)], profile)[0]
