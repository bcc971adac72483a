# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py bench`: the benchmarks; each compares two ways in one run, since machines differ and drift."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from ..inference.setup.runtime import Runtime
from . import PYTHON, RUNTIME

BENCHMARKS = ("timeline", "matching", "decoding", "embedded", "desk", "window", "batch", "servers")


def main(arguments: list[str]) -> int:
    """Run the named benchmarks, or all; 0 if they ran."""
    parser = argparse.ArgumentParser(prog="run.py bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help=f"which: {', '.join(BENCHMARKS)}")
    parser.add_argument("--kills", type=Path, metavar="OUT_DIR", help="of batch: kill one again and again instead")
    parser.add_argument("--lines", type=int, default=1000, metavar="N", help="of the batch that is killed")
    options = parser.parse_args(arguments[1:])
    if options.kills:
        from ..benchmarks import batch

        return 0 if batch.bench_kills(options.kills.absolute(), options.lines) else 1
    names = options.names or BENCHMARKS
    if len(names) > 1:
        # A process for each: torch's and Blender's threads would disturb one another.
        commands = [[str(PYTHON), "-m", "facescript.commands.bench", "bench", name] for name in names]
        return max(subprocess.call(command) for command in commands)
    if names[0] == "timeline":
        from ..benchmarks import timeline

        timeline.run()
    elif names[0] == "matching":
        from ..benchmarks import matching

        matching.run()
    elif names[0] == "embedded":
        from ..benchmarks import embedded

        embedded.bench_embedded(Runtime(RUNTIME).models)
    elif names[0] == "desk":
        from ..benchmarks import desk

        desk.bench_desk(Runtime(RUNTIME).models)
    elif names[0] == "window":
        from ..benchmarks import window
        from .build import build

        window.bench_window(RUNTIME, build)
    elif names[0] == "servers":
        from ..benchmarks import servers

        servers.bench_servers(Runtime(RUNTIME).models)
    elif names[0] == "batch":
        from ..benchmarks import batch

        batch.bench_batch()
    else:
        from ..benchmarks import decoding

        decoding.bench_decoding(Runtime(RUNTIME).models)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
