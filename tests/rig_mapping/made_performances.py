# SPDX-License-Identifier: GPL-3.0-or-later
"""Performances for the tests: written out, and drawn by hypothesis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from facescript.performance import BLEND_SHAPES, HEAD_CHANNELS, REGIONS, Brief, Keyframe, Performance, Pose
from facescript.rig_mapping.styles import Style, adjusted, get
from hypothesis import strategies as st


def performance(*beats: tuple[float, Mapping[str, float]], script: str = "Hello.") -> Performance:
    """A performance of (seconds, coefficients)."""
    return Performance(Brief(script), tuple(Keyframe(t, "text", Pose.from_dict(dict(c))) for t, c in beats))


_CHANNELS = (*(n for n in BLEND_SHAPES if "Look" not in n), *HEAD_CHANNELS)
_VALUES = st.sampled_from([0.0, 0.0, 0.1, 0.35, 0.8, 1.0]) | st.floats(0.0, 1.0, width=16)


@st.composite
def performances(draw: st.DrawFn, most: int = 8, channels: tuple[str, ...] = _CHANNELS) -> Performance:
    """Performances of a few channels, with beats that may be far apart or share a frame."""
    gaps = draw(st.lists(st.sampled_from([0.001, 0.01, 0.05, 0.2, 0.5, 1.0, 3.0]), min_size=1, max_size=most))
    moving = draw(st.lists(st.sampled_from(channels), min_size=1, max_size=5, unique=True))
    time, beats = draw(st.sampled_from([0.0, 0.4])), []
    for gap in gaps:
        beats.append((time, {name: draw(_VALUES) for name in moving}))
        time += gap
    return performance(*beats)


def held(style: str, seconds: float) -> Style:
    """A style with a final hold."""
    return replace(get(style), final_hold=seconds)


@st.composite
def shut_performances(draw: st.DrawFn) -> Performance:
    """Performances in which eyes and lips are closed, over an open jaw or by pressing, more often than not."""
    gaps = draw(st.lists(st.sampled_from([0.04, 0.3, 0.7, 1.5, 3.0]), min_size=2, max_size=6))
    time, beats = 0.0, []
    for gap in gaps:
        jaw = draw(_VALUES)
        off = draw(st.sampled_from([0.0, 0.0, 0.03, -0.1, 0.3]))
        pose = {"jawOpen": jaw, "mouthClose": min(max(jaw - off, 0.0), 1.0)}
        pose |= {name: draw(st.sampled_from([0.0, 0.5, 0.8])) for name in ("mouthPress", "mouthRollLower")}
        pose |= {name: draw(st.sampled_from([0.0, 0.4])) for name in ("mouthLowerDown", "eyeWide", "eyeSquint")}
        pose |= {f"eyeBlink{side}": draw(st.sampled_from([0.0, 0.6, 0.9, 1.0])) for side in ("Left", "Right")}
        pose["mouthRollUpper"] = pose["mouthRollLower"]
        beats.append((time, pose))
        time += gap
    return performance(*beats)


@st.composite
def any_style(draw: st.DrawFn) -> Style:
    """Any of the styles with any settings of an animator's on top."""
    leads = st.floats(0.0, 3.0) | st.dictionaries(st.sampled_from(REGIONS), st.floats(0.0, 0.5))
    style = adjusted(
        get(draw(st.sampled_from(["snappy", "natural", "soft", "linear"]))),
        attack=draw(st.floats(0.25, 4.0)),
        hold=draw(st.none() | st.floats(0.0, 2.0)),
        release=draw(st.none() | st.floats(0.0, 1.0)),
        overshoot=draw(st.none() | st.floats(0.0, 0.5)),
        leads=draw(leads),
    )
    return replace(style, final_hold=draw(st.sampled_from([0.0, 0.0, 1.0])))
