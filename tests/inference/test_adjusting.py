# SPDX-License-Identifier: GPL-3.0-or-later
"""Adjusting a pose in words: what is understood, and what it does to the channels."""

from __future__ import annotations

import numpy as np
import pytest
from facescript.inference.adjusting import Step, apply, phrases, phrases_brief, read_adjustment
from facescript.performance import CHANNELS, NEUTRAL, FacescriptError, Pose
from hypothesis import given
from hypothesis import strategies as st
from strategies import any_pose

SMILE = Pose.from_dict({"mouthSmile": 0.5, "cheekSquint": 0.25, "mouthDimple": 0.1})


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("less smile", [Step("less", 0.4, "smile")]),
        ("Less smile, please.", [Step("less", 0.4, "smile")]),
        ("smile less", [Step("less", 0.4, "smile")]),
        ("too much smile", [Step("less", 0.4, "smile")]),
        ("smile wider", [Step("more", 0.4, "smile wide")]),
        ("a much wider smile", [Step("more", 0.6, "wide smile")]),
        ("20% more smile", [Step("more", 0.2, "smile")]),
        ("add a raised left eyebrow", [Step("add", 1.0, "raised left eyebrow", side="left")]),
        ("less smile on the left", [Step("less", 0.4, "smile on left", side="left")]),
        ("open the mouth a bit", [Step("more", 0.2, "open mouth")]),
        ("turn the head a little to the right", [Step("more", 0.2, "turn head to right")]),
        ("look left", [Step("add", 1.0, "gaze to the left")]),
        ("look up and to the left", [Step("add", 1.0, "gaze up and to left")]),
        ("close the eyes", [Step("add", 1.0, "eyes closed")]),
        ("open the eyes", [Step("remove", 1.0, "eyes closed")]),
        ("open the left eye a bit", [Step("less", 0.2, "left eye closed", side="left")]),
        ("without the squint", [Step("remove", 1.0, "squint")]),
        ("don't smile", [Step("remove", 1.0, "smile")]),
        ("softer", [Step("less", 0.4)]),
        ("a bit softer", [Step("less", 0.2)]),
        ("much stronger", [Step("more", 0.6)]),
        ("softer smile", [Step("less", 0.4, "smile")]),
        ("softer brows", [Step("less", 0.4, region="brows")]),
        ("relax the brows", [Step("remove", 1.0, region="brows")]),
        ("straighten the head", [Step("remove", 1.0, region="head")]),
        ("look at the camera", [Step("remove", 1.0, region="gaze")]),
        ("make him less tense and frowning", ["less", "less"]),
        ("more tired but no frown", ["more", "remove"]),
        ("frown and squint", ["add", "add"]),
        ("happier and more surprised", ["more", "more"]),
    ],
)
def test_words_are_read_as_steps(text: str, steps: list[Step] | list[str]) -> None:
    found = read_adjustment(text)
    assert [step.operation if isinstance(wanted, str) else step for step, wanted in zip(found, steps, strict=True)] == (
        steps
    )


def test_a_mood_is_a_face_in_words() -> None:
    [step] = read_adjustment("much angrier")
    assert (step.operation, step.amount) == ("more", 0.6)
    assert step.phrase.startswith("brows pulled down hard")
    assert read_adjustment("more anger")[0].phrase == step.phrase == read_adjustment("angry")[0].phrase


@pytest.mark.parametrize("text", ["banana", "xyzzy, less smile", "less smile, xyzzy", "", " , . ", "no", "add a"])
def test_what_is_not_understood_is_said_with_a_hint(text: str) -> None:
    with pytest.raises(FacescriptError) as caught:
        read_adjustment(text)
    assert caught.value.code == "bad_adjustment"
    assert "less smile" in caught.value.hint


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from("more less no a bit smile left eye (?P< \\ {0} 300%".split())).map(" ".join)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        steps = read_adjustment(text)
    except FacescriptError as error:
        assert error.hint
    else:
        assert all(0.0 <= step.amount <= 1.0 for step in steps)
        assert [beat.text for beat in phrases_brief(steps).beats] == list(phrases(steps))


def test_each_phrase_is_asked_for_once() -> None:
    steps = read_adjustment("less smile, softer, more smile, no squint")
    assert phrases(steps) == ("smile", "squint")
    assert [(beat.time, beat.text) for beat in phrases_brief(steps).beats] == [(0.0, "smile"), (1.0, "squint")]


def changed(pose: Pose, text: str, **shown: dict[str, float]) -> dict[str, float]:
    """The channels that are not what they were, after a text whose phrases are posed as `shown`, in order."""
    steps = read_adjustment(text)
    poses = dict(zip(phrases(steps), map(Pose.from_dict, shown.values()), strict=True))
    after = apply(pose, steps, poses)
    old, new = pose.to_dict(), after.to_dict()
    return {name: round(new[name], 3) for name in new if new[name] != old[name]}


FACE = Pose.from_dict({"mouthSmile": 0.4, "mouthFrown": 0.5, "eyeBlink": 0.3, "gazeRight": 0.6, "headYaw": 0.2})


def test_more_raises_what_the_phrase_shows_and_lowers_what_is_opposed() -> None:
    assert changed(FACE, "more smile", smile={"mouthSmile": 0.5, "browInnerUp": 0.1}) == {
        # 0.4 of the 0.6 that is left; the frown keeps what the smile leaves of it.
        **{"mouthSmileLeft": 0.64, "mouthSmileRight": 0.64},
        **{"mouthFrownLeft": 0.18, "mouthFrownRight": 0.18},
    }


