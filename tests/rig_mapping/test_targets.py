# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
import face_rigs as rigs
import pytest
from facescript.performance import BLEND_SHAPES, FacescriptError
from facescript.rig_mapping import timeline
from facescript.rig_mapping.targets import EYE_ANGLES, Target, find_target
from made_performances import performance


def meshes(target: Target) -> set[str]:
    return {mesh.object.name for mesh in target.meshes}


def code(obj: Any) -> str:
    with pytest.raises(FacescriptError) as error:
        find_target(obj)
    assert error.value.message.endswith(".")
    assert error.value.hint
    return error.value.code


def add(kind: str, name: str) -> Any:
    data = {
        "EMPTY": lambda: None,
        "CAMERA": lambda: bpy.data.cameras.new(name),
        "LIGHT": lambda: bpy.data.lights.new(name, "POINT"),
        "MESH": lambda: bpy.data.meshes.new(name),
    }[kind]()
    obj = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(obj)
    return obj


def test_a_complete_face() -> None:
    target = find_target(rigs.face())
    assert meshes(target) == {"Face"}
    assert target.covered == (*BLEND_SHAPES, "headYaw", "headPitch", "headRoll")
    assert target.missing == ()
    assert target.warnings == ()
    assert [c.bone for c in target.head] == [""]
    assert target.eyes == ()


def test_a_face_with_some_keys_says_what_is_missing() -> None:
    target = find_target(rigs.face(keys=["jawOpen", "mouthSmile_L", "mouthSmile_R", "browInnerUp"]))
    assert target.covered[:4] == ("jawOpen", "mouthSmileLeft", "mouthSmileRight", "browInnerUp")
    assert len(target.missing) == 61 - 4 - 3
    assert set(EYE_ANGLES) <= set(target.missing)


def test_the_real_head_in_one_mesh_and_in_five() -> None:
    (whole,) = rigs.head()
    target = find_target(whole)
    assert target.missing == ()
    bpy.data.objects.remove(whole)
    parts = rigs.head(split=True)
    for part in parts:
        target = find_target(part)
        assert meshes(target) == {"Head", "Eyes", "Teeth", "Tongue", "Lashes"}, part.name
        # The same target, whichever part is clicked: the mesh with most keys leads.
        assert target.meshes[0].object.name == "Head"
        assert target.missing == ()
        # All five turn about one origin.
        assert len(target.head) == 5


def test_a_second_head_beside_is_another_character() -> None:
    first = rigs.head(split=True)
    second = rigs.head(split=True)
    for obj in second:
        obj.location.x = 0.25
    assert meshes(find_target(first[1])) == {"Head", "Eyes", "Teeth", "Tongue", "Lashes"}
    assert meshes(find_target(second[0])) == {f"{n}.001" for n in ("Head", "Eyes", "Teeth", "Tongue", "Lashes")}


def test_the_same_armature_is_the_same_character() -> None:
    rig = rigs.armature({"spine": ((0, 0, -1), (0, 0, -0.2), 0), "head": ((0, 0, -0.2), (0, 0, 0.1), 0)})
    other = rigs.armature({"head": ((0, 0, -0.2), (0, 0, 0.1), 0)}, name="Other")
    head, brows = rigs.face("Head"), rigs.face("Brows", keys=["browInnerUp"])
    stranger = rigs.face("Stranger")
    rigs.bind(head, rig)
    brows.modifiers.new("Armature", "ARMATURE").object = rig
    rigs.bind(stranger, other)
    eyes = rigs.face("Eyes", keys=["eyeBlinkLeft", "eyeBlinkRight"])
    eyes.parent = head
    body = add("MESH", "Body")
    rigs.bind(body, rig)
    for start in (head, brows, eyes, rig, body):
        assert meshes(find_target(start)) == {"Head", "Brows", "Eyes"}, start.name
        assert find_target(start).name == "Rig"
    assert meshes(find_target(other)) == {"Stranger"}


