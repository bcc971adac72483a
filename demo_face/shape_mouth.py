# SPDX-License-Identifier: GPL-3.0-or-later
"""Jaw, mouth, cheek, nose and tongue shapes: lips by table, the jaw about its hinge, the skin by smooth extension."""

from __future__ import annotations

from typing import Final

import numpy as np

from . import lips, teeth
from .features import catmull_rom
from .fields import bump, rotate_x, rotate_z, smoothstep
from .model import Model
from .mouth_table import BULGES, CENTRAL, SHIFT, SIDED, STILL, LipMoves, Move
from .proportions import JAW_HINGE, JAW_OPEN, Array
from .shape_eyes import lid_hold

_CORNER_JAW: Final = 0.40  # share of the jaw's motion that the mouth's corner takes
_RING_FOLLOW: Final = np.array([1.0] * (lips.INNER + 1) + [0.85, 0.5, 0.25, 0.08, 0.0])  # of lip motions, skin to cap
_SAMPLES: Final = 65


def _curve(moves: tuple[Move, ...]) -> tuple[Array, Array]:
    """Five moves from the right to the left corner as a smooth table along the mouth."""
    return np.linspace(-1.0, 1.0, _SAMPLES), catmull_rom(np.array(moves, dtype=float), _SAMPLES)


def _flip(move: Move) -> Move:
    return (-move[0], move[1], move[2], move[3])


def _five(moves: LipMoves, sided: bool) -> tuple[tuple[Move, ...], tuple[Move, ...]]:
    """Upper and lower lip's five moves."""
    out = []
    for middle, mid in ((moves.upper, moves.upper_mid), (moves.lower, moves.lower_mid)):
        right = (STILL, STILL) if sided else (_flip(moves.corner), _flip(mid))
        out.append((*right, middle, mid, moves.corner))
    return out[0], out[1]


def move_lips(model: Model, five: tuple[tuple[Move, ...], tuple[Move, ...]]) -> Array:
    """Offsets (V, 3) of the lip rings alone."""
    along, upper = model.mouth_along, model.mouth_upper
    tables = [_curve(five[0]), _curve(five[1])]
    per_lip = [np.stack([np.interp(along, t, c[:, k]) for k in range(4)], axis=1) for t, c in tables]
    move = upper[:, None] * per_lip[0] + (1 - upper)[:, None] * per_lip[1]
    roll = np.radians(np.maximum(move[:, 3], 0.0)) * np.where(upper > 0.5, 1.0, -1.0) * (upper != 0.5)
    tuck = np.maximum(-move[:, 3], 0.0) / 60.0
    out = model.zeros()
    pivot = model.points[model.mouth[1]]
    for k, ring in enumerate(model.mouth):
        at = model.points[ring]
        share = _RING_FOLLOW[k]
        turned = np.zeros_like(at)
        if 1 < k <= lips.INNER:
            turned = rotate_x(at - pivot, roll) - (at - pivot)
        # A tucked lip folds in: its red shrinks towards the touching line and goes back, so the lips stay closed.
        height = at[:, 2] - model.points[model.mouth[lips.TOUCH], 2]
        if k <= lips.TOUCH:
            turned[:, 2] -= 0.74 * tuck * height
            turned[:, 1] += 0.22 * tuck * (k > 0)
        shift = move[:, :3] * share
        slide = lips.muzzle(at[:, 0] + shift[:, 0], at[:, 2] + shift[:, 2]) - lips.muzzle(at[:, 0], at[:, 2])
        out[ring] = turned + shift
        out[ring, 1] += slide * share
    return out


def clear_teeth(model: Model, offsets: Array, margin: float = 0.06) -> Array:
    """Keeps the moved lips (rings up to the inner one) in front of the upper teeth."""
    row = teeth.UPPER
    for ring in model.mouth[: lips.INNER + 1]:
        at = model.points[ring] + offsets[ring]
        flat = np.clip(1.0 - (at[:, 0] / row.half_width) ** 2, 0.0, 1.0)
        front = teeth.ARCH_Y - row.depth * np.sqrt(flat) - margin
        offsets[ring, 1] -= np.maximum(at[:, 1] - front, 0.0)
    return offsets


def bulges(model: Model, name: str) -> Array:
    """The left side's soft masses of a shape."""
    out = model.zeros()
    index = model.part("skin")
    hold = lid_hold(model)[index] ** 3
    hold *= smoothstep(0.0, 1.3, model.lip_distance[index])  # the lips have moves of their own
    for centre, radii, offset in BULGES.get(name, ()):
        out[index] += (bump(model.points[index], centre, radii) * hold)[:, None] * np.array(offset)
    return out


