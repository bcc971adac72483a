# SPDX-License-Identifier: GPL-3.0-or-later
"""Small scalar helpers shared by the sculpt and the shapes. All of them work on arrays and are pure."""

from __future__ import annotations

import numpy as np

from .proportions import Array


def smoothstep(low: float, high: float, x: Array) -> Array:
    """0 below `low`, 1 above `high`, a cubic with flat ends between; `low` > `high` turns it round."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def bump(points: Array, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Array:
    """A Gaussian of height 1 round `centre`; `radii` are its standard deviations along X, Y and Z."""
    d = (points - np.array(centre)) / np.array(radii)
    return np.exp(-0.5 * np.einsum("ij,ij->i", d, d))


def rotate_x(points: Array, angle: Array | float) -> Array:
    """Points (N, 3) turned about the X axis by radians (N,); positive lifts what looks along -Y."""
    c, s = np.cos(angle), np.sin(angle)
    y, z = points[:, 1], points[:, 2]
    return np.stack([points[:, 0], y * c + z * s, z * c - y * s], axis=1)


def rotate_z(points: Array, angle: Array | float) -> Array:
    """Points (N, 3) turned about the Z axis by radians; positive turns what looks along -Y towards +X."""
    c, s = np.cos(angle), np.sin(angle)
    x, y = points[:, 0], points[:, 1]
    return np.stack([x * c - y * s, x * s + y * c, points[:, 2]], axis=1)
