# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from facescript.inference.setup.in_use import held, hold

HOLD = """
import sys, pathlib
from facescript.inference.setup.in_use import hold
print(hold(pathlib.Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stdout.readline() == "True\n"
    return process


def test_a_folder_is_held_as_long_as_one_of_its_workers_lives(tmp_path: Path) -> None:
    assert not held(tmp_path)
    with holder(tmp_path) as first, holder(tmp_path) as second:
        assert held(tmp_path)
        os.kill(first.pid, signal.SIGKILL)
        first.wait(10.0)
        assert held(tmp_path)
        assert second.stdin
        second.stdin.close()
        second.wait(10.0)
        assert not held(tmp_path)
    assert hold(tmp_path / "not there") is False
    assert held(tmp_path / "not there") is False
