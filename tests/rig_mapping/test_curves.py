# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import face_rigs as rigs
import numpy as np
import pytest
from facescript.performance import INDEX, FacescriptError
from facescript.performance.channels import HIGH, LOW
from facescript.rig_mapping import blender_api as api
from facescript.rig_mapping import closures, curves, styles, timeline, tracks
from facescript.rig_mapping.targets import find_target
from hypothesis import given, settings
from hypothesis import strategies as st
from made_performances import any_style, held, performance, performances, shut_performances

STYLES = ("snappy", "natural", "soft", "linear")
RATES = [24.0, 25.0, 30 / 1.001, 60.0, 12.0]


def curve(name: str, made: curves.ChannelCurves) -> list[tuple[int, float]]:
    c = made.curves[name]
    return list(zip(c.frames.tolist(), c.values.tolist(), strict=True))


def test_beats_are_at_whole_frames_from_the_start() -> None:
    beats = curves.beat_frames(performance((0.0, {}), (0.5, {}), (2.0, {})), 24.0, 10)
    assert beats.tolist() == [10, 22, 58]


def test_ntsc_rates_do_not_drift() -> None:
    # An hour at 30/1.001 is 107892.1 frames.
    beats = curves.beat_frames(performance((0.0, {}), (1.0, {}), (3600.0, {})), 30 / 1.001, 0)
    assert beats.tolist() == [0, 30, 107892]


def test_beats_on_one_frame_are_kept_apart() -> None:
    beats = curves.beat_frames(performance((0.0, {}), (0.01, {}), (0.02, {}), (0.05, {}), (1.0, {})), 24.0, 1)
    assert beats.tolist() == [1, 2, 3, 4, 25]


@pytest.mark.parametrize("fps", [0.0, -24.0, float("nan"), float("inf")])
def test_a_frame_rate_that_is_none_is_refused(fps: float) -> None:
    with pytest.raises(FacescriptError) as error:
        curves.beat_frames(performance((0.0, {})), fps, 1)
    assert error.value.code == "bad_fps"


def test_a_performance_past_blenders_last_frame_is_refused() -> None:
    with pytest.raises(FacescriptError) as error:
        curves.beat_frames(performance((0.0, {}), (86400.0, {})), 24.0, 1)
    assert error.value.code == "bad_frame"


def test_natural_timing_by_hand() -> None:
    # At 20 fps: eyes take 4 frames and are over 2 before the beat; the mouth takes 6 and ends with it. After a hold
    # of 5 frames the jaw has 9 to relax in: by 9/20 of the 6 % that a second would bring.
    story = performance((0.0, {}), (1.0, {"eyeBlinkLeft": 1.0, "jawOpen": 0.5}), (2.0, {}))
    made = curves.channel_curves(story, 20.0, 1, styles.get("natural"))
    # A closed eye does not relax.
    assert curve("eyeBlinkLeft", made) == [(1, 0.0), (15, 0.0), (19, 1.0), (35, 1.0), (39, 0.0), (41, 0.0)]
    relaxed = pytest.approx(0.5 * (1.0 - 0.06 * 9 / 20))
    assert curve("jawOpen", made) == [(1, 0.0), (15, 0.0), (21, 0.5), (26, 0.5), (35, relaxed), (41, 0.0)]
    assert list(made.curves) == ["eyeBlinkLeft", "jawOpen"]
    assert (made.start, made.end) == (1, 41)


def test_snappy_goes_too_far_and_has_settled_at_the_beat() -> None:
    # At 20 fps the mouth takes 3 frames, goes 8 % too far and settles in 2; it holds 12, and is let go at 36.
    story = performance((0.0, {}), (1.0, {"jawOpen": 0.5, "mouthSmileLeft": 1.0}), (2.0, {}))
    made = curves.channel_curves(story, 20.0, 1, styles.get("snappy"))
    assert curve("jawOpen", made) == [(1, 0.0), (16, 0.0), (19, 0.54), (21, 0.5), (36, 0.5), (39, 0.0), (41, 0.0)]
    # A channel has no room beyond 1, and arrives with the others.
    assert curve("mouthSmileLeft", made) == [(1, 0.0), (16, 0.0), (19, 1.0), (36, 1.0), (39, 0.0), (41, 0.0)]


def test_a_long_rest_relaxes_no_further_than_a_second() -> None:
    for seconds in (2.0, 9.0):
        story = performance((0.0, {"browInnerUp": 0.8}), (seconds, {}))
        made = curves.channel_curves(story, 24.0, 0, styles.adjusted(styles.get("soft"), hold=0.0, release=0.25))
        assert made.curves["browInnerUp"].values.tolist() == pytest.approx([0.8, 0.6, 0.0, 0.0])


def test_hold_and_lead_leave_a_change_its_time_in_a_short_gap() -> None:
    # 6 frames apart: a lead of 2, a hold of 1, and the 3 between them for the change.
    style = styles.adjusted(styles.get("natural"), hold=5.0, leads={"brows": 1.0}, release=1.0, overshoot=0.0)
    made = curves.channel_curves(performance((0.0, {}), (0.25, {"browInnerUp": 1.0})), 24.0, 0, style)
    assert curve("browInnerUp", made) == [(0, 0.0), (1, 0.0), (4, 1.0), (6, 1.0)]


