# SPDX-License-Identifier: GPL-3.0-or-later
"""The skeleton decoder beside plain decoding: how fast it is, and whether it finds the same values.

Both have the same model, the same prompts (KeyframeFace's request after one worked example, as a model gets it that was
not trained on the request) and the same machine, in one run: one keyframe, and five of one performance, which plain
`model.generate` writes one after another, as one request a keyframe means. A model that was not trained on this task
may stop early or go on for ever, so plain generation's rate is taken from fewer tokens than an answer has.

That greedy decoding would take the same values is looked at by reading each whole answer once, without any cache: a
value is the same if each token of it is the likeliest of those that well-formed answers may have there.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from ..inference.prompts import Messages
    from ..inference.worker.local_model import LocalModel
    from ..inference.worker.skeleton import Request
    from ..performance import Pose

TARGET = 5.0
Found = TypeVar("Found")

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
    the same five as expected values; `plain` what plain decoding takes for one. `tokens` are those of an answer. Of
    `values` in five keyframes, so many are greedy decoding's (`same`) side by side, and one by one.
    """

    quantization: str
    one: float
    five: float
    expected: float
    plain: float
    tokens: int
    same: int
    same_alone: int
    values: int

    @property
    def ratios(self) -> tuple[float, float]:
        """How many times faster the skeleton decoder is: for one keyframe, and for five."""
        return self.plain / self.one, len(_TEXTS) * self.plain / self.five

    def row(self) -> str:
        """One line of the table."""
        times = f"{self.one:8.1f}{self.five:8.1f}{self.expected:10.1f}{self.plain:9.1f}{len(_TEXTS) * self.plain:8.1f}"
        rates = f"{self.tokens / self.one:9.0f}{len(_TEXTS) * self.tokens / self.five:7.0f}"
        rates += f"{self.tokens / self.plain:7.1f}"
        one, five = self.ratios
        same = f"{self.same_alone:8d}{self.same:6d}{self.values:6d}"
        return f"{self.quantization:6}{times}{rates}{one:8.1f}x{five:6.1f}x{same}"


def bench_decoding(models: Path, quantizations: Sequence[str] = ("nf4", "fp32")) -> list[Result]:
    """Measure, print a table, and return its rows; `models` is the folder of prepared models. Takes some minutes."""
    # First the worker's package: it sets how torch's threads wait.
    from ..inference import worker  # noqa: F401, I001
    import torch

    from ..inference.options import EMBEDDED_MODEL

    print("The skeleton decoder beside plain decoding (greedy, the same prompts, as many tokens)")
    print(f"{EMBEDDED_MODEL}; {machine()}; torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"{time.strftime('%Y-%m-%d %H:%M')}\n")
    print(f"{'':6}{'seconds: skeleton':>26}{'plain':>17}{'tokens a second':>23}{'ratio':>16}{'the same values':>20}")
    head = f"{'':6}{'one':>8}{'five':>8}{'expected':>10}{'one':>9}{'five':>8}{'one':>9}{'five':>7}{'plain':>7}"
    print(f"{head}{'one':>9}{'five':>7}{'one':>8}{'five':>6}{'of':>6}")
    results = []
    for quantization in quantizations:
        results.append(_measure(models / EMBEDDED_MODEL, quantization))
        print(results[-1].row(), flush=True)
    print(f"\nThe target is {TARGET:.0f} times as fast, and every value the same.")
    return results


def _measure(folder: Path, quantization: str) -> Result:
    from ..inference import prompts
    from ..inference.worker.local_model import load
    from ..inference.worker.skeleton import SkeletonDecoder
    from ..performance import CHANNELS

    local = load(folder, quantization)  # type: ignore[arg-type]
    requests = _requests()
    # The first run of anything is slower.
    SkeletonDecoder(local).decode(requests[:1])
    one, [first] = _timed(lambda: SkeletonDecoder(local).decode(requests[:1]))
    five, together = _timed(lambda: SkeletonDecoder(local).decode(requests))
    expected, _ = _timed(lambda: SkeletonDecoder(local, "expected").decode(requests))
    alone = [first, *(SkeletonDecoder(local).decode([request])[0] for request in requests[1:])]
    prompt = plain_seconds(local, requests[0].messages, 1)
    token = (plain_seconds(local, requests[0].messages, _WRITTEN) - prompt) / (_WRITTEN - 1)
    tokens = len(local.tokens(prompts.answer(first, 0)))
    return Result(
        quantization,
        one,
        five,
        expected,
        prompt + token * (tokens - 1),
        tokens,
        sum(greedy_values(local, request, pose) for request, pose in zip(requests, together, strict=True)),
        sum(greedy_values(local, request, pose) for request, pose in zip(requests, alone, strict=True)),
        len(requests) * len(CHANNELS),
    )


def _timed(call: Callable[[], Found]) -> tuple[float, Found]:
    begin = time.perf_counter()
    found = call()
    return time.perf_counter() - begin, found


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


def greedy_values(local: LocalModel, request: Request, pose: Pose) -> int:
    """How many of a pose's 61 values greedy decoding takes as well, after the same request and the values before."""
    import torch

    from ..inference import prompts
    from ..performance import CHANNELS

    begun, keys, _ = prompts.answer_parts(request.index)
    # For each value the tokens of the answer up to its end, for all values that it may have, the pose's first.
    options: list[list[list[int]]] = []
    for channel, key, value in zip(CHANNELS, keys, pose, strict=True):
        begun, text = begun + key, f"{value:.1f}"
        others = [other for other in prompts.written_texts(channel.is_angle) if other != text]
        options.append([local.tokens(begun + other) for other in (text, *others)])
        begun += text
    prompt = local.chat_tokens(request.messages)
    ids = torch.tensor([prompt + options[-1][0]], device=local.device)
    with torch.inference_mode():
        logits = local.model(ids, use_cache=False).logits[0, len(prompt) - 1 :]

    def is_greedy(written: list[int], others: list[list[int]]) -> bool:
        for depth, token in enumerate(written):
            allowed = sorted({token, *(row[depth] for row in others if row[:depth] == written[:depth])})
            if allowed[int(logits[depth][allowed].argmax())] != token:
                return False
        return True

    return sum(is_greedy(written, others) for written, *others in options)


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
