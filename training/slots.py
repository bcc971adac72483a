# SPDX-License-Identifier: GPL-3.0-or-later
"""Training the slots poser: first the reader on the frozen base's cached states, then with a LoRA through it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from ..inference.worker import slots
from ..inference.worker.slots import BINS, Reading, SlotReader
from ..performance import Performance
from .metrics import slot_figures
from .states import States

_GRID = torch.linspace(0.0, 1.0, BINS)


@dataclass(frozen=True)
class Example:
    """One text with the slots' targets of its keyframes: `targets` (keyframes, slots) in [0, 1]."""

    reading: Reading
    targets: torch.Tensor


def examples(tokenizer: object, performances: Sequence[Performance], describe: bool = True) -> list[Example]:
    """Each performance as the poser reads it; without `describe`, its descriptions are left out (an ablation)."""
    found = []
    for performance in performances:
        texts = [keyframe.text if describe else "" for keyframe in performance.keyframes]
        brief = performance.brief
        reading = slots.reading(tokenizer, brief.background, brief.emotion, texts)
        found.append(Example(reading, torch.tensor(slots.slots_of(performance.poses), dtype=torch.float32)))
    return found


@dataclass(frozen=True)
class Recipe:
    """How a reader is trained; `absolute` and `square` weigh the errors of the mean beside the cross-entropy."""

    epochs: float
    rate: float = 1e-3
    batch: int = 16
    warmup: float = 0.03
    decay: float = 0.05
    smoothing: float = 0.1
    absolute: float = 3.0
    square: float = 0.0
    token_dropout: float = 0.1
    average: float = 0.998
    seed: int = 1


