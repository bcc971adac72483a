# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures as keys on rigs, in Blender."""

from __future__ import annotations

from typing import Any

import bpy
import face_rigs as rigs
import numpy as np
import pytest
from amounts import examples
from facescript.performance import BLEND_SHAPES, HEAD_CHANNELS, INDEX, FacescriptError
from facescript.performance.channels import HIGH, LOW
from facescript.rig_mapping import blender_api as api
from facescript.rig_mapping import captures, timeline
from facescript.rig_mapping.captures import Source
from facescript.rig_mapping.mapping import Mapping, MapRow
from facescript.rig_mapping.references import ObjectRef
from facescript.rig_mapping.targets import find_target
from hypothesis import given, settings
from hypothesis import strategies as st

TAKE = Source("MySlate_7_iPhone.csv", 60.0, 47584.5, 1.0)
SHAPES = [INDEX[name] for name in BLEND_SHAPES]


def _capture(count: int, seed: int = 0, channels: tuple[str, ...] = BLEND_SHAPES) -> Any:
    """Channels that rise and fall, (count, 61) within their ranges."""
    random = np.random.default_rng(seed)
    values = np.zeros((count, 61))
    moments = np.arange(count)
    for name in channels:
        for _ in range(3):
            middle, width = random.uniform(0, count), random.uniform(3, 15)
            values[:, INDEX[name]] += random.uniform(-0.3, 0.5) * np.exp(-(((moments - middle) / width) ** 2))
    return np.clip(values, LOW, HIGH)


def _keys(obj: Any, shape: str) -> Any:
    place = api.find_place(obj.data.shape_keys)
    curve = api.find_fcurve(place, f'key_blocks["{shape}"].value', 0)
    return None if curve is None else api.read_keys(curve)


def _head(mode: str = "QUATERNION") -> Any:
    arm = rigs.armature({"head": ((0, 0, -0.15), (0, 0.03, 0.1), 0.7)})
    arm.pose.bones["head"].rotation_mode = mode
    mesh = rigs.face()
    rigs.bind(mesh, arm)
    return mesh


@settings(max_examples=examples(12), deadline=None)
@given(
    seed=st.integers(0, 2**16),
    fps=st.sampled_from([24.0, 30000 / 1001, 60.0]),
    rate=st.sampled_from([25.0, 30.0, 60.0]),
    bound=st.sampled_from([0.0, 0.02, 0.1]),
)
def test_the_timeline_is_within_the_bound_at_every_recorded_frame(
    seed: int, fps: float, rate: float, bound: float
) -> None:
    # The fixture empties the file before a test, not before each example.
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    target = find_target(rigs.face())
    values = _capture(80, seed)
    frames = 1.0 + np.arange(80) / rate * fps
    report = captures.write(target, values, frames, TAKE, bound)
    sampled = timeline.sample_poses(target, frames)
    assert np.abs(sampled - values)[:, SHAPES].max() <= bound + 1e-4
    assert report.error <= bound + 1e-6
    assert report.keys <= report.moments * report.curves


@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ", "ZXY", "AXIS_ANGLE"])
def test_a_head_that_turns_every_way_at_once_is_within_the_bound(mode: str) -> None:
    target = find_target(_head(mode))
    values = np.clip(_capture(200, 4, HEAD_CHANNELS) * 2.0, LOW, HIGH)
    frames = np.arange(200.0) + 1.0
    captures.write(target, values, frames, TAKE, 0.03)
    off = np.abs(timeline.sample_poses(target, frames) - values)
    assert off[:, [INDEX[name] for name in HEAD_CHANNELS]].max() <= 0.03


