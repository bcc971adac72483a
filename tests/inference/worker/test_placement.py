# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a model goes, and what is said if it goes nowhere."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import families
import toys
from facescript.inference.footprint import Footprint, footprint
from facescript.inference.options import EMBEDDED_MODEL
from facescript.inference.worker import local_model, placement, quantization
from facescript.inference.worker.placement import Machine, place, placed
from facescript.performance import FacescriptError
from hypothesis import given
from hypothesis import strategies as st

GB = 10**9
# Qwen3-14B's published sizes: 40 layers, 5,120 wide, 40 heads of 128, 8 of keys and values, 17,408 within, 151,936
# tokens in embeddings and in an output layer of its own.
_LINEAR = 40 * (2 * 5120 * 5120 + 2 * 5120 * 1024 + 3 * 5120 * 17408)
_OTHER = 2 * 151936 * 5120
QWEN3_14B = Footprint(
    linear=_LINEAR,
    other=_OTHER,
    stored=2 * (_LINEAR + _OTHER),
    cached=2 * 40 * 8 * 128,
    passed=6 * 5120 + 3 * 17408 + 2048 * 40,
    widest=5120 * 17408,
    tables=_OTHER,
    table=_OTHER // 2,
    layers=40,
)
FOLDER = Path("Qwen3-14B")


def machine(memory: float, *gpus: float) -> Machine:
    return Machine(int(memory * GB), tuple(int(free * GB) for free in gpus))


def test_keyframefaces_base_has_the_size_that_is_published() -> None:
    assert QWEN3_14B.parameters == pytest.approx(14.8e9, rel=0.005)
    assert QWEN3_14B.needed("nf4") == pytest.approx(10.5e9, rel=0.02)


@pytest.mark.parametrize(
    ("free", "quantization", "rows"),
    [
        (machine(32, 24), "nf4", 8),
        (machine(32, 24), "int8", 8),
        (machine(32, 12), "nf4", 1),
        (machine(32, 12, 12), "int8", 8),
        (machine(16), "nf4", 8),
        (machine(40), "bf16", 8),
    ],
)
def test_a_model_that_fits_goes_to_one_kind_of_device(free: Machine, quantization: str, rows: int) -> None:
    found = place(QWEN3_14B, quantization, free)
    assert found is not None and not found.offloads
    assert found.rows == rows


def test_what_a_gpu_has_no_room_for_stays_in_memory() -> None:
    found = place(QWEN3_14B, "nf4", machine(32, 8))
    assert found is not None and found.rows == 1
    assert set(found.max_memory) == {0, "cpu"}
    # Caches and a layer's work have their room on the GPU.
    assert found.max_memory[0] < 0.9 * 8 * GB - QWEN3_14B.row("nf4")


@pytest.mark.parametrize(
    ("free", "quantization", "what", "hint"),
    [
        (
            machine(20),
            "bf16",
            "needs about 30.0 GB in bf16; 19.5 GB of memory can be used.",
            "Choose 8 bit as Quantization: that needs about 16.9 GB.",
        ),
        (
            machine(4, 12),
            "int8",
            "needs about 16.9 GB in 8 bit; 10.8 GB on the GPU and 3.5 GB of memory can be used, in 16 bits a weight.",
            "Choose 4 bit (NF4) as Quantization: that needs about 10.5 GB.",
        ),
        (
            machine(20, 10),
            "fp32",
            "needs about 59.9 GB in fp32; 9.0 GB on the GPU and 19.5 GB of memory can be used.",
            "Choose 8 bit as Quantization: that needs about 16.9 GB, part of it beside the GPU.",
        ),
        (
            machine(8),
            "nf4",
            "needs about 10.5 GB in 4 bit (NF4); 7.5 GB of memory can be used.",
            "Choose a model of up to about 10.2 billion parameters in 4 bit (NF4) (this one has 14.8), "
            "or run this one on a server.",
        ),
        (machine(0.6), "nf4", "0.1 GB of memory can be used.", "Close other programs, or run the model on a server."),
    ],
)
def test_a_refusal_names_what_would_fit(free: Machine, quantization: str, what: str, hint: str) -> None:
    with pytest.raises(FacescriptError) as caught:
        placed(FOLDER, QWEN3_14B, quantization, free)
    assert caught.value.code == "no_memory"
    assert caught.value.message.endswith(what)
    assert caught.value.hint == hint


