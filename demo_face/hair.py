# SPDX-License-Identifier: GPL-3.0-or-later
"""Hair as solid shapes: a cap over the skull, and tapering locks that sweep from a side parting over it.

The parting makes it lopsided on purpose: it is the one part without a mirror image. No shape key moves it.
Points that steer locks are only directions as seen from the skull's middle; how far out they lie is a lock's `lift`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from . import sculpt, skin
from .features import catmull_rom
from .mesh import Face, Part
from .proportions import Array

_DARK: Final = np.array((0.050, 0.019, 0.009))
_LIGHT: Final = np.array((0.170, 0.070, 0.026))
_MIDDLE: Final = np.array([0.0, 1.0, 1.5])
SECTIONS: Final = 12
AROUND: Final = 6

# The hairline under the locks: longitude either way from the face's middle, latitude.
_EDGE: Final = np.array(
    [
        (0, 30, 48, 58, 66, 73, 80, 86, 96, 104, 112, 130, 180),
        (50, 47, 40, 28, 14, 4, 4, 20, 20, 4, -24, -34, -41),
    ]
)

Path = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Sweep:
    """A family of locks between two paths (root, way points, tip), all of the same number of points."""

    first: Path
    last: Path
    count: int
    width: float  # cm, half, at the widest
    lift: tuple[float, ...]  # cm off the scalp at each point of the path


_SWEEPS: Final[tuple[Sweep, ...]] = (
    # down the back, from the crown to the nape
    Sweep(
        ((3.0, 3.6, 11.5), (7.2, 7.0, 7.0), (8.0, 6.5, 0.0), (5.6, 6.0, -5.4)),
        ((-2.4, 3.6, 11.8), (-7.2, 7.0, 7.0), (-8.0, 6.5, 0.0), (-5.6, 6.0, -5.4)),
        14, 1.3, (0.5, 0.85, 0.65, 0.3),
    ),
    # the short side, from the parting back over the left ear
    Sweep(
        ((3.4, -6.4, 7.6), (5.6, -5.2, 6.6), (7.2, -2.6, 3.8), (7.4, 1.6, 1.6)),
        ((3.2, 2.6, 11.4), (6.6, 4.0, 9.0), (8.0, 5.0, 3.5), (7.0, 5.6, -1.8)),
        7, 1.15, (0.25, 0.95, 0.95, 0.45),
    ),
    # the long side, over the top to the right
    Sweep(
        ((3.0, -5.2, 9.0), (-2.0, -6.0, 10.6), (-6.6, -4.0, 6.6), (-7.4, 1.0, 1.8)),
        ((2.6, 3.4, 11.8), (-3.0, 4.5, 12.0), (-7.4, 5.0, 5.5), (-7.0, 5.6, -1.8)),
        8, 1.35, (0.35, 1.5, 1.35, 0.5),
    ),
    # the fringe: up from the parting, across the forehead, out at the right temple
    Sweep(
        ((3.3, -6.6, 7.4), (0.4, -8.4, 7.6), (-3.6, -7.6, 5.9), (-6.9, -4.6, 3.3)),
        ((3.1, -5.0, 9.4), (-1.2, -7.2, 9.6), (-5.4, -5.8, 7.6), (-7.7, -1.6, 3.0)),
        5, 1.20, (0.30, 1.75, 1.25, 0.55),
    ),
)  # fmt: skip


def _on_scalp(points: Array, lift: Array) -> Array:
    """The points of the scalp seen from the skull's middle towards `points`, then `lift` cm outwards."""
    way = points - _MIDDLE
    way /= np.linalg.norm(way, axis=1, keepdims=True)
    skull = sculpt.cast(np.tile(_MIDDLE, (len(points), 1)), way, reach=17.0)
    return skull + lift[:, None] * sculpt.gradient(skull)


def _locks() -> tuple[Array, Array, Array]:
    """Centre lines (locks, SECTIONS, 3), half widths (locks, SECTIONS) and lightness (locks,)."""
    lines: list[Array] = []
    widths: list[Array] = []
    light: list[float] = []
    t = np.linspace(0.0, 1.0, SECTIONS)
    shape = np.sin(np.pi * np.clip(0.14 + 0.86 * t, 0.0, 1.0)).clip(0.005) ** 0.6 * (1 - 0.25 * t)
    for sweep in _SWEEPS:
        a, b = np.array(sweep.first), np.array(sweep.last)
        lift = catmull_rom(np.array(sweep.lift)[:, None], SECTIONS)[:, 0]
        for k in range(sweep.count):
            s = k / (sweep.count - 1)
            wobble = np.sin(7.3 * k + 1.7 * len(lines))  # deterministic: no two locks quite alike
            path = (1 - s) * a + s * b
            path[-1] += np.array([0.0, 0.3, 0.5]) * wobble
            direction = catmull_rom(path, SECTIONS)
            raised = lift * (1 + 0.12 * wobble) + 0.22 * (k % 2) * np.sin(np.pi * t)
            lines.append(np.concatenate([direction, raised[:, None]], axis=1))
            widths.append(sweep.width * (1 + 0.14 * np.sin(4.1 * k + 2.0)) * shape)
            light.append(0.5 + 0.5 * float(np.sin(3.7 * len(lines))))
    flat = np.concatenate(lines)
    placed = _on_scalp(flat[:, :3], flat[:, 3]).reshape(len(lines), SECTIONS, 3)
    return placed, np.array(widths), np.array(light)


