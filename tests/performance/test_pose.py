# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import numpy as np
import pytest
from facescript.performance import CHANNELS, COUNT, NEUTRAL, FacescriptError, Pose
from facescript.performance.channels import HIGH, LOW
from hypothesis import given
from strategies import any_pose


def test_a_paired_name_means_both_sides_and_gaze_both_eyes() -> None:
    pose = Pose.from_dict({"mouthSmile": 0.5, "gazeLeft": 0.4, "JawOpen": 1})
    assert pose.active() == {
        "mouthSmileLeft": 0.5,
        "mouthSmileRight": 0.5,
        "eyeLookOutLeft": 0.4,
        "eyeLookInRight": 0.4,
        "leftEyeYaw": 0.4,
        "rightEyeYaw": 0.4,
        "jawOpen": 1.0,
    }


def test_eye_angles_that_are_given_are_kept() -> None:
    pose = Pose.from_dict({"gazeUp": 0.6, "leftEyePitch": -0.2})
    assert (pose["leftEyePitch"], pose["rightEyePitch"]) == (-0.2, 0.6)


@pytest.mark.parametrize(
    ("coefficients", "words"),
    [
        ({"jawOpen": 7.0}, "jawOpen is 7, outside [0, 1]"),
        ({"jawOpen": -0.1}, "jawOpen is -0.1, outside"),
        ({"headYaw": -1.2}, "headYaw is -1.2, outside [-1, 1]"),
        ({"jawOpen": float("nan")}, "jawOpen is nan"),
        ({"jawOpen": float("inf")}, "jawOpen is inf"),
        ({"jawOpen": True}, "not a number"),
        ({"jawOpen": "0.5"}, "not a number"),
        ({"jawOpen": None}, "not a number"),
        ({"jawOpen": 10**400}, "too large"),
        ({"jawOpne": 0.5}, "Did you mean jawOpen?"),
        ({"mouthSmile": 0.5, "mouthSmileLeft": 0.2}, "mouthSmileLeft is given twice"),
        ({"": 0.5}, "no channel"),
    ],
)
def test_bad_coefficients_are_refused_by_name(coefficients: dict[str, object], words: str) -> None:
    with pytest.raises(FacescriptError) as caught:
        Pose.from_dict(coefficients)
    assert caught.value.code == "bad_pose"
    assert words in str(caught.value)


def test_a_pose_is_whole_and_cannot_be_changed() -> None:
    with pytest.raises(FacescriptError):
        Pose(np.zeros(COUNT - 1))
    with pytest.raises(ValueError, match="read-only"):
        NEUTRAL.values[0] = 1.0
    source = np.zeros(COUNT)
    pose = Pose(source)
    source[0] = 1.0
    assert pose == NEUTRAL and hash(pose) == hash(NEUTRAL)


def test_clipping_brings_values_into_range_but_refuses_nan() -> None:
    assert Pose.clipped(np.full(COUNT, 3.0)).values.max() == 1.0
    assert Pose.clipped(np.full(COUNT, -3.0))["headYaw"] == -1.0
    with pytest.raises(FacescriptError, match="finite"):
        Pose.clipped(np.full(COUNT, np.nan))


@given(any_pose)
def test_mirroring_twice_changes_nothing_and_keeps_ranges(pose: Pose) -> None:
    assert pose.mirrored().mirrored() == pose
    assert ((pose.mirrored().values >= LOW) & (pose.mirrored().values <= HIGH)).all()


@given(any_pose)
def test_a_dict_holds_all_channels_and_reads_back(pose: Pose) -> None:
    entry = pose.to_dict(digits=17)
    assert list(entry) == [channel.name for channel in CHANNELS]
    assert abs(Pose.from_dict(entry).values - pose.values).max() <= 1e-16


def test_mirroring_turns_a_left_smirk_into_a_right_one() -> None:
    left = Pose.from_dict({"mouthSmileLeft": 0.5, "jawLeft": 0.2, "headRoll": 0.3, "gazeLeft": 0.4})
    assert left.mirrored() == Pose.from_dict(
        {"mouthSmileRight": 0.5, "jawRight": 0.2, "headRoll": -0.3, "gazeRight": 0.4}
    )
