# SPDX-License-Identifier: GPL-3.0-or-later
"""What the extension's zip holds: files within its folder, and none that is run or unpickled by reading it."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path, PurePosixPath

import pytest

pytest.importorskip("bpy")

_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".npy", ".npz", ".joblib", ".so", ".pyd", ".dll", ".pyc")


def test_no_name_leaves_the_folder_and_nothing_is_a_link(built_zip: Path) -> None:
    with zipfile.ZipFile(built_zip) as archive:
        for entry in archive.infolist():
            path = PurePosixPath(entry.filename)
            assert not path.is_absolute() and ".." not in path.parts
            assert "\\" not in entry.filename and ":" not in entry.filename and entry.filename.isascii()
            assert not stat.S_ISLNK(entry.external_attr >> 16), entry.filename
        assert archive.testzip() is None


def test_only_what_users_need_is_in_it(built_zip: Path) -> None:
    with zipfile.ZipFile(built_zip) as archive:
        names = archive.namelist()
    assert not [name for name in names if name.endswith(_PICKLES)]
    tops = {name.split("/")[0] for name in names}
    assert not tops & {"tests", "training", "fuzzing", "faults", "soak", "benchmarks", "commands", "docs", "run.py"}
    assert {"inference", "operators", "performance", "rig_mapping", "panels", "blender_manifest.toml"} <= tops
