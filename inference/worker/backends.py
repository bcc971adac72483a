# SPDX-License-Identifier: GPL-3.0-or-later
"""What turns words into descriptions and poses: one interface, a class a kind of model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ...performance import NEUTRAL, Brief, FacescriptError, Performance, Pose
from .. import prompts
from ..examples import Examples
from ..options import BACKENDS, EMBEDDED_MODEL, ModelOptions
from ..script_text import is_face_description
from . import adapter as adapters
from . import quantization
from .asks import Ask, Takes
from .descriptions import LineWriter, repeats_itself
from .embedded import EmbeddedBackend
from .local_model import LocalModel, load
from .skeleton import SkeletonDecoder

Check = Callable[[], None]

# The adapter that is trained for the embedded model and shipped in the package, once it is there.
EMBEDDED_ADAPTER = Path(__file__).parent.parent / "adapter"


class Backend(Protocol):
    """A model that plans and poses. `check` is called between steps and may raise to cancel."""

    @property
    def label(self) -> str:
        """The model and its quantization, for people."""

    def describe(self, brief: Brief, asks: Sequence[Ask], seed: int, check: Check) -> Iterator[tuple[int, str]]:
        """Yield (number of the beat asked for, what the face visibly does then) as they are finished, in any order."""

    def pose(self, brief: Brief, descriptions: Sequence[str], check: Check) -> Iterator[Pose]:
        """Yield one pose for each description, in order."""

    def pose_at(self, brief: Brief, descriptions: Sequence[str], at: Sequence[int], check: Check) -> Iterator[Pose]:
        """Yield the poses of the descriptions at places `at`, each read among its neighbours."""

    def others(self, brief: Brief, asks: Sequence[Ask], number: int, wanted: Takes, check: Check) -> list[str]:
        """Takes of the beat asked for at `number`."""

    def near(self, brief: Brief, text: str, wanted: Takes, check: Check) -> list[str]:
        """Descriptions of faces like that of the description `text`."""


@dataclass(frozen=True)
class _Likeness:
    """How many worked examples a prompt shows."""

    poses: int
    performances: int


# Rows written at once: each holds a copy of the scene's cache (some 20 MB with the smallest model).
_BATCH = 16
# Characters of a script, or of one moment, that the planner's prompt shows; about 500 tokens.
_SCENE = 2000
# Descriptions in one request: what a model reads has an end, and KeyframeFace's sequences are shorter.
_SEQUENCE = 24

# Descriptions of the corpus, most alike first, for where a model writes the same one again.
_SPARE = 40

# One example keeps a pose's prompt near 800 tokens; a second one made the smallest model no better.
_PROMPTED = _Likeness(poses=1, performances=3)


# A small model that only copies an example loses its place among the many zeros by the end of an answer, where the
# head's angles are; a wrong head is a broken neck. So they stay this near to the example's.
_ANGLE_REACH = 0.2


class LocalBackend:
    """A causal language model on this machine, with the skeleton decoder.

    `trained` tells that the model's adapter was trained on KeyframeFace's request; any other model is shown
    worked examples chosen by likeness.
    """

    def __init__(self, local: LocalModel, examples: Examples, *, trained: bool) -> None:
        self._local = local
        self._examples = examples
        self._trained = trained
        self._decoder = SkeletonDecoder(local)
        self._writer = LineWriter(local)

    @property
    def label(self) -> str:
        """The model's folder name and its quantization."""
        return f"{self._local.folder.name} ({self._local.quantization})"

    def describe(self, brief: Brief, asks: Sequence[Ask], seed: int, check: Check) -> Iterator[tuple[int, str]]:
        """Write descriptions in batches, after examples of performances with a similar script and emotion."""
        self._writer.forget()
        alike = self._examples.performances_like(brief.script, brief.emotion, _PROMPTED.performances)
        worked = [(p.brief.script, p.brief.background, p.brief.emotion, _rows(p)) for p in reversed(alike)]
        prefix = prompts.planner_prefix(worked)
        spare = [k.text for p in alike for k in p.keyframes]
        for start in range(0, len(asks), _BATCH):
            batch = [ask.words for ask in asks[start : start + _BATCH]]
            # Of a long script, what this batch is about.
            script = brief.script if len(brief.script) <= _SCENE else " ".join(batch)[:_SCENE]
            scene = prefix + prompts.planner_scene(script, brief.background, brief.emotion)
            asked = [prompts.planner_moment(moment[:_SCENE]) for moment in batch]
            for number, line in self._writer.write(scene, asked, seed + start, check):
                number += start
                sound = is_face_description(line) and not repeats_itself(line)
                yield number, line if sound else spare[number % len(spare)] if spare else line

    def pose(self, brief: Brief, descriptions: Sequence[str], check: Check) -> Iterator[Pose]:
        """One request a keyframe, each with the whole sequence (of a long one, its part), as KeyframeFace asks."""
        return self.pose_at(brief, descriptions, range(len(descriptions)), check)

    def pose_at(self, brief: Brief, descriptions: Sequence[str], at: Sequence[int], check: Check) -> Iterator[Pose]:
        """As `pose`, only those: reading the sequence is little beside writing one pose."""
        # A cache of an earlier request would save little, and in 16 bits it makes another rounding.
        self._decoder.forget()
        draft = NEUTRAL
        for index in at:
            text = descriptions[index]
            worked = []
            if not self._trained:
                for performance, keyframe in self._examples.keyframes_like(text, _PROMPTED.poses):
                    like = performance.brief
                    worked.append((keyframe.text, like.background, like.emotion, keyframe.pose))
                    draft = keyframe.pose
            first = index - index % _SEQUENCE
            part, place = descriptions[first : first + _SEQUENCE], index - first
            messages = prompts.poser_messages(part, brief.background, brief.emotion, place, worked)
            reach = None if self._trained else _ANGLE_REACH
            draft = self._decoder.decode(messages, place, draft, check, reach)
            yield draft

    def others(self, brief: Brief, asks: Sequence[Ask], number: int, wanted: Takes, check: Check) -> list[str]:
        """Write the one description many times; what is too like what is there comes from the examples instead."""
        ask = asks[number]
        found: list[str] = []
        written = self.describe(brief, [ask] * wanted.count, wanted.seed, check)
        likely = [text for _, text in sorted(written)]
        spare = [keyframe.text for _, keyframe in self._examples.keyframes_like(ask.words, _SPARE)]
        spare += [keyframe.text for _, keyframe in self._examples.keyframes_like(brief.emotion, _SPARE)]
        for text in (*likely, *spare):
            if text not in wanted.taken and text not in found:
                found.append(text)
        return found[: wanted.count]

    def near(self, brief: Brief, text: str, wanted: Takes, check: Check) -> list[str]:
        """What the model writes for a moment that is told by its face."""
        return self.others(brief, [Ask(text)], 0, wanted, check)


