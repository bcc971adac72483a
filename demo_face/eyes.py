# SPDX-License-Identifier: GPL-3.0-or-later
"""Eyeballs, their catchlights and the upper lashes, left side."""

from __future__ import annotations

from typing import Final

import numpy as np

from . import lids
from .mesh import Face, Part, painted, strip
from .proportions import EYE_CENTRE, EYE_RADIUS, IRIS_RADIUS, PUPIL_RADIUS, Array

SEGMENTS: Final = 32
LASH_FIRST: Final = 1  # column of the lid where the lashes begin
LASH_COLUMNS: Final = np.arange(LASH_FIRST, lids.OUTER + 1)

_PUPIL: Final = (0.004, 0.003, 0.003)
_IRIS_RIM: Final = (0.030, 0.014, 0.006)
_IRIS_DARK: Final = (0.050, 0.020, 0.007)
_IRIS_LIGHT: Final = (0.44, 0.20, 0.05)
_SCLERA: Final = (0.86, 0.84, 0.81)
_SCLERA_EDGE: Final = (0.72, 0.62, 0.58)


def _eye_rings() -> list[tuple[float, str]]:
    """Angles (radians) from the pupil's middle outwards, and the material of the band inside each."""
    pupil, iris = np.arcsin(PUPIL_RADIUS / EYE_RADIUS), np.arcsin(IRIS_RADIUS / EYE_RADIUS)
    rings = [(pupil * 0.5, "Pupil"), (pupil, "Pupil"), (pupil * 1.06, "Pupil")]
    rings += [(pupil + (iris - pupil) * k, "Iris") for k in (0.35, 0.65, 0.86, 0.97)]
    rings += [(iris * 1.03, "Sclera"), (iris * 1.12, "Sclera")]
    rings += [(a, "Sclera") for a in np.radians([46.0, 60.0, 75.0, 95.0, 115.0, 140.0])]
    return rings


def _iris_colour(angle: float, around: Array) -> Array:
    """Colours (SEGMENTS, 3) of the ring at `angle`: dark rim, bright below (light gathers there), fine streaks."""
    pupil, iris = np.arcsin(PUPIL_RADIUS / EYE_RADIUS), np.arcsin(IRIS_RADIUS / EYE_RADIUS)
    if angle <= pupil * 1.001:
        return np.tile(_PUPIL, (len(around), 1))
    if angle > iris * 1.05:
        edge = float(np.clip((angle - 1.0) / 0.9, 0.0, 1.0))
        return np.tile((1 - edge) * np.array(_SCLERA) + edge * np.array(_SCLERA_EDGE), (len(around), 1))
    share = (angle - pupil) / (iris - pupil)
    if share > 0.9:
        return np.tile(_IRIS_RIM, (len(around), 1))
    below = np.clip(0.5 - 0.62 * np.sin(around), 0.0, 1.0)
    streak = 0.5 + 0.5 * np.sin(around * 13.0 + 2.0 * np.sin(around * 5.0))
    light = np.clip(below * 0.85 + 0.22 * streak - 0.25 * abs(share - 0.5), 0.0, 1.0)[:, None]
    return (1 - light) * np.array(_IRIS_DARK) + light * np.array(_IRIS_LIGHT)


def eyeball() -> Part:
    """A sphere whose pole is the pupil, looking along -Y."""
    around = np.arange(SEGMENTS) * 2 * np.pi / SEGMENTS
    ring = np.stack([np.cos(around), np.zeros(SEGMENTS), np.sin(around)], axis=1)
    points, colours = [np.array([[0.0, -1.0, 0.0]])], [np.array([_PUPIL])]
    faces: list[Face] = [(0, 1 + i, 1 + (i + 1) % SEGMENTS) for i in range(SEGMENTS)]
    material = ["Pupil"] * SEGMENTS
    first = 1
    rings = _eye_rings()
    for k, (angle, _) in enumerate(rings):
        points.append(ring * np.sin(angle) + np.array([0.0, -np.cos(angle), 0.0]))
        colours.append(_iris_colour(angle, around))
        if k + 1 < len(rings):
            inner = list(range(first, first + SEGMENTS))
            outer = list(range(first + SEGMENTS, first + 2 * SEGMENTS))
            faces += strip(inner, outer, closed=True)
            material += [rings[k + 1][1]] * SEGMENTS
        first += SEGMENTS
    return Part("eyeball", np.concatenate(points) * EYE_RADIUS + EYE_CENTRE, faces, material, np.concatenate(colours))


def catchlight() -> Part:
    """A small bright disc on the upper iris. Lights come and go; a face should have life without them."""
    around = np.arange(12) * 2 * np.pi / 12
    flat = np.stack([0.23 * np.cos(around), 0.47 + 0.19 * np.sin(around)], axis=1)
    flat = np.concatenate([[[0.0, 0.47]], flat])
    points = lids.on_sphere(flat, EYE_RADIUS + 0.012) + EYE_CENTRE
    faces: list[Face] = [(0, 1 + i, 1 + (i + 1) % 12) for i in range(12)]
    return painted("catchlight", points, faces, "Catchlight", (1.0, 1.0, 1.0))


def lashes() -> Part:
    """One dark wedge along the upper lid, longest at the outer corner. Rows: lid, edge, tip; a column a lid column."""
    rings = lids.rings()
    lid = lids.to_eye(rings[lids.MARGIN + 1][LASH_COLUMNS])
    edge = lids.to_eye(rings[lids.MARGIN][LASH_COLUMNS])
    t = np.linspace(0.0, 1.0, len(LASH_COLUMNS))
    length = 0.04 + 0.26 * t**1.3
    out = lid / np.linalg.norm(lid, axis=1, keepdims=True)
    sideways = np.stack([0.15 + 0.75 * t**2, np.zeros_like(t), 0.35 + 0.3 * t], axis=1)
    top = lid + out * 0.02 + np.array([0.0, 0.0, 0.10])
    tip = edge + (out * 0.9 + sideways) * length[:, None]
    points = lids.from_eye(np.concatenate([top, edge - out * 0.005, tip]))
    n = len(LASH_COLUMNS)
    a, b, c = (list(range(k * n, (k + 1) * n)) for k in range(3))
    faces = strip(a, c) + strip(c, b)
    return painted("lashes", points, faces, "Lashes", (0.018, 0.010, 0.008))
