# SPDX-License-Identifier: GPL-3.0-or-later
"""A download from the Hugging Face hub, by a process in the private environment that can be stopped at any time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from ...performance import FacescriptError
from ...performance.parsing import parse_object
from ..client import START
from ..setup.child_process import Cancelled, ChildProcess, never
from ..setup.runtime import Runtime, child_environment
from ..setup.setting_up import SetupEvent
from .library import downloads, folder_name, is_whole

_GO_ON = "Press Download to go on where it stopped."


def download(runtime: Runtime, name: str, cancelled: Cancelled = never) -> Iterator[SetupEvent]:
    """Fetch the model `name` (OWNER/NAME) into `downloads(runtime)`, as `worker.hub_download` does.

    In the form of a set-up; the message of the last event, `done`, is the model's folder.
    A generator: it works while it is iterated. Raises FacescriptError: `bad_name`, `no_runtime`, `cancelled`, and what
    the process says (`no_model`, `gated`, `bad_token`, `bad_model`, `no_network`, `no_disk`, `bad_hash`, `busy`,
    `not_ours`, `in_use`).
    """
    own = downloads(runtime)
    folder = own / folder_name(name)
    command = [str(runtime.python), "-I", "-X", "utf8", str(START), "download", "--name", name, "--into", str(folder)]
    try:
        own.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"Cannot make {own}: {error.strerror}."
        raise FacescriptError("no_folder", what, "Choose another Runtime Folder in the preferences.") from error
    yield SetupEvent("download", 0.0, f"Asking for {name}")
    last = ""
    with ChildProcess(command, environment(), own) as child:
        try:
            for line in child.lines(cancelled):
                event = _parse(line)
                if event.get("event") == "error":
                    raise FacescriptError(*(str(event.get(key, "")) for key in ("code", "message", "hint")))
                if event.get("event") == "progress":
                    yield SetupEvent("download", _share(event), str(event.get("message", "")))
                elif not event:
                    last = line[:300]
        except FacescriptError as error:
            if error.code != "cancelled":
                raise
            raise FacescriptError("cancelled", "The download was stopped.", _GO_ON) from error
    if child.status or not is_whole(folder):
        raise FacescriptError("download_failed", f"The download of {name} failed: {last}", _GO_ON)
    yield SetupEvent("done", 1.0, str(folder))


def environment() -> dict[str, str]:
    """The process's environment: as that of others of the runtime, but it may use the network."""
    kept = child_environment()
    del kept["HF_HUB_OFFLINE"]
    return kept | {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1"}


def _parse(line: str) -> dict[str, Any]:
    with suppress(FacescriptError):
        return parse_object(line) if line.startswith("{") else {}
    return {}


def _share(event: dict[str, Any]) -> float:
    value = event.get("fraction")
    return min(1.0, max(0.0, float(value))) if isinstance(value, (int, float)) else 0.0
