# SPDX-License-Identifier: GPL-3.0-or-later
"""The skeleton decoder on models of several families, side by side: what greedy decoding takes, token by token."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import families
import torch
from facescript.benchmarks.decoding import greedy_values
from facescript.inference import prompts
from facescript.inference.examples import Examples
from facescript.inference.worker.asks import Ask
from facescript.inference.worker.local_backend import LocalBackend
from facescript.inference.worker.local_model import LocalModel, load
from facescript.inference.worker.prompted import PoseAsk
from facescript.inference.worker.skeleton import Request, SkeletonDecoder
from facescript.performance import CHANNELS, NEUTRAL, Brief, FacescriptError, Pose, keyframeface
from facescript.performance.channels import HIGH, LOW
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

UP, DOWN = Pose(HIGH), Pose(LOW)


def requests() -> list[Request]:
    return [Request(families.conversation(i), i, draft) for i, draft in enumerate((NEUTRAL, UP, DOWN))]


def check(local: LocalModel, index: int, pose: Pose, prompt: list[int] | None = None) -> None:
    """Every channel is looked at in one of three keyframes: each takes a while."""
    whole, values = families.Whole(local, index, pose, prompt), families.texts(pose)
    for channel in range(index, len(CHANNELS), 3):
        assert values[channel] == whole.greedy(channel), (index, channel)


@pytest.mark.parametrize(
    ("family", "numbers"),
    [
        ("qwen3", "digit by digit"),
        ("llama", "in threes"),
        ("phi", "whole numbers"),
        ("mistral", "begun with a mark"),
        ("gemma", "begun with a mark"),
    ],
)
def test_keyframes_side_by_side_are_what_greedy_decoding_takes(family: str, numbers: str) -> None:
    local = families.toy(family, numbers)
    poses = SkeletonDecoder(local).decode(requests())
    for index, pose in enumerate(poses):
        check(local, index, pose)
    assert len({value for pose in poses for value in pose}) > 1


@pytest.mark.parametrize("form", ["gemma", "llama", "mistral", "zephyr"])
@pytest.mark.parametrize("numbers", families.NUMBERS)
def test_what_is_forced_is_the_answer_as_the_chat_form_has_it(numbers: str, form: str) -> None:
    """Token by token, whatever the values are."""
    local = families.toy("llama", numbers, form)
    decoder, generator = SkeletonDecoder(local), np.random.default_rng(5)
    for index in (0, 1, 20, 98):
        values = [str(generator.choice(prompts.written_texts(channel.is_angle))) for channel in CHANNELS]
        opening, keys, closing = prompts.answer_parts(index)
        answer = opening + "".join(key + text for key, text in zip(keys, values, strict=True)) + closing
        asked = [{"role": "user", "content": "x"}]
        whole = local.tokenizer.apply_chat_template(
            [*asked, {"role": "assistant", "content": answer}], return_dict=False
        )
        written = local.chat_tokens(asked)
        for channel, hole, text in zip(CHANNELS, decoder._holes(index), values, strict=True):
            place = prompts.written_texts(channel.is_angle).index(text)
            written += [*hole.key, *hole.options[place]]
        assert written == whole[: len(written)]


def test_a_negative_zero_is_a_value_that_a_model_may_write_and_no_pose_has() -> None:
    local, seen = families.toy("qwen3", "in threes"), []
    decoder = SkeletonDecoder(local)
    place = prompts.written_texts(True).index("-0.0")
    [minus, *_] = decoder._holes(0)[-1].options[place]
    # A model that always likes the sign best, and then the zeros.
    local.model.get_output_embeddings().register_forward_hook(lambda *found: _liking(found[2], decoder, minus))
    brief = Brief("Hi.", "A flat", "Joy")
    [pose] = LocalBackend(local, Examples([]), trained=True).pose(brief, ["Brows rise."], lambda: None)
    seen += [value for channel, value in zip(CHANNELS, pose, strict=True) if channel.is_angle]
    assert seen == [0.0] * 9
    assert not np.signbit(pose.values).any()
    assert families.texts(decoder.decode([Request(families.conversation(0), 0)])[0])[-9:] == ["-0.0"] * 9


def _liking(scores: torch.Tensor, decoder: SkeletonDecoder, minus: int) -> torch.Tensor:
    liked = torch.zeros_like(scores)
    for hole in decoder._holes(0):
        for number, text in enumerate(prompts.written_texts(len(hole.options) > 11)):
            if text.endswith("0.0"):
                liked[..., list(hole.options[number])] = 1.0
    liked[..., minus] = 2.0
    return liked


def test_a_keyframe_is_the_same_alone_and_beside_others() -> None:
    local = families.toy("qwen3", "digit by digit", seed=1)
    decoder = SkeletonDecoder(local)
    together = decoder.decode(requests())
    for request, pose in zip(requests(), together, strict=True):
        assert decoder.decode([request]) == [pose]
    assert decoder.decode(requests()[1:]) == together[1:]


def test_the_benchmark_counts_the_values_that_greedy_decoding_takes() -> None:
    local, [request, *_] = families.toy("qwen3", "in threes"), requests()
    [pose] = SkeletonDecoder(local).decode([request])
    assert greedy_values(local, request, pose) == 61
    assert greedy_values(local, request, UP) < 30


def test_models_with_short_windows_are_read_one_row_at_a_time() -> None:
    assert not families.toy("gemma", "digit by digit").reads_side_by_side(1000)
    assert families.toy("gemma", "digit by digit").reads_side_by_side(32)
    assert families.toy("qwen3", "digit by digit").reads_side_by_side(1000)


def test_a_model_that_cannot_go_back_is_refused() -> None:
    from transformers import Qwen3NextConfig

    local = families.toy("qwen3", "digit by digit")
    local.model.config = Qwen3NextConfig(num_hidden_layers=4)
    with pytest.raises(FacescriptError, match="keeps a running state") as caught:
        SkeletonDecoder(local)
    assert caught.value.code == "bad_model"


def test_a_model_that_keeps_nothing_of_what_it_reads_is_refused() -> None:
    from transformers import RwkvConfig, RwkvForCausalLM

    local = families.toy("qwen3", "digit by digit")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "attention_hidden_size": 16, "context_length": 4096}
    local.model = RwkvForCausalLM(RwkvConfig(vocab_size=len(local.tokenizer), **sizes)).eval()
    with pytest.raises(FacescriptError, match="does not keep what it has read") as caught:
        SkeletonDecoder(local)
    assert caught.value.code == "bad_model"


@pytest.mark.parametrize("family", ["mpt", "gpt_neo"])
def test_families_that_count_the_gaps_are_read_one_row_at_a_time(family: str) -> None:
    import transformers as t

    local = families.toy("qwen3", "in threes")
    torch.manual_seed(0)
    size = len(local.tokenizer)
    layers = [[["global", "local"], 1]]
    made: Any = {
        "mpt": lambda: t.MptForCausalLM(
            t.MptConfig(vocab_size=size, d_model=16, n_heads=2, n_layers=2, max_seq_len=4096)
        ),
        "gpt_neo": lambda: t.GPTNeoForCausalLM(
            t.GPTNeoConfig(vocab_size=size, hidden_size=16, num_layers=2, num_heads=2, attention_types=layers)
        ),
    }[family]()
    local.model = made.double().eval()
    decoder = SkeletonDecoder(local)
    assert decoder.decode(requests()) == [decoder.decode([request])[0] for request in requests()]


def test_a_model_that_computes_no_numbers_is_said_to_be_broken() -> None:
    local = families.toy("llama", "in threes")
    local.model.model.layers[0].mlp.down_proj.weight.data.fill_(float("nan"))
    with pytest.raises(FacescriptError, match="computes no numbers") as caught:
        SkeletonDecoder(local).decode(requests()[:1])
    assert caught.value.code == "bad_model"


def test_a_tokenizer_of_another_model_is_said_to_be_one() -> None:
    local = families.toy("llama", "in threes")
    decoder = SkeletonDecoder(local)
    local.model.resize_token_embeddings(50)
    with pytest.raises(FacescriptError, match=r"knows token \d+, and the model 50\.") as caught:
        decoder.decode(requests()[:1])
    assert caught.value.code == "bad_model"


def test_what_a_model_cannot_compute_is_said_before_a_word_is_read() -> None:
    local = families.toy("llama", "in threes")

    def fail(*ignored: object) -> None:
        raise AssertionError("blocksize 64 does not fit")

    local.model.model.layers[0].register_forward_pre_hook(fail)
    with pytest.raises(FacescriptError, match=r"cannot be run \(none\): blocksize 64 does not fit") as caught:
        SkeletonDecoder(local)
    assert (caught.value.code, "bf16" in caught.value.hint) == ("bad_model", True)


@pytest.mark.parametrize(
    "form",
    [
        # Phi-3's first one passes over a system turn, in silence.
        "{% for m in messages %}{% if m.role == 'user' %}<|start|>{{ m.content }}<|end|>"
        "{% elif m.role == 'assistant' %}{{ m.content }}<|eot|>{% endif %}{% endfor %}",
        families.FORMS["gemma"],
    ],
)
def test_what_a_system_turn_says_is_never_lost(form: str) -> None:
    local = families.toy("llama", "in threes")
    local.tokenizer = copy.deepcopy(local.tokenizer)
    local.tokenizer.chat_template = form
    text = local.tokenizer.decode(local.chat_tokens(families.conversation(0)))
    assert 0 <= text.find("You are a professional facial animator.") < text.find("Keyframe Description Sequence:")


def test_a_form_that_leaves_out_what_is_asked_is_refused() -> None:
    """As those of models that see do, whose turns have parts."""
    local = families.toy("llama", "in threes")
    local.tokenizer = copy.deepcopy(local.tokenizer)
    parts = "{% for p in m.content %}{{ p.text }}{% endfor %}"
    local.tokenizer.chat_template = f"{{% for m in messages %}}<|start|>{parts}<|eot|>{{% endfor %}}"
    with pytest.raises(FacescriptError, match="it leaves out what is asked") as caught:
        local.chat_tokens(families.conversation(0))
    assert caught.value.code == "bad_model"


@pytest.mark.parametrize("numbers", ["digit by digit", "in threes", "whole numbers", "begun with a mark"])
def test_an_expected_value_is_the_mean_of_all_by_their_probabilities(numbers: str) -> None:
    local = families.toy("qwen3", numbers, seed=2)
    # Less wild: so that several values have their part.
    local.model.lm_head.weight.data *= 0.2
    asked = requests()[:2]
    greedy = SkeletonDecoder(local).decode(asked)
    means = SkeletonDecoder(local, "expected").decode(asked)
    for index, channels in ((0, (0, 53)), (1, (17, 60))):
        whole = families.Whole(local, index, greedy[index])
        for channel in channels:
            assert means[index].values[channel] == pytest.approx(whole.mean(channel), abs=2e-3), (index, channel)
    found = np.array([pose.values for pose in means])
    assert ((found >= LOW) & (found <= HIGH)).all()
    assert (abs(found - np.round(found, 1)) > 1e-3).sum() > 40
    assert SkeletonDecoder(local, "expected").decode(asked) == means


@pytest.mark.parametrize(
    ("form", "end"),
    [
        ("qwen3", "<|im_start|>assistant\n<think>\n\n</think>\n\n"),
        ("thinking", "<|im_start|>assistant\n<think>\n\n\n</think>\n\n"),
        ("llama", "<|start|>assistant<|end|>\n\n"),
    ],
)
def test_thinking_is_off(form: str, end: str) -> None:
    local = families.toy("qwen3", "digit by digit", form)
    said = local.tokenizer.decode(local.chat_tokens(families.conversation(0)))
    assert said.endswith(f"for Keyframe One.{'<|eot|>' if form == 'llama' else '<|im_end|>' + chr(10)}{end}")
    # The thoughts' marks are one token each, not text.
    assert ("</think>" in end) == (
        local.tokenizer.convert_tokens_to_ids("</think>") in local.chat_tokens(families.conversation(0))
    )


def test_what_the_model_would_open_its_answer_with_decides_for_the_released_adapter() -> None:
    local = families.toy("qwen3", "digit by digit")
    decoder, request = SkeletonDecoder(local), requests()[0]
    opened, thought = local.tokens('{"')[0], local.tokenizer.convert_tokens_to_ids("<think>")
    hidden = {}
    local.model.lm_head.register_forward_pre_hook(lambda _, inputs: hidden.update(last=inputs[0][0, -1].clone()))
    decoder.answers_at_once(request)
    for token, answered in ((opened, True), (thought, False)):
        local.model.lm_head.weight.data[[opened, thought]] = 0.0
        local.model.lm_head.weight.data[token] = hidden["last"]
        assert decoder.answers_at_once(request) is answered
    # A form that cannot tell the two apart leaves no choice.
    assert not SkeletonDecoder(families.toy("llama", "digit by digit")).answers_at_once(request)


def taught(local: LocalModel, poses: list[Pose], steps: int) -> None:
    """Teach a model to answer in KeyframeFace's form, plainly, as far as `steps` go."""
    rows = []
    for index, pose in enumerate(poses):
        prompt = local.chat_tokens(families.conversation(index))
        rows.append((prompt, [*local.tokens(prompts.answer(pose, index)), local.tokenizer.eos_token_id]))
    optimizer = torch.optim.AdamW(local.model.parameters(), lr=1e-2)
    for _ in range(steps):
        optimizer.zero_grad()
        for prompt, answer in rows:
            ids = torch.tensor([prompt + answer])
            labels = torch.tensor([[-100] * len(prompt) + answer])
            local.model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()


