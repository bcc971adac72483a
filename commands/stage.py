# SPDX-License-Identifier: GPL-3.0-or-later
"""A portrait's stage: camera, lights and background, in which the demo face is shown."""

from __future__ import annotations

import math
from typing import Any

# Area lights: name, place in metres, width in metres, power in watts, colour.
_LIGHTS = (
    ("Key", (-0.55, -0.75, 0.55), 0.45, 11.0, (1.0, 0.95, 0.88)),
    ("Fill", (0.75, -0.6, 0.15), 0.8, 4.0, (0.85, 0.92, 1.0)),
    ("Rim", (0.35, 0.65, 0.6), 0.4, 14.0, (1.0, 0.97, 0.94)),
)
_AIM = (0.0, 0.0, 0.175)
_CAMERA = (0.08, -0.82, 0.2)
_BACKGROUND = (0.32, 0.41, 0.44, 1.0)


def set_stage(bpy: Any, size: int = 320, samples: int = 8) -> None:
    """Put the camera, the lights and the world into the current scene, and have Cycles render on the CPU."""
    scene = bpy.context.scene
    lens = bpy.data.cameras.new("Portrait")
    lens.lens = 85.0
    camera = bpy.data.objects.new("Portrait", lens)
    scene.collection.objects.link(camera)
    scene.camera = camera
    _place(camera, _CAMERA)
    for name, place, width, power, colour in _LIGHTS:
        light = bpy.data.lights.new(name, "AREA")
        light.size, light.energy, light.color = width, power, colour
        lamp = bpy.data.objects.new(name, light)
        scene.collection.objects.link(lamp)
        _place(lamp, place)
    world = bpy.data.worlds.new("Backdrop")
    if bpy.app.version < (5, 0, 0):
        world.use_nodes = True
    world.node_tree.nodes["Background"].inputs[0].default_value = _BACKGROUND
    world.node_tree.nodes["Background"].inputs[1].default_value = 0.8
    scene.world = world
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = samples
    scene.cycles.use_denoising = True
    scene.cycles.max_bounces = 4
    scene.render.use_persistent_data = True
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.view_settings.view_transform = "AgX"


def _place(obj: Any, place: tuple[float, float, float]) -> None:
    """Put an object at `place`, looking at the face (cameras and lights look along their own -Z)."""
    obj.location = place
    x, y, z = (aim - at for aim, at in zip(_AIM, place, strict=True))
    obj.rotation_euler = (math.atan2(math.hypot(x, y), -z), 0.0, math.atan2(y, x) - math.pi / 2)
