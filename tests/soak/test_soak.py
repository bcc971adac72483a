# SPDX-License-Identifier: GPL-3.0-or-later
"""The random user: a short run of it, and that what must hold is seen to be broken when it is."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest
import windowed
from facescript.commands.build import build
from facescript.commands.soak import main

# The same steps in every run, so that a change is what turns a test red; the environment asks for others, and for more.
RUN = ["--seed", os.environ.get("FACESCRIPT_SOAK_SEED", "5"), "--steps", os.environ.get("FACESCRIPT_SOAK_STEPS", "60")]

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built extension."""
    return build(tmp_path_factory.mktemp("soak"))


@pytest.mark.model
def test_nothing_is_broken_in_a_short_run_with_the_module(built: Path) -> None:
    assert main(["soak", *RUN, "--no-window", "--zip", str(built)]) == 0


@pytest.mark.window
def test_nothing_is_broken_in_a_short_run_in_a_window(built: Path) -> None:
    if reason := windowed.missing():
        pytest.skip(reason)
    assert main(["soak", *RUN, "--window", "--no-model", "--zip", str(built)]) == 0


# Defects to plant into a copy of the zip: the file, what is written there and what instead, the steps that meet it, and
# what is said then.
DEFECTS = {
    "a key of the user's is lost": (
        "rig_mapping/carry.py",
        'order = np.argsort(carried["co"][:, 0], kind="stable")',
        'order = np.argsort(carried["co"][:, 0], kind="stable")[1:]',
        "1:import_beats,2:add_key,3:add_key,4:add_key,5:add_key,6:move_beat,7:scale_beats",
        "the user's key",
    ),
    "an error that nobody catches": (
        "operators/beats.py",
        "beats = beat_list.split(",
        "beats = beat_list.no_such_function(",
        "1:import_beats,2:split_beat",
        "no_such_function",
    ),
    "a handler is left over": (
        "operators/session.py",
        "bpy.app.handlers.load_pre.remove(_stop)",
        "pass",
        "1:off_and_on",
        "handlers",
    ),
    "a value out of its range": (
        "operators/desk.py",
        "row.pose = json.dumps(beat.pose.active(1e-4))",
        'row.pose = json.dumps({"jawOpen": 3.0})',
        "1:import_beats",
        "jawOpen of the beat at",
    ),
}


@pytest.mark.parametrize("defect", DEFECTS)
def test_a_planted_defect_is_found(
    built: Path, defect: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, before, after, steps, said = DEFECTS[defect]
    spoiled = tmp_path / built.name
    with zipfile.ZipFile(built) as source, zipfile.ZipFile(spoiled, "w") as target:
        for item in source.infolist():
            data = source.read(item)
            if item.filename.endswith(path):
                assert before.encode() in data
                data = data.replace(before.encode(), after.encode())
            target.writestr(item, data)
    assert main(["soak", "--only", steps, "--seed", "3", "--no-window", "--no-model", "--zip", str(spoiled)]) == 1
    assert said in capsys.readouterr().out
