# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the extension's files were replaced since Blender loaded them: what it has in memory no longer fits them."""

from __future__ import annotations

from ..performance import FacescriptError
from .setup.runtime import PACKAGE, extension_version

# As it is in memory. Read when the extension is loaded.
VERSION = extension_version()


def check() -> None:
    """Raise FacescriptError (`updated`) if the version on disk is another one, or gone; reads one small file."""
    if extension_version() != VERSION or not (PACKAGE / "inference" / "start.py").is_file():
        raise updated()


def updated() -> FacescriptError:
    """What to say then."""
    return FacescriptError("updated", "Facescript was updated or moved while Blender was running.", "Restart Blender.")
