# SPDX-License-Identifier: GPL-3.0-or-later
"""Faces whose keys a control rig drives: tested by what the keys are after the controls were written."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import bpy
import control_rigs
import face_rigs as rigs
import numpy as np
import pytest
from facescript.performance import BLEND_SHAPES, FacescriptError
from facescript.rig_mapping import drivers, life_layer, takes, timeline
from facescript.rig_mapping.targets import find_target
from made_performances import performance


def values(mesh: Any, frame: int) -> dict[str, float]:
    """The keys of a mesh as they are seen at a frame, without those at 0."""
    bpy.context.scene.frame_set(frame)
    shown = mesh.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.shape_keys.key_blocks
    return {b.name: pytest.approx(b.value, abs=1e-3) for b in list(shown)[1:] if abs(b.value) > 1e-4}


def written(mesh: Any, *poses: dict[str, float]) -> list[dict[str, float]]:
    """What the keys of a mesh are at beats a second apart, after a performance of these poses."""
    target = find_target(mesh)
    beats = [(float(i), pose) for i, pose in enumerate(poses)]
    timeline.write(target, performance(*beats), start_frame=0, fps=24.0)
    return [values(mesh, 24 * i) for i in range(len(poses))]


def test_a_control_rig_of_faceits_kind_is_keyed_instead_of_the_keys() -> None:
    mesh = rigs.face(keys=list(control_rigs.FACEIT))
    rig = control_rigs.faceit(mesh)
    target = find_target(mesh)
    assert set(control_rigs.FACEIT) <= set(target.covered)
    assert not [w for w in target.warnings if "driver" in w]
    poses = [{}, *({key: 0.8} for key in control_rigs.FACEIT), {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.25}]
    assert written(mesh, *poses) == poses
    assert mesh.data.shape_keys.animation_data.action is None
    assert rig.animation_data.action is not None
    for i, pose in enumerate(poses):
        read = timeline.read_pose(target, 24 * i).to_dict()
        assert {k: v for k, v in read.items() if v > 1e-3} == pytest.approx(pose, abs=1e-3)


def test_the_control_rig_leads_to_its_face() -> None:
    mesh = rigs.face(keys=list(control_rigs.FACEIT))
    rigs.face("Other", at=(3.0, 0.0, 0.0))
    rig = control_rigs.faceit(mesh)
    asked: list[list[Any]] = []
    for obj in (rig, mesh):
        target = find_target(obj, asked.append)
        assert [part.object.name for part in target.meshes] == ["Face"]
    # A mapping may be kept with either.
    assert asked == [[mesh, rig]] * 2


def test_two_channels_of_one_control_are_summed() -> None:
    mesh = rigs.face(keys=list(control_rigs.FACEIT))
    control_rigs.faceit(mesh)
    assert written(mesh, {}, {"mouthSmileLeft": 0.75, "mouthFrownLeft": 0.8})[1] == {
        "mouthSmileLeft": (0.75 * control_rigs.TOP + 0.8 * control_rigs.BOTTOM) / control_rigs.TOP
    }


def test_all_meshes_follow_one_control_that_is_keyed_once() -> None:
    head, lashes = (
        rigs.face("Head", keys=list(control_rigs.FACEIT)),
        rigs.face("Lashes", keys=["eyeBlinkLeft", "eyeWideLeft"]),
    )
    rig = control_rigs.faceit(head, lashes)
    for mesh in (head, lashes):
        mesh.parent = rig
    target = find_target(lashes)
    assert {mesh.object.name for mesh in target.meshes} == {"Head", "Lashes"}
    assert written(head, {}, {"eyeBlinkLeft": 1.0})[1] == {"eyeBlinkLeft": 1.0}
    assert values(lashes, 24) == {"eyeBlinkLeft": 1.0}


def test_keys_that_copy_the_heads_are_no_trouble() -> None:
    head, lashes = rigs.face("Head"), rigs.face("Lashes", keys=["eyeBlinkLeft", "jawOpen"])
    lashes.parent = head
    for key in ("eyeBlinkLeft", "jawOpen"):
        curve = control_rigs.driver(lashes.data.shape_keys.key_blocks[key])
        control_rigs.number(curve, head.data.shape_keys, f'key_blocks["{key}"].value')
    target = find_target(head)
    assert target.warnings == ()
    timeline.write(target, performance((0.0, {}), (1.0, {"eyeBlinkLeft": 0.5})), start_frame=0, fps=24.0)
    assert values(lashes, 24) == {"eyeBlinkLeft": 0.5}


def one_driven(expression: str = "var", kind: str = "SCRIPTED") -> tuple[Any, Any, Any]:
    """A face with a free key and a driven one, `jawOpen`; a rig with a control bone `jaw control`; the driver."""
    mesh = rigs.face(keys=["mouthClose", "jawOpen"])
    rig = control_rigs.bones(["jaw control"])
    return mesh, rig, control_rigs.driver(mesh.data.shape_keys.key_blocks["jawOpen"], expression, kind)


@pytest.mark.parametrize("kind", ["SUM", "AVERAGE", "MIN", "MAX"])
def test_properties_of_a_rig_are_controls(kind: str) -> None:
    mesh, rig, curve = one_driven(kind=kind)
    bone = rig.pose.bones["jaw control"]
    bone["Open Jaw"] = 0.0
    bone.id_properties_ui("Open Jaw").update(min=0.0, max=1.0, default=0.0)
    control_rigs.number(curve, rig, 'pose.bones["jaw control"]["Open Jaw"]')
    assert written(mesh, {}, {"jawOpen": 0.6})[1] == {"jawOpen": 0.6}
    (row,) = [row for row in find_target(mesh).mapping.rows if row.channel == "jawOpen"]
    assert (row.kind, row.object.name, row.name) == ("PROPERTY", rig.name, 'pose.bones["jaw control"]["Open Jaw"]')
    assert (row.gain, row.low, row.high) == pytest.approx((1.0, 0.0, 1.0), abs=1e-4)


def test_properties_of_an_armature_and_of_the_face_are_controls() -> None:
    mesh, rig, curve = one_driven("var * 0.01")
    rig.data["percent"] = 0.0
    control_rigs.number(curve, rig.data, '["percent"]')
    mesh["Close"] = 0.25
    mesh.id_properties_ui("Close").update(default=0.25)
    other = control_rigs.driver(mesh.data.shape_keys.key_blocks["mouthClose"], "(var - 0.25) * 4 / 3")
    control_rigs.number(other, mesh, '["Close"]')
    poses = [{}, {"jawOpen": 0.6}, {"jawOpen": 0.3, "mouthClose": 1.0}]
    assert written(mesh, *poses) == poses
    assert rig.data.animation_data.action is not None
    bpy.context.scene.frame_set(24)
    assert (rig.data["percent"], mesh["Close"]) == pytest.approx((60.0, 0.25), abs=1e-3)
    timeline.clear(find_target(mesh))
    assert rig.data["percent"] == 0.0


def test_a_chain_of_drivers_is_followed_to_its_bone() -> None:
    mesh, rig, curve = one_driven()
    rig["jaw"] = 0.0
    control_rigs.number(curve, rig, '["jaw"]')
    inner = rig.driver_add('["jaw"]')
    inner.driver.expression = "clamp(-var * 20)"
    control_rigs.transform(inner, rig, "jaw control", "LOC_Z")
    assert written(mesh, {}, {"jawOpen": 0.5})[1] == {"jawOpen": 0.5}
    assert rig.pose.bones["jaw control"].location[2] == pytest.approx(-0.025, abs=1e-4)


def test_curves_and_rotations_are_followed() -> None:
    mesh, rig, curve = one_driven()
    rig.pose.bones["jaw control"].rotation_mode = "XYZ"
    control_rigs.transform(curve, rig, "jaw control", "ROT_X")
    curve.keyframe_points.insert(0.0, 0.0)
    curve.keyframe_points.insert(0.5, 1.0)
    for point in curve.keyframe_points:
        point.interpolation = "LINEAR"
    curve.update()
    other = control_rigs.driver(mesh.data.shape_keys.key_blocks["mouthClose"])
    control_rigs.transform(other, rig, "jaw control", "LOC_X")
    generator = other.modifiers.new("GENERATOR")
    generator.coefficients = (0.0, 12.5)
    poses = [{}, {"jawOpen": 0.5}, {"mouthClose": 0.5}]
    assert written(mesh, *poses) == poses


def test_a_response_that_is_not_plain_is_measured_and_nothing_is_left_changed() -> None:
    mesh, rig, curve = held_control()
    # Faceit's eyes: the expression names the control, and only the mechanism moves the key.
    curve.driver.expression = "max(0, min(1, var * 10))"
    rig.pose.bones["jaw control"].location = (0.1, 0.03, 0.3)
    bpy.context.view_layer.update()
    before = tuple(rig.pose.bones["jaw control"].location), mesh.data.shape_keys.key_blocks["jawOpen"].value
    target = find_target(mesh)
    assert "jawOpen" in target.covered
    assert (tuple(rig.pose.bones["jaw control"].location), mesh.data.shape_keys.key_blocks["jawOpen"].value) == before
    assert written(mesh, {}, {"jawOpen": 0.5}, {"jawOpen": 1.0})[1:] == [{"jawOpen": 0.5}, {"jawOpen": 1.0}]
    # Again, now that the control is keyed.
    bpy.context.scene.frame_set(24)
    assert find_target(mesh).mapping == target.mapping
    assert values(mesh, 24) == {"jawOpen": 0.5}
    # Another response than the one that was found before.
    curve.driver.expression = "max(0, min(1, var * 5))"
    assert written(mesh, {}, {"jawOpen": 0.5}, {"jawOpen": 1.0})[1:] == [{"jawOpen": 0.5}, {"jawOpen": 1.0}]


def held_control() -> tuple[Any, Any, Any]:
    """A face whose `jawOpen` follows a control by way of a constraint: what has to be measured."""
    mesh, rig, curve = one_driven("var * 10")
    holder = control_rigs.bones(["held"])
    copy = holder.pose.bones["held"].constraints.new("COPY_LOCATION")
    copy.target, copy.subtarget = rig, "jaw control"
    copy.target_space = copy.owner_space = "LOCAL"
    control_rigs.transform(curve, holder, "held", "LOC_Y")
    control_rigs.transform(curve, rig, "jaw control", "LOC_Y", name="control")
    return mesh, rig, curve


def test_an_error_while_measuring_leaves_everything_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    mesh, rig, _ = held_control()
    rig.pose.bones["jaw control"].location = (0.1, 0.03, 0.3)
    bpy.context.view_layer.update()
    before = tuple(rig.pose.bones["jaw control"].location), mesh.data.shape_keys.key_blocks["jawOpen"].value
    looks = iter(range(3))

    def fail(one: Any) -> float:
        if next(looks, None) is None:
            raise RuntimeError
        return 0.0

    monkeypatch.setattr(drivers, "_now", fail)
    with pytest.raises(RuntimeError):
        find_target(mesh)
    assert (tuple(rig.pose.bones["jaw control"].location), mesh.data.shape_keys.key_blocks["jawOpen"].value) == before


@pytest.mark.parametrize("trusted", [True, False])
def test_scripts_of_a_file_that_is_not_trusted_are_not_run(trusted: bool, tmp_path: Path) -> None:
    _, rig, curve = one_driven("float(str(var)) * 10")
    control_rigs.transform(curve, rig, "jaw control", "LOC_Y")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "face.blend"), check_existing=False)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "face.blend"), use_scripts=trusted)
    target = find_target(bpy.data.objects["Face"])
    assert ("jawOpen" in target.covered) == trusted


def test_a_distance_between_bones_is_measured() -> None:
    mesh, rig, curve = one_driven()
    variable = curve.driver.variables.new()
    variable.name, variable.type = "var", "LOC_DIFF"
    for target, bone in zip(variable.targets, ("root", "jaw control"), strict=True):
        target.id, target.bone_target, target.transform_space = rig, bone, "LOCAL_SPACE"
    curve.driver.expression = "min(1, max(0, var * 20))"
    bpy.context.view_layer.update()
    assert written(mesh, {}, {"jawOpen": 0.5})[1] == {"jawOpen": 0.5}


@pytest.mark.parametrize(
    "expression",
    ["var * other", "frame / 100", "__import__('os').getpid() * var", "0.0 * var", "var + ("],
)
def test_what_no_control_shows_is_left_alone_and_named(expression: str) -> None:
    mesh, rig, curve = one_driven(expression)
    control_rigs.transform(curve, rig, "jaw control", "LOC_Y")
    control_rigs.transform(curve, rig, "jaw control", "LOC_X", name="other")
    target = find_target(mesh)
    assert "jawOpen" in target.missing
    assert "Face: jawOpen - driven by a driver and left alone." in target.warnings


def test_a_corrective_of_two_keys_is_no_control() -> None:
    mesh = rigs.face(keys=["jawOpen", "mouthFunnel", "mouthClose"])
    curve = control_rigs.driver(mesh.data.shape_keys.key_blocks["mouthClose"], "a * b")
    for name, key in (("a", "jawOpen"), ("b", "mouthFunnel")):
        control_rigs.number(curve, mesh.data.shape_keys, f'key_blocks["{key}"].value', name)
    target = find_target(mesh)
    assert {row.kind for row in target.mapping.rows if row.channel in BLEND_SHAPES} == {"KEY"}
    assert "mouthClose" in target.missing


def test_a_control_that_is_not_free_is_none() -> None:
    mesh, rig, curve = one_driven("var * 10")
    control_rigs.transform(curve, rig, "jaw control", "LOC_Y")
    assert "jawOpen" in find_target(mesh).covered
    inner = rig.pose.bones["jaw control"].driver_add("location", 1)
    inner.driver.expression = "0"
    assert "jawOpen" in find_target(mesh).missing


def test_a_face_with_nothing_but_dead_drivers_is_refused() -> None:
    mesh = rigs.face(keys=["jawOpen"])
    mesh.data.shape_keys.key_blocks["jawOpen"].driver_add("value")
    with pytest.raises(FacescriptError) as error:
        find_target(mesh)
    assert error.value.code == "driven_keys"


@pytest.mark.parametrize("mode", ["QUATERNION", "XYZ"])
def test_lids_that_follow_the_eye_bones_leave_the_gaze_to_them(mode: str) -> None:
    mesh = rigs.face()
    bones = {"head": ((0, 0, -0.1), (0, 0, 0.1), 0.0)}
    bones |= {f"eye.{s}": ((x, -0.05, 0.05), (x, -0.1, 0.05), 0.0) for s, x in (("L", 0.03), ("R", -0.03))}
    rig = rigs.armature(bones)
    rigs.bind(mesh, rig)
    for bone in rig.pose.bones:
        bone.rotation_mode = mode
    for key in [name for name in BLEND_SHAPES if name.startswith("eyeLook")]:
        side, downwards = ("L" if key.endswith("Left") else "R"), "Down" in key
        curve = control_rigs.driver(mesh.data.shape_keys.key_blocks[key])
        control_rigs.transform(curve, rig, f"eye.{side}", "ROT_X" if "Up" in key or downwards else "ROT_Z")
        positive = downwards or key in ("eyeLookInLeft", "eyeLookOutRight")
        curve.driver.expression = f"max(0, {'-' if positive else ''}var / radians(35))"
    target = find_target(mesh)
    timeline.write(target, performance((0.0, {}), (1.0, {"eyeLookDown": 0.6})), start_frame=0, fps=24.0)
    assert values(mesh, 24) == {"eyeLookDownLeft": 0.6, "eyeLookDownRight": 0.6}
    # Down by the same angle, whichever way the bone is keyed.
    ahead = rig.pose.bones["eye.L"].matrix.to_3x3().col[1]
    assert math.degrees(math.asin(-ahead.z)) == pytest.approx(21.0, abs=0.1)


def test_life_blinks_by_the_controls_and_goes_without_a_trace() -> None:
    mesh = rigs.face(keys=list(control_rigs.FACEIT))
    rig = control_rigs.faceit(mesh)
    target = find_target(mesh)
    timeline.write(target, performance((0.0, {}), (4.0, {"mouthSmile": 1.0})), start_frame=0, fps=24.0)
    before = timeline.sample_poses(target, range(97))
    report = life_layer.add(target, start=0, end=96, seed=3, fps=24.0)
    assert report.blinks
    blinks = [values(mesh, frame).get("eyeBlinkLeft") for frame in range(97)]
    assert max(blink.expected for blink in blinks if blink is not None) > 0.9
    bpy.context.scene.frame_set(blinks.index(max((b for b in blinks if b is not None), key=lambda b: b.expected)))
    assert timeline.standing_pose(target)["eyeBlinkLeft"] == pytest.approx(0.0, abs=1e-3)
    assert life_layer.remove(target)
    np.testing.assert_array_equal(timeline.sample_poses(target, range(97)), before)
    bpy.context.scene.frame_set(96)
    assert rig.pose.bones["c_eyelid_upper.L"].location[1] == 0.0


def test_a_reduced_rig_is_played_by_its_controls_too() -> None:
    names = ["A", "I", "U", "E", "O", "Blink_L", "Blink_R", "Joy", "Angry", "Sorrow", "Fun"]
    mesh = rigs.face(keys=names)
    for name in names:
        mesh[f"face {name}"] = 0.0
        curve = control_rigs.driver(mesh.data.shape_keys.key_blocks[name], "var / 100")
        control_rigs.number(curve, mesh, f'["face {name}"]')
    target = find_target(mesh)
    assert target.profile == "vrm_presets"
    assert not [w for w in target.warnings if "driver" in w]
    shown = written(mesh, {}, {"jawOpen": 0.8}, {"jawOpen": 0.8, "mouthClose": 0.3}, {"eyeBlinkLeft": 1.0})
    open_mouth = shown[1]["A"].expected
    assert shown[2]["A"].expected == pytest.approx(open_mouth * 5 / 8, abs=1e-3)
    assert shown[3] == {"Blink_L": 1.0}


def test_a_take_puts_controls_away_and_back() -> None:
    mesh, rig, curve = one_driven()
    rig["open"] = 0.0
    control_rigs.number(curve, rig, '["open"]')
    other = control_rigs.driver(mesh.data.shape_keys.key_blocks["mouthClose"], "var * 20")
    control_rigs.transform(other, rig, "jaw control", "LOC_Y")
    poses: list[dict[str, float]] = [{}, {"jawOpen": 0.5}, {"mouthClose": 1.0}]
    assert written(mesh, *poses) == poses
    target = find_target(mesh)
    stores = takes.exchange(target, "One")
    assert (values(mesh, 24), values(mesh, 48), rig["open"]) == ({}, {}, 0.0)
    takes.exchange(target, "Two", stores)
    assert [values(mesh, 24 * i) for i in range(3)] == poses


def test_a_linked_face_is_played_by_an_override_of_its_control_rig_alone(tmp_path: Path) -> None:
    cast = bpy.data.collections.new("Cast")
    bpy.context.scene.collection.children.link(cast)
    mesh = rigs.face(keys=list(control_rigs.FACEIT), collection=cast)
    rig = control_rigs.faceit(mesh)
    cast.objects.link(rig)
    rigs.bind(mesh, rig)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "cast.blend"), check_existing=False)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(str(tmp_path / "cast.blend"), link=True) as (_, wanted):
        wanted.collections = ["Cast"]
    linked = bpy.data.collections["Cast"]
    bpy.context.scene.collection.children.link(linked)
    with pytest.raises(FacescriptError) as error:
        find_target(linked.objects["Face"])
    assert error.value.code == "linked"
    linked.override_hierarchy_create(bpy.context.scene, bpy.context.view_layer)
    found = {obj.name: obj for obj in bpy.context.scene.objects if obj.override_library is not None}
    rig, mesh = found["FaceitControlRig"], found["Face"]
    rig.override_library.is_system_override = False
    bpy.context.view_layer.update()
    target = find_target(rig)
    assert set(control_rigs.FACEIT) <= set(target.covered)
    assert target.owner.find() == rig
    timeline.write(target, performance((0.0, {}), (1.0, {"mouthSmileLeft": 0.5})), start_frame=0, fps=24.0)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"), check_existing=False)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    (mesh,) = [obj for obj in bpy.context.scene.objects if obj.type == "MESH" and obj.override_library is not None]
    assert values(mesh, 24) == {"mouthSmileLeft": 0.5}
