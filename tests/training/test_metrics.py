# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import math

import numpy as np
import pytest
from facescript.performance import Pose
from facescript.performance.pose import Array
from facescript.training import metrics
from facescript.training.metrics import Share, directions, figures, measure, one_sided, slot_figures
from hypothesis import given
from strategies import any_pose


def poses(*rows: dict[str, object]) -> Array:
    return np.stack([Pose.from_dict(row).values for row in rows])


def test_errors_of_hand_made_poses() -> None:
    true = poses({"jawOpen": 0.5, "headYaw": -0.5}, {})
    found = poses({"jawOpen": 0.3, "headYaw": -0.5}, {"cheekPuff": 0.4})
    measured = measure(found, true)
    # 0.2 and 0.4 away, of two poses.
    assert measured.independent.mae == pytest.approx(0.6 / 110)
    assert measured.every.mae == pytest.approx(0.6 / 122)
    assert measured.independent.mse == pytest.approx((0.04 + 0.16) / 110)
    assert measured.every.mse == pytest.approx((0.04 + 0.16) / 122)


def test_the_eyes_angles_count_only_among_all_channels() -> None:
    true, found = poses({"leftEyeYaw": 0.61}), poses({})
    assert figures(found, true).mae == 0.0
    assert measure(found, true).every.mae == pytest.approx(0.01)


def test_f1_of_active_channels() -> None:
    # Truly active: jaw, smiles left and right. Found: jaw, left smile, cheeks. Two are right of three and three.
    true = poses({"jawOpen": 0.1, "mouthSmile": 0.5})
    found = poses({"jawOpen": 0.9, "mouthSmileLeft": 0.2, "cheekPuff": 0.3, "mouthSmileRight": 0.05})
    assert figures(found, true).f1 == pytest.approx(2 / 3)


def test_f1_counts_all_poses_together() -> None:
    # 1 right of 1 and 1 in the first pose, 0 right of 2 and 1 in the second: 2 * 1 / 5, not the mean of 1 and 0.
    true = poses({"jawOpen": 0.5}, {"mouthSmile": 0.5})
    found = poses({"jawOpen": 0.5}, {"cheekPuff": 0.5})
    assert figures(found, true).f1 == pytest.approx(0.4)


def test_f1_of_faces_at_rest_is_zero() -> None:
    assert figures(poses({}), poses({})).f1 == 0.0


def test_slots_are_compared_as_channels() -> None:
    true, found = np.zeros((1, 58)), np.zeros((1, 58))
    # A head that turns 0.3 to the left, and one that turns 0.2 to the right.
    true[0, 52], found[0, 53] = 0.3, 0.2
    assert slot_figures(found, true).mae == pytest.approx(0.5 / 55)


@pytest.mark.parametrize(
    ("true", "found", "expected"),
    [
        ({"eyeBlinkLeft": 1.0}, {"eyeBlinkLeft": 0.3}, (1, 1)),
        ({"eyeBlinkLeft": 1.0}, {"eyeBlinkRight": 0.3}, (0, 1)),
        ({"eyeBlinkLeft": 1.0}, {"eyeBlink": 0.9}, (0, 1)),
        # 0.35 - 0.2 is 0.15, whatever floats make of it; 0.35 - 0.25 is too little to be asked.
        ({"mouthSmileLeft": 0.2, "mouthSmileRight": 0.35}, {"mouthSmileRight": 0.5}, (1, 1)),
        ({"mouthSmileLeft": 0.25, "mouthSmileRight": 0.35}, {"mouthSmileLeft": 0.5}, (0, 0)),
        # A lead of 0.02 is a tie; 0.03 is a side.
        ({"browOuterUpLeft": 0.5}, {"browOuterUpLeft": 0.32, "browOuterUpRight": 0.3}, (0, 1)),
        ({"browOuterUpLeft": 0.5}, {"browOuterUpLeft": 0.33, "browOuterUpRight": 0.3}, (1, 1)),
        # Eyes that look aside, and a jaw that does, are directions.
        ({"gazeLeft": 0.8, "jawLeft": 0.5, "headYaw": 0.5}, {}, (0, 0)),
        # Two pairs in one pose.
        ({"eyeBlinkLeft": 1.0, "noseSneerRight": 0.4}, {"eyeBlinkLeft": 1.0, "noseSneerLeft": 0.4}, (1, 2)),
    ],
)
def test_one_sided(true: dict[str, object], found: dict[str, object], expected: tuple[int, int]) -> None:
    assert one_sided(poses(found), poses(true)) == Share(*expected)


def test_pairs_are_all_that_each_side_can_do_by_itself() -> None:
    assert len(metrics.PAIRS) == 16
    assert ("mouthSmileLeft", "mouthSmileRight") in metrics.PAIRS
    assert not any("jaw" in name or "LookIn" in name or "LookOut" in name for pair in metrics.PAIRS for name in pair)


@pytest.mark.parametrize(
    ("name", "true", "right", "wrong"),
    [
        ("jaw", {"jawLeft": 0.1}, {"jawLeft": 0.03}, {"jawLeft": 0.02}),
        ("jaw", {"jawRight": 0.4}, {"jawRight": 0.4}, {"jawLeft": 0.4}),
        ("mouth", {"mouthRight": 0.3}, {"mouthRight": 0.3, "mouthLeft": 0.1}, {"mouthRight": 0.1, "mouthLeft": 0.3}),
        ("gaze", {"gazeLeft": 0.5}, {"eyeLookOutLeft": 0.3}, {"gazeRight": 0.5}),
        ("head yaw", {"headYaw": -0.1}, {"headYaw": -0.5}, {"headYaw": 0.1}),
        ("head roll", {"headRoll": 0.2}, {"headRoll": 0.2}, {"headRoll": -0.2}),
    ],
)
def test_directions(name: str, true: dict[str, object], right: dict[str, object], wrong: dict[str, object]) -> None:
    found = directions(poses(right, wrong, {}), poses(true, true, true))
    assert found.pop(name) == Share(1, 3)
    assert set(found.values()) == {Share(0, 0)}


def test_a_direction_that_is_too_small_is_not_asked() -> None:
    assert directions(poses({"headYaw": 0.5}), poses({"headYaw": -0.05}))["head yaw"] == Share(0, 0)
    assert math.isnan(Share(0, 0).share)


def test_directions_add_up() -> None:
    true = poses({"headYaw": 0.5, "headRoll": -0.5, "jawLeft": 0.5})
    assert measure(poses({"headYaw": 0.5, "headRoll": -0.5}), true).directed == Share(2, 3)


@given(any_pose)
def test_the_true_pose_has_no_error_and_every_side_right(pose: Pose) -> None:
    measured = measure(pose.values[None], pose.values[None])
    assert measured.every.mse == measured.independent.mae == 0.0
    assert measured.one_sided.right == measured.one_sided.asked
    assert measured.directed.right == measured.directed.asked


@given(any_pose)
def test_the_mirrored_pose_has_every_side_wrong(pose: Pose) -> None:
    measured = measure(pose.mirrored().values[None], pose.values[None])
    assert measured.one_sided.right == measured.directed.right == 0


@pytest.mark.parametrize(("found", "true"), [((2, 61), (3, 61)), ((2, 55), (2, 55)), ((0, 61), (0, 61))])
def test_other_shapes_are_refused(found: tuple[int, int], true: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        measure(np.zeros(found), np.zeros(true))
