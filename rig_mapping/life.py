# SPDX-License-Identifier: GPL-3.0-or-later
"""What a living face does besides performing: blinks, eye darts, breath and a head that never quite rests.

Curves of added motion for a performance's channels, from its samples and a seed. Pure numpy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ..performance import HEAD_CHANNELS, INDEX
from . import eyes
from .curves import DECIMALS, Array, Curve, evaluate

# --- Blinks. Times in seconds.
# About 18 to 20 blinks a minute; the time between two is skewed to the right, with a standard deviation of 0.6 of its
# mean ("Spontaneous interblink time distributions ...", Invest Ophthalmol Vis Sci 2011, 52: 3419-3424: 5.2 s, 3.1 s).
_BLINKS_A_MINUTE = 17.0
_BLINK_SPREAD = 0.6
# Lids close 40 to 47 % faster than they open ("Spontaneous blinking in healthy persons", Ophthalmic Physiol Opt 2008,
# 28: 345-353), and slow down as they open, which takes about twice as long.
_CLOSING, _SHUT, _OPENING = 0.09, 0.035, 0.2
_BETWEEN = 0.8
# No blink comes nearer than this to eyes that the performance has closed.
_MARGIN = 0.15
CLOSED = 0.5

# --- Gaze shifts. 97 % of those above 33 degrees come with a blink, which begins with them (Evinger et al., "Not
# looking while leaping", Exp Brain Res 1994, 100: 337-344). Smaller ones have fewer; below `_SHIFT` none count.
_SHIFT, _SURE = 10.0, 33.0
_CHANCES = (0.4, 0.97)
# Slower than this, in degrees a second, the gaze is not being shifted.
_SLOW = 12.0
# A blink that is due waits this long for a shift to come.
_WAIT = 0.7

# --- Eye darts: sizes in degrees, directions and durations of saccades (Lee, Badler & Badler, "Eyes Alive", SIGGRAPH
# 2002), made smaller: theirs are whole looks to and fro, these play about what the performance looks at.
_DART_SCALE, _DART_LIMIT, _UPRIGHT = 0.4, 6.0, 0.6
_DIRECTIONS = np.array([15.54, 6.46, 17.69, 7.44, 16.80, 7.89, 20.38, 7.79])  # per cent, from 0 degrees in steps of 45
_HOME = 0.35
_FIXATION, _FIXATION_SPREAD, _SHORTEST = 1.1, 0.6, 0.3

# --- Breath: about 15 a minute, in faster than out; the head goes up by this many degrees.
_BREATH, _BREATH_SPREAD, _IN, _OUT = 4.0, 0.08, 0.4, 0.9
_RISE = 0.6

# --- Drift: a new place every so many seconds, by these many degrees of yaw, pitch and roll (standard deviations).
_PLACES = (1.0, 2.4)
_DRIFT = (0.8, 0.6, 0.6)

Keys = list[tuple[int, float]]


@dataclass(frozen=True)
class Amounts:
    """How much of each there is, 0 (none) to 1: blinks by their number, the others by their size."""

    blinks: float = 1.0
    darts: float = 1.0
    breath: float = 1.0
    drift: float = 1.0


FULL = Amounts()


@dataclass(frozen=True)
class Blink:
    """One blink's frames: it begins to close at `start`, is shut from `shut` to `opening`, and open at `end`."""

    start: int
    shut: int
    opening: int
    end: int


