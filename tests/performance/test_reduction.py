# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import numpy as np
import numpy.typing as npt
from facescript.performance import reduction
from facescript.performance.reduction import SparseCurve, reduce
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from made_captures import like_a_face

Floats = npt.NDArray[np.float64]


def _bezier(curve: SparseCurve, at: Floats) -> Floats:
    """The curve as Blender draws it: a cubic through each key's handles, in time and value alike."""
    left, right = curve.handles
    values = np.empty(len(at))
    for number, moment in enumerate(at):
        i = int(np.clip(np.searchsorted(curve.times, moment, side="right") - 1, 0, max(0, len(curve.times) - 2)))
        if len(curve.times) == 1 or moment <= curve.times[0] or moment >= curve.times[-1]:
            values[number] = np.interp(moment, curve.times, curve.values)
            continue
        points = np.array([[curve.times[i], curve.values[i]], right[i], left[i + 1]])
        points = np.vstack([points, [curve.times[i + 1], curve.values[i + 1]]])
        low, high = 0.0, 1.0
        for _ in range(60):
            t = (low + high) / 2
            x, y = np.array([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3]) @ points
            low, high = (t, high) if x < moment else (low, t)
        values[number] = y
    return values


signals = arrays.arrays(np.float64, st.integers(2, 80), elements=st.floats(-1.0, 1.0, allow_nan=False, width=32))


@given(values=signals, bound=st.sampled_from([0.0, 1e-3, 0.02, 0.2]), data=st.data())
def test_a_curve_is_within_the_bound_at_every_recorded_moment(
    values: Floats, bound: float, data: st.DataObject
) -> None:
    steps = data.draw(arrays.arrays(np.float64, len(values), elements=st.sampled_from([0.4, 1.0, 2.5, 17.0])))
    times = np.cumsum(steps)
    curve = reduce(times, values, bound)
    assert np.abs(curve.at(times) - values).max() <= max(bound, reduction.EXACT) + 1e-12
    assert len(curve.times) <= len(values)
    assert (curve.times[0], curve.times[-1]) == (times[0], times[-1])
    assert (curve.values[0], curve.values[-1]) == (values[0], values[-1])
    # Keys are recorded moments.
    assert set(curve.times) <= set(times)


@given(values=signals, bound=st.sampled_from([0.0, 0.02, 0.2]))
def test_a_curve_never_leaves_the_values_of_its_two_keys(values: Floats, bound: float) -> None:
    times = np.arange(len(values), dtype=np.float64)
    curve = reduce(times, values, bound)
    fine = np.linspace(0.0, times[-1], 400)
    piece = np.clip(np.searchsorted(curve.times, fine, side="right") - 1, 0, len(curve.times) - 2)
    low = np.minimum(curve.values[piece], curve.values[piece + 1])
    high = np.maximum(curve.values[piece], curve.values[piece + 1])
    drawn = curve.at(fine)
    assert (drawn >= low - 1e-9).all() and (drawn <= high + 1e-9).all()


@settings(max_examples=25)
@given(seed=st.integers(0, 2**16), bound=st.sampled_from([0.0, 0.005, 0.02]))
def test_handles_draw_the_same_curve(seed: int, bound: float) -> None:
    values = like_a_face(90, seed)
    times = 3.0 + np.arange(90) * 0.4
    curve = reduce(times, values, bound)
    drawn = _bezier(curve, times)
    np.testing.assert_allclose(drawn, curve.at(times), atol=1e-9)
    assert np.abs(drawn - values).max() <= max(bound, reduction.EXACT) + 1e-9


@settings(max_examples=25)
@given(seed=st.integers(0, 2**16))
def test_captures_need_few_keys(seed: int) -> None:
    values = like_a_face(1200, seed)
    curve = reduce(np.arange(1200) / 60.0, values, 0.02)
    # Fifteen moves, each of which takes some keys to rise, hold and fall.
    assert len(curve.times) < 140


def test_what_stands_still_has_a_key_at_each_end() -> None:
    curve = reduce([1.0, 2.0, 4.0, 9.0], [0.3, 0.3, 0.3, 0.3], 0.02)
    assert (curve.times.tolist(), curve.values.tolist()) == ([1.0, 9.0], [0.3, 0.3])
    assert curve.at([0.0, 3.0, 20.0]).tolist() == [0.3, 0.3, 0.3]


def test_a_straight_move_has_two_keys_and_a_corner_one_more() -> None:
    times = np.arange(21.0)
    assert reduce(times, times / 20.0, 0.01).times.tolist() == [0.0, 20.0]
    bent = reduce(times, np.abs(times - 10.0) / 10.0, 0.0)
    assert {0.0, 10.0, 20.0} <= set(bent.times)
    assert bent.at([10.0]) == 0.0


def test_a_single_moment_is_one_key() -> None:
    curve = reduce([4.0], [0.5], 0.02)
    left, right = curve.handles
    assert (curve.times.tolist(), curve.values.tolist()) == ([4.0], [0.5])
    assert left[0, 0] < 4.0 < right[0, 0] and left[0, 1] == right[0, 1] == 0.5


def test_noise_keeps_every_frame_at_most() -> None:
    values = np.random.default_rng(5).uniform(0.0, 1.0, 3000)
    curve = reduce(np.arange(3000.0), values, 0.0)
    assert len(curve.times) <= 3000
    assert np.abs(curve.at(np.arange(3000.0)) - values).max() <= reduction.EXACT