def test_the_same_parent_is_the_same_character() -> None:
    anna, ben = add("EMPTY", "Anna"), add("EMPTY", "Ben")
    crowd = add("EMPTY", "Crowd")
    anna.parent = ben.parent = crowd
    names = []
    for parent, x in ((anna, 0.0), (ben, 0.5)):
        for part, keys in (("head", BLEND_SHAPES), ("teeth", ("jawOpen", "mouthClose"))):
            obj = rigs.face(f"{parent.name} {part}", keys=keys, at=(x, 0, 0))
            obj.parent = parent
            names.append(obj.name)
    assert meshes(find_target(bpy.data.objects["Anna teeth"])) == {"Anna head", "Anna teeth"}
    assert meshes(find_target(ben)) == {"Ben head", "Ben teeth"}
    with pytest.raises(FacescriptError, match="2 faces") as error:
        find_target(crowd)
    assert error.value.code == "several_faces"


def test_a_mate_in_the_collection_that_touches_leads_to_the_face() -> None:
    rigs.face()
    hat = add("MESH", "Hat")
    hat.data.from_pydata([(-0.1, -0.1, 0.05), (0.1, 0.1, 0.2)], [], [])
    ground = add("MESH", "Ground")
    ground.data.from_pydata([(-9, -9, -2), (9, 9, -2)], [], [])
    assert meshes(find_target(hat)) == {"Face"}
    assert code(ground) == "no_shape_keys"
    elsewhere = bpy.data.collections.new("Elsewhere")
    bpy.context.scene.collection.children.link(elsewhere)
    elsewhere.objects.link(hat)
    bpy.context.scene.collection.objects.unlink(hat)
    assert code(hat) == "no_shape_keys"


def test_what_is_no_face_is_told() -> None:
    assert code(None) == "no_object"
    for kind in ("CAMERA", "LIGHT"):
        assert code(add(kind, kind)) == "wrong_type"
    assert code(add("EMPTY", "Nothing")) == "no_face"
    assert code(add("MESH", "Plain")) == "no_shape_keys"
    odd = rigs.face("Odd", keys=["Fat", "Thin", "jawOpen_old"])
    assert code(odd) == "no_arkit_keys"
    with pytest.raises(FacescriptError, match="Fat, Thin, jawOpen_old"):
        find_target(odd)


def test_absolute_keys_are_refused() -> None:
    obj = rigs.face()
    obj.data.shape_keys.use_relative = False
    assert code(obj) == "absolute_keys"


def test_driven_keys_are_left_alone_and_named() -> None:
    obj = rigs.face(keys=["jawOpen", "browInnerUp", 'we.ird"jawOpen'])
    obj.data.shape_keys.key_blocks["jawOpen"].driver_add("value")
    target = find_target(obj)
    assert target.covered[0] == "browInnerUp"
    assert "jawOpen" in target.missing
    assert any("jawOpen" in w and "driver" in w for w in target.warnings)
    obj.data.shape_keys.key_blocks["browInnerUp"].driver_add("value")
    assert code(obj) == "driven_keys"


def test_muted_pinned_and_narrow_keys_are_named() -> None:
    obj = rigs.face()
    blocks = obj.data.shape_keys.key_blocks
    blocks["cheekPuff"].mute = True
    blocks["tongueOut"].slider_max = 0.5
    obj.show_only_shape_key = True
    warnings = find_target(obj).warnings
    assert any("cheekPuff" in w and "muted" in w for w in warnings)
    assert any("tongueOut" in w and "range" in w for w in warnings)
    assert any("pinned" in w for w in warnings)
    assert "cheekPuff" in find_target(obj).covered


def test_split_keys_are_both_taken() -> None:
    rows = find_target(rigs.face(keys=["browInnerUpLeft", "browInnerUpRight"])).mapping.rows
    assert [(r.channel, r.name) for r in rows if r.kind == "KEY"] == [
        ("browInnerUp", "browInnerUpLeft"),
        ("browInnerUp", "browInnerUpRight"),
    ]


def library(tmp_path: Path) -> Any:
    """A file with a face in the collection Cast, linked into an empty one; the collection."""
    cast = bpy.data.collections.new("Cast")
    bpy.context.scene.collection.children.link(cast)
    rigs.face(collection=cast)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "cast.blend"), check_existing=False)
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    with bpy.data.libraries.load(str(tmp_path / "cast.blend"), link=True) as (_, wanted):
        wanted.collections = ["Cast"]
    linked = bpy.data.collections["Cast"]
    bpy.context.scene.collection.children.link(linked)
    return linked


