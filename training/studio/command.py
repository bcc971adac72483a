# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py train --data`: what is asked for, what is checked before, and what is said."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ...inference.options import EMBEDDED_MODEL
from ...inference.setup.runtime import Runtime
from ...inference.worker.backends import EMBEDDED_ADAPTER
from ...inference.worker.local_model import QUANTIZATIONS, Quantization, load
from ...inference.worker.model_folder import LORA_RANK, check_model
from .. import corpus
from ..learning import fast_bf16, saved_step
from . import checks, data, embedded, lora
from .task import Row, Task

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out" / "adapter"
# Beyond these, nothing is learned in a lifetime, or nothing but noise.
_EPOCHS, _RATE = 1000.0, 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options for a studio's own performances."""
    group = parser.add_argument_group("your own performances (docs/training.md)")
    group.add_argument("--data", type=Path, nargs="+", metavar="PATH", help="files of JSON lines, or folders of them")
    group.add_argument("--base", type=Path, metavar="FOLDER", help="a model to make a LoRA for; else the embedded one")
    group.add_argument("--adapter", type=Path, default=OUT, metavar="OUT", help="the folder of the result")
    group.add_argument("--epochs", type=_up_to(_EPOCHS), help="how often each performance is seen (embedded 4, LoRA 3)")
    group.add_argument("--rank", type=_rank, default=lora.Recipe.rank, help="of a LoRA for --base")
    group.add_argument("--rate", type=_up_to(_RATE), default=lora.Recipe.rate, help="the learning rate, for --base")
    group.add_argument("--quantization", choices=QUANTIZATIONS, help="of --base: nf4 on a GPU, else full precision")
    group.add_argument("--no-mirror", action="store_true", help="do not train on mirror images, with one-sided faces")


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Make the adapter; 0, or 130 if it was stopped. Raises FacescriptError."""
    found = data.read(options.data, options.seed)
    print(
        f"{len(found.train)} performances to train on ({found.keyframes} keyframes), {len(found.held)} held out to "
        f"measure with; {found.doubles} were there twice, {found.left_out} are left out as too like a held-out one."
    )
    make = _lora if options.base else _embedded
    task, train = make(options, found, "python3 run.py " + shlex.join(arguments))
    try:
        rows = train()
    except KeyboardInterrupt:
        steps = sum(saved_step(path) for path in task.work.glob("*state.safetensors"))
        kept = f"{steps} steps are kept in {task.work}" if steps else "Nothing was learned yet"
        print(f"\nStopped. {kept}; the same command goes on from there.", flush=True)
        return 130
    print()
    for row in rows:
        print(row)
    where = "as the Adapter Folder of your local model" if options.base else "as the Trained Adapter"
    print(f"\nThe adapter is in {task.out}. Choose it in the preferences {where}, or with --adapter.")
    return 0


Made = tuple[Task, Callable[[], list[Row]]]


def _embedded(options: argparse.Namespace, found: data.Data, command: str) -> Made:
    poser, plan = embedded.POSER, embedded.PLANNER
    if options.epochs:
        poser, plan = replace(poser, epochs=options.epochs), replace(plan, epochs=options.epochs / 2)
    mirror = not options.no_mirror
    settings: dict[str, Any] = {"epochs": poser.epochs, "mirror": mirror}
    task = Task(found, options.adapter, options.seed, settings, command)
    task.begin()
    checks.memory(embedded.MEMORY, "Close other programs.")
    model = Runtime(ROOT / ".runtime").models / EMBEDDED_MODEL

    def train() -> list[Row]:
        parts = corpus.load()
        known = embedded.Known(EMBEDDED_ADAPTER, parts.train, parts.dev)
        local = load(model, "bf16" if fast_bf16() else "fp32")
        return embedded.train(task, local, known, poser, plan)

    return task, train


def _lora(options: argparse.Namespace, found: data.Data, command: str) -> Made:
    recipe = replace(lora.Recipe(), rank=options.rank, alpha=2 * options.rank, rate=options.rate)
    if options.epochs:
        recipe = replace(recipe, epochs=options.epochs)
    gpu = torch.cuda.is_available()
    quantization: Quantization = options.quantization or ("nf4" if gpu else "bf16" if fast_bf16() else "fp32")
    check_model(options.base)
    settings = lora.settings(recipe, options.base, quantization)
    task = Task(found, options.adapter, options.seed, settings, command)
    task.begin()
    free = torch.cuda.mem_get_info()[0] if gpu else None
    needed = lora.memory_needed(options.base, quantization, options.rank)
    checks.memory(needed, _what_fits(options.base, quantization, options.rank), free)
    checks.disk(options.adapter, 1 << 30)
    return task, lambda: lora.train(task, load(options.base, quantization), recipe)


def _what_fits(base: Path, quantization: str, rank: int) -> str:
    needed = lora.memory_needed(base, "nf4", rank)
    if needed >= lora.memory_needed(base, quantization, rank):
        return "Choose a smaller model."
    return f"--quantization nf4 takes {needed / (1 << 30):.1f} GiB; or choose a smaller model."


def _rank(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 1 <= value <= LORA_RANK:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from 1 to {LORA_RANK}")
    return value


def _up_to(most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0.0 < value <= most:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a number above 0, and up to {most:g}")
        return value

    return number
