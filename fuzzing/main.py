# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py fuzz`: all parsers, or some, with as many bytes or for as long as asked. What is found is kept.

`run.py fuzz --repeat FILE ...` tries inputs that were kept. With `--engine atheris`, Google's coverage-guided fuzzer is
used where it is installed: `.venv/bin/python -m pip install atheris==3.0.0` (Linux and macOS).
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path

from .engine import Finding, Tally, fuzz, judge
from .parsers import BY_NAME

FINDINGS = Path(__file__).resolve().parent.parent / "out" / "fuzz"


def main(arguments: list[str]) -> int:
    """Fuzz; 0 if nothing was found, else 1."""
    parser = argparse.ArgumentParser(prog="run.py fuzz", description=__doc__.splitlines()[0])
    parser.add_argument("--parser", action="append", choices=list(BY_NAME), help="one parser; may be given again")
    parser.add_argument("--bytes", type=int, default=1_000_000, help="bytes for each parser (1,000,000)")
    parser.add_argument("--seconds", type=float, default=3600.0, help="the most seconds for each parser (3600)")
    parser.add_argument("--seed", type=int, help="repeats a run; else another one each time, which is printed")
    parser.add_argument("--engine", choices=("own", "atheris"), default="own", help="what makes the inputs")
    parser.add_argument("--repeat", type=Path, nargs="+", metavar="FILE", help="inputs that were kept")
    options = parser.parse_args(arguments[1:])
    if options.repeat:
        return repeat(options.repeat)
    seed = random.SystemRandom().randrange(2**31) if options.seed is None else options.seed
    print(f"seed {seed}; findings go to {FINDINGS}", flush=True)
    names = options.parser or list(BY_NAME)
    print(f"{'parser':18} {'bytes':>11} {'inputs':>8} {'let in':>7} {'seconds':>8}  {'slowest input':20} findings")
    tallies = []
    for name in names:
        if options.engine == "atheris":
            tallies.append(with_atheris(name, seed, options.bytes, options.seconds))
        else:
            tallies.append(fuzz(BY_NAME[name], seed, options.bytes, options.seconds, FINDINGS))
        print(row(tallies[-1]), flush=True)
    found = [finding for tally in tallies for finding in tally.findings]
    for finding in found:
        print(f"{finding.kind} in {finding.parser}: {finding.words}\n  run.py fuzz --repeat {finding.path}")
    print(f"{sum(t.bytes for t in tallies):,} bytes, {sum(t.runs for t in tallies):,} inputs, {len(found)} findings")
    return 1 if found else 0


def row(tally: Tally) -> str:
    """One line of the table."""
    slowest = f"{1000 * tally.slowest:.0f} ms ({tally.slowest_bytes:,} B)"
    share = 100 * tally.accepted / max(1, tally.runs)
    numbers = f"{tally.bytes:>11,} {tally.runs:>8,} {share:>6.1f}% {tally.seconds:>8.0f}"
    return f"{tally.parser:18} {numbers}  {slowest:20} {len(tally.findings) or 'none'}"


def repeat(paths: list[Path]) -> int:
    """Try inputs that were kept, each with the parser that its folder is named after."""
    status = 0
    for path in paths:
        kind, words, accepted, spent = judge(BY_NAME[path.absolute().parent.name], path.read_bytes())
        print(f"{path}: {kind or ('let in' if accepted else 'refused')} {words} ({spent:.2f} s)")
        status = 1 if kind else status
    return status


def with_atheris(name: str, seed: int, most_bytes: int, seconds: float) -> Tally:
    """One parser with Google's fuzzer, in a process of its own, which keeps the inputs that reach new code."""
    folder = FINDINGS / name / "atheris"
    folder.mkdir(parents=True, exist_ok=True)
    limits = ["-timeout=10", "-rss_limit_mb=3000", "-max_len=20000", f"-seed={seed or 1}", "-verbosity=0"]
    command = [sys.executable, "-m", "facescript.fuzzing.guided", name, str(most_bytes), str(seconds), *limits]
    done = subprocess.run(
        [*command, f"-artifact_prefix={folder.parent}/", str(folder)], capture_output=True, text=True, errors="replace"
    )
    last = done.stdout.strip().rpartition("\n")[2]
    if done.returncode == 0 and last.startswith("{"):
        return Tally(**json.loads(last))
    print(done.stderr[-3000:])
    inputs = sorted((path for path in folder.parent.iterdir() if path.is_file()), key=lambda path: path.stat().st_mtime)
    kept = inputs[-1] if inputs else folder
    found = Finding(name, "atheris", f"status {done.returncode}", str(kept))
    return Tally(name, findings=[found])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