def test_the_gaze_neither_drifts_nor_swings_back() -> None:
    away = {"eyeLookOutLeft": 0.6, "leftEyeYaw": 0.6}
    style = styles.adjusted(styles.get("natural"), release=0.5, overshoot=0.5, leads=0.0)
    made = curves.channel_curves(performance((0.0, {}), (1.0, away), (3.0, {})), 20.0, 0, style)
    for name in away:
        assert set(made.curves[name].values) == {0.0, 0.6}


def test_linear_has_keys_at_the_beats_and_nothing_else() -> None:
    story = performance((0.0, {}), (1.0, {"eyeBlinkLeft": 1.0}), (2.0, {}))
    made = curves.channel_curves(story, 24.0, 1, styles.get("linear"))
    assert curve("eyeBlinkLeft", made) == [(1, 0.0), (25, 1.0), (49, 0.0)]
    assert made.curves["eyeBlinkLeft"].interpolation == "LINEAR"
    assert curves.sample(made, [13])[0, INDEX["eyeBlinkLeft"]] == pytest.approx(0.5)


def test_a_long_hold_has_keys_only_at_its_ends() -> None:
    smile = {"mouthSmile": 0.6}
    story = performance((0.0, smile), (1.0, smile), (2.0, {**smile, "jawOpen": 0.2}), (3.0, smile))
    made = curves.channel_curves(story, 24.0, 1, styles.get("natural"))
    assert curve("mouthSmileLeft", made) == [(1, 0.6), (73, 0.6)]


def test_one_beat_is_one_key() -> None:
    made = curves.channel_curves(performance((0.0, {"jawOpen": 0.3})), 24.0, 5, styles.get("natural"))
    assert curve("jawOpen", made) == [(5, 0.3)]
    made = curves.channel_curves(performance((0.0, {"jawOpen": 0.3})), 24.0, 5, held("natural", 0.5))
    assert curve("jawOpen", made) == [(5, 0.3), (17, 0.3)]


def test_a_face_at_rest_has_no_curves() -> None:
    made = curves.channel_curves(performance((0.0, {}), (1.0, {})), 24.0, 1, styles.get("soft"))
    assert not made.curves
    assert not curves.sample(made, np.arange(30)).any()


def test_float_noise_is_no_motion() -> None:
    made = curves.channel_curves(
        performance((0.0, {"jawOpen": 0.3}), (1.0, {"jawOpen": 0.3 + 1e-9})), 24.0, 1, styles.get()
    )
    assert curve("jawOpen", made) == [(1, 0.3), (25, 0.3)]


def halves(made: curves.ChannelCurves) -> np.ndarray:
    """Every frame and half frame of a performance."""
    return np.arange(2 * made.start, 2 * made.end + 1) / 2


