# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py train`: from the corpus to the adapter in `inference/adapter`. Every step goes on where it was stopped.

states      the frozen base model's hidden states of all texts (some 6 GB in .runtime/training)
vocabulary  the slots reader on composed descriptions
reader      the slots reader on the corpus and its mirror image
poser       the reader and a LoRA on the layers below it, together
more        the poser in the package goes on with what was written last (LATER); nothing of the steps above is needed
planner     the reader of scripts
package     choose how values are read, and write the adapter with its manifest
ablations   what names and descriptions are worth: readers of the frozen base without them, on the test part

With --data, an adapter is made from your own performances instead (docs/training.md).
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from ..inference.options import EMBEDDED_MODEL
from ..inference.setup.runtime import Runtime
from ..inference.worker import adapter, slots
from ..inference.worker.backends import EMBEDDED_ADAPTER
from ..inference.worker.local_model import LocalModel, load
from ..inference.worker.slots import Decoding, SlotReader, SlotsConfig
from ..inference.worker.trunk import Trunk
from ..inference.worker.weights import save_weights
from ..performance import FacescriptError, Performance
from ..performance.mirroring import mirror
from . import corpus, planner, vocabulary
from . import slots as slot_training
from .learning import copy_lora, fast_bf16
from .metrics import Figures, slot_figures
from .states import compute
from .studio import command as studio

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / ".runtime" / "training"
STEPS = ("states", "vocabulary", "reader", "poser", "planner", "package")
# Carried out only when they are asked for.
EXTRA = ("more", "ablations")
# What was written after the steps up to poser were carried out for the package, by the beginnings of the ids, in the
# order in which `more` went on with it. When more is written, add it at the end.
LATER = (
    frozenset("fa2 fa3 wr2 ro2 th2 th3 co2 fn2 su2 su3 se2 se3".split()),
    frozenset("cl2 id2 em2 fa4 wr3 mo2 re2".split()),
)

CONFIG = SlotsConfig()
# With a LoRA, the last layer that is read is not what the frozen base has there: the cheapest one stands in for it.
LOWER = (*CONFIG.layers[:-1], CONFIG.layers[-2] + 1)
COMPOSED, COMPOSED_SEED = 4000, 7
VOCABULARY = slot_training.Recipe(epochs=4)
READER = slot_training.Recipe(epochs=7, rate=8e-4)
POSER = slot_training.Recipe(epochs=4, rate=3e-4, batch=8, average=0.999)
MORE_POSER, MORE_COIN = slot_training.Recipe(epochs=1.4, rate=2e-4, batch=8, average=0.998), 2
PLANNER = slot_training.Recipe(epochs=3, rate=5e-4, token_dropout=0.15)
PLANNER_DROPOUT = 0.2
ABLATION, ABLATION_COIN = slot_training.Recipe(epochs=2), 2

# What the choice of a decoding weighs against each other: the aims for MAE, MSE and 1 - F1.
AIMS = (0.034, 0.0095, 0.22)


def main(arguments: list[str]) -> int:
    """Carry out the steps that are asked for, all of them without arguments."""
    parser = argparse.ArgumentParser(
        prog="run.py train", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "steps", nargs="*", choices=[[], *STEPS, *EXTRA], help=f"the steps to carry out (all but {EXTRA})"
    )
    parser.add_argument("--threads", type=studio.whole(1024), default=os.cpu_count() or 1, help="of torch")
    parser.add_argument("--seed", type=int, default=2, help="of the step more, which can be repeated, and of --data")
    studio.add_arguments(parser)
    options = parser.parse_args(arguments[1:])
    studio.check(options, parser)
    torch.set_num_threads(options.threads)
    try:
        if options.data:
            return studio.run(options, arguments)
        for step in options.steps or STEPS:
            print(f"--- {step}", flush=True)
            getattr(Training(WORK, options.seed), step)()
    except FacescriptError as error:
        print(f"{error.message} {error.hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. The same command goes on where it was.", file=sys.stderr)
        return 130
    return 0


