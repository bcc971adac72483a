# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs one parser on mutated inputs in a process of its own, which is watched: time, memory, crashes.

The process writes each input into a file before it is tried. One that does not come back is ended, and the input is in
that file; the next process goes on with other random numbers.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

from ..performance import FacescriptError
from .mutator import Mutator
from .parsers import BY_NAME, MEMORY_FOLDER, Parser

# Seconds of the processor that one input may take, and after how many on the clock its process is ended.
SLOW, HUNG = 1.0, 30.0
# Memory of a process; most of it is Blender's and numpy's own.
MEMORY = 3 << 30
_TOLD_EVERY = 0.5
_MOST_FINDINGS = 20


@dataclass(frozen=True)
class Finding:
    """An input that should not have done what it did: `kind` is crash, slow, hang, memory or death."""

    parser: str
    kind: str
    words: str
    path: str


@dataclass
class Tally:
    """What was tried of one parser: inputs, bytes, seconds, how many were let in, and the slowest one's seconds."""

    parser: str
    runs: int = 0
    bytes: int = 0
    seconds: float = 0.0
    accepted: int = 0
    slowest: float = 0.0
    slowest_bytes: int = 0
    findings: list[Finding] = field(default_factory=list)


def fuzz(parser: Parser, seed: int, most_bytes: int, most_seconds: float, folder: Path) -> Tally:
    """Try a parser with as many bytes, or for as long; inputs of findings are kept in `folder`."""
    total, begin, part = Tally(parser.name), time.monotonic(), 0
    while total.bytes < most_bytes and time.monotonic() - begin < most_seconds:
        if len(total.findings) >= _MOST_FINDINGS:
            break
        left = most_seconds - (time.monotonic() - begin)
        _add(total, _watched(parser, seed + 1_000_003 * part, most_bytes - total.bytes, left, folder))
        part += 1
    total.seconds = time.monotonic() - begin
    return total


def _add(total: Tally, more: Tally) -> None:
    total.runs, total.bytes = total.runs + more.runs, total.bytes + more.bytes
    total.accepted += more.accepted
    total.findings += more.findings
    if more.slowest > total.slowest:
        total.slowest, total.slowest_bytes = more.slowest, more.slowest_bytes


def _watched(parser: Parser, seed: int, most_bytes: int, most_seconds: float, folder: Path) -> Tally:
    """One process, until it is done, or ends or is ended."""
    with tempfile.TemporaryDirectory(prefix="facescript-fuzz-", dir=MEMORY_FOLDER) as scratch:
        current = Path(scratch, "input")
        arguments = [parser.name, str(seed), str(most_bytes), str(most_seconds), str(folder), str(current)]
        command = [sys.executable, "-m", "facescript.fuzzing.engine", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        told = Tally(parser.name)
        for tally in _told(process, current):
            told = tally
        if process.returncode != 0:
            kind = "hang" if process.returncode == -9 else "death"
            data = current.read_bytes() if current.exists() else b""
            told.bytes += len(data)
            told.findings.append(keep(folder, parser.name, kind, f"status {process.returncode}", data))
        return told


def _told(process: subprocess.Popen[str], current: Path) -> Iterator[Tally]:
    """What a process tells of itself, ended if it tells nothing while the input stays the same."""
    assert process.stdout
    heard = time.monotonic()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(1.0):
            stuck = time.monotonic() - heard
            if stuck > 2 * HUNG or (current.exists() and stuck > HUNG and time.time() - current.stat().st_mtime > HUNG):
                process.kill()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        for line in process.stdout:
            heard = time.monotonic()
            entry = json.loads(line)
            entry["findings"] = [Finding(**row) for row in entry["findings"]]
            yield Tally(**entry)
    finally:
        process.wait()
        done.set()
        watcher.join()


def keep(folder: Path, parser: str, kind: str, words: str, data: bytes) -> Finding:
    """Save the input of a finding."""
    path = folder / parser / f"{kind}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return Finding(parser, kind, words[:300], str(path))


def judge(parser: Parser, data: bytes) -> tuple[str, str, bool, float]:
    """Try one input: (kind of finding or "", what it says, whether it was let in, seconds of the processor)."""
    kind, words, accepted = "", "", False
    begin = time.process_time()
    try:
        parser.call(data)
        accepted = True
    except MemoryError:
        kind, words = "memory", f"more than {MEMORY >> 20} MiB"
    except Exception as error:
        fair = isinstance(error, FacescriptError) and bool(error.message)
        if not fair and not isinstance(error, parser.refuses):
            kind, words = "crash", f"{type(error).__name__}: {error}"
    spent = time.process_time() - begin
    if not kind and spent > SLOW:
        kind, words = "slow", f"{spent:.1f} s for {len(data)} bytes"
    return kind, words, accepted, spent


def _work(parser: Parser, seed: int, most_bytes: int, most_seconds: float, folder: Path, current: Path) -> None:
    _limit_memory()
    seeds = parser.seeds()
    random = Random(seed)
    mutator, tally = Mutator(seeds, random), Tally(parser.name)
    # What is imported and read once is no parser's time.
    judge(parser, seeds[0])
    begin = told = time.monotonic()
    seen: set[str] = set()
    waiting = list(seeds)
    while tally.bytes < most_bytes and time.monotonic() - begin < most_seconds and len(seen) < _MOST_FINDINGS:
        data = waiting.pop() if waiting else mutator.next()
        current.write_bytes(data)
        kind, words, accepted, spent = judge(parser, data)
        tally.runs, tally.bytes, tally.accepted = tally.runs + 1, tally.bytes + len(data), tally.accepted + accepted
        if spent > tally.slowest:
            tally.slowest, tally.slowest_bytes = spent, len(data)
        # The first of each.
        if kind and f"{kind} {words[:60]}" not in seen:
            seen.add(f"{kind} {words[:60]}")
            tally.findings.append(keep(folder, parser.name, kind, words, data))
        if time.monotonic() - told > _TOLD_EVERY:
            told = time.monotonic()
            print(json.dumps(asdict(tally)), flush=True)
    tally.seconds = time.monotonic() - begin
    print(json.dumps(asdict(tally)), flush=True)


def _limit_memory() -> None:
    if sys.platform != "linux":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    _name, _seed, _bytes, _seconds, _folder, _current = sys.argv[1:]
    _work(BY_NAME[_name], int(_seed), int(_bytes), float(_seconds), Path(_folder), Path(_current))
