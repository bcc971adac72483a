# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the animator has keyed and whatever is written over it."""

from __future__ import annotations

from typing import Any

import bpy
import face_rigs as rigs
import numpy as np
from amounts import examples
from facescript.performance import INDEX, Performance
from facescript.rig_mapping import blender_api as api
from facescript.rig_mapping import curves, timeline
from facescript.rig_mapping.targets import find_target
from hypothesis import given, settings
from hypothesis import strategies as st
from made_performances import performances

KEYS = ("jawOpen", "mouthSmileLeft", "browInnerUp", "cheekPuff")
CHANNELS = (*KEYS, "headYaw")
HANDLES = ("FREE", "ALIGNED", "VECTOR", "AUTO", "AUTO_CLAMPED")
INTERPOLATIONS = ("CONSTANT", "LINEAR", "BEZIER", "BACK")

user_keys = st.dictionaries(
    st.sampled_from((*KEYS, "tongueOut")),
    st.dictionaries(
        st.integers(-60, 260) | st.floats(-60.0, 260.0, width=16),
        st.tuples(st.floats(0.0, 1.0, width=16), st.sampled_from(HANDLES), st.sampled_from(INTERPOLATIONS)),
        min_size=1,
        max_size=6,
    ),
    max_size=3,
)
stories = performances(most=6, channels=CHANNELS)
starts = st.integers(-20, 120)
style_names = st.sampled_from(["snappy", "natural", "soft", "linear"])


def make(keys: dict[str, dict[float, tuple[float, str, str]]]) -> Any:
    bpy.ops.wm.read_homefile(use_empty=True, use_factory_startup=True)
    obj = rigs.face()
    data = obj.data.shape_keys
    if keys:
        place = api.make_place(data, "Mine")
        for key, points in keys.items():
            curve = api.make_fcurve(place, f'key_blocks["{key}"].value', 0, "Mine")
            for frame, (value, handle, interpolation) in points.items():
                point = curve.keyframe_points.insert(frame, value)
                point.interpolation = interpolation
                point.handle_left_type = point.handle_right_type = handle
            curve.update()
    return obj


def table(obj: Any) -> dict[tuple[str, str, int], dict[float, bytes]]:
    """Every key of the face, to the last bit."""
    found = {}
    for block in (obj, obj.data.shape_keys):
        for curve in api.fcurves(api.find_place(block)):
            keys = api.read_keys(curve)
            rows = {
                float(keys["co"][i, 0]): b"".join(v[i].tobytes() for v in keys.values()) for i in range(len(keys["co"]))
            }
            found[block.name, curve.data_path, curve.array_index] = rows
    return found


@settings(max_examples=examples(60), deadline=None)
@given(user_keys, stories, starts, style_names)
def test_only_what_is_said_changes(keys: Any, story: Performance, start: int, style: str) -> None:
    obj = make(keys)
    target = find_target(obj)
    before = table(obj)
    report = timeline.write(target, story, start_frame=start, style=style, fps=24.0)
    after = table(obj)
    written = {f'key_blocks["{name}"].value' for name in report.channels}
    for address, rows in before.items():
        for frame, row in rows.items():
            if address[1] not in written or not report.start <= frame <= report.end:
                assert after[address][frame] == row
    for address, rows in after.items():
        new = {f for f in rows if f not in before.get(address, {}) or rows[f] != before[address][f]}
        assert all(report.start <= f <= report.end for f in new)
    # The face shows every beat exactly.
    for beat, keyframe in zip(report.beats, story.keyframes, strict=True):
        pose = timeline.read_pose(target, beat)
        for name in report.channels:
            assert abs(pose[name] - keyframe.pose[name]) < 1e-4

    timeline.write(target, story, start_frame=start, style=style, fps=24.0)
    assert table(obj) == after

    outside = {
        a: {f: r for f, r in rows.items() if a[1] not in written or not report.start <= f <= report.end}
        for a, rows in before.items()
    }
    timeline.clear(target)
    assert table(obj) == outside
    assert {a.name for a in bpy.data.actions} == ({"Mine"} if keys else set())


@settings(max_examples=examples(60), deadline=None)
@given(user_keys, stories, stories, starts, starts, style_names, style_names)
def test_a_new_performance_leaves_nothing_of_the_last(
    keys: Any, one: Performance, other: Performance, a: int, b: int, style: str, next_style: str
) -> None:
    obj = make(keys)
    target = find_target(obj)
    first = timeline.write(target, one, start_frame=a, style=style, fps=24.0)
    second = timeline.write(target, other, start_frame=b, style=next_style, fps=24.0)
    found = table(obj)
    # As if only the second had been written, over what the first had left of the animator's keys.
    fresh = make(keys)
    touched = [(f'key_blocks["{n}"].value', r) for r, names in ((first, first.channels),) for n in names]
    for curve in list(api.fcurves(api.find_place(fresh.data.shape_keys))):
        for path, report in touched:
            if curve.data_path == path:
                have = api.read_keys(curve)
                stay = (have["co"][:, 0] < report.start) | (have["co"][:, 0] > report.end)
                api.write_keys(curve, {n: v[stay] for n, v in have.items()})
    report = timeline.write(find_target(fresh), other, start_frame=b, style=next_style, fps=24.0)
    assert (report.start, report.end, report.channels) == (second.start, second.end, second.channels)
    assert table(fresh) == found


@settings(max_examples=examples(60), deadline=None)
@given(stories, starts, style_names, st.data())
def test_what_the_animator_does_outside_a_new_performance_is_kept(
    story: Performance, start: int, style: str, data: st.DataObject
) -> None:
    obj = make({})
    target = find_target(obj)
    timeline.write(target, story, start_frame=start, style=style, fps=24.0)
    edits = {}
    for curve in api.fcurves(api.find_place(obj.data.shape_keys)):
        frame = data.draw(st.integers(start - 5, start + 100))
        value = data.draw(st.sampled_from([0.111, 0.777]))
        curve.keyframe_points.insert(frame, value)
        edits[curve.data_path] = (frame, value)
    # Far behind everything.
    other = Performance(story.brief, story.keyframes[:1])
    timeline.write(target, other, start_frame=5000, style=style, fps=24.0)
    found = {a[1]: rows for a, rows in table(obj).items()}
    for path, (frame, _) in edits.items():
        assert [f for f in found[path] if f < 5000] == [frame]
    for path, (frame, value) in edits.items():
        curve = api.find_fcurve(api.find_place(obj.data.shape_keys), path, 0)
        assert any(abs(p.co.x - frame) < 1e-3 and abs(p.co.y - value) < 1e-5 for p in curve.keyframe_points)


@settings(max_examples=examples(25), deadline=None)
@given(stories, style_names)
def test_blender_and_the_sampled_curves_agree(story: Performance, style: str) -> None:
    from facescript.rig_mapping import styles

    obj = make({})
    timeline.write(find_target(obj), story, start_frame=1, style=style, fps=24.0)
    made = curves.channel_curves(story, 24.0, 1, styles.get(style))
    frames = np.linspace(made.start - 2, made.end + 2, 90)
    expected = curves.sample(made, frames)
    for curve in api.fcurves(api.find_place(obj.data.shape_keys)):
        blender = [curve.evaluate(float(f)) for f in frames]
        np.testing.assert_allclose(blender, expected[:, INDEX[curve.data_path.split('"')[1]]], atol=1e-3)
