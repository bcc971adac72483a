# SPDX-License-Identifier: GPL-3.0-or-later
"""Adapters from a studio's own performances, on toy models that the tests make."""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from facescript.inference.examples import Examples
from facescript.inference.worker import adapter as adapters
from facescript.inference.worker.asks import Ask
from facescript.inference.worker.embedded import EmbeddedBackend
from facescript.inference.worker.local_backend import LocalBackend
from facescript.inference.worker.local_model import LocalModel, load
from facescript.inference.worker.model_folder import check_lora
from facescript.inference.worker.slots import SLOTS, Decoding, SlotReader, SlotsConfig
from facescript.performance import Brief, FacescriptError, Keyframe, Performance, Pose, jsonl
from facescript.training import learning, planner, train
from facescript.training import slots as slot_training
from facescript.training.learning import copy_lora
from facescript.training.metrics import Figures
from facescript.training.studio import checks, command, data, embedded, lora
from facescript.training.studio.task import Row, Task, verdict
from safetensors.torch import load_file, save_file
from toys import HIDDEN, Tokenizer, language_model

# What a word of a description does to this studio's faces.
RULE = {"gape": {"jawOpen": 0.8}, "beam": {"mouthSmile": 0.6}, "stare": {"eyeWide": 1.0}}
# Words of scripts, so that none is nearly another.
WORDS = [f"{a}{b}" for a in ("ba", "ko", "mi", "tu", "re") for b in ("lo", "na", "sip", "dur", "vex", "gam")]


def performance(number: int, keyframes: int = 2) -> Performance:
    draw = random.Random(number)
    rows = []
    for second in range(keyframes):
        words = draw.sample(sorted(RULE), draw.randint(1, 2))
        pose = Pose.from_dict({name: value for word in words for name, value in RULE[word].items()})
        rows.append(Keyframe(float(second), " and ".join(words), pose))
    script = " ".join(draw.sample(WORDS, 5))
    return Performance(Brief(script, "a room", "calm", f"s-{number}"), tuple(rows))


def write(path: Path, performances: list[Performance]) -> Path:
    path.write_text("".join(jsonl.to_line(jsonl.performance_to_dict(p)) for p in performances), encoding="utf-8")
    return path


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """All that was learned."""
    return {f"{path.name}:{k}": v for path in sorted(folder.rglob("*.safetensors")) for k, v in load_file(path).items()}


# --- the data -------------------------------------------------------------------------------------------------------


def test_files_and_folders_are_read_and_each_performance_counts_once(tmp_path: Path) -> None:
    (tmp_path / "takes").mkdir()
    write(tmp_path / "takes" / "a.jsonl", [performance(n) for n in range(20)])
    write(tmp_path / "takes" / "b.jsonl", [performance(n) for n in range(15, 30)])
    (tmp_path / "takes" / "notes.txt").write_text("not read")
    single = write(tmp_path / "more.jsonl", [performance(30), performance(0)])
    found = data.read([tmp_path / "takes", single], seed=1)
    assert (len(found.train) + found.left_out, len(found.held), found.doubles) == (28, 3, 6)
    numbers = [p.brief.id for p in (*found.train, *found.held)]
    assert len(set(numbers)) == len(numbers) == 31 - found.left_out
    assert found.keyframes == 2 * len(found.train)


def test_the_split_is_the_same_again_and_hardly_changes_when_more_is_added() -> None:
    first, same = (data.split([performance(n) for n in range(100)], 1) for _ in range(2))
    assert first.digest == same.digest
    assert data.split([performance(n) for n in range(100)], 2).digest != first.digest
    more = data.split([performance(n) for n in range(110)], 1)
    assert len({p.brief.id for p in first.held} & {p.brief.id for p in more.held}) >= 8


def test_a_script_that_is_held_out_does_not_train_in_other_words() -> None:
    told = [performance(n) for n in range(30)]
    held = data.split(told, 1).held[0]
    brief = Brief(held.brief.script + " ba", "elsewhere", "angry", "twin")
    found = data.split([*told, Performance(brief, held.keyframes)], 1)
    parts = {name: [p.brief.script for p in part] for name, part in (("train", found.train), ("held", found.held))}
    assert held.brief.script in parts["held"]
    assert held.brief.script + " ba" not in parts["train"] or held.brief.script + " ba" in parts["held"]


