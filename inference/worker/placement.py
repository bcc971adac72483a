# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a model's weights go, decided before any are loaded: on GPUs, partly in the machine's memory, or nowhere.

On one GPU or several if it fits there; else what does not fit stays in the machine's memory and is copied to the GPU
layer by layer, by accelerate. bitsandbytes quantizes only what is on the GPU: what stays behind takes 16 bits, there
and while it is copied, and it takes 8 or 4 bit with parts elsewhere only when told so
(`llm_int8_enable_fp32_cpu_offload`, for both, by its name).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ...performance import FacescriptError
from ..footprint import LINEAR_BITS, Footprint, adapter_weights, footprint
from ..models import memory
from .model_folder import check_lora, check_model

# Left free for everything else: the rest of the machine, or what a GPU's own library takes.
_SPARE = 512 << 20
# bitsandbytes and accelerate both keep a tenth of a GPU back.
_GPU_SHARE = 0.9

# Keyframes that are decoded side by side at most.
ROWS = 8

_NAMES = {"nf4": "4 bit (NF4)", "int8": "8 bit", "bf16": "bf16", "fp32": "fp32", "none": "the precision of its files"}


@dataclass(frozen=True)
class Machine:
    """Bytes that are free: on each GPU, and in the machine's own memory."""

    memory: int
    gpus: tuple[int, ...] = ()

    @property
    def on_gpus(self) -> int:
        """Bytes that a model may take on all GPUs."""
        return sum(int(free * _GPU_SHARE) for free in self.gpus)

    @property
    def in_memory(self) -> int:
        """Bytes that a model may take in the machine's memory."""
        return max(0, self.memory - _SPARE)


@dataclass(frozen=True)
class Placement:
    """How a model is loaded, and how many keyframes it decodes side by side.

    `max_memory` is what may be used of each device ("cpu" is the machine's memory); empty where all of the model goes
    to one kind of device. `devices` is then which module goes to which, once that was decided.
    """

    rows: int
    max_memory: dict[int | str, int] = field(default_factory=dict)
    devices: dict[str, Any] = field(default_factory=dict)

    @property
    def offloads(self) -> bool:
        """Whether a part of the model stays in the machine's memory beside a GPU."""
        return bool(self.max_memory)


def this_machine() -> Machine:
    """What is free now: NVIDIA's GPUs as their driver tells, memory within the limit of a container."""
    import psutil

    told = memory.available()
    left = psutil.virtual_memory().available if told is None else told
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    return Machine(left, tuple(torch.cuda.mem_get_info(number)[0] for number in gpus))


def measured(folder: Path, adapter: Path | None = None) -> Footprint:
    """The sizes of a model, with a LoRA if there is one, from its files' beginnings.

    Raises FacescriptError (`no_model`, `bad_model`, `bad_adapter`) for a folder that is not what it should be.
    """
    check_model(folder)
    size = footprint(folder)
    if adapter is None:
        return size
    check_lora(adapter)
    return replace(size, adapter=adapter_weights(adapter))


def place(size: Footprint, quantization: str, machine: Machine) -> Placement | None:
    """Where a model of this size goes, or None if there is no room for it."""
    if not machine.gpus:
        room = machine.in_memory - size.needed(quantization, 0)
        return _rows(size, quantization, room)
    room = machine.on_gpus - size.needed(quantization, 0)
    if placed := _rows(size, quantization, room):
        return placed
    # What is quantized already cannot be kept in memory in 16 bits.
    return None if size.packed else _beside(size, quantization, machine)