def layer(
    samples: Array,
    start: int,
    fps: float,
    seed: int = 0,
    amounts: Amounts = FULL,
    head_angle: float = 45.0,
    eye_angle: float = 35.0,
) -> Mapping[str, Curve]:
    """The motion to add to each channel, by name; channels that get none are left out.

    `samples` (frames, 61) are the performance at every frame from `start` on; `head_angle` and `eye_angle` are the
    degrees of a coefficient of 1. The curves are 0 at both ends; lids and gaze, with what is added to them, stay within
    0 and 1. The same seed gives the same, and for a performance that goes on longer the same up to near its end.
    """
    frames = len(samples)
    if frames < 3:
        return {}
    filled = eyes.fill(samples)
    keys: dict[str, Keys] = {}
    if amounts.blinks > 0.0:
        keys |= _lids(filled, find_blinks(filled, fps, seed, amounts.blinks, head_angle, eye_angle))
    if amounts.darts > 0.0:
        keys |= _gaze(filled, *_darts(frames, fps, _random(seed, 2), amounts.darts / eye_angle))
    curves = {name: smooth_curve(*zip(*_telling(rows), strict=True)) for name, rows in keys.items()}
    head = _drift(frames, fps, _random(seed, 3), amounts.drift / head_angle) if amounts.drift > 0.0 else {}
    if amounts.breath > 0.0:
        breath = smooth_curve(*zip(*_breaths(frames, fps, _random(seed, 4), amounts.breath / head_angle), strict=True))
        head["headPitch"] = _sum(head["headPitch"], breath) if "headPitch" in head else breath
    for name, curve in head.items():
        base = filled[curve.frames, INDEX[name]]
        curves[name] = smooth_curve(curve.frames, np.clip(base + curve.values, -1.0, 1.0) - base)
    return {name: _shifted(curve, start) for name, curve in curves.items() if curve.values.any()}


def smooth_curve(frames: object, values: object) -> Curve:
    """A curve through frames (K,) and values (K,) without a corner, which never leaves what two keys span.

    A key's slope is the harmonic mean of those beside it, or 0 where the curve turns (Fritsch & Butland, SIAM J Sci
    Stat Comput 1984, 5: 300-304); handles are thirds of their segments.
    """
    x = np.asarray(frames, dtype=np.int64)
    y = np.round(np.asarray(values, dtype=np.float64), DECIMALS) + 0.0
    gaps = np.diff(x).astype(np.float64)
    slopes = np.diff(y) / gaps
    one, other = slopes[:-1], slopes[1:]
    inner = np.zeros(len(one))
    same = one * other > 0.0
    inner[same] = 2.0 * one[same] * other[same] / (one[same] + other[same])
    slope = np.concatenate([[0.0], inner, [0.0]]) if len(x) > 1 else np.zeros(len(x))
    ends = gaps if gaps.size else np.ones(1)
    before, after = np.concatenate([ends[:1], gaps]) / 3.0, np.concatenate([gaps, ends[-1:]]) / 3.0
    left = np.stack([x - before, y - slope * before], axis=1)
    right = np.stack([x + after, y + slope * after], axis=1)
    return Curve(x, y, left, right, "BEZIER")


def find_blinks(
    samples: Array, fps: float, seed: int, amount: float = 1.0, head_angle: float = 45.0, eye_angle: float = 35.0
) -> list[Blink]:
    """The blinks of a performance, in frames from its first: on most large shifts of the gaze, and now and then.

    None is where the performance has the eyes closed, or near it. `samples` (frames, 61) have the gaze as angles.
    """
    random = _random(seed, 1)
    free = _free(samples, fps)
    shifts = gaze_shifts(samples, fps, head_angle, eye_angle)
    mean = 60.0 / (_BLINKS_A_MINUTE * amount)
    found: list[Blink] = []
    due = _skewed(random, mean, _BLINK_SPREAD) * random.uniform(0.3, 1.0) * fps
    while due < len(samples) or shifts:
        if shifts and shifts[0][0] <= due + _WAIT * fps:
            at, size = shifts.pop(0)
            wanted = due <= at or random.random() < amount * float(np.interp(size, (_SHIFT, _SURE), _CHANCES))
            waited = True
        else:
            at, wanted, waited = round(due), True, False
        blink = _blink(at, fps, random.uniform(0.85, 1.2))
        gap = _BETWEEN * fps * (0.5 if waited else 1.0)
        apart = not found or blink.start - found[-1].end >= gap
        if wanted and apart and blink.end < len(samples) and free[blink.start : blink.end + 1].all():
            found.append(blink)
            due = blink.end + max(_BETWEEN, _skewed(random, mean, _BLINK_SPREAD)) * fps
        elif not waited:
            due += max(1.0, 0.2 * fps)
    return found


