# SPDX-License-Identifier: GPL-3.0-or-later
"""What a folder of a model or of a LoRA may hold, before any library looks at it. Nothing in a folder is ever run.

Read are JSON, chat templates and safetensors, each a regular file within the folder and of a limited size. Weights in
other forms (pickles), Python files and whatever else lies there are never opened; `auto_map`, by which a configuration
names code of its own, is left to have no effect, so that models whose code is part of transformers can be used. A link
has to end within the folder, or among the `blobs` of the same model where the folder is a snapshot in Hugging Face's
cache, which is made of such links.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...performance import FacescriptError
from ...performance.parsing import is_denied, open_regular, parse_json, read_object, read_text
from ..footprint import HEADS, LAYERS, WIDTH, stored_quantization

_CHOOSE = "Choose a folder with config.json, tokenizer.json and *.safetensors files, as Hugging Face models have."
_AGAIN = "Download or convert the model again."
_COPY = "Copy the whole model into one folder."

# What transformers reads where it is there. Tokenizers of large vocabularies take 35 MB and 3 million values.
_NEEDED = ("config.json", "tokenizer.json")
_MORE = (
    *("generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("chat_template.json", "model.safetensors.index.json"),
)
_JSON_BYTES, _JSON_VALUES = 64 << 20, 8_000_000
TEMPLATE_BYTES = 256 << 10

# Of safetensors' format: a header of at most 100 MB, and the bits of a number of each type.
_HEADER = 100_000_000
_BITS = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}
_BITS |= dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8)
_BITS |= dict.fromkeys(("I16", "U16", "F16", "BF16"), 16) | dict.fromkeys(("I32", "U32", "F32"), 32)
_BITS |= dict.fromkeys(("I64", "U64", "F64", "C64"), 64)

# Names that configurations have for the same size, and the most of it; several times what the largest models have.
_SIZES: dict[str, tuple[tuple[str, ...], int]] = {
    "width": (WIDTH, 200_000),
    "layers": (LAYERS, 2_000),
    "vocabulary": (("vocab_size",), 4_000_000),
    "inner": (("intermediate_size", "n_inner", "ffn_dim"), 2_000_000),
    "heads": (HEADS, 4_096),
    "head": (("head_dim",), 8_192),
    "experts": (("num_experts", "num_local_experts", "n_routed_experts"), 65_536),
    "expert": (("moe_intermediate_size",), 200_000),
    "positions": (("max_position_embeddings", "n_positions"), 100_000_000),
}
# Weights that a byte may stand for: ternary ones are packed to four or five in it, and two thirds may be shared.
_PACKED = 16

# What a LoRA's configuration may say. Anything else has to be empty: it would bring in other modules, other adapters or
# files (megatron_config, arrow_config, eva_config, loftq_config ...). The base model that is named is never looked for,
# and auto_mapping names a class that only peft's own search for a base imports.
_LORA_FIELDS = (
    *("peft_type", "peft_version", "task_type", "inference_mode", "base_model_name_or_path", "revision", "r"),
    *("lora_alpha", "lora_dropout", "target_modules", "exclude_modules", "fan_in_fan_out", "bias", "lora_bias"),
    *("use_rslora", "use_dora", "use_qalora", "qalora_group_size", "init_lora_weights", "layers_to_transform"),
    *("layers_pattern", "rank_pattern", "alpha_pattern", "modules_to_save", "ensure_weight_tying", "megatron_core"),
    *("trainable_token_indices", "auto_mapping"),
)
# A pattern of names, or a list of them.
_LORA_TEXT = 20_000
LORA_RANK = 4_096


def check_model(folder: Path) -> None:
    """Refuse a folder that is not a whole, uncorrupted model in safetensors.

    Raises FacescriptError (`no_model`, `bad_model`) that says what is wrong.
    """
    if not _is(folder.is_dir):
        raise FacescriptError("no_model", f"There is no model folder {folder}.", _CHOOSE)
    if _there(folder / "adapter_config.json"):
        what = f"{folder} holds an adapter (adapter_config.json), or a model with one."
        raise FacescriptError("bad_model", what, "Choose the model's own folder, and the adapter's as Adapter Folder.")
    for name in (*_NEEDED, *(name for name in _MORE if _there(folder / name))):
        _json(folder, name)
    for path in templates(folder):
        _inside(folder, path)
        _bad(lambda path=path: read_text(path, TEMPLATE_BYTES), _AGAIN)
    for name in _indexed(folder):
        if not _there(folder / name):
            raise FacescriptError("bad_model", f"{folder} has no {name[:60]}, which its index names.", _AGAIN)
    stored = sum(_weights(folder, path) for path in _safetensors(folder))
    config = _json(folder, "config.json")
    _check_size(folder, config, stored)
    method = stored_quantization(config)
    if method not in ("", "nf4", "int8"):
        what = f"The weights in {folder} are quantized already ({method}), which cannot be read here."
        raise FacescriptError("bad_model", what, "Choose the unquantized model, or run this one on a server.")


def check_lora(folder: Path) -> None:
    """Refuse a folder that is not a LoRA as peft saves it. Raises FacescriptError (`bad_adapter`)."""
    hint = "Choose a LoRA folder as peft saves it."
    if _there(folder / "adapter.json") and not _there(folder / "adapter_config.json"):
        what = f"{folder} holds an adapter for the embedded model (adapter.json), not a LoRA for a local one."
        where = "Choose it as Trained Adapter with the embedded model; on the command line, leave out --model."
        raise FacescriptError("bad_adapter", what, where)
    if not _is((folder / "adapter_model.safetensors").is_file):
        raise FacescriptError("bad_adapter", f"{folder} holds no adapter_model.safetensors.", hint)
    try:
        found = _json(folder, "adapter_config.json")
        _weights(folder, folder / "adapter_model.safetensors")
    except FacescriptError as error:
        raise FacescriptError("bad_adapter", error.message, error.hint if is_denied(error) else hint) from error
    wrong = lora_faults(found)
    if wrong:
        raise FacescriptError("bad_adapter", f"The adapter in {folder} cannot be used: {wrong}.", hint)


def lora_faults(found: Mapping[str, Any]) -> str:
    """What is wrong with the content of an `adapter_config.json`, or ""."""
    if found.get("peft_type") != "LORA":
        return f"it is not a LoRA but {str(found.get('peft_type'))[:40]!r}"
    odd = [name for name, value in found.items() if name not in _LORA_FIELDS and value not in (None, False, "", [], {})]
    if odd:
        return f"{odd[0][:40]!r} is not supported"
    ranks, alphas = _with_patterns(found, "r", "rank_pattern"), _with_patterns(found, "lora_alpha", "alpha_pattern")
    if ranks is None or not all(isinstance(rank, int) and _is_number(rank, 1, LORA_RANK) for rank in ranks):
        return f"'r' or a value in 'rank_pattern' is not a whole number from 1 to {LORA_RANK}"
    if alphas is None or not all(_is_number(alpha, 0.0, 1e6) for alpha in alphas):
        return "'lora_alpha' or a value in 'alpha_pattern' is out of range"
    if not _is_number(found.get("lora_dropout", 0.0), 0.0, 1.0):
        return "'lora_dropout' is out of range"
    if sum(len(str(value)) for name, value in found.items() if name != "base_model_name_or_path") > _LORA_TEXT:
        return "its configuration is too long"
    return ""


def _with_patterns(found: Mapping[str, Any], name: str, patterns: str) -> list[Any] | None:
    """A value of a LoRA, 8 if it is not given, and those that some layers have instead; None if these are no object."""
    special = found.get(patterns) or {}
    return [found.get(name, 8), *special.values()] if isinstance(special, dict) else None


def templates(folder: Path) -> list[Path]:
    """The files of chat templates that transformers reads from a model's folder."""
    more = sorted((folder / "additional_chat_templates").glob("*.jinja"))
    return [path for path in (folder / "chat_template.jinja", *more) if _there(path)]


