# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from facescript.performance import CHANNELS, INDEX, FacescriptError, Pose, live_link
from facescript.performance.angles import AngleForm
from facescript.performance.recording import Recording
from hypothesis import given, settings
from hypothesis import strategies as st


def test_header_rows_and_timecode_are_as_live_link_face_writes_them(tmp_path: Path) -> None:
    values = np.zeros((31, 61))
    values[30, INDEX["jawOpen"]] = 0.25
    values[30, INDEX["headYaw"]] = -0.5
    path = tmp_path / "take.csv"
    live_link.write(path, values, fps=30.0, angles="UNIT")
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


@settings(deadline=None)
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
        ("Timecode,BlendshapeCount,JawOpen\n00:00:00:00,61\n00:00:00:01,61,0\n", "line 2: column 3 is not a number"),
        ("Timecode,BlendshapeCount,JawOpen\n00:00:00:00.0,61\n", "has no frames"),
        ("Timecode,BlendshapeCount,JawOpen\n00:00:00:00.0,61,nan\n", "line 2: jawOpen is nan"),
        ("Timecode,BlendshapeCount,JawOpen\n00:00:00:00.0,61,1e999\n", "line 2: jawOpen is inf"),
        ("Timecode,BlendshapeCount,JawOpen\n00:00:00:00.0,61,7\n", "line 2: Channel jawOpen is 7"),
        ("Timecode,JawOpen,JawOpen\n", "column JawOpen twice"),
        ("Timecode,JawOpen\n\n00:00:00:05.0,0\n00:00:00:04.0,0\n", "line 4: the timecode goes back"),
    ],
)
def test_bad_files_say_what_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "take.csv"
    path.write_text(text)
    with pytest.raises(FacescriptError) as caught:
        live_link.read(path)
    assert words in str(caught.value)


def _table(*rows: str, header: str = "Timecode,BlendshapeCount,JawOpen") -> str:
    return "\n".join((header, *rows)) + "\n"


def _read(tmp_path: Path, text: str, name: str = "take.csv", **options: Any) -> Recording:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    return live_link.read(path, **options)


# The orders in which apps write the eyes: the present one has the left eye first, as KeyframeFace has; ARKit's header
# file and apps that follow it have the right one first.
ORDERS = {
    "left first": [c.pascal for c in CHANNELS],
    "right first, camelCase": [c.name for c in sorted(CHANNELS, key=lambda c: (c.region != "eyes", c.side != "right"))],
    "52 columns": [c.pascal for c in CHANNELS[:52]],
    "51 columns": [c.pascal for c in CHANNELS[:51]],
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_order_and_number_of_columns_is_read(tmp_path: Path, order: str) -> None:
    names = ORDERS[order]
    cells = [f"{(1 + INDEX[name[0].lower() + name[1:]]) / 100:.2f}" for name in names]
    text = _table(
        f"00:00:00:00.000,{len(names)},{','.join(cells)}", header=f"Timecode,BlendShapeCount,{','.join(names)}"
    )
    recording = _read(tmp_path, text, angles="UNIT")
    expected = np.arange(1, 62) / 100.0
    expected[len(names) :] = 0.0
    np.testing.assert_allclose(recording.values[0], expected)


def test_what_is_missing_and_what_is_no_channel_is_said(tmp_path: Path) -> None:
    recording = _read(tmp_path, "Timecode,BlendshapeCount,JawOpen,Mood\n00:00:00:00,51,0.5,9\n")
    first, second, third = recording.warnings
    assert first == "Not in the file, and 0: eyeBlinkLeft, eyeLookDownLeft, eyeLookInLeft, eyeLookOutLeft and 47 more."
    assert second == "The file has no angles of head and eyes."
    assert third == "No channels, and left out: Mood."


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffTimecode,BlendshapeCount,JawOpen\r\n00:00:00:00,61,0.25\r\n00:00:00:01,61,0.5\r\n\r\n\r\n",
        "Timecode;BlendshapeCount;JawOpen\n00:00:00:00;61;0,25\n00:00:00:01;61;0,5\n",
        "Timecode\tBlendshapeCount\tJawOpen\n00:00:00:00\t61\t0.25\n00:00:00:01\t61\t0.5",
        'Timecode,BlendshapeCount,JawOpen\n"00:00:00:00",61,"0.25"\n00:00:00:01,61,0.5\n',
    ],
)
def test_marks_and_separators_of_other_programs_are_read(tmp_path: Path, text: str) -> None:
    recording = _read(tmp_path, text)
    assert recording.values[:, INDEX["jawOpen"]].tolist() == [0.25, 0.5]


