# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py generate` and `run.py pose` as a user runs them, with the real worker and model."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from facescript.commands import RUNTIME
from facescript.inference.options import EMBEDDED_MODEL
from facescript.inference.setup.runtime import Runtime, child_environment
from facescript.performance import CHANNELS, jsonl

pytestmark = [pytest.mark.model, pytest.mark.slow]

POSED = {
    "id": "p1",
    "script": "Oh!",
    "background": "A cave.",
    "emotion": "awe",
    "keyframes": [{"t": 0.5, "text": "Brows fly up, the jaw drops."}],
}


@pytest.fixture(scope="module")
def model() -> Path:
    """The folder of the prepared embedded model."""
    runtime = Runtime(RUNTIME)
    if runtime.record() is None or not (runtime.models / EMBEDDED_MODEL).is_dir():
        pytest.skip("the language model is not prepared: run `python3 run.py generate --help` once")
    return runtime.models / EMBEDDED_MODEL


def command(kind: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", "facescript.commands.generate", kind, *map(str, arguments)]


def run(kind: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = child_environment()
    return subprocess.run(command(kind, *arguments), capture_output=True, text=True, env=environment, timeout=600)


def write(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_lines_are_written_as_they_are_done_and_a_bad_one_stops_nothing(model: Path, tmp_path: Path) -> None:
    lines = (
        {"id": "one", "script": "[0.5s] brows knit, lips press", "background": "A flat.", "emotion": "anger"},
        {"id": "empty", "script": "...", "background": "", "emotion": ""},
        {"id": 3, "script": "Go away!", "background": "", "emotion": "fear", "keyframes": [{"t": 9, "text": "x"}]},
    )
    output = tmp_path / "out.jsonl"
    source = write(tmp_path / "in.jsonl", *lines)
    process = subprocess.Popen(
        command("generate", source, output, "--seed", 5),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=child_environment(),
    )
    assert process.stdout
    first = process.stdout.readline()
    early = output.read_text().splitlines()
    _, errors = process.communicate(timeout=600)
    assert first.startswith("[1/3] one: 1 keyframes in ")
    assert len(early) == 1
    assert process.returncode == 1
    assert "[2/3] empty: The script has no words." in errors
    assert errors.endswith(f"1 of 3 lines failed; the others are in {output}.\n")
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert [entry["id"] for entry in found] == ["one", "3"]
    assert found[0]["keyframes"][0]["text"] == "brows knit, lips press"
    assert found[0]["keyframes"][0]["t"] == 0.5
    # `generate` plans beats of its own.
    assert found[1]["keyframes"][0]["t"] == 0.0
    for entry in found:
        for keyframe in entry["keyframes"]:
            assert list(keyframe["pose"]) == [channel.name for channel in CHANNELS]
    assert len(list(jsonl.read_performances(output))) == 2


# 4 bit, which takes a minute without AVX-512, is tried by the worker's own tests.
@pytest.mark.parametrize("quantization", ["auto", "int8"])
def test_a_local_model_poses_in_a_quantization(model: Path, tmp_path: Path, quantization: str) -> None:
    output = tmp_path / "out.jsonl"
    options = ("--backend", "local", "--model", model, "--quantization", quantization)
    done = run("pose", write(tmp_path / "in.jsonl", POSED), output, *options)
    assert (done.returncode, done.stderr) == (0, "")
    [performance] = jsonl.read_performances(output)
    assert (performance.brief.id, performance.brief.emotion) == ("p1", "awe")
    assert [(k.time, k.text) for k in performance.keyframes] == [(0.5, "Brows fly up, the jaw drops.")]


def test_a_model_that_is_not_there_stops_at_the_first_line(model: Path, tmp_path: Path) -> None:
    begin = time.monotonic()
    source = write(tmp_path / "in.jsonl", POSED, POSED)
    output = write(tmp_path / "out.jsonl", "what was there")
    done = run("pose", source, output, "--backend", "local", "--model", "/nowhere/qwen")
    assert done.returncode == 1
    assert output.read_text() == "what was there\n"
    assert "There is no model folder /nowhere/qwen." in done.stderr
    assert done.stderr.count("no model folder") == 1
    assert "Traceback" not in done.stderr
    assert time.monotonic() - begin < 60.0


@pytest.mark.parametrize(
    ("kind", "lines", "words"),
    [
        ("generate", [POSED, "{"], "in.jsonl, line 2: This is not JSON"),
        ("generate", [{"script": 3}], "in.jsonl, line 1: 'script' is int, not a text."),
        ("pose", [POSED, {"keyframes": [{"t": 1}, {"t": 0}]}], "in.jsonl, line 2: Keyframe 2 is at 0 s"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_before_any_work(
    model: Path, tmp_path: Path, kind: str, lines: list[object], words: str
) -> None:
    output = write(tmp_path / "out.jsonl", "what was there")
    done = run(kind, write(tmp_path / "in.jsonl", *lines), output)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert output.read_text() == "what was there\n"


def test_files_that_cannot_be_used_are_named(model: Path, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", POSED)
    for arguments, words in (
        ((tmp_path / "nothing.jsonl", source), "Cannot read"),
        ((source, source), "The output would overwrite the input."),
        ((source, tmp_path / "no folder" / "out.jsonl"), "Cannot write"),
    ):
        done = run("pose", *arguments)
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    assert source.read_text() == json.dumps(POSED) + "\n"


def test_a_line_without_keyframes_cannot_be_posed(model: Path, tmp_path: Path) -> None:
    done = run("pose", write(tmp_path / "in.jsonl", {"id": "a", "script": "Hi."}), tmp_path / "out.jsonl")
    assert done.returncode == 1
    assert "[1/1] a: There are no keyframes to pose." in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "required"),
        (("dance", "a", "b"), "invalid choice"),
        (("pose", "a", "b", "--backend", "local"), "needs --model"),
        (("pose", "a", "b", "--backend", "embedded", "--model", "c"), "--model is for --backend local"),
        (("pose", "a", "b", "--seed", "99999999999999999999"), "--seed"),
        (("pose", "a", "b", "--seed", "-1"), "--seed: '-1' is not a whole number from 0 to 2147483647"),
        (("pose", "a", "b", "--seed", "1.5"), "--seed: '1.5' is not a whole number from 0 to 2147483647"),
        (("pose", "a", "b", "--quantization", "int3"), "invalid choice"),
    ],
)
def test_wrong_arguments_are_refused_with_the_usage(arguments: tuple[str, ...], words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "facescript.commands.generate", *arguments], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_input_is_an_error_and_starts_nothing(tmp_path: Path) -> None:
    done = run("pose", write(tmp_path / "in.jsonl", ""), tmp_path / "out.jsonl")
    assert done.returncode == 1
    assert "holds no lines" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()
