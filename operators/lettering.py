# SPDX-License-Identifier: GPL-3.0-or-later
"""Words as pixels: Blender's own font gives the outlines, numpy fills them.

`blf` cannot draw into an image before Blender 4.5, and never without a GPU.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Of a font's size: what its letters reach above the line they stand on and below it, and the room between words.
ASCENT, DESCENT = 0.88, 0.26
_SPACE = 0.28
# Scan lines a pixel. Across, coverage is exact.
_LINES = 5


@lru_cache(maxsize=2048)
def letters(text: str, size: float) -> Array:
    """The coverage, 0 to 1, of one line of text at a font size in pixels: shape (height, width), top row first.

    The text stands on the row `ascent_rows(size)`; an empty text has width 0. Do not write to the array.
    """
    corners = _triangles(text) * size
    height = ascent_rows(size) + int(np.ceil(DESCENT * size))
    if not len(corners):
        return np.zeros((height, 0))
    corners[..., 1] = ascent_rows(size) - corners[..., 1]
    return _fill(corners, height, int(np.ceil(corners[..., 0].max())) + 1)


def ascent_rows(size: float) -> int:
    """How many rows of `letters` are above the line that the text stands on."""
    return int(np.ceil(ASCENT * size))


def wrap(text: str, size: float, width: float, lines: int) -> list[str]:
    """The text in at most `lines` lines of about `width` pixels; the last one ends with an ellipsis if there is more.

    A word that is wider has a line to itself.
    """
    rows: list[list[str]] = [[]]
    used = 0.0
    for word in text.split():
        # Words come again, so each is measured alone.
        long = letters(word, size).shape[1]
        if rows[-1] and used + _SPACE * size + long > width:
            if len(rows) == lines:
                rows[-1][-1] += "…"
                break
            rows.append([])
            used = 0.0
        used += long + (_SPACE * size if rows[-1] else 0.0)
        rows[-1].append(word)
    return [" ".join(row) for row in rows if row]


def _triangles(text: str) -> Array:
    """The outlines' filling at size 1: triangles of shape (N, 3, 2), y upwards from the line."""
    curve: Any = bpy.data.curves.new("Lettering", "FONT")
    curve.body = text
    holder: Any = bpy.data.objects.new("Lettering", curve)
    try:
        mesh = holder.to_mesh()
        points = np.empty(len(mesh.vertices) * 3, dtype=np.float32)
        mesh.vertices.foreach_get("co", points)
        mesh.calc_loop_triangles()
        corners = np.empty(len(mesh.loop_triangles) * 3, dtype=np.int32)
        mesh.loop_triangles.foreach_get("vertices", corners)
        holder.to_mesh_clear()
    finally:
        bpy.data.objects.remove(holder)
        bpy.data.curves.remove(curve)
    return points.reshape(-1, 3)[corners.reshape(-1, 3), :2].astype(np.float64)


def _fill(corners: Array, height: int, width: int) -> Array:
    """Coverage (height, width) of triangles (N, 3, 2) that turn the same way, by signed area along scan lines."""
    first, second = corners.reshape(-1, 2), np.roll(corners, -1, axis=1).reshape(-1, 2)
    step = first[:, 1] > second[:, 1]
    top, bottom = np.where(step[:, None], second, first), np.where(step[:, None], first, second)
    # The scan lines that each edge crosses, and where.
    begin, end = (np.ceil(p[:, 1] * _LINES - 0.5).astype(int) for p in (top, bottom))
    counts = end - begin
    edge = np.repeat(np.arange(len(counts)), counts)
    line = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + begin[edge]
    slope = (bottom[edge] - top[edge])[:, 0] / (bottom[edge] - top[edge])[:, 1]
    x = np.clip(top[edge, 0] + ((line + 0.5) / _LINES - top[edge, 1]) * slope, 0.0, width - 1e-6)
    sign = np.where(step[edge], 1.0, -1.0)
    kept = (line >= 0) & (line < height * _LINES)
    line, x, sign = line[kept], x[kept], sign[kept]
    # A crossing covers its own pixel in part, and all to the right of it: the running sum.
    area = np.zeros((height * _LINES, width + 1))
    part = x - np.floor(x)
    np.add.at(area, (line, x.astype(int)), sign * (1.0 - part))
    np.add.at(area, (line, x.astype(int) + 1), sign * part)
    covered = np.abs(np.cumsum(area, axis=1)[:, :width])
    return np.clip(covered.reshape(height, _LINES, width).mean(axis=1), 0.0, 1.0)
