# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from facescript.performance import INDEX, FacescriptError, live_link
from hypothesis import given
from hypothesis import strategies as st


def test_header_rows_and_timecode_are_as_live_link_face_writes_them(tmp_path: Path) -> None:
    values = np.zeros((31, 61))
    values[30, INDEX["jawOpen"]] = 0.25
    values[30, INDEX["headYaw"]] = -0.5
    path = tmp_path / "take.csv"
    live_link.write(path, values, fps=30.0)
    lines = path.read_text().splitlines()
    assert lines[0].startswith("Timecode,BlendshapeCount,EyeBlinkLeft,EyeLookDownLeft,")
    assert lines[0].endswith(",RightEyeYaw,RightEyePitch,RightEyeRoll")
    assert lines[1].startswith("00:00:00:00.000,61,0.000000,")
    assert lines[31].startswith("00:00:01:00.000,61,")
    cells = lines[31].split(",")
    assert (len(cells), cells[2 + INDEX["jawOpen"]], cells[2 + INDEX["headYaw"]]) == (63, "0.250000", "-0.500000")


@pytest.mark.parametrize(
    ("frame", "fps", "code"),
    [(0, 24.0, "00:00:00:00.000"), (90061, 25.0, "01:00:02:11.000"), (30, 29.97, "00:00:01:00.000")],
)
def test_timecodes_count_frames_at_the_rate(tmp_path: Path, frame: int, fps: float, code: str) -> None:
    path = tmp_path / "take.csv"
    live_link.write(path, np.zeros((1, 61)), fps, start_frame=frame)
    assert path.read_text().splitlines()[1].split(",")[0] == code


@given(
    rows=st.lists(st.integers(0, 10**6), min_size=1, max_size=4),
    fps=st.sampled_from([24.0, 25.0, 30.0, 60.0]),
)
def test_a_recording_reads_back(tmp_path_factory: pytest.TempPathFactory, rows: list[int], fps: float) -> None:
    values = np.zeros((len(rows), 61))
    values[:, INDEX["jawOpen"]] = np.array(rows) / 10**6
    path = tmp_path_factory.mktemp("csv") / "take.csv"
    live_link.write(path, values, fps)
    back = live_link.read(path, fps)
    assert abs(back.values - values).max() < 1e-6
    np.testing.assert_allclose(back.times, np.arange(len(rows)) / fps, atol=1e-9)


def test_columns_may_stand_in_any_order_and_others_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "take.csv"
    path.write_text("Timecode,BlendShapeCount,JawOpen,eyeBlinkLeft,Extra\n11:52:39:02.017,61,0.5,1,x\n")
    recording = live_link.read(path)
    assert recording.values[0, INDEX["jawOpen"]] == 0.5
    assert recording.values[0, INDEX["eyeBlinkLeft"]] == 1.0
    assert recording.values[0].sum() == 1.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("a,b\n1,2\n", "not a Live Link Face recording"),
        ("Timecode,BlendshapeCount,JawOpen\nsoon,61,0.5\n", "line 2: 'soon' is not a timecode"),
        ("Timecode,BlendshapeCount,JawOpen\n00:00:00:00.0,61,much\n", "line 2: column 3 is not a number"),
        ("Timecode,BlendshapeCount,JawOpen\n00:00:00:00.0,61\n", "line 2: column 3 is not a number"),
        ("Timecode,BlendshapeCount,JawOpen\n00:00:00:00.0,61,nan\n", "jawOpen is nan"),
        ("Timecode,BlendshapeCount,JawOpen\n00:00:00:00.0,61,7\n", "line 2: Channel jawOpen is 7"),
        ("Timecode,JawOpen,JawOpen\n", "column JawOpen twice"),
        ("Timecode,JawOpen\n00:00:00:05.0,0\n00:00:00:05.0,0\n", "line 3: the timecode does not rise"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "take.csv"
    path.write_text(text)
    with pytest.raises(FacescriptError) as caught:
        live_link.read(path)
    assert words in str(caught.value)


def test_values_out_of_range_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(FacescriptError, match="outside"):
        live_link.write(tmp_path / "take.csv", np.full((1, 61), 2.0), 24.0)
    assert not (tmp_path / "take.csv").exists()