@given(st.floats(0, 80), st.lists(st.floats(0, 80), max_size=2), st.sampled_from(["nf4", "int8", "bf16", "fp32"]))
def test_more_memory_never_makes_less_room(memory: float, gpus: list[float], quantization: str) -> None:
    less, more = machine(memory, *gpus), machine(memory + 8, *(free + 8 for free in gpus))
    found, better = place(QWEN3_14B, quantization, less), place(QWEN3_14B, quantization, more)
    if found is not None:
        assert better is not None and better.rows >= found.rows
        assert found.offloads or not better.offloads


def test_automatic_takes_a_smaller_quantization_where_it_has_to() -> None:
    assert placement.fitting(QWEN3_14B, "fp32", machine(100)) == "fp32"
    assert placement.fitting(QWEN3_14B, "fp32", machine(40)) == "bf16"
    assert placement.fitting(QWEN3_14B, "bf16", machine(20)) == "int8"
    assert placement.fitting(QWEN3_14B, "bf16", machine(12)) == "nf4"
    assert placement.fitting(QWEN3_14B, "bf16", machine(1)) == "nf4"


def test_nothing_is_loaded_where_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy = families.toy("qwen3", "digit by digit")
    toy.model.save_pretrained(tmp_path)
    toy.tokenizer.save_pretrained(tmp_path)
    monkeypatch.setattr(local_model, "this_machine", lambda: machine(0.5))
    # A file that would be no good is not opened.
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(FacescriptError) as caught:
        local_model.load(tmp_path, "bf16")
    assert caught.value.code == "no_memory"


@pytest.fixture(params=["nf4", "int8"])
def packed(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path, Path]:
    """A quantization, a toy's folder, and that of the same toy quantized so by bitsandbytes."""
    from transformers import AutoModelForCausalLM

    toy = families.toy("qwen3", "digit by digit")
    for name in ("plain", "packed"):
        toy.tokenizer.save_pretrained(tmp_path / name)
    toy.model.bfloat16().save_pretrained(tmp_path / "plain")
    asked = local_model._quantization_arguments(request.param, offloads=False, packed=False)
    AutoModelForCausalLM.from_pretrained(tmp_path / "plain", **asked).save_pretrained(tmp_path / "packed")
    return request.param, tmp_path / "plain", tmp_path / "packed"


@pytest.mark.parametrize("wanted", ["nf4", "int8", "bf16", "fp32", "none"])
def test_what_is_quantized_already_is_loaded_and_named_as_it_is(packed: tuple[str, Path, Path], wanted: Any) -> None:
    name, _, folder = packed
    loaded = local_model.load(folder, wanted)
    assert loaded.quantization == name
    kind = {"nf4": "Linear4bit", "int8": "Linear8bitLt"}[name]
    assert type(loaded.model.model.layers[0].mlp.up_proj).__name__ == kind


def test_what_is_quantized_already_takes_what_it_is_stored_in(packed: tuple[str, Path, Path]) -> None:
    name, plain, folder = packed
    whole, size = footprint(plain), footprint(folder)
    assert size.packed == name
    assert (size.parameters, size.linear, size.widest) == (whole.parameters, whole.linear, whole.widest)
    assert size.weights("fp32") == size.weights("nf4") == size.stored
    # Nothing smaller can be had of it.
    free = Machine((512 << 20) + size.needed(name) - 1)
    with pytest.raises(FacescriptError) as caught:
        placed(folder, size, name, free)
    assert "as Quantization" not in caught.value.hint


@pytest.mark.parametrize("name", ["nf4", "int8"])
def test_what_is_quantized_already_goes_to_one_kind_of_device(name: str) -> None:
    size = replace(QWEN3_14B, packed=name, stored=10 * GB)
    found = place(size, name, machine(2, 13))
    assert found is not None and not found.offloads
    assert place(size, name, machine(100, 10)) is None


