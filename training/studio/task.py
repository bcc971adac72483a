# SPDX-License-Identifier: GPL-3.0-or-later
"""One training of a studio's: what it is made from, where it is while it goes on, and how its result gets its place."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...batch.journal import LOCK, locked
from ...performance import FacescriptError
from ...performance.parsing import read_object
from ...performance.saving import saved
from ..learning import on_disk
from ..metrics import Figures
from . import checks
from .data import Data

_STATE = "training.json"
# Smaller shares of an error, and of an F1, than these say nothing.
_NOISE, _LOST = 0.01, 0.05


@dataclass(frozen=True)
class Task:
    """`settings` are what else decides the result. The result will be the folder `out`; beside it, `work` holds what a
    training that was stopped goes on from. `command` is what was typed."""

    data: Data
    out: Path
    seed: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""

    def __post_init__(self) -> None:
        # "." has no name to put another folder beside.
        object.__setattr__(self, "out", Path(os.path.abspath(self.out)))

    @property
    def work(self) -> Path:
        """The folder of what is kept until the result is whole."""
        return self.out.with_name(self.out.name + ".training")

    @property
    def digest(self) -> str:
        """The same for the same training."""
        return hashlib.sha256(json.dumps([self.data.digest, self.seed, self.settings]).encode()).hexdigest()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold `work` for as long as the block. Raises FacescriptError: `busy` if another training holds it."""
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.work))
            except FacescriptError as error:
                if error.code != "busy":
                    raise
                what = f"Another training is at work in {self.work}."
                raise FacescriptError("busy", what, "Wait until it ends, or choose another --adapter.") from error
            try:
                yield
            finally:
                if self.work.is_dir() and self._is_bare():
                    shutil.rmtree(self.work, ignore_errors=True)

    def begin(self) -> dict[str, Any]:
        """What was noted of this training when it was stopped, or nothing. Raises FacescriptError (`exists`) for a
        result that is there, or for what is left of another training."""
        checks.folder(self.out)
        if not self.work.exists() or self._is_bare():
            return {}
        found = read_object(self.work / _STATE) if (self.work / _STATE).is_file() else {}
        if found.get("digest") != self.digest:
            what = f"{self.work} is from a training of other data, or with other settings, that was not finished."
            raise FacescriptError("exists", what, "Delete that folder, or choose another one with --adapter.")
        return found

    def _is_bare(self) -> bool:
        """Whether `work` was made and nothing was noted in it yet."""
        return self.work.is_dir() and {path.name for path in self.work.iterdir()} <= {f"{_STATE}.partial", LOCK}

    def note(self, **known: object) -> None:
        """Keep what is known of this training, as JSON."""
        try:
            self.work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            what = f"Cannot make {self.work}: {error.strerror}."
            raise FacescriptError("no_folder", what, "Choose another folder with --adapter.") from error
        with saved(self.work / _STATE) as stream:
            json.dump({"digest": self.digest} | known, stream, allow_nan=False)

    @contextmanager
    def result(self) -> Iterator[Path]:
        """A folder to write the result into, which gets its name when all of it is there."""
        partial = self.work / "result"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        yield partial
        for path in partial.rglob("*"):
            if path.is_file():
                on_disk(path)
        if self.out.exists():
            # Empty, as `begin` has seen.
            self.out.rmdir()
        partial.rename(self.out)
        shutil.rmtree(self.work, ignore_errors=True)


@dataclass(frozen=True)
class Row:
    """A figure before and after a training; `what` says of what, and on what it was measured. `poses` are the errors of
    poses, where it is of poses."""

    what: str
    before: str
    after: str
    poses: tuple[Figures, Figures] | None = None

    @classmethod
    def of(cls, what: str, before: Figures, after: Figures) -> Row:
        """Errors of poses."""
        return cls(what, str(before), str(after), (before, after))

    def __str__(self) -> str:
        return f"{self.what}\n    before  {self.before}\n    after   {self.after}"


def verdict(rows: Sequence[Row]) -> str:
    """Whether the first poses that were measured, the studio's own, became better; if not, what to do."""
    before, after = next(row.poses for row in rows if row.poses)
    said = f"the mean absolute error is {after.mae:.4f}, and was {before.mae:.4f} without it"
    if after.mae >= before.mae * (1.0 - _NOISE):
        found = f"Poses did not become better on what was held out: {said}."
    elif after.f1 < before.f1 * (1.0 - _LOST) or after.f1 == 0.0:
        # Most channels are at rest: a face that never moves has small errors.
        found = (
            f"Errors became smaller, but what should move does so less: F1 is {after.f1:.4f}, and was {before.f1:.4f}."
        )
    else:
        less = 1.0 - after.mae / before.mae
        return f"With this adapter, poses are better on what was held out: {said} ({less:.0%} less)."
    return f"{found} This adapter is not worth using yet. Train on more performances, or with more --epochs."
