# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON lines in, JSON lines out, through one worker: what the command lines outside and inside Blender share."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from ..performance import Brief, FacescriptError, Performance, jsonl
from .client import WorkerClient, perform, worker_command
from .options import BACKENDS, DECODINGS, MAX_SEED, QUANTIZATION_CHOICES, ModelOptions
from .servers.addresses import check_key, given_key, parse_address
from .setup.runtime import Runtime, child_environment

# Errors that every other line would meet as well.
_HOPELESS = ("no_model", "bad_model", "bad_adapter", "no_memory", "no_worker", "server_unreachable", "server_key")

INPUT_HELP = "JSON lines: id, script, background, emotion; to pose also keyframes with t and text"
OUTPUT_HELP = "JSON lines with keyframes: t, text and pose with all 61 channels"


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that choose a model and a take."""
    parser.add_argument("--backend", choices=BACKENDS, help="embedded; local with --model, server with --address")
    parser.add_argument("--model", default="", help="the folder of a local model")
    parser.add_argument(
        "--adapter",
        default="",
        help="the folder of a LoRA for the local model, or of what `run.py train` made for the embedded one",
    )
    parser.add_argument("--quantization", choices=QUANTIZATION_CHOICES, default="auto")
    parser.add_argument(
        "--decoding", choices=DECODINGS, default="greedy", help="a local model's values: the likeliest, or their mean"
    )
    parser.add_argument(
        "--address", default="", help="where a server speaks the OpenAI form, as http://localhost:11434"
    )
    parser.add_argument("--server-model", default="", metavar="NAME", help="its model, if it has several")
    parser.add_argument("--seed", type=_seed, default=0, help="another number gives another take")


def model_options(options: argparse.Namespace, parser: argparse.ArgumentParser) -> ModelOptions:
    """The model that the options choose; ends with the parser's error if they contradict each other.

    A server's key comes from the environment variable `KEY_VARIABLE`. Raises FacescriptError for one that is none.
    """
    backend = options.backend or ("local" if options.model else "server" if options.address else "embedded")
    if (options.address or options.server_model) and backend != "server":
        parser.error("--address and --server-model are for --backend server")
    if options.decoding != "greedy" and backend != "local":
        parser.error("--decoding is for --backend local")
    if backend == "server":
        if not options.address or options.model or options.adapter:
            parser.error("--backend server needs --address, and no --model or --adapter")
        address, key = str(parse_address(options.address)), check_key(given_key(""))
        return ModelOptions(backend, options.server_model, address=address, key=key)
    if backend == "local" and not options.model:
        parser.error("--backend local needs --model FOLDER")
    if backend == "embedded" and options.model:
        parser.error("--model is for --backend local")
    return ModelOptions(backend, options.model, options.adapter, options.quantization, decoding=options.decoding)


def _seed(text: str) -> int:
    try:
        seed = int(text)
    except ValueError:
        seed = -1
    if not 0 <= seed <= MAX_SEED:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from 0 to {MAX_SEED}")
    return seed


def run(kind: str, source: Path, target: Path, runtime: Runtime, options: ModelOptions, seed: int) -> int:
    """Perform every line of `source` into `target`, saying so line by line; 0 if all were done, else 1.

    `kind` is `generate` or `pose`. Raises FacescriptError before any work if a line cannot be read, and if
    `target` cannot be written.
    """
    # All of them first: a bad line is found before the long part of the work.
    briefs = list(jsonl.read_briefs(source))
    if not briefs:
        raise FacescriptError("no_file", f"{source} holds no lines.", "Give one JSON object a line.")
    if target.exists() and target.samefile(source):
        raise FacescriptError("bad_option", "The output would overwrite the input.", "Name another output file.")
    done = 0
    try:
        with _Output(target) as output:
            performed = _perform(kind, briefs, runtime, options, seed)
            for number, (brief, result, seconds) in enumerate(performed, start=1):
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
        raise FacescriptError("no_file", f"Cannot write {target}: {error.strerror}.") from error
    if done < len(briefs):
        where = f"; the others are in {target}" if done else ""
        print(f"{len(briefs) - done} of {len(briefs)} lines failed{where}.", file=sys.stderr)
    return 0 if done == len(briefs) else 1


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
    kind: str, briefs: Sequence[Brief], runtime: Runtime, options: ModelOptions, seed: int
) -> Iterator[tuple[Brief, Performance | FacescriptError, float]]:
    """Each brief with its performance, or why there is none, and the seconds it took; one worker for all."""
    client: WorkerClient | None = None
    try:
        for brief in briefs:
            begin = time.perf_counter()
            try:
                if client is None or not client.alive:
                    client = WorkerClient(worker_command(runtime.python, runtime.models), child_environment())
                result: Performance | FacescriptError = perform(client, kind, _request(brief, kind), options, seed)
            except FacescriptError as error:
                result = error
            yield brief, result, time.perf_counter() - begin
    finally:
        if client:
            client.close()


def _request(brief: Brief, kind: str) -> Brief:
    # `generate` plans beats of its own, also when the line comes from a corpus that has some.
    return replace(brief, beats=()) if kind == "generate" else brief
