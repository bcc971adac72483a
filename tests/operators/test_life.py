# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from facescript.rig_mapping import life_layer  # noqa: E402
from facescript.rig_mapping.life import Amounts  # noqa: E402
from facescript.rig_mapping.targets import Target, find_target  # noqa: E402
from scenes import state  # noqa: E402

SHUT = {"eyeBlink": 1.0}


@pytest.fixture
def face(extension: Any, tmp_path: Path) -> Any:
    """The demo face with a performance of three beats, frames 1 to 97, in a scene of 200 frames."""
    bpy.ops.facescript.add_face()
    obj = bpy.context.view_layer.objects.active
    scene = bpy.context.scene
    scene.render.fps, scene.frame_start, scene.frame_end = 24, 1, 200
    import_story(tmp_path, {"jawOpen": 0.4})
    obj.facescript.life.seed = 5
    return obj


def import_story(folder: Path, middle: dict[str, float], seconds: float = 4.0) -> None:
    frames = [(0.0, middle), (1.0, middle), (seconds, {"headYaw": 0.3})]
    rows = [{"t": t, "text": f"beat {i}", "pose": pose} for i, (t, pose) in enumerate(frames)]
    entry = {"id": "x", "script": "Hm.", "background": "", "emotion": "", "keyframes": rows}
    path = folder / "story.jsonl"
    path.write_text(json.dumps(entry) + "\n", encoding="utf-8")
    assert bpy.ops.facescript.import_performance(filepath=str(path)) == {"FINISHED"}


def target_of(face: Any) -> Target:
    bpy.context.view_layer.objects.active = face
    return find_target(face)


def take(face: Any) -> Any:
    data = target_of(face).meshes[0].object.find().data.shape_keys
    record = life_layer.life_records.load(data)
    return record.take if record is not None else None


def open_frames(face: Any, start: int, end: int) -> list[int]:
    """The frames at which the left eye is not closed."""
    found = []
    for frame in range(start, end + 1):
        bpy.context.scene.frame_set(frame)
        shown = face.evaluated_get(bpy.context.evaluated_depsgraph_get())
        if shown.data.shape_keys.key_blocks["eyeBlinkLeft"].value < 0.99:
            found.append(frame)
    return found


def test_a_button_takes_the_faces_own_settings(face: Any, extension: Any) -> None:
    face.facescript.life.darts, face.facescript.life.drift = 0.5, 0.0
    assert bpy.ops.facescript.add_life("INVOKE_DEFAULT") == {"FINISHED"}
    assert (take(face).start, take(face).end, take(face).seed) == (1, 200, 5)
    assert take(face).amounts == Amounts(1.0, 0.5, 1.0, 0.0)
    assert "blinks" in extension.session.note


def test_beats_outside_the_scenes_range_live_too(face: Any, tmp_path: Path) -> None:
    import_story(tmp_path, {"jawOpen": 0.4}, seconds=20.0)
    bpy.ops.facescript.add_life()
    assert take(face).end == 481


def test_what_a_script_gives_is_kept(face: Any) -> None:
    assert bpy.ops.facescript.add_life(seed=8, darts=0.0) == {"FINISHED"}
    assert take(face).amounts == Amounts(1.0, 0.0, 1.0, 1.0)
    assert (face.facescript.life.seed, face.facescript.life.darts) == (8, 0.0)


def test_a_head_that_is_not_to_move_neither_breathes_nor_drifts(face: Any) -> None:
    face.facescript.move_head = False
    bpy.ops.facescript.add_life()
    assert take(face).amounts == Amounts(1.0, 1.0, 0.0, 0.0)


def test_it_is_toggled_and_removed_without_a_trace(face: Any) -> None:
    bpy.context.scene.frame_set(30)
    before = state()
    bpy.ops.facescript.add_life()
    for shown in ("muted", "on"):
        assert bpy.ops.facescript.toggle_life() == {"FINISHED"}
        assert life_layer.present(target_of(face)) == shown
    assert bpy.ops.facescript.remove_life() == {"FINISHED"}
    bpy.context.scene.frame_set(30)
    assert state() == before
    assert life_layer.present(target_of(face)) == "none"


@pytest.mark.parametrize("name", ["toggle_life", "remove_life"])
def test_without_a_layer_there_is_nothing_to_do(face: Any, extension: Any, name: str) -> None:
    with pytest.raises(RuntimeError, match="no life layer"):
        getattr(bpy.ops.facescript, name)()
    assert extension.session.error.code == "no_life"


def test_an_error_is_shown_and_nothing_is_changed(face: Any, extension: Any) -> None:
    bpy.ops.facescript.add_life(seed=1)
    before = take(face)
    with pytest.raises(RuntimeError, match="can blink"):
        bpy.ops.facescript.add_life(seed=2, blinks=0.0, darts=0.0, breath=0.0, drift=0.0)
    assert take(face) == before
    assert (face.facescript.life.seed, face.facescript.life.blinks) == (1, 1.0)
    assert extension.session.error.code == "nothing_to_write"


def test_life_follows_what_is_written_and_cleared(face: Any, tmp_path: Path) -> None:
    bpy.ops.facescript.add_life()
    assert any(frame > 30 for frame in open_frames(face, 30, 80))
    # Eyes closed from the first beat to the third: nothing may blink there, or open them.
    import_story(tmp_path, SHUT)
    assert take(face) is not None
    assert open_frames(face, 1, 80) == []
    bpy.ops.facescript.toggle_life()
    bpy.context.scene.frame_set(60)
    assert bpy.ops.facescript.insert_beat() == {"FINISHED"}
    assert life_layer.present(target_of(face)) == "muted"
    bpy.ops.facescript.toggle_life()
    bpy.ops.facescript.clear()
    closed = set(range(1, 201)) - set(open_frames(face, 1, 200))
    # Only the blinks are left.
    assert 2 <= len(closed) < 40
    bpy.ops.facescript.remove_life()
    assert open_frames(face, 1, 200) == list(range(1, 201))


def test_another_take_has_its_own_blinks(face: Any, tmp_path: Path) -> None:
    bpy.ops.facescript.add_life()
    bpy.ops.facescript.new_take()
    import_story(tmp_path, SHUT)
    assert open_frames(face, 1, 80) == []
    bpy.ops.facescript.show_take(index=0)
    assert len(open_frames(face, 1, 80)) > 60