def _rows(performance: Performance) -> list[tuple[str, str]]:
    # Examples do not say which words a keyframe belongs to; they are shared out by time.
    words = performance.brief.script.split()
    times = [keyframe.time for keyframe in performance.keyframes]
    end = times[-1] + (times[-1] / (len(times) - 1) if len(times) > 1 else 1.0)
    cuts = [round(len(words) * time / end) for time in (*times, end)]
    return [
        (" ".join(words[begin:until]), keyframe.text)
        for begin, until, keyframe in zip(cuts, cuts[1:], performance.keyframes, strict=False)
    ]


def make(options: ModelOptions, models: Path) -> Backend:
    """Load the backend that `options` ask for. `models` is the runtime's folder of converted models."""
    chosen = quantization.resolve(options.quantization, models)
    if options.backend == "embedded":
        local = load(models / EMBEDDED_MODEL, chosen)
        if (EMBEDDED_ADAPTER / adapters.MANIFEST).is_file():
            return EmbeddedBackend(local, EMBEDDED_ADAPTER)
        return LocalBackend(local, Examples.load(), trained=False)
    if options.backend == "local":
        if not options.model:
            raise FacescriptError("no_model", "No model folder was given.", "Choose the folder of a local model.")
        adapter = Path(options.adapter) if options.adapter else None
        local = load(Path(options.model), chosen, adapter)
        return LocalBackend(local, Examples.load(), trained=adapter is not None)
    raise FacescriptError(
        "bad_option", f"There is no backend {options.backend!r}.", f"Choose one of: {', '.join(BACKENDS)}."
    )
