# SPDX-License-Identifier: GPL-3.0-or-later
"""A performance and its parts, as small immutable types."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

import numpy as np

from .errors import FacescriptError
from .pose import Array, Pose

# Limits at the border. An hour of beats a second apart is far past what a timeline can be edited with.
MAX_KEYFRAMES = 4000
MAX_SECONDS = 24 * 3600.0
MAX_TEXT = 2000
MAX_SCRIPT = 100_000


@dataclass(frozen=True)
class Beat:
    """One moment of a script: `time` in seconds from the start, `text` what the face visibly does then."""

    time: float
    text: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.time) and 0.0 <= self.time <= MAX_SECONDS):
            raise FacescriptError(
                "bad_time", f"A beat is at {self.time} seconds.", f"Times are from 0 to {MAX_SECONDS:.0f} seconds."
            )
        if len(self.text) > MAX_TEXT:
            raise FacescriptError(
                "long_text", f"A beat's description has {len(self.text)} characters.", f"The limit is {MAX_TEXT}."
            )


@dataclass(frozen=True)
class Keyframe(Beat):
    """A beat with the pose that is reached then."""

    pose: Pose


@dataclass(frozen=True)
class Brief:
    """What is asked for: a script with its background and emotion; `beats` if the caller wrote them already."""

    script: str
    background: str = ""
    emotion: str = ""
    id: str = ""
    beats: tuple[Beat, ...] = ()

    def __post_init__(self) -> None:
        _check_order(self.beats)


@dataclass(frozen=True)
class Performance:
    """What inference makes and rig mapping consumes: keyframes in order of time, with what they came from.

    Raises FacescriptError if there is no keyframe, or if the times do not rise strictly.
    """

    brief: Brief
    keyframes: tuple[Keyframe, ...] = field(default=())

    def __post_init__(self) -> None:
        if not self.keyframes:
            raise FacescriptError("no_keyframes", "A performance needs at least one keyframe.")
        _check_order(self.keyframes)

    @property
    def times(self) -> Array:
        """Seconds, shape (keyframes,)."""
        return np.array([k.time for k in self.keyframes])

    @property
    def poses(self) -> Array:
        """Coefficients, shape (keyframes, 61)."""
        return np.stack([k.pose.values for k in self.keyframes])


def _check_order(beats: tuple[Beat, ...]) -> None:
    if len(beats) > MAX_KEYFRAMES:
        raise FacescriptError(
            "too_long", f"{len(beats)} keyframes are more than the limit of {MAX_KEYFRAMES}.", "Split the script."
        )
    for number, (one, other) in enumerate(itertools.pairwise(beats), start=2):
        if other.time <= one.time:
            raise FacescriptError(
                "bad_time",
                f"Keyframe {number} is at {other.time:g} s, not after the one before at {one.time:g} s.",
                "Put keyframes in order of time.",
            )