@pytest.fixture(scope="module")
def trained() -> LocalModel:
    """A toy Qwen3 that writes KeyframeFace's form by itself."""
    torch.set_num_threads(1)
    local = families.toy("qwen3", "whole numbers")
    torch.manual_seed(0)
    for parameter in local.model.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.05)
    local.model.float()
    generator = np.random.default_rng(1)
    some = generator.random((2, len(CHANNELS))) < 0.4
    taught(local, [Pose(np.round(np.where(row, generator.uniform(LOW, HIGH), 0.0), 1)) for row in some], 240)
    local.model.double()
    return local


def test_a_model_that_writes_the_form_by_itself_writes_the_same_values_plainly(trained: LocalModel) -> None:
    poses = SkeletonDecoder(trained).decode(requests()[:2])
    for index, pose in enumerate(poses):
        prompt = torch.tensor([trained.chat_tokens(families.conversation(index))])
        out = trained.model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=1024,
            pad_token_id=0,
            eos_token_id=trained.tokenizer.eos_token_id,
        )
        written = trained.tokenizer.decode(out[0, prompt.shape[1] :], skip_special_tokens=True)
        assert written == prompts.answer(pose, index)
        # Nothing was forced upon it: each token is the likeliest of the whole vocabulary.
        whole = families.Whole(trained, index, pose)
        assert whole.freely() == whole.answer
        [read] = keyframeface.parse(written)
        assert read.keyframes[0].pose == pose


