# SPDX-License-Identifier: GPL-3.0-or-later
"""A LoRA for any model in a folder, on KeyframeFace's request: one example a keyframe, as `inference.prompts` words it.

The loss is the cross-entropy of the answer's tokens alone; of a model in 4 bits only the LoRA learns (Dettmers et al.
2023, "QLoRA", arXiv 2305.14314). The result is in peft's form, and is chosen as the Adapter Folder.
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ...inference import prompts
from ...inference.examples import Examples
from ...inference.footprint import footprint
from ...inference.worker.local_backend import LocalBackend
from ...inference.worker.local_model import LocalModel
from ...performance import FacescriptError, Performance
from ...performance.parsing import read_object
from ..learning import copy_lora, pace, resume, save
from ..metrics import Figures, figures
from . import card
from .data import in_parts
from .task import Row, Task

# Held-out requests whose loss is measured, and performances whose poses are decoded, which is slow.
_MEASURED, _DECODED = 64, 4
# Steps from one saved state to the next.
_SAVE_EVERY = 10
# What is looked at of a file of weights, to know it again: so many places, and bytes at each.
_SAMPLES, _SAMPLE = 64, 4096
# Tokens of a long answer, and bytes for torch itself.
_ANSWER, _ROOM = 1024, 1 << 30


@dataclass(frozen=True)
class Recipe:
    """How a LoRA is trained: `rank`, `alpha` and `dropout` are peft's, `accumulate` is how many requests one step of
    AdamW sees."""

    epochs: float = 3.0
    rate: float = 2e-4
    accumulate: int = 8
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.05
    warmup: float = 0.05


@dataclass(frozen=True)
class Request:
    """One keyframe asked for: the tokens up to where the answer begins, and those of the answer and its end."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]


def requests(local: LocalModel, performances: Sequence[Performance]) -> list[Request]:
    """A request for each keyframe. Raises FacescriptError (`long_text`) for one that the model cannot read whole."""
    end = [local.tokenizer.eos_token_id] if local.tokenizer.eos_token_id is not None else []
    found = []
    for performance in performances:
        texts = [keyframe.text for keyframe in performance.keyframes]
        brief = performance.brief
        for number, keyframe in enumerate(performance.keyframes):
            messages = prompts.poser_messages(texts, brief.background, brief.emotion, number)
            answer = local.answer_tokens(prompts.answer(keyframe.pose, number))
            request = Request(tuple(local.chat_tokens(messages)), (*answer, *end))
            if len(request.prompt) + len(request.answer) > local.context:
                raise FacescriptError(
                    "long_text",
                    f"Keyframe {number + 1} of {brief.id or brief.script[:40]!r} takes "
                    f"{len(request.prompt) + len(request.answer)} tokens; the model reads {local.context}.",
                    "Shorten the descriptions, or choose a model that reads more.",
                )
            found.append(request)
    return found


def loss(model: Any, request: Request) -> torch.Tensor:
    """The mean cross-entropy of the answer's tokens, in nats."""
    device = model.get_input_embeddings().weight.device
    ids = torch.tensor([[*request.prompt, *request.answer]], device=device)
    count = len(request.answer)
    # The last one is followed by nothing.
    logits = model(input_ids=ids, use_cache=False, logits_to_keep=count + 1).logits[0, :-1]
    return functional.cross_entropy(logits.float(), ids[0, -count:].to(logits.device))


def train(task: Task, local: LocalModel, recipe: Recipe) -> list[Row]:
    """Train, and leave the LoRA in `task.out`; the figures before and after.

    Goes on where the same task was stopped. Raises FacescriptError (`exists`, `long_text`).
    """
    noted = task.begin()
    learned = requests(local, in_parts(task.data.train))
    model = with_lora(local, recipe, task.seed)
    trained = replace(local, model=model)
    if not noted:
        noted = {"before": _measured(trained, task)}
        task.note(**noted)
    _learn(model, learned, recipe, task.seed, task.work / "state.safetensors")
    before, after = noted["before"], _measured(trained, task)
    rows = [Row(f"{what}, your held-out performances", before[what], after[what]) for what in before]
    model.save_pretrained(task.work / "lora")
    with task.result() as folder:
        copy_lora(task.work / "lora", folder, local.folder.name)
        card.write(folder, local.folder.name, task, rows)
    return rows


def with_lora(local: LocalModel, recipe: Recipe, seed: int) -> Any:
    """The model with a new LoRA in 32 bits on all linear layers but the last.

    What its layers pass on is computed again on the way back rather than kept (Chen et al. 2016, arXiv 1604.06174).
    """
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training

    model, again = local.model, {"use_reentrant": False}
    if local.quantization in ("nf4", "int8"):
        model = prepare_model_for_kbit_training(model, gradient_checkpointing_kwargs=again)
    elif model.supports_gradient_checkpointing:
        model.gradient_checkpointing_enable(again)
    torch.manual_seed(seed)
    config = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


