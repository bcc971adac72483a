# SPDX-License-Identifier: GPL-3.0-or-later
"""Add > Mesh > ARKit Face in Blender: objects, keys, rig, and that two faces share nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from facescript import demo_face  # noqa: E402
from facescript.operators import add_face  # noqa: E402


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    ours = not hasattr(bpy.types, "FACESCRIPT_OT_add_face")
    if ours:
        add_face.register()
    yield
    if ours:
        add_face.unregister()


def coordinates(data: object, count: int) -> np.ndarray:
    out = np.empty(count * 3, dtype=np.float32)
    data.foreach_get("co", out)  # type: ignore[attr-defined]
    return out.reshape(-1, 3)


def test_makes_an_active_selected_mesh_with_52_keys_at_rest() -> None:
    assert bpy.ops.facescript.add_face() == {"FINISHED"}
    body = bpy.context.view_layer.objects.active
    assert body.type == "MESH" and body.select_get() and body.name == "ARKit Face"
    keys = body.data.shape_keys.key_blocks
    assert [k.name for k in keys] == ["Basis", *demo_face.build().shapes]
    assert all((k.value, k.slider_min, k.slider_max) == (0.0, 0.0, 1.0) for k in keys[1:])
    assert not body.data.validate(), "Blender found nothing to mend"


def test_keys_hold_the_builders_shapes() -> None:
    face = demo_face.build()
    body = add_face.create_face(bpy.context)
    basis = coordinates(body.data.vertices, len(face.vertices))
    np.testing.assert_allclose(basis, face.vertices, atol=1e-6)
    for name in ("jawOpen", "eyeBlinkLeft", "mouthSmileRight"):
        key = coordinates(body.data.shape_keys.key_blocks[name].data, len(face.vertices))
        np.testing.assert_allclose(key - basis, face.shapes[name], atol=1e-6)


def test_shades_smoothly_with_materials_and_tint() -> None:
    body = add_face.create_face(bpy.context)
    assert all(polygon.use_smooth for polygon in body.data.polygons)
    assert len(body.data.materials) == len(demo_face.build().materials)
    assert body.data.color_attributes[add_face.COLOURS].domain == "POINT"
    for material in body.data.materials:
        assert any(node.type == "BSDF_PRINCIPLED" for node in material.node_tree.nodes)


def test_turning_the_head_bone_carries_the_face() -> None:
    body = add_face.create_face(bpy.context)
    rig = body.parent
    assert rig.type == "ARMATURE" and rig.name == "ARKit Face Rig"
    assert rig.data.bones["head"].parent == rig.data.bones["neck"]
    assert [m.object for m in body.modifiers if m.type == "ARMATURE"] == [rig]
    bone = rig.pose.bones["head"]
    bone.rotation_mode = "XYZ"
    bone.rotation_euler = (0.0, 0.6, 0.0)
    graph = bpy.context.evaluated_depsgraph_get()
    turned = body.evaluated_get(graph).to_mesh()
    face = demo_face.build()
    after = coordinates(turned.vertices, len(face.vertices))
    eyes, bust = face.parts["eyeball"], np.flatnonzero(face.vertices[:, 2] < -0.01)
    assert np.linalg.norm(after[eyes] - face.vertices[eyes], axis=1).min() > 0.01
    assert np.linalg.norm(after[bust] - face.vertices[bust], axis=1).max() < 1e-3


def test_stands_at_the_cursor_and_deselects_others() -> None:
    other = bpy.data.objects.new("other", None)
    bpy.context.collection.objects.link(other)
    other.select_set(True)
    bpy.context.scene.cursor.location = (1.0, 2.0, 3.0)
    body = add_face.create_face(bpy.context)
    bpy.context.view_layer.update()
    assert tuple(body.matrix_world.translation) == (1.0, 2.0, 3.0)
    assert not other.select_get()
    assert bpy.context.selected_objects == [body]


def test_two_faces_are_independent() -> None:
    first, second = add_face.create_face(bpy.context), add_face.create_face(bpy.context)
    assert first != second and first.data != second.data and first.parent != second.parent
    assert first.data.shape_keys != second.data.shape_keys
    first.data.shape_keys.key_blocks["jawOpen"].value = 1.0
    assert second.data.shape_keys.key_blocks["jawOpen"].value == 0.0
    assert not set(first.data.materials) & set(second.data.materials)


def test_one_undo_takes_it_all_back() -> None:
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.facescript.add_face()
    bpy.ops.ed.undo_push(message="after")
    assert "ARKit Face" in bpy.data.objects
    bpy.ops.ed.undo()
    assert "ARKit Face" not in bpy.data.objects and "ARKit Face Rig" not in bpy.data.objects


def test_refuses_outside_object_mode() -> None:
    add_face.create_face(bpy.context)
    bpy.ops.object.mode_set(mode="EDIT")
    assert not bpy.ops.facescript.add_face.poll()
    bpy.ops.object.mode_set(mode="OBJECT")
    assert bpy.ops.facescript.add_face.poll()


def test_registers_its_menu_entry_once_and_takes_it_back() -> None:
    add_face.unregister()
    assert not hasattr(bpy.types, "FACESCRIPT_OT_add_face")
    add_face.register()
    assert hasattr(bpy.types, "FACESCRIPT_OT_add_face")
