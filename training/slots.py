# SPDX-License-Identifier: GPL-3.0-or-later
"""Training the slots poser: first the reader on the frozen base's cached states, then a LoRA through it."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from ..inference.worker import slots
from ..inference.worker.slots import BINS, Reading, SlotReader
from ..performance import Performance
from .learning import Progress, add_lora, fast_bf16, pace, resume, save
from .states import States

_GRID = torch.linspace(0.0, 1.0, BINS)
# Steps from one measurement to the next.
_MEASURE_EVERY = 200


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
class Source:
    """Examples with their cached states, and the share of them that an epoch sees."""

    examples: Sequence[Example]
    states: States
    share: float = 1.0

    def only(self, numbers: Sequence[int]) -> Source:
        """The examples of these numbers."""
        places = tuple(self.states.places[i] for i in numbers)
        return replace(self, examples=[self.examples[i] for i in numbers], states=replace(self.states, places=places))


@dataclass(frozen=True)
class Recipe:
    """How a reader is trained; `absolute` weighs the mean's absolute error beside the cross-entropy."""

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
    away = (logs.exp() * _GRID).sum(dim=-1) - targets
    return entropy + recipe.absolute * away.abs().mean() + recipe.square * away.square().mean()


@dataclass
class Batch:
    """Several texts at once: their cached `states`, and what the reader takes for every keyframe of them."""

    states: list[torch.Tensor]
    padding: torch.Tensor
    rows: torch.Tensor
    where: torch.Tensor
    targets: torch.Tensor


def collate(picked: Sequence[Example], states: Sequence[torch.Tensor], dropout: float = 0.0) -> Batch:
    """Pad texts to one length. `states` (T, layers, hidden) each; `dropout` is the share of tokens hidden at random."""
    longest = max(len(example.reading.ids) for example in picked)
    stacked = torch.zeros(len(picked), longest, *states[0].shape[1:], dtype=states[0].dtype)
    segments = torch.full((len(picked), longest), -1)
    rows: list[int] = []
    keyframes: list[int] = []
    for number, example in enumerate(picked):
        length = len(example.reading.ids)
        stacked[number, :length] = states[number]
        segments[number, :length] = torch.tensor(example.reading.segments)
        rows += [number] * len(example.targets)
        keyframes += range(1, len(example.targets) + 1)
    row = torch.tensor(rows)
    where = slots.relations(segments[row], torch.tensor(keyframes))
    if dropout:
        where = where * (torch.rand(where.shape[:2]) >= dropout)[..., None]
    return Batch(
        list(stacked.unbind(dim=2)), segments < 0, row, where, torch.cat([example.targets for example in picked])
    )


def in_batches(data: Sequence[Example], size: int, draw: random.Random | None) -> list[list[int]]:
    """Numbers of examples in batches of like lengths; shuffled if `draw` is given."""
    order = list(range(len(data)))
    # Sorted within pools, so that lengths are alike and batches still differ from epoch to epoch.
    pool = size * 20 if draw else len(order)
    if draw:
        draw.shuffle(order)
    pools = [order[start : start + pool] for start in range(0, len(order), pool)]
    order = [i for part in pools for i in sorted(part, key=lambda i: len(data[i].reading.ids))]
    found = [order[start : start + size] for start in range(0, len(order), size)]
    if draw:
        draw.shuffle(found)
    return found


def epochs(sources: Sequence[Source], recipe: Recipe) -> Iterator[tuple[int, int, Source, list[int]]]:
    """Yield (step, of how many, source, numbers of its examples) over all epochs."""
    draw = random.Random(recipe.seed)
    each = [max(1, round(s.share * math.ceil(len(s.examples) / recipe.batch))) for s in sources]
    total = int(sum(each) * recipe.epochs)
    step = 0
    while step < total:
        plan = []
        for source, count in zip(sources, each, strict=True):
            plan += [(source, numbers) for numbers in in_batches(source.examples, recipe.batch, draw)[:count]]
        draw.shuffle(plan)
        for source, numbers in plan[: total - step]:
            yield step, total, source, numbers
            step += 1


class Run(nn.Module):
    """A reader, and the base model's upper layers with a LoRA if they learn with it."""

    def __init__(self, reader: SlotReader, model: Any = None) -> None:
        super().__init__()
        self.reader = reader
        self.upper = Upper(model, reader.config.layers[-2:]) if model is not None else None

    def forward(self, batch: Batch) -> torch.Tensor:
        """Logits (keyframes, slots, bins)."""
        states = batch.states
        if self.upper is not None:
            states = [*states[:-1], self.upper(states[-2], batch.padding)]
        with torch.autocast("cpu", torch.bfloat16, enabled=fast_bf16()):
            return self.reader([state.float() for state in states], batch.rows, batch.where)


