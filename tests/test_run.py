# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py`: what ends it ends the command that it carries out, and the command's exit status is its own."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from facescript import run
from facescript.batch.journal import locked
from facescript.commands import RUNTIME
from facescript.inference.setup.runtime import Runtime
from model_servers import Handler, good, serving

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals between processes"),
    pytest.mark.skipif(sys.version_info[:2] != run.WANTED, reason="run.py is tested with the Python that it wants"),
]


@pytest.fixture(autouse=True)
def set_up() -> None:
    if not (run.VENV / "facescript-requirements").exists() or Runtime(RUNTIME).state().kind != "ready":
        pytest.skip("the checkout is not set up (python3 run.py test does it)")


def started(arguments: Sequence[str]) -> subprocess.Popen[str]:
    command = [sys.executable, str(run.ROOT / "run.py"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def slow(handler: Handler) -> None:
    """A server that takes a while for each answer."""
    if handler.command == "POST":
        time.sleep(0.2)
    good(handler)


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 130), (signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)],
)
def test_what_ends_run_py_ends_its_batch(tmp_path: Path, number: signal.Signals, status: int) -> None:
    sheet, out = tmp_path / "sheet.csv", tmp_path / "out"
    with sheet.open("w", newline="") as stream:
        csv.writer(stream).writerows([("file", "script"), *((f"line{i}", f"Hello {i}.") for i in range(300))])
    with serving(slow) as server:
        process = started(["batch", str(sheet), str(out), "--address", server.address, "--concurrency", "2"])
        try:
            assert process.stdout
            assert process.stdout.readline() == "300 lines; 300 to do on 2 workers.\n"
            process.send_signal(number)
            assert process.wait(60) == status
            # It is refused while a batch is at work.
            with locked(out):
                pass
        finally:
            process.kill()
            process.communicate()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What pip is asked for in place of installing it, of an environment that is not there yet."""
    asked: list[str] = []

    def call(command: Sequence[str]) -> int:
        rows = (tmp_path / "torch.txt").read_text() if str(tmp_path / "torch.txt") in command else ""
        asked.append(" ".join([*command, rows.split(" ")[0]]))
        return 0

    monkeypatch.setattr(run, "VENV", tmp_path)
    monkeypatch.setattr(run, "PYTHON", tmp_path / "python")
    (tmp_path / "python").touch()
    monkeypatch.setattr(run, "answers", lambda _: True)
    monkeypatch.setattr(run, "link_package", lambda: None)
    monkeypatch.setattr(subprocess, "call", call)
    return asked


@pytest.mark.skipif(sys.platform != "linux", reason="NVIDIA's build is for Linux")
def test_the_build_for_nvidia_gpus_is_installed_once_and_stays(installed: list[str]) -> None:
    def torch() -> list[str]:
        found = [row.split()[-1] for row in installed if "torch.txt" in row]
        installed.clear()
        return found

    assert run.set_up() and torch() == ["torch==2.13.0+cpu"]
    assert run.set_up("cuda") and "--force-reinstall" in " ".join(installed) and torch() == ["torch==2.13.0"]
    assert run.set_up() and run.set_up("cuda") and installed == []
    assert run.set_up("cpu") and torch() == ["torch==2.13.0+cpu"]
    assert run.set_up() and installed == []


def test_an_accelerator_that_cannot_be_had_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str | None] = []
    monkeypatch.setattr(run, "set_up", lambda accelerator: asked.append(accelerator))
    assert run.main(["--accelerator", "rocm", "train"]) == 2
    assert capsys.readouterr().err == "--accelerator 'rocm': give cpu or cuda.\n"
    assert run.main(["--accelerator"]) == 2
    monkeypatch.setattr(sys, "platform", "win32")
    assert run.main(["--accelerator", "cuda", "train"]) == 2
    assert "no build for Python 3.11 is known here" in capsys.readouterr().err
    monkeypatch.setattr(sys, "platform", "linux")
    assert run.main(["--accelerator", "cuda", "train"]) == run.main(["train"]) == 1
    assert asked == ["cuda", None]


def test_the_status_of_a_command_is_that_of_run_py() -> None:
    process = started(["batch", "sheet.csv"])
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.endswith("the following arguments are required: folder\n")
