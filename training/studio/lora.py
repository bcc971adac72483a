# SPDX-License-Identifier: GPL-3.0-or-later
"""A LoRA for any model in a folder, on KeyframeFace's request: one example a keyframe, as `inference.prompts` words it.

The loss is the cross-entropy of the answer's tokens alone: half of it of those that decoding chooses, and half of all
the others. Those - keys, points, the 0 after a 1 - are four in five and decoding forces them: in a mean over all tokens
the loss falls while they are learned, and values hardly count. They are not left out, since servers write them, and
since decoding looks at how an answer begins. Of a model in 4 bits only the LoRA learns (Dettmers et al. 2023, "QLoRA",
arXiv 2305.14314). The result is in peft's form, and is chosen as the Adapter Folder.
"""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Iterator, Mapping, Sequence
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
from ...inference.worker import hub_cache
from ...inference.worker.holes import first_hole, holes_of
from ...inference.worker.local_backend import LocalBackend
from ...inference.worker.local_model import LocalModel
from ...performance import FacescriptError, Performance, Pose
from ...performance.parsing import read_object
from ..learning import Progress, copy_lora, pace, resume, save
from ..metrics import Figures, figures
from . import card
from .data import in_parts
from .task import Row, Task

# Held-out requests whose loss is measured, and performances whose poses are decoded, which is slow.
_MEASURED, _DECODED = 64, 4
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
    """One keyframe asked for: the tokens up to where the answer begins, those of the answer and its end, and which of
    these are chosen when a value is decoded."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]
    values: tuple[bool, ...]


def requests(local: LocalModel, performances: Sequence[Performance]) -> list[Request]:
    """A request for each keyframe. Raises FacescriptError (`long_text`) for one that the model cannot read whole."""
    writer = _Writer(local)
    end = [local.tokenizer.eos_token_id] if local.tokenizer.eos_token_id is not None else []
    found = []
    for performance in performances:
        texts = [keyframe.text for keyframe in performance.keyframes]
        brief = performance.brief
        for number, keyframe in enumerate(performance.keyframes):
            messages = prompts.poser_messages(texts, brief.background, brief.emotion, number)
            answer = [*local.answer_tokens(prompts.answer(keyframe.pose, number)), *end]
            # In its place an answer may begin with other tokens than alone: they are of the key before any value.
            chosen = [*[False] * len(answer), *writer.values(keyframe.pose, number), *[False] * len(end)]
            request = Request(tuple(local.chat_tokens(messages)), tuple(answer), tuple(chosen[-len(answer) :]))
            if len(request.prompt) + len(request.answer) > local.context:
                raise FacescriptError(
                    "long_text",
                    f"Keyframe {number + 1} of {brief.id or brief.script[:40]!r} takes "
                    f"{len(request.prompt) + len(request.answer)} tokens; the model reads {local.context}.",
                    "Shorten the descriptions, or choose a model that reads more.",
                )
            found.append(request)
    return found


class _Writer:
    """Tells which tokens of an answer decoding chooses: those of values, where more than one may follow."""

    def __init__(self, local: LocalModel) -> None:
        self._local = local
        try:
            self._holes = holes_of(local.spelled)
        except ValueError as error:
            raise self._unlike(str(error)) from error

    def values(self, pose: Pose, index: int) -> list[bool]:
        """Of each token of the answer for keyframe `index` whether it is chosen, and not forced."""
        text = prompts.answer(pose, index)
        written = self._local.tokens(text)
        found: list[bool] = []
        tokens: list[int] = []
        numbers = json.loads(text).popitem()[1].values()
        for hole, value in zip((first_hole(self._local.spelled, index), *self._holes[1:]), numbers, strict=True):
            option = hole.nearest(value)
            tokens += [*hole.key, *option]
            found += [False] * len(hole.key)
            found += [len(hole.next_tokens(option[:place])) > 1 for place in range(len(option))]
        if written[: len(tokens)] != tokens:
            raise self._unlike("an answer's tokens are others as a whole than value by value")
        return found + [False] * (len(written) - len(tokens))

    def _unlike(self, why: str) -> FacescriptError:
        what = f"The tokenizer of the model in {self._local.folder} cannot write numbers: {why}."
        return FacescriptError("bad_model", what, "Choose another model.")


def loss(model: Any, request: Request) -> torch.Tensor:
    """The cross-entropy of the answer, in nats: half the mean of the values' tokens, half that of the others."""
    each, values = losses(model, request)
    return (each[values].mean() + each[~values].mean()) / 2


