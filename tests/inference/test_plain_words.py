# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses in plain words."""

from __future__ import annotations

import pytest
from facescript.inference.plain_words import describe
from facescript.performance import NEUTRAL, Pose
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("pose", "words"),
    [
        ({"mouthSmile": 0.45, "cheekSquint": 0.3}, "Cheeks raised, a smile."),
        ({"mouthSmile": 0.15}, "A faint smile."),
        ({"mouthSmile": 0.95}, "A huge smile."),
        ({"mouthSmileLeft": 0.5}, "A smile on the left."),
        ({"eyeBlinkLeft": 1.0, "cheekSquintLeft": 0.4}, "Left eye closed, left cheek raised."),
        ({"browInnerUp": 0.6, "mouthFrown": 0.4}, "Inner brows high, mouth corners down."),
        (
            {"browInnerUp": 0.6, "browOuterUp": 0.6, "eyeWide": 0.7, "jawOpen": 0.4},
            "Brows high, eyes very wide, jaw open.",
        ),
        ({"browOuterUpRight": 0.5, "browDownLeft": 0.4}, "Right brow raised, left brow lowered."),
        ({"gazeDown": 0.5, "headPitch": -0.2}, "Gaze down, head lowered."),
        (
            {"gazeLeft": 0.7, "headYaw": 0.1, "headRoll": -0.3},
            "Gaze far left, head slightly turned left, head tilted far right.",
        ),
        ({"mouthSmile": 0.05}, "Face at rest, eyes forward."),
    ],
)
def test_a_pose_is_told_from_the_brows_down(pose: dict[str, float], words: str) -> None:
    assert describe(Pose.from_dict(pose)) == words


def test_a_neutral_face_is_at_rest() -> None:
    assert describe(NEUTRAL) == "Face at rest, eyes forward."


def test_only_the_strongest_actions_are_told() -> None:
    pose = Pose.from_dict({"browDown": 0.1, "eyeSquint": 0.4, "jawOpen": 0.9})
    assert describe(pose, most=2) == "Eyes narrowed, jaw dropped fully."


@given(st.lists(st.floats(0.0, 1.0), min_size=61, max_size=61))
def test_any_pose_has_one_sentence(values: list[float]) -> None:
    text = describe(Pose(values))
    assert text[0].isupper() and text.endswith(".") and text.count(".") == 1
    assert text.count(",") <= 8


@given(st.lists(st.floats(0.0, 1.0), min_size=61, max_size=61))
def test_a_mirror_exchanges_the_sides(values: list[float]) -> None:
    def sides(text: str) -> list[int]:
        return [text.lower().count("left"), text.lower().count("right")]

    pose = Pose(values)
    assert sides(describe(pose, most=99)) == sides(describe(pose.mirrored(), most=99))[::-1]
