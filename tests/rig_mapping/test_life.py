# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from facescript.performance import CHANNELS, COUNT, INDEX
from facescript.rig_mapping import curves, eyes, life, styles
from hypothesis import given, settings
from hypothesis import strategies as st
from made_performances import any_style, performance, performances, shut_performances

MINUTE = 60 * 24


def rest(frames: int = MINUTE) -> np.ndarray:
    return np.zeros((frames, COUNT))


def added(made: Mapping[str, curves.Curve], frames: int, start: int = 0) -> np.ndarray:
    """The added motion at every frame and half frame."""
    at = start + np.arange(2 * frames - 1) / 2
    values = np.zeros((at.size, COUNT))
    for name, curve in made.items():
        values[:, INDEX[name]] = curves.evaluate(curve, at)
    return values


def looking(*gazes: tuple[float, float, float], fps: float = 24.0) -> np.ndarray:
    """A performance that turns head and eyes to (seconds, head yaw, eye yaw), natural in style."""
    story = performance(
        *((t, {"headYaw": head, "leftEyeYaw": eye, "rightEyeYaw": eye}) for t, head, eye in gazes),
    )
    made = curves.channel_curves(eyes.with_gaze(story), fps, 0, styles.get("natural"))
    return curves.sample(made, np.arange(made.end + 1))


def test_a_face_at_rest_blinks_as_people_do() -> None:
    blinks = life.find_blinks(rest(10 * MINUTE), 24.0, seed=3)
    assert 130 <= len(blinks) <= 210
    gaps = np.diff([b.start for b in blinks]) / 24.0
    assert gaps.min() > 0.8
    # Many short times between two, few long ones.
    assert gaps.mean() > np.median(gaps) * 1.05
    assert 0.35 < gaps.std() / gaps.mean() < 0.8
    for blink in blinks:
        closing, opening = blink.shut - blink.start, blink.end - blink.opening
        assert 2 <= closing < opening <= 6
        assert blink.end - blink.start <= 10


def test_fewer_blinks_are_fewer() -> None:
    counts = [len(life.find_blinks(rest(10 * MINUTE), 24.0, 0, amount)) for amount in (0.25, 0.5, 1.0)]
    assert counts[0] < 0.7 * counts[1] < 0.5 * counts[2]


def test_large_turns_of_the_gaze_carry_a_blink_that_begins_with_them() -> None:
    # 44 degrees to the left and back, every four seconds.
    samples = looking(*((4.0 * i, 0.6 * (i % 2), 0.5 * (i % 2)) for i in range(60)))
    shifts = life.gaze_shifts(samples, 24.0)
    assert len(shifts) == 59
    assert {round(size) for _, size in shifts} <= {42, 43, 44, 45}
    starts = {b.start for b in life.find_blinks(samples, 24.0, seed=1)}
    assert sum(frame in starts for frame, _ in shifts) >= 50


def test_a_small_turn_is_no_shift() -> None:
    assert life.gaze_shifts(looking((0.0, 0.0, 0.0), (2.0, 0.1, 0.1), (4.0, 0.0, 0.0)), 24.0) == []


def test_eyes_that_are_closed_do_not_blink() -> None:
    samples = rest()
    samples[240:700, INDEX["eyeBlinkRight"]] = 0.9
    samples[800:, INDEX["eyeBlinkLeft"]] = 0.6
    blinks = life.find_blinks(samples, 24.0, seed=0)
    assert len(blinks) >= 2
    for blink in blinks:
        # Not nearer than 0.15 s, which is 4 frames.
        assert blink.end <= 236 or 703 < blink.start < blink.end <= 796


def test_wide_eyes_are_let_go_for_the_blink() -> None:
    samples = rest()
    samples[:, INDEX["eyeWideLeft"]] = 0.4
    samples[:, INDEX["eyeBlinkLeft"]] = 0.2
    made = life.layer(samples, 0, 24.0, seed=0)
    for blink in life.find_blinks(samples, 24.0, 0):
        assert curves.evaluate(made["eyeBlinkLeft"], blink.shut) == pytest.approx(0.8)
        assert curves.evaluate(made["eyeWideLeft"], blink.shut) == pytest.approx(-0.4)
        assert curves.evaluate(made["eyeBlinkRight"], blink.shut) == pytest.approx(1.0)
    assert "eyeWideRight" not in made


def test_eye_darts_are_quick_small_and_held() -> None:
    made = life.layer(rest(), 0, 24.0, seed=5, amounts=life.Amounts(0.0, 1.0, 0.0, 0.0))
    yaw = 35.0 * curves.evaluate(made["leftEyeYaw"], np.arange(MINUTE))
    assert 0.5 < np.abs(yaw).max() <= 6.001
    moving = np.abs(np.diff(yaw)) > 1e-9
    # A minute has 20 to 100 darts, of a frame each.
    assert 20 < moving.sum() < 100
    assert not (moving[1:] & moving[:-1]).sum() > 5
    # Both eyes look the same way.
    np.testing.assert_allclose(made["leftEyeYaw"].values, made["rightEyeYaw"].values)


