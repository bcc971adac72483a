# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py train --data`: what is asked for, what is checked before, and what is said."""

from __future__ import annotations

import argparse
import math
import shlex
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ...inference.options import EMBEDDED_MODEL
from ...inference.setup.runtime import Runtime
from ...inference.worker import hub_cache
from ...inference.worker.backends import EMBEDDED_ADAPTER
from ...inference.worker.local_model import QUANTIZATIONS, Quantization, load
from ...inference.worker.model_folder import LORA_RANK, check_model
from .. import corpus
from ..learning import fast_bf16, saved_step
from . import checks, data, embedded, lora
from .task import Row, Task, verdict

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out" / "adapter"
# Beyond these, nothing is learned in a lifetime, or nothing but noise.
_EPOCHS, _RATE = 1000.0, 1.0


# Fewer steps teach little.
_FEW_STEPS = 50
# What is only for a studio's own performances, and of these what is only for a LoRA.
_WITH_DATA = ("base", "adapter", "epochs", "rank", "rate", "quantization", "no_mirror")
_WITH_BASE = ("rank", "rate", "quantization")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options for a studio's own performances."""
    group = parser.add_argument_group("your own performances (docs/training.md)")
    group.add_argument("--data", type=Path, nargs="+", metavar="PATH", help="files of JSON lines, or folders of them")
    group.add_argument(
        "--base", metavar="MODEL", help="a model to make a LoRA for, by its folder or its name; else the embedded one"
    )
    group.add_argument("--adapter", type=Path, metavar="OUT", help="the folder of the result (out/adapter)")
    group.add_argument("--epochs", type=_up_to(_EPOCHS), help="how often each performance is seen (embedded 4, LoRA 3)")
    group.add_argument("--rank", type=whole(LORA_RANK), help=f"of a LoRA for --base ({lora.Recipe.rank})")
    group.add_argument("--rate", type=_up_to(_RATE), help=f"the learning rate, for --base ({lora.Recipe.rate:g})")
    group.add_argument("--quantization", choices=QUANTIZATIONS, help="of --base: nf4 on a GPU, else full precision")
    group.add_argument("--no-mirror", action="store_true", help="do not train on mirror images, with one-sided faces")


def check(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """End with the parser's error where options do not go together."""

    def given(names: Sequence[str]) -> str:
        found = [name for name in names if getattr(options, name) not in (None, False)]
        return ", ".join(f"--{name.replace('_', '-')}" for name in found)

    if options.data and options.steps:
        parser.error("steps are of the project's own training; --data takes none")
    if not options.data and (found := given(_WITH_DATA)):
        parser.error(f"{found}: only with --data; without it, this is the project's own training, which takes hours")
    if options.data and not options.base and (found := given(_WITH_BASE)):
        parser.error(f"{found}: only with --base; the embedded model's adapter keeps what the one that is shipped has")
    if options.base and options.no_mirror:
        parser.error("--no-mirror is not for --base: a LoRA sees performances only as you made them")


def run(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Make the adapter; 0, or 130 if it was stopped. Raises FacescriptError."""
    found = data.read(options.data, options.seed)
    print(
        f"{len(found.train)} performances to train on ({found.keyframes} keyframes), {len(found.held)} held out to "
        f"measure with; {found.doubles} were there twice, {found.left_out} are left out as too like a held-out one."
    )
    for remark in found.remarks:
        print(remark)
    make = _lora if options.base else _embedded
    task, train = make(options, found, "python3 run.py " + shlex.join(arguments))
    try:
        # Of libraries to each other; nothing that a user could do.
        with task.alone(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            task.begin()
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
    print(f"\n{verdict(rows)}")
    print(f"The adapter is in {task.out}. Choose it in the preferences {where}, or with --adapter.")
    return 0


Made = tuple[Task, Callable[[], list[Row]]]


def _embedded(options: argparse.Namespace, found: data.Data, command: str) -> Made:
    poser, plan = embedded.POSER, embedded.PLANNER
    if options.epochs:
        poser, plan = replace(poser, epochs=options.epochs), replace(plan, epochs=options.epochs / 2)
    mirror = not options.no_mirror
    settings: dict[str, Any] = {"epochs": poser.epochs, "mirror": mirror}
    task = Task(found, options.adapter or OUT, options.seed, settings, command)

    def train() -> list[Row]:
        checks.memory(embedded.MEMORY, "Close other programs.")
        print("Reading Facescript's own performances and the embedded model", flush=True)
        parts = corpus.load()
        known = embedded.Known(EMBEDDED_ADAPTER, parts.train, parts.dev)
        model = Runtime(ROOT / ".runtime").models / EMBEDDED_MODEL
        local = load(model, "bf16" if fast_bf16() else "fp32")
        return embedded.train(task, local, known, poser, plan)

    return task, train


def _lora(options: argparse.Namespace, found: data.Data, command: str) -> Made:
    recipe = lora.Recipe()
    given = {name: getattr(options, name) for name in ("epochs", "rank", "rate") if getattr(options, name)}
    recipe = replace(recipe, **given, alpha=2 * (options.rank or recipe.rank))
    gpu = torch.cuda.is_available()
    quantization: Quantization = options.quantization or ("nf4" if gpu else "bf16" if fast_bf16() else "fp32")
    base = hub_cache.folder(options.base)
    check_model(base)
    settings = lora.settings(recipe, base, quantization)
    task = Task(found, options.adapter or OUT, options.seed, settings, command)

    def train() -> list[Row]:
        print(_device(gpu))
        free = torch.cuda.mem_get_info()[0] if gpu else None
        needed = lora.memory_needed(base, quantization, recipe.rank)
        checks.memory(needed, _what_fits(base, quantization, recipe.rank), free)
        checks.disk(task.out, 1 << 30)
        if warning := _few_steps(recipe, found.keyframes):
            print(warning)
        print(f"Loading {hub_cache.name(base)} ({quantization})", flush=True)
        return lora.train(task, load(base, quantization), recipe)

    return task, train


def _device(gpu: bool) -> str:
    """What a LoRA is trained on, in words."""
    if gpu:
        return f"On the GPU {torch.cuda.get_device_name()}."
    if torch.backends.mps.is_available():
        return "Without an NVIDIA GPU: for small models and trials."
    hint = "" if torch.version.cuda else " (for an NVIDIA GPU: python3 run.py --accelerator cuda train ...)"
    return f"On the processor, which is for small models and trials{hint}."


def _few_steps(recipe: lora.Recipe, keyframes: int) -> str:
    """A warning if a training is too short to teach anything, else ""."""
    steps = lora.steps(recipe, keyframes)
    if steps >= _FEW_STEPS:
        return ""
    enough = min(_EPOCHS, math.ceil(recipe.epochs * _FEW_STEPS / steps))
    return (
        f"Warning: this makes {steps} steps, and fewer than {_FEW_STEPS} teach little. Give more performances, or "
        f"--epochs {enough:g}."
    )


def _what_fits(base: Path, quantization: str, rank: int) -> str:
    needed = lora.memory_needed(base, "nf4", rank)
    if needed >= lora.memory_needed(base, quantization, rank):
        return "Choose a smaller model."
    return f"--quantization nf4 takes {needed / (1 << 30):.1f} GiB; or choose a smaller model."


def whole(most: int) -> Callable[[str], int]:
    """Reads an option that is a whole number from 1 to `most`."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = 0
        if not 1 <= value <= most:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from 1 to {most}")
        return value

    return number


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