@pytest.fixture
def adapted(tmp_path: Path) -> tuple[Path, Path]:
    """A toy's folder, and that of a LoRA for it with 2 matrices of rank 4 in each of its 2 layers, and an output layer
    of its own."""
    from peft import LoraConfig, get_peft_model

    toy = families.toy("qwen3", "digit by digit")
    toy.model.save_pretrained(tmp_path / "model")
    toy.tokenizer.save_pretrained(tmp_path / "model")
    config = LoraConfig(r=4, target_modules=["q_proj"], modules_to_save=["lm_head"], task_type="CAUSAL_LM")
    get_peft_model(toy.model, config).bfloat16().save_pretrained(tmp_path / "lora")
    return tmp_path / "model", tmp_path / "lora"


def test_an_adapter_takes_32_bits_a_weight(adapted: tuple[Path, Path]) -> None:
    folder, lora = adapted
    without, size = placement.measured(folder), placement.measured(folder, lora)
    # From 16 numbers to 4, and from those to 2 heads of 8; 600 tokens' scores from 16 numbers.
    assert size.adapter == 2 * (16 * 4 + 4 * 16) + len(families.tokenizer("digit by digit", "qwen3")) * 16
    assert size.needed("nf4") == without.needed("nf4") + 4 * size.adapter
    loaded = local_model.load(folder, "bf16", lora).model
    taken = {name: p.numel() * p.element_size() for name, p in loaded.named_parameters()}
    assert sum(taken[name] for name in taken if "lora_" in name) == 4 * 2 * (16 * 4 + 4 * 16)
    # A whole layer's copy takes what it is made in.
    assert sum(taken.values()) <= without.weights("bf16") + 4 * size.adapter


