# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to a file while something is generated or written for it: it ends cleanly, with one plain sentence,
and no key of the user's is another."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from amounts import MAIN_BLENDER  # noqa: E402
from facescript.commands import PYTHON  # noqa: E402
from facescript.performance import Performance, jsonl  # noqa: E402
from scenes import ENTRY, cube_with_keys, key_by_hand, keys, state  # noqa: E402

FAKE = Path(__file__).parent.parent / "inference" / "misbehaving_worker.py"
PERFORMANCE: Performance = jsonl.performance_from_dict(ENTRY)
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="POSIX")


@pytest.fixture
def worker(
    extension: Any, model: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[[str], None]]:
    """Has the session start a worker of the test's, which answers at once unless another behaviour is chosen.

    Nothing of it may be left: no process, no thread, no descriptor.
    """
    session = extension.module("operators.session")
    extension.session.stop_worker()
    before = left()

    def use(behaviour: str) -> None:
        command = [str(PYTHON), str(FAKE), behaviour, str(tmp_path / "marker")]
        monkeypatch.setattr(session, "worker_command", lambda python, models: command)

    use("answers")
    yield use
    extension.session.stop_worker()
    gc.collect()
    assert left() == before


def left() -> tuple[list[str], int, int]:
    """The extension's threads, this process's children, and its pipes."""
    threads = sorted(t.name for t in threading.enumerate() if t.name.startswith("facescript"))
    try:
        pipes = sum(
            "pipe:" in os.readlink(f"/proc/self/fd/{fd}")
            for fd in os.listdir("/proc/self/fd")
            if Path(f"/proc/self/fd/{fd}").exists()
        )
        children = len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())
    except OSError:
        pipes = children = 0
    return threads, children, pipes


def prepared() -> Any:
    """A face with a key of the user's on it, and another object with keys."""
    bpy.context.scene.render.fps = 24
    other = cube_with_keys(["Key 1"], "Other")
    for frame in (1, 30):
        key_by_hand(other, "Key 1", frame, frame / 40)
    bpy.ops.facescript.add_face()
    obj = bpy.context.view_layer.objects.active
    key_by_hand(obj, "jawOpen", 500, 0.25)
    return obj