def gaze_shifts(
    samples: Array, fps: float, head_angle: float = 45.0, eye_angle: float = 35.0
) -> list[tuple[int, float]]:
    """Where head and eyes together turn to look elsewhere: the first frame and the size in degrees of each turn."""
    gaze = np.stack(
        [
            head_angle * samples[:, INDEX[f"head{axis}"]]
            + eye_angle * 0.5 * (samples[:, INDEX[f"leftEye{axis}"]] + samples[:, INDEX[f"rightEye{axis}"]])
            for axis in ("Yaw", "Pitch")
        ],
        axis=1,
    )
    moving = np.linalg.norm(np.diff(gaze, axis=0), axis=1) * fps > _SLOW
    edges = np.flatnonzero(np.diff(np.concatenate([[False], moving, [False]]).astype(np.int8)))
    runs = [(int(a), float(np.linalg.norm(gaze[b] - gaze[a]))) for a, b in edges.reshape(-1, 2)]
    return [run for run in runs if run[1] >= _SHIFT]


def _random(seed: int, part: int) -> np.random.Generator:
    """A generator for one part of the layer: an amount that is changed leaves the other parts as they are."""
    return np.random.default_rng([seed, part])


def _skewed(random: np.random.Generator, mean: float, spread: float) -> float:
    """A log-normal number with that mean and a standard deviation of `spread` of it."""
    sigma = math.sqrt(math.log(1.0 + spread * spread))
    return float(random.lognormal(math.log(mean) - sigma * sigma / 2.0, sigma))


def _blink(at: int, fps: float, stretch: float) -> Blink:
    shut = at + max(1, round(_CLOSING * stretch * fps))
    opening = shut + round(_SHUT * stretch * fps)
    return Blink(at, shut, opening, opening + max(2, round(_OPENING * stretch * fps)))


def _free(samples: Array, fps: float) -> np.ndarray:
    """At which frames the performance has the eyes open, and has had and will have for the margin. (frames,)"""
    closed = np.maximum(samples[:, INDEX["eyeBlinkLeft"]], samples[:, INDEX["eyeBlinkRight"]]) > CLOSED
    margin = math.ceil(_MARGIN * fps)
    near = np.convolve(closed.astype(np.float64), np.ones(2 * margin + 1))[margin : margin + len(closed)]
    return np.asarray(near < 0.5)


def _lids(samples: Array, blinks: list[Blink]) -> dict[str, Keys]:
    """Blinks as keys of the lids: eyeBlink goes up to 1 and no further, and a wide eye is let go meanwhile."""
    last = len(samples) - 1
    keys: dict[str, Keys] = {}
    for side in ("Left", "Right"):
        lids, wide = samples[:, INDEX[f"eyeBlink{side}"]], samples[:, INDEX[f"eyeWide{side}"]]
        for name, depth in ((f"eyeBlink{side}", 1.0), (f"eyeWide{side}", 0.0)):
            rows: Keys = []
            for blink in blinks:
                during = slice(blink.start, blink.end + 1)
                level = depth - lids[during].max() if depth else -wide[during].min()
                rows += [(blink.start, 0.0), (blink.shut, level), (blink.opening, level), (blink.end, 0.0)]
            keys[name] = _ends(rows, last)
    return keys


def _ends(rows: Keys, last: int) -> Keys:
    """The keys in order, one a frame, with a 0 at both ends."""
    table = {0: 0.0} | dict(rows)
    table[last] = 0.0
    return sorted(table.items())


def _telling(rows: Keys) -> Keys:
    """The keys without those between two of the same value, which say nothing."""
    values = [value for _, value in rows]
    inner = zip(rows[1:-1], values, values[2:], strict=False)
    return [rows[0], *(row for row, before, after in inner if not before == row[1] == after), *rows[1:][-1:]]


def _darts(frames: int, fps: float, random: np.random.Generator, scale: float) -> tuple[Curve, Curve]:
    """The gaze's offset from what the performance looks at: yaw and pitch in coefficients, held between darts."""
    rows: list[tuple[int, float, float]] = [(0, 0.0, 0.0)]
    at = 0.0
    shares = _DIRECTIONS / _DIRECTIONS.sum()
    while True:
        at += max(_SHORTEST, _skewed(random, _FIXATION, _FIXATION_SPREAD)) * fps
        size = min(-6.9 * math.log(1.0 - random.random()) * _DART_SCALE, _DART_LIMIT)
        angle = math.radians(45.0 * int(random.choice(8, p=shares)))
        home = random.random() < _HOME
        begin = max(round(at), rows[-1][0] + 1)
        end = begin + max(1, round((0.025 + 0.0024 * size) * fps))
        if end >= frames - 2:
            break
        reach = 0.0 if home else size * scale
        rows.append((begin, *rows[-1][1:]))
        rows.append((end, reach * math.cos(angle), reach * math.sin(angle) * _UPRIGHT))
    rows += [(frames - 2, *rows[-1][1:]), (frames - 1, 0.0, 0.0)]
    at_frames, yaw, pitch = zip(*rows, strict=True)
    return smooth_curve(at_frames, yaw), smooth_curve(at_frames, pitch)


