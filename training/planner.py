# SPDX-License-Identifier: GPL-3.0-or-later
"""What the planner learns from: scripts cut into beats, with the poses that are played there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ..inference.worker import slots
from ..inference.worker.planner import Repertoire, beat_text
from ..inference.worker.slots import BINS
from ..performance import Performance
from .alignment import align
from .mirroring import mirror
from .slots import Example


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


def repertoire(performances: Sequence[Performance]) -> Repertoire:
    """All keyframes of `performances` and their mirror images, each description once."""
    moves: dict[str, torch.Tensor] = {}
    for performance in [*performances, *map(mirror, performances)]:
        steps = torch.tensor(slots.slots_of(performance.poses) * (BINS - 1)).round().to(torch.uint8)
        for keyframe, row in zip(performance.keyframes, steps, strict=True):
            moves.setdefault(" ".join(keyframe.text.split()), row)
    return Repertoire(tuple(moves), torch.stack(list(moves.values())))
