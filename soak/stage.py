# SPDX-License-Identifier: GPL-3.0-or-later
"""What the random user works on: the demo face twice, a face that bones drive, and things that no face shows."""

from __future__ import annotations

from typing import Any

import bpy as module

from ..rig_mapping import blender_api as api
from .user import User

bpy: Any = module

# Shape key -> bone, axis, and the way that shows it in full; a small control rig.
_CONTROLS = {
    "eyeBlinkLeft": ("lid.L", "Y", -0.1),
    "eyeBlinkRight": ("lid.R", "Y", -0.1),
    "jawOpen": ("jaw", "Z", -0.2),
    "mouthSmileLeft": ("corner.L", "X", 0.1),
    "mouthSmileRight": ("corner.R", "X", -0.1),
    "mouthFunnel": ("lips", "Y", 0.1),
    "mouthPucker": ("lips", "Z", 0.1),
    "browInnerUp": ("brow", "Z", 0.1),
}


def set_up(user: User) -> None:
    """Fill an empty file."""
    _draw_little()
    scene = bpy.context.scene
    scene.render.fps, scene.frame_end = 24, 240
    # One picture takes long on a machine without a graphics card.
    scene.render.resolution_x = scene.render.resolution_y = 64
    _cube(user)
    driven = _driven()
    names = []
    for _ in range(2):
        bpy.ops.facescript.add_face()
        names.append(bpy.context.view_layer.objects.active.name)
    for place, name in enumerate([*names, driven.name]):
        face = bpy.data.objects[name]
        face.location.x = 0.6 * place
        face.display_type = "BOUNDS"
        face.shape_key_add(name="Scar", from_mix=False)
        _key(user, face.data.shape_keys, "Foreign", 'key_blocks["Scar"].value', 0, (5, 30, 300))
        face.facescript.script = "Oh! (She smiles.) No."
    user.choose(names[0])


def _draw_little() -> None:
    """Wires in small views: drawing is no part of it, and takes long on a machine without a graphics card."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                space = area.spaces.active
                space.shading.type = "WIREFRAME"
                space.overlay.show_overlays = False
                space.show_region_ui = True


def _cube(user: User) -> None:
    mesh = bpy.data.meshes.new("Cube")
    mesh.from_pydata([(0, 0, 0), (0.1, 0, 0), (0, 0.1, 0)], [], [(0, 1, 2)])
    cube = bpy.data.objects.new("Cube", mesh)
    bpy.context.scene.collection.objects.link(cube)
    for index in range(3):
        _key(user, cube, "Cube moves", "location", index, (1, 20, 77.5, 400))


def _key(user: User, block: Any, action: str, path: str, index: int, frames: tuple[float, ...]) -> None:
    place = api.make_place(block, action)
    curve = api.make_fcurve(place, path, index, "Mine")
    for i, frame in enumerate(frames):
        point = curve.keyframe_points.insert(frame, 0.1 * i)
        point.handle_left_type = point.handle_right_type = ("AUTO_CLAMPED", "FREE", "VECTOR")[i % 3]
    curve.update()
    for point in curve.keyframe_points:
        point.amplitude = user.number()


def _driven() -> Any:
    """A small face whose shape keys are driven by bones."""
    data = bpy.data.armatures.new("Controls")
    rig = bpy.data.objects.new("Controls", data)
    bpy.context.scene.collection.objects.link(rig)
    bpy.context.view_layer.objects.active = rig
    bpy.ops.object.mode_set(mode="EDIT")
    for place, name in enumerate(dict.fromkeys(bone for bone, _, _ in _CONTROLS.values())):
        bone = data.edit_bones.new(name)
        bone.head, bone.tail = (0.1 * place, 0, 0), (0.1 * place, 0, 0.05)
    bpy.ops.object.mode_set(mode="OBJECT")
    mesh = bpy.data.meshes.new("Driven Face")
    mesh.from_pydata([(0, 0, 0), (0.1, 0, 0), (0, 0, 0.1)], [], [(0, 1, 2)])
    face = bpy.data.objects.new("Driven Face", mesh)
    bpy.context.scene.collection.objects.link(face)
    face.parent = rig
    face.shape_key_add(name="Basis", from_mix=False)
    for key, (bone, axis, full) in _CONTROLS.items():
        block = face.shape_key_add(name=key, from_mix=False)
        block.data[0].co.z += 0.01
        curve = block.driver_add("value")
        while len(curve.keyframe_points):
            curve.keyframe_points.remove(curve.keyframe_points[0])
        variable = curve.driver.variables.new()
        variable.name, variable.type = "var", "TRANSFORMS"
        target = variable.targets[0]
        target.id, target.bone_target = rig, bone
        target.transform_type, target.transform_space = f"LOC_{axis}", "LOCAL_SPACE"
        curve.driver.expression = f"var / {full}"
    bpy.context.view_layer.update()
    return face
