# SPDX-License-Identifier: GPL-3.0-or-later
"""The small operators around the list of beats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from scenes import keys  # noqa: E402


@pytest.fixture
def face(extension: Any, tmp_path: Path) -> Any:
    """The demo face's settings, with three beats on the timeline."""
    rows = [
        {"t": 0.0, "text": "one", "pose": {"jawOpen": 0.2, "headYaw": 0.5}},
        {"t": 1.0, "text": "two", "pose": {"jawOpen": 0.6, "headYaw": -0.5}},
        {"t": 2.0, "text": "three", "pose": {"jawOpen": 0.1}},
    ]
    path = tmp_path / "performance.jsonl"
    path.write_text(json.dumps({"script": "Hi.", "keyframes": rows}))
    bpy.context.scene.render.fps = 24
    bpy.ops.facescript.add_face()
    bpy.ops.facescript.import_performance(filepath=str(path))
    return bpy.context.view_layer.objects.active.facescript


def test_stepping_goes_from_beat_to_beat_and_stops_at_the_ends(face: Any) -> None:
    frames = []
    for step in (1, 1, 1, -5):
        bpy.ops.facescript.step_beat(step=step)
        frames.append(bpy.context.scene.frame_current)
    assert frames == [25, 49, 49, 1]


def test_starting_here_takes_the_current_frame(face: Any) -> None:
    bpy.context.scene.frame_set(77)
    bpy.ops.facescript.start_here()
    assert face.start_frame == 77


def test_an_emotion_preset_fills_the_field(face: Any) -> None:
    bpy.ops.facescript.set_emotion(emotion="Cold contempt")
    assert face.emotion == "Cold contempt"


def test_every_preset_is_a_short_direction(extension: Any) -> None:
    families = extension.module("operators.emotions").emotions()
    directions = [direction for family in families.values() for direction in family]
    assert len(directions) == len(set(directions)) >= 20
    assert all(1 <= len(direction.split()) <= 12 for direction in directions)


def test_without_head_motion_the_head_rests_and_its_earlier_keys_go(face: Any, tmp_path: Path) -> None:
    assert [path for _, path, *_ in keys() if "bones" in path]
    exported = tmp_path / "again.jsonl"
    bpy.ops.facescript.export_performance(filepath=str(exported))
    face.move_head = False
    bpy.ops.facescript.import_performance(filepath=str(exported))
    assert not [path for _, path, *_ in keys() if "bones" in path]
    assert [path for _, path, *_ in keys() if "jawOpen" in path]