def test_a_model_that_fits_without_its_adapter_is_not_loaded_with_it(
    adapted: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, lora = adapted
    # What one keyframe takes, and half of the adapter.
    size = placement.measured(folder, lora)
    free = Machine((512 << 20) + size.needed("fp32") - 2 * size.adapter)
    monkeypatch.setattr(local_model, "this_machine", lambda: free)
    monkeypatch.setattr(placement, "this_machine", lambda: free)
    local_model.load(folder, "fp32")
    with pytest.raises(FacescriptError) as caught:
        local_model.load(folder, "fp32", lora)
    assert caught.value.code == "no_memory"
    assert caught.value.message.startswith(f"The model in {folder} with its adapter needs about")
    # Automatic finds a smaller one.
    assert quantization.fitting(folder, "fp32") == "fp32"
    assert quantization.fitting(folder, "fp32", lora) == "bf16"


@pytest.mark.parametrize(
    ("quantization", "times", "devices"), [("bf16", 1, {0, "cpu"}), ("int8", 4, {0}), ("nf4", 4, {0})]
)
def test_accelerate_puts_on_the_gpu_what_fits(
    tmp_path: Path, quantization: str, times: int, devices: set[object]
) -> None:
    families.toy("qwen3", "digit by digit").model.save_pretrained(tmp_path)
    # accelerate keeps room for the largest layer: what just fits by itself does not.
    room = times * footprint(tmp_path).weights(quantization)
    found, _ = placement.device_map(tmp_path, quantization, {0: room, "cpu": 10 * GB})
    assert set(found.values()) == devices


@pytest.fixture(scope="module")
def qwen3_14b(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its configuration alone."""
    from transformers import Qwen3Config

    folder = tmp_path_factory.mktemp("qwen3") / "Qwen3-14B"
    config = Qwen3Config(
        vocab_size=151936,
        hidden_size=5120,
        intermediate_size=17408,
        num_hidden_layers=40,
        num_attention_heads=40,
        num_key_value_heads=8,
        head_dim=128,
        tie_word_embeddings=False,
        dtype="bfloat16",
    )
    config.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_experts_that_are_not_quantized_are_reckoned_in_16_bits(tmp_path: Path, quantization: str) -> None:
    from transformers import Qwen3MoeConfig

    sizes = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = Qwen3MoeConfig(vocab_size=10, num_experts=8, moe_intermediate_size=128, head_dim=32, **sizes)
    config.save_pretrained(tmp_path)
    # Two of the four layers, and one more that accelerate keeps free: 8 experts of 3 matrices, in 16 bits.
    experts = 8 * 3 * 64 * 128 * 2
    found, behind = placement.device_map(tmp_path, quantization, {0: int(3.5 * experts), "cpu": GB})
    assert [found[f"model.layers.{number}"] for number in range(4)] == [0, 0, "cpu", "cpu"]
    assert behind == pytest.approx(2 * experts, rel=0.1)


# Of 40 layers of 0.66 GB in 16 bits, as many are on the GPU as have room beside embeddings of 1.56 GB and as much
# again, which is kept for what is copied there; behind them comes an output layer of 1.56 GB.
@pytest.mark.parametrize(
    ("gpu", "quantization", "left", "enough", "short"),
    [(8, "nf4", 19, 15.5, 14.5), (12, "int8", 19, 15.0, 14.5), (10, "bf16", 32, 23.5, 23.0)],
)
def test_what_stays_in_memory_has_room_in_16_bits(
    qwen3_14b: Path, gpu: float, quantization: str, left: int, enough: float, short: float
) -> None:
    found = placed(qwen3_14b, QWEN3_14B, quantization, machine(enough, gpu))
    assert found.offloads and set(found.devices.values()) == {0, "cpu"}
    _, behind = placement.device_map(qwen3_14b, quantization, found.max_memory)
    assert behind == pytest.approx((left * 0.661 + 1.556) * GB, rel=0.01)
    with pytest.raises(FacescriptError) as caught:
        placed(qwen3_14b, QWEN3_14B, quantization, machine(short, gpu))
    assert caught.value.code == "no_memory"


def test_a_model_that_would_fit_is_smaller_than_the_one_that_does_not() -> None:
    with pytest.raises(FacescriptError) as caught:
        placed(FOLDER, QWEN3_14B, "nf4", machine(12, 8))
    # Memory beside the GPU is larger, but takes 16 bits.
    assert caught.value.hint.startswith("Choose a model of up to about 9.8 billion parameters")


def test_what_accelerate_leaves_in_memory_is_counted_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "device_map", lambda *_: ({"model": "cpu"}, 16 * GB))
    assert placed(FOLDER, QWEN3_14B, "nf4", machine(17, 8)).devices == {"model": "cpu"}
    with pytest.raises(FacescriptError) as caught:
        placed(FOLDER, QWEN3_14B, "nf4", machine(16, 8))
    assert caught.value.message.endswith("7.2 GB on the GPU and 15.5 GB of memory can be used, in 16 bits a weight.")


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_a_gpu_without_room_for_the_embeddings_is_no_help(quantization: str) -> None:
    assert place(QWEN3_14B, quantization, machine(100, 3)) is None


@pytest.mark.parametrize(
    ("stored", "quantization", "size"),
    [("float32", "none", 4), ("bfloat16", "none", 2), ("bfloat16", "fp32", 4), ("float32", "fp32", 4)],
)
def test_a_gpus_limit_is_reckoned_in_the_precision_that_is_loaded(
    tmp_path: Path, stored: str, quantization: str, size: int
) -> None:
    import torch

    model = toys.language_model(4).to(getattr(torch, stored))
    model.save_pretrained(tmp_path)
    room = int(0.62 * size * sum(p.numel() for p in model.parameters()))
    found, _ = placement.device_map(tmp_path, quantization, {0: room, "cpu": GB})
    placed = [p.numel() for name, p in model.named_parameters() if _device(found, name) == 0]
    assert 0 < size * sum(placed) <= room
    assert set(found.values()) == {0, "cpu"}


def _device(found: dict[str, object], name: str) -> object:
    return next(device for module, device in found.items() if name.startswith(f"{module}."))


_MEASURE = """
import sys
from pathlib import Path
import psutil
from facescript.inference.worker.local_model import load
import torch, transformers, bitsandbytes
before = psutil.Process().memory_info().rss
local = load(Path(sys.argv[1]), sys.argv[2])
local.model(torch.arange(256)[None], logits_to_keep=1)
status = Path("/proc/self/status").read_text()
peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
print(peak - before)
"""


@pytest.mark.model
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the peak there")
@pytest.mark.parametrize("quantization", ["bf16"])
def test_the_estimate_is_near_what_loading_takes(models: Path, quantization: str) -> None:
    folder = models / EMBEDDED_MODEL
    command = [sys.executable, "-c", _MEASURE, str(folder), quantization]
    taken = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    needed = footprint(folder).needed(quantization)
    assert 0.5 * needed < taken < 2.5 * needed