def test_breath_raises_the_head_a_little_fifteen_times_a_minute() -> None:
    made = life.layer(rest(), 0, 24.0, seed=0, amounts=life.Amounts(0.0, 0.0, 1.0, 0.0))
    assert list(made) == ["headPitch"]
    pitch = 45.0 * curves.evaluate(made["headPitch"], np.arange(MINUTE))
    assert pitch.min() == 0.0
    assert 0.5 < pitch.max() < 0.75
    tops = ((pitch[1:-1] > pitch[:-2]) & (pitch[1:-1] >= pitch[2:])).sum()
    assert 13 <= tops <= 16


def test_the_head_drifts_slowly_and_without_a_jerk() -> None:
    made = life.layer(rest(), 0, 24.0, seed=0, amounts=life.Amounts(0.0, 0.0, 0.0, 1.0))
    assert set(made) == {"headYaw", "headPitch", "headRoll"}
    for curve in made.values():
        angle = 45.0 * curves.evaluate(curve, np.arange(0, MINUTE, 0.25))
        assert 0.4 < np.abs(angle).max() < 3.0
        speed = np.diff(angle) * 4 * 24.0
        assert np.abs(speed).max() < 6.0
        # No corner: the speed changes by little from one quarter of a frame to the next.
        assert np.abs(np.diff(speed)).max() < 0.6


def test_the_keys_are_few() -> None:
    made = life.layer(rest(), 0, 24.0, seed=0)
    # A minute has fewer than two a second on any channel, and none that says nothing.
    for curve in made.values():
        assert len(curve.frames) < 120
        same = np.diff(curve.values) == 0.0
        assert not (same[1:] & same[:-1]).any()


def test_nothing_is_added_where_nothing_is_wanted() -> None:
    assert life.layer(rest(), 0, 24.0, amounts=life.Amounts(0.0, 0.0, 0.0, 0.0)) == {}
    assert life.layer(rest(2), 0, 24.0) == {}


def test_a_seed_is_a_take_and_a_longer_performance_goes_on_from_it() -> None:
    one, same, other = (added(life.layer(rest(), 0, 24.0, seed), MINUTE) for seed in (7, 7, 8))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    longer = added(life.layer(rest(2 * MINUTE), 0, 24.0, 7), 2 * MINUTE)
    # But for the last ten seconds, in which it comes to its end.
    np.testing.assert_allclose(one[: 2 * (MINUTE - 240)], longer[: 2 * (MINUTE - 240)])


def test_one_amount_leaves_the_others_as_they_are() -> None:
    full = life.layer(rest(), 0, 24.0, 1)
    some = life.layer(rest(), 0, 24.0, 1, life.Amounts(darts=0.0, breath=0.5))
    for name in ("eyeBlinkLeft", "headYaw", "headRoll"):
        assert np.array_equal(full[name].values, some[name].values)
    assert not any("Look" in name for name in some)


@settings(max_examples=60, deadline=None)
@given(
    performances(channels=tuple(c.name for c in CHANNELS)) | shut_performances(),
    any_style(),
    st.sampled_from([24.0, 60.0, 12.0]),
    st.integers(-100, 500),
    st.integers(0, 2**31 - 1),
)
def test_life_stays_within_a_face(story, style, fps, start, seed) -> None:  # type: ignore[no-untyped-def]
    made = curves.channel_curves(eyes.with_gaze(story), fps, start, style)
    samples = curves.sample(made, np.arange(made.start, made.end + 1))
    found = life.layer(samples, made.start, fps, seed)
    # Never the mouth: closed lips stay closed.
    assert all(name.startswith(("eyeBlink", "eyeWide", "eyeLook", "leftEye", "rightEye", "head")) for name in found)
    more = added(found, len(samples), made.start)
    halves = np.arange(2 * made.start, 2 * made.end + 1) / 2
    whole = curves.sample(made, halves) + more
    for side in ("Left", "Right"):
        for what in ("Blink", "Wide"):
            assert whole[:, INDEX[f"eye{what}{side}"]].min() >= -1e-6
            assert whole[:, INDEX[f"eye{what}{side}"]].max() <= 1.0 + 1e-6
    for curve in found.values():
        assert curve.frames[0] >= made.start
        assert curve.frames[-1] <= made.end
        assert (np.diff(curve.frames) > 0).all()
        assert curve.values[0] == curve.values[-1] == 0.0
    # Both forms of the gaze move by the same, where no end of a range is met.
    for angle, plus, minus in eyes.PAIRS:
        if np.abs(whole[:, INDEX[angle]]).max() < 1.0 and np.maximum(whole[:, INDEX[plus]], 0).max() < 1.0:
            keys = found.get(angle)
            if keys is not None and whole[:, INDEX[minus]].max() < 1.0:
                at = 2 * (keys.frames - made.start)
                moved = more[at, INDEX[plus]] - more[at, INDEX[minus]]
                np.testing.assert_allclose(moved, keys.values, atol=2e-6)
