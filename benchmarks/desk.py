# SPDX-License-Identifier: GPL-3.0-or-later
"""What an animator waits for at the desk: one beat of twelve made again, beside a performance of one beat.

All times are of whole requests to the real worker process, warm, with the embedded model: from the request to its last
event. The two ways of a row are asked in turns, since machines drift. Then, with the model in this process: how far a
pose that is read among its neighbours is from the one that is read in the whole, for several reaches of neighbours.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..inference.scripts.script import read_script
from ..inference.scripts.timing import schedule
from ..performance import Beat, Brief

# One beat of twelve, in times of a performance of one beat.
TARGET = 1.5
ROUNDS = 15

BACKGROUND = "A small kitchen at dawn; the table is still laid for two."
EMOTION = "Relief that hides hurt"
# A moment a line, so that a line is a beat.
LINES = (
    ("You came.", "The brows lift in the middle and the eyes widen, lips parting on a breath."),
    ("I waited all night.", "A slow smile spreads to the left corner first, cheeks rising, the lids soft."),
    ("No, don't explain.", "The smile thins; the gaze drops to the table and the inner brows pull up."),
    ("I made soup, you know.", "Lips press together, the chin crumples a little, head turned to the right."),
    ("It went cold at ten.", "Eyes come back, a small closed smile, one brow raised, head tilted to the left."),
    ("Then I heard the sirens.", "Brows draw together, eyes narrowing, the mouth stretched thin."),
    ("I thought it was you.", "Inner brows high, eyes wet and half closed, the mouth corners dragged down."),
    ("Don't laugh at me.", "A glare from lowered brows, nostrils lifted, lips tight."),
    ("All right, laugh.", "One corner of the mouth gives way on the right, the cheek lifting under it."),
    ("You look terrible.", "Brows up, head back a little, a broad smile with the teeth showing."),
    ("Sit down and eat.", "The smile settles, lids lowering, the head tilted to the right."),
    ("And next time, call.", "Eyes closed for a moment, lips pressed, the brows smooth again."),
)
SCRIPT = "\n".join(line for line, _ in LINES)
TIMES = schedule(read_script(SCRIPT))
TWELVE = Brief(
    SCRIPT,
    BACKGROUND,
    EMOTION,
    beats=tuple(Beat(time, text) for time, (_, text) in zip(TIMES, LINES, strict=True)),
)


def single(number: int) -> Brief:
    """The performance of one beat of the twelve, without the others."""
    return replace(TWELVE, script=LINES[number][0], beats=(replace(TWELVE.beats[number], time=0.0),))


def bench_desk(models: Path, quantization: str = "auto") -> dict[str, float]:
    """Measure, print, and return seconds and ratios by name; `models` is the folder of prepared models."""
    from ..inference.worker.quantization import resolve
    from .decoding import machine

    quantization = resolve(quantization, models)
    print(f"One beat of twelve; {quantization}; {machine()}; {time.strftime('%Y-%m-%d %H:%M')}\n")
    found = _requests(models, quantization)
    for name, (one, other) in {"posed again": ("some", "pose"), "read and posed again": ("again", "single")}.items():
        found[name] = found[one] / found[other]
        print(f"one beat of twelve {name:24}{found[one]:.3f} s")
        print(f"a performance of one beat, the same way    {found[other]:.3f} s")
        print(f"ratio                                      {found[name]:.2f} (target {TARGET})\n")
    print(f"{'four alternatives':43}{found['four']:.3f} s")
    print(f"{'three phrases, each alone':43}{found['phrases']:.3f} s\n")
    print("Neighbours read with a beat, before and after: how far its pose is from that in the whole, and its time")
    for (before, after), (away, seconds) in _windows(models, quantization).items():
        print(f"{before:>8} {after:>2}   {away:.4f}   {seconds:.3f} s")
    return found


def _requests(models: Path, quantization: str) -> dict[str, float]:
    """The median seconds of each kind of request."""
    from ..inference.client import WorkerClient, ask, worker_command
    from ..inference.options import ModelOptions
    from ..inference.setup.runtime import child_environment

    client = WorkerClient(worker_command(Path(sys.executable), models), child_environment())
    options = ModelOptions(quantization=quantization)
    phrases = replace(TWELVE, beats=TWELVE.beats[:3], background="", emotion="")

    def kinds(number: int) -> Iterator[tuple[str, Callable[[], object]]]:
        yield "some", lambda: ask(client, "pose_some", TWELVE, options, at=(number,))
        yield "pose", lambda: ask(client, "pose", single(number), options)
        yield "again", lambda: ask(client, "alternatives", TWELVE, options, 1, (number,), 1)
        yield "single", lambda: ask(client, "alternatives", single(number), options, 1, (0,), 1)
        yield "four", lambda: ask(client, "alternatives", TWELVE, options, 1, (number,), 4)
        yield "phrases", lambda: ask(client, "pose_each", phrases, options)

    spent: dict[str, list[float]] = {}
    try:
        for _, work in kinds(0):
            work()
        for turn in range(ROUNDS):
            for name, work in kinds(turn % len(LINES)):
                begin = time.perf_counter()
                work()
                spent.setdefault(name, []).append(time.perf_counter() - begin)
    finally:
        client.close()
    return {name: statistics.median(times) for name, times in spent.items()}


def _windows(models: Path, quantization: str) -> dict[tuple[int, int], tuple[float, float]]:
    """By reach: the mean absolute difference of a channel from the pose in the whole, and the median seconds."""
    # First the worker's package: it sets how torch's threads wait.
    from ..inference import worker  # noqa: F401
    from ..inference.options import ModelOptions
    from ..inference.worker.backends import make

    backend = make(ModelOptions(quantization=quantization), models)
    texts = [beat.text for beat in TWELVE.beats]
    whole = [pose.values for pose in backend.pose(TWELVE, texts, lambda: None)]
    found: dict[tuple[int, int], tuple[float, float]] = {}
    for before, after in ((0, 0), (1, 0), (1, 1), (2, 1), (12, 1), (12, 12)):
        away, times = [], []
        for place in range(len(texts)):
            first = max(0, place - before)
            part = texts[first : place + after + 1]
            begin = time.perf_counter()
            pose = list(backend.pose(TWELVE, part, lambda: None))[place - first]
            times.append(time.perf_counter() - begin)
            away.append(float(np.abs(pose.values - whole[place]).mean()))
        found[before, after] = (statistics.fmean(away), statistics.median(times))
    return found
