# SPDX-License-Identifier: GPL-3.0-or-later
"""The lips and the mouth's inside as rings round the mouth's slit, left half.

A ring has `COLUMNS` vertices in the half: 0 is the middle of the upper side, `CORNER` the mouth's corner, the last one
the middle of the lower side. `RINGS` run from the skin round the lips, over the red and the line where the lips touch,
to the cap at the back of the mouth.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from . import sculpt
from .fields import smoothstep
from .proportions import MOUTH_HALF_WIDTH, MOUTH_Z, Array

BLOCK_WIDTH: Final = 10  # cells of the skin's grid (half) that the mouth replaces
BLOCK_HEIGHT: Final = 4
COLUMNS: Final = 2 * BLOCK_WIDTH + BLOCK_HEIGHT + 1
CORNER: Final = COLUMNS // 2

# name, share of the lip's height from the touching line, forward (cm, scaled down to the corner), backward (cm, kept)
RINGS: Final[tuple[tuple[str, float, float, float], ...]] = (
    ("skin", 1.32, 0.01, 0.0),
    ("border", 1.05, 0.06, 0.0),
    ("edge", 0.90, 0.13, 0.0),
    ("crest", 0.56, 0.26, 0.0),
    ("roll", 0.26, 0.24, 0.0),
    ("brink", 0.07, 0.11, 0.0),
    ("touch", 0.00, -0.06, 0.04),
    ("inner", 0.16, 0.0, 0.35),
)
NAMES: Final = (*(ring[0] for ring in RINGS), "pocket", "gum", "vault", "throat", "cap")
TOUCH: Final = NAMES.index("touch")
INNER: Final = NAMES.index("inner")
# The bag behind the lips, ring by ring: width, backwards, up, down (cm). It has room for teeth and gums.
_BAG: Final = (
    (1.03, 0.42, 0.75, 0.75),
    (1.08, 0.80, 1.75, 1.35),
    (1.10, 2.6, 2.0, 1.7),
    (1.0, 4.6, 1.3, 1.6),
    (0.45, 5.6, 0.4, 1.0),
)
UPPER_HEIGHT: Final = 0.66
LOWER_HEIGHT: Final = 0.82


def along() -> Array:
    """|X| as a share of the mouth's half width, of each column: 0 in the middle, 1 in the corner."""
    t = 1.0 - np.abs(np.arange(COLUMNS) - CORNER) / CORNER
    return np.sin(0.5 * np.pi * t) * 0.45 + t * 0.55


def is_upper() -> Array:
    """1 for the upper lip's columns, 0 for the lower's, a half in the corner."""
    column = np.arange(COLUMNS)
    return np.where(column < CORNER, 1.0, np.where(column > CORNER, 0.0, 0.5))


def muzzle(x: Array, z: Array) -> Array:
    """Y of the smooth cylinder that the lips slide over, at X and Z: an ellipse in plan, slightly rounded upright."""
    flat = np.clip(1.0 - (x / 5.6) ** 2, 0.02, 1.0)
    return -2.9 - 5.72 * np.sqrt(flat) + 0.035 * (z - MOUTH_Z) ** 2


def _depth(x: Array, z: Array) -> Array:
    """Y of the sculpted face at X and Z: the ground that the lips stand on."""
    origins = np.stack([x, np.full_like(x, -2.0), z], axis=1)
    return sculpt.cast(origins, np.tile(np.array([0.0, -1.0, 0.0]), (len(x), 1)), reach=12.0)[:, 1]


def rings() -> Array:
    """All rings (len(NAMES), COLUMNS, 3) of the left half in the design frame."""
    t, upper = along(), is_upper()
    x = MOUTH_HALF_WIDTH * t
    line = MOUTH_Z + 0.34 * t**2.2 - 0.07 * np.cos(np.pi * 2.2 * t) * (1 - t)  # a faint bow, corners up: friendly
    bow = 1.0 - 0.20 * np.exp(-((t / 0.15) ** 2)) + 0.07 * np.exp(-(((t - 0.24) / 0.16) ** 2))
    taper_up = np.clip(1.0 - t**1.7, 0.0, 1.0) ** 0.85
    taper_low = np.clip(1.0 - t**2.0, 0.0, 1.0) ** 0.9
    height = np.where(upper > 0.5, UPPER_HEIGHT * bow * taper_up, -LOWER_HEIGHT * taper_low)
    full = np.where(upper > 0.5, 0.92, 1.0) * np.clip(1 - t**2.2, 0, 1)
    shares = np.array([ring[1] for ring in RINGS])[:, None]
    xs, zs = x + 0.20 * shares * smoothstep(0.55, 1.0, t), line + shares * height
    ground = _depth(np.append(xs, x), np.append(zs, line)).reshape(-1, COLUMNS)
    forward, backward = (np.array([ring[k] for ring in RINGS])[:, None] for k in (2, 3))
    rows = list(np.stack([xs, ground[:-1] - forward * full + backward, zs], axis=2))
    sign = np.where(upper > 0.5, 1.0, -1.0)
    side = np.clip(1 - t**2, 0, 1)
    closing = np.where(upper == 0.5, 0.0, 1.0)
    for x_scale, y_back, above, below in _BAG:
        lift = np.where(sign > 0, above, -below) * (0.25 + 0.75 * side) * closing
        y = ground[-1] + y_back
        rows.append(np.stack([x * x_scale, y, line + lift], axis=1))
    stacked = np.stack(rows)
    stacked[:, [0, -1], 0] = 0.0
    return stacked
