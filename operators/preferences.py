# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension's preferences as data: where the runtime is and which model is asked. `panels` draws them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bpy
from bpy.props import EnumProperty, StringProperty

from ..inference.options import ModelOptions
from ..inference.runtime import Runtime
from ..performance import FacescriptError

PACKAGE = __package__.rpartition(".")[0]

BACKEND_ITEMS = [
    ("embedded", "Embedded", "The small model that comes with the extension; works without a network"),
    ("local", "Local Model", "A Hugging Face model in a folder on this machine, with or without a LoRA adapter"),
]
QUANTIZATION_ITEMS = [
    ("auto", "Automatic", "What was measured as the fastest on this machine at set-up"),
    ("nf4", "4 bit (NF4)", "Least memory; fast on processors with AVX-512 and on NVIDIA GPUs"),
    ("int8", "8 bit", "Half the memory of bf16; slow on most processors"),
    ("bf16", "bf16", "The weights as they are"),
    ("fp32", "fp32", "Most memory; for processors that are slow at bf16"),
]


class Settings:
    """The properties of the preferences; a mixin, so that what draws them can live in `panels`."""

    runtime_folder: StringProperty(
        name="Runtime Folder",
        description="Where the private Python environment and the models are kept. Empty: the extension's own folder",
        subtype="DIR_PATH",
    )
    wheels_folder: StringProperty(
        name="Offline Packages",
        description="Set up from the wheels in this folder instead of downloading them",
        subtype="DIR_PATH",
    )
    backend: EnumProperty(name="Model", description="Which model writes the performance", items=BACKEND_ITEMS)
    model_folder: StringProperty(
        name="Model Folder",
        description="The folder of the local model: config.json, tokenizer.json, *.safetensors",
        subtype="DIR_PATH",
    )
    adapter_folder: StringProperty(
        name="Adapter Folder",
        description="The folder of a LoRA for the local model, as peft saves it. Empty: none",
        subtype="DIR_PATH",
    )
    quantization: EnumProperty(
        name="Quantization", description="How the model's weights are kept in memory", items=QUANTIZATION_ITEMS
    )


def get(context: bpy.types.Context) -> Any:
    """The preferences of this extension."""
    return context.preferences.addons[PACKAGE].preferences


def runtime(context: bpy.types.Context) -> Runtime:
    """The runtime that the preferences name. Raises FacescriptError if its folder cannot be made."""
    chosen = get(context).runtime_folder
    if chosen.startswith("//"):
        what = "The Runtime Folder is relative to the open file, so it would be another one in every file."
        raise FacescriptError("no_folder", what, "Choose a full path in the preferences.")
    if chosen:
        return Runtime(Path(os.path.realpath(bpy.path.abspath(chosen))))
    try:
        return Runtime(Path(bpy.utils.extension_path_user(PACKAGE, path="runtime", create=True)))
    except (OSError, ValueError) as error:
        raise FacescriptError(
            "no_folder",
            f"The extension's own folder cannot be used: {error}.",
            "Choose a Runtime Folder in the preferences.",
        ) from error


def model_options(context: bpy.types.Context) -> ModelOptions:
    """The model that the preferences choose."""
    chosen = get(context)
    if chosen.backend == "embedded":
        return ModelOptions("embedded", quantization=chosen.quantization)
    model = bpy.path.abspath(chosen.model_folder) if chosen.model_folder else ""
    adapter = bpy.path.abspath(chosen.adapter_folder) if chosen.adapter_folder else ""
    return ModelOptions("local", model, adapter, chosen.quantization)
