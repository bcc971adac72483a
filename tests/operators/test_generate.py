# SPDX-License-Identifier: GPL-3.0-or-later
"""Generate, through the installed zip, with the real model where it says so."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from facescript.commands import PYTHON  # noqa: E402
from facescript.performance import BLEND_SHAPES  # noqa: E402
from scenes import cube_with_keys, key_by_hand, keys, state  # noqa: E402

MISBEHAVING = Path(__file__).parent.parent / "inference" / "misbehaving_worker.py"
DESCRIBED = "[0.0s] both brows shoot up, eyes wide, jaw dropped\n[1.5s] eyes closed, lips pressed together"


def generate(**properties: Any) -> set[str]:
    return bpy.ops.facescript.generate(wait=True, **properties)


@pytest.mark.model
def test_a_script_becomes_editable_keys_on_the_active_face(extension: Any, model: Any) -> None:
    bpy.ops.facescript.add_face()
    obj = bpy.context.view_layer.objects.active
    scene = bpy.context.scene
    scene.render.fps = 24
    done = generate(script=DESCRIBED, background="A kitchen", emotion="Shock", start_frame=11, style="natural")
    assert done == {"FINISHED"}
    beats = obj.facescript.beats
    # 1.5 s at 24 frames a second is 36 frames after the start.
    assert [beat.frame for beat in beats] == [11, 47]
    assert beats[1].text == "eyes closed, lips pressed together"
    assert "smollm2" in obj.facescript.model
    written = keys()
    assert written
    assert all(11 <= frame <= 47 for _, _, _, frame, _ in written)
    assert all(0.0 <= value <= 1.0 for _, path, _, _, value in written if path.startswith("key_blocks"))
    moving = {path for _, path, _, _, _ in written}
    for path in moving:
        assert any(abs(value) > 0 for _, other, _, _, value in written if other == path)
    # The animator can go on by hand: these are ordinary keys.
    for beat in beats:
        scene.frame_set(beat.frame)
        pose = beat.keyframe().pose
        for shape in BLEND_SHAPES:
            assert obj.data.shape_keys.key_blocks[shape].value == pytest.approx(pose[shape], abs=1e-4)


@pytest.mark.model
def test_the_same_seed_gives_the_same_keys_and_another_start_only_moves_them(extension: Any, model: Any) -> None:
    script = "Oh, it's you. (She smiles.)"
    bpy.ops.facescript.add_face()
    generate(script=script, emotion="Quiet joy", seed=3, start_frame=1)
    first = keys()
    generate(script=script, emotion="Quiet joy", seed=3, start_frame=1)
    assert keys() == first
    generate(script=script, emotion="Quiet joy", seed=3, start_frame=101)
    assert keys() == [(block, path, index, frame + 100, value) for block, path, index, frame, value in first]


@pytest.mark.model
@pytest.mark.parametrize(
    "script",
    ["Hel\x00lo\x07 the\u200bre\x1b[31m. (She smiles.)", "שלום, מה שלומך? (היא מחייכת)", "😀", "\u202eevil\u202c"],
)
def test_control_characters_and_right_to_left_text_are_performed(extension: Any, model: Any, script: str) -> None:
    bpy.ops.facescript.add_face()
    assert generate(script=script) == {"FINISHED"}
    beats = bpy.context.view_layer.objects.active.facescript.beats
    assert len(beats) >= 1
    assert not any(ord(char) < 32 for beat in beats for char in beat.text)


def empty_scene() -> None:
    pass


def camera() -> None:
    data = bpy.data.cameras.new("Camera")
    obj = bpy.data.objects.new("Camera", data)
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj


def plain_cube() -> None:
    cube_with_keys([])


def other_keys() -> None:
    cube_with_keys(["Key 1", "fat", "thin"])


def face() -> None:
    bpy.ops.facescript.add_face()


@pytest.mark.parametrize(
    ("scene", "script", "words"),
    [
        (empty_scene, "Hi.", "No object is selected"),
        (camera, "Hi.", "is a camera, not a face"),
        (plain_cube, "Hi.", "shape keys"),
        (other_keys, "Hi.", "ARKit"),
        (face, "", "script"),
        (face, "   \n\t ", "script"),
        (face, "x" * 100_001, "100"),
        (face, "[5s] eyes close\n[2s] lips press", "Line 2"),
    ],
)
def test_what_cannot_work_says_why_and_changes_nothing(
    extension: Any, scene: Callable[[], None], script: str, words: str
) -> None:
    scene()
    before = state()
    with pytest.raises(RuntimeError) as caught:
        generate(script=script)
    assert words in str(caught.value)
    assert words in str(extension.session.error)
    assert extension.session.error.hint
    assert state() == before


@pytest.mark.model
def test_a_script_of_100_000_characters_is_refused_with_its_limit(extension: Any, model: Any) -> None:
    bpy.ops.facescript.add_face()
    with pytest.raises(RuntimeError, match="moments"):
        generate(script="She smiles, then looks away. " * 3400)


@pytest.mark.model
def test_a_partly_covered_face_is_performed_with_what_it_has(extension: Any, model: Any) -> None:
    cube_with_keys(["jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "something else"])
    generate(script=DESCRIBED)
    paths = {path for _, path, _, _, _ in keys() if path.startswith("key_blocks")}
    assert paths <= {f'key_blocks["{name}"].value' for name in ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight")}
    assert paths


def test_a_linked_mesh_is_refused_and_stays_as_it_was(extension: Any, tmp_path: Path) -> None:
    bpy.ops.facescript.add_face()
    library = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(library))
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(library), link=True) as (_, wanted):
        wanted.objects = ["ARKit Face"]
    obj = wanted.objects[0]
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    before = state()
    with pytest.raises(RuntimeError, match=r"(?i)library|linked"):
        generate(script="Hi.")
    assert state() == before


@pytest.mark.model
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: None, "no model folder"),
        (lambda folder: folder.mkdir(), "config.json"),
        (lambda folder: (folder.mkdir(), (folder / "config.json").write_text("{"))[0], "This is not JSON"),
    ],
)
def test_a_missing_or_corrupt_model_says_so(
    extension: Any, model: Any, tmp_path: Path, make: Callable[[Path], object], words: str
) -> None:
    folder = tmp_path / "model"
    make(folder)
    bpy.ops.facescript.add_face()
    key_by_hand(bpy.context.view_layer.objects.active, "jawOpen", 5, 0.5)
    before = state()
    extension.preferences.backend, extension.preferences.model_folder = "local", str(folder)
    with pytest.raises(RuntimeError, match=words):
        generate(script="Hi.")
    assert state() == before


def test_without_set_up_it_says_so(extension: Any, tmp_path: Path) -> None:
    extension.preferences.runtime_folder = str(tmp_path / "nothing here")
    bpy.ops.facescript.add_face()
    with pytest.raises(RuntimeError, match="Set Up"):
        generate(script="Hi.")


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("exits", "ended by itself"),
        ("dies", "ended by itself"),
        ("prints text", "cannot be used"),
        ("NaN", "cannot be used"),
        ("7.0", "jawOpen is 7"),
        ("unknown name", "no channel"),
        ("leaves out", "left out"),
    ],
)
def test_a_worker_that_goes_wrong_costs_one_generation_and_no_key(
    extension: Any, monkeypatch: pytest.MonkeyPatch, behaviour: str, words: str
) -> None:
    bpy.ops.facescript.add_face()
    obj = bpy.context.view_layer.objects.active
    key_by_hand(obj, "mouthSmileLeft", 3, 0.25)
    before = state()
    session_module = extension.module("operators.session")
    extension.session.stop_worker()
    command = [str(PYTHON), str(MISBEHAVING), behaviour]
    monkeypatch.setattr(session_module, "worker_command", lambda python, models: command)
    with pytest.raises(RuntimeError) as caught:
        generate(script="Hi.")
    assert words in str(caught.value)
    assert state() == before
    assert len(obj.facescript.beats) == 0
    command[-1] = "answers"
    assert generate(script="Hi.") == {"FINISHED"}
    extension.session.stop_worker()


@pytest.mark.model
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_worker_killed_in_the_middle_leaves_the_scene_as_it_was(extension: Any, model: Any) -> None:
    bpy.ops.facescript.add_face()
    before = state()
    assert bpy.ops.facescript.generate(script=DESCRIBED) == {"FINISHED"}
    assert extension.session.busy
    with pytest.raises(RuntimeError, match="running"):
        generate(script="Hi.")
    # Before it was at it: another one is started, and nobody is told.
    os.kill(extension.session._client.pid, signal.SIGKILL)
    while not extension.session.job.heard:
        assert extension.session.step()
        time.sleep(0.01)
    os.kill(extension.session._client.pid, signal.SIGKILL)
    while extension.session.step():
        time.sleep(0.01)
    assert extension.session.error.code in ("worker_killed", "no_memory")
    assert state() == before
    assert generate(script=DESCRIBED) == {"FINISHED"}


@pytest.mark.model
def test_cancel_stops_it_and_the_next_one_works(extension: Any, model: Any) -> None:
    bpy.ops.facescript.add_face()
    before = state()
    bpy.ops.facescript.generate(script="One. (She smiles.) Two. (She frowns.) Three. (She blinks.)")
    assert bpy.ops.facescript.cancel() == {"FINISHED"}
    while extension.session.step():
        time.sleep(0.01)
    assert extension.session.error is None
    assert "Cancelled" in extension.session.note
    assert state() == before
    assert generate(script="[0s] eyes closed") == {"FINISHED"}


@pytest.mark.model
def test_a_face_that_is_deleted_meanwhile_is_an_error_and_no_crash(extension: Any, model: Any) -> None:
    bpy.ops.facescript.add_face()
    bpy.ops.facescript.generate(script="[0s] eyes closed")
    bpy.data.objects.remove(bpy.data.objects["ARKit Face"])
    while extension.session.step():
        time.sleep(0.01)
    assert extension.session.error.code == "target_gone"


@pytest.mark.model
def test_loading_another_file_stops_the_generation(extension: Any, model: Any) -> None:
    bpy.ops.facescript.add_face()
    bpy.ops.facescript.generate(script="[0s] eyes closed")
    bpy.ops.wm.read_homefile(use_empty=True)
    assert not extension.session.busy
    assert not extension.session.step()


@pytest.mark.model
def test_keys_of_the_animator_outside_the_performance_are_untouched(extension: Any, model: Any) -> None:
    bpy.ops.facescript.add_face()
    obj = bpy.context.view_layer.objects.active
    for frame in (2, 200):
        key_by_hand(obj, "eyeBlinkLeft", frame, 0.5)
    key_by_hand(obj, "cheekPuff", 60, 0.5)
    mine = keys()
    generate(script=DESCRIBED, start_frame=50)
    assert set(mine) <= set(keys())
    assert len(keys()) > len(mine)
    bpy.ops.facescript.clear()
    assert keys() == mine
    assert len(obj.facescript.beats) == 0


@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
def test_a_worker_that_is_stuck_is_ended_by_cancel(extension: Any, model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extension.module("operators.session"), "PATIENCE", 0.5)
    bpy.ops.facescript.add_face()
    before = state()
    bpy.ops.facescript.generate(script="Hi.")
    os.kill(extension.session._client.pid, signal.SIGSTOP)
    bpy.ops.facescript.cancel()
    end = time.monotonic() + 20.0
    while extension.session.step() and time.monotonic() < end:
        time.sleep(0.01)
    assert not extension.session.busy
    assert "Cancelled" in extension.session.note
    assert state() == before


def test_what_is_refused_leaves_the_faces_own_settings(extension: Any) -> None:
    bpy.ops.facescript.add_face()
    face = bpy.context.view_layer.objects.active.facescript
    face.script, face.emotion = "Mine.", "Calm"
    with pytest.raises(RuntimeError):
        generate(script="", emotion="Other")
    assert (face.script, face.emotion) == ("Mine.", "Calm")


def test_what_is_known_of_the_face_is_renewed_when_its_keys_change(extension: Any) -> None:
    faces = extension.module("operators.faces")
    obj = cube_with_keys(["Key 1", "Key 2"])
    key = faces._key(bpy.context)
    obj.data.shape_keys.key_blocks["Key 1"].name = "jawOpen"
    assert faces._key(bpy.context) != key
    key = faces._key(bpy.context)
    obj.data.shape_keys.use_relative = False
    assert faces._key(bpy.context) != key
