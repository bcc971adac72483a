# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of folders of local models: they are cut, of another form, lie about their sizes, or bring code of their own.

A folder is a whole model of a few megabytes (a Llama of one layer with the tokenizer of the embedded model), in which
one thing is made wrong.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .fault import UNHARMED, Moves, fault
from .stage import DESCRIBED, Stage

_CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "vocab_size": 49152,
    "max_position_embeddings": 8192,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_SHAPES = {
    "model.embed_tokens.weight": (49152, 16),
    "model.norm.weight": (16,),
    "model.layers.0.input_layernorm.weight": (16,),
    "model.layers.0.post_attention_layernorm.weight": (16,),
    "model.layers.0.self_attn.q_proj.weight": (16, 16),
    "model.layers.0.self_attn.k_proj.weight": (8, 16),
    "model.layers.0.self_attn.v_proj.weight": (8, 16),
    "model.layers.0.self_attn.o_proj.weight": (16, 16),
    "model.layers.0.mlp.gate_proj.weight": (32, 16),
    "model.layers.0.mlp.up_proj.weight": (32, 16),
    "model.layers.0.mlp.down_proj.weight": (16, 32),
}


class _Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.mark}'",)


def _make_model(stage: Stage, number: float = 0.01) -> Path:
    """A whole model with all weights the same number."""
    folder = stage.folder / "model"
    folder.mkdir()
    models = stage.settings.runtime / json.loads((stage.settings.runtime / "runtime.json").read_text())["models"]
    [source] = [path.parent for path in models.glob("*/tokenizer.json")]
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja"):
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    (folder / "config.json").write_text(json.dumps(_CONFIG), encoding="utf-8")
    _write_weights(folder / "model.safetensors", _SHAPES, number)
    return folder


def _write_weights(path: Path, shapes: Mapping[str, tuple[int, ...]], number: float) -> None:
    """A safetensors file (https://github.com/huggingface/safetensors#format) of float32."""
    header, end = {}, 0
    for name, shape in shapes.items():
        size = 4
        for length in shape:
            size *= length
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + struct.pack("<f", number) * (end // 4))


def _ask(stage: Stage, folder: Path, adapter: Path | None = None, script: str = DESCRIBED) -> Moves:
    """Generate with a local model."""
    stage.use(stage.settings.runtime)
    preferences = stage.preferences
    preferences.backend, preferences.model_folder = "local", str(folder)
    preferences.adapter_folder, preferences.quantization = str(adapter or ""), "fp32"

    def back() -> None:
        preferences.backend, preferences.quantization = "embedded", "auto"
        preferences.model_folder = preferences.adapter_folder = ""

    stage.undo.append(back)
    stage.strike()
    stage.generate(script)
    yield from stage.rest()


def _spoilt(stage: Stage, spoil: Callable[[Path], object], script: str = DESCRIBED) -> Moves:
    folder = _make_model(stage)
    spoil(folder)
    yield from _ask(stage, folder, script=script)


def _edit(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | fields), encoding="utf-8")


@fault("no_model")
def model_folder_is_gone(stage: Stage) -> Moves:
    """The folder of the local model was moved."""
    yield from _ask(stage, stage.folder / "nowhere")


@fault("bad_model")
def model_folder_is_empty(stage: Stage) -> Moves:
    """The folder of the local model holds nothing."""
    folder = stage.folder / "model"
    folder.mkdir()
    yield from _ask(stage, folder)


@fault("bad_model")
def configuration_is_cut(stage: Stage) -> Moves:
    """config.json ends in the middle."""
    yield from _spoilt(stage, lambda folder: (folder / "config.json").write_text('{"model_type": "lla'))


@fault("bad_model")
def configuration_has_absurd_sizes(stage: Stage) -> Moves:
    """config.json says 100 million layers, each a million wide."""
    yield from _spoilt(stage, lambda f: _edit(f / "config.json", num_hidden_layers=10**8, hidden_size=10**6))


@fault("bad_model")
def configuration_is_of_another_model(stage: Stage) -> Moves:
    """config.json says twice the width that the weights have."""
    yield from _spoilt(stage, lambda folder: _edit(folder / "config.json", hidden_size=32, head_dim=16))


