# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows edits by hand goes back with them, though undo brings back the keys alone."""

from __future__ import annotations

from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from facescript.rig_mapping import blender_api, records  # noqa: E402


def _rest(extension: Any) -> None:
    """Look as the timer does, until nothing is left to follow."""
    follower = extension.module("operators.following")._follower
    calm = 0
    for _ in range(200):
        extension.module("operators.faces")._look()
        follower.look()
        calm = calm + 1 if follower.at_rest else 0
        if calm == 4:
            return
    raise AssertionError("it does not come to rest")


def _places(obj: Any) -> list[Any]:
    blocks = [obj, obj.parent, obj.data.shape_keys]
    return [place for place in map(blender_api.find_place, blocks) if place is not None]


def _keys(obj: Any) -> list[Any]:
    """All that undo brings back where only keys were changed: the actions."""
    rows = [
        (p, c.data_path, c.array_index, blender_api.read_keys(c)) for p in _places(obj) for c in blender_api.fcurves(p)
    ]
    return [rows, [(p, p.action[records.PROPERTY]) for p in _places(obj)]]


def _bring_back(kept: list[Any]) -> None:
    for place, path, index, keys in kept[0]:
        blender_api.write_keys(blender_api.find_fcurve(place, path, index), keys)
    for place, text in kept[1]:
        place.action[records.PROPERTY] = text


def _lists(obj: Any) -> list[Any]:
    rows = [(b.key, b.frame, b.written_frame, b.text, b.pose, b.locked, b.by_hand) for b in obj.facescript.beats]
    return [rows, sorted((m.frame, m.name) for m in bpy.context.scene.timeline_markers)]


@pytest.mark.parametrize("edit", ["drag", "lift"])
def test_list_and_markers_go_back_with_the_keys(extension: Any, performed: Any, edit: str) -> None:
    follower = extension.module("operators.following")._follower
    _rest(extension)
    keys, lists = _keys(performed), _lists(performed)
    for place in _places(performed):
        for curve in blender_api.fcurves(place):
            for point in curve.keyframe_points:
                for part in (point.co, point.handle_left, point.handle_right):
                    if edit == "drag" and point.co.x >= 40.0:
                        part.x += 100.0
                    elif edit == "lift" and "mouthSmileLeft" in curve.data_path:
                        part.y += 0.2
    _rest(extension)
    followed = _lists(performed)
    assert followed != lists
    follower.keep()
    _bring_back(keys)
    follower.travelled = True
    _rest(extension)
    assert _lists(performed) == lists
    # What undo has brought back itself is left alone: a lock is no key.
    performed.facescript.beats[0].locked = True
    _rest(extension)
    locked = _lists(performed)
    follower.travelled = True
    _rest(extension)
    assert _lists(performed) == locked
