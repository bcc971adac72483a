# SPDX-License-Identifier: GPL-3.0-or-later
"""The skin's topology: a grid over the head with the eye and the mouth let in as rings, relaxed on to the sculpt.

The grid's columns run from the middle of the face round to the back, its rows from the crown down to the bust. A
block of cells is taken out for the eye and one for the mouth; rings of the same number of vertices fill them, so all
of it is quads but for the crown, and loops run round both openings.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from . import lids, lips, sculpt
from .mesh import Face, Index, Mask, strip
from .proportions import Array

COLUMNS: Final = 38  # cells from the middle of the face to the middle of the back
ROWS: Final = 62
EYE_COLUMN: Final = 6
EYE_ROW: Final = 12
MOUTH_ROW: Final = 29
EYE_LOOSE: Final = 4  # rings between the lids and the grid, placed by relaxation
MOUTH_LOOSE: Final = 2
SHIRT_ROW: Final = 57  # rows from here down are cloth

# Rays that meet the skin: "latitude" -> where the ray starts (Y, Z) and its elevation in degrees. Above -50 it is a
# plain sphere round the head's middle; below, the start sinks down the neck so that chin and neck are met squarely.
_RAYS: Final = np.array(
    [
        (-142.0, 2.5, -19.2, 0.0),
        (-134.0, 2.5, -16.6, -16.0),
        (-126.0, 2.4, -14.6, -22.0),
        (-112.0, 2.2, -13.0, -10.0),
        (-96.0, 1.8, -11.6, -24.0),
        (-80.0, 1.2, -8.0, -50.0),
        (-65.0, 0.6, -4.2, -58.0),
        (-50.0, 0.5, -2.0, -50.0),
        (88.0, 0.5, -2.0, 88.0),
    ]
)


@dataclass(frozen=True)
class Skin:
    """The left half of the skin."""

    points: Array  # (N, 3) design frame
    faces: list[Face]
    grid: Index  # (ROWS + 1, COLUMNS + 1), -1 where a block was taken out
    eye: Index  # (rings, lids.COLUMNS): lids.RINGS, the loose rings, the block's edge
    mouth: Index  # (rings, lips.COLUMNS): the block's edge, loose rings, then lips.NAMES
    row: Array  # (N,) row in the grid, as a float; rings take their block's middle


def rays(longitude: Array, latitude: Array) -> tuple[Array, Array]:
    """Origins and directions (N, 3) of the rays at angles in degrees."""
    table = [np.interp(latitude, _RAYS[:, 0], _RAYS[:, i]) for i in (1, 2, 3)]
    a, e = np.radians(longitude), np.radians(table[2])
    origin = np.stack([np.zeros_like(a), table[0], table[1]], axis=1)
    return origin, np.stack([np.sin(a) * np.cos(e), -np.cos(a) * np.cos(e), np.sin(e)], axis=1)


def angles(points: Array) -> Array:
    """Longitude and latitude (N, 2) in degrees of points above the jaw."""
    d = points - np.array([0.0, _RAYS[-1, 1], _RAYS[-1, 2]])
    flat = np.hypot(d[:, 0], d[:, 1])
    return np.degrees(np.stack([np.arctan2(d[:, 0], -d[:, 1]), np.arctan2(d[:, 2], flat)], axis=1))


def _topology() -> tuple[Index, Index, Index, list[Face], int]:
    grid = np.full((ROWS + 1, COLUMNS + 1), -1, dtype=np.int64)
    inside = np.zeros_like(grid, dtype=bool)
    e0, e1 = EYE_COLUMN, EYE_COLUMN + lids.BLOCK_WIDTH
    r0, r1 = EYE_ROW, EYE_ROW + lids.BLOCK_HEIGHT
    m0, m1 = MOUTH_ROW, MOUTH_ROW + lips.BLOCK_HEIGHT
    inside[r0 + 1 : r1, e0 + 1 : e1] = True
    inside[m0 + 1 : m1, : lips.BLOCK_WIDTH] = True
    grid[~inside] = np.arange((~inside).sum())
    count = int((~inside).sum())
    faces: list[Face] = []
    for j in range(ROWS):
        for i in range(COLUMNS):
            if (r0 <= j < r1 and e0 <= i < e1) or (m0 <= j < m1 and i < lips.BLOCK_WIDTH):
                continue
            quad = (grid[j, i], grid[j + 1, i], grid[j + 1, i + 1], grid[j, i + 1])
            faces.append(tuple(int(v) for v in quad))
    middle = r0 + lids.BLOCK_HEIGHT // 2
    loop = [(j, e0) for j in range(middle, r0, -1)] + [(r0, i) for i in range(e0, e1)]
    loop += [(j, e1) for j in range(r0, r1)] + [(r1, i) for i in range(e1, e0, -1)]
    loop += [(j, e0) for j in range(r1, middle, -1)]
    eye_edge = np.array([grid[j, i] for j, i in loop])
    path = [(m0, i) for i in range(lips.BLOCK_WIDTH)] + [(j, lips.BLOCK_WIDTH) for j in range(m0, m1)]
    path += [(m1, i) for i in range(lips.BLOCK_WIDTH, -1, -1)]
    mouth_edge = np.array([grid[j, i] for j, i in path])

    lid_rings = len(lids.RINGS) + EYE_LOOSE
    eye = np.arange(count, count + lid_rings * lids.COLUMNS).reshape(lid_rings, lids.COLUMNS)
    count += eye.size
    eye = np.concatenate([eye, eye_edge[None]])
    lip_rings = MOUTH_LOOSE + len(lips.NAMES)
    mouth = np.arange(count, count + lip_rings * lips.COLUMNS).reshape(lip_rings, lips.COLUMNS)
    count += mouth.size
    mouth = np.concatenate([mouth_edge[None], mouth])
    for outer, inner in zip(eye[:0:-1], eye[-2::-1], strict=True):
        faces += strip(outer.tolist(), inner.tolist(), closed=True)
    for outer, inner in pairwise(mouth):
        faces += strip(outer.tolist(), inner.tolist())
    cap = mouth[-1]
    faces += strip(cap[: lips.CORNER + 1].tolist(), cap[: lips.CORNER - 1 : -1].tolist())[:-1]
    last = lips.CORNER
    faces.append((int(cap[last - 1]), int(cap[last + 1]), int(cap[last])))
    crown = count
    faces += [(crown, int(grid[0, i]), int(grid[0, i + 1])) for i in range(COLUMNS)]
    return grid, eye, mouth, faces, count + 1


def neighbours(faces: list[Face], count: int) -> tuple[Index, Index]:
    """Edges as two index arrays, both directions, each once."""
    pairs = {(f[i], f[(i + 1) % len(f)]) for f in faces for i in range(len(f))}
    pairs |= {(b, a) for a, b in pairs}
    edges = np.array(sorted(pairs))
    return edges[:, 0], edges[:, 1]


def smooth(values: Array, fixed: Mask, edges: tuple[Index, Index], passes: int, plane: Mask | None = None) -> Array:
    """Averages free rows of `values` (N, D) with their neighbours, `passes` times, `fixed` (N,) bool held.

    `plane` marks vertices on the mirror plane: their first coordinate stays as it is, and their neighbours off the
    plane count double, for the unseen half.
    """
    a, b = edges
    weight = np.ones(len(a))
    if plane is not None:
        weight[plane[a] & ~plane[b]] = 2.0
    total = np.bincount(a, weight, len(values))
    out = values.copy()
    for _ in range(passes):
        mean = np.stack(
            [np.bincount(a, weight * out[b, k], len(values)) / total for k in range(values.shape[1])], axis=1
        )
        if plane is not None:
            mean[plane, 0] = values[plane, 0]
        out = np.where(fixed[:, None], values, 0.35 * out + 0.65 * mean)
    return out


def build() -> Skin:
    """The left half, relaxed on to the sculpt."""
    grid, eye, mouth, faces, count = _topology()
    flat = np.zeros((count, 2))
    row = np.zeros(count)
    jj, ii = np.nonzero(grid >= 0)
    row[grid[jj, ii]] = jj
    latitudes = np.interp(jj, *_LATITUDE)
    flat[grid[jj, ii], 0] = np.interp(ii, *_LONGITUDE)
    flat[grid[jj, ii], 1] = latitudes
    row[eye[:-1]] = EYE_ROW + lids.BLOCK_HEIGHT / 2
    row[mouth[1:]] = MOUTH_ROW + lips.BLOCK_HEIGHT / 2

    explicit = np.full((count, 3), np.nan)
    lid_points, lip_points = lids.rings(), lips.rings()
    explicit[eye[: len(lids.RINGS)]] = lid_points
    explicit[mouth[1 + MOUTH_LOOSE :]] = lip_points
    crown = count - 1
    explicit[crown] = sculpt.cast(np.array([[0.0, 0.5, -2.0]]), np.array([[0.0, 0.0, 1.0]]))[0]
    fixed = ~np.isnan(explicit[:, 0])
    flat[fixed] = angles(explicit[fixed])
    for rings, first, last in ((eye, len(lids.RINGS) - 1, len(eye) - 1), (mouth, 1 + MOUTH_LOOSE, 0)):
        step = 1 if last > first else -1
        for k in range(first + step, last, step):  # loose rings start on the way from the explicit ring to the edge
            share = (k - first) / (last - first)
            flat[rings[k]] = (1 - share) * flat[rings[first]] + share * flat[rings[last]]

    edges = neighbours(faces, count)
    plane = np.zeros(count, dtype=bool)
    plane[grid[:, 0][grid[:, 0] >= 0]] = True
    plane[grid[:, -1]] = True
    plane[mouth[:, [0, -1]]] = True
    plane[crown] = True
    held = fixed.copy()
    held[grid[[0, -1]]] = True
    flat = smooth(flat, held, edges, 140, plane)

    points = sculpt.cast(*rays(flat[:, 0], flat[:, 1]))
    points[fixed] = explicit[fixed]
    points[plane, 0] = 0.0
    for _ in range(6):
        points = smooth(points, held, edges, 2, plane)
        free = ~held
        points[free] = sculpt.project(points[free], 1)
        points[plane, 0] = 0.0
    return Skin(points, faces, grid, eye, mouth, row)


_LONGITUDE: Final = (np.array([0.0, 6.0, 16.0, 24.0, COLUMNS]), np.array([0.0, 9.5, 40.0, 84.0, 180.0]))
_LATITUDE: Final = (
    np.array([0.0, 6.0, 12.0, 20.0, 29.0, 33.0, 40.0, 47.0, 57.0, ROWS]),
    np.array([80.0, 50.0, 28.0, -2.0, -22.0, -36.0, -50.0, -72.0, -126.0, -142.0]),
)
