# SPDX-License-Identifier: GPL-3.0-or-later
"""Teeth with gums, and the tongue, left half, in the closed mouth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from .mesh import Face, Part, painted, strip
from .proportions import MOUTH_Z, Array

_WIDTHS: Final = (0.68, 0.56, 0.60, 0.55, 0.55, 0.72, 0.72)  # from the middle backwards, upper jaw
_ENAMEL: Final = (0.93, 0.90, 0.84)
_GUM: Final = (0.55, 0.16, 0.15)
_TONGUE: Final = (0.62, 0.17, 0.17)


@dataclass(frozen=True)
class Row:
    """A row of teeth. `up` is the direction from the biting edge to the gum; lengths in cm."""

    name: str
    half_width: float
    depth: float
    edge: float
    neck: float
    gum: float
    scale: float  # of the teeth's widths
    up: float
    sag: float = 0.0  # cm that the row sinks over each squared cm backwards: open jaws do not show its far end


UPPER: Final = Row("upper teeth", 2.56, 3.42, MOUTH_Z - 0.42, 0.92, 1.50, 1.0, 1.0)
LOWER: Final = Row("lower teeth", 2.36, 3.14, MOUTH_Z - 0.30, 0.78, 1.45, 0.86, -1.0, sag=0.06)
ARCH_Y: Final = -4.85


def _arch(row: Row, length: Array, inset: Array) -> tuple[Array, Array]:
    """X and Y on the dental arch at arc lengths from the middle, `inset` cm inside it."""
    fine = np.linspace(0.0, np.radians(100.0), 200)
    x, y = row.half_width * np.sin(fine), -row.depth * np.cos(fine)
    so_far = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
    angle = np.interp(length, so_far, fine)
    normal = np.stack([np.sin(angle) / row.half_width, -np.cos(angle) / row.depth], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    px = row.half_width * np.sin(angle) - normal[..., 0] * inset
    py = ARCH_Y - row.depth * np.cos(angle) - normal[..., 1] * inset
    return px, py


def teeth(row: Row) -> Part:
    """One band along the arch, notched between the teeth."""
    lengths, groove = [0.0], [1.0]
    start = 0.0
    for width in _WIDTHS:
        wide = width * row.scale
        lengths += [start + wide * f for f in (0.12, 0.5, 0.88, 1.0)]
        groove += [0.25, 0.0, 0.25, 1.0]
        start += wide
    s, g = np.array(lengths), np.array(groove)
    # Profile: inset from the arch and height above the biting edge.
    profile = [
        (0.30, row.gum, 0.0), (0.02, row.gum - 0.25, 0.0), (0.0, row.neck + 0.04, 0.0), (0.05, row.neck - 0.06, 0.06),
        (0.0, row.neck * 0.5, 0.07), (0.02, 0.10, 0.10), (0.08, 0.0, 0.06), (0.22, 0.0, 0.0), (0.34, 0.16, 0.0),
        (0.42, row.neck, 0.0),
    ]  # fmt: skip
    rows: list[Array] = []
    for inset, height, notch in profile:
        x, y = _arch(row, s, inset + notch * g)
        scallop = 0.10 * (g - 0.3) * (1.0 if abs(height - row.neck) < 0.1 else 0.0)
        nick = 0.07 * g**2 * (1.0 if height < 0.05 else 0.0)
        rows.append(np.stack([x, y, row.edge - row.sag * s**2 + row.up * (height - scallop + nick)], axis=1))
    points = np.concatenate(rows)
    points[:: len(s), 0] = 0.0
    n = len(s)
    faces: list[Face] = []
    material: list[str] = []
    for k in range(len(profile) - 1):
        a, b = list(range(k * n, (k + 1) * n)), list(range((k + 1) * n, (k + 2) * n))
        faces += strip(a, b) if row.up > 0 else strip(b, a)
        material += ["Gums" if k < 2 else "Teeth"] * (n - 1)
    shade = [_GUM] * 3 + [_ENAMEL] * (len(profile) - 3)
    return Part(row.name, points, faces, material, np.repeat(np.array(shade), n, axis=0))


TONGUE_LENGTH: Final = 13  # sections from root to tip
TONGUE_ROUND: Final = 8  # points round half a section


def tongue_along() -> Array:
    """Share of the tongue's length at each section, closer together where the tip is round."""
    t = np.linspace(0.0, 1.0, TONGUE_LENGTH)
    return np.asarray(t + 0.16 * np.sin(np.pi * t) * t)


def tongue() -> Part:
    """A tapering half tube; section 0 is the root, the last one the tip."""
    s = tongue_along()
    y = -2.2 - 5.0 * s
    z = MOUTH_Z - 1.0 + 0.45 * np.sin(np.pi * s) - 0.20 * s
    full = np.clip(1.0 - s**4, 0.0, 1.0) ** 0.5
    width = (1.45 - 0.25 * s) * full + 0.02
    thick = (0.62 - 0.24 * s) * full + 0.01
    turn = np.linspace(0.0, np.pi, TONGUE_ROUND)
    rows = []
    for k in range(TONGUE_LENGTH):
        x = width[k] * np.sin(turn) ** 0.8
        groove = -0.16 * np.exp(-((x / 0.35) ** 2)) * (turn < 1.5) * full[k] * np.sin(np.pi * min(1, s[k] + 0.2))
        rows.append(np.stack([x, np.full_like(x, y[k]), z[k] + thick[k] * np.cos(turn) + groove], axis=1))
    points = np.concatenate(rows)
    n = TONGUE_ROUND
    points[0::n, 0] = 0.0
    points[n - 1 :: n, 0] = 0.0
    faces: list[Face] = []
    for k in range(TONGUE_LENGTH - 1):
        a, b = list(range(k * n, (k + 1) * n)), list(range((k + 1) * n, (k + 2) * n))
        faces += strip(a, b)
    last = (TONGUE_LENGTH - 1) * n
    middle = [(last + i, last + n - 1 - i, last + n - 2 - i, last + i + 1) for i in range(n // 2 - 1)]
    faces += [tuple(f) for f in middle]
    return painted("tongue", points, faces, "Tongue", _TONGUE)
