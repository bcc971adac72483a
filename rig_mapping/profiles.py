# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles: tables from channels to a rig family's shape keys and bones, read from `profiles/*.json`.

A channel has one or several rows (shape, gain): the shape key's value is `full` x the sum, over the channels that
name it, of gain x coefficient. What all families have in common is in `spelling.json` and `bones.json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ..performance import BLEND_SHAPES, FacescriptError
from .tables import Table

FOLDER = Path(__file__).with_name("profiles")
DEFAULT = "arkit"
BONES = ("head", "neck", "jaw", "left_eye", "right_eye")
ANGLES = ("head", "eye", "jaw")

_REQUIRED = ("id", "name", "source", "channels")
_OPTIONAL = (
    *("base", "full", "aliases", "exact", "evidence", "cannot", "splits", "directions", "prefixes", "decoys"),
    *("bones", "full_angles", "rows"),
)


@dataclass(frozen=True)
class Shape:
    """One row: the shape key's published name and the gain on the coefficient, in [-100, 100]."""

    name: str
    gain: float


@dataclass(frozen=True, eq=False, repr=False)
class Profile:
    """A rig family; the fields of its base are those of this one too, unless its own file says otherwise.

    `channels`: the rows of each channel that is shown. `full`: a key's value for a full shape. `aliases`: shape ->
    its other published names, of equal standing. `exact`: names must be as written, apart from a prefix and Blender's
    number. `evidence`: names that tell the family and are not mapped. `cannot`: what the family cannot show.
    `splits`: shapes without a side that a rig may split into a left and a right key. `directions`: shapes whose Left
    or Right is a direction, not a side. `prefixes` and `decoys`: words before a name that are known to be harmless or
    to mean another shape. `bones`: name candidates, best first, for each of `BONES`. `full_angles`: degrees for a
    coefficient of 1, for each of `ANGLES`. `rows`: what a user's profile says beside shape keys, as it is in the
    file; the mapping editor reads it.
    """

    id: str
    name: str
    source: str
    channels: Mapping[str, tuple[Shape, ...]]
    base: str
    full: float
    aliases: Mapping[str, tuple[str, ...]]
    exact: bool
    evidence: tuple[str, ...]
    cannot: str
    splits: tuple[str, ...]
    directions: tuple[str, ...]
    prefixes: tuple[str, ...]
    decoys: tuple[str, ...]
    bones: Mapping[str, tuple[str, ...]]
    full_angles: Mapping[str, float]
    rows: tuple[Mapping[str, Any], ...]

    def __repr__(self) -> str:
        return f"<Profile {self.id}>"

    @property
    def shapes(self) -> tuple[str, ...]:
        """Every shape that is named, once, in order."""
        return tuple(dict.fromkeys(shape.name for rows in self.channels.values() for shape in rows))

    def spelled(self, shape: str) -> tuple[str, ...]:
        """The published names of a shape: its own, then its aliases."""
        return (shape, *self.aliases.get(shape, ()))


@cache
def _common() -> tuple[Table, Table]:
    """`spelling.json` and `bones.json`."""
    spelling = Table.load(FOLDER.with_name("spelling.json"))
    bones = Table.load(FOLDER.with_name("bones.json"))
    bones.only("full_angles", *BONES)
    return spelling, bones


def load(path: Path) -> Profile:
    """Read one profile file, of this package or a user's. Raises FacescriptError (`bad_table`) by file and place."""
    return _load(path, (path.stem,))


def _load(path: Path, above: tuple[str, ...]) -> Profile:
    table = Table.load(path)
    table.only(*_REQUIRED, optional=_OPTIONAL)
    base = _base(table, above)
    rows = dict(base.channels) if base else {}
    rows.update(_channels(table.table("channels"), based=base is not None))
    channels = {channel: rows[channel] for channel in BLEND_SHAPES if rows.get(channel)}
    shapes = {shape.name for row in channels.values() for shape in row}
    spelling, bones = _common()
    profile = Profile(
        id=table.text("id"),
        name=table.text("name"),
        source=table.text("source"),
        channels=MappingProxyType(channels),
        base=base.id if base else "",
        full=table.number("full", 1e-3, 1e3) if "full" in table.data else base.full if base else 1.0,
        aliases=MappingProxyType(_aliases(table, base, shapes)),
        exact=table.flag("exact") if "exact" in table.data else base.exact if base else False,
        evidence=_texts(table, "evidence"),
        cannot=table.text("cannot") if "cannot" in table.data else "",
        splits=_shapes(table, "splits", base.splits if base else (), shapes),
        directions=_shapes(table, "directions", base.directions if base else (), shapes),
        prefixes=tuple(dict.fromkeys((*_texts(table, "prefixes"), *spelling.texts("prefixes")))),
        decoys=tuple(dict.fromkeys((*_texts(table, "decoys"), *spelling.texts("decoys")))),
        bones=MappingProxyType(_bones(table, base, bones)),
        full_angles=MappingProxyType(_angles(table, base, bones)),
        rows=tuple(row.data for row in table.rows("rows")) if table.data.get("rows") else (),
    )
    unused = sorted(set(profile.evidence) & {name for shape in profile.shapes for name in profile.spelled(shape)})
    if unused:
        raise table.error(f"has {unused[0]!r} in 'evidence', which is one of its shapes")
    if path.parent == FOLDER and profile.id != path.stem:
        raise table.error(f"has the id {profile.id!r}")
    return profile


def _base(table: Table, above: tuple[str, ...]) -> Profile | None:
    if "base" not in table.data:
        return None
    name = table.text("base")
    if name in above:
        raise table.error(f"has itself among its bases ({name!r})")
    if name not in _ids():
        raise table.error(f"has an unknown base {name!r}, not one of {', '.join(_ids())}")
    return _load(FOLDER / f"{name}.json", (*above, name))


def _channels(table: Table, based: bool) -> dict[str, tuple[Shape, ...]]:
    unknown = sorted(set(table.data) - set(BLEND_SHAPES))
    if unknown:
        raise table.error(f"has an unknown channel {unknown[0]!r}")
    if not table.data and not based:
        raise table.error("has no channel")
    rows: dict[str, tuple[Shape, ...]] = {}
    for channel, listed in table.data.items():
        shapes: list[Shape] = []
        # An empty list takes the base's row away.
        for row in table.rows(channel) if listed != [] or not based else []:
            row.only("shape", "gain")
            shapes.append(Shape(row.text("shape"), row.number("gain", -100.0, 100.0)))
        if len({shape.name for shape in shapes}) != len(shapes):
            raise table.error(f"has a shape twice in {channel!r}")
        rows[channel] = tuple(shapes)
    return rows


def _texts(table: Table, name: str) -> tuple[str, ...]:
    return table.texts(name) if name in table.data else ()


def _aliases(table: Table, base: Profile | None, shapes: set[str]) -> dict[str, tuple[str, ...]]:
    own = table.table("aliases") if "aliases" in table.data else Table({}, table.place)
    strange = sorted(set(own.data) - shapes)
    if strange:
        raise own.error(f"has {strange[0]!r}, which is not one of its shapes")
    aliases = {shape: names for shape, names in (base.aliases if base else {}).items() if shape in shapes}
    aliases.update({shape: own.texts(shape) for shape in own.data})
    names = [*shapes, *(name for others in aliases.values() for name in others)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise table.error(f"has the name {twice[0]!r} for two shapes")
    return aliases


def _shapes(table: Table, field: str, inherited: tuple[str, ...], shapes: set[str]) -> tuple[str, ...]:
    """Shapes listed in a field, else those of the base that are there."""
    if field not in table.data:
        return tuple(shape for shape in inherited if shape in shapes)
    named = table.texts(field)
    strange = sorted(set(named) - shapes)
    if strange:
        raise table.error(f"has {strange[0]!r} in {field!r}, which is not one of its shapes")
    return named


def _bones(table: Table, base: Profile | None, common: Table) -> dict[str, tuple[str, ...]]:
    """The family's own candidates before its base's, and those before everybody's."""
    own = table.table("bones") if "bones" in table.data else Table({}, table.place)
    own.only(optional=BONES)
    rest = base.bones if base else {name: common.texts(name) for name in BONES}
    return {name: tuple(dict.fromkeys((*_texts(own, name), *rest[name]))) for name in BONES}


def _angles(table: Table, base: Profile | None, common: Table) -> dict[str, float]:
    own = table.table("full_angles") if "full_angles" in table.data else Table({}, table.place)
    own.only(optional=ANGLES)
    every = common.table("full_angles")
    every.only(*ANGLES)
    rest = base.full_angles if base else {name: every.number(name, 1.0, 90.0) for name in ANGLES}
    return {name: own.number(name, 1.0, 90.0) if name in own.data else rest[name] for name in ANGLES}


@cache
def _ids() -> tuple[str, ...]:
    """The profiles in the package, the default first."""
    return tuple(sorted((path.stem for path in FOLDER.glob("*.json")), key=lambda name: (name != DEFAULT, name)))


@cache
def get(profile_id: str = DEFAULT) -> Profile:
    """The profile of that id. Raises FacescriptError (`unknown_profile`, `bad_table`)."""
    if profile_id not in _ids():
        raise FacescriptError(
            "unknown_profile", f"There is no profile {profile_id!r}.", f"Choose one of {', '.join(_ids())}."
        )
    return load(FOLDER / f"{profile_id}.json")


def every() -> tuple[Profile, ...]:
    """All profiles of the package, the default first, then by id. Raises FacescriptError (`bad_table`)."""
    return tuple(map(get, _ids()))