class Upper(nn.Module):
    """The base model's layers between two hidden states that the reader sees, from the lower one's cached values."""

    def __init__(self, model: Any, layers: tuple[int, ...]) -> None:
        super().__init__()
        core = model.get_base_model().model
        first, last = layers
        self.layers = nn.ModuleList(list(core.layers)[first:last])
        self.norm = core.norm
        self.rotary = core.rotary_emb
        self.dtype = core.norm.weight.dtype

    def forward(self, hidden: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:
        """(B, T, hidden) from the same; `padding` (B, T) is on the right, where a causal model never looks."""
        hidden = hidden.to(self.dtype)
        length = hidden.shape[1]
        positions = torch.arange(length)[None]
        bias = torch.full((length, length), torch.finfo(hidden.dtype).min, dtype=hidden.dtype).triu(1)[None, None]
        angles = self.rotary(hidden, positions)
        for layer in self.layers:
            hidden = layer(hidden, attention_mask=bias, position_ids=positions, position_embeddings=angles)
        return self.norm(hidden)


def predict(run: Run, source: Source, size: int = 32) -> torch.Tensor:
    """Probabilities (keyframes, slots, bins), in the examples' order."""
    run.eval()
    with torch.inference_mode():
        return _predict(run, source, size)


def _predict(run: Run, source: Source, size: int) -> torch.Tensor:
    found: list[torch.Tensor] = [torch.empty(0)] * len(source.examples)
    for numbers in in_batches(source.examples, size, None):
        picked = [source.examples[i] for i in numbers]
        chances = torch.softmax(run(collate(picked, [source.states[i] for i in numbers])).float(), dim=-1)
        for place, part in zip(numbers, chances.split([len(example.targets) for example in picked]), strict=True):
            found[place] = part
    return torch.cat(found)


def train(
    run: Run,
    sources: Sequence[Source],
    recipe: Recipe,
    saved: Path,
    measure: Callable[[Run, int], None] = lambda run, step: None,
    lora_rate: float = 2e-4,
) -> None:
    """Train and leave the moving average of the weights in `run`; goes on from `saved`, which it writes as it goes.

    AdamW with a linear warm-up and a cosine to zero; `measure` is called with the averaged weights from time to time,
    and the state is saved then, and every few minutes.
    """
    torch.manual_seed(recipe.seed)
    learning = {name: p for name, p in run.named_parameters() if p.requires_grad}
    groups = [
        {
            "params": [p for n, p in learning.items() if not n.startswith("upper") and p.ndim > 1],
            "weight_decay": recipe.decay,
        },
        {"params": [p for n, p in learning.items() if not n.startswith("upper") and p.ndim < 2], "weight_decay": 0.0},
        {
            "params": [p for n, p in learning.items() if n.startswith("upper")],
            "weight_decay": 0.01,
            "scale": lora_rate / recipe.rate,
        },
    ]
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=recipe.rate, betas=(0.9, 0.98))
    average = {name: p.detach().clone() for name, p in learning.items()}
    first = resume(saved, optimizer, learning, average)
    progress: Progress | None = None
    for step, total, source, numbers in epochs(sources, recipe):
        if step < first:
            continue
        progress = progress or Progress(total, first)
        factor = pace(step, total, recipe.warmup)
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * factor * group.get("scale", 1.0)
        run.train()
        # Of the step alone: a run that goes on draws what one that was not stopped draws.
        torch.manual_seed(recipe.seed * 1_000_003 + step)
        batch = collate(
            [source.examples[i] for i in numbers], [source.states[i] for i in numbers], recipe.token_dropout
        )
        value = loss(run(batch), batch.targets, recipe)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(list(learning.values()), 1.0)
        optimizer.step()
        kept = min(recipe.average, (step + 2) / (step + 11))
        for name, p in learning.items():
            average[name].lerp_(p.detach(), 1.0 - kept)
        due = progress.step(step + 1, float(value.detach()))
        if measured := (step + 1) % _MEASURE_EVERY == 0 or step + 1 == total:
            with _exchanged(learning, average):
                measure(run, step + 1)
        if due or measured:
            save(saved, step + 1, optimizer, learning, average)
    with torch.no_grad():
        for name, p in learning.items():
            p.copy_(average[name])


class _exchanged:
    """Puts the averaged weights into the model for a while."""

    def __init__(self, learning: dict[str, nn.Parameter], average: dict[str, torch.Tensor]) -> None:
        self._pairs = [(p, average[name]) for name, p in learning.items()]

    def __enter__(self) -> None:
        self._kept = [p.detach().clone() for p, _ in self._pairs]
        self._put([a for _, a in self._pairs])

    def __exit__(self, *_: object) -> None:
        self._put(self._kept)

    def _put(self, values: list[torch.Tensor]) -> None:
        with torch.no_grad():
            for (p, _), value in zip(self._pairs, values, strict=True):
                p.copy_(value)


def lora(model: Any, layers: tuple[int, ...], rank: int = 16, alpha: int = 32) -> Any:
    """The base model with a new LoRA in float32 on all products of the layers between the last two that are read."""
    return add_lora(model, "poser", range(*layers[-2:]), rank=rank, alpha=alpha)


def load_lora(model: Any, folder: Path) -> None:
    """Give the LoRA that `lora` has put into a model the weights in `folder`, as peft saves them."""
    from peft import set_peft_model_state_dict

    set_peft_model_state_dict(model, load_file(folder / "adapter_model.safetensors"), adapter_name="poser")


def start(reader: SlotReader, sources: Sequence[Source]) -> None:
    """Start the reader's biases from how often each strength of each slot is seen."""
    places = torch.cat([example.targets for source in sources for example in source.examples]) * (BINS - 1)
    often = functional.one_hot(places.round().long(), BINS).float().mean(dim=0)
    with torch.no_grad():
        reader.bias.copy_((often + 1e-3).log())
