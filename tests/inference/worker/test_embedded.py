# SPDX-License-Identifier: GPL-3.0-or-later
"""The trained adapter: what it makes of plain descriptions, and that it makes the same of them every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from facescript.inference.options import ModelOptions
from facescript.inference.worker import engine
from facescript.inference.worker.backends import EMBEDDED_ADAPTER, make
from facescript.inference.worker.embedded import EmbeddedBackend
from facescript.performance import Brief, Pose
from facescript.performance.channels import INDEX

pytestmark = pytest.mark.model

SCENE = Brief("", "A studio with a plain wall.", "Neutral, following instructions")

# A description that names a channel plainly, and the channels that must show it.
NAMED = (
    ("Both eyes are closed.", "eyeBlinkLeft eyeBlinkRight", 0.7),
    ("The gaze drops to the floor.", "eyeLookDownLeft eyeLookDownRight", 0.3),
    ("The eyes look up at the ceiling.", "eyeLookUpLeft eyeLookUpRight", 0.3),
    ("The gaze goes far to the left.", "eyeLookOutLeft eyeLookInRight", 0.3),
    ("The gaze goes far to the right.", "eyeLookInLeft eyeLookOutRight", 0.3),
    ("Both eyes squint hard.", "eyeSquintLeft eyeSquintRight", 0.4),
    ("The eyes open very wide.", "eyeWideLeft eyeWideRight", 0.4),
    ("The jaw juts forward.", "jawForward", 0.2),
    ("The jaw slides to the left.", "jawLeft", 0.2),
    ("The jaw slides to the right.", "jawRight", 0.2),
    ("The jaw drops wide open.", "jawOpen", 0.4),
    ("The jaw drops behind closed lips, as in chewing.", "mouthClose", 0.15),
    ("The lips form a round funnel, blowing.", "mouthFunnel", 0.3),
    ("The lips pucker tightly for a kiss.", "mouthPucker", 0.4),
    ("The whole mouth shifts to the left.", "mouthLeft", 0.2),
    ("The whole mouth shifts to the right.", "mouthRight", 0.2),
    ("A broad smile.", "mouthSmileLeft mouthSmileRight", 0.4),
    ("The mouth corners pull down hard in a frown.", "mouthFrownLeft mouthFrownRight", 0.35),
    ("Deep dimples form in both cheeks as the corners tuck in.", "mouthDimpleLeft mouthDimpleRight", 0.2),
    ("The mouth stretches wide sideways in fear.", "mouthStretchLeft mouthStretchRight", 0.3),
    ("The lower lip is bitten and rolled inward.", "mouthRollLower", 0.3),
    ("The upper lip rolls inward and disappears.", "mouthRollUpper", 0.2),
    ("The chin bunches up and pushes the lower lip out in a pout.", "mouthShrugLower", 0.3),
    ("A shrug of the mouth: both lips pushed up.", "mouthShrugUpper", 0.1),
    ("The lips press firmly together.", "mouthPressLeft mouthPressRight", 0.3),
    ("The lower lip pulls down and bares the lower teeth.", "mouthLowerDownLeft mouthLowerDownRight", 0.2),
    ("The upper lip lifts in a snarl and bares the upper teeth.", "mouthUpperUpLeft mouthUpperUpRight", 0.3),
    ("The brows are pulled down hard.", "browDownLeft browDownRight", 0.4),
    ("The inner brows rise.", "browInnerUp", 0.3),
    ("The outer brows lift high.", "browOuterUpLeft browOuterUpRight", 0.3),
    ("The cheeks puff out with air.", "cheekPuff", 0.4),
    ("The cheeks rise and push up the lower lids.", "cheekSquintLeft cheekSquintRight", 0.25),
    ("The nose wrinkles in disgust.", "noseSneerLeft noseSneerRight", 0.3),
    ("The tongue sticks out.", "tongueOut", 0.3),
)

# Said of the left; the test says it of the right as well. The channel of that side, and how far it leads the other.
ONE_SIDED = (
    ("Only the left eye closes in a wink.", "eyeBlink", 0.4),
    ("The left corner of the mouth rises in a half smile.", "mouthSmile", 0.15),
    ("The left brow arches high while the other stays put.", "browOuterUp", 0.25),
    ("The left brow is pulled down.", "browDown", 0.15),
    ("The left nostril lifts in a sneer.", "noseSneer", 0.15),
    ("The left cheek bunches up.", "cheekSquint", 0.1),
    ("The upper lip lifts on the left side only.", "mouthUpperUp", 0.1),
    ("The left eye squints.", "eyeSquint", 0.15),
)

HEAD = (
    ("The head turns far to the left.", "headYaw", 0.15),
    ("The head turns far to the right.", "headYaw", -0.15),
    ("The head tips back and the chin comes up.", "headPitch", 0.1),
    ("The head bows low.", "headPitch", -0.1),
    ("The head tilts towards the left shoulder.", "headRoll", 0.1),
    ("The head tilts towards the right shoulder.", "headRoll", -0.1),
)


@pytest.fixture(scope="module")
def backend(models: Path) -> EmbeddedBackend:
    """The shipped adapter on the base model in bf16."""
    if not (EMBEDDED_ADAPTER / "adapter.json").is_file():
        pytest.fail("the adapter is missing from inference/adapter")
    found = make(ModelOptions(quantization="bf16"), models)
    assert isinstance(found, EmbeddedBackend)
    return found


def pose(backend: EmbeddedBackend, text: str) -> Pose:
    [found] = backend.pose(SCENE, [text], lambda: None)
    return found


@pytest.mark.parametrize(("text", "channels", "least"), NAMED, ids=[row[1].split()[0] for row in NAMED])
def test_a_channel_that_is_named_is_shown(backend: EmbeddedBackend, text: str, channels: str, least: float) -> None:
    found = pose(backend, text)
    assert all(found[name] >= least for name in channels.split()), found


def test_every_shape_is_named_above() -> None:
    named = {name for _, channels, _ in NAMED for name in channels.split()}
    assert {name for name, index in INDEX.items() if index < 52} == named


@pytest.mark.parametrize(("text", "channel", "lead"), ONE_SIDED, ids=[row[1] for row in ONE_SIDED])
@pytest.mark.parametrize("side", ["Left", "Right"])
def test_an_action_on_one_side_stays_there(
    backend: EmbeddedBackend, text: str, channel: str, lead: float, side: str
) -> None:
    other = "Right" if side == "Left" else "Left"
    found = pose(backend, text.replace("left", side.lower()))
    assert found[channel + side] - found[channel + other] >= lead, found


@pytest.mark.parametrize(("text", "channel", "least"), HEAD, ids=[row[0].split("head ")[-1] for row in HEAD])
def test_the_head_goes_the_way_that_is_said(backend: EmbeddedBackend, text: str, channel: str, least: float) -> None:
    assert pose(backend, text)[channel] * np.sign(least) >= abs(least)


def test_a_face_at_rest_is_at_rest(backend: EmbeddedBackend) -> None:
    found = pose(backend, "The face is at rest: nothing moves, eyes forward, lips together, head level.")
    assert max(abs(value) for value in found) <= 0.25, found


def test_stronger_words_make_stronger_poses(backend: EmbeddedBackend) -> None:
    faint = pose(backend, "A faint hint of a smile.")["mouthSmileLeft"]
    plain = pose(backend, "A smile.")["mouthSmileLeft"]
    huge = pose(backend, "A huge grin from ear to ear.")["mouthSmileLeft"]
    assert faint + 0.05 <= plain <= huge - 0.05


def test_the_same_words_make_the_same_pose_to_the_last_bit(backend: EmbeddedBackend) -> None:
    texts = [text for text, _, _ in NAMED[:5]]
    assert list(backend.pose(SCENE, texts, lambda: None)) == list(backend.pose(SCENE, texts, lambda: None))


def test_a_long_performance_is_posed_in_parts(backend: EmbeddedBackend) -> None:
    texts = [text for text, _, _ in NAMED]
    found = list(backend.pose(SCENE, texts[:30], lambda: None))
    assert len(found) == 30
    assert list(backend.pose(SCENE, texts[:24], lambda: None)) == found[:24]


def test_a_script_takes_up_what_it_says_of_the_face(backend: EmbeddedBackend) -> None:
    found = engine.generate(Brief("She winks at him with her right eye.", "", "Complicity"), backend, seed=0)
    assert all(k.text.startswith("She winks at him with her right eye. ") for k in found.keyframes)
    assert max(k.pose["eyeBlinkRight"] - k.pose["eyeBlinkLeft"] for k in found.keyframes) >= 0.3


@pytest.mark.parametrize(
    ("script", "emotion", "channel"),
    [
        ("You came! You really came!", "Overjoyed", "mouthSmileLeft"),
        ("She is gone. They are all gone.", "Heartbroken grief", "browInnerUp"),
        ("Get out of my house!", "Blazing fury", "browDownLeft"),
        ("Something is breathing behind that door.", "Terror", "eyeWideLeft"),
    ],
)
def test_descriptions_follow_the_emotion(backend: EmbeddedBackend, script: str, emotion: str, channel: str) -> None:
    found = engine.generate(Brief(script, "", emotion), backend, seed=0)
    assert max(k.pose[channel] for k in found.keyframes) >= 0.3


def test_planning_is_the_same_for_the_same_seed(backend: EmbeddedBackend) -> None:
    brief = Brief("I'm fine. Really.", "A hospital corridor.", "Grief behind a brave face")
    one, same, other = (engine.generate(brief, backend, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert [k.text for k in one.keyframes] != [k.text for k in other.keyframes]


@pytest.mark.parametrize("script", ["smirk", "Yawn.", "wink"])
def test_a_bare_prompt_takes_one_or_two_beats(backend: EmbeddedBackend, script: str) -> None:
    assert 1 <= len(engine.generate(Brief(script), backend, seed=1).keyframes) <= 2


def test_nf4_poses_are_near_those_of_bf16(backend: EmbeddedBackend, models: Path) -> None:
    texts = [text for text, _, _ in NAMED]
    exact = np.stack([found.values for found in backend.pose(SCENE, texts[:20], lambda: None)])
    quantized = make(ModelOptions(quantization="nf4"), models)
    near = np.stack([found.values for found in quantized.pose(SCENE, texts[:20], lambda: None)])
    assert np.abs(near - exact)[:, :55].mean() <= 0.02
