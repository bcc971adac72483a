# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a line: when each beat is, and which way angles are written."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from facescript.batch import outputs
from facescript.batch.settings import Settings
from facescript.batch.sheet import Row
from facescript.inference.options import ModelOptions
from facescript.performance import Keyframe, Performance, Pose, live_link

ROW = Row(2, "line", "[1.5s] jaw drops\n[2.5s] jaw closes")


def performance(*beats: tuple[float, dict[str, float]]) -> Performance:
    return Performance(ROW.brief, tuple(Keyframe(time, "a beat", Pose.from_dict(pose)) for time, pose in beats))


def written(folder: Path, made: Performance, settings: Settings) -> list[dict[str, str]]:
    """The rows of the CSV."""
    outputs.write(folder, ROW, made, settings)
    with (folder / "line.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize(("fps", "codes"), [(60.0, ("01:30", "02:30")), (24.0, ("01:12", "02:12"))])
def test_a_csv_begins_at_time_0_and_has_each_beat_where_the_json_line_has_it(
    tmp_path: Path, fps: float, codes: tuple[str, str]
) -> None:
    made = performance((1.5, {"jawOpen": 0.75}), (2.5, {"jawOpen": 0.25}))
    rows = written(tmp_path, made, Settings(ModelOptions(), fps=fps))
    entry = json.loads((tmp_path / "line.jsonl").read_text())
    assert [keyframe["t"] for keyframe in entry["keyframes"]] == [1.5, 2.5]
    assert rows[0]["Timecode"] == "00:00:00:00.000"
    for time, code, jaw in zip((1.5, 2.5), codes, ("0.750000", "0.250000"), strict=True):
        row = rows[round(time * fps)]
        assert (row["Timecode"], row["JawOpen"]) == (f"00:00:{code}.000", jaw)
    # Until it is reached, the first beat is held, as keys are.
    assert {row["JawOpen"] for row in rows[: round(1.5 * fps)]} == {"0.750000"}
    assert len(live_link.read(tmp_path / "line.csv", fps).values) == len(rows)


@pytest.mark.parametrize(
    ("settings", "yaw", "pitch", "roll"),
    [
        # Half of the head's 45 degrees in radians; the app's yaw and pitch go the other way.
        (Settings(ModelOptions()), "-0.392699", "0.392699", "0.392699"),
        (Settings(ModelOptions(), angles="UNIT"), "0.500000", "-0.500000", "0.500000"),
    ],
)
def test_angles_are_the_app_s_own_unless_another_form_is_asked_for(
    tmp_path: Path, settings: Settings, yaw: str, pitch: str, roll: str
) -> None:
    made = performance((0.0, {"headYaw": 0.5, "headPitch": -0.5, "headRoll": 0.5}))
    row = written(tmp_path, made, settings)[0]
    assert (row["HeadYaw"], row["HeadPitch"], row["HeadRoll"]) == (yaw, pitch, roll)
