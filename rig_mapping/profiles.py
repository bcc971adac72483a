# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles: tables from channels to a rig family's shape keys and bones, read from `profiles/*.json`.

A channel has one or several rows (shape, gain): the shape key's value is the sum, over the channels that name
it, of gain x coefficient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from ..performance import BLEND_SHAPES, FacescriptError
from .tables import Table

FOLDER = Path(__file__).with_name("profiles")
DEFAULT = "arkit"


@dataclass(frozen=True)
class Shape:
    """One row: the shape key's canonical camelCase name and the gain on the coefficient, in [-100, 100]."""

    name: str
    gain: float


@dataclass(frozen=True)
class Profile:
    """A rig family.

    `full_angles` in degrees for a coefficient of 1 (`head`, `eye`); `bones` are name candidates, best first
    (`head`, `left_eye`, `right_eye`); `splits` are channels without a side that a rig may split into a left
    and a right key; `directions` are channels whose Left or Right is a direction, not a side; `prefixes` and
    `decoys` are words before a name that are known to be harmless or to mean another shape.
    """

    id: str
    name: str
    source: str
    full_angles: Mapping[str, float]
    prefixes: tuple[str, ...]
    decoys: tuple[str, ...]
    splits: tuple[str, ...]
    directions: tuple[str, ...]
    bones: Mapping[str, tuple[str, ...]]
    channels: Mapping[str, tuple[Shape, ...]]

    @property
    def shapes(self) -> tuple[str, ...]:
        """Every shape that is named, once, in order."""
        return tuple(dict.fromkeys(shape.name for rows in self.channels.values() for shape in rows))


def load(path: Path) -> Profile:
    """Read one profile file. Raises FacescriptError (`bad_table`) that names the file and the place."""
    table = Table.load(path)
    table.only(*Profile.__dataclass_fields__)
    angles = table.table("full_angles")
    angles.only("head", "eye")
    bones = table.table("bones")
    bones.only("head", "left_eye", "right_eye")
    channels = table.table("channels")
    unknown = sorted(set(channels.data) - set(BLEND_SHAPES))
    if unknown:
        raise channels.error(f"has an unknown channel {unknown[0]!r}")
    if not channels.data:
        raise channels.error("has no channel")
    rows: dict[str, tuple[Shape, ...]] = {}
    for channel in channels.data:
        shapes = []
        for row in channels.rows(channel):
            row.only("shape", "gain")
            shapes.append(Shape(row.text("shape"), row.number("gain", -100.0, 100.0)))
        rows[channel] = tuple(shapes)
    profile = Profile(
        id=table.text("id"),
        name=table.text("name"),
        source=table.text("source"),
        full_angles=MappingProxyType({name: angles.number(name, 1.0, 90.0) for name in ("head", "eye")}),
        prefixes=table.texts("prefixes"),
        decoys=table.texts("decoys"),
        splits=table.texts("splits"),
        directions=table.texts("directions"),
        bones=MappingProxyType({name: bones.texts(name) for name in bones.data}),
        channels=MappingProxyType(rows),
    )
    for field, names in (("splits", profile.splits), ("directions", profile.directions)):
        strange = sorted(set(names) - set(profile.shapes))
        if strange:
            raise table.error(f"has {strange[0]!r} in {field!r}, which is not one of its shapes")
    return profile


@cache
def get(profile_id: str = DEFAULT) -> Profile:
    """The profile of that id. Raises FacescriptError (`unknown_profile`, `bad_table`)."""
    names = sorted(path.stem for path in FOLDER.glob("*.json"))
    if profile_id not in names:
        raise FacescriptError(
            "unknown_profile", f"There is no profile {profile_id!r}.", f"Choose one of {', '.join(names)}."
        )
    return load(FOLDER / f"{profile_id}.json")