def losses(model: Any, request: Request) -> tuple[torch.Tensor, torch.Tensor]:
    """The cross-entropy of each of the answer's tokens, in nats, and which of them are values'."""
    device = model.get_input_embeddings().weight.device
    ids = torch.tensor([[*request.prompt, *request.answer]], device=device)
    count = len(request.answer)
    # The last one is followed by nothing.
    logits = model(input_ids=ids, use_cache=False, logits_to_keep=count + 1).logits[0, :-1]
    each = functional.cross_entropy(logits.float(), ids[0, -count:].to(logits.device), reduction="none")
    return each, torch.tensor(request.values, device=each.device)


def train(task: Task, local: LocalModel, recipe: Recipe) -> list[Row]:
    """Train, and leave the LoRA in `task.out`; the figures before and after.

    Goes on where the same task was stopped. Raises FacescriptError (`exists`, `long_text`).
    """
    noted = task.begin()
    learned = requests(local, in_parts(task.data.train))
    if not noted:
        # Of the model alone, as it performs for whoever has no adapter: with worked examples.
        noted = {"before": _measured(local, task, LocalBackend(local, Examples.load(), trained=False)).to_dict()}
        task.note(**noted)
    trained = replace(local, model=with_lora(local, recipe, task.seed))
    _learn(trained.model, learned, recipe, task.seed, task.work / "state.safetensors")
    after = _measured(trained, task, LocalBackend(trained, Examples([]), trained=True))
    rows = _Measured.from_dict(noted["before"]).rows(after)
    trained.model.save_pretrained(task.work / "lora")
    with task.result() as folder:
        copy_lora(task.work / "lora", folder, local.name)
        card.write(folder, local.name, task, rows)
    return rows


def steps(recipe: Recipe, keyframes: int) -> int:
    """How many steps a training on so many keyframes has."""
    return max(1, round(recipe.epochs * math.ceil(keyframes / recipe.accumulate)))


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
    total = steps(recipe, len(learned))
    print(
        f"Training: {total} steps of {recipe.accumulate} keyframes" + (f", {first} are done" if first else ""),
        flush=True,
    )
    progress = Progress(total, first)
    for step, batch in enumerate(_batches(learned, recipe.accumulate, total, seed)):
        if step < first:
            continue
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * pace(step, total, recipe.warmup)
        # Of the step alone: a run that goes on draws what one that was not stopped draws.
        torch.manual_seed(seed * 1_000_003 + step)
        optimizer.zero_grad(set_to_none=True)
        seen = []
        for request in batch:
            value = loss(model, request)
            (value / len(batch)).backward()
            seen.append(float(value.detach()))
        nn.utils.clip_grad_norm_(list(weights.values()), 1.0)
        optimizer.step()
        if progress.step(step + 1, float(np.mean(seen))):
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


@dataclass(frozen=True)
class _Measured:
    """The mean cross-entropy of a value's token on held-out requests, in nats, and the errors of decoded poses."""

    values: float
    poses: Figures

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> _Measured:
        return cls(found["values"], Figures(**found["poses"]))

    def rows(self, after: _Measured) -> list[Row]:
        lost = Row("loss of a value's token, asked as the adapter is", f"{self.values:.4f}", f"{after.values:.4f}")
        return [lost, Row.of("poses of your held-out performances", self.poses, after.poses)]


def _measured(local: LocalModel, task: Task, backend: LocalBackend) -> _Measured:
    """The loss on held-out requests, and the errors of poses as the product decodes them with this backend."""
    held = in_parts(task.data.held)
    local.model.eval()
    asked = requests(local, held)[:_MEASURED]
    decoded = held[:_DECODED]
    count = sum(len(performance.keyframes) for performance in decoded)
    print(f"Measuring: {len(asked)} held-out keyframes are read, {count} are posed", flush=True)
    with torch.inference_mode():
        found = [losses(local.model, request) for request in asked]
    lost = float(torch.cat([each[values] for each, values in found]).mean())
    return _Measured(lost, _decoded(backend, decoded))


def _decoded(backend: LocalBackend, held: Sequence[Performance]) -> Figures:
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
    found = {"base": hub_cache.name(base), "base_digest": _digest(base), "quantization": quantization}
    # A training that was stopped before the loss was this one is another.
    return found | {"loss": "values and the rest by halves"} | asdict(recipe)


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
