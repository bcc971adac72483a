# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import face_rigs as rigs
import numpy as np
import pytest
from facescript.performance import BLEND_SHAPES, INDEX
from facescript.rig_mapping import curves, styles, timeline
from facescript.rig_mapping.targets import find_target
from made_performances import performance

STORY = performance(
    (0.0, {}),
    (1.0, {"jawOpen": 0.5, "mouthSmile": 0.8, "gazeLeft": 0.4}),
    (2.0, {"jawOpen": 0.2, "headYaw": 0.3, "headRoll": -0.1}),
    (4.0, {}),
)


def test_samples_are_what_was_written_at_every_frame_and_between() -> None:
    target = find_target(rigs.face())
    report = timeline.write(target, STORY, start_frame=10, fps=24.0)
    frames = np.arange(report.start - 5, report.end + 5, 0.5)
    made = curves.channel_curves(STORY, 24.0, 10, styles.get(styles.DEFAULT))
    sampled = timeline.sample_poses(target, frames)
    assert sampled.shape == (len(frames), 61)
    shown = [INDEX[name] for name in ("jawOpen", "mouthSmileRight", "eyeLookOutLeft", "headYaw", "headRoll")]
    np.testing.assert_allclose(sampled[:, shown], curves.sample(made, frames)[:, shown], atol=2e-3)
    assert sampled[58, INDEX["jawOpen"]] == pytest.approx(0.5)


def test_a_channel_that_is_held_at_its_limit_stays_in_its_range_between_keys() -> None:
    held = performance(
        *((float(time), {"jawOpen": 1.0, "headYaw": -1.0, "browInnerUp": time % 2}) for time in range(8))
    )
    made = curves.channel_curves(held, 60.0, 0, styles.get("natural"))
    sampled = curves.sample(made, np.arange(made.start, made.end, 0.25))
    assert sampled[:, INDEX["jawOpen"]].max() == 1.0
    assert sampled[:, INDEX["browInnerUp"]].max() == 1.0
    assert sampled[:, INDEX["headYaw"]].min() == -1.0


def test_a_hand_made_key_is_sampled_and_cut_to_the_channels_range() -> None:
    obj = rigs.face()
    block = obj.data.shape_keys.key_blocks["cheekPuff"]
    block.slider_max = 2.0
    for frame, value in ((1, 0.25), (11, 1.5)):
        block.value = value
        block.keyframe_insert("value", frame=frame)
    sampled = timeline.sample_poses(find_target(obj), [1, 11])
    assert sampled[:, INDEX["cheekPuff"]].tolist() == [0.25, 1.0]


def test_eye_bones_say_the_gaze_in_both_ways() -> None:
    arm = rigs.armature(
        {
            "head": ((0, 0, -0.15), (0, 0.03, 0.1), 0),
            "eye.L": ((0.03, -0.05, 0.05), (0.03, -0.1, 0.05), 0),
            "eye.R": ((-0.03, -0.05, 0.05), (-0.03, -0.1, 0.05), 0),
        }
    )
    mesh = rigs.face(keys=[name for name in BLEND_SHAPES if not name.startswith("eyeLook")])
    rigs.bind(mesh, arm)
    target = find_target(mesh)
    assert [control.bone for control in target.eyes] == ["eye.L", "eye.R"]
    timeline.write(target, performance((0.0, {}), (1.0, {"leftEyeYaw": 0.5, "rightEyeYaw": 0.5})), fps=24.0)
    sampled = timeline.sample_poses(target, [1, 25])
    assert sampled[:, INDEX["leftEyeYaw"]] == pytest.approx([0.0, 0.5], abs=1e-4)
    assert sampled[:, INDEX["eyeLookOutLeft"]] == pytest.approx([0.0, 0.5], abs=1e-4)
    assert sampled[:, INDEX["eyeLookInRight"]] == pytest.approx([0.0, 0.5], abs=1e-4)
    assert sampled[:, INDEX["eyeLookOutRight"]] == pytest.approx([0.0, 0.0], abs=1e-4)
