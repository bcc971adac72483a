# SPDX-License-Identifier: GPL-3.0-or-later
"""The models on this machine: in Facescript's own folder, in folders that the user names, and in the hub's cache."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...performance import FacescriptError
from ...performance.parsing import open_regular, read_object
from ..footprint import footprint
from ..setup.runtime import SETUP_LOCK, Runtime, locked

# In a downloaded model's folder: its name, the commit that it was fetched at, and its licence.
RECORD = "facescript-model.json"
PARTIAL = ".partial"
# OWNER/NAME, as the hub allows it.
HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)

# Of a model, and of an adapter.
_ADAPTER = "adapter_config.json"
_CONFIGURATIONS = ("config.json", _ADAPTER)
# Folders that are looked at in one folder, and how much of a model card.
_MOST, _CARD = 500, 64 << 10
_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*$", re.S | re.M)
_LICENCE = re.compile(r"^(license|license_name):[ \t]*['\"]?([\w .+-]{1,80}?)['\"]?[ \t]*$", re.M)


@dataclass(frozen=True)
class Model:
    """A model in `folder`, an adapter for one (a LoRA in peft's form), or the part of either that has been downloaded.
    `size` is its bytes on the disk, `parameters` how many weights it has, `needed` the bytes of memory that it takes in
    4 bits; 0 where that cannot be told. `ours` says that Facescript downloaded it."""

    name: str
    folder: Path
    size: int
    parameters: int
    needed: int
    licence: str
    ours: bool = False
    kind: Literal["model", "adapter", "part"] = "model"


def downloads(runtime: Runtime) -> Path:
    """The folder of models that Facescript downloads: the only one that it removes any from."""
    return runtime.folder / "downloads"


def folder_name(name: str) -> str:
    """The name of a model's folder there. Raises FacescriptError (`bad_name`) for what is no name on the hub."""
    if not HUB_NAME.fullmatch(name) or ".." in name or "--" in name:
        what = f"{name[:80]!r} is no name of a model on the hub."
        raise FacescriptError("bad_name", what, "Write it as OWNER/NAME, such as Qwen/Qwen3-14B.")
    return name.replace("/", "--")


def find(own: Path, folders: Sequence[Path]) -> list[Model]:
    """All models, adapters and downloads that were not finished, each folder once, by name. Folders that are not there
    or cannot be read hold none."""
    found: dict[Path, Model] = {}
    places = [(path, True) for path in _inside(own)]
    places += [(path, False) for folder in folders for path in (folder, *_inside(folder))]
    places += [(path, False) for path in _cached()]
    for path, ours in places:
        model = _model(path, ours)
        if model is not None:
            found.setdefault(path.resolve(), model)
    return sorted([*found.values(), *_parts(own)], key=lambda model: (model.name.lower(), str(model.folder)))


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter; one that holds a model too is none that can be chosen as a model."""
    # A name that is too long is none.
    with suppress(OSError):
        return (folder / _ADAPTER).is_file()
    return False


def is_whole(folder: Path) -> bool:
    """Whether a download is there with all of its files: a removal takes its configuration away first, and its record
    last."""
    configured = any((folder / name).is_file() for name in _CONFIGURATIONS)
    return configured and (folder / RECORD).is_file()


def remove(model: Path, own: Path) -> None:
    """Delete a model that Facescript has downloaded into `own`, or a part of one. Raises FacescriptError: `not_ours`
    for any other folder, `in_use` if files of it may not be removed; the model is then as it was, or may be removed
    later; `busy` for one that is being downloaded."""
    if model.parent != own or model.is_symlink() or not (model / RECORD).is_file():
        what = f"{model} was not downloaded by Facescript."
        raise FacescriptError("not_ours", what, "Remove it with the program that put it there.")
    if model.name.endswith(PARTIAL):
        _remove_part(model)
        return
    aside = [(model / name, model / f"{name}{PARTIAL}") for name in _CONFIGURATIONS if (model / name).is_file()]
    try:
        # First of all what makes it a model: half a model is never offered.
        for config, away in aside:
            config.rename(away)
        for path in sorted(model.iterdir(), key=_place):
            _delete(path)
            # Nothing can be put back any more.
            aside = []
    except OSError as error:
        for config, away in aside:
            with suppress(OSError):
                away.rename(config)
        what = f"Some files in {model} cannot be removed: a worker uses them."
        hint = "Close every Blender that uses the model, then remove it again."
        raise FacescriptError("in_use", what, hint) from error
    # Windows keeps a folder that is open in another window; an empty one is no model.
    with suppress(OSError):
        model.rmdir()


def _remove_part(folder: Path) -> None:
    """Delete a download that was not finished, while nobody goes on with it."""
    try:
        with locked(folder):
            for path in folder.iterdir():
                if path.name not in (RECORD, SETUP_LOCK):
                    _delete(path)
            (folder / RECORD).unlink()
    except FacescriptError as error:
        what = f"{folder} is being downloaded."
        raise FacescriptError("busy", what, "Wait until that is done, or cancel it.") from error
    except OSError as error:
        what = f"Some files in {folder} cannot be removed: {error.strerror}."
        raise FacescriptError("in_use", what, "Close the programs that use them, then remove it again.") from error
    # Windows removes no file that is open. What stays is empty, and no download.
    with suppress(OSError):
        (folder / SETUP_LOCK).unlink()
        folder.rmdir()


def _place(path: Path) -> tuple[bool, bool, str]:
    """When a file is removed: first weights, which a worker holds open, and last the record, which lets it be removed
    later where another stays."""
    return path.name == RECORD, path.suffix != ".safetensors", path.name


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def cache() -> Path:
    """The hub's cache, by the environment variables that its own library documents."""
    if named := os.environ.get("HF_HUB_CACHE"):
        return Path(named)
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "huggingface")
    return Path(home, "hub")


