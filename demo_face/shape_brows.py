# SPDX-License-Identifier: GPL-3.0-or-later
"""Brow shapes: brows and forehead skin sliding over the skull."""

from __future__ import annotations

from typing import Final

import numpy as np

from .fields import smoothstep
from .model import Model
from .proportions import Array
from .shape_eyes import lid_hold

# Left brow, along |X| (cm): rise, outwards, forwards.
_X: Final = np.array([0.0, 1.2, 2.2, 3.4, 4.6, 5.8, 7.4])
_MOVES: Final[dict[str, Array]] = {
    "browDown": np.array(
        [(-0.30, 0, 0.10), (-0.78, -0.30, 0.18), (-0.74, -0.26, 0.14), (-0.46, -0.16, 0.05),
        (-0.14, -0.06, 0), (-0.06, 0, 0),
         (0, 0, 0)]
    ),
    "browInnerUp": np.array(
        [(0.66, 0, 0), (1.00, -0.10, 0.06), (0.66, -0.08, 0.03), (0.14, -0.02, 0), (-0.22, 0, 0),
        (-0.30, 0, 0), (0, 0, 0)]
    ),
    "browOuterUp": np.array(
        [(0.02, 0, 0), (0.10, 0, 0), (0.38, 0, 0), (0.74, 0.03, 0), (0.82, 0.06, 0), (0.58, 0.06, 0), (0, 0, 0)]
    ),
}  # fmt: skip


def forehead(x: Array, z: Array) -> Array:
    """Y of the smooth bone that brows slide over."""
    inside = 1.0 - (x / 7.6) ** 2 - ((z - 1.5) / 11.5) ** 2
    return -8.4 * np.sqrt(np.clip(inside, 0.02, 1.0))


def brow_field(model: Model, moves: Array) -> Array:
    """A left brow's motion, (len(_X), 3) of `_MOVES`' kind, carried to the skin round it and the brow itself."""
    p = model.points
    x = p[:, 0]
    line = 2.75 + 0.3 * np.exp(-(((x - 3.8) / 1.6) ** 2))
    above = np.exp(-0.5 * (np.maximum(p[:, 2] - line, 0.0) / 1.75) ** 2)
    below = np.exp(-0.5 * (np.maximum(line - 0.35 - p[:, 2], 0.0) / 0.72) ** 2)
    share = np.where(p[:, 2] > line, above, below) * smoothstep(-1.0, -3.5, p[:, 1]) * lid_hold(model)
    share *= smoothstep(7.3, 6.0, x)
    brow = model.part("brow")
    share[brow] = 1.0
    kept = model.zeros()
    index = np.concatenate([model.part("skin"), brow])
    index = index[(share[index] > 1e-4) & (x[index] >= 0.0)]
    rise, out, forward = (np.interp(x[index], _X, moves[:, k]) * share[index] for k in range(3))
    slide = forehead(x[index] + out, p[index, 2] + rise) - forehead(x[index], p[index, 2])
    kept[index] = np.stack([out, slide - forward, rise], axis=1)
    return kept


def build(model: Model) -> dict[str, Array]:
    """browDown and browOuterUp of the left side (names without the side), and the whole browInnerUp."""
    shapes = {name: brow_field(model, moves) for name, moves in _MOVES.items()}
    middle = model.points[:, 0] == 0.0
    inner = model.both(shapes["browInnerUp"])
    inner[middle] *= 0.5
    shapes["browInnerUp"] = inner
    for name in ("browDown", "browOuterUp"):
        shapes[name][middle] *= 0.5
    return shapes