def between(made: curves.ChannelCurves, poses: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The poses of the beat before and after each frame."""
    which = np.clip(np.searchsorted(made.beats, frames, side="right") - 1, 0, len(poses) - 1)
    return poses[which], poses[np.minimum(which + 1, len(poses) - 1)]


@settings(max_examples=80, deadline=None)
@given(performances() | shut_performances(), any_style(), st.sampled_from(RATES), st.integers(-50, 500))
def test_what_holds_for_every_performance(story, style, fps, start) -> None:  # type: ignore[no-untyped-def]
    made = curves.channel_curves(story, fps, start, style)
    # Every channel has exactly the beat's value at the beat's frame.
    np.testing.assert_allclose(curves.sample(made, made.beats), story.poses, atol=1e-6)
    frames = halves(made)
    sampled = curves.sample(made, frames)
    assert (sampled >= LOW - 1e-6).all()
    assert (sampled <= HIGH + 1e-6).all()
    # Between two beats a channel leaves the two values by its release and its overshoot, and by no more.
    one, other = between(made, story.poses, frames)
    relaxed = one * (1.0 - style.release)
    most = max(t.overshoot for t in style.regions.values())
    too_far = np.maximum(np.abs(other - one), np.abs(other - relaxed)) * most
    low, high = np.minimum(one, other), np.maximum(one, other)
    assert (sampled >= np.minimum(np.minimum(low, relaxed), other - too_far) - 2e-6).all()
    assert (sampled <= np.maximum(np.maximum(high, relaxed), other + too_far) + 2e-6).all()
    for name, c in made.curves.items():
        assert story.poses[:, INDEX[name]].any()
        assert (c.frames[0], c.frames[-1]) == (made.start, made.end)
        assert (np.diff(c.frames) > 0).all()
        # Horizontal handles, and no key between two equal ones, which would say nothing.
        assert (c.left[:, 1] == c.values).all()
        assert (c.right[:, 1] == c.values).all()
        assert not ((c.values[1:-1] == c.values[:-2]) & (c.values[1:-1] == c.values[2:])).any()
    assert set(made.curves) == {n for n, i in INDEX.items() if np.round(story.poses[:, i], 6).any()}


@settings(max_examples=80, deadline=None)
@given(shut_performances(), any_style(), st.sampled_from(RATES))
def test_what_both_ends_keep_closed_never_opens_between(story, style, fps) -> None:  # type: ignore[no-untyped-def]
    made = curves.channel_curves(story, fps, 1, style)
    frames = halves(made)
    sampled = curves.sample(made, frames)
    one, other = between(made, story.poses, frames)
    for side in ("Left", "Right"):
        blink, wide = INDEX[f"eyeBlink{side}"], INDEX[f"eyeWide{side}"]
        shut = (one[:, blink] > 0.5) & (other[:, blink] > 0.5)
        assert (sampled >= np.minimum(one, other) - 1e-6)[shut, blink].all()
        assert (sampled <= np.maximum(one, other) + 1e-6)[shut, wide].all()
    jaw, close = INDEX["jawOpen"], INDEX["mouthClose"]
    gap, gaps = sampled[:, jaw] - sampled[:, close], (one[:, jaw] - one[:, close], other[:, jaw] - other[:, close])
    shut = (gaps[0] <= 0.05) & (gaps[1] <= 0.05)
    assert (gap <= np.maximum(*gaps) + 2e-6)[shut].all()
    # Before the change begins, a closed mouth does not open either.
    pressed = closures.lips_closed(one) & closures.lips_closed(other)
    for name in ("mouthPressLeft", "mouthPressRight", "mouthRollLower", "mouthRollUpper"):
        assert (sampled >= np.minimum(one, other) - 1e-6)[pressed, INDEX[name]].all()
    for name in ("jawOpen", "mouthLowerDownLeft", "mouthLowerDownRight"):
        assert (sampled <= np.maximum(one, other) + 1e-6)[pressed, INDEX[name]].all()


@settings(max_examples=25, deadline=None)
@given(shut_performances(), any_style(), st.sampled_from([1.0, 0.7, 0.3]), st.sampled_from([1.0, 0.6]))
def test_lips_stay_closed_on_a_key_that_ends_early(story, style, jaw_end, lips_end) -> None:  # type: ignore[no-untyped-def]
    obj = rigs.face(keys=("jawOpen", "mouthClose", "eyeBlinkLeft"))
    obj.data.shape_keys.key_blocks["jawOpen"].slider_max = jaw_end
    obj.data.shape_keys.key_blocks["mouthClose"].slider_max = lips_end
    made = curves.channel_curves(story, 24.0, 1, style)
    frames = halves(made)
    laid = {t.path.split('"')[1]: t.curve for t in tracks.make_tracks(find_target(obj), made).tracks}
    none = np.zeros(len(frames))
    jaw, close = (curves.evaluate(laid[n], frames) if n in laid else none for n in ("jawOpen", "mouthClose"))
    poses = story.poses.copy()
    shut = np.logical_and(*(closures.lips_closed(p) for p in between(made, poses, frames)))
    poses[:, INDEX["jawOpen"]] = np.minimum(poses[:, INDEX["jawOpen"]], jaw_end)
    poses[:, INDEX["mouthClose"]] = np.minimum(poses[:, INDEX["mouthClose"]], lips_end)
    one, other = (p[:, INDEX["jawOpen"]] - p[:, INDEX["mouthClose"]] for p in between(made, poses, frames))
    assert (jaw - close <= np.maximum(one, other) + 1e-6)[shut].all()


@pytest.mark.parametrize("style", STYLES)
def test_closed_lips_stay_closed_on_the_way(style: str) -> None:
    story = performance((0.0, {"jawOpen": 0.4, "mouthClose": 0.4}), (1.0, {"jawOpen": 0.1, "mouthClose": 0.1}))
    made = curves.channel_curves(story, 24.0, 1, styles.get(style))
    sampled = curves.sample(made, np.linspace(1, 25, 97))
    np.testing.assert_allclose(sampled[:, INDEX["jawOpen"]], sampled[:, INDEX["mouthClose"]], atol=1e-9)


@pytest.mark.parametrize("style", STYLES)
def test_blender_evaluates_the_same_curves(style: str) -> None:
    story = performance(
        (0.0, {"jawOpen": 0.2}),
        (0.7, {"jawOpen": 0.9, "browInnerUp": 1.0, "eyeBlink": 1.0}),
        (0.75, {"jawOpen": 0.1, "browInnerUp": 0.3}),
        (2.5, {"mouthPucker": 0.7, "jawOpen": 0.1}),
    )
    obj = rigs.face()
    timeline.write(find_target(obj), story, start_frame=3, style=style, fps=24.0)
    made = curves.channel_curves(story, 24.0, 3, styles.get(style))
    frames = np.arange(0.0, 70.0, 0.23)
    expected = curves.sample(made, frames)
    found = list(api.fcurves(api.find_place(obj.data.shape_keys)))
    assert len(found) == len(made.curves)
    for fcurve in found:
        name = fcurve.data_path.split('"')[1]
        blender = [fcurve.evaluate(f) for f in frames]
        np.testing.assert_allclose(blender, expected[:, INDEX[name]], atol=1e-3)
