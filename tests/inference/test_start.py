# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from facescript.inference.client import START, worker_command
from facescript.inference.start import DAMAGED, LACKING


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-I", *command], capture_output=True, text=True, cwd=cwd, timeout=60)


def test_without_a_command_it_says_how_it_is_used(tmp_path: Path) -> None:
    for arguments in ([], ["dance"]):
        done = run(str(START), *arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (2, "usage: start.py worker|prepare|download OPTIONS\n")


def copied(folder: Path) -> Path:
    """A copy of what the worker runs; its start.py."""
    root = START.parent.parent
    copy = folder / "user default" / "my facescript (2)"
    for part in ("__init__.py", "performance", "inference"):
        source = root / part
        copy.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, copy / part, ignore=shutil.ignore_patterns("__pycache__", "data"))
        else:
            shutil.copy(source, copy / part)
    return copy / "inference" / "start.py"


def test_the_package_is_found_under_any_folder_name(tmp_path: Path) -> None:
    start = copied(tmp_path)
    # A folder of another add-on beside it must not come onto Python's path.
    (tmp_path / "user default" / "numpy.py").write_text("raise SystemExit('the wrong numpy')")
    done = run(str(start), "worker", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--models" in done.stdout


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("protocol.py", None),
        ("protocol.py", ""),
        ("protocol.py", "PROTOCOL = (3"),
        ("protocol.py", "import nothing_of_this_name.at_all\n"),
        ("../performance/model.py", "half a fi"),
        ("../performance", None),
        ("../__init__.py", "\0\0\0"),
    ],
)
def test_damaged_files_and_missing_packages_are_told_apart(tmp_path: Path, file: str, content: str | None) -> None:
    start = copied(tmp_path)
    path = start.parent / file
    if content is not None:
        path.write_text(content)
    elif path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    done = run(str(start), "worker", "--help", cwd=tmp_path)
    missing_package = content is not None and "nothing_of_this_name" in content
    assert done.returncode == (LACKING if missing_package else DAMAGED)
    assert "Traceback" not in done.stderr


def test_the_workers_command_leaves_the_users_own_packages_out() -> None:
    command = worker_command(Path("/venv/bin/python"), Path("/models"))
    assert command[:2] == ["/venv/bin/python", "-I"]
    assert command[-6:] == [str(START), "worker", "--models", "/models", "--parent", str(os.getpid())]