def test_long_performances_are_learned_in_the_parts_that_models_are_asked_for() -> None:
    whole = performance(1, keyframes=30)
    parts = data.in_parts([whole, performance(2)])
    assert [len(p.keyframes) for p in parts] == [24, 6, 2]
    assert parts[1].keyframes[0] == whole.keyframes[24]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"script": "x", "keyframes": [{"t": 0, "text": " ", "pose": {}}]}', "line 3: Keyframe 1 has no description"),
        ('{"script": "x", "keyframes": [{"t": 0, "text": "a"}]}', "line 3: Keyframe 1 has no pose"),
        ('{"script": "x", "keyframes": []}', "line 3: A performance needs at least one keyframe"),
        ('{"script": "x", "keyframes": [{"t": 0, "text": "a", "pose": {"smirk": 1}}]}', "line 3: .*no channel 'smirk'"),
        ("{", "line 3: This is not JSON"),
        (
            '{"script": "x", "keyframes": [{"time": 0, "text": "a", "pose": {}}]}',
            "line 3: Keyframe 1: 't' is missing, the time in seconds",
        ),
    ],
)
def test_what_cannot_be_learned_from_is_named_by_file_and_line(tmp_path: Path, line: str, words: str) -> None:
    path = write(tmp_path / "takes.jsonl", [performance(0), performance(1)])
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(FacescriptError, match=rf"takes\.jsonl, {words}"):
        data.read([path], seed=1)


def test_all_lines_that_cannot_be_learned_from_are_named_at_once_up_to_ten(tmp_path: Path) -> None:
    good = jsonl.to_line(jsonl.performance_to_dict(performance(0)))
    (tmp_path / "a.jsonl").write_text(good + '{"script": 1}\n' + good + "{\n")
    (tmp_path / "b.jsonl").write_text('{"keyframes": 3}\n')
    with pytest.raises(FacescriptError) as caught:
        data.read([tmp_path], seed=1)
    first, *lines = caught.value.message.splitlines()
    assert first == "Lines that cannot be read:"
    assert [line.removeprefix(f"{tmp_path}/").split(":")[0] for line in lines] == [
        "a.jsonl, line 2",
        "a.jsonl, line 4",
        "b.jsonl, line 1",
    ]
    (tmp_path / "b.jsonl").write_text("{\n" * 12)
    with pytest.raises(FacescriptError, match=r"cannot be read \(the first 10 of them\):") as caught:
        data.read([tmp_path], seed=1)
    assert caught.value.message.count(", line ") == 10


def test_texts_that_are_missing_and_fields_that_are_not_known_are_counted(tmp_path: Path) -> None:
    rows = [jsonl.performance_to_dict(performance(n)) for n in range(20)]
    for row in rows[:3]:
        row["emotions"] = row.pop("emotion")
    for row in rows[:9]:
        row["background"] = " "
    for row in rows[:2]:
        row["keyframes"][0]["easing"] = "slow"  # type: ignore[index]
    (tmp_path / "a.jsonl").write_text("".join(map(jsonl.to_line, rows)))
    assert data.read([tmp_path], seed=1).remarks == (
        "Of 20 different performances, 9 have no background, 3 have no emotion.",
        "Fields that are not known and not read: 'emotions' in 3, 'keyframes: easing' in 2. Are they misspelt?",
    )
    write(tmp_path / "a.jsonl", [performance(n) for n in range(20)])
    assert data.read([tmp_path], seed=1).remarks == ()


def test_folders_are_searched_below(tmp_path: Path) -> None:
    (tmp_path / "mara" / "monday").mkdir(parents=True)
    write(tmp_path / "mara" / "monday" / "takes.jsonl", [performance(n) for n in range(14)])
    write(tmp_path / "more.jsonl", [performance(n) for n in range(14, 20)])
    found = data.read([tmp_path], seed=1)
    assert len(found.train) + len(found.held) + found.left_out == 20


