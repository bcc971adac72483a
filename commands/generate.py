# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py generate` and `run.py pose`: JSON lines in, JSON lines out, through the real worker."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from ..inference.client import WorkerClient, perform, worker_command
from ..inference.options import BACKENDS, QUANTIZATION_CHOICES, ModelOptions
from ..inference.runtime import Runtime, child_environment
from ..performance import Brief, FacescriptError, Performance, jsonl
from . import RUNTIME


def main(arguments: list[str]) -> int:
    """Run the command; 0 if every line was done, 1 if some failed, 2 if the arguments are wrong."""
    options = _parse(arguments)
    try:
        return _run(options)
    except FacescriptError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. The lines written so far are whole.", file=sys.stderr)
        return 130


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__)
    parser.add_argument("kind", choices=("generate", "pose"))
    parser.add_argument(
        "input", type=Path, help="JSON lines: id, script, background, emotion; to pose also keyframes with t and text"
    )
    parser.add_argument("output", type=Path, help="JSON lines with keyframes: t, text and pose with all 61 channels")
    parser.add_argument("--backend", choices=BACKENDS, help="embedded, or local if --model is given")
    parser.add_argument("--model", default="", help="the folder of a local model")
    parser.add_argument("--adapter", default="", help="the folder of a LoRA for the local model")
    parser.add_argument("--quantization", choices=QUANTIZATION_CHOICES, default="auto")
    parser.add_argument("--seed", type=_seed, default=0, help="another number gives another take")
    options = parser.parse_args(arguments)
    options.backend = options.backend or ("local" if options.model else "embedded")
    if options.backend == "local" and not options.model:
        parser.error("--backend local needs --model FOLDER")
    if options.backend == "embedded" and (options.model or options.adapter):
        parser.error("--model and --adapter are for --backend local")
    return options


def _seed(text: str) -> int:
    seed = int(text)
    if not 0 <= seed < 2**31:
        raise ValueError
    return seed


def _run(options: argparse.Namespace) -> int:
    # All of them first: a bad line is found before the long part of the work.
    briefs = list(jsonl.read_briefs(options.input))
    if not briefs:
        raise FacescriptError("no_file", f"{options.input} holds no lines.", "Give one JSON object a line.")
    if options.output.exists() and options.output.samefile(options.input):
        raise FacescriptError("bad_option", "The output would overwrite the input.", "Name another output file.")
    runtime = Runtime(RUNTIME)
    done = 0
    try:
        with _Output(options.output) as output:
            for number, (brief, result, seconds) in enumerate(_perform(options, runtime, briefs), start=1):
                label = f"[{number}/{len(briefs)}] {brief.id or '(no id)'}"
                if isinstance(result, FacescriptError):
                    print(f"{label}: {result}", file=sys.stderr, flush=True)
                    if result.code in _HOPELESS:
                        print(f"No line can be done with {options.model or 'this model'}.", file=sys.stderr)
                        break
                    continue
                output.write(jsonl.to_line(jsonl.performance_to_dict(result)))
                done += 1
                print(f"{label}: {len(result.keyframes)} keyframes in {seconds:.1f} s", flush=True)
    except OSError as error:
        raise FacescriptError("no_file", f"Cannot write {options.output}: {error.strerror}.") from error
    if done < len(briefs):
        where = f"; the others are in {options.output}" if done else ""
        print(f"{len(briefs) - done} of {len(briefs)} lines failed{where}.", file=sys.stderr)
    return 0 if done == len(briefs) else 1


# Errors that every other line would meet as well.
_HOPELESS = ("no_model", "bad_model", "bad_adapter", "no_memory", "no_worker")


class _Output:
    """The output file, opened for the first line that is done, so that a failure leaves an older file as it was."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stream: TextIO | None = None

    def __enter__(self) -> _Output:
        if not self._path.parent.is_dir():
            raise FileNotFoundError(2, f"there is no folder {self._path.parent}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._stream:
            self._stream.close()

    def write(self, line: str) -> None:
        """Write one line at once."""
        if self._stream is None:
            self._stream = self._path.open("w", encoding="utf-8", newline="\n")
        self._stream.write(line)
        self._stream.flush()


def _perform(
    options: argparse.Namespace, runtime: Runtime, briefs: list[Brief]
) -> Iterator[tuple[Brief, Performance | FacescriptError, float]]:
    """Each brief with its performance, or why there is none, and the seconds it took; one worker for all."""
    chosen = ModelOptions(options.backend, options.model, options.adapter, options.quantization)
    client: WorkerClient | None = None
    try:
        for brief in briefs:
            begin = time.perf_counter()
            try:
                if client is None or not client.alive:
                    client = WorkerClient(worker_command(runtime.python, runtime.models), child_environment())
                request = _request(brief, options.kind)
                result: Performance | FacescriptError = perform(client, options.kind, request, chosen, options.seed)
            except FacescriptError as error:
                result = error
            yield brief, result, time.perf_counter() - begin
    finally:
        if client:
            client.close()


def _request(brief: Brief, kind: str) -> Brief:
    # `generate` plans beats of its own, also when the line comes from a corpus that has some.
    return replace(brief, beats=()) if kind == "generate" else brief


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
