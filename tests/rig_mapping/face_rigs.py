# SPDX-License-Identifier: GPL-3.0-or-later
"""Faces for the tests: small ones built here, and the head in ../shared/rigs, whole or in parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import pytest
from facescript.performance import BLEND_SHAPES

HEAD_FILE = Path(__file__).resolve().parents[3] / "shared" / "rigs" / "mpfb_head.npz"

# A tiny face: features as single vertices, in metres, facing -Y with its left at +X.
_FEATURES = {
    "eye": (0.03, -0.1, 0.05),
    "brow": (0.03, -0.1, 0.08),
    "jaw": (0.0, -0.1, -0.05),
    "mouth": (0.02, -0.1, -0.03),
    "cheek": (0.04, -0.09, 0.0),
    "nose": (0.01, -0.11, 0.02),
    "tongue": (0.0, -0.1, -0.04),
}


def _feature(name: str) -> tuple[str, list[float]]:
    """The feature that a channel moves, and the vertex offset's sign of x: sides by +1 and -1, middle by both."""
    word = next(f for f in _FEATURES if name.lower().startswith(f))
    if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        return word, [1.0, -1.0]
    return word, [1.0] if name.endswith("Left") else [-1.0] if name.endswith("Right") else [1.0, -1.0]


def face(
    name: str = "Face",
    keys: Iterable[str] | Mapping[str, str] = BLEND_SHAPES,
    at: tuple[float, float, float] = (0.0, 0.0, 0.0),
    tall: float = 0.0,
    collection: Any = None,
) -> Any:
    """A face of 14 vertices (and a body down to `-tall` metres) with the given keys, whose values are 0.

    `keys`: names, or channel -> name.
    """
    table = dict(keys) if isinstance(keys, Mapping) else {k: k for k in keys}
    verts = [(x * s, y, z) for x, y, z in _FEATURES.values() for s in (1.0, -1.0)]
    verts += [(0.0, 0.0, 0.1), (0.0, 0.0, -max(0.1, tall))]
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(verts, [], [])
    obj = bpy.data.objects.new(name, mesh)
    (collection or bpy.context.scene.collection).objects.link(obj)
    obj.location = at
    obj.shape_key_add(name="Basis", from_mix=False)
    order = list(_FEATURES)
    for channel, key in table.items():
        block = obj.shape_key_add(name=key, from_mix=False)
        block.value = 0.0
        if channel in BLEND_SHAPES:
            word, sides = _feature(channel)
            for side in sides:
                block.data[order.index(word) * 2 + (0 if side > 0 else 1)].co.z += 0.01
    bpy.context.view_layer.update()
    return obj


def armature(bones: Mapping[str, tuple[Any, Any, float]], name: str = "Rig") -> Any:
    """An armature object; `bones`: name -> (head, tail, roll in radians), each a child of the first."""
    data = bpy.data.armatures.new(name)
    obj = bpy.data.objects.new(name, data)
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    bpy.ops.object.mode_set(mode="EDIT")
    first = None
    for bone_name, (head, tail, roll) in bones.items():
        bone = data.edit_bones.new(bone_name)
        bone.head, bone.tail, bone.roll = head, tail, roll
        bone.parent = first
        first = first or bone
    bpy.ops.object.mode_set(mode="OBJECT")
    return obj


def bind(mesh: Any, rig: Any) -> None:
    """Give a mesh the armature as its parent and its modifier."""
    mesh.parent = rig
    mesh.modifiers.new("Armature", "ARMATURE").object = rig
    bpy.context.view_layer.update()


def head(split: bool = False, drop: float = 0.7) -> list[Any]:
    """The MPFB head, as one mesh or as body, eyes, teeth, tongue and lashes; lowered by `drop` metres.

    Skips the test if the file is not there.
    """
    if not HEAD_FILE.exists():
        pytest.skip("shared/rigs not present")
    data = np.load(HEAD_FILE)
    verts = data["verts"] - np.array([0.0, 0.0, drop], dtype="f4")
    names = [str(p) for p in data["parts"]]
    groups = {"Head": list(range(len(names)))}
    if split:
        groups = {"Head": [0], "Eyes": [1, 5], "Teeth": [4, 9], "Tongue": [8], "Lashes": [2, 3, 6, 7]}
    objects = []
    for name, parts in groups.items():
        quads = data["quads"][np.isin(data["part"], parts)]
        used = np.unique(quads[quads >= 0])
        index = np.full(len(verts), -1)
        index[used] = np.arange(len(used))
        mesh = bpy.data.meshes.new(name)
        faces = [[int(index[v]) for v in quad if v >= 0] for quad in quads]
        mesh.from_pydata(verts[used].tolist(), [], faces)
        obj = bpy.data.objects.new(name, mesh)
        bpy.context.scene.collection.objects.link(obj)
        obj.shape_key_add(name="Basis", from_mix=False)
        for channel in BLEND_SHAPES:
            offsets = np.zeros_like(verts)
            offsets[data[f"idx_{channel}"]] = data[f"off_{channel}"]
            if not np.abs(offsets[used]).max() > 1e-6:
                continue
            block = obj.shape_key_add(name=channel, from_mix=False)
            block.value = 0.0
            block.data.foreach_set("co", (verts + offsets)[used].ravel())
        objects.append(obj)
    bpy.context.view_layer.update()
    return objects