def saved(local: LocalModel, folder: Path) -> Path:
    local.model.save_pretrained(folder)
    local.tokenizer.save_pretrained(folder)
    return folder


def lora(local: LocalModel, folder: Path) -> Path:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(families.model("qwen3", len(local.tokenizer), seed=4), config).save_pretrained(folder)
    return folder


def test_a_base_and_a_lora_from_folders_perform_as_keyframeface_asks(tmp_path: Path) -> None:
    toy = families.toy("qwen3", "digit by digit", seed=3)
    base, adapter = saved(toy, tmp_path / "base"), lora(toy, tmp_path / "adapter")
    plain, adapted = load(base, "none"), load(base, "none", adapter)
    assert adapted.model.dtype == torch.float64
    backend = LocalBackend(adapted, Examples([]), trained=True)
    brief = Brief("", "A flat at night.", "Alarm")
    poses = list(backend.pose(brief, families.TEXTS, lambda: None))
    thinking = backend._at_once
    for index, pose in enumerate(poses):
        prompt = adapted.chat_tokens(families.conversation(index), thinking=bool(thinking))
        check(adapted, index, pose, prompt)
    assert poses != list(LocalBackend(plain, Examples([]), trained=True).pose(brief, families.TEXTS, lambda: None))
    # Lines are the base model's own.
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.inference_mode(), adapted.without_adapter():
        assert torch.equal(adapted.model(ids).logits, plain.model(ids).logits)
    with torch.inference_mode():
        assert not torch.equal(adapted.model(ids).logits, plain.model(ids).logits)


