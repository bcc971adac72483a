# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py train`: from the corpus to the adapter in `inference/adapter`. Every step goes on where it was stopped.

states      the frozen base model's hidden states of all texts (some 6 GB in .runtime/training)
vocabulary  the slots reader on composed descriptions
reader      the slots reader on the corpus and its mirror image
poser       the reader and a LoRA on the layers below it, together
planner     a LoRA that writes beats
package     choose how values are read, and write the adapter with its manifest
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from ..inference.options import EMBEDDED_MODEL
from ..inference.runtime import Runtime
from ..inference.worker import adapter, slots
from ..inference.worker.backends import EMBEDDED_ADAPTER
from ..inference.worker.local_model import LocalModel, load
from ..inference.worker.slots import Decoding, SlotReader, SlotsConfig
from ..inference.worker.trunk import Trunk
from ..performance import FacescriptError, Performance
from . import corpus, planner, vocabulary
from . import slots as slot_training
from .metrics import Figures, slot_figures
from .mirroring import mirror
from .states import compute

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".runtime" / "training"
STEPS = ("states", "vocabulary", "reader", "poser", "planner", "package")

CONFIG = SlotsConfig()
COMPOSED, COMPOSED_SEED = 4000, 7
VOCABULARY = slot_training.Recipe(epochs=4)
READER = slot_training.Recipe(epochs=7, rate=8e-4)
POSER = slot_training.Recipe(epochs=4, rate=3e-4, batch=8, average=0.999)
PLANNER = planner.PlannerRecipe()

# What the choice of a decoding weighs against each other: the aims for MAE, MSE and 1 - F1.
AIMS = (0.034, 0.0095, 0.22)


