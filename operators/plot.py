# SPDX-License-Identifier: GPL-3.0-or-later
"""A plot of what is on the timeline: every channel that moves over time, by region, with the beats."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
from bpy.props import StringProperty

from ..performance import CHANNELS, REGIONS, FacescriptError
from ..rig_mapping import timeline
from ..rig_mapping.targets import Target
from . import filming
from .canvas import Array, Canvas, Colour
from .lettering import letters, wrap
from .making import Maker, Step, show_picture

_CHANNEL = {channel.name: channel for channel in CHANNELS}

# A channel that stays this near to its first value does not move.
_STILL = 0.005

# Region -> the colours of a channel (or of the left one of two), and of the right one.
_COLOURS: dict[str, tuple[Colour, Colour]] = {
    "brows": ((0.95, 0.68, 0.31), (0.99, 0.86, 0.62)),
    "eyes": ((0.35, 0.72, 0.95), (0.70, 0.88, 1.00)),
    "nose and cheeks": ((0.80, 0.58, 0.93), (0.92, 0.80, 0.99)),
    "mouth": ((0.95, 0.45, 0.48), (1.00, 0.74, 0.73)),
    "jaw": ((0.45, 0.80, 0.50), (0.73, 0.93, 0.75)),
    "head": ((0.78, 0.79, 0.81), (0.92, 0.92, 0.93)),
}
_BACKGROUND: Colour = (0.13, 0.135, 0.15)
_PANEL: Colour = (0.165, 0.17, 0.19)
_GRID: Colour = (0.30, 0.31, 0.335)
_BEAT: Colour = (0.62, 0.63, 0.66)
_INK: Colour = (0.92, 0.925, 0.935)
_QUIET: Colour = (0.60, 0.61, 0.64)

# In pixels.
_LEFT, _RIGHT, _EDGE = 176, 54, 18
_ROW, _GAP, _REGION_GAP = 46, 7, 16
_TITLE, _SMALL = 21, 14
_CAPTION_WIDTH, _CAPTION_LINES, _LINE = 156, 3, 17
_NARROWEST, _WIDEST, _PER_FRAME = 900, 3600, 7
# Seconds or frames between two numbers of the axis, whatever leaves room for them.
_STEPS = (1, 2, 5, 10, 20, 25, 50, 100, 200, 500, 1000, 2000, 5000, 10000)
_TICK_ROOM = 46


@dataclass(frozen=True)
class Row:
    """A channel, or a left and a right one: their names, and their values (frames,) each."""

    region: str
    names: tuple[str, ...]
    values: tuple[Array, ...]

    @property
    def scale(self) -> tuple[float, float]:
        """The lowest and the highest value of the axis: 0 to 1, or as far as an angle goes to either side."""
        if not _CHANNEL[self.names[0]].is_angle:
            return 0.0, 1.0
        reach = max(float(np.abs(v).max()) for v in self.values)
        top = next(limit for limit in (0.1, 0.25, 0.5, 1.0) if reach <= limit + 1e-9)
        return -top, top


def moving_rows(poses: Array, covered: Collection[str]) -> list[Row]:
    """The rows of the `covered` channels that move in `poses` (frames, 61), by region; a left and a right channel
    share a row."""
    moving = np.ptp(poses, axis=0) > _STILL
    moving &= [channel.name in covered for channel in CHANNELS]
    rows = []
    for region in REGIONS:
        pairs: dict[str, list[int]] = {}
        for index, channel in enumerate(CHANNELS):
            if channel.region == region:
                pairs.setdefault(_stem(channel.name), []).append(index)
        for pair in pairs.values():
            shown = [i for i in pair if moving[i]]
            if shown:
                rows.append(Row(region, tuple(CHANNELS[i].name for i in shown), tuple(poses[:, i] for i in shown)))
    return rows


def _is_right(name: str) -> bool:
    return _CHANNEL[name].side == "right" and _stem(name) != name


def _stem(name: str) -> str:
    # jawLeft and mouthRight are ways to go, not sides.
    if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        return name
    if name.startswith(("leftEye", "rightEye")):
        return name.removeprefix("left").removeprefix("right")
    return name.removesuffix("Left").removesuffix("Right")


def draw(rows: Sequence[Row], frames: range, beats: Sequence[tuple[int, str]], title: str) -> Canvas:
    """The plot of `rows` sampled at `frames`, with (frame, description) of each of the beats over it."""
    plot_width = min(max(_NARROWEST, len(frames) * _PER_FRAME), _WIDEST)
    places = _place_captions(beats, frames, plot_width)
    levels = 1 + max(level for _, level, _ in places)
    top = _EDGE + _TITLE + 18 + levels * (_CAPTION_LINES + 1) * _LINE + 6
    starts, bottom = _stack(rows, top)
    canvas = Canvas(_LEFT + plot_width + _RIGHT, bottom + 44, _BACKGROUND)
    chart = _Chart(canvas, frames, plot_width)
    canvas.words(_EDGE, _EDGE + _TITLE - 4, title, _TITLE, _INK)
    for start in starts:
        canvas.box(_LEFT, start, _LEFT + plot_width, start + _ROW, _PANEL)
    chart.axis(bottom, top)
    for (frame, _), (lines, level, _) in zip(beats, places, strict=True):
        chart.beat(frame, lines, _EDGE + _TITLE + 18 + level * (_CAPTION_LINES + 1) * _LINE, bottom)
    for row, start in zip(rows, starts, strict=True):
        chart.row(row, start)
    _name_regions(canvas, rows, starts)
    return canvas


def _stack(rows: Sequence[Row], top: int) -> tuple[list[int], int]:
    """The upper edge of each row, and the lower edge of the last."""
    starts: list[int] = []
    y = top
    for number, row in enumerate(rows):
        if number and row.region != rows[number - 1].region:
            y += _REGION_GAP - _GAP
        starts.append(y)
        y += _ROW + _GAP
    return starts, y - _GAP


def _name_regions(canvas: Canvas, rows: Sequence[Row], starts: Sequence[int]) -> None:
    """A bar in its colour along each region."""
    for region in REGIONS:
        own = [start for row, start in zip(rows, starts, strict=True) if row.region == region]
        if own:
            canvas.box(6, own[0], 10, own[-1] + _ROW, _COLOURS[region][0])


def _place_captions(beats: Sequence[tuple[int, str]], frames: range, width: int) -> list[tuple[list[str], int, float]]:
    """For each beat its caption's lines (none if there is no room), its level from the top, and where it ends."""
    ends = [-1e9] * 3
    found: list[tuple[list[str], int, float]] = []
    for frame, text in beats:
        x = (frame - frames[0]) / max(1, len(frames) - 1) * width
        number = str(frame)
        level = next((n for n, end in enumerate(ends) if end <= x), None)
        if level is None:
            found.append(([], 0, 0.0))
            continue
        lines = [number, *wrap(text, _SMALL, _CAPTION_WIDTH, _CAPTION_LINES)]
        ends[level] = x + max(letters(line, _SMALL).shape[1] for line in lines) + 12
        found.append((lines, level, ends[level]))
    return found


