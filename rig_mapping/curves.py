# SPDX-License-Identifier: GPL-3.0-or-later
"""A performance as animation curves, before any rig: which channel is keyed at which frame, and how it eases.

A beat is a moment that is reached at its frame and held until the transition to the next one begins. Regions may
arrive early (their style's lead), never late, so that every channel has the beat's own value at the beat's frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from ..performance import CHANNELS, COUNT, INDEX, FacescriptError, Performance
from .styles import Style, Timing

Array = npt.NDArray[np.float64]
Frames = npt.NDArray[np.int64]

# Values are rounded to this many decimals: smaller differences are float noise, not motion, and would make keys.
DECIMALS = 6
# Blender's own limit for frames (MAXFRAME in DNA_scene_types.h).
MAX_FRAME = 1_048_574


@dataclass(frozen=True)
class Curve:
    """One curve: `frames` (K,) whole and rising, `values` (K,), handles `left` and `right` (K, 2) as (frame, value).

    `interpolation` is BEZIER or LINEAR for all of its keys. Handles are horizontal, so that the curve between two
    keys stays between their values.
    """

    frames: Frames
    values: Array
    left: Array
    right: Array
    interpolation: str


@dataclass(frozen=True)
class ChannelCurves:
    """The curves of a performance: only channels that move, or that hold a value other than 0.

    `beats` (keyframes,) are the beats' frames, `start` and `end` the whole range, both inclusive.
    """

    curves: Mapping[str, Curve]
    beats: Frames
    start: int
    end: int
    style: Style


def frames_at(times: Array, fps: float, start_frame: int) -> Frames:
    """The frames of rising `times` in seconds, shape (N,), as `beat_frames` has them. Raises what it raises."""
    if not (math.isfinite(fps) and fps > 0.0):
        raise FacescriptError("bad_fps", f"The frame rate is {fps}.", "Set a frame rate above 0.")
    frames = np.floor(times * fps + 0.5)
    # frame[i] >= frame[i-1] + 1 is a running maximum once the index is taken out.
    index = np.arange(frames.size)
    frames = np.maximum.accumulate(frames - index) + index + start_frame
    if abs(start_frame) > MAX_FRAME or not frames[-1] <= MAX_FRAME:
        raise FacescriptError(
            "bad_frame",
            f"The performance would reach frame {frames[-1]:.0f}; Blender ends at {MAX_FRAME}.",
            "Start earlier, lower the frame rate or split the script.",
        )
    return frames.astype(np.int64)


def beat_frames(performance: Performance, fps: float, start_frame: int) -> Frames:
    """The frame of each beat, shape (keyframes,), rising by at least 1; time 0 is `start_frame`.

    `fps` is the scene's `render.fps / render.fps_base`, finite and > 0. A beat that would share its frame with the
    one before moves to the next free frame. Raises FacescriptError (`bad_fps`, `bad_frame`).
    """
    return frames_at(performance.times, fps, start_frame)


def make_curve(frames: npt.ArrayLike, values: npt.ArrayLike, style: Style) -> Curve:
    """A curve through whole `frames` (K,) and `values` (K,), eased by the style's handles.

    A handle is horizontal and as long as the style's fraction of its segment; the two outermost ones, which
    nothing evaluates, mirror their inner partners.
    """
    x = np.asarray(frames, dtype=np.int64)
    y = np.asarray(values, dtype=np.float64)
    gaps = np.diff(x).astype(np.float64)
    ends = np.array([1.0]) if gaps.size == 0 else gaps[[0]]
    before = np.concatenate([ends, gaps]) * style.arrive
    after = np.concatenate([gaps, ends if gaps.size == 0 else gaps[[-1]]]) * style.leave
    left = np.stack([x - before, y], axis=1)
    right = np.stack([x + after, y], axis=1)
    return Curve(x, y, left, right, style.interpolation)


def _transitions(beats: Frames, timing: Timing, fps: float) -> tuple[Frames, Frames]:
    """The frames in which a region changes between each two beats: beat <= start < end <= next beat."""
    first, second = beats[:-1], beats[1:]
    if timing.length is None:
        return first, second
    # The lead never takes more than half of a short gap: the change needs the rest.
    end = second - np.minimum(round(timing.lead * fps), (second - first - 1) // 2)
    return np.maximum(first, end - max(1, round(timing.length * fps))), end


def _channel(starts: Frames, ends: Frames, first: int, last: int, values: Array, style: Style) -> Curve:
    """One channel through the beats' `values` (keyframes,), which changes from `starts` to `ends` (keyframes - 1,)."""
    i = np.flatnonzero(np.diff(values))
    frames = np.concatenate([[first], np.stack([starts[i], ends[i]], axis=1).ravel(), [last]])
    # A hold has the value that the transition before it ended with.
    held = np.concatenate([values[:1], values[i + 1]])
    # Two keys on one frame say the same: the end of one transition, and the start of the next or of the hold.
    new = np.concatenate([[True], np.diff(frames) > 0])
    return make_curve(frames[new], np.repeat(held, 2)[new], style)


