# SPDX-License-Identifier: GPL-3.0-or-later
"""Channels that are played on the face: what is seen meanwhile, and that nothing of it is left."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from facescript.operators.mapping_trial import wave  # noqa: E402
from scenes import state  # noqa: E402
from test_desk import four_beats  # noqa: E402
from test_mapping import select  # noqa: E402

OPS = bpy.ops.facescript


@pytest.fixture
def trial(extension: Any) -> Iterator[Any]:
    """What is being looked at; without a window, time goes on only where a test says so."""
    module = extension.module("operators.mapping_trial")
    yield module.trial()
    module.put_back()


@pytest.fixture
def face(trial: Any, tmp_path: Path) -> Any:
    """The demo face with a performance, at a frame between two of its beats, with its mapping in the table."""
    obj = four_beats(tmp_path).id_data
    OPS.edit_mapping()
    bpy.context.scene.frame_set(20)
    return obj


def value(obj: Any, key: str) -> float:
    return float(obj.data.shape_keys.key_blocks[key].value)


def test_a_channel_goes_to_one_and_back_and_an_angle_to_minus_one_too() -> None:
    assert [round(wave("jawOpen", share), 3) for share in (0.0, 0.25, 0.5, 0.75, 1.0)] == [0.0, 0.5, 1.0, 0.5, 0.0]
    assert [round(wave("headYaw", share), 3) for share in (0.0, 0.25, 0.5, 0.75)] == [0.0, 1.0, 0.0, -1.0]


def test_a_tested_channel_is_seen_and_leaves_nothing(face: Any, trial: Any) -> None:
    select(face, "mouthSmileLeft").gain = 0.5
    bpy.context.scene.frame_set(20)
    before = state()
    assert OPS.test_channel() == {"FINISHED"}
    assert trial.step(0.6) and trial.moment.channel == "mouthSmileLeft"
    assert value(face, "mouthSmileLeft") == pytest.approx(0.5)
    assert not trial.step(0.7)
    assert state() == before
    # While it is played, a second click stops it.
    OPS.test_channel()
    trial.step(0.3)
    OPS.test_channel()
    assert not trial.running and state() == before


def test_all_channels_are_played_in_turn_on_a_face_at_rest(face: Any, trial: Any) -> None:
    before = state()
    OPS.test_channel(everything=True)
    seen = []
    at_rest = face.parent.data.bones["head"].matrix_local.to_quaternion()
    for number in range(55):
        assert trial.step(0.7 if number else 0.175)
        seen.append((trial.moment.channel, trial.moment.number, trial.moment.count))
        bpy.context.view_layer.update()
        standing = {b.name: round(b.value, 3) for b in face.data.shape_keys.key_blocks[1:] if b.value > 1e-4}
        assert standing == ({seen[-1][0]: 0.5} if number < 52 else {})
        turned = face.parent.pose.bones["head"].matrix.to_quaternion().rotation_difference(at_rest).angle
        # A quarter of its time on, an angle is at its full one: 45 degrees.
        assert math.degrees(turned) == pytest.approx(45.0 if number >= 52 else 0.0, abs=0.01)
    assert seen[0] == ("eyeBlinkLeft", 1, 55) and seen[-1] == ("headRoll", 55, 55)
    assert not trial.step(0.7)
    assert state() == before


def test_the_slider_holds_a_channel_until_it_is_put_back(face: Any, trial: Any) -> None:
    before = state()
    view = bpy.context.window_manager.facescript_view
    select(face, "jawOpen")
    view.attempt = 0.8
    assert value(face, "jawOpen") == pytest.approx(0.8)
    view.attempt = 0.3
    assert value(face, "jawOpen") == pytest.approx(0.3)
    select(face, "headYaw")
    assert state() == before and not trial.running
    turned = face.parent.pose.bones["head"].rotation_quaternion.copy()
    view.turn = -1.0
    assert face.parent.pose.bones["head"].rotation_quaternion != turned
    OPS.stop_test()
    assert face.parent.pose.bones["head"].rotation_quaternion == turned
    assert view.turn == 0.0


def test_other_work_puts_the_face_back_first(face: Any, trial: Any, tmp_path: Path) -> None:
    before = state()
    view = bpy.context.window_manager.facescript_view
    select(face, "jawOpen")
    for work in (
        lambda: bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "tried.blend")),
        lambda: OPS.step_beat(step=1) and bpy.context.scene.frame_set(20),
        lambda: OPS.add_map_row() and OPS.remove_map_row(),
        lambda: OPS.set_emotion(emotion="Glee"),
    ):
        select(face, "jawOpen")
        view.attempt = 1.0
        assert trial.running
        work()
        assert state() == before and not trial.running
    view.attempt = 1.0
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "tried.blend"))
    assert not trial.running
    assert state() == before


def test_another_frame_shows_what_is_animated_there(face: Any, trial: Any) -> None:
    bpy.context.scene.frame_set(49)
    there = state()
    bpy.context.scene.frame_set(20)
    select(face, "jawOpen")
    bpy.context.window_manager.facescript_view.attempt = 1.0
    bpy.context.scene.frame_set(49)
    OPS.stop_test()
    assert state() == there


def test_what_cannot_be_played_says_so(face: Any, trial: Any) -> None:
    select(face, "jawOpen")
    OPS.remove_map_row()
    with pytest.raises(RuntimeError, match="Nothing shows jawOpen yet"):
        OPS.test_channel()
    OPS.automatic_mapping()
    with pytest.raises(RuntimeError, match="No channel is selected"):
        OPS.test_channel()
    assert not trial.running
