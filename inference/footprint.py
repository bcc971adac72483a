# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory a local model takes, told from its configuration and the headers of its weights alone.

Nothing is loaded: a header names each tensor with its shape and type. bitsandbytes quantizes the linear layers'
matrices and leaves embeddings, the output layer, norms and experts that are one tensor in 16 bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..performance import FacescriptError
from ..performance.parsing import parse_json, read_object

_AGAIN = "Download or convert the model again."

# Of safetensors' format: a header of at most 100 MB, in JSON.
_HEADER, _VALUES, _CONFIG = 100_000_000, 8_000_000, 64 << 20
_BITS = {"F64": 64, "I64": 64, "U64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16, "U16": 16}

# Bits of one weight of a linear layer. NF4 with double quantization (Dettmers et al. 2023, "QLoRA", arXiv 2305.14314,
# section 3): 4, a scale of 8 bits for 64 weights, and one of 32 for 256 of those.
LINEAR_BITS = {"nf4": 4 + 8 / 64 + 32 / (64 * 256), "int8": 8.0, "bf16": 16.0, "fp32": 32.0}
# Everything else, numbers in the key-value cache, and what a layer passes on.
OTHER_BITS = {"nf4": 16.0, "int8": 16.0, "bf16": 16.0, "fp32": 32.0}

# Names that configurations have for the same size; the last ones of heads and layers are MPT's and GPT-Neo's.
WIDTH = ("hidden_size", "n_embd", "d_model")
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")

# What a performance reads and writes: a prompt of some 1,000 tokens and an answer of some 700; tokens read at once.
TOKENS, BLOCK = 2048, 256


@dataclass(frozen=True)
class Footprint:
    """A model's sizes in numbers, not bytes.

    `linear` weights are quantized, `other` are not, `stored` is the bytes of all of them in their files. `cached` is
    how many numbers a token leaves in the key-value cache; `passed` how many a token takes in the widest layer, its
    scores of attention for `TOKENS` tokens among them; `widest` is the largest linear layer's weights. Of the `other`
    weights, `tables` are in embeddings and the output layer, `table` in the largest of those; the rest of the model is
    in `layers` that are much alike. `adapter` is how many weights a LoRA adds. `packed` is the quantization that the
    files are in already and stay in, `nf4` or `int8`, else "".
    """

    linear: int
    other: int
    stored: int
    cached: int
    passed: int
    widest: int
    tables: int
    table: int
    layers: int
    adapter: int = 0
    packed: str = ""

    @property
    def parameters(self) -> int:
        """How many weights the model has."""
        return self.linear + self.other

    def weights(self, quantization: str) -> int:
        """Bytes of the weights; `none` is as they are stored."""
        if self.packed or quantization not in LINEAR_BITS:
            return self.stored
        return int(self.linear * LINEAR_BITS[quantization] + self.other * OTHER_BITS[quantization]) // 8

    def layer(self, quantization: str) -> int:
        """Bytes of one of the model's layers."""
        return (self.weights(quantization) - self._other(self.tables, quantization)) // max(1, self.layers)

    def embedding(self, quantization: str) -> int:
        """Bytes of the largest table, which comes before all layers."""
        return self._other(self.table, quantization)

    def output(self, quantization: str) -> int:
        """Bytes of the tables beside the largest one; none where embeddings and output layer are one."""
        return self._other(self.tables - self.table, quantization)

    def _other(self, count: int, quantization: str) -> int:
        as_stored = 8 * self.stored / max(1, self.parameters)
        return int(count * OTHER_BITS.get(quantization, as_stored)) // 8

    def row(self, quantization: str) -> int:
        """Bytes that one keyframe takes while it is decoded, beside others."""
        size = OTHER_BITS.get(quantization, 16.0) / 8
        return int(size * (self.cached * TOKENS + self.passed * BLOCK))

    def needed(self, quantization: str, rows: int = 1) -> int:
        """Bytes that the model takes while it decodes `rows` keyframes: weights, LoRA, caches, and a layer's work."""
        # A quantized layer's weights are unpacked to 16 bits while it works.
        unpacked = 2 * self.widest if quantization in ("nf4", "int8") else 0
        # peft keeps a LoRA's matrices in 32 bits, whatever they are stored in.
        return self.weights(quantization) + 4 * self.adapter + unpacked + rows * self.row(quantization)


def footprint(folder: Path) -> Footprint:
    """The sizes of the model in `folder`. Raises FacescriptError (`bad_model`) if its files cannot be read."""
    config = read_object(folder / "config.json", _CONFIG, _VALUES)
    text = config.get("text_config")
    sizes = text if isinstance(text, dict) and text else config
    vocabulary = _size(sizes, "vocab_size")
    linear = other = stored = widest = 0
    tables = [0]
    already = stored_quantization(config)
    packed = already if already in ("nf4", "int8") else ""
    tied = bool(config.get("tie_word_embeddings", sizes.get("tie_word_embeddings")))
    for path in _weights(folder):
        for name, shape, bits in _tensors(path):
            count = math.prod(shape)
            if tied and name.endswith("lm_head.weight"):
                continue
            stored += count * bits // 8
            if packed and _is_scale(name):
                continue
            # Two weights of 4 bit in a byte.
            count *= 2 if packed == "nf4" and bits == 8 else 1
            if len(shape) == 2 and vocabulary not in shape and "experts" not in name and name.endswith(".weight"):
                linear, widest = linear + count, max(widest, count)
            else:
                other += count
                tables += [count] if vocabulary in shape else []
    layers = _size(sizes, *LAYERS)
    read = (linear, other, stored, _cached(sizes), _passed(sizes), widest, sum(tables), max(tables), layers)
    return Footprint(*read, packed=packed)


def stored_quantization(config: Mapping[str, Any]) -> str:
    """How the weights beside a configuration are quantized already: "" if they are not, `nf4` or `int8` by bitsandbytes
    as Facescript does it, else the name of another method."""
    levels = [config, config.get("text_config")]
    given = (level.get("quantization_config") for level in levels if isinstance(level, Mapping))
    found = next((one for one in given if one is not None), None)
    if found is None:
        return ""
    asked: Mapping[str, Any] = found if isinstance(found, Mapping) else {}
    # Older files name the method by what they ask of it alone.
    method = asked.get("quant_method") or "bitsandbytes"
    if method != "bitsandbytes":
        return str(method)[:40]
    if asked.get("load_in_8bit"):
        return "int8"
    if asked.get("load_in_4bit"):
        # bitsandbytes' own default.
        return str(asked.get("bnb_4bit_quant_type", "fp4"))[:40]
    return "a method without a name"


def _is_scale(name: str) -> bool:
    """Whether a tensor of a file of bitsandbytes' holds scales and the like of another one."""
    return ".weight." in name or name.endswith((".SCB", ".weight_format"))


def adapter_weights(folder: Path) -> int:
    """How many weights the LoRA in `folder` holds, with whole layers that were trained with it (`modules_to_save`).

    Raises FacescriptError (`bad_model`) if its file cannot be read.
    """
    return sum(math.prod(shape) for _, shape, _ in _tensors(folder / "adapter_model.safetensors"))


def _weights(folder: Path) -> list[Path]:
    """The files that transformers reads: the one, those in the index, or all but the copy of all weights that Mistral
    puts beside them (`consolidated.safetensors`)."""
    found = sorted(folder.glob("*.safetensors"))
    if whole := [path for path in found if path.name == "model.safetensors"]:
        return whole
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return [path for path in found if not path.name.startswith("consolidated")]
    named = read_object(index, _CONFIG, _VALUES).get("weight_map")
    return [path for path in found if isinstance(named, dict) and path.name in named.values()]


def _cached(sizes: Mapping[str, Any]) -> int:
    heads = _size(sizes, *HEADS)
    width = _size(sizes, "head_dim") or _size(sizes, *WIDTH) // max(1, heads)
    # Falcon's first form and GPT BigCode have one head of keys and values for all. Falcon's second form may say so as
    # well, and caches a copy for each head.
    single = sizes.get("multi_query") is True and not sizes.get("new_decoder_architecture")
    shared = 1 if single else _size(sizes, "num_key_value_heads") or heads
    return 2 * _size(sizes, *LAYERS) * shared * width


def _passed(sizes: Mapping[str, Any]) -> int:
    hidden = _size(sizes, *WIDTH)
    inner = _size(sizes, "intermediate_size", "n_inner", "ffn_dim") or 4 * hidden
    # A few of a layer's results live at once: what goes around it, queries, keys and values, both parts of a gate.
    return 6 * hidden + 3 * inner + TOKENS * _size(sizes, *HEADS)


def _size(sizes: Mapping[str, Any], *names: str) -> int:
    """The largest of a configuration's sizes of these names; some have one of each layer (Gemma 3n)."""
    given = [sizes.get(name) for name in names]
    found = [size for one in given for size in (one if isinstance(one, list) else [one]) if isinstance(size, int)]
    return max(0, *found) if found else 0


def _tensors(path: Path) -> Iterator[tuple[str, list[int], int]]:
    """Yield (name, shape, bits of a number) of each tensor in a file of safetensors."""
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > _HEADER:
                raise ValueError("its header is too long")
            found = parse_json(stream.read(length), _VALUES)
        for name, row in found.items():
            if name != "__metadata__":
                yield name, [int(size) for size in row["shape"]], _BITS.get(row["dtype"], 8)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, FacescriptError) as error:
        raise FacescriptError("bad_model", f"{path} is corrupt or cut short.", _AGAIN) from error
