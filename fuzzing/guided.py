# SPDX-License-Identifier: GPL-3.0-or-later
"""A parser under atheris, Google's coverage-guided fuzzer (libFuzzer for Python), where it is installed."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Fuzz the parser that the first argument names, for so many bytes and seconds (the second and third); the others
    are libFuzzer's, its folder of inputs last. Prints a `Tally` as JSON at the end, if nothing was found."""
    name, most_bytes, most_seconds, *options = arguments
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["facescript"]):
        parsers = importlib.import_module("facescript.fuzzing.parsers")
        engine = importlib.import_module("facescript.fuzzing.engine")
    parser = parsers.BY_NAME[name]
    for number, seed in enumerate(parser.seeds()):
        Path(options[-1], f"seed-{number}").write_bytes(seed)
    tally, begin = engine.Tally(name), time.monotonic()

    def one(data: bytes) -> None:
        kind, words, accepted, spent = engine.judge(parser, data)
        # Not "slow": instrumented code takes several times as long.
        if kind in ("crash", "memory"):
            raise AssertionError(words)
        tally.runs, tally.bytes, tally.accepted = tally.runs + 1, tally.bytes + len(data), tally.accepted + accepted
        # What is imported and read once is no parser's time.
        if tally.runs > 1 and spent > tally.slowest:
            tally.slowest, tally.slowest_bytes = spent, len(data)
        tally.seconds = time.monotonic() - begin
        if tally.bytes >= int(most_bytes) or tally.seconds >= float(most_seconds):
            # libFuzzer counts neither bytes nor knows of a way to be stopped.
            print(json.dumps(asdict(tally)), flush=True)
            os._exit(0)

    atheris.Setup([sys.argv[0], *options], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