def test_too_few_performances_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "takes.jsonl", [performance(n) for n in range(11)])
    with pytest.raises(FacescriptError, match="There are 11 different performances; an adapter needs 12") as caught:
        data.read([path, path], seed=1)
    assert caught.value.code == "little_data"
    with pytest.raises(FacescriptError, match=r"holds no \*\.jsonl files"):
        data.read([tmp_path / ".." / tmp_path.name, *[p for p in [tmp_path / "empty"] if not p.mkdir()]], seed=1)


# --- what is checked before -----------------------------------------------------------------------------------------


def test_disk_memory_and_the_results_place_are_looked_at_before(tmp_path: Path) -> None:
    with pytest.raises(FacescriptError, match=r"needs 931322\.6 GiB on the disk") as caught:
        checks.disk(tmp_path / "not" / "yet", 10**15)
    assert caught.value.code == "no_space"
    with pytest.raises(FacescriptError, match=r"about 4\.0 GiB of memory, and 3\.0 GiB are free\. Close") as caught:
        checks.memory(4 << 30, "Close other programs.", 3 << 30)
    assert caught.value.code == "no_memory"
    checks.memory(4 << 30, "Close other programs.", 4 << 30)
    (tmp_path / "there").write_text("")
    for place in (tmp_path, tmp_path / "there"):
        with pytest.raises(FacescriptError, match="is there already"):
            checks.folder(place)


EMPTY = data.Data((), ())


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--base", "models/x"], "--base: only with --data; without it, this is the project's own training"),
        (["--adapter", "mine"], "--adapter: only with --data"),
        (["--epochs", "2", "--no-mirror"], "--epochs, --no-mirror: only with --data"),
        (["--quantization", "nf4"], "--quantization: only with --data"),
        (["poser", "--rank", "8"], "--rank: only with --data"),
        (["--data", "x", "--rank", "8", "--rate", "1e-4"], "--rank, --rate: only with --base"),
        (["--data", "x", "--quantization", "nf4"], "--quantization: only with --base"),
        (["--data", "x", "--base", "y", "--no-mirror"], "--no-mirror is not for --base"),
        (["--threads", "0"], "'0' is not a whole number from 1 to 1024"),
        (["--threads=-2"], "'-2' is not a whole number from 1 to 1024"),
    ],
)
def test_options_that_do_not_go_together_are_refused_before_anything_is_trained(
    given: list[str], words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train, "Training", lambda *_: pytest.fail("the project's own training began"))
    with pytest.raises(SystemExit) as caught:
        train.main(["train", *given])
    assert caught.value.code == 2 and words in capsys.readouterr().err


def test_two_trainings_at_once_are_refused(tmp_path: Path) -> None:
    made = Task(EMPTY, tmp_path / "out", 1)
    code = "import sys, facescript.batch.journal as j, pathlib\nwith j.locked(pathlib.Path(sys.argv[1])):\n"
    code += " print('held', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code, str(made.work)], **pipes) as other:  # type: ignore[call-overload]
        assert other.stdout.readline() == "held\n"
        with pytest.raises(FacescriptError, match=r"Another training is at work in .*out\.training\.") as caught:
            made.alone().__enter__()
        assert caught.value.code == "busy" and made.work.is_dir()
        other.stdin.close()
    with made.alone():
        assert made.begin() == {}
    # Nothing was noted, and nothing is left.
    assert not made.work.exists()
    with made.alone():
        made.note(before=1)
    assert made.begin()["before"] == 1


def test_a_training_of_few_steps_is_warned_of() -> None:
    recipe = lora.Recipe(epochs=3, accumulate=8)
    assert command._few_steps(recipe, 22) == (
        "Warning: this makes 9 steps, and fewer than 50 teach little. Give more performances, or --epochs 17."
    )
    assert command._few_steps(recipe, 136) == ""