def _beside(size: Footprint, quantization: str, machine: Machine) -> Placement | None:
    """Embeddings and the first layers on the GPUs, the other layers and the output layer in memory, in 16 bits."""
    wide = _unquantized(quantization)
    # Caches and a layer's work have to be on the first GPU, and whatever is copied there to be used, one at a time.
    work = size.needed(quantization, 1) - size.weights(quantization)
    copied = max(size.output(wide), size.layer(wide))
    first, *more = (int(free * _GPU_SHARE) for free in machine.gpus)
    room = first - work - copied
    layer, embedding = max(1, size.layer(quantization)), size.embedding(quantization)
    # accelerate keeps the largest of what is to come free by itself, in the size that it has on a GPU.
    limit = room + max(size.output(quantization), layer)
    if limit < embedding + max(embedding, layer):
        return None
    on_gpus = sum(max(0, free) // layer for free in (room - embedding, *more))
    behind = max(0, size.layers - on_gpus) * size.layer(wide) + size.output(wide)
    if behind > machine.in_memory:
        return None
    return Placement(1, {0: limit} | dict(enumerate(more, 1)) | {"cpu": machine.in_memory})


def _rows(size: Footprint, quantization: str, room: int) -> Placement | None:
    rows = min(ROWS, room // max(1, size.row(quantization)))
    return Placement(rows) if rows >= 1 else None


def _unquantized(quantization: str) -> str:
    return "bf16" if quantization in ("nf4", "int8") else quantization


def placed(folder: Path, size: Footprint, quantization: str, machine: Machine) -> Placement:
    """As `place`, and with `devices` of a model that goes to several; loads no weights.

    Raises FacescriptError (`no_memory`) that names what would fit, and what transformers raises for a configuration
    that it can make no model of.
    """
    found = place(size, quantization, machine)
    if found is None:
        raise _no_room(folder, size, quantization, machine)
    if not found.offloads:
        return found
    devices, behind = device_map(folder, quantization, found.max_memory)
    if behind > machine.in_memory:
        raise _no_room(folder, size, quantization, machine)
    return replace(found, devices=devices)


def _no_room(folder: Path, size: Footprint, quantization: str, machine: Machine) -> FacescriptError:
    free = f"{_gb(machine.on_gpus)} on the GPU and " if machine.gpus else ""
    # Else the sum of both would seem to be enough.
    wide = ", in 16 bits a weight" if machine.gpus and quantization in ("nf4", "int8") and not size.packed else ""
    what = (
        f"The model in {folder}{' with its adapter' if size.adapter else ''} needs about "
        f"{_gb(size.needed(quantization, 1))} in {_NAMES[quantization]}; "
        f"{free}{_gb(machine.in_memory)} of memory can be used{wide}."
    )
    return FacescriptError("no_memory", what, _advice(size, quantization, machine))


def fitting(size: Footprint, wanted: str, machine: Machine) -> str:
    """The quantization `wanted` if the model fits so, else the finest that takes less and fits, else `nf4`."""
    smaller = [name for name in ("bf16", "int8", "nf4") if size.weights(name) < size.weights(wanted)]
    return next((name for name in (wanted, *smaller) if place(size, name, machine)), "nf4")


def _advice(size: Footprint, quantization: str, machine: Machine) -> str:
    smaller = [name for name in ("bf16", "int8", "nf4") if size.weights(name) < size.weights(quantization)]
    for name in smaller:
        if found := place(size, name, machine):
            where = ", part of it beside the GPU" if found.offloads else ""
            return f"Choose {_NAMES[name]} as Quantization: that needs about {_gb(size.needed(name, 1))}{where}."
    # Beside a GPU it would not be in 4 bit.
    most = (machine.on_gpus if machine.gpus else machine.in_memory) - (size.needed("nf4", 1) - size.weights("nf4"))
    # As this model is made: so much of it in linear layers.
    bits = (size.weights("nf4") * 8) / max(1, size.parameters)
    billions = max(0.0, most * 8 / max(bits, LINEAR_BITS["nf4"]) / 1e9)
    if billions < 0.1:
        return "Close other programs, or run the model on a server."
    return (
        f"Choose a model of up to about {billions:.1f} billion parameters in {_NAMES['nf4']} (this one has "
        f"{size.parameters / 1e9:.1f}), or run this one on a server."
    )


def device_map(folder: Path, quantization: str, limits: dict[int | str, int]) -> tuple[dict[str, Any], int]:
    """Which module goes to which device, by accelerate, for a model that is partly offloaded; loads no weights.

    With the bytes that go to memory ("cpu"), whatever its limit: accelerate would reckon them as small as on a GPU.
    """
    from accelerate import infer_auto_device_map, init_empty_weights
    from accelerate.utils import CustomDtype
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    # accelerate takes the smaller of a weight's own type and the one that it is told: here they are the same.
    wide = {"fp32": torch.float32, "none": config.dtype or torch.float32}.get(quantization, torch.bfloat16)
    with init_empty_weights():
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False, dtype=wide)
    model.tie_weights()
    packed = {"nf4": CustomDtype.INT4, "int8": torch.int8}.get(quantization)
    tables = _tables(model)
    kept = {
        name: torch.bfloat16
        for name, parameter in model.named_parameters()
        if packed is not None and (parameter.dim() != 2 or id(parameter) in tables)
    }
    found: dict[str, Any] = infer_auto_device_map(
        model,
        max_memory=limits | {"cpu": sys.maxsize},
        no_split_module_classes=list(model._no_split_modules or ()),
        dtype=packed or wide,
        special_dtypes=kept,
    )
    behind = sum(p.numel() * p.element_size() for name, p in model.named_parameters() if _device(found, name) == "cpu")
    return found, behind


def _tables(model: Any) -> set[int]:
    """The identities of the matrices that bitsandbytes leaves as they are: of embeddings and of the output layer."""
    modules = [model.get_output_embeddings(), *(m for m in model.modules() if isinstance(m, torch.nn.Embedding))]
    return {id(module.weight) for module in modules if module is not None}


def _device(devices: dict[str, Any], name: str) -> Any:
    """Where a parameter goes: its own entry, or that of the module it is in ("" is the whole model)."""
    while name and name not in devices:
        name = name.rpartition(".")[0]
    return devices[name]


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