@pytest.mark.parametrize(
    ("trained", "context", "asked"),
    [(True, 4096, (30, 29)), (True, 800, (6, 5)), (False, 4096, (6, 5))],
    ids=["KeyframeFace's adapter", "which reads less", "another model"],
)
def test_keyframeface_is_asked_with_the_whole_of_a_long_sequence(
    monkeypatch: pytest.MonkeyPatch, trained: bool, context: int, asked: tuple[int, int]
) -> None:
    local = families.toy("llama", "whole numbers")
    backend = LocalBackend(local, Examples([]), trained=trained)
    monkeypatch.setattr(local.model.config, "max_position_embeddings", context)
    asks: list[PoseAsk] = []
    monkeypatch.setattr(backend, "answers", lambda brief, found, check: iter(asks.extend(found) or ()))
    list(backend.pose_at(Brief("Hi."), ["Brows rise."] * 30, [29], lambda: None))
    assert [(len(ask.descriptions), ask.place) for ask in asks] == [asked]


@pytest.mark.parametrize(("family", "numbers"), [("qwen3", "digit by digit"), ("gemma", "begun with a mark")])
def test_descriptions_are_written_side_by_side(family: str, numbers: str) -> None:
    backend = LocalBackend(families.toy(family, numbers), Examples([]), trained=False)
    asks = [Ask("Brows knit."), Ask("The head turns slowly."), Ask("A smirk.")]
    lines = dict(backend.write("A scene.", asks, 7, lambda: None))
    assert sorted(lines) == [0, 1, 2]
    assert dict(backend.write("A scene.", asks, 7, lambda: None)) == lines
    # In a short window of attention, padding has its place too.
    if family != "gemma":
        assert dict(backend.write("A scene.", asks[:1], 7, lambda: None)) == {0: lines[0]}