def come_to_rest(extension: Any, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while extension.session.step():
        assert time.monotonic() < end
        time.sleep(0.002)
    assert not extension.session.busy
    assert not extension.session.writing


def mine(found: list[Any]) -> list[Any]:
    """Keys of the user's among all."""
    return [key for key in found if key[3] == 500.0 or "Key 1" in key[1]]


def delete(obj: Any) -> None:
    bpy.data.objects.remove(obj)


def delete_by_operator(obj: Any) -> None:
    with bpy.context.temp_override(selected_objects=[obj]):
        bpy.ops.object.delete()


def replace(obj: Any) -> None:
    bpy.data.objects.remove(obj)
    bpy.ops.facescript.add_face()


def rename(obj: Any) -> None:
    obj.name = "Somebody else"


def rename_and_pretend(obj: Any) -> None:
    name, obj.name = obj.name, "Somebody else"
    bpy.ops.facescript.add_face()
    bpy.context.view_layer.objects.active.name = name


def unlink(obj: Any) -> None:
    for collection in list(obj.users_collection):
        collection.objects.unlink(obj)


def delete_mesh(obj: Any) -> None:
    bpy.data.meshes.remove(obj.data)


def other_mesh(obj: Any) -> None:
    obj.data = bpy.data.meshes.new("Empty")


def clear_shapes(obj: Any) -> None:
    obj.shape_key_clear()


def delete_a_shape(obj: Any) -> None:
    obj.shape_key_remove(obj.data.shape_keys.key_blocks["mouthSmileLeft"])


def rename_a_shape(obj: Any) -> None:
    obj.data.shape_keys.key_blocks["mouthSmileLeft"].name = "Key X"


def add_a_shape(obj: Any) -> None:
    for number in range(40):
        obj.shape_key_add(name=f"More {number}", from_mix=False)


def delete_actions(obj: Any) -> None:
    for action in list(bpy.data.actions):
        if not action.name.startswith("Other") and "Key 1" not in str([c for c in keys() if c[0] == action.name]):
            bpy.data.actions.remove(action)


def unlink_action(obj: Any) -> None:
    obj.data.shape_keys.animation_data.action = None


def other_action(obj: Any) -> None:
    obj.data.shape_keys.animation_data.action = bpy.data.actions.new("Mine")


def clear_animation(obj: Any) -> None:
    obj.data.shape_keys.animation_data_clear()


def delete_scene(obj: Any) -> None:
    other = bpy.data.scenes.new("Another")
    scene = bpy.context.scene
    other.collection.objects.link(obj)
    bpy.context.window_manager.windows[0].scene = other
    bpy.data.scenes.remove(scene)


def rename_scene(obj: Any) -> None:
    bpy.context.scene.name = "Act two"


def switch_scene(obj: Any) -> None:
    bpy.context.window_manager.windows[0].scene = bpy.data.scenes.new("Another")


def delete_markers(obj: Any) -> None:
    bpy.context.scene.timeline_markers.clear()


def add_markers(obj: Any) -> None:
    for number in range(50):
        bpy.context.scene.timeline_markers.new(f"Mine {number}", frame=number)


def clear_list(obj: Any) -> None:
    obj.facescript.beats.clear()


def copy(obj: Any) -> None:
    twin = obj.copy()
    twin.data = obj.data.copy()
    # A copy shares its original's action.
    twin.data.shape_keys.animation_data_clear()
    bpy.context.scene.collection.objects.link(twin)


def purge(obj: Any) -> None:
    bpy.data.orphans_purge(do_recursive=True)


def turn(obj: Any) -> None:
    obj.rotation_mode = "QUATERNION"


def hide(obj: Any) -> None:
    obj.hide_viewport = True
    obj.hide_set(True)


def select_another(obj: Any) -> None:
    bpy.context.view_layer.objects.active = bpy.data.objects["Other"]


def change_fps(obj: Any) -> None:
    bpy.context.scene.render.fps = 30


WRITTEN = [rename, rename_and_pretend, delete_a_shape, rename_a_shape, add_a_shape, unlink_action, other_action]
WRITTEN += [clear_animation, rename_scene, switch_scene, delete_markers, add_markers, copy, purge, turn, hide, unlink]
WRITTEN += [select_another, change_fps, clear_list, delete_actions]
GONE = [delete, delete_by_operator, replace, delete_mesh, delete_scene]
NO_FACE = [other_mesh, clear_shapes]


@pytest.mark.parametrize("what", WRITTEN)
def test_what_does_not_take_the_face_away_before_the_answer_is_no_matter(
    extension: Any, worker: Any, what: Callable[[Any], None], capfd: pytest.CaptureFixture[str]
) -> None:
    obj = prepared()
    assert bpy.ops.facescript.generate(script="Hello.") == {"FINISHED"}
    what(obj)
    before = keys()
    come_to_rest(extension)
    assert extension.session.error is None
    assert len(obj.facescript.beats) == 3
    assert mine(keys()) == mine(before)
    assert len(keys()) > len(before)
    written = {name for name, _, _, frame, _ in set(keys()) - set(before)}
    assert written <= {obj.name, obj.data.shape_keys.name}
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("what", [*GONE, *NO_FACE])
def test_where_there_is_no_face_any_more_the_answer_is_dropped_with_a_sentence(
    extension: Any, worker: Any, what: Callable[[Any], None], capfd: pytest.CaptureFixture[str]
) -> None:
    obj = prepared()
    assert bpy.ops.facescript.generate(script="Hello.") == {"FINISHED"}
    what(obj)
    before = state()
    come_to_rest(extension)
    assert extension.session.error.code in (["target_gone"] if what in GONE else ["no_shape_keys", "no_face"])
    assert extension.session.error.hint
    assert state() == before
    assert "Traceback" not in capfd.readouterr().err
    bpy.ops.facescript.add_face()
    assert bpy.ops.facescript.generate(script="Hello.", wait=True) == {"FINISHED"}


@pytest.fixture
def single_steps(extension: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has a slice be one step."""

    def one(steps: Any, seconds: float) -> bool:
        return next(steps, "done") != "done"

    monkeypatch.setattr(extension.module("rig_mapping.steps"), "advance", one)


def writing(extension: Any, obj: Any) -> Any:
    """The writing of a performance, in slices."""
    target, _ = extension.module("operators.faces").active_face(bpy.context)
    held = extension.module("operators.held").Held(target, bpy.context.scene)
    made = extension.module("performance").jsonl.performance_from_dict(ENTRY)
    steps = extension.module("operators.generate").write_steps(bpy.context.scene, target, made, "fake", "Test")
    return extension.module("rig_mapping.steps").Slices(steps, held.sight)


_COUNTED: list[int] = []


def moments(extension: Any) -> list[int]:
    """Moments of the whole: while it is worked out, while keys are written, and while the list is."""
    if not _COUNTED:
        slices = writing(extension, prepared())
        _COUNTED.append(1)
        while slices.advance(0.0):
            _COUNTED[0] += 1
    return [3, _COUNTED[0] // 2, _COUNTED[0] - 6]


# Those that move or free what is worked on.
FREED = [
    w for w in WRITTEN if w not in (rename_scene, switch_scene, copy, purge, turn, hide, select_another, change_fps)
]


@pytest.mark.parametrize("what", [*FREED, *GONE, *NO_FACE])
def test_whatever_is_done_between_two_steps_of_writing_nothing_of_the_users_is_touched(
    extension: Any, single_steps: None, what: Callable[[Any], None]
) -> None:
    told = extension.module("operators.session").told
    for moment in moments(extension):
        bpy.ops.wm.read_homefile(use_empty=True)
        obj = prepared()
        slices = writing(extension, obj)
        for _ in range(moment):
            assert slices.advance(0.0)
        what(obj)
        before = keys()
        error = None
        try:
            while slices.advance(0.0):
                pass
        except Exception as caught:
            error = told(caught)
        assert mine(keys()) == mine(before), moment
        if what in WRITTEN:
            assert error is None or error.code == "target_gone", moment
        else:
            assert error is None or error.code != "internal", moment
        if error is None and what in WRITTEN and what is not clear_list:
            assert [row.frame for row in obj.facescript.beats] == [1, 25, 49], moment
        elif error is not None and what not in (*GONE, rename_a_shape) and obj.data.shape_keys is not None:
            # An F-curve goes with the name of its shape.
            assert keys() == mine(keys()), moment


@pytest.mark.parametrize("change", ["move", "add", "delete"])
def test_a_key_that_is_edited_between_two_steps_of_writing_stays_edited(
    extension: Any, single_steps: None, change: str
) -> None:
    blender_api = extension.module("rig_mapping.blender_api")
    for moment in moments(extension):
        bpy.ops.wm.read_homefile(use_empty=True)
        obj = prepared()
        slices = writing(extension, obj)
        for _ in range(moment):
            assert slices.advance(0.0)
        curve = blender_api.find_fcurve(blender_api.find_place(obj.data.shape_keys), 'key_blocks["jawOpen"].value', 0)
        wanted = (500.0, 0.25)
        if change == "move":
            curve.keyframe_points[-1].co = wanted = (520.0, 0.75)
        elif change == "add":
            curve.keyframe_points.insert(510.0, 0.5)
        else:
            curve.keyframe_points.insert(510.0, 0.5)
            curve.keyframe_points.remove(curve.keyframe_points[-2])
            wanted = (510.0, 0.5)
        while slices.advance(0.0):
            pass
        found = [key[3:] for key in keys() if key[1] == 'key_blocks["jawOpen"].value' and key[3] > 100]
        assert wanted in found, moment
        assert (len(found) == 2) is (change == "add"), moment


@pytest.mark.parametrize("mode", ["EDIT", "SCULPT", "WEIGHT_PAINT"])
def test_in_a_mode_whose_undo_knows_no_keys_the_answer_waits(extension: Any, worker: Any, mode: str) -> None:
    obj = prepared()
    bpy.ops.facescript.generate(script="Hello.")
    bpy.ops.object.mode_set(mode=mode)
    before = keys()
    end = time.monotonic() + 20.0
    while not extension.session.writing:
        assert time.monotonic() < end
        assert extension.session.step()
    for _ in range(5):
        assert extension.session.step()
    # Neither undo nor saving has it written there.
    extension.module("operators.session")._settle()
    assert keys() == before
    assert extension.session.note.startswith("The answer is here. It is written when you leave ")
    bpy.ops.object.mode_set(mode="OBJECT")
    come_to_rest(extension)
    assert len(obj.facescript.beats) == 3


def test_an_answer_that_waits_can_be_dropped(extension: Any, worker: Any) -> None:
    obj = prepared()
    bpy.ops.facescript.generate(script="Hello.")
    bpy.ops.object.mode_set(mode="EDIT")
    before = keys()
    end = time.monotonic() + 20.0
    while not extension.session.writing:
        assert time.monotonic() < end
        extension.session.step()
    assert bpy.ops.facescript.cancel() == {"FINISHED"}
    come_to_rest(extension)
    bpy.ops.object.mode_set(mode="OBJECT")
    assert (keys(), len(obj.facescript.beats)) == (before, 0)
    assert extension.session.note == "Cancelled. The timeline is as it was."


def test_an_answer_that_crosses_with_the_cancel_is_late(extension: Any, worker: Any) -> None:
    obj = prepared()
    before = keys()
    bpy.ops.facescript.generate(script="Hello.")
    client = extension.session._client
    end = time.monotonic() + 20.0
    while client._open:
        assert time.monotonic() < end
        time.sleep(0.01)
    bpy.ops.facescript.cancel()
    come_to_rest(extension)
    assert (keys(), len(obj.facescript.beats)) == (before, 0)
    assert bpy.ops.facescript.generate(script="Hello.", wait=True) == {"FINISHED"}


def another_file(path: Path) -> None:
    bpy.ops.wm.read_homefile(use_empty=True)


def revert(path: Path) -> None:
    bpy.ops.wm.revert_mainfile()


def open_file(path: Path) -> None:
    bpy.ops.wm.open_mainfile(filepath=str(path))


@pytest.mark.parametrize("load", [another_file, revert, open_file])
@pytest.mark.parametrize("answered", [False, True])
def test_another_file_stops_it_and_gets_no_key(
    extension: Any, worker: Any, tmp_path: Path, load: Callable[[Path], None], answered: bool, single_steps: None
) -> None:
    prepared()
    path = tmp_path / "face.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    before = keys()
    bpy.ops.facescript.generate(script="Hello.")
    end = time.monotonic() + 20.0
    while answered and not (extension.session.writing and extension.session._writing.begun):
        assert time.monotonic() < end
        extension.session.step()
    load(path)
    assert not extension.session.busy
    assert not extension.session.step()
    assert extension.session.note == "Another file was opened; the generation was stopped."
    assert keys() == ([] if load is another_file else before)


def test_saving_while_it_is_written_saves_all_of_it(
    extension: Any, worker: Any, tmp_path: Path, single_steps: None
) -> None:
    prepared()
    bpy.ops.facescript.generate(script="Hello.")
    end = time.monotonic() + 20.0
    while not (extension.session.writing and extension.session._writing.begun):
        assert time.monotonic() < end
        extension.session.step()
    path = tmp_path / "face.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    now = keys()
    come_to_rest(extension)
    bpy.ops.wm.open_mainfile(filepath=str(path))
    assert keys() == now
    assert len(bpy.data.objects["ARKit Face"].facescript.beats) == 3


def test_disabling_the_extension_in_the_middle_leaves_nothing(extension: Any, worker: Any) -> None:
    prepared()
    bpy.ops.facescript.generate(script="Hello.")
    before = keys()
    package = extension.module("operators.session").__name__.removesuffix(".operators.session")
    bpy.ops.preferences.addon_disable(module=package)
    assert left()[0] == []
    assert keys() == before
    bpy.ops.preferences.addon_enable(module=package)
    assert extension.session.error is None
    assert not extension.session.busy


def test_registering_twice_leaves_one_session_and_no_worker_behind(extension: Any, worker: Any) -> None:
    prepared()
    bpy.ops.facescript.generate(script="Hello.")
    session = extension.module("operators.session")
    handlers = len(bpy.app.handlers.load_pre)
    put_back = extension.session.put_back
    session.register()
    session.session().put_back = put_back
    assert len(bpy.app.handlers.load_pre) == handlers
    assert left()[0] == []
    assert not session.session().busy


def test_a_second_generation_is_refused_and_the_first_goes_on(extension: Any, worker: Any) -> None:
    obj = prepared()
    bpy.ops.facescript.generate(script="Hello.")
    with pytest.raises(RuntimeError, match="running"):
        bpy.ops.facescript.generate(script="Hello.")
    with pytest.raises(RuntimeError, match="running"):
        bpy.ops.facescript.set_up(wait=True)
    come_to_rest(extension)
    assert len(obj.facescript.beats) == 3


def test_two_sessions_have_a_worker_each(extension: Any, worker: Any) -> None:
    prepared()
    session = extension.module("operators.session")
    other = session.Session()
    notes: list[str] = []

    def finish(made: Any) -> Iterator[None]:
        notes.append(made.label)
        yield

    runtime = extension.module("operators.preferences").runtime(bpy.context)
    options = extension.module("operators.preferences").model_options(bpy.context)
    brief = extension.module("performance").Brief("Hello.")
    other.start(runtime, "generate", brief, options, 0, "face", finish, lambda: None)
    bpy.ops.facescript.generate(script="Hello.")
    assert other._client.pid != extension.session._client.pid
    come_to_rest(extension)
    while other.step():
        time.sleep(0.002)
    assert notes == ["fake"]
    other.stop_worker()


def test_a_worker_that_died_before_it_heard_of_the_request_is_started_once_more(extension: Any, worker: Any) -> None:
    obj = prepared()
    worker("dies once")
    assert bpy.ops.facescript.generate(script="Hello.", wait=True) == {"FINISHED"}
    assert len(obj.facescript.beats) == 3


def test_that_does_not_go_on_for_ever(extension: Any, worker: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared()
    worker("dies when asked")
    session = extension.module("operators.session")
    started = []
    client = session.WorkerClient
    monkeypatch.setattr(session, "WorkerClient", lambda *given: started.append(1) or client(*given))
    with pytest.raises(RuntimeError, match="ended by itself"):
        bpy.ops.facescript.generate(script="Hello.", wait=True)
    assert len(started) == 2
    worker("answers")
    assert bpy.ops.facescript.generate(script="Hello.", wait=True) == {"FINISHED"}


def test_an_idle_worker_gives_its_memory_back_and_the_next_one_is_started(
    extension: Any, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared()
    session = extension.module("operators.session")
    assert bpy.ops.facescript.generate(script="Hello.", wait=True) == {"FINISHED"}
    assert bpy.app.timers.is_registered(session._tick_idle)
    extension.preferences.keep_loaded = 10
    assert session._tick_idle() == session._IDLE_TICK
    now = time.monotonic()
    monkeypatch.setattr(session.time, "monotonic", lambda: now + 599.0)
    assert session._tick_idle() == session._IDLE_TICK
    monkeypatch.setattr(session.time, "monotonic", lambda: now + 601.0)
    extension.preferences.keep_loaded = 0
    assert session._tick_idle() == session._IDLE_TICK
    extension.preferences.keep_loaded = 10
    assert session._tick_idle() is None
    monkeypatch.undo()
    for thread in extension.session._closing:
        thread.join()
    assert left()[0] == []


@pytest.mark.model
@POSIX
@pytest.mark.skipif(not MAIN_BLENDER, reason="the worker is the same for every Blender")
def test_the_real_worker_gives_its_memory_back(extension: Any, model: Any) -> None:
    prepared()
    bpy.ops.facescript.generate(script="[0s] eyes closed", wait=True)
    pid = extension.session._client.pid
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    held = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    assert held > 200_000
    extension.session._used -= 3600.0
    extension.session.rest(600.0)
    for thread in extension.session._closing:
        thread.join()
    assert not Path(f"/proc/{pid}").exists()
    assert bpy.ops.facescript.generate(script="[0s] eyes closed", wait=True) == {"FINISHED"}


def test_what_nobody_foresaw_is_told_without_the_words_of_the_script(
    extension: Any, worker: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    prepared()
    before = keys()

    def breaks(*_: Any) -> Any:
        raise KeyError("I have always loved you")

    monkeypatch.setattr(extension.module("operators.generate").timeline, "beat_frames", breaks)
    with pytest.raises(RuntimeError, match="KeyError"):
        bpy.ops.facescript.generate(script="Hello.", wait=True)
    assert extension.session.error.code == "internal"
    assert keys() == before
    said = capfd.readouterr()
    assert "always loved" not in said.out + said.err.replace('raise KeyError("I have always loved you")', "")
