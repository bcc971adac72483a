# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import face_rigs as rigs
import numpy as np
import pytest
from facescript.performance import INDEX, FacescriptError
from facescript.rig_mapping import blender_api as api
from facescript.rig_mapping import curves, styles, timeline
from facescript.rig_mapping.targets import find_target
from hypothesis import given, settings
from hypothesis import strategies as st
from made_performances import held, performance, performances

STYLES = ("snappy", "natural", "soft", "linear")


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
    # At 20 fps: eyes take 4 frames and are over 2 before the beat; the mouth takes 6 and ends with it.
    story = performance((0.0, {}), (1.0, {"eyeBlinkLeft": 1.0, "jawOpen": 0.5}), (2.0, {}))
    made = curves.channel_curves(story, 20.0, 1, styles.get("natural"))
    assert curve("eyeBlinkLeft", made) == [(1, 0.0), (15, 0.0), (19, 1.0), (35, 1.0), (39, 0.0), (41, 0.0)]
    assert curve("jawOpen", made) == [(1, 0.0), (15, 0.0), (21, 0.5), (35, 0.5), (41, 0.0)]
    assert list(made.curves) == ["eyeBlinkLeft", "jawOpen"]
    assert (made.start, made.end) == (1, 41)


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


@settings(max_examples=120, deadline=None)
@given(
    performances(),
    st.sampled_from(STYLES),
    st.sampled_from([24.0, 25.0, 30 / 1.001, 60.0, 12.0]),
    st.integers(-50, 500),
)
def test_what_holds_for_every_performance(story, style, fps, start) -> None:  # type: ignore[no-untyped-def]
    made = curves.channel_curves(story, fps, start, styles.get(style))
    # Every channel has exactly the beat's value at the beat's frame.
    np.testing.assert_allclose(curves.sample(made, made.beats), story.poses, atol=1e-6)
    frames = np.linspace(made.start, made.end, 301)
    sampled = curves.sample(made, frames)
    # Between two beats no channel leaves the two values: what both keep closed never opens.
    which = np.clip(np.searchsorted(made.beats, frames, side="right") - 1, 0, max(0, len(made.beats) - 2))
    ends = np.stack([story.poses[which], story.poses[np.minimum(which + 1, len(made.beats) - 1)]])
    assert (sampled >= ends.min(axis=0) - 1e-6).all()
    assert (sampled <= ends.max(axis=0) + 1e-6).all()
    for name, c in made.curves.items():
        assert story.poses[:, INDEX[name]].any()
        assert (c.frames[0], c.frames[-1]) == (made.start, made.end)
        assert (np.diff(c.frames) > 0).all()
        # A key between two equal ones says nothing.
        assert not ((c.values[1:-1] == c.values[:-2]) & (c.values[1:-1] == c.values[2:])).any()
    assert set(made.curves) == {n for n, i in INDEX.items() if np.round(story.poses[:, i], 6).any()}


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
