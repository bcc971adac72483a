# SPDX-License-Identifier: GPL-3.0-or-later
"""The head's surface as a signed distance field: round volumes, melted together.

Volumes blend with the polynomial smooth minimum (Quilez, "smooth minimum", iquilezles.org/articles/smin); the distance
to an ellipsoid is his first-order bound, good enough to project on to. Distances are centimetres in the design frame,
negative inside. The field is symmetric by construction: it sees |x|.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from .proportions import EYE_CENTRE, EYE_RADIUS, LID_THICKNESS, Array

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Blob:
    """An ellipsoid that is melted in (or, when `carve`, carved out) over a blend width of `blend` cm."""

    name: str
    centre: Triple
    radii: Triple
    blend: float
    carve: bool = False


@dataclass(frozen=True)
class Cone:
    """A rounded cone from `start` to `end` with a radius at each end."""

    name: str
    start: Triple
    end: Triple
    radii: tuple[float, float]
    blend: float


EYE: Triple = (float(EYE_CENTRE[0]), float(EYE_CENTRE[1]), float(EYE_CENTRE[2]))
LID_BALL: Final = EYE_RADIUS + LID_THICKNESS

# Order matters: later volumes melt into everything before them.
HEAD: Final[tuple[Blob | Cone, ...]] = (
    Blob("cranium", (0.0, 1.5, 3.7), (7.8, 9.0, 8.2), 0.0),
    Blob("face", (0.0, -1.6, -0.9), (7.0, 7.0, 7.8), 2.5),
    Blob("jaw", (0.0, -2.9, -5.6), (4.9, 5.2, 4.3), 2.2),
    Blob("jaw corner", (3.7, -1.0, -5.4), (1.8, 2.6, 1.9), 2.2),
    Blob("chin", (0.0, -6.75, -8.55), (2.0, 1.5, 1.35), 2.4),
    Blob("cheek", (3.85, -4.9, -3.3), (2.6, 2.75, 2.2), 1.8),
    Blob("muzzle", (0.0, -5.5, -5.95), (3.1, 3.0, 2.5), 1.5),
    Blob("brow ridge", (2.7, -6.5, 2.8), (2.9, 1.5, 1.0), 1.6),
    Blob("socket", (3.45, -9.3, -0.15), (2.6, 1.75, 1.85), 1.4, carve=True),
    Blob("lids", EYE, (LID_BALL, LID_BALL, LID_BALL), 0.45),
    Cone("nose bridge", (0.0, -7.3, 1.2), (0.0, -8.75, -2.5), (0.6, 0.72), 0.9),
    Blob("nose tip", (0.0, -9.3, -2.95), (0.95, 0.98, 0.84), 0.7),
    Blob("nose wing", (0.96, -8.55, -3.2), (0.58, 0.78, 0.54), 0.45),
    Blob("nostril", (0.5, -9.05, -3.85), (0.26, 0.42, 0.28), 0.3, carve=True),
    Cone("neck", (0.0, 1.5, -8.0), (0.0, 2.3, -16.8), (3.6, 3.75), 1.7),
    Blob("shoulders", (0.0, 2.4, -20.6), (9.5, 5.4, 4.6), 3.6),
)


def _ellipsoid(p: Array, centre: Triple, radii: Triple) -> Array:
    r = np.array(radii)
    q = p - np.array(centre)
    square = q * q
    k0 = np.sqrt(square @ (1.0 / (r * r)))
    k1 = np.maximum(np.sqrt(square @ (1.0 / r**4)), 1e-9)
    return k0 * (k0 - 1.0) / k1


def _cone(p: Array, cone: Cone) -> Array:
    a, b = np.array(cone.start), np.array(cone.end)
    axis = b - a
    t = np.clip((p - a) @ axis / (axis @ axis), 0.0, 1.0)
    radius = cone.radii[0] + t * (cone.radii[1] - cone.radii[0])
    return np.linalg.norm(p - a - t[:, None] * axis, axis=1) - radius


def _melt(a: Array, b: Array, width: float) -> Array:
    if width <= 0.0:
        return np.minimum(a, b)
    h = np.maximum(width - np.abs(a - b), 0.0) / width
    return np.minimum(a, b) - h * h * width * 0.25


def distance(points: Array) -> Array:
    """Signed distance (N,) of points (N, 3) to the head's skin."""
    p = points.copy()
    p[:, 0] = np.abs(p[:, 0])
    d = np.full(len(p), 1e3)
    for volume in HEAD:
        if isinstance(volume, Cone):
            d = _melt(d, _cone(p, volume), volume.blend)
        elif volume.carve:
            d = -_melt(-d, _ellipsoid(p, volume.centre, volume.radii), volume.blend)
        else:
            d = _melt(d, _ellipsoid(p, volume.centre, volume.radii), volume.blend)
    return d


def gradient(points: Array) -> Array:
    """Unit outward normals (N, 3) of the field, by central differences."""
    step = 0.02
    n = np.empty_like(points)
    for axis in range(3):
        offset = np.zeros(3)
        offset[axis] = step
        n[:, axis] = distance(points + offset) - distance(points - offset)
    return n / np.maximum(np.linalg.norm(n, axis=1, keepdims=True), 1e-12)


def project(points: Array, steps: int = 2, offset: float = 0.0) -> Array:
    """Points (N, 3) moved along the field's gradient on to its level `offset` (cm outside the skin)."""
    p = points.copy()
    for _ in range(steps):
        p -= (distance(p) - offset)[:, None] * gradient(p)
    return p


def cast(origins: Array, directions: Array, reach: float = 24.0, offset: float = 0.0) -> Array:
    """First points (N, 3) where rays, marched *inwards* from `reach` cm, meet the level `offset`."""
    t = np.full(len(origins), reach)
    for _ in range(48):
        step = 0.8 * (distance(origins + t[:, None] * directions) - offset)
        t = np.maximum(t - step, 0.0)
        if np.abs(step).max() < 1e-5:
            break
    return origins + t[:, None] * directions