def channel_curves(performance: Performance, fps: float, start_frame: int, style: Style) -> ChannelCurves:
    """The curves of a performance at a frame rate. Raises FacescriptError (`bad_fps`, `bad_frame`).

    Nothing is keyed outside [first beat, last beat + the style's final hold]. A channel that is 0 throughout has
    no curve; a hold over many beats has keys only at its two ends.
    """
    beats = beat_frames(performance, fps, start_frame)
    last = min(int(beats[-1]) + round(style.final_hold * fps), MAX_FRAME)
    poses = np.round(performance.poses, DECIMALS) + 0.0  # no -0.0
    windows = {region: _transitions(beats, timing, fps) for region, timing in style.regions.items()}
    curves = {}
    for channel in CHANNELS:
        values = poses[:, INDEX[channel.name]]
        if values.any():
            starts, ends = windows[channel.region]
            curves[channel.name] = _channel(starts, ends, int(beats[0]), last, values, style)
    return ChannelCurves(MappingProxyType(curves), beats, int(beats[0]), last, style)


def evaluate(curve: Curve, frames: npt.ArrayLike) -> Array:
    """The curve's values at `frames` (N,), whole or not, as Blender evaluates them; held before and after."""
    at = np.atleast_1d(np.asarray(frames, dtype=np.float64))
    x = curve.frames.astype(np.float64)
    if x.size == 1:
        return np.full(at.shape, curve.values[0])
    inside = np.clip(at, x[0], x[-1])
    i = np.clip(np.searchsorted(x, inside, side="right") - 1, 0, x.size - 2)
    width = x[i + 1] - x[i]
    u = (inside - x[i]) / width
    a, b = curve.values[i], curve.values[i + 1]
    if curve.interpolation == "LINEAR":
        return np.asarray(a + (b - a) * u)
    t = _solve((curve.right[i, 0] - x[i]) / width, (curve.left[i + 1, 0] - x[i]) / width, u)
    between = _bezier(a, curve.right[i, 1], curve.left[i + 1, 1], b, t)
    # At a key the value is the key's own, to the last bit.
    return np.where(u <= 0.0, a, np.where(u >= 1.0, b, between))


def sample(curves: ChannelCurves, frames: npt.ArrayLike) -> Array:
    """All channels at `frames` (N,): shape (N, 61), in the order of `CHANNELS`."""
    at = np.atleast_1d(np.asarray(frames, dtype=np.float64))
    values = np.zeros((at.size, COUNT))
    for name, curve in curves.curves.items():
        values[:, INDEX[name]] = evaluate(curve, at)
    return values


def _bezier(p0: Array, p1: Array, p2: Array, p3: Array, t: Array) -> Array:
    s = 1.0 - t
    return np.asarray(s * s * s * p0 + 3.0 * s * s * t * p1 + 3.0 * s * t * t * p2 + t * t * t * p3)


def _solve(p1: Array, p2: Array, u: Array) -> Array:
    """The parameter t at which a cubic from 0 to 1 with inner points p1, p2 in [0, 1] is u; it is monotone."""
    low, high = np.zeros_like(u), np.ones_like(u)
    zero, one = np.zeros_like(u), np.ones_like(u)
    # Bisection: 40 halvings are exact to 1e-12, and there is no slope to divide by.
    for _ in range(40):
        middle = 0.5 * (low + high)
        under = _bezier(zero, p1, p2, one, middle) < u
        low, high = np.where(under, middle, low), np.where(under, high, middle)
    return 0.5 * (low + high)
