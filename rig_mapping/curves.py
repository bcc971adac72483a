# SPDX-License-Identifier: GPL-3.0-or-later
"""A performance as animation curves, before any rig: which channel is keyed at which frame, and how it eases.

A beat is a moment that is reached at its frame, held in full for the style's hold, and may relax a little until the
transition to the next one begins. Regions may arrive early (their style's lead, and the time in which an overshoot
settles), never late, so that every channel has the beat's own value at the beat's frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from ..performance import CHANNELS, COUNT, INDEX, REGIONS, FacescriptError, Performance
from ..performance.channels import HIGH, LOW
from . import closures
from .steps import Steps, finish
from .styles import Style, Timing

Array = npt.NDArray[np.float64]
Frames = npt.NDArray[np.int64]

# Values are rounded to this many decimals: smaller differences are float noise, not motion, and would make keys.
DECIMALS = 6
# Blender's own limit for frames (MAXFRAME in DNA_scene_types.h).
MAX_FRAME = 1_048_574
# A release or an overshoot by less than this is not seen, and would be keys for nothing.
LEAST = 0.01

# Where one looks is held: an eye that drifts off or swings back looks at something else.
_GAZE = np.array([c.name.startswith("eyeLook") or c.name.startswith(("leftEye", "rightEye")) for c in CHANNELS])
_REGION = np.array([REGIONS.index(c.region) for c in CHANNELS])


@dataclass(frozen=True)
class Curve:
    """One curve: `frames` (K,) whole and rising, `values` (K,), handles `left` and `right` (K, 2) as (frame, value).

    `interpolation` is BEZIER or LINEAR for all of its keys. Handles are horizontal, so that the curve between two
    keys stays between their values: whatever goes farther has a key of its own there.
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
    # As np.stack, in a quarter of its time: a face has some sixty curves.
    left = np.array([x - before, y]).T
    right = np.array([x + after, y]).T
    return Curve(x, y, left, right, style.interpolation)


@dataclass(frozen=True)
class _Windows:
    """The frames of one region's transition between each two beats, (keyframes - 1,) each: the pose is held up to
    `hold`, relaxes up to `start`, changes up to `peak` and settles up to `end`; end <= next beat."""

    hold: Frames
    start: Frames
    peak: Frames
    end: Frames


