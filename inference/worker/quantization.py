# SPDX-License-Identifier: GPL-3.0-or-later
"""Which quantization is fastest here: measured once, since it depends on the processor's instructions.

bitsandbytes' 4-bit kernels for CPUs are fast with AVX-512 and slow without; bf16 is fast only on processors that
multiply it in hardware.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from ...performance import FacescriptError
from .local_model import QUANTIZATIONS, LocalModel, Quantization, load

_CHOICE_FILE = "quantization.json"

# A performance's typical work with the embedded model: 250 tokens are read twice, and 36 written in six rows at once.
_PREFILL, _PREFILLS, _ROWS, _STEPS = 256, 2, 6, 36
# int8 and fp32 were never the fastest where they were measured; they stay a choice for those who want them.
_CANDIDATES: tuple[Quantization, ...] = ("nf4", "bf16", "fp32")


def resolve(name: str, models: Path) -> Quantization:
    """The quantization to load: `auto` is the measured choice that is kept in `models`."""
    if name in QUANTIZATIONS:
        return name  # type: ignore[return-value]
    try:
        found = json.loads((models / _CHOICE_FILE).read_text(encoding="utf-8"))["quantization"]
    except (OSError, ValueError, KeyError, TypeError):
        return "bf16"
    return found if found in QUANTIZATIONS else "bf16"


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
    from transformers import DynamicCache

    ids = torch.arange(1000, 1000 + _PREFILL, device=local.device)[None]
    row = ids[:, :1].expand(_ROWS, 1)
    with torch.inference_mode():
        local.model(input_ids=ids)
        cache = DynamicCache(config=local.model.config)
        begin = time.perf_counter()
        local.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        read = time.perf_counter()
        cache.batch_repeat_interleave(_ROWS)
        local.model(input_ids=row, past_key_values=cache, use_cache=True)
        repeated = time.perf_counter()
        for _ in range(4):
            local.model(input_ids=row, past_key_values=cache, use_cache=True)
        end = time.perf_counter()
    return (read - begin) * _PREFILLS + (end - repeated) / 4 * _STEPS
