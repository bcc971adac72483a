# SPDX-License-Identifier: GPL-3.0-or-later
"""The 61 channels of a pose, in KeyframeFace's order.

52 ARKit blend shapes in [0, 1] (Apple, ARFaceAnchor.BlendShapeLocation), then nine angles in [-1, 1]: yaw,
pitch and roll of the head and of each eye, as Live Link Face records them. The order is that of
KeyframeFace (arXiv 2512.11321) and of Live Link Face's CSV.

Sides are the character's own. Positive yaw turns to the character's left, positive pitch up, positive roll
towards the character's left shoulder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Side = Literal["left", "right", "middle"]

REGIONS = ("brows", "eyes", "nose and cheeks", "mouth", "jaw", "head")

# Region, then its channels in the order of the pose. Angles are listed last, whatever their region.
_TABLE: tuple[tuple[str, str], ...] = (
    ("eyes", "eyeBlinkLeft eyeLookDownLeft eyeLookInLeft eyeLookOutLeft eyeLookUpLeft eyeSquintLeft eyeWideLeft"),
    ("eyes", "eyeBlinkRight eyeLookDownRight eyeLookInRight eyeLookOutRight eyeLookUpRight eyeSquintRight"),
    ("eyes", "eyeWideRight"),
    ("jaw", "jawForward jawRight jawLeft jawOpen"),
    ("mouth", "mouthClose mouthFunnel mouthPucker mouthRight mouthLeft mouthSmileLeft mouthSmileRight"),
    ("mouth", "mouthFrownLeft mouthFrownRight mouthDimpleLeft mouthDimpleRight mouthStretchLeft"),
    ("mouth", "mouthStretchRight mouthRollLower mouthRollUpper mouthShrugLower mouthShrugUpper mouthPressLeft"),
    ("mouth", "mouthPressRight mouthLowerDownLeft mouthLowerDownRight mouthUpperUpLeft mouthUpperUpRight"),
    ("brows", "browDownLeft browDownRight browInnerUp browOuterUpLeft browOuterUpRight"),
    ("nose and cheeks", "cheekPuff cheekSquintLeft cheekSquintRight noseSneerLeft noseSneerRight"),
    ("mouth", "tongueOut"),
    ("head", "headYaw headPitch headRoll"),
    ("eyes", "leftEyeYaw leftEyePitch leftEyeRoll rightEyeYaw rightEyePitch rightEyeRoll"),
)


@dataclass(frozen=True)
class Channel:
    """One channel: its camelCase `name`, side, region and range."""

    name: str
    side: Side
    region: str
    low: float
    high: float

    @property
    def pascal(self) -> str:
        """The name as KeyframeFace and Live Link Face write it (`JawOpen`)."""
        return self.name[0].upper() + self.name[1:]

    @property
    def is_angle(self) -> bool:
        """Whether the channel is a head or eye angle rather than a blend shape."""
        return self.low < 0.0


def _side(name: str) -> Side:
    if name.endswith("Left") or name.startswith("left"):
        return "left"
    if name.endswith("Right") or name.startswith("right"):
        return "right"
    return "middle"


def _mirror_name(name: str) -> str:
    for a, b in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(a):
            return name[: -len(a)] + b
        if name.startswith(a.lower()):
            return b.lower() + name[len(a) :]
    return name


def _build() -> tuple[Channel, ...]:
    rows = []
    for region, names in _TABLE:
        for name in names.split():
            angle = name.endswith(("Yaw", "Pitch", "Roll"))
            rows.append(Channel(name, _side(name), region, -1.0 if angle else 0.0, 1.0))
    return tuple(rows)


CHANNELS: tuple[Channel, ...] = _build()
COUNT = len(CHANNELS)
BLEND_SHAPES: tuple[str, ...] = tuple(c.name for c in CHANNELS if not c.is_angle)
HEAD_CHANNELS: tuple[str, ...] = ("headYaw", "headPitch", "headRoll")
INDEX: dict[str, int] = {c.name: i for i, c in enumerate(CHANNELS)}
LOW = np.array([c.low for c in CHANNELS])
HIGH = np.array([c.high for c in CHANNELS])

# Mirroring left and right: `pose[MIRROR] * MIRROR_SIGN`. Yaw and roll change their sign, pitch does not.
MIRROR = np.array([INDEX[_mirror_name(c.name)] for c in CHANNELS])
MIRROR_SIGN = np.array([-1.0 if c.name.endswith(("Yaw", "Roll")) else 1.0 for c in CHANNELS])
