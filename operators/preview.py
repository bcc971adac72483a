# SPDX-License-Identifier: GPL-3.0-or-later
"""Seeing the performance: a movie of its frames, and a contact sheet of its beats with their descriptions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from ..rig_mapping import timeline
from ..rig_mapping.targets import Target
from . import filming
from .contact_sheet import Tile, compose, page_paths, share
from .making import Maker, Step, show_picture


class FACESCRIPT_OT_contact_sheet(Maker, bpy.types.Operator):
    """Make one picture of every beat with its description, and put them on a sheet. Esc stops"""

    bl_idname = "facescript.contact_sheet"
    bl_label = "Contact Sheet"
    bl_options = {"REGISTER"}

    suffix = "contact_sheet"
    filename_ext = ".png"
    filter_glob: StringProperty(default="*.png", options={"HIDDEN"})
    look: EnumProperty(name="Look", description="How the pictures are made", items=filming.LOOK_ITEMS)
    size: IntProperty(
        name="Size", description="Width and height of a picture", default=320, min=64, max=2048, subtype="PIXEL"
    )
    columns: IntProperty(name="Columns", description="Pictures in a row; 0 chooses", default=0, min=0, max=20)
    per_page: IntProperty(
        name="Pictures a Page",
        description="More beats than this go on further sheets, whose names end with _2, _3 and so on",
        default=30,
        min=1,
        max=100,
    )

    def make(self, context: bpy.types.Context, target: Target, face: Any, path: Path) -> Iterator[Step]:
        """Take the pictures, then put each page together."""
        beats = [(beat.frame, f"{beat.frame}: {beat.text}") for beat in face.beats]
        pages = page_paths(path, len(beats), self.per_page)
        with tempfile.TemporaryDirectory() as folder:
            frames = [frame for frame, _ in beats]
            pictures = filming.stills(context, target, frames, self.size, self.look, True, Path(folder))
            tiles = []
            for picture, (_, caption) in zip(pictures, beats, strict=True):
                tiles.append(Tile(picture, caption))
                yield Step(len(tiles), len(beats), "Contact sheet, beat")
            for number, (page, part) in enumerate(zip(pages, share(tiles, len(pages)), strict=True), start=1):
                compose(part, page, self.size, self.columns)
                yield Step(number, len(pages), "Contact sheet, page")

    def show(self, context: bpy.types.Context, path: Path) -> None:
        """Show the first page in an Image Editor, if one is open."""
        show_picture(context, path)


class FACESCRIPT_OT_preview(Maker, bpy.types.Operator):
    """Make a movie of the performance as the viewport shows it, and play it. Esc stops"""

    bl_idname = "facescript.preview"
    bl_label = "Preview Movie"
    bl_options = {"REGISTER"}

    suffix = "preview"
    filename_ext = ".mp4"
    filter_glob: StringProperty(default="*.mp4", options={"HIDDEN"})
    look: EnumProperty(name="Look", description="How the frames are made", items=filming.LOOK_ITEMS)
    size: IntProperty(
        name="Size", description="The movie's shorter side", default=480, min=64, max=2048, subtype="PIXEL"
    )
    step: IntProperty(name="Step", description="Make every n-th frame; 2 takes half the time", default=1, min=1, max=8)
    play: BoolProperty(name="Play", description="Play the movie when it is done", default=True)

    def make(self, context: bpy.types.Context, target: Target, face: Any, path: Path) -> Iterator[Step]:
        """Take a picture of each frame, then make them a movie of the same length in time."""
        fps = timeline.scene_fps(context.scene)
        frames = filming.frame_range(face, fps)[:: self.step]
        with tempfile.TemporaryDirectory() as folder:
            pictures = []
            # Movies take even sizes only.
            size = self.size // 2 * 2
            for picture in filming.stills(context, target, frames, size, self.look, False, Path(folder)):
                pictures.append(picture)
                yield Step(len(pictures), len(frames), "Preview, frame")
            filming.encode(pictures, path, fps / self.step)

    def show(self, context: bpy.types.Context, path: Path) -> None:
        """Play the movie."""
        if self.play:
            filming.play(path, context.scene, timeline.scene_fps(context.scene) / self.step)


CLASSES: Sequence[type] = (FACESCRIPT_OT_contact_sheet, FACESCRIPT_OT_preview)