def test_a_training_that_was_killed_before_it_noted_anything_is_new(tmp_path: Path) -> None:
    made = Task(EMPTY, tmp_path / "out", 1)
    made.work.mkdir()
    assert made.begin() == {}
    (made.work / "training.json.partial").write_text('{"dig')
    assert made.begin() == {}
    made.note(before=1)
    assert made.begin() == {"digest": made.digest, "before": 1}
    (made.work / "training.json").unlink()
    (made.work / "state.safetensors").write_text("of what?")
    with pytest.raises(FacescriptError, match="from a training of other data, or with other settings"):
        made.begin()


def test_the_folder_one_is_in_can_be_the_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    made = Task(EMPTY, Path("."), 1)
    assert made.begin() == {} and made.work == tmp_path / "here.training"
    made.note()
    with made.result() as folder:
        (folder / "README.md").write_text("made")
    assert (here / "README.md").read_text() == "made" and not made.work.exists()


@pytest.mark.parametrize(
    ("option", "taken", "refused"),
    [
        ("--rank", ["1", "4096"], ["0", "-4", "4097", "100000", "2.5", "x"]),
        ("--epochs", ["0.5", "1000"], ["0", "-1", "1001", "nan", "inf", "x"]),
        ("--rate", ["1e-5", "1"], ["0", "-1", "2", "nan", "x"]),
    ],
)
def test_numbers_that_no_training_can_have_are_refused(
    option: str, taken: list[str], refused: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    for text in taken:
        assert getattr(parser.parse_args([option, text]), option[2:]) == float(text)
    for text in refused:
        with pytest.raises(SystemExit):
            parser.parse_args([f"{option}={text}"])
        assert f"argument {option}: '{text}' is not a" in capsys.readouterr().err


def test_a_state_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda number: (calls.append("fsync"), sync(number)))
    monkeypatch.setattr(Path, "replace", lambda *paths: (calls.append("replace"), replace(*paths)))
    kept(tmp_path)
    assert calls == ["fsync", "replace"]


