# SPDX-License-Identifier: GPL-3.0-or-later
"""Any causal language model in a folder on this machine, with the skeleton decoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...performance import NEUTRAL, Brief, Pose
from .. import prompts
from ..examples import Examples
from .asks import Ask
from .descriptions import LineWriter
from .local_model import LocalModel
from .prompted import Check, Near, PromptedModel, worked_pose
from .skeleton import SkeletonDecoder

# A small model that only copies an example loses its place among the many zeros by the end of an answer, where the
# head's angles are; a wrong head is a broken neck. So they stay this near to the example's.
_ANGLE_REACH = 0.2


class LocalBackend(PromptedModel):
    """A causal language model on this machine, with the skeleton decoder.

    `trained` tells that the model's adapter was trained on KeyframeFace's request; any other model is shown
    worked examples chosen by likeness.
    """

    # Rows written at once: each holds a copy of the scene's cache (some 20 MB with the smallest model).
    batch = 16

    def __init__(self, local: LocalModel, examples: Examples, *, trained: bool) -> None:
        super().__init__(examples)
        self._local = local
        self._trained = trained
        self._decoder = SkeletonDecoder(local)
        self._writer = LineWriter(local)
        self._draft = NEUTRAL

    @property
    def label(self) -> str:
        """The model's folder name and its quantization."""
        return f"{self._local.folder.name} ({self._local.quantization})"

    def begin(self) -> None:
        """A cache of an earlier request would save little, and in 16 bits it makes another rounding."""
        self._writer.forget()
        self._decoder.forget()
        self._draft = NEUTRAL

    def write(self, scene: str, asks: Sequence[Ask], seed: int, check: Check) -> Iterator[tuple[int, str]]:
        """All lines in one batch of the model."""
        return self._writer.write(scene, [prompts.planner_moment(ask.words) for ask in asks], seed, check)

    def answer(self, brief: Brief, descriptions: Sequence[str], place: int, near: Near, check: Check) -> Pose:
        """The values of the answer's channels, decoded one after another."""
        if self._trained:
            near = ()
        for _, keyframe in near:
            self._draft = keyframe.pose
        messages = prompts.poser_messages(descriptions, brief.background, brief.emotion, place, worked_pose(near))
        reach = None if self._trained else _ANGLE_REACH
        self._draft = self._decoder.decode(messages, place, self._draft, check, reach)
        return self._draft
