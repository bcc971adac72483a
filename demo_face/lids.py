# SPDX-License-Identifier: GPL-3.0-or-later
"""The eyelids as rings round the eye opening: pure spherical geometry, shared by the sculpt and the blink.

The *eye frame* has its origin in the eyeball's centre; its -Y looks outwards by `EYE_YAW`. A ring has `COLUMNS`
vertices: 0 is the inner corner (canthus), then over the upper lid to the outer corner, and back along the lower lid.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from .fields import rotate_z
from .proportions import EYE_CENTRE, EYE_RADIUS, EYE_YAW, LID_GAP, LID_THICKNESS, Array

BLOCK_WIDTH: Final = 10  # cells of the skin's grid that the eye replaces
BLOCK_HEIGHT: Final = 8
COLUMNS: Final = 2 * (BLOCK_WIDTH + BLOCK_HEIGHT)
OUTER: Final = COLUMNS // 2  # column of the outer corner
OUTSIDE: Final = EYE_RADIUS + LID_THICKNESS
INSIDE: Final = EYE_RADIUS + LID_GAP

# The opening in the eye frame, cm: a stylised almond whose outer corner sits a little higher.
CORNER_X: Final = (-1.80, 1.84)
CORNER_Z: Final = (-0.22, 0.06)
UPPER_PEAK: Final = 1.10
LOWER_PEAK: Final = -1.08
CLOSED_SAG: Final = -0.62  # lowest point of the line where closed lids meet

# Rings from deep inside the socket to the skin: how far they lie beyond the margin (share of the opening), and radius.
RINGS: Final[tuple[tuple[float, float], ...]] = (
    (0.62, INSIDE + 0.10),
    (0.30, INSIDE + 0.02),
    (0.06, INSIDE),
    (0.00, INSIDE + 0.07),  # the margin: the edge that touches the other lid
    (0.03, OUTSIDE),
    (0.16, OUTSIDE + 0.02),
    (0.32, OUTSIDE + 0.02),
    (0.50, OUTSIDE),
)
MARGIN: Final = 3  # index of the margin in RINGS


def to_eye(points: Array) -> Array:
    """Design-frame points (N, 3) in the left eye's frame."""
    return rotate_z(points - EYE_CENTRE, -np.radians(EYE_YAW))


def from_eye(points: Array) -> Array:
    """Points (N, 3) of the left eye's frame in the design frame."""
    return rotate_z(points, np.radians(EYE_YAW)) + EYE_CENTRE


def is_upper() -> Array:
    """Of each column: 1 on the upper lid, 0 on the lower, a half at the corners."""
    column = np.arange(COLUMNS)
    return np.where(np.isin(column, (0, OUTER)), 0.5, np.where(column < OUTER, 1.0, 0.0))


def along() -> Array:
    """Share (COLUMNS,) of the way from the inner to the outer corner."""
    column = np.arange(COLUMNS)
    t = np.where(column <= OUTER, column, COLUMNS - column) / OUTER
    even = 0.5 - 0.5 * np.cos(np.pi * t)
    return 0.55 * even + 0.45 * t


def _arch(t: Array, peak: float, lean: float) -> Array:
    """0 at both ends, `peak` at its top, which leans towards the outer (> 0) or inner corner."""
    u = np.clip(t, 0.0, 1.0) ** (2.0 ** (-lean))
    return peak * np.sin(np.pi * u) ** 0.80


def margin() -> Array:
    """The lid margin as (COLUMNS, 2): X and Z in the eye frame."""
    t = along()
    x = CORNER_X[0] + (CORNER_X[1] - CORNER_X[0]) * t
    base = CORNER_Z[0] + (CORNER_Z[1] - CORNER_Z[0]) * t
    upper = np.arange(COLUMNS) <= OUTER
    z = np.where(upper, _arch(t, UPPER_PEAK - 0.02, -0.12), _arch(t, LOWER_PEAK + 0.12, 0.22))
    return np.stack([x, base + z], axis=1)


def closing_line() -> Array:
    """Z (COLUMNS,) in the eye frame where the margins meet when the eye is shut."""
    t = along()
    base = CORNER_Z[0] + (CORNER_Z[1] - CORNER_Z[0]) * t
    return base + (CLOSED_SAG + 0.07) * np.sin(np.pi * t) ** 0.9


def on_sphere(xz: Array, radius: float) -> Array:
    """Points of the front half of a sphere round the eye's centre with given X, Z (N, 2), in the eye frame."""
    flat = np.linalg.norm(xz, axis=1, keepdims=True)
    xz = xz * np.minimum(1.0, 0.97 * radius / np.maximum(flat, 1e-9))
    y = -np.sqrt(radius * radius - np.einsum("ij,ij->i", xz, xz))
    return np.stack([xz[:, 0], y, xz[:, 1]], axis=1)


def rings() -> Array:
    """All explicit rings (len(RINGS), COLUMNS, 3) in the design frame."""
    edge = margin()
    middle = np.array([0.0, 0.5 * (CORNER_Z[0] + CORNER_Z[1])])
    # Angles, not lengths, grow outwards: a ring keeps its distance to the margin over the ball's curve.
    unit = on_sphere(edge, OUTSIDE) / OUTSIDE
    angle = np.arcsin(np.clip(np.linalg.norm(unit[:, [0, 2]], axis=1), 0, 1))
    away = unit[:, [0, 2]] - middle * 0.3
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    rows = []
    for share, radius in RINGS:
        grown = angle + share * np.where(angle > 0.9, 0.42, 0.62)
        direction = unit[:, [0, 2]] / np.linalg.norm(unit[:, [0, 2]], axis=1, keepdims=True)
        flat = np.sin(np.minimum(grown, 1.5))[:, None] * direction
        depth = -np.cos(np.minimum(grown, 1.5))
        rows.append(radius * np.stack([flat[:, 0], depth, flat[:, 1]], axis=1))
    stacked = np.stack(rows)
    return from_eye(stacked.reshape(-1, 3)).reshape(stacked.shape)
