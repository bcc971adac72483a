# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded model's planner: it reads a script once, and picks from the corpus what the face does at each beat.

A slots reader, made as the poser's but trained on scripts, gives for every beat how likely each strength of each
channel is. Each beat then gets the description of that keyframe of the corpus, as it is or in a mirror, whose pose is
the likeliest. So descriptions are whole sentences of a person's, and a plan costs one forward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from . import slots
from .asks import Ask
from .slots import BINS, SLOTS, Reading, SlotReader

# What the reader takes for granted of a strength is only partly held against a keyframe: without this the picks are
# all faint, with the whole of it all rare. Chosen on the acting checks for choices.
_PRIOR = 0.5
# How far takes differ: the scale of the noise that is added to a keyframe's logarithm of likelihood.
_SPREAD = 2.0
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

    def save(self, path: Path) -> None:
        """Write both into one file; descriptions hold no line breaks."""
        encoded = torch.frombuffer(bytearray("\n".join(self.texts), "utf-8"), dtype=torch.uint8)
        save_file({"texts": encoded, "moves": self.moves.contiguous()}, path)


class Planner:
    """Picks descriptions for beats. `states` gives the hidden states that `reader` reads of a text."""

    def __init__(
        self, tokenizer: Any, states: Callable[[Reading], list[torch.Tensor]], reader: SlotReader, found: Repertoire
    ) -> None:
        self._tokenizer = tokenizer
        self._states = states
        self._reader = reader
        self._found = found
        self._moves = found.moves.long()
        self._usual = _log_frequencies(self._moves)

    def describe(self, background: str, emotion: str, asks: Sequence[Ask], seed: int) -> list[str]:
        """A description for each beat; seed 0 gives the likeliest ones, every other seed a take of its own."""
        beats = [beat_text(ask.words, ask.part, ask.parts) for ask in asks]
        text = slots.reading(self._tokenizer, background, emotion, beats)
        chances = slots.read(self._reader, self._states(text), text, len(asks)).clamp(min=1e-9).log()
        places = torch.arange(len(SLOTS))
        draw = torch.Generator().manual_seed(seed)
        picked: list[int] = []
        for row in chances:
            scores = row[places, self._moves].sum(dim=-1) - _PRIOR * self._usual
            if seed:
                scores = scores + _SPREAD * _gumbel(len(scores), draw)
            # Nobody does the same thing twice in one performance.
            scores[picked] = -torch.inf
            picked.append(int(scores.argmax()))
        return [self._found.texts[number] for number in picked]


def _log_frequencies(moves: torch.Tensor) -> torch.Tensor:
    """(N,): how usual each keyframe is, as if its slots had nothing to do with each other."""
    counts = torch.zeros(moves.shape[1], BINS).scatter_add_(1, moves.T, torch.ones(moves.T.shape))
    logs = ((counts + 1.0) / (len(moves) + BINS)).log()
    return logs[torch.arange(moves.shape[1]), moves].sum(dim=-1)


def _gumbel(size: int, draw: torch.Generator) -> torch.Tensor:
    return -(-torch.rand(size, generator=draw).clamp(1e-9, 1 - 1e-6).log()).log()
