# SPDX-License-Identifier: GPL-3.0-or-later
"""Models by their names on the Hugging Face hub, where they were downloaded to this machine; nothing is fetched."""

from __future__ import annotations

import re
from pathlib import Path

from ...performance import FacescriptError

# OWNER/NAME, as the hub allows it.
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)


def folder(given: str) -> Path:
    """The folder that a user's text means: its path, or the newest snapshot of a model `OWNER/NAME` in the cache.

    Raises FacescriptError (`no_model`) for a name that is in neither.
    """
    path = Path(given)
    if path.is_dir() or not _NAME.fullmatch(given):
        return path
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(given, local_files_only=True))
    # What it raises for "not here" has changed from version to version.
    except Exception as error:
        what = f"{given} is no folder, and no model of that name was downloaded to this machine."
        hint = f"Download it first (`hf download {given}`), or choose a folder."
        raise FacescriptError("no_model", what, hint) from error


def name(folder: Path) -> str:
    """A model's name for people: its folder's, or its own where the folder is a snapshot in the cache."""
    if folder.parent.name == "snapshots":
        return folder.parent.parent.name.removeprefix("models--").replace("--", "/")
    return folder.name