def jaw_share(model: Model) -> Array:
    """How much of the jaw's motion each vertex takes, (V,) in [0, 1]."""
    p = model.points
    d = p - JAW_HINGE
    angle = np.degrees(np.arctan2(d[:, 2], -d[:, 1]))
    reach = np.hypot(d[:, 1], d[:, 2])
    share = smoothstep(-12.0, -40.0, angle) * smoothstep(1.0, 5.0, reach) * smoothstep(-86.0, -58.0, angle)
    share *= smoothstep(-12.8, -11.2, p[:, 2] + 0.12 * p[:, 1])
    share *= smoothstep(2.5, -1.5, p[:, 1])
    share[model.whole.part != 0] = 0.0
    for name in ("lower teeth", "tongue"):
        share[model.part(name)] = 1.0
    t, upper = np.abs(model.mouth_along), model.mouth_upper
    lower = 1.0 - (1.0 - _CORNER_JAW) * t**3.6
    raised = 0.02 + (_CORNER_JAW - 0.02) * t**3.2
    inside = {"gum": 1.0, "vault": 0.95, "throat": 0.6, "cap": 0.3}
    for k, ring in enumerate(model.mouth):
        share[ring] = np.where(upper > 0.5, raised, lower) * inside.get(lips.NAMES[k], 1.0)
        share[ring[upper == 0.5]] = _CORNER_JAW * inside.get(lips.NAMES[k], 1.0)
    packed = np.repeat(share[:, None], 3, axis=1)
    packed[:, 0] = 0.0
    share = model.spread(packed)[:, 1]
    return np.clip(share, 0.0, 1.0)


def _jaw(model: Model, share: Array) -> dict[str, Array]:
    p = model.points
    opened = rotate_x(p - JAW_HINGE, -np.radians(JAW_OPEN)) + JAW_HINGE + np.array([0.0, -0.25, -0.1]) - p
    side = rotate_z(p - JAW_HINGE, np.radians(5.5)) + JAW_HINGE - p
    weight = share[:, None]
    narrow = model.zeros()
    narrow[model.mouth] = np.array([-0.30, 0.0, 0.0]) * (model.mouth_along**3)[None, :, None]
    follow = _RING_FOLLOW[:, None, None]
    narrow[model.mouth] *= follow
    narrow = model.spread(narrow)
    return {
        "jawOpen": opened * weight + narrow,
        "jawForward": np.array([0.0, -0.80, -0.05]) * weight,
        "jawLeft": side * weight,
    }


def _close(model: Model, jaw_open: Array) -> Array:
    """mouthClose: brings the lips that jawOpen parted together again, the lower lip doing most of the way."""
    out = model.zeros()
    n = lips.COLUMNS
    touch = model.mouth[lips.TOUCH]
    for first in (0, n):
        column = np.arange(n)
        top, low = first + np.minimum(column, n - 1 - column), first + np.maximum(column, n - 1 - column)
        meet = 0.42 * jaw_open[touch[low]] + 0.58 * jaw_open[touch[top]]
        meet[:, 1] = 0.15 * jaw_open[touch[low], 1]  # closed lips stay before the teeth, however far back the jaw is
        for k, ring in enumerate(model.mouth):
            mine = ring[first : first + n]
            out[mine] = (meet - jaw_open[touch[first : first + n]]) * _RING_FOLLOW[k]
    return clear_teeth(model, out + jaw_open, margin=0.2) - jaw_open


def _tongue_out(model: Model, jaw_open: Array) -> Array:
    """The tongue comes out over the lower lip; the jaw and lips make just enough way for it."""
    out = jaw_open * 0.24
    out += model.spread(clear_teeth(model, move_lips(model, _five(CENTRAL["tongueOut"], sided=False))))
    tongue = model.left("tongue", teeth.TONGUE_LENGTH * teeth.TONGUE_ROUND)
    p = model.points[tongue]
    s = np.repeat(teeth.tongue_along(), teeth.TONGUE_ROUND)
    forward = -4.1 * smoothstep(0.0, 0.9, s)
    drop = 0.62 * np.sin(np.pi * np.clip(s * 1.15, 0, 1)) - 1.35 * smoothstep(0.62, 1.0, s)
    middle = np.repeat(p.reshape(teeth.TONGUE_LENGTH, -1, 3)[:, :, 2].mean(axis=1), teeth.TONGUE_ROUND)
    thinner = -0.25 * (p[:, 2] - middle) * smoothstep(0.3, 0.7, s)
    moved = np.stack([0.06 * p[:, 0], forward, drop + thinner], axis=1) + 0.5 * out[tongue]
    out[tongue] = moved
    twin = model.whole.mirror[tongue]
    out[twin] = moved * np.where(twin == tongue, 1.0, -1.0)[:, None] * (1.0, 0.0, 0.0) + moved * (0.0, 1.0, 1.0)
    return out


def build(model: Model) -> tuple[dict[str, Array], dict[str, Array]]:
    """(shapes of the left side, names without it; central shapes, jawLeft and mouthLeft among them)."""
    sided: dict[str, Array] = {}
    central = _jaw(model, jaw_share(model))
    middle = model.points[:, 0] == 0.0
    wanted: dict[str, Array] = {}
    for name, moves in SIDED.items():
        wanted[name] = move_lips(model, _five(moves, sided=True))
    for name, moves in CENTRAL.items():
        wanted[name] = move_lips(model, _five(moves, sided=False))
    wanted["mouthLeft"] = move_lips(model, SHIFT)
    wanted["mouthClose"] = _close(model, central["jawOpen"])
    names = list(wanted)
    cleared = [w if n == "mouthClose" else clear_teeth(model, w) for n, w in wanted.items()]
    filled = model.spread(np.concatenate(cleared, axis=1))
    for i, name in enumerate(names):
        offsets = filled[:, 3 * i : 3 * i + 3]
        extra = bulges(model, name)
        if name in SIDED:
            extra[middle] *= 0.5
            sided[name] = offsets + extra
        else:
            both = model.both(extra)
            both[middle] *= 0.5
            central[name] = offsets + both
    central["tongueOut"] = _tongue_out(model, central["jawOpen"])
    return sided, central
