# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py batch`: actions by the environment's bpy in a process of its own, and what that says of errors."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from facescript.batch.parts import Work
from facescript.commands import RUNTIME, batch
from facescript.commands.build import built
from facescript.inference.setup.runtime import Runtime
from facescript.performance import FacescriptError
from model_servers import serving


@pytest.mark.model
@pytest.mark.slow
def test_a_sheet_becomes_a_blend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if not Runtime(RUNTIME).state().usable:
        pytest.skip("the language model is not prepared (python3 run.py test prepares it)")
    monkeypatch.setenv("FACESCRIPT_ZIP", str(built(tmp_path / "dist")))
    sheet, out = tmp_path / "sheet.csv", tmp_path / "out"
    sheet.write_text("file;script\none;Hello there.\n")
    capfd.readouterr()
    with serving() as server:
        arguments = ["batch", str(sheet), str(out), "--write", "actions", "--address", server.address]
        assert batch.main([*arguments, "--concurrency", "1"]) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "actions_0001.blend",
        "batch.jsonl",
        "batch.lock",
        "one.jsonl",
    ]
    said = capfd.readouterr()
    # Blender's own chatter is kept for when it fails.
    assert said.out.splitlines()[-2:] == [
        "Actions: actions_0001.blend, 1 of 1",
        "1 of 1 lines are done, 0 failed, 0 are left.",
    ]
    assert said.err == ""
    with pytest.raises(FacescriptError) as caught:
        list(batch.apart(Work("/nowhere.blend", "", "natural", 30.0, ("Anna",))))
    assert (caught.value.code, caught.value.message) == ("no_file", "There is no file /nowhere.blend.")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows runs no shell scripts")
def test_the_blender_that_writes_actions_is_not_told_the_server_s_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blender = tmp_path / "blender.sh"
    blender.write_text('#!/bin/sh\necho "part: $FACESCRIPT_SERVER_KEY,$OTHER"\n')
    blender.chmod(0o755)
    monkeypatch.setattr(batch, "PYTHON", blender)
    monkeypatch.setenv("FACESCRIPT_SERVER_KEY", "sk-very-secret")
    monkeypatch.setenv("OTHER", "kept")
    assert list(batch.apart(Work("", "", "natural", 24.0))) == [",kept"]


# A Blender that is still at its beginning, and the batch that has started it.
CHILD = """
import os, sys, time
from pathlib import Path
from facescript.commands import batch_in_blender
def built(folder):
    Path(__file__).with_name("number.partial").write_text(str(os.getpid()))
    Path(__file__).with_name("number.partial").rename(Path(__file__).with_name("number"))
    time.sleep(60)
batch_in_blender.built = built
batch_in_blender.main(sys.argv[3:])
"""
PARENT = """
import sys
from pathlib import Path
from facescript.batch.parts import Work
from facescript.commands import batch
batch.PYTHON = Path(sys.argv[1])
list(batch.apart(Work("", "", "natural", 24.0)))
"""


def is_running(number: str) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes in /proc")
def test_the_blender_that_writes_actions_ends_with_a_batch_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(CHILD)
    blender, number = tmp_path / "blender.sh", tmp_path / "number"
    blender.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{tmp_path}/child.py" "$@"\n')
    blender.chmod(0o755)
    with subprocess.Popen([sys.executable, "-c", PARENT, str(blender)]) as parent:
        end = time.monotonic() + 30.0
        while not number.exists() and time.monotonic() < end:
            time.sleep(0.1)
        child = number.read_text()
        assert is_running(child)
        parent.kill()
    end = time.monotonic() + 10.0
    while is_running(child) and time.monotonic() < end:
        time.sleep(0.1)
    assert not is_running(child)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["sheet.csv"], 2, "the following arguments are required: folder"),
        (["sheet.csv", "out", "--fps", "0"], 1, "The frame rate is 0. Choose one from 1 to 240."),
        (["none.csv", "out"], 1, "Cannot read none.csv"),
        (["sheet.csv", "out", "--concurrency", "2"], 2, "--concurrency is for --backend server"),
        (["sheet.csv", "out", "--ane"], 2, "unrecognized arguments: --ane"),
    ],
)
def test_what_cannot_be_done_is_said_before_any_work(
    arguments: list[str],
    status: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sheet.csv").write_text("file,script\na,Hi.\n")
    try:
        found = batch.main(["batch", *arguments])
    except SystemExit as error:
        found = int(error.code or 0)
    assert found == status
    assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.csv"]
