# SPDX-License-Identifier: GPL-3.0-or-later
"""A batch: lines a minute with several workers against one, what a line costs in sheets of any length, and kills.

The first is measured on the embedded model, the second with workers that have none, so that it is the cost of the
work around the model. The third ends the whole process with SIGKILL again and again, and looks at what is there.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..batch.carrying_out import Batch, carry_out
from ..batch.crew import Crew, crew
from ..batch.journal import MAX_RUNS, NAME
from ..batch.settings import Settings
from ..batch.sheet import read
from ..inference.client import WorkerClient
from ..inference.options import ModelOptions
from ..inference.setup.runtime import child_environment
from ..performance import jsonl, live_link
from .desk import LINES

SIZES = (10, 100, 1_000, 10_000)
# Lines of which the rate on the embedded model is measured.
MEASURED = 60
# Lines that are done between two kills, at least and at most.
BETWEEN = (12, 48)


def write_sheet(path: Path, count: int) -> None:
    """A sheet of so many short lines, each with words of its own."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "character", "script", "background", "emotion"])
        for number in range(count):
            one, other = LINES[number % len(LINES)][0], LINES[number // len(LINES) % len(LINES)][0]
            file = f"act{number // 1000 + 1}/line_{number + 1:05}"
            writer.writerow([file, "Anna", f"{one} {other}", f"Take {number + 1}, in a kitchen.", "Relief"])


def simulated(sheet: Path, folder: Path, count: int = 2, seconds: float = 0.0, marks: Path | None = None) -> int:
    """Carry a batch out with workers that have no model; its exit status."""
    command = [sys.executable, "-m", "facescript.benchmarks.simulated_worker", "--seconds", str(seconds)]
    command += ["--marks", str(marks)] if marks else []
    return carry_out(
        Batch(
            sheet,
            folder,
            Settings(ModelOptions()),
            Crew(count, 1),
            lambda: WorkerClient(command, child_environment()),
            lambda work: iter(()),
            again="the same command",
        )
    )


def bench_batch() -> None:
    """Measure and print lines a minute, then what a line costs."""
    from .decoding import machine

    print(f"Batches; {machine()}; {time.strftime('%Y-%m-%d %H:%M')}\n")
    with tempfile.TemporaryDirectory(prefix="facescript-batch-") as scratch:
        folder = Path(scratch)
        many = max(2, crew(ModelOptions()).count)
        rates: dict[int, float] = {}
        for count in (1, many, 1, many):
            # The better of two: what other programs take is taken from one of them.
            rates[count] = max(rates.get(count, 0.0), _rate(folder, count))
        print(f"embedded model, {MEASURED} lines:")
        for count, rate in rates.items():
            print(f"  {count} worker{'s' if count > 1 else ' '}{rate:10.1f} lines a minute")
        print(f"  ratio    {rates[many] / rates[1]:10.2f}\n")
        bench_cost(folder)


def bench_cost(folder: Path) -> None:
    """Print what a line costs in sheets of several lengths, in seconds and in the processors' time, which other
    programs do not change: of this process, and of its two workers without a model."""
    print("without a model, 2 workers:")
    print("  lines   seconds   ms a line   processor ms a line   peak MB   all done already: s   processor ms a line")
    for size in SIZES:
        first, again = _cost(folder, size)
        each, each_again = (1000.0 * found["processor"] / size for found in (first, again))
        print(
            f"{size:7,}{first['seconds']:10.1f}{1000 * first['seconds'] / size:12.1f}{each:22.1f}{first['peak']:10.0f}"
            f"{again['seconds']:23.2f}{each_again:22.2f}",
            flush=True,
        )


def _rate(folder: Path, workers: int) -> float:
    """Lines a minute of the embedded model, from the first line that is done to the last."""
    sheet, out = folder / "measured.csv", Path(tempfile.mkdtemp(dir=folder))
    write_sheet(sheet, MEASURED)
    command = [sys.executable, "-m", "facescript.commands.batch", "batch", str(sheet), str(out)]
    process = subprocess.Popen([*command, "--workers", str(workers)], stdout=subprocess.DEVNULL)
    # Each worker's first line loads the model.
    begin = _wait_for(out, process, 1 + 2 * workers)
    end = _wait_for(out, process, 1 + MEASURED)
    process.wait()
    return 60.0 * (MEASURED - 2 * workers) / (end - begin)


def _wait_for(out: Path, process: subprocess.Popen[bytes], lines: int) -> float:
    """The time at which the journal has so many lines."""
    while _count(out) < lines and process.poll() is None:
        time.sleep(0.05)
    return time.perf_counter()


def _count(out: Path) -> int:
    journal = out / NAME
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def _cost(folder: Path, size: int) -> list[dict[str, float]]:
    """What a batch of a size took in a process of its own, and what the same command takes when all is done."""
    sheet, out = folder / f"{size}.csv", folder / f"out{size}"
    write_sheet(sheet, size)
    command = [sys.executable, "-m", "facescript.benchmarks.batch", str(sheet), str(out)]
    done = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(2)]
    return [json.loads(process.stdout.splitlines()[-1]) for process in done]


