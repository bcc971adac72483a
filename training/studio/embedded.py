# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded model's adapter goes on from the one that is shipped, with a studio's performances.

As the step `more` of `training.train` does with what was written last: poser and planner see, beside each of the
studio's performances, one of those that the shipped adapter was trained on, so that what it knew stays.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from ...inference.options import EMBEDDED_MODEL
from ...inference.worker import adapter as adapters
from ...inference.worker import slots
from ...inference.worker.adapter import Adapter
from ...inference.worker.local_model import LocalModel
from ...inference.worker.planner import Repertoire
from ...inference.worker.slots import SlotReader, SlotsConfig
from ...inference.worker.trunk import Trunk
from ...inference.worker.weights import save_weights
from ...performance import Performance
from ...performance.mirroring import mirror
from ...performance.parsing import read_object
from .. import planner
from .. import slots as slot_training
from ..learning import copy_lora
from ..metrics import Figures, slot_figures
from ..slots import Example, Recipe, Run, Source
from ..states import compute
from . import card, checks
from .data import in_parts
from .task import Row, Task

# Rates are those of the step `more` (training.train); more of the few, and an average over the last hundred steps.
POSER = Recipe(epochs=4, rate=2e-4, batch=8, average=0.99)
PLANNER = Recipe(epochs=2, rate=2e-4, batch=8, token_dropout=0.15, average=0.99)
PLANNER_DROPOUT = 0.2
# Known performances to draw from, to each of the studio's and at least; an epoch sees one to each.
_KNOWN, _KNOWN_LEAST = 2, 100
_STATE_BYTES = 200 << 20
# What is measured.
OWN, SHIPPED = "your held-out performances", "Facescript's own held-out performances"
# What a training takes, measured with the embedded model in 32 bits (3.0 GiB), and room.
MEMORY = 4 << 30


@dataclass(frozen=True)
class Known:
    """What the shipped adapter in `folder` was trained on (`train`), and what it is measured on (`held`)."""

    folder: Path
    train: Sequence[Performance]
    held: Sequence[Performance]


@dataclass(frozen=True)
class _Part:
    """Poser or planner: what its reader learns from, and the sets that it is measured on, by what they are."""

    sources: list[Source]
    measured: dict[str, Source]

    def measure(self, run: Run, decoding: slots.Decoding) -> dict[str, Figures]:
        """Errors of poses on each set."""
        return {what: _figures(run, source, decoding) for what, source in self.measured.items()}


def train(task: Task, local: LocalModel, known: Known, poser: Recipe = POSER, plan: Recipe = PLANNER) -> list[Row]:
    """Train, and leave the adapter in `task.out`; the figures before and after.

    Goes on where the same task was stopped. Raises FacescriptError (`exists`, `no_space`, `bad_adapter`).
    """
    if not task.begin():
        task.note()
    shipped = adapters.check(known.folder, local.model)
    # States of the frozen base, before a LoRA is put into it.
    maker = _Maker(task, local, known)
    parts = {"poser": maker.poser(shipped.config), "planner": maker.planner(shipped.config)}
    model = _with_lora(local, shipped)
    files = {"poser": adapters.POSER_SLOTS, "planner": adapters.PLANNER_SLOTS}
    readers: dict[str, SlotReader] = {}
    rows: list[Row] = []
    for name, recipe in (("poser", poser), ("planner", plan)):
        print(f"--- {name}: measured, trained and measured again", flush=True)
        reader = _reader(shipped, files[name], shipped.config.dropout if name == "poser" else PLANNER_DROPOUT)
        run = Run(reader, model if name == "poser" else None)
        before = parts[name].measure(run, shipped.decoding)
        if parts[name].sources:
            state = task.work / f"{name}-state.safetensors"
            slot_training.train(run, parts[name].sources, replace(recipe, seed=task.seed), state)
        after = parts[name].measure(run, shipped.decoding)
        rows += [Row.of(f"{name}, {what}", before[what], after[what]) for what in before]
        readers[files[name]] = reader
    model.save_pretrained(task.work / "lora")
    with task.result() as folder:
        _write(folder, task, shipped, local, readers)
        also = f"It goes on from Facescript's own adapter, with {maker.mixed} of the performances of that among yours."
        card.write(folder, EMBEDDED_MODEL, task, rows, also)
    return rows


def _with_lora(local: LocalModel, shipped: Adapter) -> Any:
    settings = read_object(shipped.folder / adapters.LORA / "adapter_config.json")
    rank, alpha = int(settings["r"]), int(settings["lora_alpha"])
    model = slot_training.lora(local.model, shipped.config.layers, rank, alpha)
    slot_training.load_lora(model, shipped.folder / adapters.LORA)
    return model


