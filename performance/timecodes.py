# SPDX-License-Identifier: GPL-3.0-or-later
"""SMPTE timecodes as Live Link Face writes them: `HH:MM:SS:FF.fff`, and `HH:MM:SS;FF.fff` with drop frame.

FF counts frames from 0, and the fraction is of a frame. A timecode does not say at how many frames a second it
counts: that is read from where it goes on to the next second. At 29.97 and the like it counts at the next whole rate,
so that a second by timecode is 1.001 s long; drop frame leaves out numbers (2 at 30, 4 at 60 frames a second, in every
minute but each tenth), so that timecode and clock agree (SMPTE ST 12-1).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# What cameras and phones count at.
RATES = (24, 25, 30, 48, 50, 60, 96, 100, 120, 240)
# Epic's importer takes every timecode of the app for one of 60 frames a second (LiveLinkFaceImporterFactory.cpp).
APP_RATE = 60
_NTSC = 1000.0 / 1001.0
_DAY = 24 * 3600
_FORM = re.compile(r"(\d{1,3})[:;](\d{1,2})[:;](\d{1,2})([:;.])(\d{1,3})(?:\.(\d{1,9}))?")

Floats = npt.NDArray[np.float64]


class Timecode(NamedTuple):
    """A timecode: whole seconds since midnight and frames, as it counts them; whether it is drop frame."""

    second: int
    frame: float
    drop: bool


def parse(text: str) -> Timecode | None:
    """Read a timecode; None if it is none."""
    match = _FORM.fullmatch(text.strip())
    if not match:
        return None
    hours, minutes, seconds, frames = (int(match[i]) for i in (1, 2, 3, 5))
    if minutes > 59 or seconds > 59:
        return None
    return Timecode(hours * 3600 + minutes * 60 + seconds, frames + float(f"0.{match[6] or 0}"), match[4] == ";")


def counted_rate(codes: Sequence[Timecode]) -> tuple[int, bool]:
    """The whole frames a second that timecodes (N,) count at, and whether that is known, or makes no difference.

    Where one second goes on to the next, the frames start again: what is missing to a whole step is the rate. A
    recording within one second leaves it open: with fractions of frames it is the app's own 60, else the next usual
    rate above its highest frame.
    """
    frames = np.array([code.frame for code in codes])
    jumps = np.diff([code.second for code in codes])
    highest = float(frames.max(initial=0.0))
    possible = [rate for rate in RATES if rate > highest] or [math.floor(highest) + 1]
    steps = np.diff(frames)
    inside = steps[(jumps == 0) & (steps > 0.0)]
    over = jumps == 1
    if over.any() and inside.size:
        estimate = float(np.median(np.median(inside) - steps[over]))
        return min(possible, key=lambda rate: abs(rate - estimate)), True
    matters = len(codes) > 1 and highest > 0.0
    if np.any(frames % 1.0) and highest < APP_RATE:
        return APP_RATE, not matters
    return possible[0], not matters


def exact_rate(fps: float, drop: bool) -> float:
    """The frame rate that is meant: 29.97 is 30000/1001, and so on for the other rates of NTSC; whole rates are meant
    so as well where timecodes are drop frame."""
    ntsc = round(fps + 0.03) * _NTSC
    whole = abs(fps - round(fps)) < 1e-6
    return ntsc if (drop if whole else abs(fps - ntsc) < 0.01) else fps


def seconds(codes: Sequence[Timecode], fps: float) -> Floats:
    """Timecodes (N,) as seconds since midnight at an exact frame rate, shape (N,); past midnight they go on."""
    whole = np.array([code.second for code in codes], dtype=np.float64)
    whole += _DAY * np.concatenate([[0.0], np.cumsum(np.diff(whole) < -_DAY / 2)])[: whole.size]
    frames = np.array([code.frame for code in codes])
    nominal = math.ceil(fps - 1e-6)
    counted = whole * nominal + frames
    if any(code.drop for code in codes):
        minutes = np.floor(whole / 60.0)
        counted -= round(nominal / 15) * (minutes - np.floor(minutes / 10.0))
    return np.asarray(counted / fps)


def text(frame: float, fps: float) -> str:
    """The timecode of a frame, >= 0, counted from midnight; without drop frame."""
    nominal = max(1, math.ceil(fps - 1e-6))
    whole, thousandths = divmod(round(frame * 1000.0), 1000)
    second, number = divmod(whole, nominal)
    return f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}:{number:02d}.{thousandths:03d}"
