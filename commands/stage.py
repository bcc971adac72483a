# SPDX-License-Identifier: GPL-3.0-or-later
"""A portrait's stage: camera, lights and backdrop, in which the demo face is shown."""

from __future__ import annotations

import math
from typing import Any

Place = tuple[float, float, float]

# Area lights: name, place in metres, width in metres, power in watts, colour. Stronger rims burn out the cheeks.
_LIGHTS: tuple[tuple[str, Place, float, float, Place], ...] = (
    ("Key", (-0.60, -0.85, 0.62), 0.4, 20.0, (1.0, 0.93, 0.85)),
    ("Fill", (0.90, -0.60, 0.15), 0.8, 4.0, (0.80, 0.88, 1.0)),
    ("Warm Rim", (0.50, 0.80, 0.55), 0.5, 8.0, (1.0, 0.90, 0.80)),
    ("Cool Rim", (-0.60, 0.80, 0.50), 0.5, 5.0, (0.70, 0.85, 1.0)),
)
_LIGHT_AIM: Place = (0.0, -0.05, 0.17)
_CAMERA_AIM: Place = (0.0, -0.03, 0.166)
_DISTANCE, _RISE = 0.72, 0.02
_WORLD, _WORLD_STRENGTH = (0.55, 0.62, 0.75, 1.0), 0.35
_BACKDROP = (0.32, 0.45, 0.47, 1.0)


def set_stage(bpy: Any, size: int = 320, samples: int = 8, azimuth: float = 0.0) -> None:
    """Put camera, lights and backdrop into the current scene, and have Cycles render `size` pixels on the CPU.

    `azimuth` in degrees turns the camera around the face, positive to the face's own left.
    """
    # Imported here: what imports bpy must wait until the demo has named Blender's folder.
    from ..rig_mapping import blender_api

    scene = bpy.context.scene
    lens = bpy.data.cameras.new("Portrait")
    lens.lens = 85.0
    turn = math.radians(azimuth)
    x, y, z = _CAMERA_AIM
    place = (x + math.sin(turn) * _DISTANCE, y - math.cos(turn) * _DISTANCE, z + _RISE)
    scene.camera = _add(bpy, "Portrait", lens, place, _CAMERA_AIM)
    for name, at, width, power, colour in _LIGHTS:
        light = bpy.data.lights.new(name, "AREA")
        light.size, light.energy, light.color = width, power, colour
        _add(bpy, name, light, at, _LIGHT_AIM)
    _add_backdrop(bpy, blender_api.new_material("Backdrop"))
    world = blender_api.new_world("Stage")
    background = world.node_tree.nodes["Background"]
    background.inputs[0].default_value, background.inputs[1].default_value = _WORLD, _WORLD_STRENGTH
    scene.world = world
    _set_render(scene, size, samples)


def _add(bpy: Any, name: str, data: Any, place: Place, aim: Place) -> Any:
    """An object at `place` that looks at `aim` (cameras and lights look along their own -Z)."""
    obj = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(obj)
    obj.location = place
    x, y, z = (to - at for to, at in zip(aim, place, strict=True))
    obj.rotation_euler = (math.atan2(math.hypot(x, y), -z), 0.0, math.atan2(y, x) - math.pi / 2)
    return obj


def _add_backdrop(bpy: Any, material: Any) -> None:
    shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
    shader.inputs["Base Color"].default_value = _BACKDROP
    shader.inputs["Emission Color"].default_value = _BACKDROP
    shader.inputs["Emission Strength"].default_value = 0.3
    mesh = bpy.data.meshes.new("Backdrop")
    mesh.from_pydata([(-4, 1.5, -3), (4, 1.5, -3), (4, 1.5, 3), (-4, 1.5, 3)], [], [(0, 1, 2, 3)])
    mesh.materials.append(material)
    bpy.context.scene.collection.objects.link(bpy.data.objects.new("Backdrop", mesh))


def _set_render(scene: Any, size: int, samples: int) -> None:
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = samples
    scene.cycles.use_denoising = True
    scene.cycles.max_bounces = 4
    scene.render.use_persistent_data = True
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Medium High Contrast"
