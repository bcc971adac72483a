# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the embedded model performs: five beats posed and planned, against writing JSON and against bare arithmetic.

Plain generation is measured on one keyframe (KeyframeFace's request and answer, as many tokens as the answer has) and
counted five times. Bare arithmetic is every matrix product of the poser's one forward pass, with the same shapes and
type, and nothing between them.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

TARGETS = {"ratio": 200.0, "warm": 4.0, "cold": 10.0, "bare": 3.0, "load": 1.0}

SCRIPT = "You came. (a slow smile) I waited all night. No, don't explain. Just sit down and eat."
BACKGROUND = "A small kitchen at dawn; the table is still laid for two."
EMOTION = "Relief that hides hurt"
DESCRIPTIONS = (
    "The brows lift in the middle and the eyes widen, lips parting on a breath.",
    "A slow smile spreads to the left corner first, cheeks rising, the lids soft.",
    "The smile thins; the gaze drops to the table and the inner brows pull up.",
    "Lips press together, the chin crumples a little, head turned to the right.",
    "Eyes come back, a small closed smile, one brow raised, head tilted to the left.",
)


def bench_embedded(models: Path, quantization: str = "auto") -> dict[str, float]:
    """Measure, print, and return seconds and ratios by name; `models` is the folder of prepared models.

    `auto` is the quantization that Set Up chose here.
    """
    # First the worker's package: it sets how torch's threads wait.
    from ..inference import worker  # noqa: F401, I001
    import torch

    from ..inference.options import ModelOptions
    from ..inference.worker import engine
    from ..inference.worker.backends import make
    from ..inference.worker.quantization import resolve
    from ..performance import Brief
    from .decoding import machine

    quantization = resolve(quantization, models)

    print(f"The embedded model, five beats; {quantization}; {machine()}; torch {torch.__version__}")
    print(f"{time.strftime('%Y-%m-%d %H:%M')}\n")
    found: dict[str, float] = {"cold_first": 0.0, "cold": 0.0}
    found["cold_first"], found["cold"] = _cold(models, quantization)
    found["load"] = _load(models, quantization)
    backend = make(ModelOptions(quantization=quantization), models)
    brief = Brief(SCRIPT, BACKGROUND, EMOTION)
    found["pose"] = _median(lambda: list(backend.pose(brief, DESCRIPTIONS, lambda: None)), 7)
    counts: list[int] = []
    found["warm"] = _median(lambda: counts.append(len(engine.generate(brief, backend, seed=1).keyframes)), 5)
    found["bare"] = _bare(backend)
    found["plain"] = _plain(models, quantization)
    found["ratio"] = found["plain"] / found["pose"]
    found["over_bare"] = found["pose"] / found["bare"]
    rows = (
        ("posing five beats", f"{found['pose']:.3f} s"),
        ("writing their JSON with model.generate", f"{found['plain']:.1f} s"),
        ("ratio", f"{found['ratio']:.0f}x (target {TARGETS['ratio']:.0f}x)"),
        ("bare matrix products of that pass", f"{found['bare']:.3f} s"),
        ("the pass over bare products", f"{found['over_bare']:.1f}x (target {TARGETS['bare']:.0f}x)"),
        (
            f"a script, planned and posed, warm ({counts[-1]} beats)",
            f"{found['warm']:.2f} s (target {TARGETS['warm']:.0f} s)",
        ),
        ("the same from a cold start: first beat", f"{found['cold_first']:.2f} s (target {TARGETS['cold']:.0f} s)"),
        ("the same from a cold start: all", f"{found['cold']:.2f} s"),
        (
            "checking the adapter and loading it into the base",
            f"{found['load']:.2f} s (target {TARGETS['load']:.0f} s)",
        ),
    )
    for name, value in rows:
        print(f"{name:52}{value}")
    return found


def _median(work: Callable[[], object], times: int) -> float:
    # The first run of anything is slower.
    work()
    spent = []
    for _ in range(times):
        begin = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begin)
    return statistics.median(spent)


def _load(models: Path, quantization: str) -> float:
    """Seconds from the loaded base model to the model with its adapter."""
    from ..inference.options import EMBEDDED_MODEL
    from ..inference.worker.backends import EMBEDDED_ADAPTER
    from ..inference.worker.embedded import EmbeddedBackend
    from ..inference.worker.local_model import load

    local = load(models / EMBEDDED_MODEL, quantization)  # type: ignore[arg-type]
    begin = time.perf_counter()
    EmbeddedBackend(local, EMBEDDED_ADAPTER)
    return time.perf_counter() - begin


def _cold(models: Path, quantization: str) -> tuple[float, float]:
    """Seconds from the start of a new worker process to its first beat and to the whole performance."""
    from ..inference import protocol
    from ..inference.client import WorkerClient, worker_command
    from ..inference.options import ModelOptions
    from ..inference.setup.runtime import child_environment
    from ..performance import Brief

    begin = time.perf_counter()
    first = 0.0
    client = WorkerClient(worker_command(Path(sys.executable), models), child_environment())
    try:
        client.request("generate", Brief(SCRIPT, BACKGROUND, EMOTION), ModelOptions(quantization=quantization))
        while True:
            for event in client.poll():
                if isinstance(event, (protocol.BeatFound, protocol.KeyframeMade)) and not first:
                    first = time.perf_counter() - begin
                if isinstance(event, protocol.Failed):
                    raise event.error
                if isinstance(event, protocol.Done):
                    return first, time.perf_counter() - begin
            time.sleep(0.002)
    finally:
        client.close()


def _bare(backend: Any) -> float:
    """Seconds of all matrix products of posing DESCRIPTIONS, one after another."""
    import torch
    from torch import nn
    from torch.nn import functional

    from ..performance import Brief

    shapes: list[tuple[torch.Tensor, torch.Tensor]] = []

    def note(module: nn.Linear, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        rows = inputs[0].reshape(-1, inputs[0].shape[-1])
        shapes.append((torch.randn_like(rows), torch.randn(output.shape[-1], rows.shape[-1], dtype=rows.dtype)))

    hooks = [
        m.register_forward_hook(note) for part in backend.parts for m in part.modules() if isinstance(m, nn.Linear)
    ]
    list(backend.pose(Brief(SCRIPT, BACKGROUND, EMOTION), DESCRIPTIONS, lambda: None))
    for hook in hooks:
        hook.remove()

    def work() -> None:
        for one, other in shapes:
            functional.linear(one, other)

    with torch.inference_mode():
        return _median(work, 7)


def _plain(models: Path, quantization: str) -> float:
    """Seconds of five answers in KeyframeFace's JSON, from one that is generated plainly, greedily and whole."""
    from ..inference import prompts
    from ..inference.options import EMBEDDED_MODEL
    from ..inference.worker.local_model import load
    from ..performance import NEUTRAL
    from .decoding import plain_seconds

    local = load(models / EMBEDDED_MODEL, quantization)  # type: ignore[arg-type]
    count = len(local.tokens(prompts.answer(NEUTRAL, 0)))
    messages = prompts.poser_messages(DESCRIPTIONS, BACKGROUND, EMOTION, 0)
    return len(DESCRIPTIONS) * plain_seconds(local, messages, count)