def test_a_text_begins_as_the_tokenizer_begins_it() -> None:
    from tokenizers.processors import TemplateProcessing

    local = families.toy("llama", "in threes")
    assert local.beginning == []
    marked = families.tokenizer.__wrapped__("in threes", "llama")
    place = marked.convert_tokens_to_ids("<|start|>")
    marked.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|start|> $A", special_tokens=[("<|start|>", place)]
    )
    local.tokenizer = marked
    assert local.beginning == [place]
    assert place not in local.tokens("Brows knit.")


def test_an_adapter_for_another_model_is_refused(tmp_path: Path) -> None:
    toy = families.toy("qwen3", "digit by digit")
    base, adapter = saved(toy, tmp_path / "base"), lora(toy, tmp_path / "adapter")
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"target_modules": ["c_attn"]}))
    with pytest.raises(FacescriptError, match="does not fit the model") as caught:
        load(base, "none", adapter)
    assert caught.value.code == "bad_adapter"


def _renamed(folder: Path, change: Callable[[str], str | None]) -> None:
    """Give a LoRA's matrices other names, or none."""
    path = folder / "adapter_model.safetensors"
    matrices = {change(name): matrix for name, matrix in load_file(path).items()}
    save_file({name: matrix for name, matrix in matrices.items() if name}, path, metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda name: name.replace("layers.1.", "layers.7."), r"the model has no place for its \S+\.layers\.7\.\S+"),
        (lambda name: name.replace("layers.", "blocks."), r"the model has no place for its \S+\.blocks\.0\.\S+"),
        (lambda name: None if "layers.1." in name else name, r"it has nothing for the model's \S+\.layers\.1\.\S+"),
        (lambda name: None if "lora_B" in name else name, r"it has nothing for the model's \S+\.lora_B\.\S+"),
        (lambda name: name.replace("base_model.model.", "other."), "the model has no place for its "),
    ],
    ids=["deeper", "foreign", "shallower", "halved", "prefix"],
)
def test_matrices_that_the_model_has_no_place_for_or_lacks_are_no_fit(
    tmp_path: Path, change: Callable[[str], str | None], why: str
) -> None:
    toy = families.toy("qwen3", "digit by digit")
    base, adapter = saved(toy, tmp_path / "base"), lora(toy, tmp_path / "adapter")
    _renamed(adapter, change)
    with pytest.raises(FacescriptError, match=f"^The adapter in .* does not fit the model: {why}") as caught:
        load(base, "none", adapter)
    assert caught.value.code == "bad_adapter"
    assert caught.value.hint == "Choose the model that the adapter was trained for."


