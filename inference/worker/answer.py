# SPDX-License-Identifier: GPL-3.0-or-later
"""One keyframe's answer as it grows: which values are settled, what to read next, and what a reading says of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...performance import CHANNELS, Pose
from ...performance.channels import MIRROR
from .holes import Hole, Tokens
from .prefix_cache import Rows

# Channels read at once: more after a run without a correction, fewer after one.
_FEWEST, _MOST = 1, 32
# Of an expected value, what is less likely than this is left out: it moves the mean by less than it says.
_RARE = 1e-3


@dataclass(frozen=True)
class Choice:
    """One token of a guessed value that the model may decide otherwise: its place in the value and in the run."""

    channel: int
    depth: int
    at: int


class Run:
    """Tokens to read in one go, and where in them the model's choices are checked."""

    def __init__(self, settled: list[int]) -> None:
        self.tokens = settled
        self.choices: list[Choice] = []
        # Where each channel's value begins, and the channel after the last.
        self.begins: dict[int, int] = {}
        self.end = 0

    @property
    def places(self) -> list[int]:
        """The tokens whose logits are needed, in order; what else is read needs no logits."""
        return [choice.at - 1 for choice in self.choices]

    def add(self, channel: int, hole: Hole, guess: Tokens, begun: Tokens | None) -> None:
        """Append one channel with its guessed value; `begun` is what of the value is settled already."""
        if begun is None:
            # The first channel's key ends the prompt.
            self.tokens.extend(hole.key if channel else ())
            self.begins[channel] = len(self.tokens)
        for depth in range(len(begun or ()), len(guess)):
            if len(hole.next_tokens(guess[:depth])) > 1:
                self.choices.append(Choice(channel, depth, len(self.tokens)))
            self.tokens.append(guess[depth])
        self.end = channel + 1


@dataclass(frozen=True)
class Branch:
    """The beginning of a value that was not chosen: which channel's, after how many tokens of the row, and its own."""

    channel: int
    at: int
    prefix: Tokens


