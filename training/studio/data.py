# SPDX-License-Identifier: GPL-3.0-or-later
"""A studio's performances: read strictly, each once, and parted into what trains and what measures."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...performance import FacescriptError, Performance, jsonl
from ...performance.parsing import printable
from ..corpus import ALIKE, likeness, words

# A performance in ten measures and does not train: at least and at most so many.
_SHARE, _FEWEST, _MOST = 10, 3, 200
# Fewer say nothing of a style: three of them are held out.
LEAST = 12
# Keyframes that are read together: more are asked for in parts, as `inference.worker` does.
SEQUENCE = 24
# Lines that cannot be read, and names of fields, that are told at once.
_TOLD = 10
# What is read of a line and of its keyframes.
_FIELDS, _KEYFRAME_FIELDS = {"id", "script", "background", "emotion", "keyframes"}, {"t", "text", "pose"}


@dataclass(frozen=True)
class Data:
    """What was read: `train` and `held` (held out) share no script. `doubles` is how many were there twice,
    `left_out` how many do not train because their script is nearly one that is held out, and `remarks` are what may be
    amiss with the lines, in sentences."""

    train: tuple[Performance, ...]
    held: tuple[Performance, ...]
    doubles: int = 0
    left_out: int = 0
    remarks: tuple[str, ...] = ()

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
    """Read files of JSON lines, and all that are in folders and below. Raises FacescriptError with the files and the
    lines of what cannot be read, and `little_data` if there are fewer than `LEAST` performances."""
    seen: set[str] = set()
    found: list[Performance] = []
    unknown: Counter[str] = Counter()
    count = 0
    for entry, performance in _lines(paths):
        count += 1
        what = _identity(performance)
        if what not in seen:
            seen.add(what)
            found.append(performance)
            unknown.update(sorted(_unknown(entry)))
    if len(found) < LEAST:
        raise FacescriptError(
            "little_data",
            f"There are {len(found)} different performances; an adapter needs {LEAST} at least.",
            "Add more: some hundred are a good beginning.",
        )
    return replace(split(found, seed, count - len(found)), remarks=tuple(_remarks(found, unknown)))


def _lines(paths: Sequence[Path]) -> Iterator[tuple[Mapping[str, object], Performance]]:
    wrong: list[FacescriptError] = []
    for path in _files(paths):
        for found in jsonl.try_described(path):
            if not isinstance(found, FacescriptError):
                yield found
            elif len(wrong) <= _TOLD:
                wrong.append(found)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        first = f" (the first {_TOLD} of them)" if len(wrong) > _TOLD else ""
        told = "\n".join(error.message for error in wrong[:_TOLD])
        raise FacescriptError(wrong[0].code, f"Lines that cannot be read{first}:\n{told}\n", "Correct these lines.")


def _unknown(entry: Mapping[str, object]) -> set[str]:
    """Names of fields that are not read, such as misspelt ones."""
    rows = entry.get("keyframes")
    inner = {str(name) for row in (rows if isinstance(rows, list) else ()) for name in row}
    return (entry.keys() - _FIELDS) | {f"keyframes: {name}" for name in inner - _KEYFRAME_FIELDS}


def _remarks(found: Sequence[Performance], unknown: Counter[str]) -> Iterator[str]:
    texts = ("script", "background", "emotion")
    missing = {name: sum(not getattr(performance.brief, name).strip() for performance in found) for name in texts}
    none = [f"{count} have no {name}" for name, count in missing.items() if count]
    if none:
        yield f"Of {len(found)} different performances, {', '.join(none)}."
    if unknown:
        named = [f"{printable(name[:40])!r} in {count}" for name, count in unknown.most_common(_TOLD)]
        yield f"Fields that are not known and not read: {', '.join(named)}. Are they misspelt?"


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
        inside = sorted(path.rglob("*.jsonl"))
        if not inside:
            raise FacescriptError("no_file", f"{path} holds no *.jsonl files.", "Name the folder of your performances.")
        yield from inside
