# SPDX-License-Identifier: GPL-3.0-or-later
"""A picture that is drawn by numpy: boxes, lines, other pictures and words. It needs no GPU and no renderer."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from ..performance import FacescriptError
from .lettering import ascent_rows, letters

Array = npt.NDArray[Any]
# Red, green and blue as a screen shows them, 0 to 1.
Colour = tuple[float, float, float]
# The last chunk of every PNG, with its checksum (PNG specification, 11.2.5).
_PNG_END = b"IEND\xaeB`\x82"


class Canvas:
    """`width` x `height` pixels of a background. Places are in pixels from the top left, y downwards.

    What reaches over the edge is cut off.
    """

    def __init__(self, width: int, height: int, background: Colour) -> None:
        self.pixels = np.empty((height, width, 3), dtype=np.float32)
        self.pixels[:] = background

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour, alpha: float = 1.0) -> None:
        """Fill a box."""
        part = self.pixels[_span(top, bottom), _span(left, right)]
        part += (np.array(colour, dtype=np.float32) - part) * np.float32(alpha)

    def picture(self, left: float, top: float, pixels: Array) -> None:
        """Put pixels (height, width, 3), top row first, over the canvas."""
        part = self.pixels[_span(top, top + pixels.shape[0]), _span(left, left + pixels.shape[1])]
        part[:] = pixels[: part.shape[0], : part.shape[1]]

    def words(self, x: float, baseline: float, text: str, size: float, colour: Colour, align: float = 0.0) -> None:
        """Write a line of text that stands on `baseline`; of its width, the share `align` is left of `x`."""
        mask = letters(text, size)
        self._cover(round(x - align * mask.shape[1]), round(baseline) - ascent_rows(size), mask, colour)

    def line(self, xs: Array, ys: Array, thickness: float, colour: Colour, alpha: float = 1.0) -> None:
        """Draw a line through points of rising `xs` (N,) at `ys` (N,)."""
        left, right = int(np.floor(xs[0])), int(np.ceil(xs[-1])) + 1
        # The line's lowest and highest place inside each column of pixels.
        edges = np.interp(np.arange(left, right + 1), xs, ys)
        low, high = np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])
        column = np.floor(xs).astype(int) - left
        np.minimum.at(low, column, ys)
        np.maximum.at(high, column, ys)
        low, high = low - thickness / 2, high + thickness / 2
        top = int(np.floor(low.min()))
        rows = np.arange(top, int(np.ceil(high.max())) + 1)[:, None]
        mask = np.clip(np.minimum(high, rows + 1.0) - np.maximum(low, rows), 0.0, 1.0)
        self._cover(left, top, mask * alpha, colour)

    def _cover(self, left: int, top: int, mask: Array, colour: Colour) -> None:
        cut = mask[max(0, -top) :, max(0, -left) :]
        top, left = max(0, top), max(0, left)
        part = self.pixels[top : top + cut.shape[0], left : left + cut.shape[1]]
        cut = cut[: part.shape[0], : part.shape[1], None].astype(np.float32)
        part += (np.array(colour, dtype=np.float32) - part) * cut

    def save(self, path: Path) -> None:
        """Write a PNG, whole or not at all. Raises FacescriptError (`no_file`) if it cannot be written."""
        height, width = self.pixels.shape[:2]
        image: Any = bpy.data.images.new(path.stem, width, height, alpha=False)
        partial = path.with_name(f"{path.stem}.partial{path.suffix}")
        try:
            rows = np.ones((height, width, 4), dtype=np.float32)
            rows[..., :3] = self.pixels[::-1]
            image.pixels.foreach_set(rows.ravel())
            image.filepath_raw, image.file_format = str(partial), "PNG"
            image.save()
            # Blender says nothing of a disk that was full in the middle.
            if not partial.read_bytes().endswith(_PNG_END):
                raise FacescriptError("no_file", f"Cannot write {path}: the disk is full.", "Choose another folder.")
            os.replace(partial, path)
        except (RuntimeError, OSError) as error:
            raise FacescriptError("no_file", f"Cannot write {path}: {error}", "Choose another folder.") from error
        finally:
            bpy.data.images.remove(image)
            with suppress(OSError):
                partial.unlink()


def read_picture(path: Path) -> Array:
    """A picture's pixels, (height, width, 3), top row first. Raises FacescriptError (`no_file`)."""
    try:
        image: Any = bpy.data.images.load(str(path))
    except RuntimeError as error:
        raise FacescriptError("no_file", f"{path} was not rendered.", "The system console may say why.") from error
    try:
        width, height = image.size
        flat = np.empty(width * height * 4, dtype=np.float32)
        image.pixels.foreach_get(flat)
    finally:
        bpy.data.images.remove(image)
    return flat.reshape(height, width, 4)[::-1, :, :3]


def _span(start: float, end: float) -> slice:
    return slice(max(0, round(start)), max(0, round(end)))
