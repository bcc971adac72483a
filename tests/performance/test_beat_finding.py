# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from facescript.performance import INDEX, beat_finding
from facescript.performance.beat_finding import find_beats
from hypothesis import given, settings
from hypothesis import strategies as st
from made_captures import like_a_face

Floats = npt.NDArray[np.float64]


def _held(levels: list[tuple[float, float]], rate: float = 60.0, seconds: float = 4.0) -> tuple[Floats, Floats]:
    """A capture of one channel: it goes to each level in 0.2 s, from the given second on, and stays."""
    times = np.arange(round(seconds * rate) + 1) / rate
    column = np.zeros(len(times))
    before = 0.0
    for start, level in levels:
        share = np.clip((times - start) / 0.2, 0.0, 1.0)
        column += (level - before) * share * share * (3.0 - 2.0 * share)
        before = level
    poses = np.zeros((len(times), 61))
    poses[:, INDEX["mouthSmileLeft"]] = column
    return times, poses


def test_beats_are_the_moments_that_are_reached_and_held() -> None:
    times, poses = _held([(1.0, 0.8), (2.5, 0.1)])
    beats = find_beats(times, poses, bound=0.3)
    smile = poses[beats, INDEX["mouthSmileLeft"]]
    # Reached within a tenth of a second: the first pose, the smile, and what is left of it at the end.
    assert len(beats) >= 3
    assert any(abs(times[i] - 1.2) < 0.1 and value > 0.75 for i, value in zip(beats, smile, strict=True))
    assert (beats[0], beats[-1]) == (0, len(times) - 1)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**16), bound=st.sampled_from([0.1, 0.3]))
def test_beats_are_apart_and_more_of_them_come_where_the_face_is_off(seed: int, bound: float) -> None:
    times = np.arange(400) / 60.0
    poses = np.zeros((400, 61))
    for i in range(5):
        poses[:, 10 + i] = like_a_face(400, seed + i)
    beats = find_beats(times, poses, bound=bound, gap=0.15)
    assert (np.diff(times[beats]) >= 0.15 - 1e-9).all()
    errors = np.abs(beat_finding._straight(times, poses, beats) - poses).max(axis=1)
    room = [np.abs(times[beats] - times[i]).min() >= 0.15 for i in np.flatnonzero(errors > bound)]
    # Wherever it is still off, there is no room for another beat.
    assert not any(room)


def test_keyframes_that_are_far_apart_are_all_beats() -> None:
    poses = np.zeros((4, 61))
    assert find_beats([0.0, 1.0, 2.0, 3.5], poses, bound=0.5).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_moments_are_beats(count: int) -> None:
    assert find_beats(np.arange(count) / 60.0, np.zeros((count, 61)), bound=0.1).tolist() == list(range(count))
