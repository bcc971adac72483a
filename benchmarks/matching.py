# SPDX-License-Identifier: GPL-3.0-or-later
"""How well and how fast shape keys are matched, on lists of mangled names (`mangling`) of ARKit and of every family."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..performance import BLEND_SHAPES
from ..rig_mapping import profiles
from ..rig_mapping.matching import match
from .mangling import Mangled, lists

# The published lists of the families; the tests hold the profiles against them.
FAMILIES = Path(__file__).resolve().parents[1] / "tests" / "rig_mapping" / "families"
LISTS = 200
FAMILY_LISTS = 10


@dataclass
class Figures:
    """Rows of all lists: `wanted`, `found` of them, `false` (in `mistakes`: list, channel and key); and seconds."""

    lists: int = 0
    wanted: int = 0
    found: int = 0
    false: int = 0
    seconds: float = 0.0
    mistakes: list[tuple[str, str, str]] = field(default_factory=list)
    missed: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def recall(self) -> float:
        """Found rows of the wanted ones."""
        return self.found / self.wanted if self.wanted else 1.0

    def add(self, other: Figures) -> None:
        """Sum up."""
        for name in ("lists", "wanted", "found", "false", "seconds", "mistakes", "missed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))


def rows(names: Iterable[str]) -> set[tuple[str, str]]:
    """What is matched: (channel, key)."""
    return {(row.channel, row.key) for row in match(names).rows}


def measure(published: Sequence[str], mangled: Iterable[Mangled], never: Iterable[str] = ()) -> Figures:
    """Match mangled lists of published names, whose own rows say what is right.

    A row is false if its key stands for no published name, for one that shows other channels, or for one in `never`.
    A published name that has no row because another says the same may stand in for that one where it is missing.
    """
    right: dict[str, set[str]] = {name: set() for name in never}
    for channel, key in rows(published):
        right.setdefault(key, set()).add(channel)
    figures = Figures()
    for one in mangled:
        started = time.perf_counter()
        got = rows(one.names)
        figures.seconds += time.perf_counter() - started
        wanted = {(channel, name) for name, meant in one.truth.items() for channel in right.get(meant, ())}
        stand_ins = {row for row in got if one.truth.get(row[1], row[1]) not in right and row[1] in one.truth}
        false = got - wanted - stand_ins
        figures.lists += 1
        figures.wanted += len(wanted)
        figures.found += len(wanted & got)
        figures.false += len(false)
        figures.mistakes += [(one.how, *row) for row in sorted(false)]
        figures.missed += [(one.how, *row) for row in sorted(wanted - got)]
    return figures


def family_lists(count: int) -> Iterable[tuple[str, Figures]]:
    """The name and the figures of each published list, on `count` mangled lists of it."""
    for path in sorted(FAMILIES.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        letters = not profiles.get(data["profile"]).exact
        yield path.stem, measure(data["names"], lists(data["names"], count, letters), data.get("never", ()))


def bench_matching(count: int = LISTS, family_count: int = FAMILY_LISTS) -> dict[str, Figures]:
    """ARKit on `count` lists, every other family's published list on `family_count` of it."""
    return {"arkit": measure(BLEND_SHAPES, lists(BLEND_SHAPES, count)), **dict(family_lists(family_count))}


def run() -> list[str]:
    """Run the benchmark and print its lines."""
    results = bench_matching()
    others = Figures()
    for name, figures in results.items():
        if name != "arkit":
            others.add(figures)
    lines = ["matching: rows found of those wanted, false rows, time a list"]
    for name, f in (*results.items(), ("all but arkit", others)):
        each = 1000.0 * f.seconds / max(1, f.lists)
        lines.append(
            f"  {name:24} {f.lists:4} lists  {f.recall:7.4f} of {f.wanted:6}  {f.false:3} false  {each:6.1f} ms"
        )
    print("\n".join(lines))
    return lines
