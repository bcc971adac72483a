# SPDX-License-Identifier: GPL-3.0-or-later
"""What each mouth shape does to the lips, as data.

A move is (dx, dy, dz, roll): centimetres in the design frame, dx away from the middle (but see `full`), dy backwards
beyond what the slide over the muzzle gives, dz up; roll in degrees turns the lip outwards (> 0) or in over the teeth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

Move = tuple[float, float, float, float]
STILL: Final[Move] = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class LipMoves:
    """Moves of the mouth's corner and of each lip's middle (`mid`: half way to the corner).

    A sided shape moves its own corner; its middle values are *half* the motion, the other side's shape adds the rest.
    """

    corner: Move = STILL
    upper: Move = STILL
    upper_mid: Move = STILL
    lower: Move = STILL
    lower_mid: Move = STILL


SIDED: Final[dict[str, LipMoves]] = {
    "mouthSmile": LipMoves(
        (0.82, 0.0, 0.88, 0), (0, 0.03, 0.03, 0), (0.34, 0.08, 0.27, 0), (0, 0.03, 0.03, 0), (0.34, 0.06, 0.26, 0)
    ),
    "mouthFrown": LipMoves(
        (0.06, 0.0, -0.78, 0), (0, 0, -0.01, 0), (0.04, 0, -0.22, 0), (0, -0.03, 0.03, 2), (0.04, 0, -0.20, 2)
    ),
    "mouthDimple": LipMoves(
        (0.42, 0.38, 0.14, 0), (0, 0.02, 0, 0), (0.18, 0.14, 0.03, -4), (0, 0.02, 0, 0), (0.18, 0.14, 0.03, -4)
    ),
    "mouthStretch": LipMoves(
        (0.66, 0.16, -0.34, 0), (0, 0.03, 0.0, 0), (0.30, 0.08, -0.08, 0), (0, 0.03, -0.08, 0), (0.30, 0.08, -0.22, 0)
    ),
    "mouthPress": LipMoves(
        (0.16, 0.10, 0.08, 0),
        (0, 0.07, -0.02, -14),
        (0.06, 0.12, -0.04, -26),
        (0, 0.07, 0.02, -14),
        (0.06, 0.12, 0.05, -26),
    ),
    "mouthLowerDown": LipMoves(
        (0.04, 0.0, -0.10, 0), STILL, (0.0, 0, -0.02, 0), (0, -0.02, -0.33, 6), (0.08, -0.02, -0.54, 9)
    ),
    "mouthUpperUp": LipMoves((0.06, 0.0, 0.18, 0), (0, 0.0, 0.26, 4), (0.05, 0.0, 0.48, 7), STILL, (0.0, 0.0, 0.02, 0)),
    "noseSneer": LipMoves((0.02, 0, 0.06, 0), (0, 0, 0.09, 2), (0.03, 0, 0.30, 5), STILL, STILL),
    "cheekSquint": LipMoves((0.06, 0.0, 0.12, 0), STILL, (0.02, 0, 0.05, 0), STILL, (0.02, 0, 0.04, 0)),
}

CENTRAL: Final[dict[str, LipMoves]] = {
    "mouthFunnel": LipMoves(
        (-0.78, -0.22, 0, 0), (0, -0.52, 0.32, 22), (-0.26, -0.48, 0.26, 22), (0, -0.52, -0.34, 22),
        (-0.26, -0.48, -0.28, 22)
    ),
    "mouthPucker": LipMoves(
        (-1.34, -0.52, 0.0, 0), (0, -0.86, 0.12, 16), (-0.60, -0.78, 0.09, 16), (0, -0.80, -0.08, 14),
        (-0.60, -0.74, -0.06, 14)
    ),
    "mouthRollLower": LipMoves(
        (0, 0.06, 0.0, 0), STILL, STILL, (0, 0.14, 0.0, -60), (0, 0.12, 0.0, -56)
    ),
    "mouthRollUpper": LipMoves(
        (0, 0.06, 0.0, 0), (0, 0.14, 0.0, -60), (0, 0.12, 0.0, -56), STILL, STILL
    ),
    "mouthShrugLower": LipMoves(
        (0, 0, -0.10, 0), (0, -0.06, 0.22, 4), (0, -0.04, 0.10, 3), (0, -0.20, 0.42, 14), (0, -0.12, 0.22, 10)
    ),
    "mouthShrugUpper": LipMoves(
        (0, 0, -0.04, 0), (0, -0.16, 0.34, 10), (0, -0.10, 0.18, 8), (0, -0.05, 0.10, 0), (0, -0.03, 0.05, 0)
    ),
    "cheekPuff": LipMoves(
        (-0.18, 0.0, 0, 0), (0, 0.04, -0.02, -8), (-0.05, 0.02, -0.02, -8), (0, 0.04, 0.03, -8),
        (-0.05, 0.02, 0.03, -8)
    ),
    "tongueOut": LipMoves(
        (-0.05, 0, -0.06, 0), (0, 0, 0.10, 4), (0, 0, 0.08, 4), (0, -0.12, -0.10, 12), (0, -0.10, -0.08, 10)
    ),
}  # fmt: skip

# mouthLeft, all of it towards +X: right corner, half way, middle, half way, left corner; upper, then lower lip.
SHIFT: Final[tuple[tuple[Move, ...], tuple[Move, ...]]] = (
    ((0.62, 0.0, -0.06, 0), (0.80, 0, -0.02, 0), (0.86, 0, 0.04, 0), (0.74, 0, 0.10, 0), (0.44, 0.12, 0.16, 0)),
    ((0.62, 0.0, -0.06, 0), (0.80, 0, -0.04, 0), (0.86, 0, 0.0, 0), (0.74, 0, 0.08, 0), (0.44, 0.12, 0.16, 0)),
)

# Soft masses that move along: shape -> (centre, radii, offset), left side, cm.
Bulge = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
BULGES: Final[dict[str, tuple[Bulge, ...]]] = {
    "mouthSmile": (
        ((4.1, -6.9, -3.5), (1.45, 1.8, 1.15), (0.16, -0.42, 0.46)),
        ((4.4, -6.2, -6.2), (1.2, 2.0, 1.3), (0.20, 0.10, 0.10)),
    ),
    "cheekSquint": (((4.1, -6.9, -2.7), (1.4, 1.7, 0.95), (0.06, -0.34, 0.52)),),
    "noseSneer": (
        ((1.1, -8.7, -3.3), (0.62, 0.9, 0.75), (0.10, 0.0, 0.42)),
        ((1.35, -8.0, -1.6), (0.8, 1.0, 0.9), (-0.05, -0.16, 0.26)),
        ((2.8, -7.6, -3.0), (1.0, 1.4, 0.9), (0.0, -0.18, 0.28)),
    ),
    "mouthUpperUp": (
        ((2.4, -7.9, -4.2), (1.0, 1.4, 0.9), (0.05, -0.14, 0.26)),
        ((1.0, -8.7, -3.6), (0.5, 0.8, 0.6), (0.05, 0.0, 0.14)),
    ),
    "mouthDimple": (((3.9, -6.6, -6.4), (0.7, 1.2, 0.9), (0.0, 0.14, 0.04)),),
    "mouthFrown": (((2.6, -7.4, -8.2), (1.0, 1.5, 0.8), (0.05, -0.14, -0.16)),),
    "mouthStretch": (((3.4, -5.4, -10.0), (1.4, 2.0, 1.6), (0.08, -0.02, -0.16)),),
    "cheekPuff": (((4.5, -6.1, -5.3), (1.35, 1.9, 1.45), (1.05, -0.80, 0.0)),),
    "mouthShrugLower": (((0.0, -8.3, -9.2), (1.4, 1.2, 0.9), (0.0, -0.16, 0.42)),),
    "mouthPucker": (((4.0, -6.6, -5.8), (1.1, 1.6, 1.4), (-0.22, 0.12, 0.0)),),
}
