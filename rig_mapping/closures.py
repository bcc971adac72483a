# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pose keeps closed, eyes and lips, and which channels could open it. Pure numpy."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..performance import COUNT, INDEX

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

# An eye is closed from here on: half a blink hides the pupil.
BLINK = 0.5
# Lips are closed over an open jaw while jawOpen is no more than this above mouthClose: less is not seen.
PARTED = 0.05
# From here on lips are pressed together, or rolled in, whatever the jaw does.
PRESSED = 0.3

# The channels that move an eye's lids, but for the gaze, and those that bring the lips together or apart.
_LIDS = {side: tuple(f"eye{what}{side}" for what in ("Blink", "Squint", "Wide")) for side in ("Left", "Right")}
_LIPS = (
    *("jawOpen", "mouthClose", "mouthFunnel", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper"),
    *("mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft", "mouthLowerDownRight"),
    *("mouthUpperUpLeft", "mouthUpperUpRight"),
)


def lips_closed(poses: Array) -> Mask:
    """Whether the lips of each pose (N, 61) are together: over the jaw, pressed or rolled in. Shape (N,)."""
    jaw, close = poses[:, INDEX["jawOpen"]], poses[:, INDEX["mouthClose"]]
    pressed = np.minimum(poses[:, INDEX["mouthPressLeft"]], poses[:, INDEX["mouthPressRight"]])
    rolled = np.minimum(poses[:, INDEX["mouthRollLower"]], poses[:, INDEX["mouthRollUpper"]])
    return np.asarray((jaw - close <= PARTED) | (np.maximum(pressed, rolled) >= PRESSED))


def keepers(poses: Array) -> Mask:
    """Which channels keep something closed in each pose (N, 61): moving them could open it. Shape (N, 61)."""
    mask = np.zeros((len(poses), COUNT), dtype=bool)
    for side, names in _LIDS.items():
        closed = poses[:, INDEX[f"eyeBlink{side}"]] >= BLINK
        mask[:, [INDEX[name] for name in names]] = closed[:, None]
    mask[:, [INDEX[name] for name in _LIPS]] = lips_closed(poses)[:, None]
    return mask
