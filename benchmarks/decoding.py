# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast a pose is decoded: the skeleton decoder against plain `model.generate` of KeyframeFace's JSON.

Both have the same model, the same prompt (KeyframeFace's request after one worked example, as the embedded model
gets it) and the same machine, in one run. A model that was not trained on this task may stop early or go on for
ever, so plain generation is made to write exactly as many tokens as the answer has.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..inference.prompts import Messages
    from ..inference.worker.local_model import LocalModel

TARGET = 5.0

_TEXTS = (
    "Both brows shoot up, the eyes widen and the jaw drops.",
    "Inner brows pinch upward, lids lower, the lips press thin.",
    "Head tilts to the left, one mouth corner pulls into a smirk.",
)
_BACKGROUND = "A rented flat at night; the landlord is at the door."
_EMOTION = "Alarm that turns into contempt"


@dataclass(frozen=True)
class Result:
    """Seconds per keyframe of one quantization.

    `cold` reads the whole prompt each time, `shared` keeps the cache of what the prompts of one performance have in
    common, `plain` is `model.generate` of `tokens` tokens.
    """

    quantization: str
    cold: float
    shared: float
    plain: float
    tokens: int

    @property
    def ratio(self) -> float:
        """How many times faster a keyframe of a performance is than plain generation."""
        return self.plain / self.shared


def bench_decoding(models: Path, quantizations: Sequence[str] = ("nf4", "bf16")) -> list[Result]:
    """Measure, print a table, and return its rows; `models` is the folder of prepared models. Takes some minutes."""
    # First the worker's package: it sets how torch's threads wait.
    from ..inference import worker  # noqa: F401, I001
    import torch

    from ..inference.options import EMBEDDED_MODEL

    print("Seconds per keyframe: skeleton decoder against model.generate (greedy, same prompt, as many tokens)")
    print(f"{EMBEDDED_MODEL}; {machine()}; torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{time.strftime('%Y-%m-%d %H:%M')}\n")
    print(f"{'':6}{'skeleton, cold':>16}{'skeleton':>10}{'generate':>10}{'tokens':>8}{'ratio':>8}")
    results = []
    for quantization in quantizations:
        results.append(_measure(models / EMBEDDED_MODEL, quantization))
        r = results[-1]
        row = f"{r.quantization:6}{r.cold:16.2f}{r.shared:10.2f}{r.plain:10.2f}{r.tokens:8d}{r.ratio:7.1f}x"
        print(row, flush=True)
    print(f"\nThe target is {TARGET:.0f}x per keyframe.")
    return results


def _measure(folder: Path, quantization: str) -> Result:
    from ..inference import prompts
    from ..inference.examples import Examples
    from ..inference.worker.local_model import load
    from ..inference.worker.skeleton import SkeletonDecoder

    local = load(folder, quantization)  # type: ignore[arg-type]
    examples = Examples.load()
    requests = []
    for index, text in enumerate(_TEXTS):
        [(performance, keyframe)] = examples.keyframes_like(text, 1)
        brief = performance.brief
        worked = [(keyframe.text, brief.background, brief.emotion, keyframe.pose)]
        messages = prompts.poser_messages(_TEXTS, _BACKGROUND, _EMOTION, index, worked)
        requests.append((messages, index, keyframe.pose))
    # The first run of anything is slower.
    SkeletonDecoder(local).decode(*requests[0])

    begin = time.perf_counter()
    poses = [SkeletonDecoder(local).decode(*request) for request in requests]
    cold = (time.perf_counter() - begin) / len(requests)

    decoder = SkeletonDecoder(local)
    begin = time.perf_counter()
    for request in requests:
        decoder.decode(*request)
    shared = (time.perf_counter() - begin) / len(requests)

    messages, index, _ = requests[0]
    count = len(local.tokens(prompts.answer(poses[0], index)))
    return Result(quantization, cold, shared, plain_seconds(local, messages, count), count)


def plain_seconds(local: LocalModel, messages: Messages, count: int) -> float:
    """Seconds of greedy `model.generate` of exactly `count` tokens after a conversation."""
    import torch

    ids = torch.tensor([local.chat_tokens(messages)], device=local.device)
    begin = time.perf_counter()
    out = local.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        min_new_tokens=count,
        max_new_tokens=count,
        pad_token_id=local.tokenizer.eos_token_id,
    )
    spent = time.perf_counter() - begin
    assert out.shape[1] == ids.shape[1] + count
    return spent


def machine() -> str:
    import os

    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name}, {os.cpu_count()} cores"
