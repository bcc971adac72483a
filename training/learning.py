# SPDX-License-Identifier: GPL-3.0-or-later
"""What a training rests on: the faster precision, a LoRA on some of the layers, and the learning rate's pace."""

from __future__ import annotations

import math
from typing import Any

import torch

_PRODUCTS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


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