def _reader(shipped: Adapter, file: str, dropout: float) -> SlotReader:
    reader = SlotReader(replace(shipped.config, dropout=dropout))
    reader.load_state_dict(load_file(shipped.folder / file))
    return reader


def _write(folder: Path, task: Task, shipped: Adapter, local: LocalModel, readers: Mapping[str, SlotReader]) -> None:
    (folder / adapters.LORA).mkdir()
    copy_lora(task.work / "lora" / adapters.LORA, folder / adapters.LORA, EMBEDDED_MODEL)
    for file, reader in readers.items():
        save_weights({k: v.half().contiguous() for k, v in reader.state_dict().items()}, folder / file)
    known = Repertoire.load(shipped.folder / adapters.REPERTOIRE)
    planner.extended(known, task.data.train).save(folder / adapters.REPERTOIRE)
    adapters.write_manifest(folder, local.model, shipped.config, shipped.decoding)


class _Maker:
    """Makes examples with their states, all of one task."""

    def __init__(self, task: Task, local: LocalModel, known: Known) -> None:
        self._task = task
        self._local = local
        self._own = in_parts(task.data.train)
        self._mirror = bool(task.settings.get("mirror"))
        wanted = min(len(known.train), max(_KNOWN_LEAST, _KNOWN * len(self._own)))
        self._known = random.Random(task.seed).sample(list(known.train), wanted)
        self._measured = {OWN: in_parts(task.data.held), SHIPPED: list(known.held)}

    @property
    def mixed(self) -> int:
        """How many of the shipped performances are among the studio's."""
        return len(self._known)

    def poser(self, config: SlotsConfig) -> _Part:
        """Descriptions; of the studio's an epoch sees each, as it is or in a mirror."""
        # With a LoRA, the last layer that is read is not what the frozen base has there: the cheapest stands in for it.
        layers = (*config.layers[:-1], config.layers[-2] + 1)
        own = [*self._own, *map(mirror, self._own)] if self._mirror else self._own
        known = [mirror(p) if number % 2 else p for number, p in enumerate(self._known)]
        return self._part(layers, slot_training.examples, own, known, self._measured)

    def planner(self, config: SlotsConfig) -> _Part:
        """Scripts; of what may be mirrored, the way that the shipped planner has learned."""
        own = _one_way(_with_script(self._own)) if self._mirror else _with_script(self._own)
        measured = {what: _with_script(part) for what, part in self._measured.items()}
        return self._part(config.layers, planner.examples, own, _one_way(_with_script(self._known)), measured)

    def _part(
        self,
        layers: tuple[int, ...],
        make: Callable[[Any, Sequence[Performance]], list[Example]],
        own: Sequence[Performance],
        known: Sequence[Performance],
        measured: Mapping[str, Sequence[Performance]],
    ) -> _Part:
        sets = {"own": own, "known": known, **measured}
        found = {name: make(self._local.tokenizer, part) for name, part in sets.items()}
        trunk = Trunk(self._local.model, layers)
        self._check_disk(found, trunk)
        states = self._task.work / "states"
        sources = {n: Source(part, compute(trunk, [e.reading for e in part], states, n)) for n, part in found.items()}
        if not own:
            return _Part([], {})
        seen = max(len(self._own), _KNOWN_LEAST // 2)
        learned = [
            replace(sources["own"], share=min(1.0, len(self._own) / len(own))),
            replace(sources["known"], share=min(1.0, seen / max(1, len(known)))),
        ]
        return _Part([source for source in learned if source.examples], {n: sources[n] for n in measured if found[n]})

    def _check_disk(self, found: Mapping[str, Sequence[Example]], trunk: Trunk) -> None:
        tokens = sum(len(ids) for ids in {e.reading.ids for part in found.values() for e in part})
        # In 16 bits; and what is saved of weights and optimizer.
        checks.disk(self._task.work, tokens * len(trunk.layers) * trunk.hidden * 2 + _STATE_BYTES)


def _with_script(performances: Sequence[Performance]) -> list[Performance]:
    return [p for p in performances if p.brief.script.strip()]


def _one_way(performances: Sequence[Performance]) -> list[Performance]:
    mirrored = list(map(mirror, performances))
    both = [*performances, *mirrored]
    return [both[number] for number in planner.one_way(performances, mirrored)]


def _figures(run: Run, source: Source, decoding: slots.Decoding) -> Figures:
    true = torch.cat([example.targets for example in source.examples])
    return slot_figures(slots.values(slot_training.predict(run, source), decoding).numpy(), true.numpy())
