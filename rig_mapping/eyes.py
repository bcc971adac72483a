# SPDX-License-Identifier: GPL-3.0-or-later
"""The gaze said twice: by eyeLook shapes and by eye angles. A rig shows one of them, so both must be filled in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..performance import INDEX, Performance, Pose
from ..performance.pose import Array

# Angle, then what turns the eye its positive way (to the character's left, up) and the other way.
PAIRS: tuple[tuple[str, str, str], ...] = (
    ("leftEyeYaw", "eyeLookOutLeft", "eyeLookInLeft"),
    ("leftEyePitch", "eyeLookUpLeft", "eyeLookDownLeft"),
    ("rightEyeYaw", "eyeLookInRight", "eyeLookOutRight"),
    ("rightEyePitch", "eyeLookUpRight", "eyeLookDownRight"),
)


def fill(poses: Array) -> Array:
    """Poses (N, 61) with each eye direction in both forms: one that is 0 throughout follows from the other."""
    filled = poses.copy()
    for angle, plus, minus in PAIRS:
        a, p, m = (filled[:, INDEX[name]] for name in (angle, plus, minus))
        if not a.any():
            filled[:, INDEX[angle]] = p - m
        elif not p.any() and not m.any():
            filled[:, INDEX[plus]], filled[:, INDEX[minus]] = np.maximum(a, 0.0), np.maximum(-a, 0.0)
    return filled


def with_gaze(performance: Performance) -> Performance:
    """The performance with its gaze in both forms."""
    meant = performance.poses
    poses = fill(meant)
    changed = (poses != meant).any(axis=1)
    frames = zip(performance.keyframes, poses, changed, strict=True)
    return replace(performance, keyframes=tuple(replace(k, pose=Pose(p)) if new else k for k, p, new in frames))
