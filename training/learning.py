# SPDX-License-Identifier: GPL-3.0-or-later
"""What a training rests on: the faster precision, LoRAs, the learning rate's pace, a state that survives a kill, and
word of how far it is."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from ..inference.worker.weights import save_weights

_PRODUCTS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


# From one line on the terminal to the next, and from one saved state to the next.
SAY_SECONDS, SAVE_SECONDS = 30.0, 120.0


def fast_bf16() -> bool:
    """Whether 16-bit products are faster than 32-bit ones: without AVX-512 they are five times slower on a CPU."""
    return torch.backends.cpu.get_cpu_capability().startswith("AVX512")


def add_lora(model: Any, name: str, layers: range, *, rank: int, alpha: int, dropout: float = 0.0) -> Any:
    """The base model with a new LoRA in float32 on all products of `layers`."""
    from peft import LoraConfig, get_peft_model

    # Torch's own attention is slower on the way back, in 16 bits on a CPU.
    model.set_attn_implementation("eager")
    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        lora_dropout=dropout,
        target_modules=_PRODUCTS,
        layers_to_transform=list(layers),
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config, adapter_name=name, autocast_adapter_dtype=True)


def pace(done: int, total: int, warmup: float) -> float:
    """The learning rate's share of its highest: a linear warm-up, then a cosine to zero."""
    return min(1.0, (done + 1) / max(1.0, warmup * total)) * (0.5 + 0.5 * math.cos(math.pi * min(1.0, done / total)))


class Progress:
    """Says by the clock how far a training is: after its first step what is left, and then every half minute."""

    def __init__(self, total: int, first: int) -> None:
        """`total` steps, of which `first` were done before."""
        self._total, self._first = total, first
        self._begun = self._said = self._saved = time.monotonic()
        self._losses: list[float] = []

    def step(self, done: int, loss: float) -> bool:
        """Take in that `done` steps are done, the last with this loss; whether it is time to save the state."""
        self._losses.append(loss)
        now, ended = time.monotonic(), done == self._total
        if ended or done == self._first + 1 or now - self._said >= SAY_SECONDS:
            left = (now - self._begun) / (done - self._first) * (self._total - done)
            mean = sum(self._losses) / len(self._losses)
            print(f"step {done} of {self._total}: loss {mean:.4f}, about {in_words(left)} left", flush=True)
            self._said, self._losses = now, []
        if not ended and now - self._saved < SAVE_SECONDS:
            return False
        self._saved = now
        return True


def in_words(seconds: float) -> str:
    """A time in the largest unit that leaves it above 2."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def copy_lora(source: Path, folder: Path, base: str) -> None:
    """Copy a LoRA as peft saves it, in 16 bits, with `base` as its base model's name."""
    weights = load_file(source / "adapter_model.safetensors")
    in_16 = {name: weight.to(torch.bfloat16).contiguous() for name, weight in weights.items()}
    save_weights(in_16, folder / "adapter_model.safetensors")
    config = json.loads((source / "adapter_config.json").read_text(encoding="utf-8"))
    # peft writes down where the base model was on the machine that trained.
    config["base_model_name_or_path"] = base
    # A set's order differs from run to run.
    config["target_modules"] = sorted(config["target_modules"])
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (folder / "adapter_config.json").write_text(text, encoding="utf-8")


Weights = Mapping[str, torch.Tensor]


def save(path: Path, step: int, optimizer: Any, learning: Weights, average: Weights) -> None:
    """Keep the state of a training after `step` steps: weights, their `average` if there is one, the optimizer's."""
    flat = {f"weight:{name}": p.detach() for name, p in learning.items()}
    flat |= {f"average:{name}": value for name, value in average.items()}
    for number, state in optimizer.state_dict()["state"].items():
        flat |= {f"optimizer:{number}:{key}": torch.as_tensor(value) for key, value in state.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_weights({key: value.contiguous() for key, value in flat.items()}, partial, metadata={"step": json.dumps(step)})
    on_disk(partial)
    partial.replace(path)


def on_disk(path: Path) -> None:
    """Wait until a file is on the disk: a name may get there before what is in it, and the power may fail between."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def resume(path: Path, optimizer: Any, learning: Weights, average: Weights) -> int:
    """Load what `save` wrote; the step to go on from, 0 if there is nothing, or nothing that can be read."""
    step = saved_step(path)
    if not step:
        if path.is_file():
            print(f"{path} cannot be read: this part of the training begins anew.", flush=True)
        return 0
    flat = load_file(path)
    with torch.no_grad():
        for name, p in learning.items():
            p.copy_(flat[f"weight:{name}"])
        for name, value in average.items():
            value.copy_(flat[f"average:{name}"])
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in flat.items():
        if key.startswith("optimizer:"):
            _, number, name = key.split(":")
            state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    return step


def saved_step(path: Path) -> int:
    """After how many steps a state was saved; 0 if there is none, or none that can be read."""
    try:
        with safe_open(path, "pt") as stream:
            return int(json.loads((stream.metadata() or {})["step"]))
    # Cut short, as a full disk leaves it, or no state.
    except (OSError, SafetensorError, ValueError, KeyError):
        return 0
