# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded model with its trained adapter: a planner and a poser that only read, each with one forward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from ...performance import Brief, FacescriptError, Pose
from ..action_units import spelled_out
from . import adapter as adapters
from . import slots
from .asks import Ask, Takes
from .local_model import LocalModel
from .lora import Lora
from .planner import SIDE, Planner, Repertoire
from .slots import BINS, Reading, SlotReader, SlotsConfig
from .trunk import Trunk

Check = Callable[[], None]

# Keyframes that are read together: the corpus's longest performances have eight.
_SEQUENCE = 24
# Neighbours that are read with a keyframe whose pose alone is wanted, before and after it: by `run.py bench desk`, most
# of what a whole performance tells of one beat in 1.5 times the time of a beat alone.
_BEFORE, _AFTER = 1, 0


class EmbeddedBackend:
    """Plans with the base model as it is, and poses with a LoRA on it; each with a reader of its own."""

    def __init__(self, local: LocalModel, folder: Path) -> None:
        """Raises FacescriptError (`bad_adapter`) if the adapter in `folder` is not whole or not for this model."""
        found = adapters.check(folder, local.model)
        try:
            self._reader = _reader(found.config, folder / adapters.POSER_SLOTS, local.device)
            planner = _reader(found.config, folder / adapters.PLANNER_SLOTS, local.device)
            repertoire = Repertoire.load(folder / adapters.REPERTOIRE)
            self._lora = Lora(local.model, folder / adapters.LORA)
        # torch and safetensors raise nearly everything for a file that is not what it says.
        except Exception as error:
            raise FacescriptError("bad_adapter", f"The adapter in {folder} cannot be loaded: {error}") from error
        self._local = local
        self._decoding = found.decoding
        self._trunk = Trunk(local.model, found.config.layers)
        self._planner = Planner(local.tokenizer, self._base_states, planner, repertoire)
        self._repertoire = repertoire

    @property
    def label(self) -> str:
        """The model's folder name and its quantization."""
        return f"{self._local.folder.name} ({self._local.quantization})"

    @property
    def parts(self) -> tuple[torch.nn.Module, torch.nn.Module]:
        """What a pose goes through: the language model's lower layers and the reader."""
        return self._trunk.module, self._reader

    def describe(self, brief: Brief, asks: Sequence[Ask], seed: int, check: Check) -> Iterator[tuple[int, str]]:
        """All descriptions from one forward pass; those of a long script in parts of _SEQUENCE beats."""
        for start in range(0, len(asks), _SEQUENCE):
            check()
            part = asks[start : start + _SEQUENCE]
            # Seed 0 stays 0: it asks for the nearest ones.
            found = self._planner.describe(brief.background, brief.emotion, part, seed and seed + start)
            yield from enumerate(found, start)

    def others(self, brief: Brief, asks: Sequence[Ask], number: int, wanted: Takes, check: Check) -> list[str]:
        """From one forward pass over the beat and its neighbours."""
        part = _around(number, len(asks))
        asked = [asks[i] for i in part]
        return self._planner.others(brief.background, brief.emotion, asked, part.index(number), wanted)

    def near(self, brief: Brief, text: str, wanted: Takes, check: Check) -> list[str]:
        """Those whose faces differ from the usual one in the way of the pose that is read from `text`."""
        [chances] = self._chances(brief, [text], [0])
        expected = chances @ torch.linspace(0.0, 1.0, BINS)
        return self._planner.takes(expected, wanted, mirror=not SIDE.search(text))

    def pose(self, brief: Brief, descriptions: Sequence[str], check: Check) -> Iterator[Pose]:
        """All poses from one forward pass; those of a long performance in parts of _SEQUENCE keyframes."""
        for start in range(0, len(descriptions), _SEQUENCE):
            check()
            yield from self._poses(brief, descriptions[start : start + _SEQUENCE])

    def pose_at(self, brief: Brief, descriptions: Sequence[str], at: Sequence[int], check: Check) -> Iterator[Pose]:
        """One forward pass each, over the description and its neighbours."""
        for place in at:
            check()
            part = _around(place, len(descriptions))
            yield from self._poses(brief, [descriptions[i] for i in part], [part.index(place)])

    def _poses(self, brief: Brief, descriptions: Sequence[str], at: Sequence[int] | None = None) -> list[Pose]:
        chances = self._chances(brief, descriptions, range(len(descriptions)) if at is None else at)
        return slots.poses_of(slots.values(chances, self._decoding).double().numpy())

    def _chances(self, brief: Brief, descriptions: Sequence[str], at: Sequence[int]) -> torch.Tensor:
        """How likely each strength of each slot is, (len(at), slots, BINS), at those of the descriptions."""
        spelled = [spelled_out(description) for description in descriptions]
        text = slots.reading(self._local.tokenizer, brief.background, brief.emotion, spelled)
        chances = slots.read(self._reader, self._states(text), text, at)
        for row, place in zip(chances, at, strict=True):
            # A sentence of the corpus was written for a pose: what is known of it counts as much as what is read.
            if (known := self._repertoire.strengths(descriptions[place])) is not None:
                row.lerp_(known, 0.5)
        return chances

    def _states(self, text: Reading) -> list[torch.Tensor]:
        if len(text.ids) > self._local.context:
            raise FacescriptError(
                "long_text",
                f"The text is {len(text.ids)} tokens long; this model reads at most {self._local.context}.",
                "Shorten the descriptions, the background or the emotion.",
            )
        return self._trunk(torch.tensor([text.ids], device=self._local.device))

    def _base_states(self, text: Reading) -> list[torch.Tensor]:
        with self._lora.off():
            return self._states(text)


def _around(place: int, count: int) -> range:
    """A place among `count` and those of its neighbours that are read with it."""
    return range(max(0, place - _BEFORE), min(count, place + _AFTER + 1))


def _reader(config: SlotsConfig, path: Path, device: torch.device) -> SlotReader:
    reader = SlotReader(config)
    reader.load_state_dict(load_file(path))
    return reader.to(device).eval()
