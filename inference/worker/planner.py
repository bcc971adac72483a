# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded model's planner: it reads a script once, and picks from the corpus what the face does at each beat.

A slots reader, made as the poser's but trained on scripts, gives for every beat the face that is to be expected. That
is a mean of all faces that would do, and so a faint one: what counts is in which way it differs from the usual face.
Each beat gets the description of the keyframe of the corpus, as it is or in a mirror, that differs the same way. So
descriptions are whole sentences of a person's, and a plan costs one forward pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch.nn import functional

from ..scripts.text import ends_a_smile
from . import slots
from .asks import Ask, Takes
from .slots import BINS, SLOT_MIRROR, SLOTS, Reading, SlotReader
from .weights import save_weights

# Added to every keyframe's distance from the usual face, in standard deviations: of keyframes that point the same way
# the plainer one wins. Chosen on the acting checks for choices, as the way of picking was.
_PLAIN = 2.0
# Least standard deviation of a slot: some hardly ever move.
_LEAST = 0.03
# How far takes differ: the scale of the noise that is added to a cosine.
_SPREAD = 0.05
# What names a side.
SIDE = re.compile(r"\b(?:left|right)", re.I)
# Slots of a smile, and the strength from which one shows.
_SMILE = ("mouthSmileLeft", "mouthSmileRight")
_A_SMILE = 0.12
# Characters of a moment that are read: some hundred tokens.
_LONGEST = 500


def beat_text(words: str, part: int, parts: int) -> str:
    """A beat as the planner reads it: its moment's words, and which of the moment's beats it is, from 0."""
    words = words[:_LONGEST]
    return words if parts == 1 else f"{part + 1} of {parts}: {words}"


@dataclass(frozen=True)
class Repertoire:
    """Keyframes to pick from: their descriptions, and their slots' strengths in steps, (N, slots) of uint8."""

    texts: tuple[str, ...]
    moves: torch.Tensor

    @classmethod
    def load(cls, path: Path) -> Repertoire:
        """Raises what safetensors raises, and ValueError if the parts do not fit each other."""
        found = load_file(path)
        texts = tuple(bytes(found["texts"].numpy()).decode("utf-8").split("\n"))
        moves = found["moves"]
        if moves.shape != (len(texts), len(SLOTS)) or moves.dtype != torch.uint8 or int(moves.max()) >= BINS:
            raise ValueError("its descriptions and poses do not fit each other")
        return cls(texts, moves)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {text: number for number, text in enumerate(self.texts)}

    def strengths(self, text: str) -> torch.Tensor | None:
        """The pose that a description was written for, (slots, BINS) with a 1 at each slot's strength, or None."""
        number = self._numbers.get(text)
        return None if number is None else functional.one_hot(self.moves[number].long(), BINS).float()

    def save(self, path: Path) -> None:
        """Write both into one file; descriptions hold no line breaks."""
        encoded = torch.frombuffer(bytearray("\n".join(self.texts), "utf-8"), dtype=torch.uint8)
        save_weights({"texts": encoded, "moves": self.moves.contiguous()}, path)


class Planner:
    """Picks descriptions for beats. `states` gives the hidden states that `reader` reads of a text."""

    def __init__(
        self, tokenizer: Any, states: Callable[[Reading], list[torch.Tensor]], reader: SlotReader, found: Repertoire
    ) -> None:
        self._tokenizer = tokenizer
        self._states = states
        self._reader = reader
        self._texts = found.texts
        strengths = found.moves.float() / (BINS - 1)
        self._usual, self._scale = strengths.mean(dim=0), strengths.std(dim=0) + _LEAST
        away = (strengths - self._usual) / self._scale
        # By what shows, whatever the words are.
        self._smiling = strengths[:, [SLOTS.index(name) for name in _SMILE]].amax(dim=-1) > _A_SMILE
        self._ways = away / (away.norm(dim=-1, keepdim=True) + _PLAIN)

    def describe(self, background: str, emotion: str, asks: Sequence[Ask], seed: int) -> list[str]:
        """A description for each beat; seed 0 gives the nearest ones, every other seed a take of its own.

        What is done on one side is on the left where nothing names a side, as the reader has learned it; half of the
        other takes are in a mirror.
        """
        expected = self._expected(background, emotion, asks)
        draw = torch.Generator().manual_seed(seed)
        if seed and not _names_side(asks) and torch.rand(1, generator=draw) < 0.5:
            expected = expected[:, SLOT_MIRROR]
        picked: list[int] = []
        for ask, row in zip(asks, expected, strict=True):
            scores = self._scores(row)
            if ends_a_smile(ask.told):
                scores[self._smiling] = -torch.inf
            if seed:
                scores = scores + _SPREAD * _gumbel(len(scores), draw)
            # Nobody does the same thing twice in one performance.
            scores[picked] = -torch.inf
            picked.append(int(scores.argmax()))
        return [self._texts[number] for number in picked]

    def others(self, background: str, emotion: str, asks: Sequence[Ask], number: int, wanted: Takes) -> list[str]:
        """Takes of the beat at `number`."""
        expected = self._expected(background, emotion, asks)[number]
        return self.takes(expected, wanted, mirror=not _names_side(asks))

    def takes(self, expected: torch.Tensor, wanted: Takes, *, mirror: bool) -> list[str]:
        """Descriptions of faces near the `expected` strengths (slots,), each picked with a noise of its own.

        With `mirror`, half of them are of the face in a mirror.
        """
        picked = [number for number, text in enumerate(self._texts) if text in wanted.taken]
        known = len(picked)
        for take in range(min(wanted.count, len(self._texts) - known)):
            draw = torch.Generator().manual_seed((wanted.seed * 1_000_003 + take + 1) % 2**63)
            turned = mirror and torch.rand(1, generator=draw) < 0.5
            scores = self._scores(expected[SLOT_MIRROR] if turned else expected)
            scores += _SPREAD * _gumbel(len(scores), draw)
            scores[picked] = -torch.inf
            picked.append(int(scores.argmax()))
        return [self._texts[number] for number in picked[known:]]

    def _expected(self, background: str, emotion: str, asks: Sequence[Ask]) -> torch.Tensor:
        """The strengths that the reader expects at each beat, (beats, slots)."""
        beats = [beat_text(ask.words, ask.part, ask.parts) for ask in asks]
        text = slots.reading(self._tokenizer, background, emotion, beats)
        return slots.read(self._reader, self._states(text), text, range(len(asks))) @ torch.linspace(0.0, 1.0, BINS)

    def _scores(self, expected: torch.Tensor) -> torch.Tensor:
        """How much each keyframe of the repertoire differs from the usual face in the way that is expected."""
        row = (expected - self._usual) / self._scale
        return self._ways @ (row / row.norm().clamp(min=1e-6))


def _names_side(asks: Sequence[Ask]) -> bool:
    return any(SIDE.search(ask.words[:_LONGEST]) for ask in asks)


def _gumbel(size: int, draw: torch.Generator) -> torch.Tensor:
    return -(-torch.rand(size, generator=draw).clamp(1e-9, 1 - 1e-6).log()).log()
