# SPDX-License-Identifier: GPL-3.0-or-later
"""A LoRA beside a model's own weights, from peft's files, without peft, whose import is a quarter of a cold start.

Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models" (arXiv 2106.09685): a linear layer's output gains
`alpha / rank` times a product with two narrow matrices. Only that plain form is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from ...performance.parsing import read_object

_PREFIX = "base_model.model."
# What would make it another sum, by its plain value.
_PLAIN = {"peft_type": "LORA", "bias": "none", "use_dora": False, "use_rslora": False, "fan_in_fan_out": False}
_PLAIN |= {"lora_bias": False, "alpha_pattern": {}, "rank_pattern": {}, "modules_to_save": None}


class _Switch:
    """Whether the layers of one LoRA add their part."""

    on = True


class Adapted(nn.Module):
    """A linear layer, quantized or not, with its part of a LoRA."""

    def __init__(self, base: nn.Module, down: torch.Tensor, up: torch.Tensor, scale: float, switch: _Switch) -> None:
        """`down` (rank, inputs) and `up` (outputs, rank)."""
        super().__init__()
        self.base = base
        self.down = _linear(down)
        self.up = _linear(up)
        self.scale = scale
        self._switch = switch

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The base layer's output, and the LoRA's where it is on."""
        out = self.base(x)
        if not self._switch.on:
            return out
        part = self.up(self.down(x.to(self.down.weight.dtype))) * self.scale
        return out + part.to(out.dtype)


def _linear(weight: torch.Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight, requires_grad=False)
    return layer


class Lora:
    """A LoRA that was put into a model's layers."""

    def __init__(self, model: Any, folder: Path) -> None:
        """Put the LoRA in `folder` (peft's `adapter_config.json` and `adapter_model.safetensors`) into `model`.

        Raises ValueError, FacescriptError and what safetensors raises, if it is not a plain LoRA for this model.
        """
        config = read_object(folder / "adapter_config.json")
        if odd := [key for key, plain in _PLAIN.items() if config.get(key, plain) != plain]:
            raise ValueError(f"it is not a plain LoRA: {', '.join(odd)}")
        weights = load_file(folder / "adapter_model.safetensors")
        self._switch = _Switch()
        names = {name.removeprefix(_PREFIX).rpartition(".lora_")[0] for name in weights}
        for name in sorted(names):
            down, up = (weights.pop(f"{_PREFIX}{name}.lora_{part}.weight") for part in "AB")
            parent, _, last = name.rpartition(".")
            base = model.get_submodule(name)
            if (up.shape[0], down.shape[1]) != (base.out_features, base.in_features) or up.shape[1] != down.shape[0]:
                raise ValueError(f"the matrices for {name} do not fit")
            # Quantized weights are bytes: there it stays in the file's own precision.
            dtype = base.weight.dtype if base.weight.dtype.is_floating_point else down.dtype
            down, up = (matrix.to(base.weight.device, dtype) for matrix in (down, up))
            adapted = Adapted(base, down, up, config["lora_alpha"] / config["r"], self._switch)
            setattr(model.get_submodule(parent), last, adapted)
        if weights:
            raise ValueError(f"it holds matrices for no layer: {min(weights)}")

    @contextmanager
    def off(self) -> Iterator[None]:
        """The model as it is without the LoRA, for a while."""
        self._switch.on = False
        try:
            yield
        finally:
            self._switch.on = True
