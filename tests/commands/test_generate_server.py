# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py generate` with a server: by one real run, and by what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from facescript.commands.generate import main
from facescript.inference.servers.addresses import KEY_VARIABLE
from model_servers import DESCRIPTION, serving

KEY = "sk-from-the-environment"


def lines(path: Path, count: int) -> Path:
    path.write_text("".join(json.dumps({"id": str(i), "script": "You lied to me."}) + "\n" for i in range(count)))
    return path


def test_lines_are_performed_by_a_server_with_a_key_of_the_environment(tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    with serving() as server:
        command = [sys.executable, "-m", "facescript.commands.generate", "generate", lines(tmp_path / "in.jsonl", 2)]
        environment = os.environ | {KEY_VARIABLE: KEY}
        arguments = [*map(str, command), str(output), "--address", server.address, "--server-model", "any"]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, env=environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert {handler.headers["Authorization"] for handler in server.requests} == {f"Bearer {KEY}"}
        assert {body["model"] for body in server.bodies} == {"any"}
    found = [json.loads(line) for line in output.read_text().splitlines()]
    assert [entry["id"] for entry in found] == ["0", "1"]
    assert {row["text"] for entry in found for row in entry["keyframes"]} == {DESCRIPTION}
    assert KEY not in done.stdout + output.read_text()


def test_a_server_that_is_not_there_ends_the_run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with serving() as server:
        address = server.address
    given = [str(lines(tmp_path / "in.jsonl", 3)), str(tmp_path / "out.jsonl")]
    assert main(["generate", *given, "--address", address]) == 1
    errors = capfd.readouterr().err
    assert errors.count("No server answers at") == 1
    assert "3 of 3 lines failed." in errors


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backend", "server"], "--backend server needs --address"),
        (["--address", "localhost", "--model", "x"], "are for --backend server"),
        (["--address", "localhost", "--backend", "server", "--model", "x"], "and no --model or --adapter"),
        (["--server-model", "x"], "--address and --server-model are for --backend server"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["generate", "in.jsonl", "out.jsonl", *arguments])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "key", "words"),
    [
        ("file:///etc/passwd", "", "is not spoken to by file"),
        ("http://me:hidden@localhost", "", "holds a user name or a password"),
        ("localhost", "two hidden words", "The server's key holds characters"),
    ],
)
def test_a_bad_address_or_key_is_said_before_any_work(
    address: str, key: str, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, key)
    assert main(["generate", "in.jsonl", "out.jsonl", "--address", address]) == 1
    errors = capsys.readouterr().err
    assert words in errors and "hidden" not in errors
