# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py generate` and `run.py pose`: JSON lines in, JSON lines out, through the real worker."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..inference import json_lines
from ..inference.setup.runtime import Runtime
from ..performance import FacescriptError
from . import RUNTIME


def main(arguments: list[str]) -> int:
    """Run the command; 0 if every line was done, 1 if some failed, 2 if the arguments are wrong."""
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument("kind", choices=("generate", "pose"))
    parser.add_argument("input", type=Path, help=json_lines.INPUT_HELP)
    parser.add_argument("output", type=Path, help=json_lines.OUTPUT_HELP)
    json_lines.add_model_arguments(parser)
    options = parser.parse_args(arguments)
    try:
        model = json_lines.model_options(options, parser)
        return json_lines.run(options.kind, options.input, options.output, Runtime(RUNTIME), model, options.seed)
    except FacescriptError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. The lines written so far are whole.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
