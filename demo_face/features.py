# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyebrows and ears, left side."""

from __future__ import annotations

from typing import Final

import numpy as np

from . import sculpt
from .mesh import Face, Part, painted, strip
from .proportions import Array

HAIR_DARK: Final = (0.040, 0.016, 0.008)
EAR_SKIN: Final = (0.71, 0.32, 0.19)

# Along the brow, inner to outer end: X, Z, half height, thickness (cm).
_BROW: Final = np.array(
    [
        (1.20, 2.62, 0.24, 0.13),
        (1.65, 2.74, 0.40, 0.24),
        (2.60, 2.98, 0.44, 0.28),
        (3.60, 3.14, 0.39, 0.26),
        (4.55, 3.02, 0.28, 0.20),
        (5.30, 2.62, 0.15, 0.13),
        (5.80, 2.24, 0.05, 0.05),
    ]
)
BROW_SECTIONS: Final = 15
BROW_ROUND: Final = 8


def on_skin(x: Array, z: Array, offset: float = 0.0) -> Array:
    """Points of the face's front at X and Z, `offset` cm outside the skin."""
    origins = np.stack([x, np.zeros_like(x), z], axis=1)
    directions = np.tile(np.array([0.0, -1.0, 0.0]), (len(x), 1))
    return sculpt.cast(origins, directions, reach=14.0, offset=offset)


def catmull_rom(table: Array, count: int) -> Array:
    """`count` rows of a smooth curve through the rows of `table`."""
    padded = np.concatenate([2 * table[:1] - table[1:2], table, 2 * table[-1:] - table[-2:-1]])
    t = np.linspace(0.0, len(table) - 1.0, count)
    i = np.minimum(t.astype(int), len(table) - 2)
    f = (t - i)[:, None]
    a, b, c, d = padded[i], padded[i + 1], padded[i + 2], padded[i + 3]
    return 0.5 * (2 * b + (c - a) * f + (2 * a - 5 * b + 4 * c - d) * f**2 + (3 * b - a - 3 * c + d) * f**3)