def header_size(data: bytes, size: int) -> int:
    """How many weights a safetensors file of `size` bytes holds at most, a weight a byte, if its beginning `data` (the
    length and the header) is true; ValueError says what is not."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(_HEADER, size - 8):
        raise ValueError("its header is longer than the file")
    try:
        found = parse_json(data[8 : 8 + length], _JSON_VALUES)
    except FacescriptError as error:
        raise ValueError(f"its header cannot be read ({error.message})") from error
    if not isinstance(found, dict):
        raise ValueError("its header is not an object")
    spans = sorted(_span(name, row) for name, row in found.items() if name != "__metadata__")
    end = 0
    for begin, after in spans:
        if begin != end:
            raise ValueError("its tensors overlap or leave gaps")
        end = after
    if end != size - 8 - length:
        raise ValueError("it is shorter or longer than its tensors")
    return end


def _span(name: str, row: Any) -> tuple[int, int]:
    """Where a tensor begins and ends. Raises ValueError if it is not as large as its shape."""
    if not isinstance(row, dict) or row.get("dtype") not in _BITS:
        raise ValueError(f"{name[:60]!r} is not described as a tensor")
    shape, place = _counts(row.get("shape")), _counts(row.get("data_offsets"))
    if shape is None or place is None or len(place) != 2:
        raise ValueError(f"{name[:60]!r} is not described as a tensor")
    if math.prod(shape) * _BITS[row["dtype"]] != 8 * (place[1] - place[0]):
        raise ValueError(f"{name[:60]!r} is not as large as its shape")
    return place[0], place[1]


def _counts(value: Any) -> list[int] | None:
    """The value if it is a short list of whole numbers from 0 on."""
    if not isinstance(value, list) or len(value) > 16:
        return None
    return value if all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v < 2**48 for v in value) else None


def size_faults(config: Mapping[str, Any], stored: int) -> str:
    """What is wrong with the sizes that a configuration asks for, beside `stored` bytes of weights, or "". Those of the
    text model within another are in `text_config`, and either may be the one that is used."""
    levels = [level for level in (config, config.get("text_config")) if isinstance(level, Mapping)]
    return next(filter(None, (_level_faults(level, stored) for level in levels)), "")


def _level_faults(level: Mapping[str, Any], stored: int) -> str:
    sizes = {}
    for what, (names, most) in _SIZES.items():
        found = [size for name in names for size in _each(level.get(name))]
        if any(isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most for value in found):
            return f"{names[0]!r} is not a whole number up to {most:,}"
        sizes[what] = max(found, default=0)
    rows = (sizes["width"], sizes["inner"], sizes["heads"] * sizes["head"], sizes["experts"] * sizes["expert"])
    asked = sizes["width"] * (sizes["vocabulary"] + sizes["layers"] * max(rows))
    return "" if asked <= _PACKED * stored else "it asks for far more weights than the folder holds"


def _each(size: Any) -> list[Any]:
    """The sizes that are given: one, one of each layer (Gemma 3n), or none."""
    return size if isinstance(size, list) else [] if size is None else [size]


def _check_size(folder: Path, config: Mapping[str, Any], stored: int) -> None:
    wrong = size_faults(config, stored)
    if wrong:
        raise FacescriptError("bad_model", f"{folder / 'config.json'} cannot be used: {wrong}.", _AGAIN)


def _weights(folder: Path, path: Path) -> int:
    """Check a safetensors file as far as its header goes; see `header_size`."""
    _inside(folder, path)
    data, size = _bad(lambda: _beginning(path), _AGAIN)
    try:
        return header_size(data, size)
    except ValueError as error:
        raise FacescriptError("bad_model", f"{path} is corrupt or cut short: {error}.", _AGAIN) from error


def _beginning(path: Path) -> tuple[bytes, int]:
    """A safetensors file's length and header, and the file's size."""
    with open_regular(path) as stream:
        length = stream.read(8)
        header = stream.read(min(_HEADER, int.from_bytes(length, "little")))
        return length + header, os.fstat(stream.fileno()).st_size


def _safetensors(folder: Path) -> list[Path]:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickled = [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")]
        why = " Pickled weights (*.bin, *.pt) are never loaded." if pickled else ""
        raise FacescriptError("bad_model", f"{folder} holds no *.safetensors weights.{why}", _CHOOSE)
    return weights


def _indexed(folder: Path) -> Iterator[str]:
    """The names of files in the index of weights in parts, if there is one."""
    if not _there(folder / "model.safetensors.index.json"):
        return
    found = _json(folder, "model.safetensors.index.json").get("weight_map")
    names = set(map(str, found.values())) if isinstance(found, dict) else {""}
    for name in sorted(names):
        if Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
            raise FacescriptError("bad_model", f"{folder} has an index that names {name[:60]!r}.", _AGAIN)
        yield name


def _json(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    if not _there(path):
        raise FacescriptError("bad_model", f"{folder} has no readable {name}.", _CHOOSE)
    _inside(folder, path)
    found: dict[str, Any] = _bad(lambda: read_object(path, _JSON_BYTES, _JSON_VALUES), _AGAIN)
    return found


def _bad(read: Any, hint: str) -> Any:
    try:
        return read()
    except FacescriptError as error:
        raise FacescriptError("bad_model", error.message, error.hint if is_denied(error) else hint) from error


def _there(path: Path) -> bool:
    # A link that leads nowhere is there, and said to be wrong.
    return _is(path.is_symlink) or _is(path.exists)


def _is(asked: Callable[[], bool]) -> bool:
    """What a path says of itself; a name that is too long, or a folder that may not be looked into, has nothing."""
    try:
        return asked()
    except OSError:
        return False


def _inside(folder: Path, path: Path) -> None:
    """Raise FacescriptError (`bad_model`) for what is no regular file within the folder."""
    try:
        root, real = folder.resolve(), path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise FacescriptError("bad_model", f"{path} is a link that leads nowhere.", _COPY) from error
    cached = root.parent.name == "snapshots" and real.is_relative_to(root.parent.parent / "blobs")
    if not real.is_relative_to(root) and not cached:
        raise FacescriptError("bad_model", f"{path} is a link that leaves the folder.", _COPY)
    if not real.is_file():
        raise FacescriptError("bad_model", f"{path} is not a file.", _COPY)


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and low <= value <= high
