# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded model with its trained adapter: a planner that writes beats, and a poser that only reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from ...performance import Brief, FacescriptError, Performance, Pose
from .. import prompts
from ..examples import Examples
from . import adapter as adapters
from . import slots
from .asks import Ask
from .descriptions import LineWriter
from .local_model import LocalModel
from .trunk import Trunk

Check = Callable[[], None]

# Descriptions that are read together: the corpus's longest performances have eight.
_SEQUENCE = 24
# Rows written at once: each holds a copy of the scene's cache (some 10 MB).
_BATCH = 16
# Characters of a script that the planner reads; about 500 tokens.
_SCENE = 2000
# A bare prompt ("smirk") is one gesture and what is left of it.
_BARE_WORDS, _BARE_BEATS = 4, 2


class EmbeddedBackend:
    """Plans with one LoRA and poses with another, both on the same base model."""

    def __init__(self, local: LocalModel, folder: Path, examples: Examples) -> None:
        """Raises FacescriptError (`bad_adapter`) if the adapter in `folder` is not whole or not for this model."""
        from peft import PeftModel

        found = adapters.check(folder, local.model)
        try:
            reader = slots.SlotReader(found.config)
            reader.load_state_dict(load_file(folder / adapters.READER))
            kept = {"local_files_only": True, "autocast_adapter_dtype": False}
            model = PeftModel.from_pretrained(local.model, folder / adapters.PLANNER, adapters.PLANNER, **kept)
            model.load_adapter(folder / adapters.POSER, adapters.POSER, **kept)
        # peft and safetensors raise nearly everything for a file that is not what it says.
        except Exception as error:
            raise FacescriptError("bad_adapter", f"The adapter in {folder} cannot be loaded: {error}") from error
        self._model = model.eval()
        self._local = replace(local, model=self._model)
        self._reader = reader.to(local.device).eval()
        self._decoding = found.decoding
        self._trunk = Trunk(self._model, found.config.layers)
        self._writer = LineWriter(self._local)
        self._examples = examples

    @property
    def label(self) -> str:
        """The model's folder name and its quantization."""
        return f"{self._local.folder.name} ({self._local.quantization})"

    @property
    def parts(self) -> tuple[torch.nn.Module, torch.nn.Module]:
        """What a pose goes through: the language model's lower layers and the reader."""
        return self._trunk.module, self._reader

    def beats(self, brief: Brief, moments: Sequence[str], check: Check) -> list[int]:
        """How many beats each moment takes, from 1 to prompts.MOST_BEATS."""
        self._model.set_adapter(adapters.PLANNER)
        self._writer.forget()
        found: list[int] = []
        for start in range(0, len(moments), _BATCH):
            check()
            batch = moments[start : start + _BATCH]
            asked = [prompts.plan_moment(words, start + i, len(moments)) for i, words in enumerate(batch)]
            answers = [f" {number}" for number in prompts.NUMBERS[: prompts.MOST_BEATS]]
            found += [1 + choice for choice in self._writer.choose(self._scene(brief, batch), asked, answers)]
        if len(moments) == 1 and len(moments[0].split()) <= _BARE_WORDS:
            found = [min(found[0], _BARE_BEATS)]
        return found

    def describe(self, brief: Brief, asks: Sequence[Ask], seed: int, check: Check) -> Iterator[tuple[int, str]]:
        """Write all descriptions in batches, each of its own moment and none in sight of another."""
        self._model.set_adapter(adapters.PLANNER)
        self._writer.forget()
        for start in range(0, len(asks), _BATCH):
            batch = asks[start : start + _BATCH]
            asked = [prompts.plan_moment(a.words, a.index, a.count) + prompts.plan_beat(a.part, a.parts) for a in batch]
            scene = self._scene(brief, [ask.words for ask in batch])
            spare: list[str] = []
            for number, line in self._writer.write(scene, asked, seed + start, check):
                if _is_stuck(line):
                    spare = spare or [k.text for p in self._like(brief) for k in p.keyframes]
                    line = spare[number % len(spare)] if spare else line
                yield start + number, line

    def pose(self, brief: Brief, descriptions: Sequence[str], check: Check) -> Iterator[Pose]:
        """All poses in one forward pass; a long performance in parts of _SEQUENCE keyframes."""
        self._model.set_adapter(adapters.POSER)
        for start in range(0, len(descriptions), _SEQUENCE):
            check()
            yield from self._poses(brief, descriptions[start : start + _SEQUENCE])

    def _poses(self, brief: Brief, descriptions: Sequence[str]) -> list[Pose]:
        text = slots.reading(self._local.tokenizer, brief.background, brief.emotion, descriptions)
        if len(text.ids) > self._local.context:
            raise FacescriptError(
                "long_text",
                f"The descriptions are {len(text.ids)} tokens long; this model reads at most {self._local.context}.",
                "Shorten the descriptions, the background or the emotion.",
            )
        device = self._local.device
        states = self._trunk(torch.tensor([text.ids], device=device))
        count = len(descriptions)
        segments = torch.tensor(text.segments, device=device).expand(count, -1)
        where = slots.relations(segments, torch.arange(1, count + 1, device=device))
        rows = torch.zeros(count, dtype=torch.long, device=device)
        with torch.inference_mode():
            logits = self._reader([state.float() for state in states], rows, where)
        found = slots.values(torch.softmax(logits.float(), dim=-1).cpu(), self._decoding)
        return slots.poses_of(found.double().numpy())

    def _scene(self, brief: Brief, words: Sequence[str]) -> str:
        # Of a long script, what this batch is about.
        script = brief.script if len(brief.script) <= _SCENE else " ".join(words)[:_SCENE]
        return prompts.plan_scene(brief, script, next(iter(self._like(brief)), None))

    def _like(self, brief: Brief) -> list[Performance]:
        return self._examples.performances_like(brief.script, brief.emotion, 1)


def _is_stuck(line: str) -> bool:
    """Whether a line says nothing, or an action twice, as small models do at times."""
    actions = [action.strip(" .").lower() for action in line.split(",")]
    return not line or len(set(actions)) < len(actions)
