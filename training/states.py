# SPDX-License-Identifier: GPL-3.0-or-later
"""The frozen base model's hidden states of every text, computed once and kept in a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from ..inference.worker.slots import Reading
from ..inference.worker.trunk import Trunk

# Tokens of one forward pass.
_BATCH_TOKENS = 2048


@dataclass(frozen=True)
class States:
    """Hidden states of many texts, in bf16: of each, its array (tokens, layers, hidden) and its tokens there."""

    arrays: tuple[torch.Tensor, ...]
    places: tuple[tuple[int, int, int], ...]

    def __getitem__(self, number: int) -> torch.Tensor:
        """(T, layers, hidden) of one text."""
        which, start, stop = self.places[number]
        return self.arrays[which][start:stop]


def compute(trunk: Trunk, readings: Sequence[Reading], folder: Path, name: str, block: int = 128) -> States:
    """The states of all readings, in files of `block` texts; files that are there already are not made again.

    The same text is computed once: most mirrored texts name no side, and so are their own mirror image.
    """
    different = list({reading.ids: reading for reading in readings}.values())
    arrays, places = [], {}
    for number, first in enumerate(
        tqdm(range(0, len(different), block), desc=f"hidden states of {name}", mininterval=20)
    ):
        part = different[first : first + block]
        arrays.append(_block(trunk, part, folder))
        stops = np.cumsum([len(reading.ids) for reading in part]).tolist()
        for reading, start, stop in zip(part, [0, *stops], stops, strict=False):
            places[reading.ids] = (number, start, stop)
    return States(tuple(arrays), tuple(places[reading.ids] for reading in readings))


def _block(trunk: Trunk, readings: Sequence[Reading], folder: Path) -> torch.Tensor:
    digest = hashlib.sha256(repr((trunk.layers, [reading.ids for reading in readings])).encode()).hexdigest()[:20]
    path = folder / f"{digest}.states"
    starts = np.cumsum([0, *(len(reading.ids) for reading in readings)])
    shape = (int(starts[-1]), len(trunk.layers), trunk.hidden)
    size = int(np.prod(shape))
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        array = torch.from_file(str(partial), shared=True, size=size, dtype=torch.bfloat16).view(shape)
        for numbers in batches([len(reading.ids) for reading in readings], _BATCH_TOKENS):
            ids, padding = padded([readings[i].ids for i in numbers])
            states = torch.stack(trunk(ids, padding), dim=2)
            for row, i in enumerate(numbers):
                array[starts[i] : starts[i + 1]] = states[row, : len(readings[i].ids)]
        partial.rename(path)
    return torch.from_file(str(path), shared=False, size=size, dtype=torch.bfloat16).view(shape)


def batches(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Numbers of texts in batches of like lengths, each of at most `tokens` tokens with its padding."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batch and lengths[number] * (len(batch) + 1) > tokens:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def padded(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows padded on the right with 0: the tokens (B, T), and where they are padding (B, T)."""
    longest = max(map(len, rows))
    ids = torch.zeros((len(rows), longest), dtype=torch.long)
    padding = torch.ones((len(rows), longest), dtype=torch.bool)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.as_tensor(row)
        padding[number, : len(row)] = False
    return ids, padding
