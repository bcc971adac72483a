# SPDX-License-Identifier: GPL-3.0-or-later
"""Angles of a head or an eye as rotations, and back. Pure numpy.

Axes are a character's left, up and forward, as columns. Positive yaw turns forward to left, positive pitch turns
forward to up, positive roll turns up to left. Roll is applied first, then pitch, then yaw.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def matrices(turns: npt.ArrayLike, axes: Array) -> Array:
    """Rotations of shape (N, 3, 3) for yaw, pitch and roll (N, 3) in radians, in the space of `axes` (3, 3)."""
    t = np.asarray(turns, dtype=np.float64)
    (sy, sp, sr), (cy, cp, cr) = np.sin(t).T, np.cos(t).T
    zero, one = np.zeros(len(t)), np.ones(len(t))
    # Columns are the images of left, up and forward, in that basis.
    turn = _stack([[cy, zero, sy], [zero, one, zero], [-sy, zero, cy]])
    nod = _stack([[one, zero, zero], [zero, cp, sp], [zero, -sp, cp]])
    tilt = _stack([[cr, sr, zero], [-sr, cr, zero], [zero, zero, one]])
    return np.asarray(axes @ turn @ nod @ tilt @ axes.T)


def _stack(rows: list[list[Array]]) -> Array:
    return np.moveaxis(np.array(rows), 2, 0)


def angles(rotation: Array, axes: Array) -> tuple[float, float, float]:
    """Yaw, pitch and roll in radians of a rotation (3, 3): `matrices`' inverse for a pitch within 90 degrees."""
    r = axes.T @ rotation @ axes
    return (
        float(np.arctan2(r[0, 2], r[2, 2])),
        float(np.arcsin(np.clip(r[1, 2], -1.0, 1.0))),
        float(np.arctan2(-r[1, 0], r[1, 1])),
    )
