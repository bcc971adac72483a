# SPDX-License-Identifier: GPL-3.0-or-later
"""Downloads a model from the Hugging Face hub into a folder: `download --name OWNER/NAME --into FOLDER`.

Prints JSON lines: `{"event": "progress", "fraction", "message"}`, then `{"event": "done"}` or `{"event": "error",
"code", "message", "hint"}`. Fetched are weights in safetensors, JSON, the tokenizer's files, the card and the licence,
and nothing that could be run. The commit is resolved once and kept: a download that goes on later goes on with the same
files, where it stopped in the middle of one. If the hub has that commit no more, it goes on with the newest one, and
keeps the files that are the same there. Each file is held against the hash that the hub names, and the folder gets its
name when all of them are there.

huggingface_hub's own `hf_hub_download` begins a file anew that was not finished (since 1.0), so its parts are used:
`HfApi.model_info`, `hf_hub_url` and `http_get`, which honour HF_ENDPOINT, HF_TOKEN and proxies.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ...performance import FacescriptError, jsonl
from ..models.library import PARTIAL, RECORD, is_whole, remove
from ..setup.runtime import SETUP_LOCK, locked, read_json, write_json
from ..setup.watched import end_with
from .channel import Output

PATTERNS = (
    *("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "merges.txt", "vocab.txt"),
    *("README.md", "LICENSE*", "LICENCE*", "NOTICE*", "USE_POLICY*"),
)
# The same weights once more, in the form of Mistral's own program.
_AGAIN = ("consolidated*",)
_NAME = re.compile(r"[A-Za-z0-9_][\w.+-]{0,180}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")

# Seconds between two words of progress; bytes left free on the disk; bytes hashed at once.
_BEAT, _SPARE, _BLOCK = 0.5, 256 << 20, 1 << 20
# Bytes written at once: as many are fetched again when a connection is cut. With the library's own 10 MB, progress
# would be seen too seldom.
_CHUNK = 256 << 10
_LATER = "Press Download to go on where it stopped."

Say = Callable[[float, str], None]


@dataclass(frozen=True)
class File:
    """A file of a model: its name, size, and the digest that the hub names: of its content (`sha256`), or git's; a
    mirror may name none, and then the size is all that can be checked."""

    name: str
    size: int
    sha256: str = ""
    blob: str = ""

    def check(self, path: Path) -> bool:
        """Whether a file on the disk is this one."""
        if path.stat().st_size != self.size:
            return False
        # Of a git blob: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
        digest = hashlib.sha256() if self.sha256 else hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest() == (self.sha256 or self.blob or digest.hexdigest())


def main(arguments: list[str]) -> int:
    """Download; 0 if all of it is there."""
    parser = argparse.ArgumentParser(prog="download")
    parser.add_argument("--name", required=True)
    parser.add_argument("--into", type=Path, required=True)
    options = parser.parse_args(arguments)
    end_with(os.getppid())
    output = Output()

    def say(fraction: float, message: str) -> None:
        output.line(jsonl.to_line({"event": "progress", "fraction": fraction, "message": message}))

    try:
        fetch(options.name, options.into, say)
        output.line(jsonl.to_line({"event": "done"}))
        return 0
    # Whatever it is: the window has to hear of it.
    except Exception as error:
        told = _told(options.name, error)
    output.line(jsonl.to_line({"event": "error", "code": told.code, "message": told.message, "hint": told.hint}))
    return 1


def fetch(name: str, folder: Path, say: Say) -> None:
    """Download the model `name` into `folder`, or go on with it; nothing is asked if all of it is there. Raises
    FacescriptError and what huggingface_hub raises."""
    if is_whole(folder):
        return
    partial = folder.with_name(folder.name + PARTIAL)
    partial.mkdir(exist_ok=True)
    with _alone(partial):
        _clear(folder)
        commit, files = _begun(name, partial)
        write_json(partial / RECORD, {"name": name, "commit": commit})
        left = sum(file.size for file in files) - _here(partial, files)
        free = shutil.disk_usage(partial).free
        if free < left + _SPARE:
            what = f"{name} takes {_gb(left)} more, and {_gb(free)} are free on the disk of {partial.parent}."
            raise FacescriptError("no_disk", what, "Free some space, or choose another Runtime Folder.")
        with _progress(name, partial, files, say):
            for file in files:
                _get(name, commit, file, partial)
    (partial / SETUP_LOCK).unlink(missing_ok=True)
    partial.rename(folder)


def _clear(folder: Path) -> None:
    """End a removal that was not done. Raises FacescriptError: `in_use` as it may, `not_ours` for another's folder."""
    with suppress(OSError):
        folder.rmdir()
    if not folder.exists():
        return
    if not (folder / RECORD).is_file():
        what = f"{folder} is in the way: it is no whole model that Facescript downloaded."
        raise FacescriptError("not_ours", what, "Delete that folder or move it away, then press Download again.")
    remove(folder, folder.parent)


def _begun(name: str, partial: Path) -> tuple[str, list[File]]:
    """The commit that a download goes on with, and its files: the one that it began with if the hub still has it."""
    from huggingface_hub.errors import RevisionNotFoundError

    commit = str((read_json(partial / RECORD) or {}).get("commit", ""))
    if _COMMIT.fullmatch(commit):
        with suppress(RevisionNotFoundError):
            return listed(name, commit)
    commit, files = listed(name)
    _drop_others(partial, files)
    return commit, files


def _drop_others(partial: Path, files: Sequence[File]) -> None:
    """Delete what was fetched at another commit, but for whole files that are the same in `files`."""
    known = {file.name: file for file in files if file.sha256 or file.blob}
    for path in partial.iterdir():
        if path.name != SETUP_LOCK and path.is_file() and not (path.name in known and known[path.name].check(path)):
            path.unlink()


