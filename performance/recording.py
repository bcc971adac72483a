# SPDX-License-Identifier: GPL-3.0-or-later
"""A recording: dense poses with their times."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .angles import AngleForm
from .channels import HIGH, LOW
from .pose import Array


@dataclass(frozen=True)
class Recording:
    """Dense poses: `values` of shape (frames, 61) in the channels' ranges, at `times` seconds, shape (frames,).

    Times start at 0 and rise; where frames were dropped, they leave a gap. `fps` is the frame rate that the timecodes
    count at, `rate` that of the rows (an app at 30 frames a second counts every other of 60), `start` the first
    timecode in seconds since midnight, `angles` the form that the angles had. `warnings` are sentences on what was not
    as expected.
    """

    times: Array
    values: Array
    fps: float
    rate: float = 0.0
    start: float = 0.0
    angles: AngleForm = "UNIT"
    warnings: tuple[str, ...] = ()

    def calibrated(self, neutral: Recording) -> Recording:
        """The recording without the pose that the face rests in, as another one shows it: each channel's median, which
        a blink does not change, is taken off. What leaves a channel's range is brought back."""
        return replace(self, values=np.clip(self.values - np.median(neutral.values, axis=0), LOW, HIGH))

    def at(self, times: Array) -> Array:
        """The poses at other times (N,) in seconds, straight between rows and held outside: shape (N, 61)."""
        return np.stack([np.interp(times, self.times, column) for column in self.values.T], axis=1)

    def smoothed(self, width: float) -> Recording:
        """The recording under a Gaussian whose standard deviation is `width` seconds; 0 leaves it as it is."""
        if width <= 0.0 or len(self.times) < 3:
            return self
        step = float(np.median(np.diff(self.times)))
        even = np.arange(0.0, self.times[-1] + step / 2, step)
        reach = max(1, math.ceil(3.0 * width / step))
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / width) ** 2)
        padded = np.pad(self.at(even), ((reach, reach), (0, 0)), mode="edge")
        soft = np.stack([np.convolve(column, weights / weights.sum(), "valid") for column in padded.T], axis=1)
        return replace(self, values=replace(self, times=even, values=soft).at(self.times))
