# SPDX-License-Identifier: GPL-3.0-or-later
"""Transition styles, read from `styles.json`: how long a change takes, how it eases, which region goes first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from ..performance import REGIONS, FacescriptError
from .tables import Table

FILE = Path(__file__).with_name("styles.json")
DEFAULT = "natural"


@dataclass(frozen=True)
class Timing:
    """One region's transition: `length` in seconds (None: the whole way from beat to beat), and `lead`, how many
    seconds before the beat it is over."""

    length: float | None
    lead: float


@dataclass(frozen=True)
class Style:
    """A transition style.

    `interpolation` is BEZIER or LINEAR. `leave` and `arrive` are the lengths of the two horizontal Bezier
    handles of a transition as fractions of it, in (0, 1]: longer is gentler. `final_hold` in seconds.
    """

    id: str
    label: str
    description: str
    interpolation: str
    leave: float
    arrive: float
    final_hold: float
    regions: Mapping[str, Timing]


def _read(table: Table, name: str) -> Style:
    table.only("label", "description", "interpolation", "leave", "arrive", "final_hold", "regions")
    interpolation = table.text("interpolation")
    if interpolation not in ("BEZIER", "LINEAR"):
        raise table.error(f"has {interpolation!r} in 'interpolation', not BEZIER or LINEAR")
    regions = table.table("regions")
    regions.only(*REGIONS)
    timings: dict[str, Timing] = {}
    for region in REGIONS:
        row = regions.table(region)
        row.only("length", "lead")
        length = None if row.data["length"] is None else row.number("length", 0.0, 10.0)
        timings[region] = Timing(length, row.number("lead", 0.0, 2.0))
    if timings["jaw"] != timings["mouth"]:
        # mouthClose is only right together with jawOpen: apart in time, closed lips would open on the way.
        raise regions.error("has other times for 'jaw' than for 'mouth'")
    return Style(
        id=name,
        label=table.text("label"),
        description=table.text("description"),
        interpolation=interpolation,
        leave=table.number("leave", 0.01, 1.0),
        arrive=table.number("arrive", 0.01, 1.0),
        final_hold=table.number("final_hold", 0.0, 60.0),
        regions=MappingProxyType(timings),
    )


def load(path: Path) -> Mapping[str, Style]:
    """Read a file of styles. Raises FacescriptError (`bad_table`) that names the file and the place."""
    table = Table.load(path)
    return MappingProxyType({name: _read(table.table(name), name) for name in table.data})


@cache
def styles() -> Mapping[str, Style]:
    """The styles that come with the extension, by id, in the order of menus."""
    return load(FILE)


def get(name: str = DEFAULT) -> Style:
    """The style of that id. Raises FacescriptError (`unknown_style`)."""
    known = styles()
    if name not in known:
        raise FacescriptError("unknown_style", f"There is no style {name!r}.", f"Choose one of {', '.join(known)}.")
    return known[name]