def _tubes(lines: Array, widths: Array, light: Array) -> tuple[Array, list[Face], Array]:
    count = len(lines)
    along = np.gradient(lines, axis=1)
    along /= np.linalg.norm(along, axis=2, keepdims=True)
    out = lines - _MIDDLE
    out -= along * np.einsum("ijk,ijk->ij", out, along)[:, :, None]
    out /= np.linalg.norm(out, axis=2, keepdims=True)
    across = np.cross(along, out)
    rows = []
    for turn in np.arange(AROUND) * 2 * np.pi / AROUND + np.pi / 6:
        side, rise = np.cos(turn), np.sin(turn)
        thick = widths * (0.50 if rise > 0 else 0.35)
        rows.append(lines + across * (widths * side)[:, :, None] + out * (thick * rise)[:, :, None])
    points = np.stack(rows, axis=2)  # (locks, SECTIONS, AROUND, 3)
    t = np.linspace(0.0, 1.0, SECTIONS)[None, :, None]
    ridge = np.clip(np.sin(np.arange(AROUND) * 2 * np.pi / AROUND + np.pi / 6), 0, 1)[None, None, :]
    share = np.clip(0.15 + 0.35 * light[:, None, None] + 0.25 * t + 0.22 * ridge, 0, 1)[..., None]
    colours = (1 - share) * _DARK + share * _LIGHT
    faces: list[Face] = []
    for lock in range(count):
        first = lock * SECTIONS * AROUND
        for k in range(SECTIONS - 1):
            a, b = first + k * AROUND, first + (k + 1) * AROUND
            faces += [(a + i, b + i, b + (i + 1) % AROUND, a + (i + 1) % AROUND) for i in range(AROUND)]
        for end, order in ((first, 1), (first + (SECTIONS - 1) * AROUND, -1)):
            corner = [end + i for i in range(AROUND)][::order]
            faces += [(corner[0], corner[1], corner[2], corner[3]), (corner[0], corner[3], corner[4], corner[5])]
    return points.reshape(-1, 3), faces, colours.reshape(-1, 3)


def _cap() -> tuple[Array, list[Face], Array]:
    """A thin shell under the locks, so that no scalp shows between them."""
    columns, rows = 96, 6
    lon = np.linspace(-180.0, 180.0, columns, endpoint=False)
    edge = np.interp(np.abs(lon), _EDGE[0], _EDGE[1])
    t = np.append(np.linspace(0.2, 0.96, rows - 1), 1.0)[:, None]  # a short last row: a crisp hairline
    height = np.where(t < 1.0, 0.42 - 0.22 * t, -0.15) + 0.0 * lon
    origins, ways = skin.rays(np.append(0.0, np.tile(lon, rows)), np.append(87.9, (87.0 + (edge - 87.0) * t).ravel()))
    flat = sculpt.cast(origins, ways) + np.append(0.45, height.ravel())[:, None] * ways
    faces: list[Face] = [(0, 1 + i, 1 + (i + 1) % columns) for i in range(columns)]
    for k in range(rows - 1):
        a, b = 1 + k * columns, 1 + (k + 1) * columns
        faces += [(a + i, b + i, b + (i + 1) % columns, a + (i + 1) % columns) for i in range(columns)]
    return flat, faces, np.tile(0.8 * _DARK + 0.2 * _LIGHT, (len(flat), 1))


def hair() -> Part:
    """The whole hair, both sides."""
    cap, cap_faces, cap_colours = _cap()
    points, faces, colours = _tubes(*_locks())
    moved = [tuple(v + len(cap) for v in face) for face in faces]
    every = cap_faces + moved
    return Part(
        "hair",
        np.concatenate([cap, points]),
        every,
        ["Hair"] * len(every),
        np.concatenate([cap_colours, colours]),
        lopsided=True,
    )
