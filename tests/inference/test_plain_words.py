# SPDX-License-Identifier: GPL-3.0-or-later
"""Poses in plain words."""

from __future__ import annotations

import pytest
from facescript.inference.plain_words import describe
from facescript.performance import NEUTRAL, Pose
from facescript.performance.model import MAX_TEXT
from hypothesis import given
from hypothesis import strategies as st
from strategies import any_pose

ONE_SIDED = (
    "browDown browOuterUp eyeBlink eyeSquint eyeWide cheekSquint noseSneer mouthSmile mouthFrown mouthDimple "
    "mouthStretch mouthPress mouthUpperUp mouthLowerDown"
).split()


@pytest.mark.parametrize(
    ("coefficients", "words"),
    [
        ({"mouthSmile": 0.7, "cheekSquint": 0.5, "eyeSquint": 0.3}, "A broad smile, cheeks raised; eyes narrowed."),
        ({"mouthSmile": 0.4, "mouthPress": 0.2}, "A smile, cheeks still, lips lightly pressed."),
        (
            {"mouthSmileLeft": 0.65, "mouthSmileRight": 0.15},
            "A crooked smile, broad on the left, faint on the right.",
        ),
        ({"mouthSmileRight": 0.4}, "A half smile on the right."),
        ({"browDown": 0.65, "mouthFrown": 0.5}, "A scowl: brows pulled down hard; mouth corners pulled down."),
        ({"browInnerUp": 0.5, "browOuterUp": 0.4}, "Brows raised."),
        ({"browInnerUp": 0.6, "browDown": 0.4}, "Inner brows raised high, brows drawn down."),
        (
            {"browOuterUpLeft": 0.7, "browDownRight": 0.4},
            "Left brow arched high, right brow drawn down.",
        ),
        ({"eyeBlink": 1.0}, "Eyes closed."),
        ({"eyeBlink": 0.95, "eyeSquint": 0.7}, "Eyes squeezed shut."),
        ({"eyeBlink": 0.45}, "Lids half lowered."),
        ({"eyeBlinkRight": 0.9, "eyeBlinkLeft": 0.1}, "Right eye closed in a wink, left lid lowered slightly."),
        ({"gazeDown": 0.65, "gazeLeft": 0.2}, "Gaze far down and slightly to the left."),
        ({"gazeRight": 1.0}, "Gaze as far to the right as it goes."),
        ({"eyeLookInLeft": 0.4, "eyeLookInRight": 0.4}, "Eyes crossed."),
        ({"leftEyeYaw": 0.4, "rightEyeYaw": 0.4}, "Gaze to the left."),
        ({"jawOpen": 0.4, "mouthClose": 0.35}, "Mouth open, lips kept shut over the open jaw."),
        ({"headYaw": 0.3, "headPitch": -0.1}, "Head turned to the left, head slightly lowered."),
        ({"headRoll": -0.5}, "Head tilted far right."),
        # What does most comes first, and the head last.
        ({"jawOpen": 0.9, "eyeWide": 0.4, "headPitch": 0.3}, "Jaw dropped as far as it goes; eyes wide; head raised."),
        ({"jawOpen": 0.3, "eyeWide": 0.8, "headPitch": 0.3}, "Eyes very wide; mouth open; head raised."),
        ({}, "Face at rest, eyes forward, mouth closed."),
        ({"mouthSmile": 0.09, "browDown": 0.05, "headYaw": 0.05}, "Face at rest, eyes forward, mouth closed."),
    ],
)
def test_a_pose_is_said_as_an_animator_would(coefficients: dict[str, float], words: str) -> None:
    assert describe(Pose.from_dict(coefficients)) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.1, "Cheeks slightly puffed."),
        (0.25, "Cheeks slightly puffed."),
        (0.3, "Cheeks puffed."),
        (0.55, "Cheeks puffed."),
        (0.6, "Cheeks puffed out hard."),
        (0.85, "Cheeks puffed out hard."),
        (0.9, "Cheeks blown out as far as they go."),
    ],
)
def test_words_for_strength_are_the_corpuss(value: float, words: str) -> None:
    assert describe(Pose.from_dict({"cheekPuff": value})) == words


@given(any_pose)
def test_any_pose_is_one_sentence_of_bounded_length(pose: Pose) -> None:
    text = describe(pose)
    assert 5 <= len(text) <= 1000 < MAX_TEXT
    assert text[0].isupper()
    assert text.endswith(".")
    assert "{" not in text
    assert "\n" not in text


@given(any_pose, st.sampled_from(ONE_SIDED), st.sampled_from(["left", "right"]), st.floats(0.85, 1.0))
def test_a_strong_action_on_one_side_names_that_side(pose: Pose, stem: str, side: str, value: float) -> None:
    # Everything else is weaker, and on both sides.
    names = [name for name in pose.to_dict() if name.endswith("Right")]
    values = {name: abs(amount) * 0.5 for name, amount in pose.to_dict().items() if "Eye" not in name[:8]}
    values |= {name: values[f"{name[:-5]}Left"] for name in names if name in values}
    values |= {f"{stem}Left": 0.0, f"{stem}Right": 0.0, f"{stem}{side.title()}": value}
    if stem == "eyeBlink":
        values |= {"eyeSquintLeft": 0.0, "eyeSquintRight": 0.0}
    assert side in describe(Pose.from_dict(values)).lower()


@given(any_pose)
def test_a_mirrored_pose_is_said_with_the_sides_exchanged(pose: Pose) -> None:
    def sides(text: str) -> tuple[int, int]:
        return text.lower().count("left"), text.lower().count("right")

    assert sides(describe(pose)) == sides(describe(pose.mirrored()))[::-1]


def test_neutral_is_said_too() -> None:
    assert describe(NEUTRAL) == "Face at rest, eyes forward, mouth closed."