@pytest.mark.parametrize("quantization", ["nf4", "int8", "bf16"])
@pytest.mark.parametrize(
    ("tied", "more"),
    [
        (False, {"target_modules": "all-linear"}),
        (True, {"target_modules": ["q_proj", "embed_tokens"]}),
        (False, {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}),
        (False, {"target_modules": ["q_proj", "lm_head"], "rank_pattern": {"lm_head": 3}, "use_dora": True}),
        (False, {"target_modules": ["q_proj"], "bias": "lora_only"}),
    ],
    ids=["all", "tied", "saved", "dora", "bias"],
)
def test_loras_of_every_plain_kind_fit_their_base(
    tmp_path: Path, quantization: Any, tied: bool, more: dict[str, Any]
) -> None:
    from peft import LoraConfig, get_peft_model

    toy = families.toy("qwen3", "digit by digit")
    toy.model.float()
    toy.model.config.tie_word_embeddings = tied
    toy.model.tie_weights()
    base, adapter = saved(toy, tmp_path / "base"), tmp_path / "adapter"
    get_peft_model(toy.model, LoraConfig(r=2, task_type="CAUSAL_LM", **more)).save_pretrained(adapter)
    assert load(base, quantization, adapter).quantization == quantization


def test_chat_templates_with_names_and_none_for_plain_conversations_are_refused(tmp_path: Path) -> None:
    toy = families.toy("qwen3", "digit by digit")
    base = saved(toy, tmp_path / "base")
    config = json.loads((base / "tokenizer_config.json").read_text())
    named = [{"name": "tool_use", "template": "x"}]
    (base / "tokenizer_config.json").write_text(json.dumps(config | {"chat_template": named}))
    (base / "chat_template.jinja").unlink()
    local = LocalModel(None, AutoTokenizer.from_pretrained(base), "none", base)
    for ask in (lambda: load(base, "none"), lambda: local.chat_tokens(families.conversation(0))):
        with pytest.raises(
            FacescriptError, match="has chat templates for other purposes, and none for plain"
        ) as caught:
            ask()
        assert caught.value.code == "bad_model"


def test_cancelling_between_steps_leaves_the_decoder_usable() -> None:
    local = families.toy("mistral", "in threes")
    decoder = SkeletonDecoder(local, "expected")
    wanted = decoder.decode(requests())
    for steps in (0, 1, 4, 12):
        left = iter(range(steps))

        def stop(left: Any = left) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            decoder.decode(requests(), stop)
    assert decoder.decode(requests()) == wanted