def test_a_last_line_that_is_cut_off_is_left_out(tmp_path: Path) -> None:
    header = "Timecode,BlendshapeCount,JawOpen,MouthClose"
    recording = _read(tmp_path, header + "\n00:00:00:00,61,0.25,0\n00:00:00:01,61,0.")
    assert recording.values[:, INDEX["jawOpen"]].tolist() == [0.25]
    assert "Line 3 is cut off and was left out." in recording.warnings


def test_rows_without_a_face_or_with_the_same_timecode_are_left_out(tmp_path: Path) -> None:
    text = _table("00:00:01:00,61,0.1", "00:00:01:01,0,", "00:00:01:02,0", "00:00:01:03,61,0.2", "00:00:01:03,61,0.9")
    recording = _read(tmp_path, text, fps=30.0)
    assert recording.values[:, INDEX["jawOpen"]].tolist() == [0.1, 0.2]
    np.testing.assert_allclose(recording.times, [0.0, 0.1])
    assert "2 rows have no values, as the face was not seen, and were left out." in recording.warnings
    assert "1 rows repeat a timecode, first in line 6, and were left out." in recording.warnings


def test_dropped_frames_leave_a_gap(tmp_path: Path) -> None:
    # 30 frames a second, counted in sixtieths as the app does; two frames are missing.
    rows = [f"13:13:04:{frame:06.3f},61,0.5" for frame in (50.65, 52.65, 58.65)] + ["13:13:05:00.650,61,0.5"]
    recording = _read(tmp_path, _table(*rows))
    np.testing.assert_allclose(recording.times, [0, 2 / 60, 8 / 60, 10 / 60], atol=1e-9)
    assert (recording.fps, recording.rate) == (60.0, 30.0)
    assert recording.start == pytest.approx(13 * 3600 + 13 * 60 + 4 + 50.65 / 60)


def test_a_rate_that_does_not_fit_is_said(tmp_path: Path) -> None:
    text = _table("00:00:00:58,61,0", "00:00:00:59,61,0", "00:00:01:00,61,0")
    with pytest.raises(FacescriptError, match="has a frame 59, too many for 24 a second"):
        _read(tmp_path, text, fps=24.0)


# Two frames of a real recording's eyes and angles (Live Link Face, 61 columns): looking to the left and up, and down.
_EYES = "EyeLookDownLeft,EyeLookOutLeft,EyeLookUpLeft,EyeLookInLeft,EyeLookDownRight,EyeLookInRight,EyeLookUpRight"
_APP = (
    f"Timecode,BlendShapeCount,{_EYES},HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,LeftEyePitch,RightEyeYaw,RightEyePitch",
    "12:22:01:32.575,61,0,0.5034822822,0.4062708616,0,0,0.5975573659,0.3983735144,0.3,-0.2,0.1,"
    "-0.3592745364,-0.1858121604,-0.3025860190,-0.1858020276",
    "12:22:01:38.574,61,0.2844028175,0,0,0.0094791735,0.2839079201,0.0969066769,0,0.3,-0.2,0.1,"
    "-0.0583078824,0.1737277210,0.0057033300,0.1737346649",
)


