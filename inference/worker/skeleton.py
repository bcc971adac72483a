# SPDX-License-Identifier: GPL-3.0-or-later
"""The skeleton decoder: the JSON of an answer is forced, and only its values are decoded.

An answer is a fixed text with a hole for each channel's value. A guess of all the values is written into the
holes and read by the model in one go; the longest run of values that the model itself would have chosen is kept,
the first that differs is corrected, and the rest is read again (speculative decoding with a draft that costs
nothing: Leviathan et al. 2023, arXiv 2211.17192). The result is that of greedy decoding restricted to well-formed
answers, value by value, while most values cost no step of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...performance import CHANNELS, NEUTRAL, Pose
from ...performance.channels import MIRROR
from .. import prompts
from .local_model import LocalModel
from .prefix_cache import PrefixCache

# Channels read at once: more after a run without a correction, fewer after one.
_FEWEST, _MOST = 1, 32


@dataclass(frozen=True)
class _Hole:
    """One channel's place: the tokens before its value, and the tokens of every value it may take."""

    key: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]
    values: tuple[float, ...]

    def nearest(self, value: float) -> tuple[int, ...]:
        return self.options[int(np.argmin([abs(value - other) for other in self.values]))]

    def near(self, value: float, reach: float) -> _Hole:
        """The hole with only the values that are at most `reach` from the nearest to `value`."""
        middle = self.values[self.options.index(self.nearest(value))]
        kept = [i for i, other in enumerate(self.values) if abs(other - middle) <= reach + 1e-9]
        return _Hole(self.key, tuple(self.options[i] for i in kept), tuple(self.values[i] for i in kept))

    def starting_with(self, prefix: tuple[int, ...]) -> list[tuple[int, ...]]:
        return [option for option in self.options if option[: len(prefix)] == prefix]


class SkeletonDecoder:
    """Decodes poses with one model; keeps the prompt's cache from one keyframe to the next."""

    def __init__(self, local: LocalModel) -> None:
        self._local = local
        self._cache = PrefixCache(local)
        _, keys, _ = prompts.answer_parts(0)
        # The first key is run with what opens the answer, since tokenizers join `{` and `"`.
        self._holes = tuple(
            self._hole(key, channel.is_angle) for key, channel in zip(("", *keys[1:]), CHANNELS, strict=True)
        )

    def _hole(self, key: str, is_angle: bool) -> _Hole:
        texts = prompts.value_texts(is_angle)
        return _Hole(
            tuple(self._local.tokens(key)),
            tuple(tuple(self._local.tokens(text)) for text in texts),
            tuple(float(text) for text in texts),
        )

    def forget(self) -> None:
        """Drop the cache: what follows does not depend on what came before, to the last bit."""
        self._cache.rewind(0)

    def decode(
        self,
        messages: prompts.Messages,
        index: int,
        draft: Pose = NEUTRAL,
        check: Callable[[], None] = lambda: None,
        angle_reach: float | None = None,
    ) -> Pose:
        """The pose that answers `messages` for keyframe `index` (0-based).

        `draft` is a guess that only affects the speed, unless `angle_reach` is given: then the head and eye angles
        stay within it of the guess's. `check` is called between steps and may raise to cancel.
        """
        opening, keys, _ = prompts.answer_parts(index)
        head = self._local.chat_tokens(messages) + self._local.tokens(opening + keys[0])
        self._cache.prefill(head[:-1], check)
        holes = self._holes
        if angle_reach is not None:
            holes = tuple(
                hole.near(value, angle_reach) if channel.is_angle else hole
                for hole, channel, value in zip(holes, CHANNELS, draft, strict=True)
            )
        chosen = self._fill(holes, head[-1], draft, check)
        values = [hole.values[hole.options.index(option)] for hole, option in zip(holes, chosen, strict=True)]
        return Pose(np.array(values))

    def _fill(
        self, holes: tuple[_Hole, ...], last: int, draft: Pose, check: Callable[[], None]
    ) -> list[tuple[int, ...]]:
        chosen: list[tuple[int, ...]] = []
        guesses = [hole.nearest(value) for hole, value in zip(holes, draft, strict=True)]
        # Tokens that are settled but not yet run, and how much of the next channel's value is among them.
        settled: list[int] = [last]
        begun: tuple[int, ...] | None = None
        width = _FEWEST
        while len(chosen) < len(holes):
            check()
            until = min(len(chosen) + width, len(holes))
            run = _Run(settled)
            for number in range(len(chosen), until):
                run.add(holes[number], guesses[number], begun if number == len(chosen) else None)
            start = self._cache.length
            accepted, correction, used = run.verify(self._cache.extend(run.tokens, run.places))
            chosen.extend(accepted)
            if correction is None:
                # The last token has not been followed by anything yet; it is run again with the next chunk.
                self._cache.rewind(start + len(run.tokens) - 1)
                settled, begun, width = [run.tokens[-1]], None, min(width * 2, _MOST)
                continue
            self._cache.rewind(start + used)
            options = holes[len(chosen)].starting_with(correction)
            width = max(_FEWEST, width // 2)
            if len(options) == 1:
                partner = int(MIRROR[len(chosen)])
                if options[0] in holes[partner].options:
                    # A face that differs from the guess on one side mostly does so on the other.
                    guesses[partner] = options[0]
                chosen.append(options[0])
                settled, begun = list(options[0][len(correction) - 1 :]), None
            else:
                guesses[len(chosen)] = options[0]
                settled, begun = [correction[-1]], correction
        return chosen


class _Run:
    """Tokens to read in one go, and where in them the model's choices are checked."""

    def __init__(self, settled: Sequence[int]) -> None:
        self.tokens: list[int] = list(settled)
        # The tokens whose logits are needed, in order; what else is read needs no logits.
        self.places: list[int] = []
        self._guesses: list[tuple[tuple[int, ...], list[_Choice]]] = []

    def add(self, hole: _Hole, guess: tuple[int, ...], begun: tuple[int, ...] | None) -> None:
        """Append one channel with its guessed value; `begun` is what of the value is settled already."""
        if begun is None:
            self.tokens.extend(hole.key)
        choices = []
        for depth in range(len(begun or ()), len(guess)):
            allowed = sorted({option[depth] for option in hole.starting_with(guess[:depth])})
            if len(allowed) > 1:
                choices.append(_Choice(depth, allowed, len(self.tokens)))
                self.places.append(len(self.tokens) - 1)
            self.tokens.append(guess[depth])
        self._guesses.append((guess, choices))

    def verify(self, logits: torch.Tensor) -> tuple[list[tuple[int, ...]], tuple[int, ...] | None, int]:
        """Compare the guesses with the model's own choices; `logits` has shape (places, vocabulary).

        Returns the values accepted, then the beginning of the first that differs (ending with the model's token;
        None if all were accepted), then how many of the tokens come before that token.
        """
        accepted: list[tuple[int, ...]] = []
        rows = iter(logits)
        for guess, choices in self._guesses:
            for choice in choices:
                best = choice.allowed[int(next(rows)[choice.allowed].argmax())]
                if best != guess[choice.depth]:
                    return accepted, (*guess[: choice.depth], best), choice.at
            accepted.append(guess)
        return accepted, None, len(self.tokens)


@dataclass(frozen=True)
class _Choice:
    """One token of a guessed value that the model may decide otherwise: its place in the value and in the run."""

    depth: int
    allowed: list[int]
    at: int
