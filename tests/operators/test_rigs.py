# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed extension on a head that this project did not make, as one mesh and as several."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from scenes import keys  # noqa: E402

POSE = {"jawOpen": 0.4, "mouthSmile": 0.5, "eyeBlinkLeft": 1.0, "browInnerUp": 0.3}


def build_head(shared: Path, split: bool) -> list[Any]:
    """The MakeHuman head as one object, or its parts as objects of one collection; the body's first."""
    rig = np.load(shared / "rigs" / "mpfb_head.npz")
    quads, part, parts = rig["quads"], rig["part"], [str(name) for name in rig["parts"]]
    groups = [[name] for name in parts if (part == parts.index(name)).any()] if split else [parts]
    groups.sort(key=lambda names: "body" not in names)
    made = []
    for names in groups:
        chosen = quads[np.isin(part, [parts.index(name) for name in names])]
        used = np.unique(chosen[chosen >= 0])
        index = np.full(len(rig["verts"]), -1)
        index[used] = np.arange(len(used))
        mesh = bpy.data.meshes.new(names[0])
        faces = [[int(index[v]) for v in row if v >= 0] for row in chosen]
        mesh.from_pydata(rig["verts"][used].tolist(), [], faces)
        obj = bpy.data.objects.new(names[0], mesh)
        bpy.context.scene.collection.objects.link(obj)
        obj.shape_key_add(name="Basis", from_mix=False)
        for key in sorted(name[4:] for name in rig.files if name.startswith("idx_")):
            moved = index[rig[f"idx_{key}"]]
            if not (moved >= 0).any():
                continue
            block = obj.shape_key_add(name=key, from_mix=False)
            block.value = 0.0
            for vertex, offset in zip(moved, rig[f"off_{key}"], strict=True):
                if vertex >= 0:
                    block.data[int(vertex)].co = mesh.vertices[int(vertex)].co + type(mesh.vertices[0].co)(
                        offset.tolist()
                    )
        made.append(obj)
    return made


def perform(obj: Any, tmp_path: Path) -> None:
    path = tmp_path / "performance.jsonl"
    rows = [{"t": 0.0, "text": "rest", "pose": {}}, {"t": 1.0, "text": "laughs", "pose": POSE}]
    path.write_text(json.dumps({"script": "Ha!", "keyframes": rows}))
    bpy.context.view_layer.objects.active = obj
    assert bpy.ops.facescript.import_performance(filepath=str(path)) == {"FINISHED"}


@pytest.mark.parametrize("split", [False, True])
def test_a_head_of_one_mesh_or_several_is_performed_whole(
    extension: Any, shared: Path, tmp_path: Path, split: bool
) -> None:
    bpy.context.scene.render.fps = 24
    objects = build_head(shared, split)
    assert (len(objects) > 3) == split
    perform(objects[0], tmp_path)
    bpy.context.scene.frame_set(25)
    for obj in objects:
        for name, value in POSE.items():
            for key in (name, f"{name}Left", f"{name}Right"):
                block = obj.data.shape_keys.key_blocks.get(key)
                if block is not None:
                    assert block.value == pytest.approx(value), (obj.name, key)
    assert {block for block, *_ in keys()} >= {obj.data.shape_keys.name for obj in objects[:1]}


def test_any_part_of_the_head_leads_to_the_same_face(extension: Any, shared: Path, tmp_path: Path) -> None:
    objects = build_head(shared, split=True)
    perform(objects[-1], tmp_path)
    assert len(objects[0].facescript.beats) == 2
    assert len(objects[-1].facescript.beats) == 0
