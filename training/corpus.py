# SPDX-License-Identifier: GPL-3.0-or-later
"""The corpus: hand-written performances, in three parts that share no entry and no near-duplicate.

They are in `inference/data/performances`, since they are shipped as the planner's examples too: 1,480 in
`first.jsonl`, and what was written later. `training/splits.json` names the entries of the development and the test
part by id. Both were drawn from the first 1,480, from every theme alike and before anything was added. All others
train, but for those whose script is nearly one of a held-out entry.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from ..inference.examples import DATA
from ..performance import Performance
from ..performance.jsonl import read_performances

HERE = Path(__file__).parent
FIRST = DATA / "first.jsonl"
SPLITS = HERE / "splits.json"

# Two scripts that share this much of their words are one situation told twice.
ALIKE = 0.65


@dataclass(frozen=True)
class Corpus:
    """The three parts, each in the files' order, and what was left out of training as too like a held-out entry."""

    train: tuple[Performance, ...]
    dev: tuple[Performance, ...]
    test: tuple[Performance, ...]
    left_out: tuple[str, ...]


def load() -> Corpus:
    """Read all files and part them."""
    named = json.loads(SPLITS.read_text(encoding="utf-8"))
    held = {entry: name for name in ("dev", "test") for entry in named[name]}
    parts: dict[str, list[Performance]] = {"train": [], "dev": [], "test": []}
    for path in (FIRST, *sorted(path for path in DATA.glob("*.jsonl") if path != FIRST)):
        for performance in read_performances(path):
            parts[held.get(performance.brief.id, "train")].append(performance)
    known = [words(p.brief.script) for p in (*parts["dev"], *parts["test"])]
    twins = {id(p) for p in parts["train"] if any(likeness(words(p.brief.script), other) >= ALIKE for other in known)}
    return Corpus(
        tuple(p for p in parts["train"] if id(p) not in twins),
        tuple(parts["dev"]),
        tuple(parts["test"]),
        tuple(p.brief.id for p in parts["train"] if id(p) in twins),
    )


def theme(performance: Performance) -> str:
    """What a performance is about, as its id begins: `rom-032` -> `rom`."""
    return performance.brief.id.partition("-")[0]


def words(text: str) -> frozenset[str]:
    """A text's words, for comparing."""
    return frozenset(re.findall(r"\w+", text.lower()))


def likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """The share of two texts' words that both have, from 0 to 1 (Jaccard's index)."""
    return len(one & other) / max(1, len(one | other))
