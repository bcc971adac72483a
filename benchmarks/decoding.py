# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast poses are decoded: the skeleton decoder against plain `model.generate` of KeyframeFace's JSON.

Both have the same model, the same prompts (KeyframeFace's request after one worked example, as a model gets it that was
not trained on the request) and the same machine, in one run: one keyframe, and five of one performance, which plain
generation writes one after another, as one request a keyframe means. A model that was not trained on this task may
stop early or go on for ever, so plain generation's rate is taken from fewer tokens than an answer has.
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
    from ..inference.worker.skeleton import Request

TARGET = 5.0

_TEXTS = (
    "Both brows shoot up, the eyes widen and the jaw drops.",
    "Inner brows pinch upward, lids lower, the lips press thin.",
    "Head tilts to the left, one mouth corner pulls into a smirk.",
    "The smile fades; the gaze drops to the floor.",
    "Nose wrinkles, the upper lip lifts, the eyes narrow.",
)
_BACKGROUND = "A rented flat at night; the landlord is at the door."
_EMOTION = "Alarm that turns into contempt"

# Tokens that plain generation writes to tell its rate; the first of them reads the prompt.
_WRITTEN = 64


@dataclass(frozen=True)
class Result:
    """Seconds of one quantization.

    `one` and `five` are what the skeleton decoder takes for one keyframe and for five, each with its prompt; `expected`
    the same five as expected values. `prompt` is what `model.generate` takes until its first token, `token` for each
    after it, and an answer has `tokens`. `same` of `values` are equal in five keyframes side by side and one by one.
    """

    quantization: str
    one: float
    five: float
    expected: float
    prompt: float
    token: float
    tokens: int
    same: int
    values: int

    @property
    def plain(self) -> float:
        """Seconds of plain generation for one keyframe."""
        return self.prompt + self.token * (self.tokens - 1)

    @property
    def ratios(self) -> tuple[float, float]:
        """How many times faster the skeleton decoder is: for one keyframe, and for five."""
        return self.plain / self.one, len(_TEXTS) * self.plain / self.five

    def row(self) -> str:
        """One line of the table."""
        times = f"{self.one:8.1f}{self.five:8.1f}{self.expected:10.1f}{self.plain:10.1f}{len(_TEXTS) * self.plain:9.1f}"
        rates = f"{self.tokens / self.one:9.0f}{len(_TEXTS) * self.tokens / self.five:8.0f}{1 / self.token:8.1f}"
        one, five = self.ratios
        return f"{self.quantization:6}{times}{rates}{one:9.1f}x{five:7.1f}x{self.same:8d}/{self.values}"


def bench_decoding(models: Path, quantizations: Sequence[str] = ("nf4", "bf16", "fp32")) -> list[Result]:
    """Measure, print a table, and return its rows; `models` is the folder of prepared models. Takes some minutes."""
    # First the worker's package: it sets how torch's threads wait.
    from ..inference import worker  # noqa: F401, I001
    import torch

    from ..inference.options import EMBEDDED_MODEL

    print("Skeleton decoder against model.generate (greedy, the same prompts, as many tokens), seconds and tokens/s")
    print(f"{EMBEDDED_MODEL}; {machine()}; torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{time.strftime('%Y-%m-%d %H:%M')}\n")
    print(f"{'':6}{'skeleton':>16}{'':10}{'generate':>19}{'tokens/s':>25}{'ratio':>18}{'equal':>12}")
    head = f"{'':6}{'one':>8}{'five':>8}{'expected':>10}{'one':>10}{'five':>9}{'one':>9}{'five':>8}{'plain':>8}"
    print(f"{head}{'one':>10}{'five':>8}")
    results = []
    for quantization in quantizations:
        results.append(_measure(models / EMBEDDED_MODEL, quantization))
        print(results[-1].row(), flush=True)
    print(f"\nThe target is {TARGET:.0f} times as fast. Equal: values of five keyframes side by side and one by one.")
    return results


def _measure(folder: Path, quantization: str) -> Result:
    from ..inference import prompts
    from ..inference.worker.local_model import load
    from ..inference.worker.skeleton import SkeletonDecoder

    local = load(folder, quantization)  # type: ignore[arg-type]
    requests = _requests()
    # The first run of anything is slower.
    plain_seconds(local, requests[0].messages, 1)
    begin = time.perf_counter()
    [first] = SkeletonDecoder(local).decode(requests[:1])
    one = time.perf_counter() - begin
    begin = time.perf_counter()
    together = SkeletonDecoder(local).decode(requests)
    five = time.perf_counter() - begin
    begin = time.perf_counter()
    SkeletonDecoder(local, "expected").decode(requests)
    expected = time.perf_counter() - begin

    alone = [first, *(SkeletonDecoder(local).decode([request])[0] for request in requests[1:])]
    pairs = zip(together, alone, strict=True)
    same = [value == other for pose, lone in pairs for value, other in zip(pose, lone, strict=True)]
    prompt = plain_seconds(local, requests[0].messages, 1)
    token = (plain_seconds(local, requests[0].messages, _WRITTEN) - prompt) / (_WRITTEN - 1)
    tokens = len(local.tokens(prompts.answer(first, 0)))
    return Result(quantization, one, five, expected, prompt, token, tokens, sum(same), len(same))


def _requests() -> list[Request]:
    from ..inference import prompts
    from ..inference.examples import Examples
    from ..inference.worker.skeleton import Request

    examples = Examples.load()
    requests = []
    for index, text in enumerate(_TEXTS):
        [(performance, keyframe)] = examples.keyframes_like(text, 1)
        brief = performance.brief
        worked = [(keyframe.text, brief.background, brief.emotion, keyframe.pose)]
        messages = prompts.poser_messages(_TEXTS, _BACKGROUND, _EMOTION, index, worked)
        requests.append(Request(messages, index, keyframe.pose))
    return requests


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
