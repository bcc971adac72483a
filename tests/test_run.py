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

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals between processes")


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


def test_the_status_of_a_command_is_that_of_run_py() -> None:
    process = started(["batch", "sheet.csv"])
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.endswith("the following arguments are required: folder\n")