class Training:
    """The steps, with what they share; each reads from and writes to `folder`."""

    def __init__(self, folder: Path, seed: int = 2) -> None:
        self.folder = folder
        self.seed = seed

    @cached_property
    def corpus(self) -> corpus.Corpus:
        """The three parts."""
        return corpus.load()

    @cached_property
    def parts(self) -> list[list[Performance]]:
        """Of the training part, what the step poser was carried out on for the package, and what was written since."""
        train = self.corpus.train
        first = [p for p in train if not any(corpus.theme(p) in later for later in LATER)]
        return [first, *([p for p in train if corpus.theme(p) in later] for later in LATER)]

    @cached_property
    def local(self) -> LocalModel:
        """The base model in the precision that is faster here."""
        return load(Runtime(ROOT / ".runtime").models / EMBEDDED_MODEL, "bf16" if fast_bf16() else "fp32")

    def examples(self, performances: Sequence[Performance]) -> list[slot_training.Example]:
        """Performances as the poser reads them."""
        return slot_training.examples(self.local.tokenizer, performances)

    def source(
        self, name: str, found: Sequence[slot_training.Example], layers: tuple[int, ...] = CONFIG.layers
    ) -> slot_training.Source:
        """Examples with the frozen base's states, from the cache or computed now."""
        trunk = Trunk(self.local.model, layers)
        return slot_training.Source(found, compute(trunk, [e.reading for e in found], self.folder / "states", name))

    @cached_property
    def both(self) -> slot_training.Source:
        """The training part and its mirror image, of which an epoch sees half."""
        train = self.corpus.train
        return replace(self.source("train", self.examples([*train, *map(mirror, train)])), share=0.5)

    @cached_property
    def composed(self) -> slot_training.Source:
        """Descriptions composed from the vocabulary, in settings of the training part."""
        settings = [(p.brief.background, p.brief.emotion) for p in self.corpus.train]
        return self.source("vocabulary", self.examples(vocabulary.compose(COMPOSED, COMPOSED_SEED, settings)))

    @cached_property
    def dev(self) -> slot_training.Source:
        """The development part."""
        return self.source("dev", self.examples(self.corpus.dev))

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

    def more(self) -> None:
        """Go on from the package with what was written last, and a quarter of an epoch of the rest."""
        *before, last = self.parts
        rest = [p for part in before for p in part]
        # As many as are seen: the states of all of them would take longer than the training.
        rest = random.Random(MORE_COIN).sample(rest, round(len(rest) * 0.25 * MORE_POSER.epochs))
        known, new = half_mirrored(rest, MORE_COIN), half_mirrored(last, MORE_COIN)
        # All states before the LoRA changes the model that they are computed with.
        dev = self.source("dev", self.examples(self.corpus.dev), LOWER)
        sources = [
            replace(self.source("known", self.examples(known), LOWER), share=1.0 / MORE_POSER.epochs),
            self.source("new", self.examples(new), LOWER),
        ]
        model = slot_training.lora(self.local.model, CONFIG.layers)
        slot_training.load_lora(model, EMBEDDED_ADAPTER / adapter.LORA)
        reader = SlotReader(CONFIG)
        reader.load_state_dict(load_file(EMBEDDED_ADAPTER / adapter.POSER_SLOTS))
        step = f"more-{self.seed}"
        self._train(step, reader, sources, replace(MORE_POSER, seed=self.seed), model, dev)
        shutil.copy(self.folder / f"{step}.safetensors", self.folder / "poser.safetensors")
        model.save_pretrained(self.folder / "poser-lora")

    def planner(self) -> None:
        """Train the planner's reader on scripts; it starts from what the poser's knows of words."""
        sources = []
        for name, part in zip(("scripts", "new scripts", "newest scripts"), self.parts, strict=True):
            mirrored = [mirror(p) for p in part]
            whole = self.source(name, planner.examples(self.local.tokenizer, [*part, *mirrored]))
            sources.append(whole.only(planner.one_way(part, mirrored)))
        dev = self.source("dev's scripts", planner.examples(self.local.tokenizer, self.corpus.dev))
        reader = self._reader("poser", PLANNER_DROPOUT)
        self._train("planner", reader, sources, PLANNER, dev=dev)

    def package(self) -> None:
        """Write the adapter: both readers and the LoRA in 16 bits, what to pick from, and a manifest of it all."""
        reader = self._reader("poser")
        # Read before the LoRA changes the model that states are computed with.
        dev = self.source("dev", self.examples(self.corpus.dev), LOWER)
        model = slot_training.lora(self.local.model, CONFIG.layers)
        slot_training.load_lora(model, self.folder / "poser-lora" / "poser")
        chances = slot_training.predict(slot_training.Run(reader, model), dev)
        true = torch.cat([example.targets for example in dev.examples])
        decoding, figures = choose(chances, true)
        print(f"{decoding}: {figures}")
        shutil.rmtree(EMBEDDED_ADAPTER / adapter.LORA, ignore_errors=True)
        (EMBEDDED_ADAPTER / adapter.LORA).mkdir()
        copy_lora(self.folder / "poser-lora" / "poser", EMBEDDED_ADAPTER / adapter.LORA, EMBEDDED_MODEL)
        for name, kept in (("poser", adapter.POSER_SLOTS), ("planner", adapter.PLANNER_SLOTS)):
            weights = load_file(self.folder / f"{name}.safetensors")
            save_weights({k: v.half().contiguous() for k, v in weights.items()}, EMBEDDED_ADAPTER / kept)
        planner.repertoire(self.corpus.train).save(EMBEDDED_ADAPTER / adapter.REPERTOIRE)
        adapter.write_manifest(EMBEDDED_ADAPTER, self.local.model, CONFIG, decoding)

    def ablations(self) -> None:
        """Train three readers alike, on the frozen base's lower layers and on what the first poser was trained on.

        KeyframeFace (arXiv 2512.11321, section 4) asks the same of its model: semantic against bare coefficients, and
        with and without descriptions.
        """
        known = half_mirrored(self.parts[0], ABLATION_COIN)
        parts = {"ablation": known, "dev": self.corpus.dev, "test": self.corpus.test}
        vectors = slots.name_vectors(self.local.tokenizer, self.local.model.get_input_embeddings().weight)
        rows = (
            ("named slots", True, True),
            ("unnamed slots", False, True),
            ("named slots, no descriptions", True, False),
        )
        for label, named, describe in rows:
            found = {
                name: self.source(name, slot_training.examples(self.local.tokenizer, part, describe), LOWER)
                for name, part in parts.items()
            }
            torch.manual_seed(ABLATION.seed)
            reader = SlotReader(replace(CONFIG, layers=LOWER, named=named), vectors)
            slot_training.start(reader, [found["ablation"]])
            run = slot_training.Run(reader)
            saved = self.folder / f"ablation-{label.replace(', ', '-').replace(' ', '-')}.safetensors"
            slot_training.train(run, [found["ablation"]], ABLATION, saved)
            true = {name: torch.cat([e.targets for e in found[name].examples]) for name in ("dev", "test")}
            decoding, _ = choose(slot_training.predict(run, found["dev"]), true["dev"])
            chances = slot_training.predict(run, found["test"])
            print(f"{label}: {slot_figures(slots.values(chances, decoding).numpy(), true['test'].numpy())}", flush=True)

    def _reader(self, step: str, dropout: float = CONFIG.dropout) -> SlotReader:
        reader = SlotReader(replace(CONFIG, dropout=dropout))
        reader.load_state_dict(load_file(self.folder / f"{step}.safetensors"))
        return reader

    def _train(
        self,
        step: str,
        reader: SlotReader,
        sources: Sequence[slot_training.Source],
        recipe: slot_training.Recipe,
        model: Any = None,
        dev: slot_training.Source | None = None,
    ) -> None:
        dev = dev or self.dev
        true = torch.cat([example.targets for example in dev.examples])

        def measure(run: slot_training.Run, done: int) -> None:
            print(f"    step {done}, dev: {choose(slot_training.predict(run, dev), true)[1]}", flush=True)

        slot_training.train(
            slot_training.Run(reader, model), sources, recipe, self.folder / f"{step}-state.safetensors", measure
        )
        save_weights({k: v.contiguous() for k, v in reader.state_dict().items()}, self.folder / f"{step}.safetensors")


def half_mirrored(performances: Sequence[Performance], seed: int) -> list[Performance]:
    """Each performance or its mirror image, as a coin falls."""
    coin = random.Random(seed)
    return [mirror(p) if coin.random() < 0.5 else p for p in performances]


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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
