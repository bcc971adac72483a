# SPDX-License-Identifier: GPL-3.0-or-later
"""The batch on a command line: its options, the same in run.py and in Blender's own command."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ..inference import json_lines
from ..inference.client import WorkerClient, worker_command
from ..inference.options import ModelOptions
from ..inference.setup.runtime import Runtime, extension_version
from ..rig_mapping.styles import styles
from .carrying_out import Batch
from .crew import MAX_WORKERS, Crew, crew
from .flamenco import Farm
from .parts import Blender
from .settings import ANGLES, KINDS, Settings
from .sheet import COLUMNS

EXAMPLES = """A line that is done is not done again: the same command goes on where it was, whatever ended it.
The folder's batch.jsonl says what came of each line. Exit status: 0 all lines are done, 1 some failed or are left,
2 wrong arguments, 130 stopped by Ctrl C."""
# Options that a command which goes on does not repeat.
_ONCE = ("--anew", "--retry-failed")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `batch`."""
    parser.add_argument("sheet", type=Path, help=f"CSV or JSON lines with {', '.join(COLUMNS)}")
    parser.add_argument("folder", type=Path, help="where the files go, and batch.jsonl, which says what is done")
    parser.add_argument(
        "--write",
        type=_kinds,
        default=("livelink", "jsonl"),
        metavar="KINDS",
        help=f"of {','.join(KINDS)}; livelink,jsonl if not given",
    )
    parser.add_argument("--style", choices=tuple(styles()), default="natural", help="how the faces move")
    parser.add_argument("--fps", type=float, default=60.0, help="rows of a CSV a second, and frames of a new .blend")
    parser.add_argument(
        "--angles",
        choices=[name.lower() for name in ANGLES],
        default="radians",
        help="of heads and eyes in a CSV: radians as the app records them, or from -1 to 1 as KeyframeFace has them",
    )
    parser.add_argument("--blend", type=Path, metavar="FILE", help="the faces that actions are for; else the demo face")
    parser.add_argument("--face", default="", metavar="NAME", help="the face there of lines without a character's own")
    parser.add_argument("--workers", type=_count, default=0, metavar="N", help="worker processes; else by the machine")
    parser.add_argument(
        "--concurrency", type=_count, default=0, metavar="N", help="requests to a server at once; else 8"
    )
    parser.add_argument("--previews", choices=("flamenco",), help="have a movie of each line rendered by a farm")
    parser.add_argument("--flamenco", default="", metavar="URL", help="its Manager, as http://flamenco.local:8080")
    parser.add_argument("--retry-failed", action="store_true", help="perform lines again that failed")
    parser.add_argument("--anew", action="store_true", help="perform every line again, with other settings if you like")
    json_lines.add_model_arguments(parser)


def check(options: argparse.Namespace, parser: argparse.ArgumentParser, model: ModelOptions) -> None:
    """End with the parser's error where options contradict each other."""
    if options.concurrency and model.backend != "server":
        parser.error("--concurrency is for --backend server; for others there is --workers")
    if options.workers and model.backend == "server":
        parser.error("--workers is not for --backend server; there is --concurrency")
    if bool(options.previews) != bool(options.flamenco):
        parser.error("--previews flamenco and --flamenco URL go together")
    if options.previews and not {"jsonl", "actions"} & {*options.write}:
        parser.error("--previews are rendered from JSON lines: write jsonl too")
    if (options.blend or options.face) and "actions" not in options.write and not options.previews:
        parser.error("--blend and --face are for --write actions and --previews")


def settings(options: argparse.Namespace, model: ModelOptions) -> Settings:
    """What the options say of what is written. Raises FacescriptError (`bad_option`)."""
    return Settings(
        model,
        options.write,
        options.seed or 0,
        options.style,
        options.fps,
        options.angles.upper(),
        str(options.blend.absolute()) if options.blend else "",
        options.face,
        extension_version(),
    )


def batch(
    options: argparse.Namespace, model: ModelOptions, runtime: Runtime, blender: Blender, command: Sequence[str]
) -> Batch:
    """The batch that the options ask for; `command` is what was typed. Raises FacescriptError."""
    chosen = crew(model, options.workers or options.concurrency)
    return Batch(
        options.sheet,
        options.folder.absolute(),
        settings(options, model),
        chosen,
        starter(runtime, chosen),
        blender,
        Farm.at(options.flamenco) if options.flamenco else None,
        again(command),
        options.retry_failed,
        options.anew,
    )


def starter(runtime: Runtime, crew: Crew) -> Callable[[], WorkerClient]:
    """What starts a worker of a crew. Raises FacescriptError (`no_runtime`) before set-up."""
    # Each worker is one request at a time to a server; how many workers there are is for the user to say.
    command = [*worker_command(runtime.python, runtime.models), "--at-once", "1"]
    return lambda: WorkerClient(command, crew.environment)


def again(command: Sequence[str]) -> str:
    """The command that goes on with a batch, as it is typed."""
    kept = [word for word in command if word not in _ONCE]
    if sys.platform == "win32":
        return " ".join(f'"{word}"' if " " in word else word for word in kept)
    return shlex.join(kept)


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(part.strip().lower() for part in text.split(","))
    if not kinds or any(kind not in KINDS for kind in kinds):
        raise argparse.ArgumentTypeError(f"one or more of {','.join(KINDS)}")
    return kinds


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= MAX_WORKERS:
        raise argparse.ArgumentTypeError(f"from 1 to {MAX_WORKERS}")
    return count