def test_a_linked_face_is_refused(tmp_path: Path) -> None:
    linked = library(tmp_path)
    assert code(linked.objects[0]) == "linked"


def override(linked: Any) -> Any:
    """An override of the linked collection; its face, whose mesh and shape keys are linked still."""
    linked.override_hierarchy_create(bpy.context.scene, bpy.context.view_layer, do_fully_editable=True)
    (obj,) = [o for o in bpy.context.scene.objects if o.override_library is not None]
    return obj


def test_an_override_of_the_object_alone_is_refused(tmp_path: Path) -> None:
    assert code(override(library(tmp_path))) == "linked"


def test_an_override_of_the_mesh_too_is_animated_and_saved(tmp_path: Path) -> None:
    obj = override(library(tmp_path))
    obj.data.override_create(remap_local_usages=True)
    target = find_target(obj)
    assert target.missing == ()
    assert target.meshes[0].object.library is None
    timeline.write(target, performance((0.0, {}), (1.0, {"jawOpen": 0.5})), fps=24.0)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"), check_existing=False)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.context.scene.frame_set(25)
    assert target.meshes[0].object.find().data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(0.5)
    assert timeline.clear(target) > 0


def test_a_local_copy_of_a_linked_mesh_is_animated(tmp_path: Path) -> None:
    obj = override(library(tmp_path))
    obj.data = obj.data.copy()
    assert find_target(obj).missing == ()


def test_a_mesh_that_others_use_is_told() -> None:
    obj = rigs.face()
    twin = bpy.data.objects.new("Twin", obj.data)
    bpy.context.scene.collection.objects.link(twin)
    twin.location.x = 5.0
    assert any("other objects" in w for w in find_target(obj).warnings)


def test_linked_duplicates_are_two_characters_with_one_mesh() -> None:
    first = rigs.face()
    second = bpy.data.objects.new("Second", first.data)
    bpy.context.scene.collection.objects.link(second)
    second.location.x = 1.0
    for obj in (first, second):
        target = find_target(obj)
        assert (meshes(target), target.owner.name) == ({obj.name}, obj.name)


def test_two_characters_below_one_empty_in_many_collections() -> None:
    crowd = add("EMPTY", "Crowd")
    for name, x in (("Anna", 0.0), ("Ben", 0.5)):
        cast = bpy.data.collections.new(name)
        bpy.context.scene.collection.children.link(cast)
        for part, keys in (("head", BLEND_SHAPES), ("brows", ("browInnerUp", "browDownLeft")), ("beard", ("jawOpen",))):
            obj = rigs.face(f"{name} {part}", keys=keys, at=(x, 0, 0), collection=cast)
            obj.parent = crowd
    for name in ("Anna", "Ben"):
        for part in ("head", "brows", "beard"):
            target = find_target(bpy.data.objects[f"{name} {part}"])
            assert meshes(target) == {f"{name} head", f"{name} brows", f"{name} beard"}
            assert target.owner.name == f"{name} head"
            jaws = [row.object.name for row in target.mapping.rows if row.channel == "jawOpen"]
            assert jaws == [f"{name} head", f"{name} beard"]


def test_the_parts_of_a_character_are_of_one_family() -> None:
    # By themselves the lashes could be of many a family.
    names = {"jawOpen": "A", "mouthFunnel": "O", "mouthPucker": "U", "mouthStretchLeft": "I", "cheekPuff": "E"}
    head = rigs.face("Head", keys=[*names.values(), "Joy", "Angry", "Sorrow", "Fun", "Blink_L", "Blink_R"])
    lashes = rigs.face("Lashes", keys=["Blink_L", "Blink_R"])
    lashes.parent = head
    for obj in (head, lashes):
        target = find_target(obj)
        assert (target.profile, meshes(target)) == ("vrm_presets", {"Head", "Lashes"})
    blinks = [(row.object.name, row.name) for row in target.mapping.rows if row.channel == "eyeBlinkLeft"]
    assert blinks == [("Head", "Blink_L"), ("Lashes", "Blink_L")]


def test_the_target_outlives_its_objects_and_says_so() -> None:
    obj = rigs.face()
    target = find_target(obj)
    assert target.meshes[0].object.find() == obj
    obj.name = "Renamed"
    with pytest.raises(FacescriptError) as error:
        target.meshes[0].object.find()
    assert error.value.code == "target_gone"