def _learn(model: Any, learned: Sequence[Request], recipe: Recipe, seed: int, state: Path) -> None:
    """AdamW with a linear warm-up and a cosine to zero; goes on from `state`, which it writes as it goes."""
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(weights.values(), lr=recipe.rate, betas=(0.9, 0.98), weight_decay=0.0)
    first = resume(state, optimizer, weights, {})
    total = max(1, round(recipe.epochs * math.ceil(len(learned) / recipe.accumulate)))
    begin, seen = time.monotonic(), []
    for step, batch in enumerate(_batches(learned, recipe.accumulate, total, seed)):
        if step < first:
            continue
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * pace(step, total, recipe.warmup)
        # Of the step alone: a run that goes on draws what one that was not stopped draws.
        torch.manual_seed(seed * 1_000_003 + step)
        optimizer.zero_grad(set_to_none=True)
        for request in batch:
            value = loss(model, request)
            (value / len(batch)).backward()
            seen.append(float(value.detach()))
        nn.utils.clip_grad_norm_(list(weights.values()), 1.0)
        optimizer.step()
        if (step + 1) % _SAVE_EVERY == 0 or step + 1 == total:
            left = (time.monotonic() - begin) / (step + 1 - first) * (total - step - 1)
            print(f"step {step + 1} of {total}: loss {np.mean(seen):.4f}, {left:.0f} s left", flush=True)
            seen = []
            save(state, step + 1, optimizer, weights, {})
    model.eval()


def _batches(learned: Sequence[Request], size: int, total: int, seed: int) -> Iterator[list[Request]]:
    """`total` batches: all requests once an epoch, in another order each time."""
    draw = random.Random(seed)
    done = 0
    while done < total:
        order = draw.sample(range(len(learned)), len(learned))
        for start in range(0, len(order), size)[: total - done]:
            yield [learned[number] for number in order[start : start + size]]
            done += 1


def _measured(local: LocalModel, task: Task) -> dict[str, str]:
    """The loss on held-out requests, and the errors of poses as the product decodes them, in words."""
    held = in_parts(task.data.held)
    local.model.eval()
    asked = requests(local, held)[:_MEASURED]
    with torch.inference_mode():
        lost = float(np.mean([float(loss(local.model, request)) for request in asked]))
    return {"loss of an answer's token": f"{lost:.4f}", "poses": str(_decoded(local, held[:_DECODED]))}


def _decoded(local: LocalModel, held: Sequence[Performance]) -> Figures:
    backend = LocalBackend(local, Examples([]), trained=True)
    found = [
        pose.values
        for performance in held
        for pose in backend.pose(performance.brief, [k.text for k in performance.keyframes], lambda: None)
    ]
    return figures(np.stack(found), np.concatenate([performance.poses for performance in held]))


def memory_needed(base: Path, quantization: str, rank: int) -> int:
    """About how many bytes a training takes, told from the base's files alone. Raises FacescriptError (`bad_model`)."""
    found = footprint(base)
    vocabulary = int(read_object(base / "config.json", 64 << 20, 8_000_000).get("vocab_size") or 0)
    # The probabilities of an answer's tokens in 32 bits, their logarithms and what is passed back.
    answer = 3 * 4 * _ANSWER * vocabulary
    # A LoRA grows with a matrix's sides, not its size; 16 bytes a weight: its value, its gradient, and AdamW's two.
    learned = 16 * 2 * rank * math.isqrt(found.widest) * max(1, found.linear // max(1, found.widest))
    return found.needed(quantization, rows=2) + answer + learned + _ROOM


def settings(recipe: Recipe, base: Path, quantization: str) -> dict[str, Any]:
    """What decides a LoRA beside its data, as a task keeps it."""
    return {"base": base.name, "base_digest": _digest(base), "quantization": quantization} | asdict(recipe)


def _digest(base: Path) -> str:
    """The same for the same base: of its configuration, the headers of its weights, and a little of the weights from
    all over their files, since models that go on from the same one have the same headers."""
    found = hashlib.sha256((base / "config.json").read_bytes())
    for path in sorted(base.glob("*.safetensors")):
        size = path.stat().st_size
        found.update(f"{path.name} {size} ".encode())
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            found.update(stream.read(length))
            for place in range(_SAMPLES):
                stream.seek(8 + length + (size - 8 - length) * place // _SAMPLES)
                found.update(stream.read(_SAMPLE))
    return found.hexdigest()[:16]
