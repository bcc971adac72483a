# SPDX-License-Identifier: GPL-3.0-or-later
"""The trained adapter of the embedded model: what is in its folder, and that it fits before it is used."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...performance import CHANNELS, FacescriptError
from ...performance.parsing import is_denied, read_bytes, read_object
from ..options import EMBEDDED_MODEL
from .slots import SLOTS, Decoding, SlotsConfig

MANIFEST = "adapter.json"
# The slots readers of the poser and of the planner, and the keyframes that the planner picks from.
POSER_SLOTS, PLANNER_SLOTS = "poser_slots.safetensors", "planner_slots.safetensors"
REPERTOIRE = "repertoire.safetensors"
# The poser's LoRA in peft's form, in a folder of its name.
LORA = "poser"
# What is loaded, and so must be in the manifest.
_FILES = (
    POSER_SLOTS,
    PLANNER_SLOTS,
    REPERTOIRE,
    *(f"{LORA}/{file}" for file in ("adapter_model.safetensors", "adapter_config.json")),
)
_FORMAT = 2
# The largest file has 15 MB.
_MAX_BYTES = 256 << 20
_SHIPPED = Path(__file__).parent.parent / "adapter"
# What readers may be made of; ten times what the shipped ones are.
_WIDEST, _DEEPEST = 4096, 20


@dataclass(frozen=True)
class Adapter:
    """An adapter whose files are whole: its folder, the readers' make and how the poser's values are read."""

    folder: Path
    config: SlotsConfig
    decoding: Decoding


def check(folder: Path, model: Any) -> Adapter:
    """Read the manifest and hold the files, the base model and the channels against it.

    Raises FacescriptError (`bad_adapter`) that says what does not fit.
    """
    again = "Install the extension again: its files were changed or cut short."
    if folder != _SHIPPED:
        again = "Choose a folder that `run.py train` has made, or none."
    if _is_lora(folder):
        what = f"{folder} holds a LoRA for a local model (adapter_config.json), not an adapter for the embedded one."
        where = (
            "Choose it as Adapter Folder beside its model, with Local Model; on the command line, add --model FOLDER."
        )
        raise FacescriptError("bad_adapter", what, where)
    try:
        found = read_object(folder / MANIFEST)
    except FacescriptError as error:
        what, hint = f"The adapter's manifest is no use: {error.message}", error.hint if is_denied(error) else again
        raise FacescriptError("bad_adapter", what, hint) from error
    version = found.get("format", _FORMAT)
    if version != _FORMAT:
        raise FacescriptError(
            "bad_adapter", f"The adapter is of format {version}; this version reads {_FORMAT}.", again
        )
    try:
        made_for, files = found["base"], dict(found["files"])
        config, decoding = SlotsConfig.from_dict(found["slots"]), Decoding(**found["decoding"])
        channels = list(found["channels"])
    except (ValueError, KeyError, TypeError) as error:
        raise FacescriptError(
            "bad_adapter", f"The adapter's {folder / MANIFEST} cannot be read: {error}.", again
        ) from error
    for name, digest in files.items():
        if not _within(folder, name) or _digest(folder / name) != digest:
            raise FacescriptError(
                "bad_adapter", f"The adapter's file {folder / name} is missing or was changed.", again
            )
    for name in _FILES:
        if name not in files:
            raise FacescriptError("bad_adapter", f"The adapter in {folder} has no {name}.", again)
    if made_for != describe_base(model):
        raise FacescriptError(
            "bad_adapter",
            f"The adapter was trained for {made_for}, not for {describe_base(model)}.",
            "Run Set Up again.",
        )
    if not _fits(config, made_for):
        raise FacescriptError(
            "bad_adapter", f"The adapter in {folder} reads hidden states that its base model does not have.", again
        )
    if channels != [channel.name for channel in CHANNELS] or config.names != SLOTS:
        raise FacescriptError("bad_adapter", "The adapter was trained for other channels or another order.", again)
    return Adapter(folder, config, decoding)


def _is_lora(folder: Path) -> bool:
    """Whether a folder holds a LoRA in peft's form and no adapter."""
    try:
        return (folder / "adapter_config.json").is_file() and not (folder / MANIFEST).exists()
    # A name that is too long, or a folder that may not be looked into.
    except OSError:
        return False


def _fits(config: SlotsConfig, made_for: Mapping[str, Any]) -> bool:
    """Whether readers are made of sizes that can be, and read hidden states that there are."""
    try:
        there = config.hidden == made_for["hidden"] and all(0 <= layer <= made_for["layers"] for layer in config.layers)
        built = 0 < config.width <= _WIDEST and 0 < config.depth <= _DEEPEST and 0 < config.heads <= config.width
        return there and built and not config.width % config.heads and list(config.layers) == sorted(set(config.layers))
    except TypeError:
        return False


def describe_base(model: Any) -> dict[str, object]:
    """What an adapter depends on in its base model."""
    config = model.config
    return {
        "name": EMBEDDED_MODEL,
        "hidden": int(config.hidden_size),
        "layers": int(config.num_hidden_layers),
        "vocabulary": int(config.vocab_size),
    }


def write_manifest(folder: Path, model: Any, config: SlotsConfig, decoding: Decoding) -> None:
    """Describe the files that are in `folder`, so that `check` accepts them and no others."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors"))
    names += sorted(path.relative_to(folder).as_posix() for path in folder.rglob("adapter_config.json"))
    found = {
        "format": _FORMAT,
        "base": describe_base(model),
        "channels": [channel.name for channel in CHANNELS],
        "slots": config.to_dict(),
        "decoding": asdict(decoding),
        "files": {name: _digest(folder / name) for name in names},
    }
    (folder / MANIFEST).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _within(folder: Path, name: str) -> bool:
    """Whether a file that the manifest names lies in the folder, also where it is a link."""
    try:
        return (folder / name).resolve().is_relative_to(folder.resolve())
    # A name that no file can have, and links in a circle.
    except (OSError, ValueError, RuntimeError):
        return False


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(read_bytes(path, _MAX_BYTES)).hexdigest()
    except FacescriptError as error:
        if is_denied(error):
            raise FacescriptError("bad_adapter", error.message, error.hint) from error
        return "missing"
