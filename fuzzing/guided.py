# SPDX-License-Identifier: GPL-3.0-or-later
"""A parser under atheris, Google's coverage-guided fuzzer (libFuzzer for Python), where it is installed."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def main(arguments: list[str]) -> None:
    """Fuzz the parser that the first argument names; the others are libFuzzer's, its folder of inputs last."""
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["facescript"]):
        parsers = importlib.import_module("facescript.fuzzing.parsers")
        engine = importlib.import_module("facescript.fuzzing.engine")
    parser = parsers.BY_NAME[arguments[0]]
    for number, seed in enumerate(parser.seeds()):
        Path(arguments[-1], f"seed-{number}").write_bytes(seed)

    def one(data: bytes) -> None:
        kind, words, _, _ = engine.judge(parser, data)
        if kind in ("crash", "memory"):
            raise AssertionError(words)

    atheris.Setup([sys.argv[0], *arguments[1:]], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
