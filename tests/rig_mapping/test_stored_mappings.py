# SPDX-License-Identifier: GPL-3.0-or-later
"""Mappings that are kept with a character: any rows, through to keys and back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bpy
import face_rigs as rigs
import numpy as np
import pytest
from facescript.performance import COUNT, INDEX, FacescriptError, Pose
from facescript.rig_mapping import hand_edits, reading, timeline
from facescript.rig_mapping.curves import beat_spans
from facescript.rig_mapping.mapping import Mapping, MapRow, Number, numbers
from facescript.rig_mapping.reading import Reading
from facescript.rig_mapping.references import ObjectRef
from facescript.rig_mapping.styles import get as get_style
from facescript.rig_mapping.targets import Target, find_target
from hypothesis import given
from hypothesis import strategies as st
from made_performances import performance

FACE = ObjectRef("Face")


def key(channel: str, name: str, gain: float = 1.0, **more: Any) -> MapRow:
    return MapRow(channel, "KEY", FACE, name, gain=gain, **more)


def stored(*rows: MapRow) -> Target:
    """The target of the object `Face` with these rows kept with it."""
    return find_target(bpy.data.objects["Face"], lambda members: Mapping("own", rows))


def shown(frame: int) -> dict[str, float]:
    """The keys of `Face` at a frame, without those at 0."""
    bpy.context.scene.frame_set(frame)
    blocks = bpy.data.objects["Face"].data.shape_keys.key_blocks
    return {b.name: pytest.approx(b.value, abs=1e-5) for b in list(blocks)[1:] if abs(b.value) > 1e-6}


def test_rows_of_one_number_come_together() -> None:
    rows = [
        key("jawOpen", "A", 0.7, offset=0.1, low=-1.0, high=2.0),
        key("mouthFunnel", "U"),
        key("mouthPucker", "A", -0.2),
        key("jawOpen", "A", 0.1),
        key("cheekPuff", "A", 0.0),
        MapRow("headYaw", "TURN", FACE, "", 0, 45.0),
    ]
    parts = (("jawOpen", pytest.approx(0.8)), ("mouthPucker", -0.2))
    assert numbers(rows) == (
        Number("KEY", FACE, "A", 0, parts, 0.1, -1.0, 2.0),
        Number("KEY", FACE, "U", 0, (("mouthFunnel", 1.0),), 0.0, -np.inf, np.inf),
    )


def test_a_foreign_face_is_shown_by_its_rows() -> None:
    face = rigs.face(keys=["Mund auf", "Mund breit", "Brauen"])
    for name, low in (("Mund breit", -1.0), ("Brauen", -2.0)):
        face.data.shape_keys.key_blocks[name].slider_min = low
    target = stored(
        key("jawOpen", "Mund auf", 0.7),
        key("mouthFunnel", "Mund auf", 0.3),
        key("mouthFunnel", "Mund breit", -0.5),
        key("mouthSmileLeft", "Mund breit", 0.5),
        key("mouthSmileRight", "Mund breit", 0.5),
        key("browInnerUp", "Brauen", -1.5, offset=0.5),
    )
    assert (target.profile, target.owner, target.warnings) == ("own", FACE, ())
    assert target.covered == (*("jawOpen", "mouthFunnel", "mouthSmileLeft", "mouthSmileRight", "browInnerUp"),)
    poses = [{}, {"jawOpen": 0.5, "mouthFunnel": 1.0}, {"mouthSmile": 0.8}, {"browInnerUp": 1.0}]
    timeline.write(target, performance(*((float(i), pose) for i, pose in enumerate(poses))), start_frame=0, fps=24.0)
    rest = {"Brauen": 0.5}
    assert shown(0) == rest
    assert shown(24) == {"Mund auf": 0.65, "Mund breit": -0.5} | rest
    assert shown(48) == {"Mund breit": 0.8} | rest
    assert shown(72) == {"Brauen": -1.0}
    for i, pose in enumerate(poses):
        read = timeline.read_pose(target, 24 * i).to_dict()
        # Of two smiles in one key, both are read alike.
        assert {c: pytest.approx(v, abs=1e-3) for c, v in read.items() if v > 1e-3} == {
            name: value for name, value in Pose.from_dict(pose).to_dict().items() if value
        }
    timeline.clear(target)
    assert "Brauen" not in shown(24)


def test_values_end_at_the_rows_limits_and_at_the_keys_own() -> None:
    rigs.face(keys=["A", "B"])
    target = stored(key("jawOpen", "A", 2.0), key("mouthFunnel", "B", 1.0, high=0.4))
    assert any("A - limited by their range" in w for w in target.warnings)
    report = timeline.write(target, performance((0.0, {}), (1.0, {"jawOpen": 1, "mouthFunnel": 1})), start_frame=0)
    assert shown(24) == {"A": 1.0, "B": 0.4}
    assert set(report.clipped) == {
        "Face: A goes to 2.00, its range ends at 1.00.",
        "Face: B goes to 1.00, its range ends at 0.40.",
    }


def test_properties_are_written_on_their_own_datablock_and_put_back() -> None:
    face = rigs.face(keys=["A"])
    rig = rigs.armature({"root": ((0, 0, 0), (0, 0, 0.1), 0.0), "jaw": ((0, 0, 0), (0, -0.1, 0), 0.0)})
    rigs.bind(face, rig)
    rig.data["percent"] = 20.0
    rig.pose.bones["jaw"]["wide"] = 0.0
    ref = ObjectRef.of(rig)
    target = stored(
        MapRow("jawOpen", "PROPERTY", ref, 'data["percent"]', gain=80.0, offset=20.0),
        MapRow("jawOpen", "PROPERTY", ref, 'pose.bones["jaw"].location', 2, -0.05),
        MapRow("mouthStretchLeft", "PROPERTY", ref, 'pose.bones["jaw"]["wide"]', gain=2.0),
        MapRow("mouthStretchRight", "PROPERTY", ref, 'pose.bones["jaw"]["wide"]', gain=-2.0),
    )
    report = timeline.write(
        target, performance((0.0, {}), (1.0, {"jawOpen": 0.5, "mouthStretchRight": 1.0})), start_frame=0, fps=24.0
    )
    assert report.curves == 3
    bpy.context.scene.frame_set(24)
    jaw = rig.pose.bones["jaw"]
    assert (rig.data["percent"], jaw.location[2], jaw["wide"]) == pytest.approx((60.0, -0.025, -2.0))
    read = timeline.read_pose(target, 24)
    assert (read["jawOpen"], read["mouthStretchLeft"], read["mouthStretchRight"]) == pytest.approx((0.5, 0.0, 1.0))
    timeline.clear(target)
    assert (rig.data["percent"], jaw.location[2], jaw["wide"]) == (20.0, 0.0, 0.0)


def test_a_face_of_bones_alone_is_a_target_by_its_rows() -> None:
    rig = rigs.armature({"root": ((0, 0, 0), (0, 0, 0.1), 0.0), "lid": ((0, -0.1, 0), (0, -0.1, 0.1), 0.0)})
    row = MapRow("eyeBlinkLeft", "PROPERTY", ObjectRef.of(rig), 'pose.bones["lid"].location', 1, -0.02)
    asked = []

    def kept(members: list[Any]) -> Mapping:
        asked.append([member.name for member in members])
        return Mapping("", (row,))

    target = find_target(rig, kept)
    assert (asked, target.owner, target.meshes) == ([["Rig"]], ObjectRef("Rig"), ())
    timeline.write(target, performance((0.0, {}), (1.0, {"eyeBlinkLeft": 1.0})), start_frame=0, fps=24.0)
    bpy.context.scene.frame_set(24)
    assert rig.pose.bones["lid"].location[1] == pytest.approx(-0.02)
    with pytest.raises(FacescriptError) as error:
        find_target(rig, lambda members: None)
    assert error.value.code == "no_face"


def test_rows_that_lead_nowhere_are_left_out_and_named() -> None:
    face = rigs.face(keys=["A", "driven"])
    face.data.shape_keys.key_blocks["driven"].driver_add("value")
    target = stored(
        key("jawOpen", "A"),
        key("mouthFunnel", "gone"),
        key("mouthPucker", "driven"),
        MapRow("cheekPuff", "KEY", ObjectRef("Nobody"), "A"),
        MapRow("headYaw", "TURN", FACE, "no bone", 0, 45.0),
        MapRow("jawLeft", "PROPERTY", FACE, '["none"]'),
        MapRow("jawRight", "PROPERTY", FACE, "location", 5),
    )
    assert [row.channel for row in target.mapping.rows] == ["jawOpen"]
    assert target.warnings == (
        "Face: gone - the shape key is not there any more.",
        "Face: driven - driven by a driver and left alone.",
        "Nobody: A - the object is not there any more.",
        "Face: no bone - the bone is not there any more.",
        'Face: ["none"] - the number is not there any more.',
        "Face: location - the number is not there any more.",
    )
    with pytest.raises(FacescriptError) as error:
        stored(key("jawOpen", "gone"))
    assert error.value.code == "empty_mapping"


def test_a_number_that_goes_while_the_target_is_kept_is_told() -> None:
    face = rigs.face(keys=["A"])
    face["open"] = 0.0
    target = stored(MapRow("jawOpen", "PROPERTY", FACE, '["open"]'))
    del face["open"]
    with pytest.raises(FacescriptError, match="has no number") as error:
        timeline.write(target, performance((0.0, {}), (1.0, {"jawOpen": 1.0})))
    assert error.value.code == "target_gone"


def test_an_edit_of_a_shared_key_is_read_near_the_pose_that_was_meant() -> None:
    face = rigs.face(keys=["A", "wide"])
    target = stored(key("jawOpen", "A", 0.6), key("mouthFunnel", "A", 0.4), key("mouthFunnel", "wide", 1.0))
    story = performance((0.0, {}), (1.0, {"jawOpen": 0.5, "mouthFunnel": 0.5}), (2.0, {}))
    timeline.write(target, story, start_frame=0, fps=24.0)
    curve = next(c for c in timeline.api.fcurves(timeline.api.find_place(face.data.shape_keys)) if '"A"' in c.data_path)
    for point in curve.keyframe_points:
        if 20 < point.co.x < 30:
            point.co.y = 0.62
    frames = np.array([0, 24, 48])
    found = hand_edits.find(target, story, frames, beat_spans(frames, get_style("natural"), 24.0))
    assert found.poses == {1: {"jawOpen": pytest.approx(0.7, abs=1e-3)}}


_RANGE = st.floats(0.0, 1.0)


@given(
    st.lists(st.lists(st.floats(-2.0, 2.0), min_size=4, max_size=4), min_size=1, max_size=6),
    st.lists(_RANGE, min_size=4, max_size=4),
)
def test_reading_explains_what_was_written(gains: list[list[float]], pose: list[float]) -> None:
    names = ["jawOpen", "mouthFunnel", "mouthPucker", "mouthClose"]
    readings = []
    for row in gains:
        parts = tuple((n, round(g, 2)) for n, g in zip(names, row, strict=True) if abs(g) > 0.05)
        if parts:
            value = sum(g * pose[names.index(n)] for n, g in parts)
            readings.append(Reading("rig", parts, np.array([value])))
    near = np.zeros((1, COUNT))
    near[0, [INDEX[n] for n in names]] = pose
    (found,) = reading.poses(readings, near)
    for one in readings:
        assert sum(g * found[INDEX[n]] for n, g in one.parts) == pytest.approx(one.values[0], abs=1e-3)
    # What is near already is not moved.
    shown_names = {n for one in readings for n, _ in one.parts}
    for name in names:
        assert found[INDEX[name]] == pytest.approx(pose[names.index(name)] if name in shown_names else 0.0, abs=1e-2)


def test_the_first_object_that_shows_a_channel_is_read() -> None:
    readings = [
        Reading("head", (("jawOpen", 1.0),), np.array([0.5])),
        Reading("teeth", (("jawOpen", 1.0),), np.array([0.9])),
        Reading("teeth", (("tongueOut", 0.5),), np.array([0.2])),
    ]
    (found,) = reading.poses(readings, np.zeros((1, COUNT)))
    assert (found[INDEX["jawOpen"]], found[INDEX["tongueOut"]]) == pytest.approx((0.5, 0.4))


def test_a_range_beyond_what_channels_reach_is_read_at_its_end() -> None:
    readings = [Reading("rig", (("jawOpen", 0.5), ("mouthFunnel", 0.5)), np.array([1.7]))]
    (found,) = reading.poses(readings, np.zeros((1, COUNT)))
    assert (found[INDEX["jawOpen"]], found[INDEX["mouthFunnel"]]) == pytest.approx((1.0, 1.0))


def test_each_character_has_a_mapping_of_its_own() -> None:
    kept: dict[str, Mapping] = {}
    for name, x in (("Anna", 0.0), ("Ben", 1.0), ("Cleo", 2.0)):
        rigs.face(name, keys=["jawOpen", "mouthClose"], at=(x, 0, 0))
    kept["Ben"] = Mapping("", (replace(key("jawOpen", "mouthClose"), object=ObjectRef("Ben")),))

    def find(members: list[Any]) -> Mapping | None:
        return next((kept[m.name] for m in members if m.name in kept), None)

    story = performance((0.0, {}), (1.0, {"jawOpen": 1.0}))
    for name in ("Anna", "Ben", "Cleo"):
        timeline.write(find_target(bpy.data.objects[name], find), story, start_frame=0, fps=24.0)
    bpy.context.scene.frame_set(24)
    for name, opened in (("Anna", "jawOpen"), ("Ben", "mouthClose"), ("Cleo", "jawOpen")):
        blocks = bpy.data.objects[name].data.shape_keys.key_blocks
        assert [b.name for b in list(blocks)[1:] if b.value > 0.5] == [opened], name
