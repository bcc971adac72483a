# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py generate` and `run.py pose`: JSON lines in, JSON lines out, through the real worker."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from ..inference.client import WorkerClient, perform, worker_command
from ..inference.options import BACKENDS, QUANTIZATION_CHOICES, ModelOptions
from ..inference.runtime import Runtime, child_environment
from ..performance import Brief, FacescriptError, jsonl
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
    kind = arguments[0]
    parser = argparse.ArgumentParser(prog=f"run.py {kind}", description=__doc__)
    parser.add_argument("input", type=Path, help="JSON lines: id, script, background, emotion" + _POSE_FORM[kind])
    parser.add_argument("output", type=Path, help="JSON lines with keyframes: t, text and pose with all 61 channels")
    parser.add_argument("--backend", choices=BACKENDS, default="embedded")
    parser.add_argument("--model", default="", help="the folder of a local model (for --backend local)")
    parser.add_argument("--adapter", default="", help="the folder of a LoRA for the local model")
    parser.add_argument("--quantization", choices=QUANTIZATION_CHOICES, default="auto")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments[1:])
    options.kind = kind
    return options


_POSE_FORM = {"generate": "", "pose": ", keyframes with t and text"}


def _run(options: argparse.Namespace) -> int:
    model = "embedded" if options.backend == "embedded" else options.model
    chosen = ModelOptions(options.backend, options.model, options.adapter, options.quantization)
    # All of them first: a bad line is found before the long part of the work.
    briefs = list(jsonl.read_briefs(options.input))
    if options.output.exists() and options.output.samefile(options.input):
        raise FacescriptError("bad_option", "The output would overwrite the input.", "Name another output file.")
    try:
        stream = options.output.open("w", encoding="utf-8")
    except OSError as error:
        raise FacescriptError("no_file", f"Cannot write {options.output}: {error.strerror}.") from error
    failed = 0
    runtime = Runtime(RUNTIME)
    client = WorkerClient(worker_command(runtime.python, runtime.models), child_environment())
    with stream:
        try:
            for number, brief in enumerate(briefs, start=1):
                begin = time.perf_counter()
                if not client.alive:
                    client.close()
                    client = WorkerClient(worker_command(runtime.python, runtime.models), child_environment())
                try:
                    performance = perform(client, options.kind, _request(brief, options.kind), chosen, options.seed)
                except FacescriptError as error:
                    failed += 1
                    print(f"[{number}/{len(briefs)}] {brief.id or '(no id)'}: {error}", file=sys.stderr, flush=True)
                    if error.code in ("no_model", "bad_model", "bad_adapter", "no_memory"):
                        print(f"No line can be done with this model ({model}).", file=sys.stderr)
                        return 1
                    continue
                stream.write(jsonl.to_line(jsonl.performance_to_dict(performance)))
                stream.flush()
                seconds = time.perf_counter() - begin
                count = len(performance.keyframes)
                print(f"[{number}/{len(briefs)}] {brief.id}: {count} keyframes in {seconds:.1f} s", flush=True)
        finally:
            client.close()
    if failed:
        print(f"{failed} of {len(briefs)} lines failed; the others are in {options.output}.", file=sys.stderr)
    return 1 if failed else 0


def _request(brief: Brief, kind: str) -> Brief:
    # `generate` plans beats of its own, also when the line comes from a corpus that has some.
    if kind == "generate":
        return Brief(brief.script, brief.background, brief.emotion, brief.id)
    return brief


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