def _gaze(samples: Array, yaw: Curve, pitch: Curve) -> dict[str, Keys]:
    """Offsets of the gaze as keys of both of its forms, which go on saying the same.

    Where the performance's own gaze begins or ends to move, shapes have a key as well: which of a pair the offset is
    added to, or taken from, changes there.
    """
    keys: dict[str, Keys] = {}
    for angle, plus, minus in eyes.PAIRS:
        offset = yaw if angle.endswith("Yaw") else pitch
        base = samples[:, [INDEX[angle], INDEX[plus], INDEX[minus]]]
        still = np.all(np.diff(base, axis=0) == 0.0, axis=1)
        turns = 1 + np.flatnonzero(still[1:] != still[:-1])
        frames = np.union1d(offset.frames, turns)
        a, p, m = base[frames].T
        d = evaluate(offset, frames)
        # What is added on one side is first taken from the other.
        less_m, less_p = np.minimum(m, np.maximum(d, 0.0)), np.minimum(p, np.maximum(-d, 0.0))
        more_p, more_m = np.maximum(d, 0.0) - less_m, np.maximum(-d, 0.0) - less_p
        rows = {
            angle: np.clip(a + d, -1.0, 1.0) - a,
            plus: np.minimum(more_p, 1.0 - p) - less_p,
            minus: np.minimum(more_m, 1.0 - m) - less_m,
        }
        keys |= {name: list(zip(frames.tolist(), values.tolist(), strict=True)) for name, values in rows.items()}
    return keys


def _breaths(frames: int, fps: float, random: np.random.Generator, scale: float) -> Keys:
    """The head's pitch with each breath, in coefficients."""
    rows: Keys = []
    at = 0.0
    while True:
        length = _BREATH * (1.0 + _BREATH_SPREAD * float(np.clip(random.standard_normal(), -2.5, 2.5))) * fps
        rise = _RISE * random.uniform(0.8, 1.2) * scale
        begin, top, end = (round(at + share * length) for share in (0.0, _IN, _OUT))
        if end >= frames - 1:
            return _ends(rows, frames - 1)
        rows += [(begin, 0.0), (max(top, begin + 1), rise), (max(end, begin + 2), 0.0)]
        at += length


def _drift(frames: int, fps: float, random: np.random.Generator, scale: float) -> dict[str, Curve]:
    """The head's slow wandering: yaw, pitch and roll in coefficients, all with keys on the same frames."""
    places = list(_places(frames, fps, random))
    at = [0, *(frame for frame, _ in places), frames - 1]
    rows = [np.zeros(3), *(place for _, place in places), np.zeros(3)]
    values = np.array(rows) * np.array(_DRIFT) * scale
    return {name: smooth_curve(at, values[:, i]) for i, name in enumerate(HEAD_CHANNELS)}


def _places(frames: int, fps: float, random: np.random.Generator) -> Iterator[tuple[int, Array]]:
    """Frames and places (3,) with a standard deviation of 1, each half of the way from the last one to a new one."""
    at, place = 0, np.zeros(3)
    while True:
        at += max(2, round(random.uniform(*_PLACES) * fps))
        place = 0.5 * place + math.sqrt(0.75) * np.clip(random.standard_normal(3), -2.0, 2.0)
        if at >= frames - max(2, round(0.5 * fps)):
            return
        yield at, place


def _sum(one: Curve, other: Curve) -> Curve:
    frames = np.union1d(one.frames, other.frames)
    return smooth_curve(frames, evaluate(one, frames) + evaluate(other, frames))


def _shifted(curve: Curve, by: int) -> Curve:
    """The curve `by` frames later."""
    move = np.array([by, 0.0])
    return Curve(curve.frames + by, curve.values, curve.left + move, curve.right + move, curve.interpolation)
