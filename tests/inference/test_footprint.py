# SPDX-License-Identifier: GPL-3.0-or-later
"""How much memory a model takes, told from its files' beginnings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from facescript.inference.footprint import BLOCK, TOKENS, Footprint, footprint
from facescript.performance import FacescriptError

CONFIG = {
    "hidden_size": 8,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 100,
}
TENSORS = {
    "model.embed_tokens.weight": [100, 8],
    "model.layers.0.mlp.up_proj.weight": [32, 8],
    "model.layers.0.self_attn.q_proj.bias": [8],
    "model.norm.weight": [8],
    "lm_head.weight": [100, 8],
}


def written(folder: Path, **config: Any) -> Path:
    """A model's files as far as they are read: the weights themselves are not there."""
    header, end = {}, 0
    for name, shape in TENSORS.items():
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [end, end + size]}
        end += size
    data = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(data).to_bytes(8, "little") + data)
    (folder / "config.json").write_text(json.dumps(CONFIG | config))
    return folder


def test_linear_layers_are_told_from_what_is_not_quantized(tmp_path: Path) -> None:
    found = footprint(written(tmp_path))
    assert (found.linear, found.other, found.widest) == (256, 800 + 8 + 8 + 800, 256)
    assert found.parameters == 1872
    assert found.stored == 2 * 1872
    # Keys and values of two heads, each two numbers wide, in two layers.
    assert found.cached == 2 * 2 * 2 * 2
    # Of the 272 weights beside both tables, half in each layer; bytes in 16 bits.
    assert (found.tables, found.table, found.layers) == (1600, 800, 2)
    assert (found.layer("bf16"), found.embedding("bf16"), found.output("bf16")) == (272, 1600, 1600)


@pytest.mark.parametrize(
    ("sizes", "cached"),
    [
        # Keys and values, of 2 layers, each 8 wide: as MPT, GPT-Neo and GPT-2 say it.
        ({"d_model": 8, "n_heads": 4, "n_layers": 2}, 32),
        ({"hidden_size": 8, "num_heads": 4, "num_layers": 2}, 32),
        ({"n_embd": 8, "n_head": 4, "n_layer": 2}, 32),
        # Falcon's first form has one head of the 4 for all; its second form caches a copy for each.
        ({"hidden_size": 8, "num_attention_heads": 4, "num_hidden_layers": 2, "multi_query": True}, 8),
        (
            {"hidden_size": 8, "num_attention_heads": 4, "num_hidden_layers": 2, "num_kv_heads": 2}
            | {"multi_query": True, "new_decoder_architecture": True},
            32,
        ),
    ],
)
def test_the_cache_is_told_by_whatever_names_a_configuration_has(
    tmp_path: Path, sizes: dict[str, Any], cached: int
) -> None:
    written(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    assert footprint(tmp_path).cached == cached


def test_of_a_size_for_each_layer_the_largest_counts(tmp_path: Path) -> None:
    one = footprint(written(tmp_path, intermediate_size=64))
    assert footprint(written(tmp_path, intermediate_size=[32, 64])).passed == one.passed


def test_a_tied_output_layer_is_counted_once(tmp_path: Path) -> None:
    found = footprint(written(tmp_path, tie_word_embeddings=True))
    assert found.other == 800 + 8 + 8
    assert (found.embedding("bf16"), found.output("bf16")) == (1600, 0)


def test_sizes_of_a_text_model_within_another_are_found(tmp_path: Path) -> None:
    whole = footprint(written(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "x", "text_config": CONFIG}))
    assert footprint(tmp_path) == whole


@pytest.mark.parametrize("text", [None, {}])
def test_a_text_model_that_says_nothing_is_passed_over(tmp_path: Path, text: Any) -> None:
    whole = footprint(written(tmp_path))
    assert footprint(written(tmp_path, text_config=text)) == whole


def test_a_copy_of_the_weights_beside_them_is_not_counted(tmp_path: Path) -> None:
    whole = footprint(written(tmp_path))
    weights = tmp_path / "model.safetensors"
    (tmp_path / "consolidated.safetensors").write_bytes(weights.read_bytes())
    assert footprint(tmp_path) == whole
    # Without an index and under another name.
    weights.rename(tmp_path / "weights.safetensors")
    assert footprint(tmp_path) == whole
    (tmp_path / "other.safetensors").write_bytes((tmp_path / "weights.safetensors").read_bytes())
    assert footprint(tmp_path).parameters == 2 * 1872
    index = {"weight_map": {"model.norm.weight": "weights.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert footprint(tmp_path) == whole


def test_bytes_follow_from_the_quantization() -> None:
    size = Footprint(1_000_000, 100_000, stored=2_200_000, cached=100, passed=50, widest=0, tables=0, table=0, layers=0)
    assert size.weights("bf16") == size.weights("none") == 2_200_000
    assert size.weights("fp32") == 4_400_000
    assert size.weights("int8") == 1_200_000
    # 4.127 bits a weight.
    assert size.weights("nf4") == 715_869
    assert size.row("bf16") == 2 * (100 * TOKENS + 50 * BLOCK)
    assert size.needed("bf16", 3) == 2_200_000 + 3 * size.row("bf16")


@pytest.mark.parametrize("content", [b"", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0[]", b'\x09\0\0\0\0\0\0\0{"a": 1}\n'])
def test_a_file_that_is_cut_short_is_an_error(tmp_path: Path, content: bytes) -> None:
    (written(tmp_path) / "model.safetensors").write_bytes(content)
    with pytest.raises(FacescriptError, match=r"model.safetensors is corrupt or cut short") as caught:
        footprint(tmp_path)
    assert caught.value.code == "bad_model"
