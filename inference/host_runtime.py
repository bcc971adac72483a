# SPDX-License-Identifier: GPL-3.0-or-later
"""The Python that runs Blender, as a runtime for what needs no model on this machine: asking a server."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .runtime import Runtime, RuntimeState


@dataclass(frozen=True)
class HostRuntime(Runtime):
    """Blender brings numpy and requests, and a worker for a server imports no more."""

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