@pytest.mark.parametrize("content", [b"", b"\0" * 4000, None])
def test_a_state_that_was_cut_short_is_none_and_is_said(
    tmp_path: Path, content: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path, optimizer, learned = kept(tmp_path)
    assert learning.saved_step(path) == 3 == learning.resume(path, optimizer, learned, {})
    assert capsys.readouterr().out == ""
    path.write_bytes(path.read_bytes()[:-20] if content is None else content)
    assert learning.saved_step(path) == 0
    before = learned["weight"].clone()
    assert learning.resume(path, optimizer, learned, {}) == 0
    assert capsys.readouterr().out == f"{path} cannot be read: this part of the training begins anew.\n"
    assert torch.equal(before, learned["weight"])
    assert learning.resume(tmp_path / "none.safetensors", optimizer, learned, {}) == 0
    assert capsys.readouterr().out == ""


def kept(folder: Path) -> tuple[Path, Any, dict[str, Any]]:
    """The state of a training after three steps."""
    learned = dict(torch.nn.Linear(2, 2).named_parameters())
    optimizer = torch.optim.AdamW(learned.values())
    path = folder / "state.safetensors"
    learning.save(path, 3, optimizer, learned, {})
    return path, optimizer, learned


# --- a LoRA for any model -------------------------------------------------------------------------------------------

QUICK = lora.Recipe(epochs=5, rate=2e-2, accumulate=4, rank=8, alpha=16, dropout=0.0)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: a tiny Llama with random weights, and a tokenizer that splits digits."""
    from tokenizers import Tokenizer as Fast
    from tokenizers import decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models") / "toy-llama"
    made = performance(0)
    texts = [text for p in (made, performance(1)) for text in _texts(p)]
    fast = Fast(models.BPE())
    split = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    fast.pre_tokenizer = pre_tokenizers.Sequence(split)
    fast.decoder = decoders.ByteLevel()
    special = ["<|begin|>", "<|end|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    fast.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=900, special_tokens=special, initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=fast, bos_token=special[0], eos_token=special[1])
    tokenizer.chat_template = (
        "{% for m in messages %}<|begin|>{{ m.role }}\n{{ m.content }}<|end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|begin|>assistant\n{% endif %}"
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        initializer_range=0.1,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).float().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _texts(p: Performance) -> list[str]:
    from facescript.inference import prompts

    texts = [k.text for k in p.keyframes]
    asked = [m["content"] for m in prompts.poser_messages(texts, p.brief.background, p.brief.emotion, 0)]
    return [*asked, *(prompts.answer(k.pose, n) for n, k in enumerate(p.keyframes))]


def task(base: Path, out: Path, recipe: lora.Recipe = QUICK, count: int = 16) -> Task:
    found = data.split([performance(n) for n in range(count)], 1)
    return Task(found, out, 1, lora.settings(recipe, base, "fp32"), "python3 run.py train --data takes")


def test_another_base_of_the_same_name_is_another_training(base: Path, tmp_path: Path) -> None:
    first = lora.settings(QUICK, base, "fp32")
    assert first["base"] == "toy-llama" and len(first["base_digest"]) == 16
    other = tmp_path / "toy-llama"
    shutil.copytree(base, other)
    assert lora.settings(QUICK, other, "fp32") == first
    weights = load_file(other / "model.safetensors")
    save_file({name: weight + 1 for name, weight in weights.items()}, other / "model.safetensors", {"format": "pt"})
    assert lora.settings(QUICK, other, "fp32") != first
    shutil.copy(base / "model.safetensors", other / "model.safetensors")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-3}))
    assert lora.settings(QUICK, other, "fp32") != first


def test_a_request_is_the_products_own_and_half_of_its_loss_is_of_values(base: Path) -> None:
    local = load(base, "fp32")
    told = Performance(Brief("", "a room", "calm"), (Keyframe(0.0, "gape", POSE), Keyframe(1.0, "stare", POSE)))
    [first, second] = lora.requests(local, [told])
    text = local.tokenizer.decode(second.prompt)
    assert text.endswith(
        "Task Instruction: Generate the facial expression parameters for Keyframe Two.<|end|>\n<|begin|>assistant\n"
    )
    answer = local.tokenizer.decode(second.answer)
    assert answer.startswith('{"Keyframe_two":{"EyeBlinkLeft":0.0,') and answer.endswith("}}<|end|>")
    with torch.inference_mode():
        whole = torch.tensor([[*first.prompt, *first.answer]])
        logs = torch.log_softmax(local.model(whole).logits[0, :-1].float(), dim=-1)
        picked = -logs.gather(1, whole[0, 1:, None])[-len(first.answer) :, 0]
        values = torch.tensor(first.values)
        half = float(picked[values].mean() + picked[~values].mean()) / 2
        assert float(lora.loss(local.model, first)) == pytest.approx(half, abs=1e-5)


# Of the 61 channels, 58 at rest.
POSE = Pose.from_dict({"jawOpen": 0.8, "tongueOut": 1.0, "headYaw": -0.3})


def test_what_counts_as_values_is_what_decoding_chooses(base: Path) -> None:
    local = load(base, "fp32")
    told = Performance(Brief("", "a room", "calm"), (Keyframe(0.0, "gape", POSE), Keyframe(1.0, "stare", POSE)))
    for request in lora.requests(local, [told]):
        assert len(request.values) == len(request.answer)
        chosen = [token for token, value in zip(request.answer, request.values, strict=True) if value]
        # A number's digits, point and sign are tokens of their own here; after a 1 there is no choice, nor for points.
        digits = ["00"] * 17 + ["08"] + ["00"] * 33 + ["1", "-03"] + ["00"] * 8
        assert local.tokenizer.decode(chosen) == "".join(digits)


def test_what_is_said_of_poses_that_became_better_or_did_not() -> None:
    lost = Row("loss", "2.0", "1.0")
    better = Row.of("poses", Figures(0.01, 0.05, 0.5), Figures(0.01, 0.04, 0.5))
    assert verdict([lost, better]) == (
        "With this adapter, poses are better on what was held out: the mean absolute error is 0.0400, and was 0.0500 "
        "without it (20% less)."
    )
    for after in (0.06, 0.0499):
        said = verdict([lost, Row.of("poses", Figures(0.01, 0.05, 0.5), Figures(0.01, after, 0.5))])
        assert said == (
            f"Poses did not become better on what was held out: the mean absolute error is {after:.4f}, and was 0.0500 "
            "without it. This adapter is not worth using yet. Train on more performances, or with more --epochs."
        )


@pytest.mark.parametrize(("before", "after"), [(0.5, 0.4), (0.0, 0.0)])
def test_a_face_that_moves_less_is_not_a_better_one(before: float, after: float) -> None:
    said = verdict([Row.of("poses", Figures(0.01, 0.05, before), Figures(0.01, 0.03, after))])
    assert said == (
        f"Errors became smaller, but what should move does so less: F1 is {after:.4f}, and was {before:.4f}. This "
        "adapter is not worth using yet. Train on more performances, or with more --epochs."
    )


def test_poses_before_are_those_that_the_product_has_without_an_adapter(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = lora.Recipe(epochs=0.1, accumulate=8, rank=2)
    made = task(base, tmp_path / "adapter", recipe)
    shown = [performance(n) for n in range(700, 710)]
    monkeypatch.setattr(Examples, "load", lambda: Examples(shown))
    [_, poses] = lora.train(made, load(base, "fp32"), recipe)
    product = LocalBackend(load(base, "fp32"), Examples(shown), trained=False)
    assert poses.before == str(lora._decoded(product, made.data.held))
    bare = LocalBackend(load(base, "fp32"), Examples([]), trained=True)
    assert poses.before != str(lora._decoded(bare, made.data.held))


def test_a_training_says_how_far_it_is_by_the_clock(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(learning.time, "monotonic", lambda: now)
    progress = learning.Progress(total=100, first=40)
    saved = []
    for done in range(41, 101):
        now += 10.0
        if progress.step(done, 1.0 if done > 41 else 3.0):
            saved.append(done)
    # Each half minute a line, each two minutes a state.
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "step 41 of 100: loss 3.0000, about 10 min left"
    assert said[1] == "step 44 of 100: loss 1.0000, about 9 min left"
    assert said[-1] == "step 100 of 100: loss 1.0000, about 0 s left" and len(said) == 21
    assert saved == [52, 64, 76, 88, 100]
    assert learning.in_words(7200.0) == "2 h" and learning.in_words(119.0) == "119 s"


def test_a_lora_lowers_the_held_out_error_loads_as_the_product_loads_it_and_performs(
    base: Path, tmp_path: Path
) -> None:
    made = task(base, tmp_path / "adapter")
    rows = lora.train(made, load(base, "fp32"), QUICK)
    lost, poses = rows
    # Of a base with random weights, whose embeddings a LoRA does not change, no more can be had.
    assert float(lost.after) < 0.75 * float(lost.before)
    assert poses.poses and poses.poses[1].mae < 0.5 * poses.poses[0].mae
    assert not made.work.exists()
    assert sorted(p.name for p in made.out.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    check_lora(made.out)
    assert json.loads((made.out / "adapter_config.json").read_text())["base_model_name_or_path"] == "toy-llama"
    card = (made.out / "README.md").read_text()
    assert "python3 run.py train --data takes" in card and f"| trained on | {len(made.data.train)} |" in card
    assert lost.after in card and verdict(rows) in card and "Seed 1;" in card
    backend = LocalBackend(load(base, "fp32", made.out), Examples([]), trained=True)
    held = made.data.held[0]
    found = list(backend.pose(held.brief, [k.text for k in held.keyframes], lambda: None))
    away = [
        abs(a - b) for pose, k in zip(found, held.keyframes, strict=True) for a, b in zip(pose, k.pose, strict=True)
    ]
    assert len(found) == 2 and sum(away) / len(away) < 0.15


def test_a_training_that_was_stopped_ends_as_one_that_was_not(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = lora.Recipe(epochs=1, accumulate=4, rank=2)
    monkeypatch.setattr(learning, "SAVE_SECONDS", 0.0)
    lora.train(task(base, tmp_path / "whole", recipe), load(base, "fp32"), recipe)
    keep = lora.save

    def killed(path: Path, step: int, *rest: Any) -> None:
        keep(path, step, *rest)
        if step == 4:
            raise KeyboardInterrupt

    stopped = task(base, tmp_path / "stopped", recipe)
    with monkeypatch.context() as patch:
        patch.setattr(lora, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            lora.train(stopped, load(base, "fp32"), recipe)
    assert not stopped.out.exists() and (stopped.work / "state.safetensors").is_file()
    other = Task(stopped.data, stopped.out, 2, stopped.settings)
    with pytest.raises(FacescriptError, match="from a training of other data, or with other settings"):
        other.begin()
    lora.train(stopped, load(base, "fp32"), recipe)
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "stopped")
    assert set(whole) == set(resumed) and all(torch.equal(whole[name], resumed[name]) for name in whole)
    with pytest.raises(FacescriptError, match="is there already"):
        lora.train(stopped, load(base, "fp32"), recipe)


@pytest.mark.slow
def test_a_command_that_is_killed_goes_on_where_it_was_and_makes_the_same_adapter(base: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "takes.jsonl", [performance(n) for n in range(14)])
    given = ["train", "--data", str(source), "--base", str(base), "--epochs", "2", "--rank", "2"]
    given += ["--quantization", "fp32", "--threads", "1", "--adapter"]
    command = [sys.executable, "-m", "facescript.training.train", *given, str(tmp_path / "killed")]
    state = Task(data.Data((), ()), tmp_path / "killed", 1, {}, "").work / "state.safetensors"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not state.exists():
            time.sleep(0.005)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert train.main([*given, str(tmp_path / "whole")]) == 0
    whole, killed = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert set(whole) == set(killed) and all(torch.equal(whole[name], killed[name]) for name in whole)


def test_a_request_that_the_model_cannot_read_whole_is_named(base: Path) -> None:
    local = load(base, "fp32")
    long = Performance(Brief("x", "word " * 5000, "", "long-1"), performance(0).keyframes)
    with pytest.raises(FacescriptError, match=r"Keyframe 1 of 'long-1' takes \d+ tokens; the model reads 4096"):
        lora.requests(local, [long])


def test_the_command_makes_an_adapter_and_refuses_to_replace_it(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "takes.jsonl", [performance(n) for n in range(14)])
    given = ["train", "--data", str(source), "--base", str(base), "--adapter", str(tmp_path / "mine")]
    given += ["--epochs", "0.5", "--rank", "2", "--quantization", "fp32", "--threads", "1"]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert train.main(given) == 0
    assert not [found for found in caught if found.category is FutureWarning]
    said = capsys.readouterr().out
    phases = (
        r"11 performances to train on \(22 keyframes\), 3 held out",
        "On the processor",
        r"needs about \d+\.\d GiB of memory; ",
        r"Warning: this makes 2 steps, .* or --epochs 13\.",
        r"Loading toy-llama \(fp32\)",
        "Measuring: 6 held-out keyframes are read, 6 are posed",
        "Training: 2 steps of 8 keyframes",
        "step 1 of 2: loss .*, about .* left",
        "step 2 of 2: ",
        "before",
        "on what was held out: the mean absolute error is",
        "The adapter is in ",
    )
    assert re.search(".*".join(phases), said, re.DOTALL), said
    assert load(base, "fp32", tmp_path / "mine").quantization == "fp32"
    assert train.main(given) == 1
    assert "is there already" in capsys.readouterr().err


def test_a_base_is_taken_by_its_name_in_the_cache(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    model, revision = tmp_path / "models--Some--Toy", "0123456789abcdef0123456789abcdef01234567"
    (model / "refs").mkdir(parents=True)
    (model / "refs" / "main").write_text(revision)
    shutil.copytree(base, model / "snapshots" / revision)
    source = write(tmp_path / "takes.jsonl", [performance(n) for n in range(14)])
    given = ["train", "--data", str(source), "--adapter", str(tmp_path / "mine"), "--base"]
    row = Row.of("poses", Figures(0.0, 0.2, 0.5), Figures(0.0, 0.1, 0.5))
    asked: list[tuple[Task, LocalModel]] = []
    monkeypatch.setattr(lora, "train", lambda task, local, recipe: [asked.append((task, local)), [row]][1])
    assert train.main([*given, "Some/Toy"]) == 0
    [(made, local)] = asked
    assert local.folder == model / "snapshots" / revision and local.name == "Some/Toy" == made.settings["base"]
    assert train.main([*given, "Some/Other"]) == 1


# --- the embedded model's adapter -----------------------------------------------------------------------------------

CONFIG = SlotsConfig(layers=(0, 2, 3), hidden=HIDDEN, width=16, depth=1, heads=4, dropout=0.0)
POSER = slot_training.Recipe(epochs=12, rate=1e-2, batch=8, token_dropout=0.0, average=0.9)


def toy() -> LocalModel:
    tokenizer = Tokenizer()
    # The same numbers for the same words, whatever is read first.
    tokenizer(" ".join([*sorted(RULE), *WORDS]), add_special_tokens=False)
    return LocalModel(language_model(), tokenizer, "fp32", Path("toy"))  # type: ignore[arg-type]


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """An adapter for the toy as the extension ships one, that has learned nothing yet."""
    folder = tmp_path / "shipped"
    (folder / adapters.LORA).mkdir(parents=True)
    torch.manual_seed(0)
    for name in (adapters.POSER_SLOTS, adapters.PLANNER_SLOTS):
        reader = SlotReader(CONFIG, torch.randn(len(SLOTS), HIDDEN))
        save_file({k: v.half().contiguous() for k, v in reader.state_dict().items()}, folder / name)
    local = toy()
    model = slot_training.lora(local.model, CONFIG.layers, rank=2, alpha=4)
    model.save_pretrained(tmp_path / "peft")
    copy_lora(tmp_path / "peft" / "poser", folder / adapters.LORA, "toy")
    planner.repertoire([performance(900)]).save(folder / adapters.REPERTOIRE)
    adapters.write_manifest(folder, local.model, CONFIG, Decoding(least=0.0))
    return folder


def _train(out: Path, shipped: Path) -> Any:
    found = data.split([performance(n) for n in range(24)], 1)
    made = Task(found, out, 1, {"mirror": True}, "python3 run.py train --data takes")
    known = embedded.Known(
        shipped, [performance(n) for n in range(500, 520)], [performance(n) for n in range(600, 606)]
    )
    return made, embedded.train(made, toy(), known, POSER, POSER)


def test_the_embedded_models_adapter_learns_loads_and_performs(shipped: Path, tmp_path: Path) -> None:
    made, rows = _train(tmp_path / "adapter", shipped)
    errors = {row.what: [float(text.split()[3]) for text in (row.before, row.after)] for row in rows}
    assert set(errors) == {
        f"{part}, {whose}" for part in ("poser", "planner") for whose in (embedded.OWN, embedded.SHIPPED)
    }
    for whose in (embedded.OWN, embedded.SHIPPED):
        before, after = errors[f"poser, {whose}"]
        assert after < 0.6 * before
    assert not made.work.exists() and "Seed 1" in (made.out / "README.md").read_text()
    backend = EmbeddedBackend(toy(), made.out)
    [pose] = backend.pose(Brief("", "a room", "calm"), ["gape"], lambda: None)
    assert pose["jawOpen"] > 0.4 and pose["mouthSmileLeft"] < 0.2
    # What the planner picks from are the studio's descriptions too.
    said = dict(backend.describe(Brief("balo kona", "a room", "calm"), [Ask("balo kona")], 0, lambda: None))
    assert said[0] in {k.text for p in (*made.data.train, performance(900)) for k in p.keyframes}


def test_the_embedded_models_training_goes_on_where_it_was_killed(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = _train(tmp_path / "whole", shipped)
    keep = slot_training.save

    def killed(path: Path, step: int, *rest: Any) -> None:
        keep(path, step, *rest)
        if path.name.startswith("planner"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(slot_training, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            _train(tmp_path / "stopped", shipped)
    stopped, _ = _train(tmp_path / "stopped", shipped)
    found, wanted = weights(stopped.out), weights(whole.out)
    assert set(found) == set(wanted) and all(torch.equal(found[name], wanted[name]) for name in wanted)
