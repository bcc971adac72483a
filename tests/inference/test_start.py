# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from facescript.inference.client import START, worker_command


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-I", *command], capture_output=True, text=True, cwd=cwd, timeout=60)


def test_without_a_command_it_says_how_it_is_used(tmp_path: Path) -> None:
    for arguments in ([], ["dance"]):
        done = run(str(START), *arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (2, "usage: start.py worker|prepare --models FOLDER\n")


def test_the_package_is_found_under_any_folder_name(tmp_path: Path) -> None:
    root = START.parent.parent
    copy = tmp_path / "user default" / "my facescript (2)"
    for part in ("__init__.py", "performance", "inference"):
        source = root / part
        copy.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__", "data"))
        else:
            shutil.copy(source, copy / part)
    # A folder of another add-on beside it must not come onto Python's path.
    (tmp_path / "user default" / "numpy.py").write_text("raise SystemExit('the wrong numpy')")
    done = run(str(copy / "inference" / "start.py"), "worker", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--models" in done.stdout


def test_the_workers_command_leaves_the_users_own_packages_out() -> None:
    command = worker_command(Path("/venv/bin/python"), Path("/models"))
    assert command[:2] == ["/venv/bin/python", "-I"]
    assert command[-4:] == [str(START), "worker", "--models", "/models"]
