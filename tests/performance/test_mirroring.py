# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from facescript.performance import Brief, Keyframe, Performance, Pose
from facescript.performance.mirroring import mirror, mirror_text
from hypothesis import given
from strategies import any_pose


@pytest.mark.parametrize(
    ("text", "mirrored"),
    [
        ("The left eye winks.", "The right eye winks."),
        ("Right brow up, left brow down.", "Left brow up, right brow down."),
        ("eyes flick LEFT", "eyes flick RIGHT"),
        ("gaze drifts leftward and to the right", "gaze drifts rightward and to the left"),
        ("left-eyed wink", "right-eyed wink"),
        ("AU12L and L side", "AU12R and R side"),
    ],
)
def test_sides_are_exchanged_and_back(text: str, mirrored: str) -> None:
    assert mirror_text(text) == mirrored
    assert mirror_text(mirrored) == text


@pytest.mark.parametrize(
    "text",
    [
        "I'll be right away.",
        "All right, all right.",
        "Right now!",
        "lips left ajar",
        "Nothing left but a stare.",
        "You're right.",
        "She has left them.",
        "brightly, uplifted, cleft",
        "",
    ],
)
def test_words_that_are_no_side_stay(text: str) -> None:
    assert mirror_text(text) == text


def test_the_right_eye_is_a_side_after_all() -> None:
    assert mirror_text("It's right away that the right eye closes.") == "It's right away that the left eye closes."
    assert mirror_text("He's just right eye open.") == "He's just left eye open."


@given(any_pose)
def test_mirrored_twice_is_the_pose_again(pose: Pose) -> None:
    performance = Performance(Brief("Look left."), (Keyframe(0.0, "The left brow rises.", pose),))
    once = mirror(performance)
    assert once.keyframes[0].pose == pose.mirrored()
    assert mirror(once) == performance


def test_every_text_of_a_performance_is_mirrored_and_times_stay() -> None:
    pose = Pose.from_dict({"mouthSmileLeft": 0.5, "headYaw": 0.3})
    brief = Brief("To your left!", "the door on the right", "the left one's joy", "id-left")
    found = mirror(Performance(brief, (Keyframe(1.5, "left smile", pose),)))
    assert found.brief == Brief("To your right!", "the door on the left", "the right one's joy", "id-left")
    [keyframe] = found.keyframes
    assert (keyframe.time, keyframe.text) == (1.5, "right smile")
    assert keyframe.pose.active() == {"mouthSmileRight": 0.5, "headYaw": -0.3}