def main(arguments: list[str]) -> int:
    """Carry out the steps that are asked for, all of them without arguments."""
    parser = argparse.ArgumentParser(
        prog="run.py train", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("steps", nargs="*", choices=[[], *STEPS], help="the steps to carry out (all)")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of torch")
    options = parser.parse_args(arguments[1:])
    torch.set_num_threads(options.threads)
    try:
        for step in options.steps or STEPS:
            print(f"--- {step}", flush=True)
            getattr(Training(WORK), step)()
    except FacescriptError as error:
        print(f"{error.message} {error.hint}", file=sys.stderr)
        return 1
    return 0


class Training:
    """The steps, with what they share; each reads from and writes to `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def corpus(self) -> corpus.Corpus:
        """The three parts."""
        return corpus.load()

    @cached_property
    def local(self) -> LocalModel:
        """The base model in bf16."""
        return load(Runtime(ROOT / ".runtime").models / EMBEDDED_MODEL, "bf16")

    def source(self, name: str, performances: Sequence[Performance]) -> slot_training.Source:
        """Performances with the frozen base's states, from the cache or computed now."""
        trunk = Trunk(self.local.model, CONFIG.layers)
        found = slot_training.examples(self.local.tokenizer, performances)
        return slot_training.Source(found, compute(trunk, [e.reading for e in found], self.folder / "states", name))

    @cached_property
    def both(self) -> slot_training.Source:
        """The training part and its mirror image, of which an epoch sees half."""
        train = self.corpus.train
        return replace(self.source("train", [*train, *map(mirror, train)]), share=0.5)

    @cached_property
    def composed(self) -> slot_training.Source:
        """Descriptions composed from the vocabulary, in settings of the training part."""
        settings = [(p.brief.background, p.brief.emotion) for p in self.corpus.train]
        return self.source("vocabulary", vocabulary.compose(COMPOSED, COMPOSED_SEED, settings))

    @cached_property
    def dev(self) -> slot_training.Source:
        """The development part."""
        return self.source("dev", self.corpus.dev)

    def states(self) -> None:
        """Compute all hidden states, which later steps read."""
        for source in (self.composed, self.both, self.dev):
            print(f"{len(source.examples)} texts")

    def vocabulary(self) -> None:
        """Train a new reader on the composed descriptions, with a little of the corpus among them."""
        weights = self.local.model.get_input_embeddings().weight
        torch.manual_seed(VOCABULARY.seed)
        reader = SlotReader(CONFIG, slots.name_vectors(self.local.tokenizer, weights))
        slot_training.start(reader, [self.both])
        self._train("vocabulary", reader, [self.composed, replace(self.both, share=0.1)], VOCABULARY)

    def reader(self) -> None:
        """Go on with the corpus, with a little of what was composed."""
        self._train("reader", self._reader("vocabulary"), [self.both, replace(self.composed, share=0.1)], READER)

    def poser(self) -> None:
        """Let the language model's layers below the last one that is read learn too."""
        model = slot_training.lora(self.local.model, CONFIG.layers)
        self._train("poser", self._reader("reader"), [self.both, replace(self.composed, share=0.1)], POSER, model)
        model.save_pretrained(self.folder / "poser-lora")

    def planner(self) -> None:
        """Train the planner's LoRA."""
        out = self.folder / "planner"
        out.mkdir(parents=True, exist_ok=True)
        planner.train(self.local, self.corpus.train, self.corpus.dev[::2], PLANNER, out)

    def package(self) -> None:
        """Write the adapter: the reader and both LoRAs in 16 bits, and a manifest with what they fit."""
        reader = self._reader("poser")
        # Read before the LoRA changes the model that states are computed with.
        dev = self.dev
        model = slot_training.lora(self.local.model, CONFIG.layers)
        _load_lora(model, self.folder / "poser-lora" / "poser")
        chances = slot_training.predict(slot_training.Run(reader, model), dev)
        true = torch.cat([example.targets for example in self.dev.examples])
        decoding, figures = choose(chances, true)
        print(f"{decoding}: {figures}")
        for name, folder in ((adapter.POSER, "poser-lora/poser"), (adapter.PLANNER, "planner/planner")):
            shutil.rmtree(EMBEDDED_ADAPTER / name, ignore_errors=True)
            (EMBEDDED_ADAPTER / name).mkdir()
            _copy_lora(self.folder / folder, EMBEDDED_ADAPTER / name)
        save_file({k: v.contiguous() for k, v in reader.state_dict().items()}, EMBEDDED_ADAPTER / adapter.READER)
        adapter.write_manifest(EMBEDDED_ADAPTER, self.local.model, CONFIG, decoding)

    def _reader(self, step: str) -> SlotReader:
        reader = SlotReader(CONFIG)
        reader.load_state_dict(load_file(self.folder / f"{step}.safetensors"))
        return reader

    def _train(
        self,
        step: str,
        reader: SlotReader,
        sources: Sequence[slot_training.Source],
        recipe: slot_training.Recipe,
        model: Any = None,
    ) -> None:
        true = torch.cat([example.targets for example in self.dev.examples])

        def measure(run: slot_training.Run, done: int) -> None:
            print(f"    step {done}, dev: {choose(slot_training.predict(run, self.dev), true)[1]}", flush=True)

        slot_training.train(
            slot_training.Run(reader, model), sources, recipe, self.folder / f"{step}-state.safetensors", measure
        )
        save_file({k: v.contiguous() for k, v in reader.state_dict().items()}, self.folder / f"{step}.safetensors")


def choose(chances: torch.Tensor, true: torch.Tensor) -> tuple[Decoding, Figures]:
    """The decoding whose MAE, MSE and F1 together are the best against the aims, and those figures."""
    found = []
    for threshold, median in itertools.product((0.3, 0.325, 0.35, 0.375, 0.4, 0.45), (0.0, 0.25, 0.5)):
        decoding = Decoding(threshold, median)
        figures = slot_figures(slots.values(chances, decoding).numpy(), true.numpy())
        worth = figures.mae / AIMS[0] + figures.mse / AIMS[1] + (1 - figures.f1) / AIMS[2]
        found.append((worth, decoding, figures))
    _, decoding, figures = min(found, key=lambda row: row[0])
    return decoding, figures


def _load_lora(model: Any, folder: Path) -> None:
    from peft import set_peft_model_state_dict

    set_peft_model_state_dict(model, load_file(folder / "adapter_model.safetensors"), adapter_name="poser")


def _copy_lora(source: Path, folder: Path) -> None:
    weights = load_file(source / "adapter_model.safetensors")
    save_file({k: v.to(torch.bfloat16).contiguous() for k, v in weights.items()}, folder / "adapter_model.safetensors")
    config = json.loads((source / "adapter_config.json").read_text(encoding="utf-8"))
    # peft writes down where the base model was on the machine that trained.
    config["base_model_name_or_path"] = EMBEDDED_MODEL
    text = json.dumps(config, indent=2, sort_keys=True) + "\n"
    (folder / "adapter_config.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
