# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts pictures and captions together into one: a scene of planes and text, rendered flat.

Blender has no picture editor for scripts before 4.5 (`blf` cannot draw into an image), so Blender's own renderer
sets the text.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ..rig_mapping import blender_api

# In units of a tile's width.
_CAPTION, _GAP, _LETTER = 0.34, 0.04, 0.058
_LETTERS_A_LINE, _LINES = 36, 5
_BACKGROUND, _INK = (0.025, 0.027, 0.032, 1.0), (0.85, 0.86, 0.88, 1.0)


@dataclass(frozen=True)
class Tile:
    """A square picture and its caption."""

    picture: Path
    caption: str


def compose(tiles: Sequence[Tile], path: Path, size: int, columns: int = 0) -> None:
    """Write the sheet as a PNG: `size` pixels a tile, `columns` tiles a row (0: at most five, rows of alike length).

    Everything that is made for it is removed again.
    """
    count = len(tiles)
    if columns <= 0:
        rows = -(-count // 5)
        columns = -(-count // rows)
    rows = -(-count // columns)
    before = {kind: set(getattr(bpy.data, kind)) for kind in _MADE}
    scene = bpy.data.scenes.new("Contact Sheet")
    try:
        width = columns * (1 + _GAP) + _GAP
        height = rows * (1 + _CAPTION + _GAP) + _GAP
        for number, tile in enumerate(tiles):
            left = _GAP + number % columns * (1 + _GAP)
            top = height - _GAP - number // columns * (1 + _CAPTION + _GAP)
            _add_picture(scene, tile.picture, left + 0.5, top - 0.5)
            _add_caption(scene, tile.caption, left, top - 1 - _LETTER * 1.2)
        _add_camera(scene, width, height)
        _render(scene, path, round(width * size), round(height * size))
    finally:
        for kind in _MADE:
            for made in set(getattr(bpy.data, kind)) - before[kind]:
                getattr(bpy.data, kind).remove(made)


_MADE = ("scenes", "objects", "meshes", "curves", "materials", "images", "cameras", "worlds")


def _flat(name: str) -> Any:
    """A material that shows its colour as it is, and its node tree's emission node."""
    material = blender_api.new_material(name)
    tree = material.node_tree
    tree.nodes.clear()
    emission = tree.nodes.new("ShaderNodeEmission")
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    tree.links.new(emission.outputs[0], output.inputs[0])
    return material, emission


def _add_picture(scene: bpy.types.Scene, picture: Path, x: float, y: float) -> None:
    material, emission = _flat("Picture")
    image = material.node_tree.nodes.new("ShaderNodeTexImage")
    image.image = bpy.data.images.load(str(picture))
    material.node_tree.links.new(image.outputs[0], emission.inputs[0])
    mesh = bpy.data.meshes.new("Picture")
    mesh.from_pydata([(-0.5, -0.5, 0), (0.5, -0.5, 0), (0.5, 0.5, 0), (-0.5, 0.5, 0)], [], [(0, 1, 2, 3)])
    corners = mesh.uv_layers.new()
    corners.data.foreach_set("uv", (0, 0, 1, 0, 1, 1, 0, 1))
    mesh.materials.append(material)
    plane = bpy.data.objects.new("Picture", mesh)
    plane.location = (x, y, 0)
    scene.collection.objects.link(plane)


def _add_caption(scene: bpy.types.Scene, caption: str, x: float, y: float) -> None:
    text: Any = bpy.data.curves.new("Caption", "FONT")
    text.body = textwrap.fill(caption, _LETTERS_A_LINE, max_lines=_LINES, placeholder=" ...")
    text.size = _LETTER
    material, emission = _flat("Ink")
    emission.inputs[0].default_value = _INK
    text.materials.append(material)
    label = bpy.data.objects.new("Caption", text)
    label.location = (x, y, 0)
    scene.collection.objects.link(label)


def _add_camera(scene: bpy.types.Scene, width: float, height: float) -> None:
    lens = bpy.data.cameras.new("Sheet")
    lens.type = "ORTHO"
    lens.ortho_scale = max(width, height)
    camera = bpy.data.objects.new("Sheet", lens)
    camera.location = (width / 2, height / 2, 1)
    scene.collection.objects.link(camera)
    scene.camera = camera


def _render(scene: bpy.types.Scene, path: Path, width: int, height: int) -> None:
    world = blender_api.new_world("Sheet")
    world.node_tree.nodes["Background"].inputs[0].default_value = _BACKGROUND
    scene.world = world
    render: Any = scene.render
    render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = 16
    scene.cycles.use_denoising = False
    scene.cycles.max_bounces = 0
    # Pictures come in with their view transform applied; here they pass through unchanged.
    scene.view_settings.view_transform = "Standard"
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    render.filepath = str(path)
    blender_api.use_png(render)
    bpy.ops.render.render(write_still=True, scene=scene.name)
