# SPDX-License-Identifier: GPL-3.0-or-later
"""Which quantization reads fastest here: measured once, since it depends on the processor's instructions.

bf16 is fast only on processors that multiply it in hardware: with AVX-512 twice as fast as fp32, with AVX2 alone five
times slower. bitsandbytes' 4-bit kernels for CPUs save memory more than time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from ...performance import FacescriptError
from ...performance.parsing import read_object
from . import placement
from .local_model import QUANTIZATIONS, LocalModel, Quantization, load

_CHOICE_FILE = "quantization.json"

# A performance's typical work with the embedded model: some 200 tokens are read twice, and none are written.
_PREFILL, _PREFILLS = 200, 2
# int8 was never the fastest where it was measured; it stays a choice for those who want it.
_CANDIDATES: tuple[Quantization, ...] = ("nf4", "bf16", "fp32")


def resolve(name: str, models: Path) -> Quantization:
    """The quantization to load: `auto` is the measured choice that is kept in `models`."""
    if name in QUANTIZATIONS:
        return name  # type: ignore[return-value]
    try:
        found = read_object(models / _CHOICE_FILE, 1 << 16).get("quantization")
    except FacescriptError:
        return "bf16"
    return next((name for name in QUANTIZATIONS if name == found), "bf16")


def fitting(folder: Path, wanted: Quantization, adapter: Path | None = None) -> Quantization:
    """`wanted` if the model in `folder`, with its LoRA, fits into this machine's memory so, else a smaller one.

    Raises FacescriptError (`no_model`, `bad_model`, `bad_adapter`).
    """
    found = placement.fitting(placement.measured(folder, adapter), wanted, placement.this_machine())
    return next(name for name in QUANTIZATIONS if name == found)


def measure(folder: Path) -> Iterator[tuple[Quantization, float]]:
    """Yield each quantization that works here with the seconds that a typical performance would take."""
    for quantization in _CANDIDATES:
        try:
            local = load(folder, quantization)
            yield quantization, _seconds(local)
        except (FacescriptError, RuntimeError, ImportError, NotImplementedError):
            # A kernel that is not built for this machine; the others remain.
            continue


def keep(models: Path, seconds: dict[Quantization, float]) -> Quantization:
    """Choose the fastest and write the choice down in `models`."""
    chosen = min(seconds, key=lambda name: seconds[name])
    text = json.dumps({"quantization": chosen, "seconds": {k: round(v, 3) for k, v in seconds.items()}})
    (models / _CHOICE_FILE).write_text(text, encoding="utf-8")
    return chosen


def _seconds(local: LocalModel) -> float:
    ids = torch.arange(1000, 1000 + _PREFILL, device=local.device)[None]
    spent = []
    with torch.inference_mode():
        # The first run of anything is slower.
        for _ in range(3):
            begin = time.perf_counter()
            local.model(input_ids=ids, logits_to_keep=1)
            spent.append(time.perf_counter() - begin)
    return min(spent) * _PREFILLS