def test_angles_of_the_app_are_turned_into_channels(tmp_path: Path) -> None:
    recording = _read(tmp_path, "\n".join(_APP))
    look = Pose(recording.values[0])
    # Radians with the opposite signs, of 45 degrees for the head and 35 for an eye; roll keeps its sign.
    assert look["leftEyeYaw"] == pytest.approx(0.3592745 / 0.6108652, abs=1e-5)
    assert look["leftEyePitch"] == pytest.approx(0.1858122 / 0.6108652, abs=1e-5)
    assert look["headYaw"] == pytest.approx(-0.3 / 0.7853982, abs=1e-5)
    assert look["headPitch"] == pytest.approx(0.2 / 0.7853982, abs=1e-5)
    assert look["headRoll"] == pytest.approx(0.1 / 0.7853982, abs=1e-5)
    # What the two forms of the gaze say goes the same way now.
    assert look["eyeLookOutLeft"] > 0.0 and look["eyeLookUpLeft"] > 0.0
    assert Pose(recording.values[1])["rightEyePitch"] < 0.0 < Pose(recording.values[1])["eyeLookDownRight"]


def test_angles_of_keyframeface_stay(tmp_path: Path) -> None:
    # Its converter's own example, one keyframe a second.
    header = "Timecode,BlendshapeCount,EyeLookDownLeft,EyeLookUpLeft,HeadPitch,LeftEyePitch,RightEyePitch"
    text = _table("00:00:00:00.000,61,0.2,0.0,-0.1,-0.2,-0.2", "00:00:01:00.000,61,0.0,0.1,0.0,0.1,0.1", header=header)
    recording = _read(tmp_path, text)
    assert recording.values[0, INDEX["headPitch"]] == -0.1
    assert recording.values[:, INDEX["leftEyePitch"]].tolist() == [-0.2, 0.1]
    assert recording.times.tolist() == [0.0, 1.0]


def test_degrees_are_told_by_their_size(tmp_path: Path) -> None:
    header = "Timecode,BlendshapeCount,HeadYaw"
    recording = _read(tmp_path, _table("00:00:00:00,61,-22.5", "00:00:00:01,61,9", header=header))
    np.testing.assert_allclose(recording.values[:, INDEX["headYaw"]], [0.5, -0.2])
    assert "The angles were taken for degrees." in recording.warnings


def test_the_form_of_the_angles_can_be_given(tmp_path: Path) -> None:
    text = _table("00:00:00:00.5,61,0.5", "00:00:00:01.5,61,0.5", header="Timecode,BlendshapeCount,HeadYaw")
    for angles, value in (("AUTO", -0.63662), ("RADIANS", -0.63662), ("UNIT", 0.5), ("DEGREES", -0.011111)):
        recording = _read(tmp_path, text, angles=angles)
        assert recording.values[0, INDEX["headYaw"]] == pytest.approx(value, abs=1e-5)


def test_angles_within_one_that_radians_would_have_past_their_ends_are_shares(tmp_path: Path) -> None:
    header = "Timecode,BlendshapeCount,HeadYaw"
    # A quarter turn is 0.785 radians, and a full one here.
    for yaw, value in ((0.9, 0.9), (0.7, -0.891268), (1.2, -1.0)):
        recording = _read(tmp_path, _table(f"00:00:00:00,61,{yaw}", "00:00:00:01,61,0.1", header=header))
        assert recording.values[0, INDEX["headYaw"]] == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("angles", ["RADIANS", "UNIT"])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_poses_that_look_around_read_back_whichever_way_their_angles_are_written(
    tmp_path_factory: pytest.TempPathFactory, angles: AngleForm, seed: int
) -> None:
    random = np.random.default_rng(seed)
    values = np.zeros((40, 61))
    yaw, pitch = np.sin(np.arange(40) / 5.0), np.cos(np.arange(40) / 7.0)
    for side, plus, minus in (("Left", "Out", "In"), ("Right", "In", "Out")):
        values[:, INDEX[f"eyeLook{plus}{side}"]], values[:, INDEX[f"eyeLook{minus}{side}"]] = (
            yaw.clip(0),
            (-yaw).clip(0),
        )
        values[:, INDEX[f"eyeLookUp{side}"]], values[:, INDEX[f"eyeLookDown{side}"]] = pitch.clip(0), (-pitch).clip(0)
        values[:, INDEX[f"{side.lower()}EyeYaw"]] = (0.6 * yaw + random.normal(0.05, 0.02, 40)).clip(-1, 1)
        values[:, INDEX[f"{side.lower()}EyePitch"]] = (0.6 * pitch + random.normal(0.0, 0.02, 40)).clip(-1, 1)
    values[:, INDEX["headYaw"]] = random.uniform(-1, 1)
    path = tmp_path_factory.mktemp("csv") / "take.csv"
    live_link.write(path, values, 30.0, angles=angles)
    np.testing.assert_allclose(live_link.read(path).values, values, atol=3e-6)


