# SPDX-License-Identifier: GPL-3.0-or-later
"""Eye shapes, left side: lids that slide over the eyeball, and the eyeball's turn."""

from __future__ import annotations

from typing import Final

import numpy as np

from . import eyes, lids
from .fields import bump, rotate_x, rotate_z
from .model import Model
from .proportions import EYE_CENTRE, EYE_RADIUS, LOOK_ANGLE, Array

# Share of the margin's turn that each ring takes: lids.RINGS, the loose rings, the block's edge.
_FOLLOW: Final = np.array([0.55, 0.85, 1.0, 1.0, 1.0, 0.95, 0.86, 0.72, 0.50, 0.26, 0.10, 0.03, 0.0])
_FOLLOW_LOW: Final = np.array([0.55, 0.85, 1.0, 1.0, 1.0, 0.93, 0.80, 0.64, 0.48, 0.32, 0.18, 0.08, 0.0])
CATCHLIGHT_FOLLOWS: Final = 0.35

# How far the margins rise at their middle (cm, in the eye frame's Z): upper lid, lower lid.
_MARGINS: Final[dict[str, tuple[float, float]]] = {
    "eyeSquint": (-0.18, 0.46),
    "eyeWide": (0.46, -0.16),
    "eyeLookDown": (-0.48, -0.14),
    "eyeLookUp": (0.20, 0.10),
    "eyeLookIn": (0.0, 0.0),
    "eyeLookOut": (0.0, 0.0),
}
_TURNS: Final[dict[str, tuple[float, float]]] = {  # of the eyeball, in LOOK_ANGLE: up, towards +X
    "eyeLookDown": (-0.85, 0.0),
    "eyeLookUp": (0.85, 0.0),
    "eyeLookIn": (0.0, -1.0),
    "eyeLookOut": (0.0, 1.0),
}


# A raised lid goes up and back. Added to a half closed one, "back" points into the eyeball: so it also comes off it.
_RAISED_LIFT: Final = 0.52
_RESERVE: Final = 0.03  # cm between eyeball and lid that must be left halfway


def _turn_lids(model: Model, rise: Array) -> Array:
    """Lids and lashes turned about the eye's X axis so that the margin of each column rises by `rise` (cm).

    A shape key moves a vertex along the chord of its arc, and a chord dips towards the ball by R (1 - cos(angle / 2))
    halfway. The lids end so much farther out that the dip never reaches the ball; meeting lids by the same measure.
    """
    out = model.zeros()
    rings = lids.to_eye(model.points[model.eye].reshape(-1, 3)).reshape(*model.eye.shape, 3)
    edge = rings[lids.MARGIN]
    reach = np.hypot(edge[:, 1], edge[:, 2])
    now = np.arctan2(edge[:, 2], -edge[:, 1])
    then = np.arcsin(np.clip((edge[:, 2] + rise) / reach, -1.0, 1.0))
    turn = then - now
    upper = lids.is_upper()
    dip = reach * (1.0 - np.cos(0.5 * turn))
    room = np.linalg.norm(edge, axis=1) - EYE_RADIUS
    lift = 2.0 * np.maximum(dip - room + _RESERVE, 0.0)
    partner = -np.arange(lids.COLUMNS) % lids.COLUMNS
    lift = np.maximum(lift, lift[partner]) + _RAISED_LIFT * upper * np.maximum(turn, 0.0) * reach
    swell = lift / np.linalg.norm(edge, axis=1)
    share = upper * _FOLLOW[:, None] + (1 - upper) * _FOLLOW_LOW[:, None]
    for k in range(len(model.eye)):
        grow = 1.0 + swell * share[k]
        moved = rotate_x(rings[k], share[k] * turn) * grow[:, None]
        out[model.eye[k]] = lids.from_eye(moved) - model.points[model.eye[k]]
    columns = eyes.LASH_COLUMNS
    lash = model.left("lashes", 3 * len(columns))
    at = lids.to_eye(model.points[lash])
    angle = np.tile(turn[columns], 3)
    grow = 1.0 + np.tile(swell[columns], 3)
    out[lash] = lids.from_eye(rotate_x(at, angle) * grow[:, None]) - model.points[lash]
    return out


def _rise(upper: float, lower: float) -> Array:
    t = lids.along()
    return np.where(lids.is_upper() >= 0.5, upper, lower) * np.sin(np.pi * t) ** 0.9


def _look(model: Model, up: float, side: float) -> Array:
    out = model.zeros()
    for name, follow in (("eyeball", 1.0), ("catchlight", CATCHLIGHT_FOLLOWS)):
        index = model.part(name)
        index = index[model.points[index, 0] > 0]
        at = model.points[index] - EYE_CENTRE
        angle = np.radians(LOOK_ANGLE) * follow
        out[index] = rotate_z(rotate_x(at, up * angle), side * angle) - at
    return out


def build(model: Model) -> dict[str, Array]:
    """The seven eye shapes of the left eye, names without the side."""
    line = lids.closing_line() - lids.margin()[:, 1]
    shapes = {"eyeBlink": _turn_lids(model, line)}
    for name, (upper, lower) in _MARGINS.items():
        offsets = _turn_lids(model, _rise(upper, lower))
        if name in _TURNS:
            offsets += _look(model, *_TURNS[name])
        shapes[name] = offsets
    skin = model.part("skin")
    hold = lid_hold(model)
    crease = bump(model.points[skin], (3.5, -7.8, -2.4), (1.5, 1.6, 0.75)) * hold[skin]
    shapes["eyeSquint"][skin] += crease[:, None] * np.array([0.0, -0.06, 0.20])
    return shapes


def lid_hold(model: Model) -> Array:
    """0 on the lids' rims, 1 from the eye's grid block outwards, (V,): keeps other regions' motions off the eyes."""
    hold = np.ones(len(model.points))
    upper = lids.is_upper()
    for k in range(len(model.eye)):
        share = upper * _FOLLOW[k] + (1 - upper) * _FOLLOW_LOW[k]
        hold[model.eye[k]] = 1.0 - share
        hold[model.whole.mirror[model.eye[k]]] = 1.0 - share
    return hold