def _windows(beats: Frames, timing: Timing, style: Style, fps: float) -> _Windows:
    first, second = beats[:-1], beats[1:]
    # Neither lead nor hold nor settling ever takes more than half of what a short gap has left: the change needs
    # the rest, and a frame at the least.
    end = second - np.minimum(round(timing.lead * fps), (second - first - 1) // 2)
    hold = first + np.minimum(round(style.hold * fps), (end - first - 1) // 2)
    settling = max(1, round(style.settle * fps)) if timing.overshoot > 0.0 else 0
    peak = end - np.minimum(settling, (end - hold - 1) // 2)
    if timing.attack is None:
        return _Windows(hold, hold, peak, end)
    return _Windows(hold, np.maximum(hold, peak - max(1, round(timing.attack * fps))), peak, end)


def _channel(
    windows: _Windows, first: int, last: int, values: Array, relaxed: Array, peaks: Array
) -> tuple[Frames, Array]:
    """One channel's keys, frames and values, through the beats' `values` (keyframes,): it goes from `relaxed` to
    `peaks`, (keyframes - 1,) each."""
    i = np.flatnonzero(np.diff(values))
    w = windows
    frames = np.array([w.hold[i], w.start[i], w.peak[i], w.end[i]]).T
    levels = np.array([values[i], relaxed[i], peaks[i], values[i + 1]]).T
    # Without release or overshoot, two of the four say the same.
    needed = np.ones(frames.shape, dtype=bool)
    needed[:, 0] = relaxed[i] != values[i]
    needed[:, 3] = peaks[i] != values[i + 1]
    x = np.concatenate([[first], frames[needed], [last]])
    y = np.concatenate([values[:1], levels[needed], values[-1:]])
    # Two keys on one frame say the same: the end of one transition, and the start of the next or of the hold.
    new = np.concatenate([[True], np.diff(x) > 0])
    return x[new], y[new]


def _levels(poses: Array, windows: list[_Windows], style: Style, fps: float) -> tuple[Array, Array]:
    """What each channel has relaxed to when a transition starts, and how far the transition goes: (keyframes - 1,
    61) each.

    Interpolation never opens what both ends keep closed: closed eyes and lips do not relax, and do not overshoot
    from one closed pose to another.
    """
    if len(poses) < 2:
        return poses[:0], poses[:0]
    closed = closures.keepers(poses)
    rest = np.stack([w.start - w.hold for w in windows])[_REGION].T / fps
    still = closed[:-1] | _GAZE
    share = np.where(still, 0.0, style.release * np.minimum(rest, 1.0))
    relaxed = _seen(poses[:-1] * (1.0 - share), poses[:-1])
    settling = np.stack([w.end - w.peak for w in windows])[_REGION].T > 0
    too_far = np.array([style.regions[c.region].overshoot for c in CHANNELS])
    too_far = np.where(settling & ~_GAZE & ~(closed[:-1] & closed[1:]), too_far, 0.0)
    peaks = poses[1:] + too_far * (poses[1:] - relaxed)
    return relaxed, _seen(np.clip(peaks, LOW, HIGH), poses[1:])


def _seen(moved: Array, plain: Array) -> Array:
    """`moved` where it is seen to differ from `plain`."""
    return np.where(np.abs(moved - plain) < LEAST, plain, np.round(moved, DECIMALS))


def beat_spans(beats: Frames, style: Style, fps: float) -> Array:
    """The frames in which each beat's pose is shown, first and last, shape (keyframes, 2).

    From the first region's arrival to the first region's departure: keys there belong to the beat.
    """
    windows = [_windows(beats, style.regions[region], style, fps) for region in REGIONS]
    arrival = np.min([w.peak for w in windows], axis=0)
    departure = np.min([w.start for w in windows], axis=0)
    first, last = beats[:1], beats[-1:] + round(style.final_hold * fps)
    spans = np.stack([np.concatenate([first, arrival]), np.concatenate([departure, last])], axis=1)
    return np.maximum(spans, np.stack([spans[:, 0], beats], axis=1)).astype(np.float64)


def channel_curves(performance: Performance, fps: float, start_frame: int, style: Style) -> ChannelCurves:
    """The curves of a performance at a frame rate. Raises FacescriptError (`bad_fps`, `bad_frame`).

    Nothing is keyed outside [first beat, last beat + the style's final hold]. A channel that is 0 throughout has
    no curve; one that stays the same from beat to beat has no keys there, and does not relax.
    """
    return finish(curve_steps(performance, fps, start_frame, style))


def curve_steps(performance: Performance, fps: float, start_frame: int, style: Style) -> Steps[ChannelCurves]:
    """`channel_curves`, in small steps."""
    beats = beat_frames(performance, fps, start_frame)
    last = min(int(beats[-1]) + round(style.final_hold * fps), MAX_FRAME)
    poses = np.round(performance.poses, DECIMALS) + 0.0  # no -0.0
    windows = [_windows(beats, style.regions[region], style, fps) for region in REGIONS]
    yield
    relaxed, peaks = _levels(poses, windows, style, fps)
    yield
    curves = {}
    for i, channel in enumerate(CHANNELS):
        if poses[:, i].any():
            own = windows[_REGION[i]]
            frames, values = _channel(own, int(beats[0]), last, poses[:, i], relaxed[:, i], peaks[:, i])
            curves[channel.name] = make_curve(frames, values, style)
            yield
    return ChannelCurves(MappingProxyType(curves), beats, int(beats[0]), last, style)


def evaluate(curve: Curve, frames: npt.ArrayLike) -> Array:
    """The curve's values at `frames` (N,), whole or not, as Blender evaluates them; held before and after."""
    at = np.atleast_1d(np.asarray(frames, dtype=np.float64))
    x = curve.frames.astype(np.float64)
    if np.array_equal(at, x):
        return curve.values.copy()
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
    # Between two keys at 1, a curve's rounding is past it.
    return np.clip(values, LOW, HIGH)


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