class _Chart:
    """The canvas with a time axis on it."""

    def __init__(self, canvas: Canvas, frames: range, width: int) -> None:
        self._canvas = canvas
        self._frames = frames
        self._width = width

    def _x(self, frame: float) -> float:
        return _LEFT + (frame - self._frames[0]) / max(1, len(self._frames) - 1) * self._width

    def axis(self, bottom: int, top: int) -> None:
        """Frame numbers under the rows, and a line up from each."""
        span = max(1, len(self._frames) - 1)
        step = next((s for s in _STEPS if s * self._width / span >= _TICK_ROOM), span)
        first = -(-self._frames[0] // step) * step
        for frame in range(first, self._frames[-1] + 1, step):
            x = self._x(frame)
            self._canvas.box(x, top, x + 1, bottom + 5, _GRID, 0.45)
            self._canvas.words(x, bottom + 20, str(frame), _SMALL - 1, _QUIET, align=0.5)
        self._canvas.words(_EDGE, bottom + 20, "frame", _SMALL - 1, _QUIET)

    def beat(self, frame: int, lines: Sequence[str], top: int, bottom: int) -> None:
        """A line at a beat, with its number and words to the right of its upper end."""
        x = self._x(frame)
        self._canvas.box(x, top, x + 1, bottom, _BEAT, 0.8 if lines else 0.5)
        for number, text in enumerate(lines):
            y = top + 11 + number * _LINE
            self._canvas.words(x + 5, y, text, _SMALL, _INK if number == 0 else _QUIET)

    def row(self, row: Row, top: int) -> None:
        """One row: its scale, its names in the colours of its lines, and the lines."""
        low, high = row.scale
        for value in dict.fromkeys((high, 0.0, low)):
            y = top + (high - value) / (high - low) * _ROW
            if value == 0.0:
                self._canvas.box(_LEFT, y - 1, _LEFT + self._width, y, _GRID)
            place = min(max(y + 4, top + 9), top + _ROW)
            self._canvas.words(_LEFT + self._width + 6, place, f"{value:g}", _SMALL - 3, _QUIET)
        colours = _COLOURS[row.region]
        sides = [int(_is_right(name)) for name in row.names]
        # The right one first and wider, so that it is seen behind a left one of the same values.
        for side, values in sorted(zip(sides, row.values, strict=True), key=lambda pair: -pair[0]):
            xs = np.array([self._x(frame) for frame in self._frames])
            ys = top + (high - values) / (high - low) * (_ROW - 2) + 1
            self._canvas.line(xs, ys, 3.6 if side else 2.0, colours[side], 0.9)
        middle = top + _ROW / 2 + 5 - (len(row.names) - 1) * _LINE / 2
        for line, name in enumerate(row.names):
            self._canvas.words(_EDGE, middle + line * _LINE, name, _SMALL, colours[sides[line]])


class FACESCRIPT_OT_plot(Maker, bpy.types.Operator):
    """Draw every channel that moves over time, as it is on the timeline now, with the beats"""

    bl_idname = "facescript.plot"
    bl_label = "Plot Performance"
    bl_options = {"REGISTER"}

    suffix = "plot"
    filename_ext = ".png"
    filter_glob: StringProperty(default="*.png", options={"HIDDEN"})

    def make(self, context: bpy.types.Context, target: Target, face: Any, path: Path) -> Iterator[Step]:
        """Read the F-curves, draw, and save."""
        fps = timeline.scene_fps(context.scene)
        frames = filming.frame_range(face, fps)
        # More samples than every other pixel show nothing more.
        frames = frames[:: max(1, 2 * len(frames) // _WIDEST)]
        rows = moving_rows(timeline.sample_poses(target, frames), target.covered)
        if not rows:
            raise FacescriptError("nothing_moves", f"Nothing moves on {target.name!r} there.", "Press Generate again.")
        title = f"{target.name}: frames {frames[0]} to {frames[-1]} at {fps:g} a second"
        draw(rows, frames, [(beat.frame, beat.text) for beat in face.beats], title).save(path)
        yield Step(1, 1, "Plot")

    def show(self, context: bpy.types.Context, path: Path) -> None:
        """Show it in an Image Editor, if one is open."""
        show_picture(context, path)


CLASSES: Sequence[type] = (FACESCRIPT_OT_plot,)
