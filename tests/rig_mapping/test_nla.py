# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes on the NLA: what is evaluated, and that taking them off leaves no trace."""

from __future__ import annotations

from typing import Any

import bpy
import face_rigs as rigs
import numpy as np
import pytest
from facescript.performance import FacescriptError
from facescript.rig_mapping import blender_api as api
from facescript.rig_mapping import nla, takes, timeline
from facescript.rig_mapping.nla import Placing
from facescript.rig_mapping.targets import find_target
from made_performances import performance

SMILE = performance((0.0, {}), (1.0, {"mouthSmileLeft": 0.6, "headYaw": 0.4}), (2.0, {"jawOpen": 0.3}))
FROWN = performance((0.0, {}), (1.0, {"mouthFrownLeft": 0.8, "jawOpen": 0.5}), (2.0, {}), script="No.")
FRAMES = (-5, 1, 13, 20, 25, 37, 49, 80)


@pytest.fixture(params=["QUATERNION", "XYZ"])
def face(request: Any) -> Any:
    """A face whose armature has a head bone of this rotation mode."""
    rig = rigs.armature({"spine": ((0, 0, -1), (0, 0, -0.2), 0.0), "head": ((0, 0, -0.2), (0, 0, 0.1), 0.0)})
    obj = rigs.face()
    rigs.bind(obj, rig)
    group = obj.vertex_groups.new(name="head")
    group.add(range(len(obj.data.vertices)), 1.0, "REPLACE")
    rig.pose.bones["head"].rotation_mode = request.param
    bpy.context.view_layer.update()
    return obj


def seen(obj: Any, frames: Any = FRAMES) -> np.ndarray[Any, Any]:
    """Every key's value and the head bone's matrix, as evaluated at frames."""
    rows = []
    for frame in frames:
        bpy.context.scene.frame_set(int(frame))
        graph = bpy.context.evaluated_depsgraph_get()
        values = [key.value for key in obj.evaluated_get(graph).data.shape_keys.key_blocks[1:]]
        bone = obj.parent.evaluated_get(graph).pose.bones["head"]
        rows.append([*values, *(v for row in bone.matrix for v in row)])
    return np.array(rows)


def dump(obj: Any) -> list[Any]:
    """Everything about the NLA and the actions of the face."""
    found: list[Any] = [sorted(action.name for action in bpy.data.actions)]
    for block in (obj.data.shape_keys, obj.parent):
        animation = block.animation_data
        found.append(animation and [(t.name, [s.name for s in t.strips]) for t in animation.nla_tracks])
        for curve in api.fcurves(api.find_place(block)):
            keys = api.read_keys(curve)
            found.append((curve.data_path, curve.array_index, [v.tobytes() for v in keys.values()]))
    return found


def test_strips_show_what_the_keys_showed_and_go_without_a_trace(face: Any) -> None:
    target = find_target(face)
    timeline.write(target, SMILE, start_frame=1, fps=24.0)
    keyed, before = seen(face), dump(face)
    stores = takes.exchange(target, "One")
    start = takes.span_of(stores)[0]
    assert nla.place(stores, "One", Placing(start)) == takes.span_of(stores)
    np.testing.assert_allclose(seen(face), keyed, atol=1e-5)
    tracks = [track.name for track in face.data.shape_keys.animation_data.nla_tracks]
    assert tracks == ["Facescript Rest", "One"]
    nla.remove(stores)
    takes.exchange(target, "Two", stores)
    assert dump(face) == before
    np.testing.assert_allclose(seen(face), keyed, atol=1e-5)


def test_a_strip_at_another_frame_plays_that_much_later(face: Any) -> None:
    target = find_target(face)
    timeline.write(target, SMILE, start_frame=1, fps=24.0)
    keyed = seen(face)
    stores = takes.exchange(target, "One")
    start = takes.span_of(stores)[0]
    nla.place(stores, "One", Placing(start + 100))
    np.testing.assert_allclose(seen(face, [f + 100 for f in FRAMES]), keyed, atol=1e-5)


