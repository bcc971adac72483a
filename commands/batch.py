# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py batch`: a sheet of lines into files, that can be ended at any point and goes on where it was."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ..batch import options as batch_options
from ..batch.carrying_out import carry_out
from ..batch.parts import Work
from ..inference import json_lines
from ..inference.servers.addresses import KEY_VARIABLE
from ..inference.setup.runtime import Runtime
from ..performance import FacescriptError
from . import PYTHON, RUNTIME

# What a Blender in a process of its own says of a part whose file is there, and of its error.
PART, ERROR = "part: ", "error: "


def main(arguments: list[str]) -> int:
    """Run the command; its exit status."""
    parser = argparse.ArgumentParser(
        prog="run.py batch",
        description=__doc__,
        epilog=batch_options.EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        # The command that goes on leaves options out by their names.
        allow_abbrev=False,
    )
    parser.add_argument("command", choices=("batch",), help=argparse.SUPPRESS)
    batch_options.add_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        model = json_lines.model_options(options, parser)
        batch_options.check(options, parser, model)
        command = ["python3", "run.py", *arguments]
        return carry_out(batch_options.batch(options, model, Runtime(RUNTIME), apart, command))
    except FacescriptError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. What is done is whole.", file=sys.stderr)
        return 130


def apart(work: Work) -> Iterator[str]:
    """Have the environment's bpy do the work in a process of its own; yields the names of finished parts.

    Raises FacescriptError with what it says, and `blender` if it ends without a word.
    """
    with tempfile.TemporaryDirectory(prefix="facescript-batch-") as folder:
        path, log = Path(folder) / "work.json", Path(folder) / "log.txt"
        path.write_text(json.dumps(work.to_dict()), encoding="utf-8")
        command = [str(PYTHON), "-m", "facescript.commands.batch_in_blender", str(path), str(os.getpid())]
        error: list[str] = []
        with log.open("w") as errors, _started(command, errors) as process:
            assert process.stdout
            try:
                for line in process.stdout:
                    if line.startswith(PART):
                        yield line.removeprefix(PART).rstrip("\n")
                    elif line.startswith(ERROR):
                        error = json.loads(line.removeprefix(ERROR))
            except BaseException:
                process.kill()
                raise
        if error:
            raise FacescriptError(*error)
        if process.returncode:
            print(log.read_text(encoding="utf-8", errors="replace")[-4000:], file=sys.stderr)
            what = f"Blender ended (status {process.returncode}) while it wrote actions."
            raise FacescriptError("blender", what, "The lines above may say why; the same command tries again.")


def _started(command: list[str], errors: TextIO) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        encoding="utf-8",
        # Blender asks no server.
        env={name: value for name, value in os.environ.items() if name != KEY_VARIABLE},
        # A session of its own: Ctrl C is ours to hear.
        start_new_session=True,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
