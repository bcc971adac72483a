# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators' tests look at: everything that is animated in a file, as plain values."""

from __future__ import annotations

from typing import Any

import bpy
from facescript.rig_mapping import blender_api

Key = tuple[str, str, int, float, float]

# A performance of three beats, as JSON.
ENTRY = {
    "id": "smirk",
    "script": "Oh, really?",
    "background": "A card table",
    "emotion": "Smug",
    "keyframes": [
        {"t": 0.0, "text": "a neutral face", "pose": {}},
        {"t": 1.0, "text": "the left corner hooks up", "pose": {"mouthSmileLeft": 0.6, "headYaw": 0.2}},
        {"t": 2.0, "text": "eyes closed", "pose": {"eyeBlink": 1.0}},
    ],
}


def animated() -> list[Any]:
    """Every datablock that may carry shape-key, bone or object animation."""
    return [*bpy.data.objects, *bpy.data.shape_keys]


def keys() -> list[Key]:
    """Every key of the file: (datablock, path, index, frame, value), sorted."""
    found = []
    for block in animated():
        place = blender_api.find_place(block)
        for curve in blender_api.fcurves(place):
            for point in curve.keyframe_points:
                row = (block.name, curve.data_path, curve.array_index, round(point.co.x, 4), round(point.co.y, 5))
                found.append(row)
    return sorted(found)


def state() -> dict[str, Any]:
    """What must not change when something fails: keys, actions, key values, poses of objects, beats."""
    return {
        "keys": keys(),
        "actions": sorted(action.name for action in bpy.data.actions),
        "values": [(k.name, b.name, b.value) for k in bpy.data.shape_keys for b in k.key_blocks],
        "places": [(o.name, [round(v, 6) for row in o.matrix_world for v in row]) for o in bpy.data.objects],
        "frame": bpy.context.scene.frame_current,
        "range": (bpy.context.scene.frame_start, bpy.context.scene.frame_end),
    }


def cube_with_keys(names: list[str], name: str = "Cube") -> Any:
    """A cube with a shape key of each name, made active."""
    bpy.ops.mesh.primitive_cube_add(size=1.0)
    obj = bpy.context.view_layer.objects.active
    obj.name = name
    for key in ["Basis", *names] if names else []:
        block = obj.shape_key_add(name=key, from_mix=False)
        if key != "Basis":
            block.data[0].co.z += 0.1
    return obj


def key_by_hand(obj: Any, shape: str, frame: int, value: float) -> None:
    """A key that the animator set."""
    block = obj.data.shape_keys.key_blocks[shape]
    block.value = value
    block.keyframe_insert("value", frame=frame)
