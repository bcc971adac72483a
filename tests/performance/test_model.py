# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from facescript.performance import NEUTRAL, Beat, Brief, FacescriptError, Keyframe, Performance


def test_times_and_poses_stand_in_order() -> None:
    performance = Performance(Brief("Hi."), (Keyframe(0.0, "a", NEUTRAL), Keyframe(1.5, "b", NEUTRAL)))
    assert performance.times.tolist() == [0.0, 1.5]
    assert performance.poses.shape == (2, 61)


@pytest.mark.parametrize("time", [-0.1, float("nan"), float("inf"), 1e9])
def test_impossible_times_are_refused(time: float) -> None:
    with pytest.raises(FacescriptError, match="seconds"):
        Beat(time, "x")


def test_times_must_rise() -> None:
    with pytest.raises(FacescriptError, match=r"Keyframe 2 is at 1 s, not after the one before at 1 s"):
        Performance(Brief(""), (Keyframe(1.0, "a", NEUTRAL), Keyframe(1.0, "b", NEUTRAL)))
    with pytest.raises(FacescriptError, match="order of time"):
        Brief("", beats=(Beat(1.0, "a"), Beat(0.5, "b")))


def test_a_performance_is_not_empty_and_not_endless() -> None:
    with pytest.raises(FacescriptError, match="at least one keyframe"):
        Performance(Brief(""))
    with pytest.raises(FacescriptError, match="limit of 4000"):
        Brief("", beats=tuple(Beat(float(i), "x") for i in range(4001)))


def test_a_description_has_a_limit() -> None:
    with pytest.raises(FacescriptError, match="2001 characters"):
        Beat(0.0, "x" * 2001)
