# SPDX-License-Identifier: GPL-3.0-or-later
"""Training the planner: a LoRA on the upper layers, so that the base model writes beats as the corpus plays them.

What it learns to write are the corpus's poses in plain words, not its descriptions: those are so varied in their
wording that a small model spends itself on it, and learns little of what a face does when.

A performance is one sequence: the scene, its moments with how many beats each takes, and every beat's description.
Attention makes it a tree: a moment sees the scene, a beat sees the scene and its moment, and nothing sees its
neighbours, since all beats are written at once when the planner is used. So one pass over a performance trains all
its beats.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch.nn import functional

from ..inference import prompts
from ..inference.examples import Examples
from ..inference.plain_words import describe
from ..performance import Performance
from .alignment import align
from .learning import add_lora, pace
from .mirroring import mirror

_SAVE_EVERY = 100
_STEP = "step.json"


@dataclass(frozen=True)
class Tree:
    """A performance as the planner is trained on it.

    `ids` and `positions` (T,); `segments` (T,) the segment of each token and `sees` the segments that a segment sees;
    `labels` (T,) the token that should follow each, or -100.
    """

    ids: tuple[int, ...]
    positions: tuple[int, ...]
    segments: tuple[int, ...]
    sees: tuple[tuple[int, ...], ...]
    labels: tuple[int, ...]


def tree(tokenizer: Any, performance: Performance, like: Performance | None) -> Tree:
    """Build the sequence of one performance."""
    ids: list[int] = []
    positions: list[int] = []
    segments: list[int] = []
    labels: list[int] = []
    sees: list[tuple[int, ...]] = []

    def add(text: str, start: int, seen: tuple[int, ...], answer: str = "") -> int:
        asked, written = _tokens(tokenizer, text), _tokens(tokenizer, answer)
        # The answer's last token predicts nothing, so it need not be read.
        row = asked + written[:-1]
        ids.extend(row)
        positions.extend(range(start, start + len(row)))
        segments.extend([len(sees)] * len(row))
        labels.extend([-100] * (len(row) - len(written)) + written)
        sees.append((*seen, len(sees)))
        return start + len(row)

    brief = performance.brief
    scene = add(prompts.plan_scene(brief, brief.script, like), 0, ())
    played = align(performance)
    for index, moment in enumerate(played):
        parts = min(len(moment.keyframes), prompts.MOST_BEATS)
        number = len(sees)
        # A lone moment says little about how many beats it takes if they were more than can be asked for.
        end = add(prompts.plan_moment(moment.words, index, len(played)), scene, (0,), f" {prompts.NUMBERS[parts - 1]}")
        for part, keyframe in enumerate(moment.keyframes[:parts]):
            text = f" {describe(performance.keyframes[keyframe].pose)}\n"
            add(prompts.plan_beat(part, parts), end, (0, number), text)
    return Tree(tuple(ids), tuple(positions), tuple(segments), tuple(sees), tuple(labels))


def _tokens(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []


def attention(item: Tree) -> torch.Tensor:
    """Which token sees which, (T, T) of bool: earlier ones in segments that its own may see."""
    segments, positions = torch.tensor(item.segments), torch.tensor(item.positions)
    allowed = torch.zeros(len(item.sees), len(item.sees), dtype=torch.bool)
    for segment, seen in enumerate(item.sees):
        allowed[segment, list(seen)] = True
    return allowed[segments][:, segments] & (positions[None] <= positions[:, None])


@dataclass(frozen=True)
class PlannerRecipe:
    """How the planner is trained.

    `frozen` layers from below have no LoRA and need no way back; of the performances, the share `shown` is trained with
    a similar one in sight.
    """

    epochs: float = 1.0
    rate: float = 4e-4
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    frozen: int = 14
    batch: int = 4
    warmup: float = 0.05
    shown: float = 0.7
    seed: int = 1


def lora(model: Any, recipe: PlannerRecipe) -> Any:
    """The base model with a new LoRA in float32 on all products of its upper layers."""
    layers = range(recipe.frozen, model.config.num_hidden_layers)
    return add_lora(model, "planner", layers, rank=recipe.rank, alpha=recipe.alpha, dropout=recipe.dropout)


def losses(model: Any, item: Tree) -> torch.Tensor:
    """Cross-entropy of every labelled token, (labels,)."""
    labels = torch.tensor(item.labels)
    wanted = (labels >= 0).nonzero()[:, 0]
    bias = torch.zeros(1, 1, len(item.ids), len(item.ids), dtype=torch.bfloat16)
    bias.masked_fill_(~attention(item), torch.finfo(torch.bfloat16).min)
    out = model(
        input_ids=torch.tensor([item.ids]),
        position_ids=torch.tensor([item.positions]),
        attention_mask=bias,
        logits_to_keep=wanted,
        use_cache=False,
    )
    return functional.cross_entropy(out.logits[0].float(), labels[wanted], reduction="none")


def train(
    local: Any, performances: Sequence[Performance], dev: Sequence[Performance], recipe: PlannerRecipe, out: Path
) -> None:
    """Train a LoRA and save it into `out`, every _SAVE_EVERY steps too; goes on from what is there."""
    torch.manual_seed(recipe.seed)
    accelerator = Accelerator(cpu=True)
    model = lora(local.model, recipe)
    weights = [p for p in model.parameters() if p.requires_grad]
    per_epoch = len(performances) // recipe.batch
    total = int(per_epoch * recipe.epochs)
    optimizer = torch.optim.AdamW(weights, lr=recipe.rate, betas=(0.9, 0.98), weight_decay=0.01)
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: pace(done, total, recipe.warmup))
    model, optimizer, rates = accelerator.prepare(model, optimizer, rates)
    examples = Examples(performances)
    checked = [tree(local.tokenizer, p, _like(examples, p)) for p in dev]
    first = _resume(accelerator, out)
    begin, seen = time.monotonic(), []
    for step in range(first, total):
        model.train()
        for performance, like in _pick(performances, examples, step, per_epoch, recipe):
            found = losses(model, tree(local.tokenizer, performance, like)).mean()
            accelerator.backward(found / recipe.batch)
            seen.append(float(found.detach()))
        accelerator.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        rates.step()
        optimizer.zero_grad()
        done = step + 1
        if done % _SAVE_EVERY == 0 or done == total:
            left = (time.monotonic() - begin) / (done - first) * (total - done)
            model.eval()
            with torch.inference_mode():
                value = float(torch.cat([losses(model, item) for item in checked]).mean())
            print(
                f"step {done} of {total}: loss {sum(seen) / len(seen):.3f}, dev {value:.3f}, {left:.0f} s left",
                flush=True,
            )
            seen = []
            accelerator.save_state(str(out / "state"))
            model.save_pretrained(out)
            (out / _STEP).write_text(json.dumps({"step": done}), encoding="utf-8")


def _resume(accelerator: Accelerator, out: Path) -> int:
    """Load what an earlier run saved; the step to go on from, 0 if there is nothing."""
    if not (out / _STEP).is_file():
        return 0
    accelerator.load_state(str(out / "state"))
    return int(json.loads((out / _STEP).read_text(encoding="utf-8"))["step"])


def _pick(
    performances: Sequence[Performance], examples: Examples, step: int, per_epoch: int, recipe: PlannerRecipe
) -> list[tuple[Performance, Performance | None]]:
    """The performances of one step, each with a similar one to show; the same for the same step, always."""
    epoch, place = divmod(step, per_epoch)
    order = random.Random(recipe.seed * 1000 + epoch).sample(range(len(performances)), len(performances))
    found = []
    for number in order[place * recipe.batch : (place + 1) * recipe.batch]:
        performance = performances[number]
        shown = random.Random(f"{step}-{number}").random() < recipe.shown
        like = _like(examples, performance) if shown else None
        # In every second epoch the other way round.
        if (number + epoch) % 2:
            performance, like = mirror(performance), like and mirror(like)
        found.append((performance, like))
    return found


def _like(examples: Examples, performance: Performance) -> Performance | None:
    """The nearest other performance; of those whose script is the same words, none."""
    brief = performance.brief
    for found in examples.performances_like(brief.script, brief.emotion, 3):
        if found.brief.id != brief.id and found.brief.script != brief.script:
            return found
    return None
