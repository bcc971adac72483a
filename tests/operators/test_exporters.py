# SPDX-License-Identifier: GPL-3.0-or-later
"""Blender's own exporters carry the animation: files are written, read back, and compared with what the scene shows."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

bpy = pytest.importorskip("bpy")

from facescript.performance import BLEND_SHAPES  # noqa: E402

Floats = npt.NDArray[np.float64]
FRAMES = (1, 13, 20, 25, 37, 43, 49)


def _need(operator: str) -> None:
    """Skip where this Blender was built without the exporter, or comes without its add-on."""
    package, _, name = operator.partition(".")
    try:
        getattr(getattr(bpy.ops, package), name).get_rna_type()
    except (AttributeError, KeyError):
        pytest.skip(f"this Blender has no {operator}")


def _mesh(frame: int, count: int) -> Floats:
    """The vertices of the mesh with so many of them in world space as the scene shows it at a frame, (count, 3)."""
    bpy.context.scene.frame_set(frame)
    graph = bpy.context.evaluated_depsgraph_get()
    for obj in bpy.data.objects:
        if obj.type == "MESH" and len(obj.data.vertices) == count:
            shown = obj.evaluated_get(graph)
            flat = np.empty(3 * count, dtype="f4")
            shown.data.vertices.foreach_get("co", flat)
            world = np.array(shown.matrix_world)
            return np.asarray(flat.reshape(-1, 3) @ world[:3, :3].T + world[:3, 3], dtype=np.float64)
    raise AssertionError("the mesh is gone")


@pytest.fixture
def face(performed: Any) -> Any:
    """The demo face with a smirk, a turn of the head and closed eyes, over 49 frames."""
    scene = bpy.context.scene
    scene.frame_start, scene.frame_end = 1, 49
    return performed


@pytest.mark.parametrize(
    ("form", "suffix", "options"),
    [
        ("alembic", ".abc", {"start": 1, "end": 49}),
        ("usd", ".usdc", {"export_animation": True}),
        # As pictures of the mesh, for programs that read no shape keys.
        ("usd", ".usdc", {"export_animation": True, "export_shapekeys": False, "export_armatures": False}),
    ],
)
def test_the_mesh_moves_the_same_in_what_is_exported(
    face: Any, tmp_path: Path, form: str, suffix: str, options: dict[str, Any]
) -> None:
    _need(f"wm.{form}_export")
    _need(f"wm.{form}_import")
    count = len(face.data.vertices)
    before = {frame: _mesh(frame, count) for frame in FRAMES}
    # There is something to carry: the head has turned, and the eyes have closed.
    assert np.abs(before[25] - before[1]).max() > 0.005 and np.abs(before[49] - before[25]).max() > 0.005
    path = str(tmp_path / f"face{suffix}")
    assert getattr(bpy.ops.wm, f"{form}_export")(filepath=path, **options) == {"FINISHED"}
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.context.scene.render.fps = 24
    assert getattr(bpy.ops.wm, f"{form}_import")(filepath=path) == {"FINISHED"}
    for frame in FRAMES:
        np.testing.assert_allclose(_mesh(frame, count), before[frame], atol=1e-5)


class Glb:
    """A binary glTF file, read as the specification says (glTF 2.0, "GLB File Format")."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        assert data[:4] == b"glTF"
        length = struct.unpack_from("<I", data, 12)[0]
        self.json: dict[str, Any] = json.loads(data[20 : 20 + length])
        self._binary = data[20 + length + 8 :]

    def floats(self, index: int) -> Floats:
        """An accessor's numbers, in one row."""
        accessor = self.json["accessors"][index]
        view = self.json["bufferViews"][accessor["bufferView"]]
        assert accessor["componentType"] == 5126 and "byteStride" not in view
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        return np.frombuffer(self._binary, "<f4", accessor["count"] * width, start).astype(np.float64)

    def channels(self, path: str) -> list[tuple[str, str, Floats, Floats]]:
        """Every animation of a property: the node's and the clip's name, seconds (K,), and values in one row."""
        return [
            (
                self.json["nodes"][channel["target"]["node"]]["name"],
                clip["name"],
                self.floats(clip["samplers"][channel["sampler"]]["input"]),
                self.floats(clip["samplers"][channel["sampler"]]["output"]),
            )
            for clip in self.json["animations"]
            for channel in clip["channels"]
            if channel["target"]["path"] == path
        ]


def _shown(face: Any) -> dict[int, dict[str, float]]:
    """The shape keys' values at each frame, with all that animates them."""
    found = {}
    for frame in FRAMES:
        bpy.context.scene.frame_set(frame)
        keys = face.evaluated_get(bpy.context.evaluated_depsgraph_get()).data.shape_keys or face.data.shape_keys
        found[frame] = {name: keys.key_blocks[name].value for name in BLEND_SHAPES}
    return found


@pytest.mark.parametrize(
    ("mode", "together"),
    [
        ({"export_animation_mode": "ACTIONS"}, False),
        ({"export_animation_mode": "ACTIVE_ACTIONS"}, True),
        # The only one that knows of the life layer, which is on the NLA.
        ({"export_animation_mode": "SCENE", "export_anim_scene_split_object": False}, True),
    ],
)
def test_gltf_has_every_shape_key_at_its_value_and_the_turn_of_the_head(
    face: Any, tmp_path: Path, mode: dict[str, Any], together: bool
) -> None:
    _need("export_scene.gltf")
    if mode["export_animation_mode"] == "SCENE":
        bpy.ops.facescript.add_life(seed=3)
    expected = _shown(face)
    path = tmp_path / "face.glb"
    bpy.ops.export_scene.gltf(filepath=str(path), export_format="GLB", **mode)
    glb = Glb(path)
    (names,) = [mesh["extras"]["targetNames"] for mesh in glb.json["meshes"] if "extras" in mesh]
    assert set(BLEND_SHAPES) <= set(names)
    ((_, clip, seconds, values),) = glb.channels("weights")
    weights = values.reshape(len(seconds), len(names))
    for frame in FRAMES:
        row = int(np.abs(seconds - seconds[0] - (frame - 1) / 24).argmin())
        assert seconds[row] - seconds[0] == pytest.approx((frame - 1) / 24, abs=1e-4)
        found = dict(zip(names, weights[row], strict=True))
        assert {name: found[name] for name in BLEND_SHAPES} == pytest.approx(expected[frame], abs=1e-4)
    turned = {
        node: where
        for node, where, _, turns in glb.channels("rotation")
        if np.ptp(turns.reshape(-1, 4), 0).max() > 0.01
    }
    assert "head" in turned
    assert (turned["head"] == clip) == together


def test_fbx_has_the_shape_keys_and_the_turn_of_the_head(face: Any, tmp_path: Path) -> None:
    _need("export_scene.fbx")
    _need("import_scene.fbx")
    count = len(face.data.vertices)
    before = {frame: _mesh(frame, count) for frame in FRAMES}
    path = str(tmp_path / "face.fbx")
    bpy.ops.export_scene.fbx(filepath=path, use_mesh_modifiers=False, add_leaf_bones=False)
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.context.scene.render.fps = 24
    bpy.ops.import_scene.fbx(filepath=path)
    for frame in FRAMES:
        np.testing.assert_allclose(_mesh(frame, count), before[frame], atol=1e-4)
