# SPDX-License-Identifier: GPL-3.0-or-later
"""What turns words into descriptions and poses: one interface, a class a kind of model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Protocol

from ...performance import Brief, FacescriptError, Pose
from ..examples import Examples
from ..options import EMBEDDED_MODEL, ModelOptions
from .asks import Ask, Takes

Check = Callable[[], None]

# The adapter that is trained for the embedded model and shipped in the package, once it is there.
EMBEDDED_ADAPTER = Path(__file__).parent.parent / "adapter"


class Backend(Protocol):
    """A model that plans and poses. `check` is called between steps and may raise to cancel."""

    @property
    def label(self) -> str:
        """The model and its quantization, for people."""

    def describe(self, brief: Brief, asks: Sequence[Ask], seed: int, check: Check) -> Iterator[tuple[int, str]]:
        """Yield (number of the beat asked for, what the face visibly does then) as they are finished, in any order."""

    def pose(self, brief: Brief, descriptions: Sequence[str], check: Check) -> Iterator[Pose]:
        """Yield one pose for each description, in order."""

    def pose_at(self, brief: Brief, descriptions: Sequence[str], at: Sequence[int], check: Check) -> Iterator[Pose]:
        """Yield the poses of the descriptions at places `at`, each read among its neighbours."""

    def others(self, brief: Brief, asks: Sequence[Ask], number: int, wanted: Takes, check: Check) -> list[str]:
        """Takes of the beat asked for at `number`."""

    def near(self, brief: Brief, text: str, wanted: Takes, check: Check) -> list[str]:
        """Descriptions of faces like that of the description `text`."""


# Reading them takes seconds, and another server or key changes nothing of them.
_examples = cache(Examples.load)


def make(options: ModelOptions, models: Path, at_once: int = 0) -> Backend:
    """Load the backend that `options` ask for. `models` is the runtime's folder of converted models, `at_once` how many
    poses a server is asked for at once, 0 for as many as are usual."""
    if options.backend == "server":
        from .remote import AT_ONCE, ServerBackend

        return ServerBackend(options, _examples(), at_once=at_once or AT_ONCE)
    return _make_here(options, models)


def _make_here(options: ModelOptions, models: Path) -> Backend:
    # Imported here: what a server answers needs no torch.
    from . import adapter as adapters
    from . import hub_cache, quantization
    from .embedded import EmbeddedBackend
    from .local_backend import LocalBackend
    from .local_model import load

    chosen = quantization.resolve(options.quantization, models)
    if options.backend == "embedded":
        local = load(models / EMBEDDED_MODEL, chosen)
        folder = Path(options.adapter) if options.adapter else EMBEDDED_ADAPTER
        if options.adapter or (folder / adapters.MANIFEST).is_file():
            return EmbeddedBackend(local, folder)
        return LocalBackend(local, Examples.load(), trained=False)
    if not options.model:
        raise FacescriptError("no_model", "No model folder was given.", "Choose the folder of a local model.")
    folder = hub_cache.folder(options.model)
    adapter = hub_cache.folder(options.adapter) if options.adapter else None
    if options.quantization == "auto":
        chosen = quantization.fitting(folder, chosen, adapter)
    local = load(folder, chosen, adapter)
    return LocalBackend(local, Examples.load(), trained=adapter is not None, decoding=options.decoding)
