# SPDX-License-Identifier: GPL-3.0-or-later
"""What every language model that was not trained here is asked in the same way, whatever runs it.

Worked examples are chosen by likeness, a long script is read in parts, and a line that does not describe a face gives
way to one of the corpus. A class for one kind of model says how it writes lines and how it answers for a pose.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ...performance import Brief, Keyframe, Performance, Pose
from .. import prompts
from ..examples import Examples
from ..scripts.text import is_face_description
from .asks import Ask, Takes

Check = Callable[[], None]

# Performances that a planner's prompt shows.
_PERFORMANCES = 3
# Characters of a script, or of one moment, that the planner's prompt shows; about 500 tokens.
_SCENE = 2000
# Descriptions in one request: what a model reads has an end, and KeyframeFace's sequences are shorter.
_SEQUENCE = 24

# Descriptions of the corpus, most alike first, for where a model writes the same one again.
_SPARE = 40

# One example keeps a pose's prompt near 800 tokens; a second one made the smallest model no better.
_POSES = 1

Near = Sequence[tuple[Performance, Keyframe]]


@dataclass(frozen=True)
class PoseAsk:
    """The pose of the description at `place` (0-based) of a sequence; `near` are keyframes of the corpus like it."""

    descriptions: Sequence[str]
    place: int
    near: Near

    def messages(self, brief: Brief, *, worked: bool = True) -> prompts.Messages:
        """KeyframeFace's request for it, after the keyframes of the corpus if they are to be shown."""
        shown = [(k.text, p.brief.background, p.brief.emotion, k.pose) for p, k in self.near] if worked else []
        return prompts.poser_messages(self.descriptions, brief.background, brief.emotion, self.place, shown)


class PromptedModel(ABC):
    """A causal language model that is asked by `inference.prompts`, with worked examples of the corpus."""

    # Moments that are asked for at once.
    batch: int

    def __init__(self, examples: Examples) -> None:
        self.examples = examples

    @abstractmethod
    def write(self, scene: str, asks: Sequence[Ask], seed: int, check: Check) -> Iterator[tuple[int, str]]:
        """Yield (number of the ask, one line for it), in any order; `scene` is the prompt that all asks share."""

    @abstractmethod
    def answers(self, brief: Brief, asks: Sequence[PoseAsk], check: Check) -> Iterator[Pose]:
        """Yield the pose of each ask, in order."""

    def sequence(self, brief: Brief, descriptions: Sequence[str]) -> int:
        """How many descriptions one request holds at most."""
        return _SEQUENCE

    def begin(self) -> None:  # noqa: B027
        """Told before each request, so that what follows does not depend on what came before; nothing by default."""

    def describe(self, brief: Brief, asks: Sequence[Ask], seed: int, check: Check) -> Iterator[tuple[int, str]]:
        """Write descriptions in batches, after examples of performances with a similar script and emotion."""
        self.begin()
        alike = self.examples.performances_like(brief.script, brief.emotion, _PERFORMANCES)
        worked = [(p.brief.script, p.brief.background, p.brief.emotion, _rows(p)) for p in reversed(alike)]
        prefix = prompts.planner_prefix(worked)
        spare = [k.text for p in alike for k in p.keyframes]
        for start in range(0, len(asks), self.batch):
            batch = [Ask(ask.words[:_SCENE], ask.part, ask.parts) for ask in asks[start : start + self.batch]]
            # Of a long script, what this batch is about.
            words = " ".join(ask.words for ask in asks[start : start + self.batch])
            script = brief.script if len(brief.script) <= _SCENE else words[:_SCENE]
            scene = prefix + prompts.planner_scene(script, brief.background, brief.emotion)
            for number, line in self.write(scene, batch, seed + start, check):
                number += start
                sound = is_face_description(line) and not repeats_itself(line)
                yield number, line if sound else spare[number % len(spare)] if spare else line

    def pose(self, brief: Brief, descriptions: Sequence[str], check: Check) -> Iterator[Pose]:
        """One request a keyframe, each with the whole sequence (of a long one, its part), as KeyframeFace asks."""
        return self.pose_at(brief, descriptions, range(len(descriptions)), check)

    def pose_at(self, brief: Brief, descriptions: Sequence[str], at: Sequence[int], check: Check) -> Iterator[Pose]:
        """As `pose`, only those: reading the sequence is little beside writing one pose."""
        self.begin()
        asks, size = [], self.sequence(brief, descriptions)
        for index in at:
            first = index - index % size
            near = self.examples.keyframes_for(descriptions[index], _POSES)
            asks.append(PoseAsk(descriptions[first : first + size], index - first, near))
        yield from self.answers(brief, asks, check)

    def others(self, brief: Brief, asks: Sequence[Ask], number: int, wanted: Takes, check: Check) -> list[str]:
        """Write the one description many times; what is too like what is there comes from the examples instead."""
        ask = asks[number]
        found: list[str] = []
        written = self.describe(brief, [ask] * wanted.count, wanted.seed, check)
        likely = [text for _, text in sorted(written)]
        spare = [keyframe.text for _, keyframe in self.examples.keyframes_like(ask.words, _SPARE)]
        spare += [keyframe.text for _, keyframe in self.examples.keyframes_like(brief.emotion, _SPARE)]
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


def repeats_itself(line: str) -> bool:
    """Whether a line is stuck, as small models are at times: the same three words twice, or one word all over."""
    words = [word.strip(".,;:!?\"'").lower() for word in line.split()]
    triples = [tuple(words[i : i + 3]) for i in range(len(words) - 2)]
    often = max((words.count(word) for word in set(words)), default=0)
    return len(set(triples)) < len(triples) or (often >= 4 and often > 0.25 * len(words))
