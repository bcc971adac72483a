# SPDX-License-Identifier: GPL-3.0-or-later
"""The skeleton decoder beside plain decoding: how fast it is, and whether it finds the same values.

Plain decoding is greedy `model.generate`, one request after another as one request a keyframe means, kept to
KeyframeFace's JSON by `prefix_allowed_tokens_fn`: a model that was not trained on this task would not write it by
itself. Both have the same model, the same prompts (KeyframeFace's request after one worked example, as a model gets it
that was not trained on the request) and the same machine, in one run: one keyframe, and five of one performance.
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


@dataclass(frozen=True)
class Result:
    """Seconds of one quantization.

    `one` and `five` are what the skeleton decoder takes for one keyframe and for five, each with its prompt; `expected`
    the same five as expected values; `plain_one` and `plain_five` what plain decoding takes. `tokens` are those of an
    answer. Of `values` in five keyframes, so many are the same as plain decoding's side by side, and one by one.
    """

    quantization: str
    one: float
    five: float
    expected: float
    plain_one: float
    plain_five: float
    tokens: int
    same: int
    same_alone: int
    values: int

    @property
    def ratios(self) -> tuple[float, float]:
        """How many times faster the skeleton decoder is: for one keyframe, and for five."""
        return self.plain_one / self.one, self.plain_five / self.five

    def row(self) -> str:
        """One line of the table."""
        times = f"{self.one:8.1f}{self.five:8.1f}{self.expected:10.1f}{self.plain_one:9.1f}{self.plain_five:8.1f}"
        count = len(_TEXTS) * self.tokens
        rates = f"{self.tokens / self.one:9.0f}{count / self.five:7.0f}{count / self.plain_five:7.1f}"
        one, five = self.ratios
        same = f"{self.same_alone:8d}{self.same:6d}{self.values:6d}"
        return f"{self.quantization:6}{times}{rates}{one:8.1f}x{five:6.1f}x{same}"


def bench_decoding(models: Path, quantizations: Sequence[str] = ("nf4", "fp32")) -> list[Result]:
    """Measure, print a table, and return its rows; `models` is the folder of prepared models. Takes some minutes."""
    # First the worker's package: it sets how torch's threads wait.
    from ..inference import worker  # noqa: F401, I001
    import torch

    from ..inference.options import EMBEDDED_MODEL

    print("The skeleton decoder beside plain greedy decoding of the same JSON with the same prompts")
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
    from ..inference.worker.local_model import load
    from ..inference.worker.skeleton import SkeletonDecoder

    local = load(folder, quantization)  # type: ignore[arg-type]
    requests = _requests()
    # The first run of anything is slower.
    SkeletonDecoder(local).decode(requests[:1])
    one, [first] = _timed(lambda: SkeletonDecoder(local).decode(requests[:1]))
    five, together = _timed(lambda: SkeletonDecoder(local).decode(requests))
    expected, _ = _timed(lambda: SkeletonDecoder(local, "expected").decode(requests))
    alone = [first, *(SkeletonDecoder(local).decode([request])[0] for request in requests[1:])]
    plain = [_timed(lambda request=request: plain_values(local, request)) for request in requests]  # type: ignore[misc]
    return Result(
        quantization,
        one,
        five,
        expected,
        plain[0][0],
        sum(seconds for seconds, _ in plain),
        len(plain[0][1][1]),
        sum(_same(pose, values) for pose, (_, (values, _)) in zip(together, plain, strict=True)),
        sum(_same(pose, values) for pose, (_, (values, _)) in zip(alone, plain, strict=True)),
        sum(len(values) for _, (values, _) in plain),
    )


def _timed(call: Callable[[], Found]) -> tuple[float, Found]:
    begin = time.perf_counter()
    found = call()
    return time.perf_counter() - begin, found


def _same(pose: Pose, values: Sequence[float]) -> int:
    return sum(one == other for one, other in zip(pose, values, strict=True))


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


def plain_values(local: LocalModel, request: Request) -> tuple[list[float], list[int]]:
    """The values that greedy `model.generate` chooses, kept to the form of an answer, and the tokens it writes."""
    import torch

    from ..inference import prompts
    from ..performance import CHANNELS

    opening, keys, _ = prompts.answer_parts(request.index)
    # What opens an answer and its first key are one text for the tokenizer.
    texts = [opening + keys[0], *keys[1:]]
    groups = (
        (key,) if is_key else prompts.value_texts(channel.is_angle)
        for channel, key in zip(CHANNELS, texts, strict=True)
        for is_key in (True, False)
    )
    parts = [{tuple(local.tokens(text)): text for text in group} for group in groups]
    ids = torch.tensor([local.chat_tokens(request.messages)], device=local.device)

    def allowed(_: int, row: torch.Tensor) -> list[int]:
        chosen, rest = _read(parts, row[ids.shape[1] :].tolist())
        if len(chosen) == len(parts):
            return [local.tokenizer.eos_token_id]
        return sorted({option[len(rest)] for option in parts[len(chosen)] if option[: len(rest)] == rest})

    out = local.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=2048,
        pad_token_id=local.tokenizer.eos_token_id,
        prefix_allowed_tokens_fn=allowed,
    )
    written = out[0, ids.shape[1] :].tolist()
    chosen, _ = _read(parts, written)
    return [float(text) for text in chosen[1::2]], written


def _read(parts: Sequence[dict[tuple[int, ...], str]], written: Sequence[int]) -> tuple[list[str], tuple[int, ...]]:
    """The texts of the parts that are whole in what was written, and the tokens after them."""
    chosen: list[str] = []
    rest = tuple(written)
    for part in parts:
        found = next((option for option in part if rest[: len(option)] == option), None)
        if found is None:
            break
        chosen.append(part[found])
        rest = rest[len(found) :]
    return chosen, rest


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