def _cached() -> Iterator[Path]:
    """The newest snapshot of each model in the hub's cache."""
    for folder in _inside(cache()):
        if not folder.name.startswith("models--"):
            continue
        with suppress(OSError, UnicodeDecodeError):
            commit = (folder / "refs" / "main").read_text(encoding="ascii").strip()
            if re.fullmatch(r"[0-9a-f]{40}", commit):
                yield folder / "snapshots" / commit


def _inside(folder: Path) -> list[Path]:
    with suppress(OSError):
        found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.endswith(PARTIAL))
        return found[:_MOST]
    return []


def _parts(own: Path) -> Iterator[Model]:
    """The downloads that were not finished and of which something is there: the record is what comes first."""
    with suppress(OSError):
        for folder in sorted(own.glob(f"*{PARTIAL}")):
            if (folder / RECORD).is_file():
                yield Model(_name(folder), folder, _size(folder), 0, 0, "", True, "part")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def _model(folder: Path, ours: bool) -> Model | None:
    """The model or the adapter in a folder, or None if there is none whose sizes can be read."""
    try:
        if is_adapter(folder):
            if not (folder / "adapter_model.safetensors").is_file():
                return None
            return Model(_name(folder), folder, _size(folder), 0, 0, licence(folder), ours, "adapter")
        if not (folder / "config.json").is_file():
            return None
        sizes, size = footprint(folder), _size(folder)
    except (OSError, FacescriptError):
        return None
    if not sizes.parameters:
        return None
    return Model(_name(folder), folder, size, sizes.parameters, sizes.needed("nf4"), licence(folder), ours)


def _name(folder: Path) -> str:
    if folder.parent.name == "snapshots":
        return folder.parent.parent.name.removeprefix("models--").replace("--", "/")
    if (folder / RECORD).is_file():
        with suppress(FacescriptError):
            return str(read_object(folder / RECORD).get("name") or folder.name)[:200]
    return folder.name


def licence(folder: Path) -> str:
    """The licence that a model's card names in its front matter, else its configuration; "" if neither does."""
    with suppress(FacescriptError), open_regular(folder / "README.md") as stream:
        front = _FRONT.match(stream.read(_CARD).decode("utf-8", "replace").replace("\r\n", "\n"))
        named: dict[str, str] = dict(_LICENCE.findall(front[1])) if front else {}
        if named:
            plain = named.get("license", "")
            return named.get("license_name", plain) if plain in ("", "other") else plain
    with suppress(FacescriptError):
        found = read_object(folder / "config.json", 64 << 20, 8_000_000).get("license")
        return found[:80] if isinstance(found, str) else ""
    return ""
