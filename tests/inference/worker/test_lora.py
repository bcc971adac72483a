# SPDX-License-Identifier: GPL-3.0-or-later
"""A LoRA from peft's files does what it does with peft."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import pytest

pytest.importorskip("torch")

import torch
from facescript.inference.options import EMBEDDED_MODEL
from facescript.inference.worker.adapter import LORA
from facescript.inference.worker.backends import EMBEDDED_ADAPTER
from facescript.inference.worker.local_model import load
from facescript.inference.worker.lora import Lora
from safetensors.torch import load_file, save_file
from torch import nn

IDS = torch.tensor([[1, 42, 7, 300, 12, 99]])


class Layered(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 3)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def written(folder: Path, **config: object) -> Path:
    torch.manual_seed(0)
    matrices = {"lora_A": torch.randn(2, 4), "lora_B": torch.randn(3, 2)}
    save_file(
        {f"base_model.model.layers.1.{name}.weight": matrix for name, matrix in matrices.items()},
        folder / "adapter_model.safetensors",
    )
    plain = {"peft_type": "LORA", "r": 2, "lora_alpha": 6}
    (folder / "adapter_config.json").write_text(json.dumps(plain | config))
    return folder


def test_a_layers_output_gains_the_scaled_product(tmp_path: Path) -> None:
    model = Layered()
    x = torch.randn(5, 4)
    inner, before = model.layers[0](x), model(x)
    lora = Lora(model, written(tmp_path))
    found = load_file(tmp_path / "adapter_model.safetensors")
    down, up = (found[f"base_model.model.layers.1.lora_{part}.weight"] for part in "AB")
    assert torch.allclose(model(x), before + 3.0 * inner @ down.T @ up.T, atol=1e-5)
    with lora.off():
        assert torch.equal(model(x), before)
    assert not torch.allclose(model(x), before)


def test_it_is_on_again_after_an_error(tmp_path: Path) -> None:
    model = Layered()
    lora = Lora(model, written(tmp_path))
    with_it = model(torch.ones(1, 4))
    with pytest.raises(KeyboardInterrupt), lora.off():
        raise KeyboardInterrupt
    assert torch.equal(model(torch.ones(1, 4)), with_it)


@pytest.mark.parametrize(
    "config",
    [{"use_dora": True}, {"use_rslora": True}, {"peft_type": "IA3"}, {"bias": "all"}, {"rank_pattern": {"x": 4}}],
)
def test_what_is_not_a_plain_lora_is_refused(tmp_path: Path, config: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"not a plain LoRA: {next(iter(config))}"):
        Lora(Layered(), written(tmp_path, **config))


def test_matrices_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    model = Layered()
    model.layers[1] = nn.Linear(4, 5)
    with pytest.raises(ValueError, match=r"layers\.1 do not fit"):
        Lora(model, written(tmp_path))


def states(model: Any) -> list[torch.Tensor]:
    with torch.inference_mode():
        return list(model(input_ids=IDS, output_hidden_states=True, use_cache=False).hidden_states)


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("quantization", ["fp32", "nf4"])
def test_the_shipped_lora_does_what_it_does_with_peft(
    models: Path, tmp_path: Path, quantization: Literal["fp32", "nf4"]
) -> None:
    from peft import PeftModel

    folder = tmp_path / LORA
    shutil.copytree(EMBEDDED_ADAPTER / LORA, folder)
    local = load(models / EMBEDDED_MODEL, quantization)
    plain = states(local.model)
    lora = Lora(local.model, folder)
    ours = states(local.model)
    with lora.off():
        assert all(torch.equal(one, other) for one, other in zip(states(local.model), plain, strict=True))
    fresh = load(models / EMBEDDED_MODEL, quantization)
    theirs = states(PeftModel.from_pretrained(fresh.model, folder, autocast_adapter_dtype=False).eval())
    for one, other in zip(ours, theirs, strict=True):
        # Most of a hidden state is a few numbers that are very large: held against what is usual.
        assert float((one - other).abs().max()) <= 1e-5 * float(other.abs().mean())
    assert float((ours[-1] - plain[-1]).abs().max()) > 0.1