def brow() -> Part:
    """A flat tapering tube that lies on the brow ridge."""
    curve = catmull_rom(_BROW, BROW_SECTIONS)
    centre = on_skin(curve[:, 0], curve[:, 1])
    normal = sculpt.gradient(centre)
    along = np.gradient(centre, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    up = np.cross(along, normal)
    up *= np.where(up[:, 2:] < 0, -1.0, 1.0)
    rows = []
    for turn in np.arange(BROW_ROUND) * 2 * np.pi / BROW_ROUND:
        c, s = np.cos(turn), np.sin(turn)
        out = curve[:, 3:4] * (0.85 * s + 0.05)
        rows.append(centre + up * curve[:, 2:3] * np.sign(c) * abs(c) ** 0.8 + normal * out)
    points = np.stack(rows, axis=1).reshape(-1, 3)
    n = BROW_ROUND
    faces: list[Face] = []
    for k in range(BROW_SECTIONS - 1):
        a, b = list(range(k * n, (k + 1) * n)), list(range((k + 1) * n, (k + 2) * n))
        faces += [(a[i], a[(i + 1) % n], b[(i + 1) % n], b[i]) for i in range(n)]
    faces += [(3, 2, 1, 0), (7, 4, 3, 0), (7, 6, 5, 4)]
    last = (BROW_SECTIONS - 1) * n
    faces += [tuple(last + i for i in end) for end in ((0, 1, 2, 3), (0, 3, 4, 7), (4, 5, 6, 7))]
    return painted("brow", points, faces, "Brows", HAIR_DARK)


# Ear rings from the root behind to the hollow: size (share of the outline), height over the ear's plane (cm), redness.
_EAR: Final = (
    (0.62, -0.75, 0.0), (0.86, -0.35, 0.0), (0.98, 0.0, 0.1), (1.0, 0.26, 0.2), (0.93, 0.40, 0.2), (0.84, 0.30, 0.4),
    (0.74, 0.12, 0.8), (0.62, 0.24, 0.5), (0.50, 0.18, 0.6), (0.38, -0.18, 0.9), (0.2, -0.42, 1.0),
)  # fmt: skip
_EAR_ROUND: Final = 24
EAR_CENTRE: Final = np.array([7.05, 0.85, -1.25])


def ear() -> Part:
    """A shell of rings round one outline: rim, groove, fold and hollow."""
    turn = np.arange(_EAR_ROUND) * 2 * np.pi / _EAR_ROUND  # 0 points back, a quarter turn up
    c, s = np.cos(turn), np.sin(turn)
    u = np.where(c > 0, 1.75, 1.05) * c
    v = np.where(s > 0, 2.75, 2.55) * s
    u = u * (1.0 - 0.30 * np.clip(-s, 0, 1) ** 1.5) + 0.30 * np.clip(s, 0, 1)
    points: list[Array] = []
    colours: list[Array] = []
    skin_tone, red = np.array(EAR_SKIN), np.array((0.62, 0.20, 0.15))
    for size, height, redness in _EAR:
        lobe = np.clip(-s - 0.55, 0, 1) / 0.45
        w = height * (1.0 - 0.55 * lobe) + 0.15 * np.clip(s, 0, 1)
        low = -0.25 if size < 0.55 else 0.0
        points.append(np.stack([w, u * size - 0.15 * (1 - size), v * size + low * (1 - size)], axis=1))
        colours.append(np.tile((1 - 0.55 * redness) * skin_tone + 0.55 * redness * red, (_EAR_ROUND, 1)))
    points.append(np.array([[-0.5, -0.2, -0.2]]))
    colours.append(red[None])
    flat = np.concatenate(points)
    tilt, flare = np.radians(-10.0), np.radians(24.0)
    y = flat[:, 1] * np.cos(tilt) - flat[:, 2] * np.sin(tilt)
    z = flat[:, 1] * np.sin(tilt) + flat[:, 2] * np.cos(tilt)
    x = flat[:, 0] * np.cos(flare) + (y + 1.0) * np.sin(flare)
    y = -flat[:, 0] * np.sin(flare) + y * np.cos(flare)
    placed = np.stack([x, y, z], axis=1) + EAR_CENTRE
    n = _EAR_ROUND
    faces: list[Face] = []
    for k in range(len(_EAR) - 1):
        faces += strip(list(range((k + 1) * n, (k + 2) * n)), list(range(k * n, (k + 1) * n)), closed=True)
    centre = len(_EAR) * n
    faces += [(centre, centre - n + i, centre - n + (i + 1) % n) for i in range(n)]
    return Part("ear", placed, faces, ["Skin"] * len(faces), np.concatenate(colours))


_COLLAR_SECTIONS: Final = 20
_COLLAR_ROUND: Final = 8


def collar() -> Part:
    """The rolled neck of the shirt: half a ring round the base of the neck, sinking towards the throat."""
    turn = np.linspace(0.0, np.pi, _COLLAR_SECTIONS)  # 0 in front
    way = np.stack([np.sin(turn), -np.cos(turn), np.zeros_like(turn)], axis=1)
    centre = np.array([0.0, 2.2, 0.0])
    z = -15.0 - 0.55 * np.cos(turn)
    origin = np.tile(centre, (len(turn), 1)) + np.stack([0 * z, 0 * z, z], axis=1)
    path = sculpt.cast(origin, way, reach=16.0) + 0.18 * way
    rows = []
    for round_ in np.arange(_COLLAR_ROUND) * 2 * np.pi / _COLLAR_ROUND:
        up = np.array([0.0, 0.0, 1.0]) * 0.62 * np.sin(round_)
        rows.append(path + way * 0.42 * np.cos(round_) + up - way * 0.22 * np.sin(round_))
    points = np.stack(rows, axis=1).reshape(-1, 3)
    n = _COLLAR_ROUND
    points[:n, 0] = 0.0
    points[-n:, 0] = 0.0
    faces: list[Face] = []
    for k in range(_COLLAR_SECTIONS - 1):
        a, b = list(range(k * n, (k + 1) * n)), list(range((k + 1) * n, (k + 2) * n))
        faces += strip(a, b, closed=True)
    return painted("collar", points, faces, "Cloth", (0.055, 0.19, 0.25))