def test_calibrated_values_are_brought_into_range(tmp_path: Path) -> None:
    recording = _read(tmp_path, _table("00:00:00:00,61,1.25", "00:00:00:01,61,-0.125"))
    assert recording.values[:, INDEX["jawOpen"]].tolist() == [1.0, 0.0]
    assert recording.warnings[-1] == "Past their ranges in places, and brought into them: jawOpen."


def test_a_neutral_recording_is_taken_off(tmp_path: Path) -> None:
    neutral = _read(tmp_path, _table("00:00:00:00,61,0.25", "00:00:00:01,61,0.25", "00:00:00:02,61,1"))
    text = _table("00:00:00:00,61,0.25", "00:00:00:01,61,0.75", "00:00:00:02,61,0.125")
    raw = _read(tmp_path, text).calibrated(neutral)
    assert raw.values[:, INDEX["jawOpen"]].tolist() == [0.0, 0.5, 0.0]


def test_the_neutral_recording_beside_a_raw_one_is_found(tmp_path: Path) -> None:
    for name in ("MySlate_3_iPhone_raw.csv", "MySlate_3_iPhone_neutral.csv", "MySlate_4_iPhone_raw.csv"):
        (tmp_path / name).write_text(_table("00:00:00:00,61,0.25"))
    neutral = tmp_path / "MySlate_3_iPhone_neutral.csv"
    assert live_link.beside(tmp_path / "MySlate_3_iPhone_raw.csv") == neutral
    assert live_link.beside(tmp_path / "MySlate_4_iPhone_raw.csv") is None
    assert live_link.beside(neutral) is None


def test_smoothing_takes_noise_off_and_keeps_what_is_straight() -> None:
    times = np.arange(121) / 60.0
    random = np.random.default_rng(3)
    values = np.zeros((121, 61))
    values[:, INDEX["jawOpen"]] = 0.5 + random.normal(0.0, 0.05, 121)
    values[:, INDEX["browInnerUp"]] = times / 4.0
    recording = Recording(times, values, 60.0)
    soft = recording.smoothed(0.05).values
    assert np.std(soft[:, INDEX["jawOpen"]]) < 0.02
    np.testing.assert_allclose(soft[15:-15, INDEX["browInnerUp"]], values[15:-15, INDEX["browInnerUp"]], atol=1e-9)
    assert recording.smoothed(0.0) is recording


@given(st.text(alphabet='Timecode,;:.0123456789JawOpenHeadYaw\n"-e', max_size=300))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.mktemp("csv") / "take.csv"
    path.write_text("Timecode,BlendshapeCount,JawOpen,HeadYaw\n" + text, encoding="utf-8")
    try:
        recording = live_link.read(path)
    except FacescriptError as error:
        assert error.code == "bad_csv" and str(path) in str(error)
    else:
        assert (np.diff(recording.times) > 0).all()
        for row in recording.values:
            Pose(row)


def test_values_out_of_range_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(FacescriptError, match="outside"):
        live_link.write(tmp_path / "take.csv", np.full((1, 61), 2.0), 24.0)
    assert not (tmp_path / "take.csv").exists()
