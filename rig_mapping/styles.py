# SPDX-License-Identifier: GPL-3.0-or-later
"""Transition styles, read from `styles.json`: how a change comes, how its pose is held, which region goes first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType

from ..performance import REGIONS, FacescriptError
from .tables import Table

FILE = Path(__file__).with_name("styles.json")
DEFAULT = "natural"


# The limits of what a style, a file or an animator may say: seconds, shares, and factors on a style's own times.
MAX_HOLD = 10.0
MAX_LEAD = 2.0
MAX_OVERSHOOT = 0.5
ATTACK_FACTORS = (0.25, 4.0)
LEAD_FACTORS = (0.0, 3.0)


@dataclass(frozen=True)
class Timing:
    """One region's transition.

    `attack`: seconds that a change takes (None: all the time from beat to beat); `lead`: how many seconds before
    the beat it is over; `overshoot`: by which share of itself it goes too far, before it settles.
    """

    attack: float | None
    lead: float
    overshoot: float = 0.0


@dataclass(frozen=True)
class Style:
    """A transition style.

    `interpolation` is BEZIER or LINEAR. `leave` and `arrive` are the lengths of the two horizontal Bezier
    handles of a transition as fractions of it, in (0, 1]: longer is gentler. `hold`: seconds that a beat's pose
    is held in full; `release`: the share, 0..1, by which it then relaxes towards the neutral face in a second of
    rest (less in a shorter one, no more in a longer one); `settle`: seconds in which an overshoot comes back.
    `final_hold`: seconds of the last beat's pose.
    """

    id: str
    label: str
    description: str
    interpolation: str
    leave: float
    arrive: float
    hold: float
    release: float
    settle: float
    final_hold: float
    regions: Mapping[str, Timing]


def _read(table: Table, name: str) -> Style:
    numbers = ("leave", "arrive", "hold", "release", "settle", "final_hold")
    table.only("label", "description", "interpolation", *numbers, "regions")
    interpolation = table.text("interpolation")
    if interpolation not in ("BEZIER", "LINEAR"):
        raise table.error(f"has {interpolation!r} in 'interpolation', not BEZIER or LINEAR")
    regions = table.table("regions")
    regions.only(*REGIONS)
    timings: dict[str, Timing] = {}
    for region in REGIONS:
        row = regions.table(region)
        row.only("attack", "lead", "overshoot")
        attack = None if row.data["attack"] is None else row.number("attack", 0.0, 10.0)
        lead, overshoot = row.number("lead", 0.0, MAX_LEAD), row.number("overshoot", 0.0, MAX_OVERSHOOT)
        timings[region] = Timing(attack, lead, overshoot)
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
        hold=table.number("hold", 0.0, MAX_HOLD),
        release=table.number("release", 0.0, 1.0),
        settle=table.number("settle", 0.0, 2.0),
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


def adjusted(
    style: Style,
    *,
    attack: float = 1.0,
    hold: float | None = None,
    release: float | None = None,
    overshoot: float | None = None,
    leads: float | Mapping[str, float] = 1.0,
) -> Style:
    """The style with an animator's own settings on top; what is None stays the style's.

    `attack`: a factor on how long changes take, 0.25..4. `hold` in seconds, 0..10; `release`, 0..1, and
    `overshoot`, 0..0.5, are shares, the latter for every region. `leads`: a factor on all leads, 0..3, or seconds
    by region, 0..2: a region that is not named keeps its own, and the jaw goes with the mouth.
    Raises FacescriptError (`bad_setting`) for a number outside its limits or an unknown region.
    """
    factor = 1.0 if isinstance(leads, Mapping) else _within("leads", leads, *LEAD_FACTORS)
    own = {region: _within(f"lead of {region}", lead, 0.0, MAX_LEAD) for region, lead in _by_region(leads).items()}
    stretch = _within("attack", attack, *ATTACK_FACTORS)
    share = None if overshoot is None else _within("overshoot", overshoot, 0.0, MAX_OVERSHOOT)
    timings = {
        region: Timing(
            None if timing.attack is None else timing.attack * stretch,
            own.get(region, min(timing.lead * factor, MAX_LEAD)),
            timing.overshoot if share is None else share,
        )
        for region, timing in style.regions.items()
    }
    return replace(
        style,
        hold=style.hold if hold is None else _within("hold", hold, 0.0, MAX_HOLD),
        release=style.release if release is None else _within("release", release, 0.0, 1.0),
        regions=MappingProxyType(timings),
    )


def _by_region(leads: float | Mapping[str, float]) -> dict[str, float]:
    given = dict(leads) if isinstance(leads, Mapping) else {}
    for region in given:
        if region not in REGIONS:
            raise FacescriptError("bad_setting", f"There is no region {region!r}.", f"Use {', '.join(REGIONS)}.")
    if "mouth" in given:
        given["jaw"] = given["mouth"]
    elif "jaw" in given:
        given["mouth"] = given["jaw"]
    return given


def _within(name: str, value: float, low: float, high: float) -> float:
    if not low <= value <= high:  # which is not so for NaN either
        raise FacescriptError("bad_setting", f"The {name} is {value:g}.", f"Use a number from {low:g} to {high:g}.")
    return float(value)