@fault("bad_model")
def kind_of_model_is_unknown(stage: Stage) -> Moves:
    """config.json names a kind of model that nobody knows."""
    yield from _spoilt(
        stage, lambda folder: _edit(folder / "config.json", model_type="dreamer", architectures=["DreamerForLM"])
    )


@fault("bad_model")
def weights_are_pickled(stage: Stage) -> Moves:
    """The only weights are a pickle that leaves a file when it is read."""
    mark = stage.folder / "exploded"

    def spoil(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Bomb(mark)))

    yield from _spoilt(stage, spoil)
    assert not mark.exists(), "the pickle was read"


@fault(UNHARMED, within=60.0)
def model_brings_code(stage: Stage) -> Moves:
    """config.json and tokenizer_config.json name Python files beside them (auto_map), which leave a file when run."""
    mark = stage.folder / "exploded"

    def spoil(folder: Path) -> None:
        (folder / "harm.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
        named = {"AutoConfig": "harm.Config", "AutoModelForCausalLM": "harm.Model", "AutoTokenizer": ["harm.T", None]}
        for name in ("config.json", "tokenizer_config.json"):
            _edit(folder / name, auto_map=named)

    yield from _spoilt(stage, spoil)
    assert not mark.exists(), "its code was run"


@fault("bad_model")
def weights_link_out_of_the_folder(stage: Stage) -> Moves:
    """model.safetensors is a symbolic link to a file somewhere else."""

    def spoil(folder: Path) -> None:
        os.replace(folder / "model.safetensors", stage.folder / "elsewhere.safetensors")
        (folder / "model.safetensors").symlink_to(stage.folder / "elsewhere.safetensors")

    yield from _spoilt(stage, spoil)


@fault("bad_model")
def index_names_a_file_outside(stage: Stage) -> Moves:
    """model.safetensors.index.json names ../elsewhere.safetensors."""

    def spoil(folder: Path) -> None:
        os.replace(folder / "model.safetensors", stage.folder / "elsewhere.safetensors")
        index = {"metadata": {}, "weight_map": dict.fromkeys(_SHAPES, "../elsewhere.safetensors")}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    yield from _spoilt(stage, spoil)


@fault("bad_model")
def weights_are_cut(stage: Stage) -> Moves:
    """model.safetensors is a third shorter than its header says, as after a download that stopped."""

    def spoil(folder: Path) -> None:
        path = folder / "model.safetensors"
        os.truncate(path, path.stat().st_size * 2 // 3)

    yield from _spoilt(stage, spoil)


@fault("bad_model")
def header_of_weights_lies(stage: Stage) -> Moves:
    """The header of model.safetensors says that it is 2^60 bytes long."""

    def spoil(folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(struct.pack("<Q", 1 << 60) + path.read_bytes()[8:])

    yield from _spoilt(stage, spoil)


@fault("bad_model")
def tensor_lies_about_its_shape(stage: Stage) -> Moves:
    """The header says that a tensor of 1 kB has a shape of 10^18 numbers."""

    def spoil(folder: Path) -> None:
        path = folder / "model.safetensors"
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        header["model.norm.weight"]["shape"] = [10**9, 10**9]
        text = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])

    yield from _spoilt(stage, spoil)


@fault(UNHARMED, within=60.0)
def weights_are_not_numbers(stage: Stage) -> Moves:
    """All weights are NaN, as after a training that went wrong."""
    yield from _ask(stage, _make_model(stage, float("nan")))
    for beat in stage.face.facescript.beats:
        assert all(-1.0 <= value <= 1.0 for value in beat.keyframe().pose), "a value is out of range"


@fault("bad_model")
def tokenizer_is_cut(stage: Stage) -> Moves:
    """tokenizer.json ends in the middle."""

    def spoil(folder: Path) -> None:
        path = folder / "tokenizer.json"
        os.truncate(path, path.stat().st_size // 2)

    yield from _spoilt(stage, spoil)


def _template(folder: Path, text: str) -> None:
    (folder / "chat_template.jinja").write_text(text, encoding="utf-8")
    _edit(folder / "tokenizer_config.json", chat_template=text)


@fault("bad_model", within=30.0)
def chat_template_never_ends(stage: Stage) -> Moves:
    """The model's chat template has loops of 10^15 turns within one another."""
    loop = "{% for i in range(99999) %}{% for j in range(99999) %}{% for k in range(99999) %}x{% endfor %}"
    yield from _spoilt(stage, lambda folder: _template(folder, loop + "{% endfor %}{% endfor %}"))


@fault("bad_model", within=30.0)
def chat_template_runs_code(stage: Stage) -> Moves:
    """The model's chat template reaches for Python's own functions to leave a file."""
    mark = stage.folder / "exploded"
    reach = "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ cycler.__init__.__globals__.os.system('touch MARK') }}"
    yield from _spoilt(stage, lambda folder: _template(folder, reach.replace("MARK", str(mark))))
    assert not mark.exists(), "its code was run"


def _make_adapter(stage: Stage, width: int = 16, **fields: Any) -> Path:
    """A LoRA for the model."""
    folder = stage.folder / "adapter"
    folder.mkdir()
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"}
    (folder / "adapter_config.json").write_text(json.dumps(config | fields), encoding="utf-8")
    place = "base_model.model.model.layers.0.self_attn.q_proj"
    shapes = {f"{place}.lora_A.weight": (2, width), f"{place}.lora_B.weight": (width, 2)}
    _write_weights(folder / "adapter_model.safetensors", shapes, 0.01)
    return folder


@fault("bad_adapter")
def adapter_is_for_another_model(stage: Stage) -> Moves:
    """The LoRA's matrices are for a model that is twice as wide."""
    yield from _ask(stage, _make_model(stage), _make_adapter(stage, 32))


@fault(UNHARMED, within=60.0)
def adapter_names_a_model_of_the_hub(stage: Stage) -> Moves:
    """adapter_config.json names a base model on Hugging Face's hub; nothing may be fetched."""
    adapter = _make_adapter(stage, base_model_name_or_path="meta-llama/Llama-3.1-8B", revision="main")
    yield from _ask(stage, _make_model(stage), adapter)


@fault("bad_adapter")
def adapter_brings_other_modules(stage: Stage) -> Moves:
    """adapter_config.json names modules that peft is to import (auto_mapping, megatron_config)."""
    named: dict[str, Any] = {
        "auto_mapping": {"base_model_class": "System", "parent_library": "os"},
        "megatron_config": {"a": 1},
    }
    yield from _ask(stage, _make_model(stage), _make_adapter(stage, **named))


def _spoil_shipped(stage: Stage, name: str, spoil: Callable[[bytes], bytes]) -> Moves:
    """Change a file of the adapter that the extension ships, until the fault is over; then Generate."""
    path = Path(stage.module("inference.setup.runtime").PACKAGE) / "inference" / "adapter" / name
    before = path.read_bytes()
    stage.undo.append(lambda: path.write_bytes(before))
    path.write_bytes(spoil(before))
    stage.session.stop_worker()
    stage.use(stage.settings.runtime)
    stage.strike()
    stage.generate()
    yield from stage.rest()


# A new worker reads the adapter, after torch.
@fault("bad_adapter", within=60.0)
def shipped_adapter_has_one_bit_wrong(stage: Stage) -> Moves:
    """One bit in the middle of the extension's own adapter is another."""

    def flip(data: bytes) -> bytes:
        middle = len(data) // 2
        return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]

    yield from _spoil_shipped(stage, "poser_slots.safetensors", flip)


# A new worker reads the adapter, after torch.
@fault("bad_adapter", within=60.0)
def shipped_adapter_is_empty(stage: Stage) -> Moves:
    """A file of the extension's own adapter has no bytes, as a full disk leaves it."""
    yield from _spoil_shipped(stage, "planner_slots.safetensors", lambda data: b"")


@fault("bad_model")
def embedded_model_is_cut(stage: Stage) -> Moves:
    """The converted model in the runtime's folder is cut to its first megabyte."""
    runtime = stage.folder / "runtime copy"
    source = stage.settings.runtime
    record = json.loads((source / "runtime.json").read_text(encoding="utf-8"))
    for path in (source / record["models"]).rglob("*"):
        if path.is_file():
            target = runtime / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix == ".safetensors":
                with path.open("rb") as file:
                    target.write_bytes(file.read(1 << 20))
            else:
                shutil.copyfile(path, target)
    (runtime / "runtime.json").write_text(json.dumps(record), encoding="utf-8")
    stage.use(runtime)
    stage.strike()
    stage.generate()
    yield from stage.rest()
