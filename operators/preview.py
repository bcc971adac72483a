# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeing the performance: a movie of its frames, and a contact sheet of its beats with their descriptions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import bpy
from bpy.props import IntProperty, StringProperty
from bpy_extras.io_utils import ExportHelper

from ..performance import FacescriptError
from ..rig_mapping import blender_api, timeline
from . import faces
from .contact_sheet import Tile, compose

# What a preview changes of a scene's render settings, and puts back.
_KEPT = ("filepath", "resolution_x", "resolution_y", "resolution_percentage", "use_file_extension", "fps", "fps_base")


class _Preview:
    """What the previews share."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """A camera is needed."""
        if context.scene.camera is None:
            cls.poll_message_set("The scene has no camera. Add one that looks at the face")  # type: ignore[attr-defined]
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[Any]:
        try:
            path = _picture_path(self.filepath)  # type: ignore[attr-defined]
            face = faces.active_face(context)[1]
            if not face.beats:
                raise FacescriptError("no_keyframes", "This face has no performance yet.", "Press Generate first.")
            with _settings(context.scene):
                self._render(context, face, path)
            if not path.is_file():
                raise FacescriptError("no_file", f"{path} was not written.", "Choose another folder.")
        except (FacescriptError, RuntimeError) as error:
            self.report({"ERROR"}, str(error))  # type: ignore[attr-defined]
            return {"CANCELLED"}
        self.report({"INFO"}, f"Saved {path}")  # type: ignore[attr-defined]
        return {"FINISHED"}

    def _render(self, context: bpy.types.Context, face: Any, path: Path) -> None:
        raise NotImplementedError


def _picture_path(given: str) -> Path:
    """The full path of the file to write. Raises FacescriptError (`no_file`) if there can be no such file."""
    if given.startswith("//") and not bpy.data.filepath:
        raise FacescriptError("no_file", "This file is not saved yet.", "Save it first, or choose a folder.")
    path = Path(bpy.path.abspath(given)).absolute()
    if path.is_dir() or not path.name:
        raise FacescriptError("no_file", f"{path} is a folder.", "Type a file name as well.")
    if not path.parent.is_dir():
        raise FacescriptError("no_file", f"There is no folder {path.parent}.", "Choose another one.")
    return path


class FACESCRIPT_OT_contact_sheet(_Preview, bpy.types.Operator, ExportHelper):
    """Render one picture of every beat with its description, from the scene's camera"""

    bl_idname = "facescript.contact_sheet"
    bl_label = "Contact Sheet"

    filename_ext = ".png"
    filter_glob: StringProperty(default="*.png", options={"HIDDEN"})
    size: IntProperty(
        name="Size", description="Width and height of a picture", default=320, min=64, max=2048, subtype="PIXEL"
    )
    columns: IntProperty(name="Columns", description="Pictures in a row; 0 chooses", default=0, min=0, max=20)

    def _render(self, context: bpy.types.Context, face: Any, path: Path) -> None:
        scene = context.scene
        now = scene.frame_current
        scene.render.resolution_x = scene.render.resolution_y = self.size
        with tempfile.TemporaryDirectory() as folder:
            tiles = []
            for number, beat in enumerate(face.beats):
                scene.frame_set(beat.frame)
                picture = Path(folder, f"{number:04d}.png")
                blender_api.use_png(scene.render)
                scene.render.filepath = str(picture)
                bpy.ops.render.render(write_still=True, scene=scene.name)
                tiles.append(Tile(picture, f"{beat.frame}  {beat.text}"))
            scene.frame_set(now)
            compose(tiles, path, self.size, self.columns)


class FACESCRIPT_OT_preview(_Preview, bpy.types.Operator, ExportHelper):
    """Render the performance to a movie, from the scene's camera"""

    bl_idname = "facescript.preview"
    bl_label = "Preview Movie"

    filename_ext = ".mp4"
    filter_glob: StringProperty(default="*.mp4", options={"HIDDEN"})
    size: IntProperty(
        name="Size", description="Width and height of the movie", default=320, min=64, max=2048, subtype="PIXEL"
    )
    step: IntProperty(
        name="Step", description="Render every n-th frame; 2 takes half the time", default=1, min=1, max=8
    )

    def _render(self, context: bpy.types.Context, face: Any, path: Path) -> None:
        scene = context.scene
        render = scene.render
        # The first beat is reached at the start, the last one is held for a second.
        rest = round(timeline.scene_fps(scene))
        kept = scene.frame_start, scene.frame_end, scene.frame_step, scene.frame_current
        scene.frame_start, scene.frame_end = face.beats[0].frame, face.beats[-1].frame + rest
        scene.frame_step = self.step
        render.resolution_x = render.resolution_y = self.size // 2 * 2
        render.fps_base *= self.step
        render.filepath, render.use_file_extension = str(path), False
        blender_api.use_mp4(render)
        try:
            bpy.ops.render.render(animation=True, scene=scene.name)
        finally:
            scene.frame_start, scene.frame_end, scene.frame_step = kept[:3]
            scene.frame_set(kept[3])


@contextmanager
def _settings(scene: bpy.types.Scene) -> Iterator[None]:
    """Give the scene its render settings back afterwards."""
    render = scene.render
    kept = {name: getattr(render, name) for name in _KEPT}
    image = blender_api.image_settings(render)
    render.resolution_percentage = 100
    try:
        yield
    finally:
        blender_api.restore_image_settings(render, image)
        for name, value in kept.items():
            setattr(render, name, value)


CLASSES: Sequence[type] = (FACESCRIPT_OT_contact_sheet, FACESCRIPT_OT_preview)
