# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from facescript.inference import prompts
from facescript.performance import Pose

SYSTEM = (
    "You are a professional facial animator. Generate all 61 ARKit facial parameters for exactly one requested "
    "semantic keyframe. The first 52 blendshapes are in [0,1], and the final 9 head/eye pose parameters are in "
    '[-1,1]. Return strict JSON only in the form {"Keyframe_x":{...}}.'
)
ORDER = (
    "EyeBlinkLeft EyeLookDownLeft EyeLookInLeft EyeLookOutLeft EyeLookUpLeft EyeSquintLeft EyeWideLeft EyeBlinkRight "
    "EyeLookDownRight EyeLookInRight EyeLookOutRight EyeLookUpRight EyeSquintRight EyeWideRight JawForward JawRight "
    "JawLeft JawOpen MouthClose MouthFunnel MouthPucker MouthRight MouthLeft MouthSmileLeft MouthSmileRight "
    "MouthFrownLeft MouthFrownRight MouthDimpleLeft MouthDimpleRight MouthStretchLeft MouthStretchRight "
    "MouthRollLower MouthRollUpper MouthShrugLower MouthShrugUpper MouthPressLeft MouthPressRight MouthLowerDownLeft "
    "MouthLowerDownRight MouthUpperUpLeft MouthUpperUpRight BrowDownLeft BrowDownRight BrowInnerUp BrowOuterUpLeft "
    "BrowOuterUpRight CheekPuff CheekSquintLeft CheekSquintRight NoseSneerLeft NoseSneerRight TongueOut HeadYaw "
    "HeadPitch HeadRoll LeftEyeYaw LeftEyePitch LeftEyeRoll RightEyeYaw RightEyePitch RightEyeRoll"
).split()


def test_the_request_is_keyframefaces_word_for_word() -> None:
    found = prompts.poser_messages(["Brows knit.", "Jaw drops."], "A flat.", "Anger", 1)
    user = (
        "Keyframe Description Sequence:\n- Keyframe One: Brows knit.\n- Keyframe Two: Jaw drops.\n\n"
        "Background: A flat.\nEmotion: Anger\n\n"
        "Task Instruction: Generate the facial expression parameters for Keyframe Two."
    )
    assert found == [{"role": "system", "content": SYSTEM}, {"role": "user", "content": user}]


def test_the_answer_is_keyframefaces() -> None:
    written = prompts.answer(Pose.from_dict({"jawOpen": 0.5, "eyeBlinkLeft": 1, "headYaw": -0.25}), 0)
    assert written.startswith('{"Keyframe_one":{"EyeBlinkLeft":1.0,"EyeLookDownLeft":0.0,')
    assert '"JawOpen":0.5,"MouthClose":0.0,' in written
    assert '"HeadYaw":-0.3,"HeadPitch":0.0,' in written
    assert written.endswith('"RightEyePitch":0.0,"RightEyeRoll":0.0}}')
    assert list(json.loads(written)["Keyframe_one"]) == ORDER


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.0, "0.0"), (0.04, "0.0"), (-0.04, "0.0"), (0.05, "0.1"), (-0.35, "-0.4"), (0.95, "1.0"), (-1.0, "-1.0")],
)
def test_values_have_one_decimal_and_no_negative_zero(value: float, written: str) -> None:
    assert f'"HeadRoll":{written},' in prompts.answer(Pose.from_dict({"headRoll": value}), 3)


@pytest.mark.parametrize(
    ("index", "name"),
    [(0, "One"), (9, "Ten"), (12, "Thirteen"), (19, "Twenty"), (20, "TwentyOne"), (98, "NinetyNine"), (99, "100")],
)
def test_keyframes_are_counted_in_words(index: int, name: str) -> None:
    assert prompts.ordinal(index) == name


def test_every_keyframe_has_a_name_of_its_own() -> None:
    assert len({prompts.ordinal(index) for index in range(4000)}) == 4000


def test_the_answer_names_a_later_keyframe_in_small_letters() -> None:
    assert prompts.answer_parts(20)[0] == '{"Keyframe_twentyone":{'


def test_an_answer_may_hold_every_tenth_and_nothing_else() -> None:
    assert prompts.value_texts(False) == ("0.0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0")
    angles = prompts.value_texts(True)
    assert (len(angles), angles[0], angles[9], angles[10], angles[-1]) == (21, "-1.0", "-0.1", "0.0", "1.0")


def test_worked_examples_are_earlier_turns() -> None:
    pose = Pose.from_dict({"jawOpen": 1.0})
    found = prompts.poser_messages(["Blinks."], "", "", 0, [("Jaw drops.", "A cave.", "Awe", pose)])
    assert [turn["role"] for turn in found] == ["system", "user", "assistant", "user"]
    assert "- Keyframe One: Jaw drops.\n\nBackground: A cave.\nEmotion: Awe\n" in found[1]["content"]
    assert found[2]["content"] == prompts.answer(pose, 0)


def test_the_planner_shows_examples_in_the_form_that_it_asks_in() -> None:
    prefix = prompts.planner_prefix([("Hi. Bye.", "A door", "Joy", [("Hi.", "Brows lift."), ("Bye.", "Lips press.")])])
    assert prefix.endswith(
        "\nScript: Hi. Bye.\nBackground: A door\nEmotion: Joy\n"
        "Moment: Hi.\nFace: Brows lift.\nMoment: Bye.\nFace: Lips press.\n"
    )
    assert prompts.planner_moment("Hi.") == "Moment: Hi.\nFace:"
