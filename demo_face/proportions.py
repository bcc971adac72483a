# SPDX-License-Identifier: GPL-3.0-or-later
"""The character's proportions: every number a modeller would want to turn, in one place.

Lengths are centimetres in the *design frame*: Z up, the character faces -Y, its left is +X, the pupils are at Z = 0.
`to_metres` turns the design frame into the mesh's: metres, the base of the neck at the origin. Angles are degrees.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

NECK_BASE: Final = np.array([0.0, 2.2, -16.4])  # design-frame point that becomes the origin

# The eyes are about half as large again as in life: they carry most of what a small picture can say.
EYE_CENTRE: Final = np.array([3.4, -6.05, -0.1])  # of the left eyeball
EYE_RADIUS: Final = 1.98
EYE_YAW: Final = 9.0  # the opening looks outwards by this, as the face curves away; the gaze does not
IRIS_RADIUS: Final = 1.10
PUPIL_RADIUS: Final = 0.50
LID_THICKNESS: Final = 0.15  # between the eyeball and the lid's outer surface
LID_GAP: Final = 0.02  # between the eyeball and the lid's inner surface
LOOK_ANGLE: Final = 30.0  # eyeLook* at 1.0

MOUTH_HALF_WIDTH: Final = 2.65
MOUTH_Z: Final = -6.3

JAW_HINGE: Final = np.array([0.0, 0.6, -3.0])  # the hinge's axis runs along X, just before the ear
JAW_OPEN: Final = 21.0  # jawOpen at 1.0, degrees


def to_metres(points: Array) -> Array:
    """Design-frame points (..., 3) in centimetres as mesh points in metres."""
    return (points - NECK_BASE) * 0.01