@pytest.mark.parametrize("split", [False, True])
def test_a_real_head_in_one_and_in_several_meshes_follows_a_capture(split: bool) -> None:
    parts = rigs.head(split)
    values = _capture(100, 6)
    frames = 1.0 + np.arange(100) * 0.4
    captures.write(find_target(parts[0]), values, frames, TAKE, 0.02)
    assert np.abs(timeline.sample_poses(find_target(parts[0]), frames) - values)[:, SHAPES].max() <= 0.02 + 1e-4
    # Every mesh that has a shape moves it the same way.
    curves = [list(api.fcurves(api.find_place(part.data.shape_keys))) for part in parts]
    jaws = [c for per_mesh in curves for c in per_mesh if c.data_path == 'key_blocks["jawOpen"].value']
    assert len(jaws) == (3 if split else 1)
    assert len({round(c.evaluate(20.3), 6) for c in jaws}) == 1


@pytest.mark.parametrize("step", [0.4, 1.0, 1.2, 2.5])
def test_an_axis_and_an_angle_follow_recordings_of_any_rate(step: float) -> None:
    target = find_target(_head("AXIS_ANGLE"))
    values = np.clip(_capture(120, 4, HEAD_CHANNELS) * 2.0, LOW, HIGH)
    frames = 1.0 + np.arange(120) * step
    # Some were dropped, and for a while the head is still.
    values[80:100] = values[80]
    kept = np.r_[0:40, 47:120]
    captures.write(target, values[kept], frames[kept], TAKE, 0.03)
    off = np.abs(timeline.sample_poses(target, frames[kept]) - values[kept])
    assert off[:, [INDEX[name] for name in HEAD_CHANNELS]].max() <= 0.03


def test_numbers_of_one_property_have_their_own_bounds() -> None:
    """A control bone that shows one channel by 0.01 m along X and another by 1 m along Z."""
    arm = rigs.armature({"jaw_ctrl": ((0, 0, 0), (0, 0.03, 0.1), 0.0)})
    path = 'pose.bones["jaw_ctrl"].location'
    rows = (
        MapRow("jawLeft", "PROPERTY", ObjectRef.of(arm), path, 0, 0.01),
        MapRow("jawOpen", "PROPERTY", ObjectRef.of(arm), path, 2, 1.0),
    )
    target = find_target(rigs.face(), lambda _: Mapping("arkit", rows))
    values = _capture(100, 3, ("jawLeft", "jawOpen"))
    frames = np.arange(100.0)
    captures.write(target, values, frames, TAKE, 0.02)
    off = np.abs(timeline.sample_poses(target, frames) - values)[:, [INDEX["jawLeft"], INDEX["jawOpen"]]]
    assert off.max() <= 0.02 + 1e-4


def test_keys_are_few_smooth_and_of_the_usual_kind() -> None:
    obj = rigs.face()
    report = captures.write(find_target(obj), _capture(300, 1), np.arange(300.0), TAKE, 0.02)
    keys = _keys(obj, "jawOpen")
    assert 2 < len(keys["co"]) < 60
    assert report.keys < 0.2 * 300 * report.curves
    codes = captures.planning.enum_codes()
    assert (keys["interpolation"] == codes.interpolation["BEZIER"]).all()
    assert (keys["handle_left_type"] == codes.handles["ALIGNED"]).all()


def test_nothing_between_two_keys_leaves_their_values() -> None:
    obj = rigs.face()
    values = np.zeros((60, 61))
    values[20:30, INDEX["eyeBlinkLeft"]] = 1.0
    target = find_target(obj)
    captures.write(target, values, np.arange(60.0), TAKE, 0.02)
    between = timeline.sample_poses(target, np.arange(0.0, 59.0, 0.25))[:, INDEX["eyeBlinkLeft"]]
    assert between[:76].max() <= 1e-6 and between[80:116].min() >= 1.0 - 1e-6


