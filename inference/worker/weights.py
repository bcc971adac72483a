# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of weights that others can read too."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file


def save_weights(weights: Mapping[str, Any], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors as safetensors, with the mode of any new file: the library's own are for their owner alone, so that
    nobody else of a studio could read an adapter on a shared disk."""
    save_file(dict(weights), path, metadata=dict(metadata) if metadata else None)
    as_new_file(path)


def as_new_file(path: Path) -> None:
    """Give a file the mode that its folder and the process's umask give to new ones."""
    # The umask can only be asked for by setting it, which other threads would see.
    probe = path.with_name(path.name + ".mode")
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    path.chmod(mode)
