# SPDX-License-Identifier: GPL-3.0-or-later
"""Keyframes of one F-curve as arrays: which are ours, which are the animator's, and how they come together. Pure numpy.

A record says which keys were written last time, by frame and value, and keys that we write bear a mark. A marked key
that is still as it was written is ours, and goes when a performance is written anew; one that was changed, moved or
added is the animator's.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Keys = dict[str, npt.NDArray[Any]]
Mask = npt.NDArray[np.bool_]

# A key moved by less than this, in frames or in value, was not moved by a person.
SAME = 1e-4
_UNIT = 1e-6
# What tells our keys from the animator's on the same frame with the same value: their period, which elastic motion
# alone shows, is the next number that Blender can keep after its default (BKE_bezt_new in fcurve.cc).
_PLAIN = np.float32(4.1)
_MARK = np.nextafter(_PLAIN, np.float32(5.0))


@dataclass(frozen=True)
class Codes:
    """The numbers behind Blender's enums for the keys that we write."""

    interpolation: Mapping[str, int]
    handles: Mapping[str, int]
    keyframe: int


@dataclass(frozen=True, eq=False)
class Record:
    """What was written to one F-curve.

    `frames` (K,) whole and rising, `values` (K,); `made`: whether the F-curve was made for it; `before`: the
    property's value before it was animated.
    """

    frames: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    made: bool
    before: float

    def to_json(self) -> dict[str, Any]:
        """Plain data for JSON; long rows of numbers as text, which is read and written fifty times as fast."""
        values = np.rint(self.values / _UNIT)
        return {"f": _packed(self.frames), "v": _packed(values), "m": self.made, "b": self.before}

    @classmethod
    def from_json(cls, data: Any) -> Record:
        """Read `to_json`'s form. Raises KeyError, TypeError or ValueError for anything else."""
        frames, values = (_unpacked(data[name]) for name in "fv")
        if frames.shape != values.shape or (np.diff(frames) <= 0).any():
            raise ValueError("a record's frames and values do not fit, or its frames do not rise")
        before = data["b"]
        if isinstance(before, bool) or not isinstance(before, (int, float)) or not math.isfinite(before):
            raise ValueError("a record's value from before is not a finite number")
        return cls(frames, values * _UNIT, bool(data["m"]), float(before))


def _packed(numbers: npt.NDArray[Any]) -> str:
    return base64.b64encode(numbers.astype("<i4").tobytes()).decode("ascii")


def _unpacked(text: str) -> npt.NDArray[np.int64]:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<i4").astype(np.int64)


def new_keys(
    frames: npt.ArrayLike,
    values: npt.ArrayLike,
    left: npt.ArrayLike,
    right: npt.ArrayLike,
    interpolation: str,
    codes: Codes,
) -> Keys:
    """Keyframes with every property that Blender keeps, as inserting them by hand would set it."""
    co = np.array([frames, values], dtype="f4").T
    count = len(co)
    handle = codes.handles["ALIGNED" if interpolation == "BEZIER" else "VECTOR"]
    no = np.zeros(count, dtype=bool)
    return {
        "co": co,
        "handle_left": np.asarray(left, dtype="f4").reshape(count, 2),
        "handle_right": np.asarray(right, dtype="f4").reshape(count, 2),
        "interpolation": np.full(count, codes.interpolation[interpolation], dtype="i4"),
        "easing": np.zeros(count, dtype="i4"),
        "handle_left_type": np.full(count, handle, dtype="i4"),
        "handle_right_type": np.full(count, handle, dtype="i4"),
        "type": np.full(count, codes.keyframe, dtype="i4"),
        # Blender's defaults (BKE_bezt_new in fcurve.cc), used if the interpolation is changed to Back or Elastic.
        "back": np.full(count, 1.70158, dtype="f4"),
        "amplitude": np.full(count, 0.8, dtype="f4"),
        "period": np.full(count, _MARK, dtype="f4"),
        "select_control_point": no,
        "select_left_handle": no,
        "select_right_handle": no,
    }


def marked(keys: Keys) -> Mask:
    """Which of an F-curve's keys were written by us, whatever has become of them since, shape (K,)."""
    return np.asarray(keys["period"] == _MARK)


def unmarked(keys: Keys, which: Mask | None = None) -> Keys:
    """The keys, of which those under the mask, or all, are the animator's for good."""
    mask = marked(keys) if which is None else marked(keys) & which
    return keys | {"period": np.where(mask, _PLAIN, keys["period"])}


def ours(keys: Keys, record: Record | None, codes: Codes) -> Mask:
    """Which of an F-curve's keys were written by us and are still as the record says, shape (K,)."""
    count = len(keys["co"])
    mask = np.zeros(count, dtype=bool)
    if record is None or not record.frames.size or not count:
        return mask
    frames, values = record.frames, record.values
    x, y = keys["co"][:, 0].astype(float), keys["co"][:, 1].astype(float)
    nearest = np.clip(np.searchsorted(frames, x - 0.5), 0, frames.size - 1)
    mask = marked(keys) & (np.abs(frames[nearest] - x) < SAME) & (np.abs(values[nearest] - y) < SAME)
    eased = keys["interpolation"] == codes.interpolation["BEZIER"]
    straight = keys["interpolation"] == codes.interpolation["LINEAR"]
    for side in ("left", "right"):
        handles = keys[f"handle_{side}_type"]
        # Ours are horizontal; only a person tilts them.
        eased &= (handles == codes.handles["ALIGNED"]) & (np.abs(keys[f"handle_{side}"][:, 1] - y) < SAME)
        straight &= handles == codes.handles["VECTOR"]
    return np.asarray(mask & (eased | straight))


def select(keys: Keys, mask: npt.NDArray[Any]) -> Keys:
    """The keys under a mask, or at indices."""
    return {name: values[mask] for name, values in keys.items()}


def inside(keys: Keys, start: float, end: float) -> Mask:
    """Which keys lie in [start, end], shape (K,)."""
    x = keys["co"][:, 0]
    return np.asarray((x >= start - SAME) & (x <= end + SAME))


def near(frames: npt.ArrayLike, others: npt.ArrayLike) -> Mask:
    """Which of `frames` (K,) have one of `others` (N,) within half a frame, shape (K,)."""
    distance = np.abs(np.asarray(frames, dtype=float)[:, None] - np.asarray(others, dtype=float)[None, :])
    return np.asarray((distance < 0.5).any(axis=1))


def join(one: Keys, other: Keys) -> Keys:
    """Both keys together, in order of frames."""
    order = np.argsort(np.concatenate([one["co"][:, 0], other["co"][:, 0]]), kind="stable")
    return {name: np.concatenate([one[name], other[name]])[order] for name in one}


def equal(one: Keys, other: Keys) -> bool:
    """Whether both are the same, bit for bit."""
    return all(np.array_equal(one[name], other[name]) for name in one)