def test_blending_in_and_out_starts_and_ends_at_rest(face: Any) -> None:
    target = find_target(face)
    timeline.write(target, SMILE, start_frame=1, fps=24.0)
    rest = seen(face, [-20])[0]
    live = seen(face, [45])[0]
    stores = takes.exchange(target, "One")
    start, end = takes.span_of(stores)
    nla.place(stores, "One", Placing(start, blend_in=4.0, blend_out=8.0))
    np.testing.assert_allclose(seen(face, [start - 30, end, end + 40]), [rest] * 3, atol=1e-5)
    shapes = len(face.data.shape_keys.key_blocks) - 1
    np.testing.assert_allclose(seen(face, [45])[0, :shapes], live[:shapes] / 2, atol=1e-5)


def test_one_above_the_other_each_is_seen_in_its_own_time(face: Any) -> None:
    target = find_target(face)
    timeline.write(target, SMILE, start_frame=1, fps=24.0)
    smile = seen(face, [25])
    one = takes.exchange(target, "One")
    timeline.write(target, FROWN, start_frame=101, fps=24.0)
    frown = seen(face, [125])
    two = takes.exchange(target, "Two")
    nla.place(one, "One", Placing(takes.span_of(one)[0]))
    nla.place(two, "Two", Placing(takes.span_of(two)[0]))
    shapes = len(face.data.shape_keys.key_blocks) - 1
    np.testing.assert_allclose(seen(face, [25])[:, :shapes], smile[:, :shapes], atol=1e-5)
    jaw = face.data.shape_keys.key_blocks.find("jawOpen") - 1
    np.testing.assert_allclose(seen(face, [125])[:, jaw], frown[:, jaw], atol=1e-5)
    nla.remove(one)
    np.testing.assert_allclose(seen(face, [125])[:, :shapes], frown[:, :shapes], atol=1e-5)
    nla.remove(two)
    assert dump(face)[0] == sorted(store.action.name for store in (*one, *two))


@pytest.mark.parametrize("blend", ["ADD", "COMBINE"])
def test_added_takes_add_up(face: Any, blend: Any) -> None:
    target = find_target(face)
    timeline.write(target, SMILE, start_frame=1, fps=24.0)
    one = takes.exchange(target, "One")
    timeline.write(target, FROWN, start_frame=1, fps=24.0)
    two = takes.exchange(target, "Two")
    start = takes.span_of(one)[0]
    nla.place(one, "One", Placing(start))
    nla.place(two, "Two", Placing(takes.span_of(two)[0], blend_type=blend))
    bpy.context.scene.frame_set(25)
    values = {key.name: key.value for key in face.data.shape_keys.key_blocks}
    assert values["mouthSmileLeft"] == pytest.approx(0.6, abs=1e-5)
    assert values["mouthFrownLeft"] == pytest.approx(0.8, abs=1e-5)
    assert values["jawOpen"] == pytest.approx(0.5, abs=1e-5)


def test_a_track_of_the_animators_below_is_blended_from(face: Any) -> None:
    target = find_target(face)
    data = face.data.shape_keys
    place = api.new_action("Mine", data)
    curve = api.make_fcurve(place, 'key_blocks["mouthSmileLeft"].value', 0, "Mine")
    curve.keyframe_points.insert(1, 0.2)
    curve.keyframe_points.insert(200, 0.2)
    api.new_strip(data.animation_data_create().nla_tracks.new(), "Mine", 1, place)
    timeline.write(target, SMILE, start_frame=101, fps=24.0)
    stores = takes.exchange(target, "One")
    start, end = takes.span_of(stores)
    nla.place(stores, "One", Placing(start, blend_in=6.0, blend_out=6.0))
    smile = data.key_blocks.find("mouthSmileLeft") - 1
    assert seen(face, [start - 50, start, end])[:, smile] == pytest.approx(0.2, abs=1e-5)


def test_where_strips_cannot_be_placed_it_is_said_why_and_nothing_changes(face: Any) -> None:
    target = find_target(face)
    timeline.write(target, SMILE, start_frame=1, fps=24.0)
    stores = takes.exchange(target, "One")
    data = face.data.shape_keys
    before = dump(face)
    with pytest.raises(FacescriptError, match="frames to blend in and out"):
        nla.place(stores, "One", Placing(1.0, blend_in=400.0))
    data.animation_data.use_nla = False
    with pytest.raises(FacescriptError, match="NLA turned off"):
        nla.place(stores, "One", Placing(1.0))
    data.animation_data.use_nla = True
    with pytest.raises(FacescriptError, match="no keys to place"):
        nla.place([], "One", Placing(1.0))
    assert dump(face) == before
