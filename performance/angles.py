# SPDX-License-Identifier: GPL-3.0-or-later
"""The forms in which files have the angles of head and eyes, and how a file's form is told.

Live Link Face writes radians: positive yaw turns to the person's right, positive pitch down, positive roll towards the
left shoulder. That is so for the eyes in recordings (`EyeLookOutLeft` 0.50 beside `LeftEyeYaw` -0.36,
`EyeLookDownLeft` 0.28 beside `LeftEyePitch` 0.17), and the head comes out of the same formula (`ToBlendShapeMap` of
Epic's AppleARKitFaceSupport). KeyframeFace writes -1 to 1 with positive yaw to the left and positive pitch up, as
channels are here. Which of the two a file has is told by whether its eye angles go with its eyeLook columns or against
them.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from .channels import CHANNELS, INDEX
from .pose import EYE_ANGLES, Array

# AUTO: told by the file. RADIANS: as the app. DEGREES: as some other writers, else as the app. UNIT: -1 to 1.
AngleForm = Literal["AUTO", "RADIANS", "DEGREES", "UNIT"]

# What an angle of 1 is: the full angles of rig mapping's profiles.
HEAD_DEGREES, EYE_DEGREES = 45.0, 35.0

# The columns of a pose that are angles.
COLUMNS = [i for i, c in enumerate(CHANNELS) if c.is_angle]
_FULL = np.radians([HEAD_DEGREES if CHANNELS[i].name.startswith("head") else EYE_DEGREES for i in COLUMNS])
# The app's yaw and pitch go the other way.
_RADIANS = _FULL * [1.0 if CHANNELS[i].name.endswith("Roll") else -1.0 for i in COLUMNS]
# As near to one another as an eye and its columns have to go, to tell which way angles are written.
_LIKE = 0.6


def scale(form: AngleForm) -> Array:
    """What a coefficient of 1 is in a form, for each of `COLUMNS`: (9,)."""
    if form == "UNIT":
        return np.ones(len(COLUMNS))
    return _RADIANS if form == "RADIANS" else np.degrees(_RADIANS)


def told(values: Array, whole_seconds: bool) -> AngleForm:
    """The form in which rows of values (N, 61) have their angles.

    `whole_seconds` says that every row is on a whole second. That decides where the eyes do not tell: KeyframeFace's
    converter puts one keyframe on each second, and the app never does. So do values within -1 and 1 that would be more
    than a full turn in radians.
    """
    if np.abs(values[:, COLUMNS]).max(initial=0.0) > math.pi + 0.05:
        return "DEGREES"
    way = _way(values)
    if way:
        return "UNIT" if way > 0 else "RADIANS"
    largest = np.abs(values[:, COLUMNS]).max(axis=0, initial=0.0)
    bounded = bool((largest <= 1.0).all() and (largest > _FULL).any())
    return "UNIT" if whole_seconds or bounded else "RADIANS"


def _way(values: Array) -> int:
    """1 if eye angles go with the eyeLook columns, -1 if against them, 0 if that cannot be told."""
    pairs = [
        (values[:, INDEX[angle]], values[:, INDEX[plus]] - values[:, INDEX[minus]])
        for angle, (plus, minus) in EYE_ANGLES.items()
    ]
    # How they move says most: at rest, an eye's angle need not be 0. If nothing moves, pitch is the nearest to it.
    moving = [(a - a.mean(), b - b.mean()) for a, b in pairs]
    for rows in (moving, [pairs[1], pairs[3]]):
        together = sum(float(a @ b) for a, b in rows)
        most = sum(float(np.linalg.norm(a) * np.linalg.norm(b)) for a, b in rows)
        if most > 1e-4 and abs(together) > _LIKE * most:
            return 1 if together > 0.0 else -1
    return 0