@dataclass(frozen=True)
class Killed:
    """What a batch came to that was killed again and again: `kills`; lines that are done `once`, more often
    (`twice`), or not (`lost`); files that are not whole (`torn`); and seconds in all."""

    kills: int
    once: int
    twice: int
    lost: int
    torn: int
    seconds: float

    @property
    def sound(self) -> bool:
        """Whether each line is done exactly once, with whole files."""
        return not (self.twice or self.lost or self.torn)


def kill_again_and_again(
    command: Sequence[str], sheet: Path, out: Path, between: tuple[int, int], seed: int = 0, say: bool = False
) -> Killed:
    """Run a batch's command, and end it by SIGKILL each time that some more lines are done, until it ends by itself."""
    chance, kills, ends, begin = random.Random(seed), 0, 0, time.monotonic()
    while True:
        with subprocess.Popen(list(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            until = _count(out) + chance.randint(*between)
            while _count(out) < until and process.poll() is None:
                time.sleep(0.01)
            # Anywhere in the work on a line, not just after one.
            time.sleep(chance.random() * 0.3)
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
            elif process.returncode == 0 or (ends := ends + 1) >= MAX_RUNS:
                # Lines whose worker ended are left to the next run.
                break
        if say:
            print(f"{time.strftime('%H:%M:%S')}  kill {kills}: {_count(out)} lines in the journal", flush=True)
    return _judged(sheet, out, kills, time.monotonic() - begin)


def _judged(sheet: Path, out: Path, kills: int, seconds: float) -> Killed:
    lines = [json.loads(line) for line in (out / NAME).read_text(encoding="utf-8").splitlines()[1:]]
    done = Counter((line["file"], line["row"]) for line in lines if line.get("state") == "done")
    rows = read(sheet)
    counts = [done[row.file, row.digest] for row in rows]
    torn = sum(not _is_whole(out / row.file, row.script) for row in rows)
    once, twice, lost = (sum(c == 1 for c in counts), sum(c > 1 for c in counts), sum(c == 0 for c in counts))
    return Killed(kills, once, twice, lost, torn, seconds)


def _is_whole(path: Path, script: str) -> bool:
    try:
        [performance] = jsonl.read_performances(path.with_name(f"{path.name}.jsonl"))
        live_link.read(path.with_name(f"{path.name}.csv"))
    except Exception:
        return False
    return performance.brief.script == script


def bench_kills(out: Path, count: int) -> bool:
    """Kill a batch of so many lines on the embedded model every few dozen lines, print what came of it, and return
    whether it was sound. A run that is ended goes on in the same folder."""
    out.mkdir(parents=True, exist_ok=True)
    sheet = out.with_name(f"{out.name}.csv")
    write_sheet(sheet, count)
    command = [sys.executable, "-m", "facescript.commands.batch", "batch", str(sheet), str(out)]
    found = kill_again_and_again(command, sheet, out, BETWEEN, say=True)
    print(
        f"{count:,} lines, {found.kills} kills, {found.seconds / 60:.0f} min: {found.once:,} done once, "
        f"{found.twice} twice, {found.lost} lost, {found.torn} with files that are not whole"
    )
    return found.sound


def _spent() -> tuple[float, float]:
    """The processors' time of this process and of those that it has started and that have ended, in seconds; and its
    own peak memory in MB."""
    import resource

    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime
    return seconds, own.ru_maxrss / (1 << 20) if sys.platform == "darwin" else own.ru_maxrss / 1024


def main(arguments: Sequence[str]) -> int:
    """Carry a simulated batch out, and say what it took; its exit status."""
    parser = argparse.ArgumentParser(prog="batch")
    parser.add_argument("sheet", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.0, help="that a worker takes for a line")
    options = parser.parse_args(arguments)
    begin, (spent, _) = time.perf_counter(), _spent()
    status = simulated(options.sheet, options.folder, options.workers, options.seconds)
    seconds, (now, peak) = time.perf_counter() - begin, _spent()
    print(json.dumps({"seconds": seconds, "processor": now - spent, "peak": peak}))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