def loss(logits: torch.Tensor, targets: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Cross-entropy over the strengths, a little of it on the two next to the true one, and the mean's error."""
    logs = functional.log_softmax(logits.float(), dim=-1)
    place = (targets * (BINS - 1)).round().long()
    picked = [logs.gather(-1, (place + step).clamp(0, BINS - 1)[..., None])[..., 0] for step in (-1, 0, 1)]
    side = recipe.smoothing / 2
    entropy = -(side * picked[0] + (1 - 2 * side) * picked[1] + side * picked[2]).mean()
    mean = (logs.exp() * _GRID).sum(dim=-1)
    away = mean - targets
    return entropy + recipe.absolute * away.abs().mean() + recipe.square * away.square().mean()


@dataclass
class Batch:
    """Several texts at once: what the reader takes, for every keyframe of them."""

    states: list[torch.Tensor]
    rows: torch.Tensor
    where: torch.Tensor
    targets: torch.Tensor


def collate(picked: Sequence[Example], states: Sequence[torch.Tensor], keep: Callable[[torch.Tensor], torch.Tensor] | None = None) -> Batch:
    """Pad texts to one length. `states` (T, layers, hidden) each; `keep` may hide tokens (P, T) at random."""
    longest = max(len(example.reading.ids) for example in picked)
    layers, width = states[0].shape[1:]
    stacked = torch.zeros(len(picked), longest, layers, width, dtype=states[0].dtype)
    segments = torch.full((len(picked), longest), -1)
    rows, keyframes = [], []
    for number, example in enumerate(picked):
        length = len(example.reading.ids)
        stacked[number, :length] = states[number]
        segments[number, :length] = torch.tensor(example.reading.segments)
        rows += [number] * len(example.targets)
        keyframes += list(range(1, len(example.targets) + 1))
    row = torch.tensor(rows)
    where = slots.relations(segments[row], torch.tensor(keyframes))
    if keep is not None:
        where = where * keep(where)[..., None]
    targets = torch.cat([example.targets for example in picked])
    return Batch(list(stacked.unbind(dim=2)), row, where, targets)


def run(reader: SlotReader, batch: Batch) -> torch.Tensor:
    """Logits (keyframes, slots, bins) of a batch."""
    with torch.autocast("cpu", torch.bfloat16):
        return reader(batch.states, batch.rows, batch.where)


def in_batches(data: Sequence[Example], size: int, draw: random.Random | None) -> list[list[int]]:
    """Numbers of examples in batches of like lengths; shuffled if `draw` is given."""
    order = list(range(len(data)))
    if draw:
        draw.shuffle(order)
        # Sorted within pools, so that lengths are alike and batches still differ from epoch to epoch.
        pool = size * 20
        order = [i for s in range(0, len(order), pool) for i in sorted(order[s : s + pool], key=lambda i: len(data[i].reading.ids))]
    else:
        order.sort(key=lambda i: len(data[i].reading.ids))
    found = [order[start : start + size] for start in range(0, len(order), size)]
    if draw:
        draw.shuffle(found)
    return found


@torch.inference_mode()
def predict(reader: SlotReader, data: Sequence[Example], states: States, size: int = 32) -> torch.Tensor:
    """Probabilities (keyframes, slots, bins), in the examples' order."""
    reader.eval()
    found: list[torch.Tensor] = [torch.empty(0)] * len(data)
    for numbers in in_batches(data, size, None):
        batch = collate([data[i] for i in numbers], [states[i] for i in numbers])
        chances = torch.softmax(run(reader, batch).float(), dim=-1)
        for place, part in zip(numbers, chances.split([len(data[i].targets) for i in numbers]), strict=True):
            found[place] = part
    return torch.cat(found)


def train_reader(
    reader: SlotReader,
    sets: Sequence[tuple[Sequence[Example], States, float]],
    recipe: Recipe,
    measure: Callable[[SlotReader, float], None] | None = None,
) -> SlotReader:
    """Train on cached states; each set with the share of it that an epoch sees. Returns the averaged weights."""
    draw = random.Random(recipe.seed)
    torch.manual_seed(recipe.seed)
    plain = [p for n, p in reader.named_parameters() if p.ndim < 2 or n in ("query", "bias")]
    heavy = [p for n, p in reader.named_parameters() if not (p.ndim < 2 or n in ("query", "bias"))]
    optimizer = torch.optim.AdamW([{"params": heavy, "weight_decay": recipe.decay}, {"params": plain, "weight_decay": 0.0}], lr=recipe.rate, betas=(0.9, 0.98))
    per_epoch = sum(max(1, round(share * len(data) / recipe.batch)) for data, _, share in sets)
    total = int(per_epoch * recipe.epochs)
    average = torch.optim.swa_utils.AveragedModel(reader, avg_fn=lambda old, new, count: old + (new - old) * (1 - min(recipe.average, (1 + float(count)) / (10 + float(count)))))
    step, begin, epoch = 0, time.monotonic(), 0
    while step < total:
        plan = [(n, numbers) for n, (data, _, share) in enumerate(sets) for numbers in _part(in_batches(data, recipe.batch, draw), share)]
        draw.shuffle(plan)
        reader.train()
        seen = 0.0
        for which, numbers in plan:
            data, states, _ = sets[which]
            done = step / total
            rate = recipe.rate * min(1.0, (step + 1) / max(1.0, recipe.warmup * total)) * (0.5 + 0.5 * np.cos(np.pi * done)) + 1e-6
            for group in optimizer.param_groups:
                group["lr"] = rate
            batch = collate([data[i] for i in numbers], [states[i] for i in numbers], lambda where: torch.rand(where.shape[:2]) >= recipe.token_dropout)
            value = loss(run(reader, batch), batch.targets, recipe)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            torch.nn.utils.clip_grad_norm_(reader.parameters(), 1.0)
            optimizer.step()
            average.update_parameters(reader)
            seen += float(value.detach())
            step += 1
            if step >= total:
                break
        epoch += 1
        print(f"epoch {epoch}: step {step} of {total}, loss {seen / len(plan):.4f}, {time.monotonic() - begin:.0f} s", flush=True)
        if measure:
            measure(average.module, step / total)
    return average.module


def _part(batches: list[list[int]], share: float) -> list[list[int]]:
    return batches[: max(1, round(share * len(batches)))]
