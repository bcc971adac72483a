# SPDX-License-Identifier: GPL-3.0-or-later
"""What the planner learns from: scripts cut into beats, with the poses that are played there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ..inference.worker import slots
from ..inference.worker.planner import Repertoire, beat_text
from ..inference.worker.slots import BINS, SLOTS
from ..performance import Performance
from ..performance.mirroring import mirror
from .alignment import align
from .slots import Example


def _side_of(name: str) -> float:
    if name.startswith("head"):
        return 0.2 if name.endswith("Left") else 0.0
    if name.startswith(("eyeLookOut", "eyeLookIn")):
        return 0.1 if name in ("eyeLookOutLeft", "eyeLookInRight") else 0.0
    return 1.0 if name.endswith("Left") else 0.0


def examples(tokenizer: Any, performances: Sequence[Performance]) -> list[Example]:
    """Each performance as the planner reads it: the words of a keyframe's moment where the poser has a description."""
    found = []
    for performance in performances:
        texts, poses = [], []
        for moment in align(performance):
            for part, keyframe in enumerate(moment.keyframes):
                texts.append(beat_text(moment.words, part, len(moment.keyframes)))
                poses.append(keyframe)
        brief = performance.brief
        reading = slots.reading(tokenizer, brief.background, brief.emotion, texts)
        found.append(Example(reading, torch.tensor(slots.slots_of(performance.poses[poses]), dtype=torch.float32)))
    return found


def one_way(performances: Sequence[Performance], mirrored: Sequence[Performance]) -> list[int]:
    """Which of `performances` and then `mirrored` to train on: one of each pair, and both if their words name a side.

    A smirk is on either side, and the mean of both is no smirk: of what may be mirrored the planner learns the one
    that does more on the face's left.
    """
    found = []
    for number, (one, other) in enumerate(zip(performances, mirrored, strict=True)):
        there = number + len(performances)
        if one.brief != other.brief:
            found += [number, there]
        else:
            found.append(number if _leaning(one) >= _leaning(other) else there)
    return found


def _leaning(performance: Performance) -> float:
    """How much more is done on the left, or towards it; what the eyes and the head do counts less."""
    strengths = slots.slots_of(performance.poses)
    return float(((strengths - strengths[:, slots.SLOT_MIRROR]) @ _LEFT).sum())


# Gaze and head turn to a side more often than a face is uneven, and mean less by it.
_LEFT = np.array([_side_of(name) for name in SLOTS])


def repertoire(performances: Sequence[Performance]) -> Repertoire:
    """All keyframes of `performances` and their mirror images, each description once."""
    moves: dict[str, torch.Tensor] = {}
    for performance in [*performances, *map(mirror, performances)]:
        steps = torch.tensor(slots.slots_of(performance.poses) * (BINS - 1)).round().to(torch.uint8)
        for keyframe, row in zip(performance.keyframes, steps, strict=True):
            moves.setdefault(" ".join(keyframe.text.split()), row)
    return Repertoire(tuple(moves), torch.stack(list(moves.values())))


def extended(known: Repertoire, performances: Sequence[Performance]) -> Repertoire:
    """A repertoire with all keyframes of `performances` beside its own; of the same description theirs counts."""
    added = repertoire(performances)
    moves = dict(zip(known.texts, known.moves, strict=True)) | dict(zip(added.texts, added.moves, strict=True))
    return Repertoire(tuple(moves), torch.stack(list(moves.values())))
