# SPDX-License-Identifier: GPL-3.0-or-later
"""Control rigs that drive shape keys, built as the add-ons that are in use build them.

Faceit's real one has all 52 keys. In it, the gaze goes through a mechanism bone that constraints turn, and up to its
version 1.5 nose sneers look at a bone's average size.
"""

from __future__ import annotations

from typing import Any

import bpy
import face_rigs as rigs
from mathutils import Vector

# A part of Faceit's control rig, version 1.7 (`control_rig_drivers_dict`): key -> bone, axis, kind of range. `pos` and
# `neg` are one side of a slider, `up` and `down` all of it, counted upwards or downwards.
FACEIT = {
    "eyeBlinkLeft": ("c_eyelid_upper.L", "Y", "neg"),
    "eyeWideLeft": ("c_eyelid_upper.L", "Y", "pos"),
    "eyeBlinkRight": ("c_eyelid_upper.R", "Y", "neg"),
    "eyeWideRight": ("c_eyelid_upper.R", "Y", "pos"),
    "jawOpen": ("c_jaw_target", "Y", "down"),
    "jawLeft": ("c_jaw_target", "X", "pos"),
    "jawRight": ("c_jaw_target", "X", "neg"),
    "mouthClose": ("c_lips_closed", "Y", "pos"),
    "mouthLeft": ("c_mouth_controller", "X", "pos"),
    "mouthRight": ("c_mouth_controller", "X", "neg"),
    "mouthSmileLeft": ("c_lips_corner.L", "Y", "pos"),
    "mouthFrownLeft": ("c_lips_corner.L", "Y", "neg"),
    "mouthSmileRight": ("c_lips_corner.R", "Y", "pos"),
    "mouthFrownRight": ("c_lips_corner.R", "Y", "neg"),
    "mouthDimpleLeft": ("c_lips_corner_adjust.L", "Z", "down"),
    "mouthStretchLeft": ("c_lips_corner_adjust.L", "X", "up"),
    "mouthStretchRight": ("c_lips_corner_adjust.R", "X", "down"),
    "mouthFunnel": ("c_mouthFunnel_slider", "Y", "up"),
    "mouthPucker": ("c_mouthPucker_slider", "Y", "up"),
    "browInnerUp": ("c_eyebrow_mid", "Y", "up"),
    "noseSneerLeft": ("c_nose_sneer.L", "Y", "pos"),
    "tongueOut": ("c_tongueOut_slider", "Y", "up"),
}
# Where the sliders end, in the bones' own space.
TOP, BOTTOM = 0.04, -0.025

_CONVERSION = {
    "pos": f"max( 0, var / {TOP})",
    "neg": f"max( 0, var / {BOTTOM})",
    "up": f"var/{TOP}",
    "down": f"var/{BOTTOM}",
}


def driver(block: Any, expression: str = "var", kind: str = "SCRIPTED") -> Any:
    """A new driver of a shape key, without the keys on its curve that Python makes."""
    curve = block.driver_add("value")
    while len(curve.keyframe_points):
        curve.keyframe_points.remove(curve.keyframe_points[0])
    curve.driver.type = kind
    if kind == "SCRIPTED":
        curve.driver.expression = expression
    return curve


def transform(curve: Any, rig: Any, bone: str, axis: str, name: str = "var", space: str = "LOCAL_SPACE") -> None:
    """A variable that is a bone's transform."""
    variable = curve.driver.variables.new()
    variable.name, variable.type = name, "TRANSFORMS"
    target = variable.targets[0]
    target.id, target.bone_target = rig, bone
    target.transform_type, target.transform_space = axis, space


def number(curve: Any, block: Any, path: str, name: str = "var") -> None:
    """A variable that is a property."""
    variable = curve.driver.variables.new()
    variable.name, variable.type = name, "SINGLE_PROP"
    variable.targets[0].id_type = block.id_type
    variable.targets[0].id = block
    # A property that was only just made is not in what Blender evaluates, and a driver that fails once stays invalid.
    block.update_tag()
    bpy.context.view_layer.update()
    variable.targets[0].data_path = path


def bones(names: Any) -> Any:
    """An armature with a control bone of each name beside the face."""
    table = {n: (Vector((0.3, 0, 0.02 * i)), Vector((0.3, 0, 0.02 * i + 0.01)), 0.0) for i, n in enumerate(names)}
    rig = rigs.armature({"root": (Vector((0, 0, -1)), Vector((0, 0, -0.9)), 0.0), **table}, name="FaceitControlRig")
    return rig


def _close_by_itself(keys: Any, rig: Any) -> None:
    """Have a slider close the lips over whatever the jaw does."""
    curve = next(c for c in keys.animation_data.drivers if "mouthClose" in c.data_path)
    transform(curve, rig, "c_forceMouthClose_slider", "LOC_Y", name="auto_close")
    number(curve, keys, 'key_blocks["jawOpen"].value', "jaw_value")
    share = f"auto_close / {TOP}"
    curve.driver.expression = f"(lerp( {_CONVERSION['pos']}, jaw_value * {share}, {share})) * amp"


def faceit(*meshes: Any) -> Any:
    """A control rig of Faceit's kind on meshes that have the keys of `FACEIT`."""
    rig = bones(dict.fromkeys([*(bone for bone, _, _ in FACEIT.values()), "c_forceMouthClose_slider"]))
    for bone in {bone for bone, _, _ in FACEIT.values()}:
        limit = rig.pose.bones[bone].constraints.new("LIMIT_LOCATION")
        limit.owner_space = "LOCAL"
        for axis in "xyz":
            setattr(limit, f"use_max_{axis}", True)
            setattr(limit, f"use_min_{axis}", True)
            setattr(limit, f"max_{axis}", TOP)
            setattr(limit, f"min_{axis}", BOTTOM)
    for key, (bone, axis, kind) in FACEIT.items():
        rig[key] = 1.0
        for mesh in meshes:
            if key in mesh.data.shape_keys.key_blocks:
                curve = driver(mesh.data.shape_keys.key_blocks[key])
                transform(curve, rig, bone, f"LOC_{axis}")
                number(curve, rig, f'["{key}"]', "amp")
                curve.driver.expression = f"({_CONVERSION[kind]}) * amp"
    for mesh in meshes:
        if "mouthClose" in mesh.data.shape_keys.key_blocks:
            _close_by_itself(mesh.data.shape_keys, rig)
    bpy.context.view_layer.update()
    return rig