def test_what_the_phrase_shows_itself_does_not_give_way() -> None:
    assert changed(FACE, "more smile", smile={"mouthSmile": 0.5, "mouthFrown": 0.1}) == {
        "mouthSmileLeft": 0.64,
        "mouthSmileRight": 0.64,
    }


def test_less_takes_a_share_and_remove_takes_all_of_what_is_concerned() -> None:
    shown = {"mouthSmile": 0.5, "eyeBlink": 0.1}
    assert changed(FACE, "less smile", smile=shown) == {"mouthSmileLeft": 0.24, "mouthSmileRight": 0.24}
    assert changed(FACE, "no smile", smile=shown) == {"mouthSmileLeft": 0.0, "mouthSmileRight": 0.0}


def test_a_side_that_is_named_is_the_only_one() -> None:
    assert changed(FACE, "less smile on the left", smile={"mouthSmile": 0.5}) == {"mouthSmileLeft": 0.24}


def test_looking_the_other_way_ends_the_first_look_and_turns_the_eyes() -> None:
    assert changed(FACE, "look left", left={"gazeLeft": 0.5}) == {
        **{"eyeLookOutLeft": 0.5, "eyeLookInLeft": 0.0, "eyeLookInRight": 0.5, "eyeLookOutRight": 0.0},
        **{"leftEyeYaw": 0.5, "rightEyeYaw": 0.5},
    }


def test_a_head_turns_back_from_where_it_is() -> None:
    assert changed(FACE, "turn the head a little to the right", head={"headYaw": -0.3}) == {"headYaw": 0.1}


def test_opening_the_eyes_lifts_the_lids_and_wide_eyes_do_it_too() -> None:
    assert changed(FACE, "open the eyes", closed={"eyeBlink": 0.9}) == {"eyeBlinkLeft": 0.0, "eyeBlinkRight": 0.0}
    found = changed(FACE, "eyes wide", wide={"eyeWide": 0.6})
    assert found == {"eyeWideLeft": 0.6, "eyeWideRight": 0.6, "eyeBlinkLeft": 0.12, "eyeBlinkRight": 0.12}


def test_lips_are_not_kept_shut_over_more_than_the_jaw_is_open() -> None:
    chewing = Pose.from_dict({"jawOpen": 0.4, "mouthClose": 0.4})
    assert changed(chewing, "less open mouth", open={"jawOpen": 0.6}) == {"jawOpen": 0.24, "mouthClose": 0.24}


def test_what_is_there_already_becomes_more() -> None:
    assert changed(FACE, "smile", smile={"mouthSmile": 0.3})["mouthSmileLeft"] == 0.64


def test_the_whole_face_and_a_region_are_scaled() -> None:
    assert changed(FACE, "a bit softer")["mouthFrownLeft"] == 0.4
    assert changed(FACE, "relax the mouth") == dict.fromkeys(
        ["mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight"], 0.0
    )
    assert changed(FACE, "look at the camera") == {
        **{"eyeLookInLeft": 0.0, "eyeLookOutRight": 0.0, "leftEyeYaw": 0.0, "rightEyeYaw": 0.0}
    }


def test_a_phrase_that_shows_nothing_is_refused() -> None:
    with pytest.raises(FacescriptError, match="shows nothing on a face") as caught:
        changed(FACE, "more coquettish", nothing={"jawOpen": 0.05})
    assert caught.value.hint


operations = st.sampled_from(["more", "less", "add", "remove"])
any_step = st.builds(Step, operations, st.floats(0.0, 1.0), st.just("it"), st.just(""), st.sampled_from(["", "left"]))


@given(any_pose, any_step, any_pose)
def test_any_step_gives_a_pose_and_leaves_alone_what_the_phrase_does_not_show(
    pose: Pose, step: Step, shown: Pose
) -> None:
    try:
        after = apply(pose, [step], {"it": shown})
    except FacescriptError as error:
        assert error.code == "bad_adjustment"
        return
    if step.operation in ("less", "remove"):
        # Nothing grows, and what is not shown stays to the last bit.
        grown = np.abs(after.values) > np.abs(pose.values) + 1e-12
        assert not any(grown[number] for number, channel in enumerate(CHANNELS) if "Eye" not in channel.name)
        still = [
            channel.name for channel in CHANNELS if abs(shown[channel.name]) < 0.04 and "mouthClose" not in channel.name
        ]
        assert all(after[name] == pose[name] for name in still if "Eye" not in name and "eyeLook" not in name)


@given(any_pose, any_pose)
def test_more_never_lowers_what_it_is_about(pose: Pose, shown: Pose) -> None:
    one = Pose.from_dict({"mouthSmile": 0.7})
    after = apply(pose, [Step("more", 0.4, "smile")], {"smile": one})
    for side in ("Left", "Right"):
        assert after[f"mouthSmile{side}"] >= pose[f"mouthSmile{side}"]
        assert after[f"mouthFrown{side}"] <= pose[f"mouthFrown{side}"]


def test_removing_and_softening_a_face_at_rest_changes_nothing() -> None:
    assert apply(NEUTRAL, read_adjustment("softer, no smile"), {"smile": SMILE}) == NEUTRAL
