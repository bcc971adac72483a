# SPDX-License-Identifier: GPL-3.0-or-later
"""Any causal language model in a folder on this machine, with the skeleton decoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...performance import NEUTRAL, Brief, Pose
from .. import prompts
from ..examples import Examples
from .asks import Ask
from .descriptions import LineWriter
from .local_model import LocalModel
from .prompted import Check, PoseAsk, PromptedModel
from .skeleton import Request, SkeletonDecoder

# A small model that only copies an example loses its place among the many zeros by the end of an answer, where the
# head's angles are; a wrong head is a broken neck. So they stay this near to the example's.
_ANGLE_REACH = 0.2


class LocalBackend(PromptedModel):
    """A causal language model on this machine, with the skeleton decoder.

    `trained` tells that the model's adapter was trained on KeyframeFace's request; any other model is shown
    worked examples chosen by likeness. `decoding` is one of `options.DECODINGS`.
    """

    # Lines asked for at once. How many of them are written side by side is as memory allows.
    batch = 16

    def __init__(self, local: LocalModel, examples: Examples, *, trained: bool, decoding: str = "greedy") -> None:
        super().__init__(examples)
        self._local = local
        self._trained = trained
        self._decoder = SkeletonDecoder(local, decoding)
        self._writer = LineWriter(local)
        self._at_once: bool | None = None

    @property
    def label(self) -> str:
        """The model's folder name and its quantization."""
        return f"{self._local.name} ({self._local.quantization})"

    def begin(self) -> None:
        """A cache of an earlier request would save little, and in 16 bits it makes another rounding."""
        self._writer.forget()
        self._decoder.forget()

    def write(self, scene: str, asks: Sequence[Ask], seed: int, check: Check) -> Iterator[tuple[int, str]]:
        """Lines side by side by the model, without its adapter: that was trained to write poses, not lines."""
        with self._local.without_adapter():
            yield from self._writer.write(scene, [prompts.planner_moment(ask.words) for ask in asks], seed, check)

    def sequence(self, brief: Brief, descriptions: Sequence[str]) -> int:
        """All of them for a model that was trained on KeyframeFace's request, if it can read so much."""
        whole = PoseAsk(descriptions, len(descriptions) - 1, ()).messages(brief)
        if self._trained and self._decoder.has_room(whole):
            return len(descriptions)
        return super().sequence(brief, descriptions)

    def answers(self, brief: Brief, asks: Sequence[PoseAsk], check: Check) -> Iterator[Pose]:
        """The values of the answers' channels, several keyframes side by side."""
        reach = None if self._trained else _ANGLE_REACH
        requests = [
            Request(
                ask.messages(brief, worked=not self._trained),
                ask.place,
                # What the corpus has for words like these: near enough to save most steps.
                ask.near[0][1].pose if ask.near else NEUTRAL,
                reach,
            )
            for ask in asks
        ]
        if self._trained and requests:
            # KeyframeFace's own script leaves the form as it is; what its adapter then writes first is not published.
            if self._at_once is None:
                self._at_once = self._decoder.answers_at_once(requests[0])
            requests = [replace(request, thinking=self._at_once) for request in requests]
        rows = self._local.rows
        for start in range(0, len(requests), rows):
            for pose in self._decoder.decode(requests[start : start + rows], check):
                # Of a small negative angle, models write the sign of the number that it was rounded from.
                yield Pose(pose.values + 0.0)
