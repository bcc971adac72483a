# SPDX-License-Identifier: GPL-3.0-or-later
"""All 52 ARKit shapes, put together from the eye, brow and mouth modules and mirrored exactly.

Names and meanings: Apple, ARFaceAnchor.BlendShapeLocation
(developer.apple.com/documentation/arkit/arfaceanchor/blendshapelocation). Left and right are the character's own.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from . import shape_brows, shape_eyes, shape_mouth
from .mesh import Assembly
from .model import Model
from .proportions import Array
from .skin import Skin

NAMES: Final[tuple[str, ...]] = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft",
    "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight", "eyeSquintRight",
    "eyeWideRight", "jawForward", "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel", "mouthPucker",
    "mouthRight", "mouthLeft", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight",
    "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight", "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight", "mouthLowerDownLeft",
    "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft", "browDownRight", "browInnerUp",
    "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft",
    "noseSneerRight", "tongueOut",
)  # fmt: skip

# Shapes whose mirror image is another shape though they are no ...Left/...Right pair of one feature.
_TURNED: Final = {"jawLeft": "jawRight", "mouthLeft": "mouthRight"}


def build(whole: Assembly, surface: Skin) -> dict[str, Array]:
    """Name -> offsets (V, 3) in centimetres at 1.0, in the order of `NAMES`."""
    model = Model(whole, surface)
    left = shape_eyes.build(model)
    brows = shape_brows.build(model)
    central = {"browInnerUp": brows.pop("browInnerUp")}
    left |= brows
    sided, mouth = shape_mouth.build(model)
    left |= sided
    central |= mouth
    # A sneer pulls the brow's inner end down a little, a raised cheek pushes the lower lid up.
    left["noseSneer"] = left["noseSneer"] + 0.30 * left["browDown"]
    left["cheekSquint"] = left["cheekSquint"] + 0.40 * left["eyeSquint"]

    shapes: dict[str, Array] = {}
    for name, offsets in (left | central).items():
        if not name.startswith("brow"):
            model.carry_brows(offsets)
    for name, offsets in left.items():
        shapes[f"{name}Left"], shapes[f"{name}Right"] = offsets, model.flip(offsets)
    for name, offsets in central.items():
        if name in _TURNED:
            shapes[name], shapes[_TURNED[name]] = offsets, model.flip(offsets)
        else:
            shapes[name] = 0.5 * (offsets + model.flip(offsets))
    missing = set(NAMES) ^ set(shapes)
    if missing:
        raise AssertionError(f"shapes and ARKit's names differ: {sorted(missing)}")
    return {name: np.ascontiguousarray(shapes[name]) for name in NAMES}