def listed(name: str, commit: str = "") -> tuple[str, list[File]]:
    """The commit of a model, its newest if none is given, and those of its files that are fetched.

    Raises FacescriptError (`bad_model`) if there are no weights in safetensors or a file's size is not known, and what
    huggingface_hub raises.
    """
    from huggingface_hub import HfApi

    info = HfApi().model_info(name, revision=commit or None, files_metadata=True)
    files = [_file(found) for found in info.siblings or () if wanted(found.rfilename)]
    names = {file.name for file in files}
    if not any(n.endswith(".safetensors") for n in names) or not names & {"config.json", "adapter_config.json"}:
        what = f"{name} has no config.json with *.safetensors weights."
        raise FacescriptError("bad_model", what, "Choose a model in safetensors; other forms are never loaded.")
    return str(info.sha), sorted(files, key=lambda file: (file.size, file.name))


def wanted(name: str) -> bool:
    """Whether a file of a model is fetched: of its own folder, with a plain name, and of a kind that is only read."""
    if not _NAME.fullmatch(name) or any(fnmatchcase(name, pattern) for pattern in _AGAIN):
        return False
    return any(fnmatchcase(name, pattern) for pattern in PATTERNS)


def _file(found: Any) -> File:
    if found.size is None:
        what = f"The hub does not say how large {found.rfilename} is."
        raise FacescriptError("bad_model", what, "If HF_ENDPOINT names a mirror, take another one, or none.")
    sha256, blob = (found.lfs.sha256, None) if found.lfs else (None, found.blob_id)
    return File(found.rfilename, int(found.size), str(sha256 or ""), str(blob or ""))


def _get(name: str, commit: str, file: File, folder: Path) -> None:
    from huggingface_hub import constants, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    path = folder / file.name
    if path.exists():
        return
    constants.DOWNLOAD_CHUNK_SIZE = _CHUNK
    part = path.with_name(path.name + ".part")
    if part.exists() and part.stat().st_size > file.size:
        part.unlink()
    with part.open("ab") as stream:
        url = hf_hub_url(name, file.name, revision=commit)
        if stream.tell() < file.size:
            headers = build_hf_headers()
            http_get(url, stream, resume_size=stream.tell(), headers=headers, expected_size=file.size)
        stream.flush()
        os.fsync(stream.fileno())
    if not file.check(part):
        part.unlink()
        what = f"{file.name} of {name} is not what the hub says that it is."
        raise FacescriptError("bad_hash", what, "Press Download to fetch it again; a proxy may change files.")
    part.replace(path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    try:
        with locked(folder):
            yield
    except FacescriptError as error:
        if error.code != "busy":
            raise
        what = "Another Blender is downloading this model."
        raise FacescriptError("busy", what, "Wait until it is done.") from error


@contextmanager
def _progress(name: str, folder: Path, files: Sequence[File], say: Say) -> Iterator[None]:
    """Say twice a second how many bytes are there, from a thread of its own."""
    whole = max(1, sum(file.size for file in files))
    done = threading.Event()

    def tell() -> None:
        while not done.wait(_BEAT):
            here = _here(folder, files)
            say(min(1.0, here / whole), f"{name}: {_gb(here)} of {_gb(whole)}")

    thread = threading.Thread(target=tell, daemon=True, name="progress")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _here(folder: Path, files: Sequence[File]) -> int:
    found = 0
    for file in files:
        for path in (folder / file.name, folder / f"{file.name}.part"):
            if path.exists():
                found += min(file.size, path.stat().st_size)
                break
    return found


def _told(name: str, error: Exception) -> FacescriptError:
    """What to tell of an error."""
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

    if isinstance(error, FacescriptError):
        return error
    if isinstance(error, GatedRepoError):
        what = f"{name} is only for those who have agreed to its terms."
        hint = "Agree on its page, and set HF_TOKEN in the environment before Blender starts."
        return FacescriptError("gated", what, hint)
    # First, as the hub's library takes most refusals of a token for a model that is not there.
    if isinstance(error, HfHubHTTPError) and _is_refused_token(error.response):
        return _refused_token()
    if isinstance(error, RepositoryNotFoundError):
        what = f"There is no model {name} on the hub, or it is private."
        return FacescriptError("no_model", what, "Check how its name is written: OWNER/NAME.")
    if isinstance(error, HfHubHTTPError):
        status = getattr(error.response, "status_code", "an error")
        return FacescriptError("no_network", f"The hub answered with {status}.", _LATER)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FacescriptError("no_disk", "The disk is full.", f"Free some space. {_LATER}")
    if isinstance(error, OSError) and error.filename:
        return FacescriptError("no_disk", f"Cannot write {error.filename}: {error.strerror}.", "Choose another folder.")
    why = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return FacescriptError("no_network", f"The download of {name} was cut: {why}.", _LATER)


def _is_refused_token(response: Any) -> bool:
    return getattr(response, "status_code", 0) == 401 and "Authorization" in response.request.headers


def _refused_token() -> FacescriptError:
    if os.environ.get("HF_TOKEN"):
        hint = "Start Blender with one that is valid, or without it: most models need none."
        return FacescriptError("bad_token", "The hub does not accept HF_TOKEN (401).", hint)
    what = "The hub does not accept the token that this machine is logged in with (401)."
    return FacescriptError("bad_token", what, "Log in again (hf auth login) or out (hf auth logout).")


def _gb(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 10**7 else f"{size / 1e6:.1f} MB"
