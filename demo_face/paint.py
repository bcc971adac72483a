# SPDX-License-Identifier: GPL-3.0-or-later
"""Materials as data, and the skin's vertex colours: a warm base, blush, red lips, dark lid edges."""

from __future__ import annotations

from typing import Final

import numpy as np

from . import lids, lips, skin
from .fields import bump, smoothstep
from .mesh import Material
from .proportions import Array

SKIN_TONE: Final = (0.74, 0.345, 0.205)
LIP_TONE: Final = (0.58, 0.185, 0.14)
MOUTH_TONE: Final = (0.30, 0.055, 0.05)
CLOTH_TONE: Final = (0.055, 0.19, 0.25)

MATERIALS: Final[tuple[Material, ...]] = (
    Material("Skin", SKIN_TONE, 0.48, subsurface=0.12, tinted=True),
    Material("Lips", LIP_TONE, 0.42, subsurface=0.10, coat=0.0, tinted=True),
    Material("Mouth", MOUTH_TONE, 0.45, tinted=True),
    Material("Sclera", (0.86, 0.84, 0.81), 0.12, coat=0.6, tinted=True),
    Material("Iris", (0.22, 0.10, 0.03), 0.10, coat=1.0, tinted=True),
    Material("Pupil", (0.004, 0.003, 0.003), 0.05, coat=1.0, tinted=True),
    Material("Catchlight", (1.0, 1.0, 1.0), 0.5, emission=1.6),
    Material("Lashes", (0.018, 0.010, 0.008), 0.6),
    Material("Brows", (0.045, 0.018, 0.009), 0.7),
    Material("Hair", (0.075, 0.028, 0.012), 0.50, tinted=True),
    Material("Teeth", (0.93, 0.90, 0.84), 0.18, coat=0.3, emission=0.10, tinted=True),
    Material("Gums", (0.55, 0.16, 0.15), 0.3, tinted=True),
    Material("Tongue", (0.62, 0.17, 0.17), 0.38, tinted=True),
    Material("Cloth", CLOTH_TONE, 0.85, sheen=0.4),
)

# Round places that are redder or lighter than the rest: centre, radii, colour, strength.
_SPOTS: Final = (
    ((4.3, -6.0, -3.3), (1.6, 2.5, 1.2), (0.80, 0.27, 0.20), 0.60),  # cheeks
    ((0.0, -10.0, -3.3), (0.9, 1.0, 0.8), (0.80, 0.29, 0.21), 0.50),  # tip of the nose
    ((0.0, -8.0, -10.2), (1.2, 1.5, 0.8), (0.80, 0.34, 0.25), 0.25),  # chin
    ((3.4, -8.2, 1.4), (1.5, 1.0, 0.5), (0.60, 0.27, 0.19), 0.35),  # upper lids
    ((0.0, -9.5, 6.5), (3.5, 3.0, 2.0), (0.88, 0.53, 0.39), 0.35),  # forehead
)


def skin_colours(shape: skin.Skin) -> Array:
    """Linear RGB (N, 3) of the left half's vertices."""
    p = shape.points
    colour = np.tile(np.array(SKIN_TONE), (len(p), 1))
    for centre, radii, tone, strength in _SPOTS:
        blush = strength * bump(p, centre, radii)[:, None]
        colour = (1 - blush) * colour + blush * np.array(tone)
    for k, share in ((0, 0.9), (1, 0.9), (2, 0.7), (lids.MARGIN, 0.75), (lids.MARGIN + 1, 0.35)):
        colour[shape.eye[k]] = (1 - share) * colour[shape.eye[k]] + share * np.array((0.30, 0.10, 0.075))
    crease = lids.is_upper()[:, None]  # the fold above the upper lid, which shape alone does not show
    for k, share in ((6, 0.15), (7, 0.45), (8, 0.25)):
        colour[shape.eye[k]] += share * crease * (np.array((0.36, 0.13, 0.09)) - colour[shape.eye[k]])
    first = 1 + skin.MOUTH_LOOSE
    red = np.array([0.0, 0.30, 0.85, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    inner = np.array([0.0] * lips.TOUCH + [0.25, 0.45, 0.7, 1.0, 1.0, 1.0, 1.0])
    fade = 1.0 - 0.35 * smoothstep(0.80, 1.0, lips.along())
    for k in range(len(lips.NAMES)):
        ring = shape.mouth[first + k]
        share = (red[k] * (fade if k < lips.TOUCH else 1.0))[..., None] if k < lips.TOUCH else red[k]
        tone = (1 - inner[k]) * np.array(LIP_TONE) + inner[k] * np.array(MOUTH_TONE)
        colour[ring] = (1 - share) * colour[ring] + share * tone
    cloth = shape.row >= skin.SHIRT_ROW
    colour[cloth] = np.array(CLOTH_TONE)
    return np.asarray(colour)


def skin_materials(shape: skin.Skin) -> list[str]:
    """Material of each face of the left half."""
    kind = np.zeros(len(shape.points), dtype=int)
    first = 1 + skin.MOUTH_LOOSE
    for k in range(len(lips.NAMES)):
        kind[shape.mouth[first + k]] = 0 if k < 1 else 1 if k <= lips.INNER else 2
    names = []
    for face in shape.faces:
        rows = shape.row[list(face)]
        if rows.min() >= skin.SHIRT_ROW:
            names.append("Cloth")
        else:
            names.append(("Skin", "Lips", "Mouth")[int(kind[list(face)].min())])
    return names
