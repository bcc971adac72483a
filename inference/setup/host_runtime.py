# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python that runs Blender, as a runtime for what needs no model on this machine: asking a server."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from .runtime import Runtime, RuntimeState


@cache
def can_ask() -> bool:
    """Whether this Python has what a worker for a server imports. Blender from blender.org does; Linux's packages of it
    may not."""
    return all(importlib.util.find_spec(name) for name in ("numpy", "requests"))


@dataclass(frozen=True)
class HostRuntime(Runtime):
    """Where `can_ask()`: a worker for a server imports numpy and requests, and no more."""

    @property
    def python(self) -> Path:
        """The Python of this process."""
        return Path(sys.executable)

    @property
    def models(self) -> Path:
        """No models: the folder itself, which need not exist."""
        return self.folder

    def state(self, *_: Any, **__: Any) -> RuntimeState:
        """Always ready."""
        return RuntimeState("ready", "Ready: the model runs on a server.", usable=True)