def test_keys_of_ones_own_outside_stay_and_those_inside_go() -> None:
    obj = rigs.face()
    block = obj.data.shape_keys.key_blocks["jawOpen"]
    for frame, value in ((-20, 0.7), (5, 0.9), (200, 0.4)):
        block.value = value
        block.keyframe_insert("value", frame=frame)
    block = obj.data.shape_keys.key_blocks["cheekPuff"]
    block.keyframe_insert("value", frame=5)
    values = np.zeros((50, 61))
    values[:, INDEX["jawOpen"]] = np.linspace(0.0, 1.0, 50)
    captures.write(find_target(obj), values, np.arange(50.0), TAKE)
    assert _keys(obj, "jawOpen")["co"][:, 0].tolist() == [-20.0, 0.0, 49.0, 200.0]
    assert _keys(obj, "cheekPuff")["co"][:, 0].tolist() == [5.0]


def test_a_locked_channel_is_left_alone_and_named() -> None:
    obj = rigs.face()
    block = obj.data.shape_keys.key_blocks["jawOpen"]
    block.keyframe_insert("value", frame=5)
    api.find_fcurve(api.find_place(obj.data.shape_keys), 'key_blocks["jawOpen"].value', 0).lock = True
    report = captures.write(find_target(obj), _capture(40), np.arange(40.0), TAKE)
    assert len(_keys(obj, "jawOpen")["co"]) == 1
    assert report.warnings == ('Locked or baked, and left alone: key_blocks["jawOpen"].value.',)


def test_a_head_that_stood_turned_is_turned_from_there_each_time() -> None:
    obj = _head("XYZ")
    bone = obj.parent.pose.bones["head"] if obj.parent else bpy.data.objects["Rig"].pose.bones["head"]
    bone.rotation_euler = (0.2, -0.1, 0.3)
    values = _capture(60, 5, HEAD_CHANNELS)
    shown = []
    for _ in range(2):
        target = find_target(obj)
        captures.write(target, values, np.arange(60.0), TAKE, 0.0)
        np.testing.assert_allclose(
            timeline.sample_poses(target, np.arange(60.0))[:, [INDEX[n] for n in HEAD_CHANNELS]],
            values[:, [INDEX[n] for n in HEAD_CHANNELS]],
            atol=1e-4,
        )
        bpy.context.scene.frame_set(30)
        shown.append(list(bone.rotation_euler))
    assert shown[0] == pytest.approx(shown[1], abs=1e-6)
    # Nothing of it counts as written: it is all the animator's.
    assert timeline.clear(find_target(obj)) == 0


def test_where_keys_came_from_is_kept_with_them() -> None:
    obj = rigs.face()
    target = find_target(obj)
    assert captures.source_of(target) is None and captures.span(target) is None
    captures.write(target, _capture(40), 10.0 + np.arange(40.0), TAKE)
    assert captures.source_of(target) == TAKE
    assert captures.span(target) == (10.0, 49.0)
    api.find_place(obj.data.shape_keys).action[captures.PROPERTY] = "tampered"
    assert captures.source_of(target) is None


@pytest.mark.parametrize(
    ("values", "frames", "words"),
    [
        (np.zeros((5, 61)), np.arange(5.0), "Every channel of the recording is 0 throughout."),
        (_capture(5), 2_000_000 + np.arange(5.0), "Blender ends at 1048574"),
    ],
)
def test_what_cannot_be_written_is_said_and_changes_nothing(values: Any, frames: Any, words: str) -> None:
    obj = rigs.face()
    with pytest.raises(FacescriptError, match=words):
        captures.write(find_target(obj), values, frames, TAKE)
    assert not bpy.data.actions and obj.data.shape_keys.animation_data is None


def test_an_error_half_way_takes_everything_back(monkeypatch: pytest.MonkeyPatch) -> None:
    obj = _head()
    written = []

    def fail(track: Any, *rest: Any) -> Any:
        if len(written) == 20:
            raise RuntimeError("full")
        written.append(track)
        return write(track, *rest)

    write = captures._write
    monkeypatch.setattr(captures, "_write", fail)
    with pytest.raises(RuntimeError, match="full"):
        captures.write(find_target(obj), _capture(40, 2, (*BLEND_SHAPES, *HEAD_CHANNELS)), np.arange(40.0), TAKE)
    assert not bpy.data.actions and obj.data.shape_keys.animation_data is None
