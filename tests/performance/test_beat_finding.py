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


def _story() -> tuple[Floats, Floats]:
    """Six seconds with a sensor's noise: a smile from 1.3 to 3, a flash of the brows at 2.15, a frown and a turn of the
    head from 3.5 to 5, and rest."""
    times = np.arange(360) / 60.0
    poses = np.zeros((360, 61))
    for side in ("Left", "Right"):
        poses[:, INDEX[f"mouthSmile{side}"]] = np.interp(times, [1.0, 1.3, 3.0, 3.3], [0.0, 0.7, 0.7, 0.0])
        poses[:, INDEX[f"mouthFrown{side}"]] = np.interp(times, [3.0, 3.4, 5.0, 5.5], [0.0, 0.6, 0.6, 0.0])
    poses[:, INDEX["browInnerUp"]] = np.interp(times, [2.0, 2.15, 2.3], [0.0, 0.9, 0.0])
    poses[:, INDEX["headYaw"]] = np.interp(times, [3.0, 3.5, 5.0, 5.6], [0.0, 0.4, 0.4, 0.0])
    noise = np.random.default_rng(0).normal(0.0, 0.004, (360, 52))
    poses[:, :52] = np.clip(poses[:, :52] + noise, 0.0, 1.0)
    return times, poses


def test_noise_does_not_hide_where_a_face_arrives_and_turns_round() -> None:
    times, poses = _story()
    found = times[find_beats(times, poses, bound=0.4)]
    for moment in (1.3, 2.15, 2.3, 3.5):
        assert np.abs(found - moment).min() < 0.1, moment
    assert len(found) <= 10


def test_what_is_played_decides_where_more_beats_are_needed() -> None:
    times, poses = _story()
    # A player that holds each pose until the next beat: only there is it right.
    asked = []

    def played(beats: beat_finding.Indices) -> Floats:
        asked.append(len(beats))
        last = np.searchsorted(beats, np.arange(len(times)), side="right") - 1
        return poses[beats[last]]

    held = find_beats(times, poses, bound=0.3, played=played)
    straight = find_beats(times, poses, bound=0.3)
    assert held.tolist() != straight.tolist()
    assert asked == sorted(asked) and asked[-1] == len(held)
