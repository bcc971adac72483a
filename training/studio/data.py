# SPDX-License-Identifier: GPL-3.0-or-later
"""A studio's performances: read strictly, each once, and parted into what trains and what measures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...performance import FacescriptError, Performance, jsonl
from ..corpus import ALIKE, likeness, words

# A performance in ten measures and does not train: at least and at most so many.
_SHARE, _FEWEST, _MOST = 10, 3, 200
# Fewer say nothing of a style: three of them are held out.
LEAST = 12
# Keyframes that are read together: more are asked for in parts, as `inference.worker` does.
SEQUENCE = 24


@dataclass(frozen=True)
class Data:
    """What was read: `train` and `held` (held out) share no script. `doubles` is how many were there twice, and
    `left_out` how many do not train because their script is nearly one that is held out."""

    train: tuple[Performance, ...]
    held: tuple[Performance, ...]
    doubles: int = 0
    left_out: int = 0

    @property
    def keyframes(self) -> int:
        """Poses to train on."""
        return sum(len(performance.keyframes) for performance in self.train)

    @property
    def digest(self) -> str:
        """The same for the same performances in the same parts."""
        parts = [[jsonl.performance_to_dict(p) for p in part] for part in (self.train, self.held)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def read(paths: Sequence[Path], seed: int) -> Data:
    """Read files of JSON lines, and all that are in folders. Raises FacescriptError with the file and the line of what
    cannot be read, and `little_data` if there are fewer than `LEAST` performances."""
    seen: set[str] = set()
    found: list[Performance] = []
    count = 0
    for path in _files(paths):
        for performance in jsonl.read_described(path):
            count += 1
            what = _identity(performance)
            if what not in seen:
                seen.add(what)
                found.append(performance)
    if len(found) < LEAST:
        raise FacescriptError(
            "little_data",
            f"There are {len(found)} different performances; an adapter needs {LEAST} at least.",
            "Add more: some hundred are a good beginning.",
        )
    return split(found, seed, count - len(found))


def split(performances: Sequence[Performance], seed: int, doubles: int = 0) -> Data:
    """Hold a tenth out, drawn by each performance's own digest: what is added later moves few from part to part."""
    drawn = [hashlib.sha256(f"{seed} {_identity(p)}".encode()).digest() for p in performances]
    order = sorted(range(len(performances)), key=drawn.__getitem__)
    measuring = frozenset(order[: min(_MOST, max(_FEWEST, len(order) // _SHARE))])
    held = [p for number, p in enumerate(performances) if number in measuring]
    rest = [p for number, p in enumerate(performances) if number not in measuring]
    known = [words(p.brief.script) for p in held if p.brief.script.strip()]
    train = [p for p in rest if not any(likeness(words(p.brief.script), other) >= ALIKE for other in known)]
    if len(train) < LEAST - _FEWEST:
        raise FacescriptError(
            "little_data",
            f"Only {len(train)} performances are left to train on: the scripts of {len(rest) - len(train)} are nearly "
            "those of the performances that are held out to measure with.",
            "Add performances of other scripts.",
        )
    return Data(tuple(train), tuple(held), doubles, len(rest) - len(train))


def in_parts(performances: Sequence[Performance]) -> list[Performance]:
    """Performances of at most `SEQUENCE` keyframes each: longer ones are cut, as models are asked for them."""
    found = []
    for performance in performances:
        for start in range(0, len(performance.keyframes), SEQUENCE):
            found.append(replace(performance, keyframes=performance.keyframes[start : start + SEQUENCE]))
    return found


def _identity(performance: Performance) -> str:
    """What makes a performance another one: all but its id."""
    return json.dumps(jsonl.performance_to_dict(performance) | {"id": ""}, sort_keys=True)


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        inside = sorted(path.glob("*.jsonl"))
        if not inside:
            raise FacescriptError("no_file", f"{path} holds no *.jsonl files.", "Name the folder of your performances.")
        yield from inside