class Answer:
    """One keyframe's answer as it grows."""

    def __init__(self, holes: tuple[Hole, ...], draft: Pose, angle_reach: float | None = None) -> None:
        """`draft` guesses the values; angles stay within `angle_reach` of it, if that is given."""
        self.holes = holes
        if angle_reach is not None:
            self.holes = tuple(
                hole.near(value, angle_reach) if channel.is_angle else hole
                for hole, channel, value in zip(holes, CHANNELS, draft, strict=True)
            )
        # Tokens that are settled but not yet run, and how much of the next channel's value is among them.
        self.settled: list[int] = []
        self._begun: Tokens | None = None
        self._chosen: list[Tokens] = []
        self._guesses = [hole.nearest(value) for hole, value in zip(self.holes, draft, strict=True)]
        self._width = _FEWEST
        # For each channel, the probabilities of the next tokens after each beginning of a value that was read, and how
        # many tokens of the row stand before the value.
        self._chances: list[dict[Tokens, np.ndarray]] = [{} for _ in self.holes]
        self._places = [0] * len(self.holes)

    @property
    def done(self) -> bool:
        """Whether every channel's value is settled."""
        return len(self._chosen) == len(self.holes)

    def values(self) -> list[float]:
        """The settled values, in the channels' order."""
        return [hole.value(option) for hole, option in zip(self.holes, self._chosen, strict=True)]

    def means(self) -> list[float]:
        """Each channel's mean over the values it may take, by their probabilities; needs all branches read."""
        return [self._mean(channel, ()) for channel in range(len(self.holes))]

    def _mean(self, channel: int, prefix: Tokens) -> float:
        hole = self.holes[channel]
        options = hole.starting_with(prefix)
        if len(options) == 1:
            return hole.value(options[0])
        following = hole.next_tokens(prefix)
        chances = self._chances[channel].get(prefix, np.ones(1))
        kept = [i for i in range(len(following)) if len(following) == 1 or self._counts(channel, prefix, i)]
        means = [self._mean(channel, (*prefix, following[i])) for i in kept]
        return float(np.average(means, weights=[chances[i] for i in kept]))

    def _counts(self, channel: int, prefix: Tokens, number: int) -> bool:
        """Whether the next token `number` is likely enough to be followed, or needs no following."""
        following = self.holes[channel].next_tokens(prefix)
        ends = len(self.holes[channel].starting_with((*prefix, following[number]))) == 1
        chance = self._likelihood(channel, prefix) * self._chances[channel][prefix][number]
        return ends or self._begins_chosen(channel, (*prefix, following[number])) or bool(chance >= _RARE)

    def _begins_chosen(self, channel: int, prefix: Tokens) -> bool:
        return self._chosen[channel][: len(prefix)] == prefix

    def _likelihood(self, channel: int, prefix: Tokens) -> float:
        chance = 1.0
        for depth, token in enumerate(prefix):
            found = self._chances[channel].get(prefix[:depth])
            if found is not None:
                chance *= float(found[self.holes[channel].next_tokens(prefix[:depth]).index(token)])
        return chance

    def unread(self) -> Branch | None:
        """The last beginning of a value that counts for the mean and was not read yet."""
        for channel in range(len(self.holes) - 1, -1, -1):
            prefix = self._unread(channel, ())
            if prefix is not None:
                return Branch(channel, self._places[channel], prefix)
        return None

    def _unread(self, channel: int, prefix: Tokens) -> Tokens | None:
        hole = self.holes[channel]
        if len(hole.starting_with(prefix)) == 1:
            return None
        following = hole.next_tokens(prefix)
        if len(following) > 1 and prefix not in self._chances[channel]:
            return prefix
        for number, token in enumerate(following):
            if len(following) == 1 or self._counts(channel, prefix, number):
                found = self._unread(channel, (*prefix, token))
                if found is not None:
                    return found
        return None

    def note(self, channel: int, prefix: Tokens, rows: Rows, scores: torch.Tensor) -> None:
        """Keep the probabilities of what may follow `prefix`; `scores` has shape (columns)."""
        following = [rows.column(token) for token in self.holes[channel].next_tokens(prefix)]
        self._chances[channel][prefix] = torch.softmax(scores[following].double(), dim=0).numpy()

    def run(self) -> Run:
        """What to read next: what is settled, and guessed values after it."""
        run = Run(list(self.settled))
        first = len(self._chosen)
        for number in range(first, min(first + self._width, len(self.holes))):
            run.add(number, self.holes[number], self._guesses[number], self._begun if number == first else None)
        return run

    def take(self, run: Run, start: int, rows: Rows, scores: torch.Tensor) -> int:
        """Compare a run's guesses with the model's own choices; how many of its tokens the row keeps.

        `start` is how many tokens the row held before the run; `scores` has shape (the run's places, columns).
        """
        for number, place in run.begins.items():
            self._places[number] = start + place
        for choice, found in zip(run.choices, scores, strict=True):
            self._accept(choice.channel)
            guess = self._guesses[choice.channel]
            prefix = guess[: choice.depth]
            self.note(choice.channel, prefix, rows, found)
            following = self.holes[choice.channel].next_tokens(prefix)
            best = following[int(found[[rows.column(token) for token in following]].argmax())]
            if best != guess[choice.depth]:
                self._correct(choice.channel, (*prefix, best))
                return choice.at
        self._accept(run.end)
        # The last token has not been followed by anything yet; it is run again with the next chunk.
        self.settled, self._begun, self._width = [run.tokens[-1]], None, min(self._width * 2, _MOST)
        return len(run.tokens) - 1

    def _accept(self, until: int) -> None:
        while len(self._chosen) < until:
            self._chosen.append(self._guesses[len(self._chosen)])

    def _correct(self, channel: int, begun: Tokens) -> None:
        options = self.holes[channel].starting_with(begun)
        self._width = max(_FEWEST, self._width // 2)
        if len(options) > 1:
            self._guesses[channel] = options[0]
            self.settled, self._begun = [begun[-1]], begun
            return
        partner = int(MIRROR[channel])
        if options[0] in self.holes[partner].options:
            # A face that differs from the guess on one side mostly does so on the other.
            self._guesses[partner] = options[0]
        self._guesses[channel] = options[0]
        self._accept(channel + 1)
        self.settled, self._begun = list(options[0][len(begun) - 1 :]), None
