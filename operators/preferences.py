# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension's preferences as data: where the runtime is and which model is asked. `panels` draws them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bpy
from bpy.props import CollectionProperty, EnumProperty, IntProperty, StringProperty

from ..inference.options import ModelOptions
from ..inference.servers import trial as server_trial
from ..inference.servers.addresses import Address, check_key, given_key, parse_address
from ..inference.setup.host_runtime import HostRuntime, can_ask
from ..inference.setup.runtime import Runtime
from ..performance import FacescriptError

PACKAGE = __package__.rpartition(".")[0]

BACKEND_ITEMS = [
    ("embedded", "Embedded", "The small model that comes with the extension; works without a network"),
    ("local", "Local Model", "A Hugging Face model in a folder on this machine, with or without a LoRA adapter"),
    (
        "server",
        "Server",
        "A server that you run: Ollama, LM Studio, llama.cpp, vLLM. Your script is sent to it",
    ),
]
ACCELERATOR_ITEMS = [
    ("cpu", "Processor", "PyTorch's build for processors: about 200 MB to fetch"),
    ("cuda", "NVIDIA GPU", "PyTorch's build for NVIDIA's GPUs: up to 3 GB to fetch, and 9 GB on disk"),
]
QUANTIZATION_ITEMS = [
    ("auto", "Automatic", "What was measured as the fastest on this machine at set-up"),
    ("nf4", "4 bit (NF4)", "Least memory; fast on processors with AVX-512 and on NVIDIA GPUs"),
    ("int8", "8 bit", "Half the memory of bf16; slow on most processors"),
    ("bf16", "bf16", "The weights as they are"),
    ("fp32", "fp32", "Most memory; for processors that are slow at bf16"),
]
DECODING_ITEMS = [
    ("greedy", "Likeliest", "Each value is the one that the model finds likeliest, with one decimal"),
    ("expected", "Expected", "Each value is the mean of all, weighted by how likely the model finds them: finer steps"),
]


def _models(chosen: Any, _context: Any, typed: str) -> list[str]:
    """The models of the server that was tested last, for the search in the field."""
    return [name for name in server_trial.models(chosen.server_address) if typed.lower() in name.lower()]


class FACESCRIPT_PG_model_folder(bpy.types.PropertyGroup):
    """A folder in which models are looked for."""

    path: StringProperty(
        name="Folder", description="A model's folder, or one that holds folders of models", subtype="DIR_PATH"
    )


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
    accelerator: EnumProperty(
        name="Accelerator",
        description="What the runtime's PyTorch is built for; after a change, press Set Up. "
        "On a Mac, Apple's GPU is used",
        items=ACCELERATOR_ITEMS,
    )
    backend: EnumProperty(name="Model", description="Which model writes the performance", items=BACKEND_ITEMS)
    model_folder: StringProperty(
        name="Model Folder",
        description="The folder of the local model: config.json, tokenizer.json, *.safetensors. Or its name, such as "
        "Qwen/Qwen3-14B, if it was downloaded to Hugging Face's cache",
        subtype="DIR_PATH",
    )
    adapter_folder: StringProperty(
        name="Adapter Folder",
        description="The folder of a LoRA for the local model, as peft saves it. Empty: none",
        subtype="DIR_PATH",
    )
    model_folders: CollectionProperty(
        type=FACESCRIPT_PG_model_folder, name="Model Folders", description="Where models are looked for"
    )
    hub_name: StringProperty(
        name="From the Hub",
        description="The name of a model on the Hugging Face hub, as OWNER/NAME. It is fetched at its newest commit, "
        "into the runtime's folder",
        maxlen=200,
    )
    trained_adapter: StringProperty(
        name="Trained Adapter",
        description="The folder of an adapter for the embedded model that was trained on your own performances. "
        "Empty: the one that comes with the extension",
        subtype="DIR_PATH",
    )
    quantization: EnumProperty(
        name="Quantization", description="How the model's weights are kept in memory", items=QUANTIZATION_ITEMS
    )
    decoding: EnumProperty(
        name="Values", description="How a local model's probabilities become a value", items=DECODING_ITEMS
    )
    keep_loaded: IntProperty(
        name="Keep the Model Loaded (Minutes)",
        description="Minutes without work after which its memory is given back; 0 keeps it until Blender quits",
        default=10,
        min=0,
        max=1440,
    )
    server_address: StringProperty(
        name="Address",
        description="Where the server speaks the OpenAI form: Ollama at http://localhost:11434, LM Studio at "
        "http://localhost:1234, llama.cpp at http://localhost:8080, vLLM at http://localhost:8000",
        default="http://localhost:11434",
        maxlen=500,
    )
    server_model: StringProperty(
        name="Model",
        description="The model's name on the server; Test Connection finds them. Empty: its only one",
        search=_models,
        search_options={"SUGGESTION"},
        maxlen=200,
    )
    server_key: StringProperty(
        name="Key",
        description="The server's API key, if it wants one. It is saved with Blender's preferences, and sent to this "
        "server only. Empty: the environment variable FACESCRIPT_SERVER_KEY, if there is one",
        subtype="PASSWORD",
        maxlen=4000,
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


def worker_runtime(context: bpy.types.Context, backend: str = "") -> Runtime:
    """What a worker runs with: the runtime, or where a server is asked and none is set up, Blender's own Python.
    `backend` is that of the preferences where none is given.

    Raises FacescriptError if the runtime's folder cannot be made.
    """
    found = runtime(context)
    if (backend or get(context).backend) == "server" and can_ask() and not found.state().usable:
        return HostRuntime(found.folder)
    return found


def server_address(context: bpy.types.Context) -> Address:
    """The server that the preferences name. Raises FacescriptError: `bad_address`, and `offline` for a server on
    another machine while Blender does not allow online access."""
    address = parse_address(get(context).server_address)
    check_online(address)
    return address


def check_online(address: Address) -> None:
    """Raise FacescriptError (`offline`) for another machine's address while Blender does not allow online access."""
    if not (address.is_local or bpy.app.online_access):
        what = f"The server {address.host} is not this machine, and Blender does not allow online access."
        raise FacescriptError("offline", what, "Allow it in the preferences (System > Network), or use a local server.")


def model_options(context: bpy.types.Context) -> ModelOptions:
    """The model that the preferences choose. Raises FacescriptError for a server that cannot be asked."""
    chosen = get(context)
    if chosen.backend == "server":
        address = str(server_address(context))
        return ModelOptions("server", chosen.server_model, address=address, key=check_key(given_key(chosen.server_key)))
    if chosen.backend == "embedded":
        trained = bpy.path.abspath(chosen.trained_adapter) if chosen.trained_adapter else ""
        return ModelOptions("embedded", adapter=trained, quantization=chosen.quantization)
    model = bpy.path.abspath(chosen.model_folder) if chosen.model_folder else ""
    adapter = bpy.path.abspath(chosen.adapter_folder) if chosen.adapter_folder else ""
    return ModelOptions("local", model, adapter, chosen.quantization, decoding=chosen.decoding)
