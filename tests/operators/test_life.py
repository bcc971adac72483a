# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import bpy
import pytest
from facescript.operators import life
from facescript.rig_mapping import life_layer
from facescript.rig_mapping.targets import find_target


@pytest.fixture
def face(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The operators registered, with a face whose settings are a stand-in, as properties are wired elsewhere."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    mesh = bpy.data.meshes.new("Face")
    mesh.from_pydata([(0.03, -0.1, 0.05), (-0.03, -0.1, 0.05), (0.0, -0.1, -0.05), (0.0, 0.0, 0.1)], [], [])
    obj = bpy.data.objects.new("Face", mesh)
    bpy.context.scene.collection.objects.link(obj)
    bpy.context.view_layer.objects.active = obj
    for name in ("Basis", "eyeBlinkLeft", "eyeBlinkRight", "jawOpen"):
        obj.shape_key_add(name=name, from_mix=False).value = 0.0
    settings = SimpleNamespace(seed=5, blinks=1.0, darts=0.5, breath=0.25, drift=0.0)
    stand_in = SimpleNamespace(life=settings, move_head=True, beats=[SimpleNamespace(frame=400)])
    said = SimpleNamespace(note="", error=None, busy=False)
    said.fail = lambda error: setattr(said, "error", error)
    monkeypatch.setattr(life.faces, "active_face", lambda context: (find_target(obj), stand_in))
    monkeypatch.setattr(life, "session", lambda: said)
    monkeypatch.setattr(life, "busy_reason", lambda context: said.busy and "A generation is running")
    new = [cls for cls in life.CLASSES if not hasattr(bpy.types, cls.__name__)]
    for cls in new:
        bpy.utils.register_class(cls)
    yield SimpleNamespace(object=obj, settings=settings, said=said, face=stand_in)
    for cls in reversed(new):
        bpy.utils.unregister_class(cls)


def record(obj: Any) -> Any:
    return life_layer.life_records.load(obj.data.shape_keys)


def test_a_button_takes_the_faces_own_settings(face: Any) -> None:
    bpy.context.scene.frame_start, bpy.context.scene.frame_end = 10, 300
    assert bpy.ops.facescript.add_life("INVOKE_DEFAULT") == {"FINISHED"}
    take = record(face.object).take
    # The scene's range, and the beats that lie outside it.
    assert (take.start, take.end, take.seed) == (10, 400, 5)
    assert take.amounts == life_layer.Amounts(1.0, 0.5, 0.25, 0.0)
    assert "blinks" in face.said.note


def test_what_a_script_gives_is_kept(face: Any) -> None:
    assert bpy.ops.facescript.add_life(seed=8, darts=0.0) == {"FINISHED"}
    assert record(face.object).take.amounts == life_layer.Amounts(1.0, 0.0, 0.25, 0.0)
    assert (face.settings.seed, face.settings.darts) == (8, 0.0)


def test_a_head_that_is_not_to_move_neither_breathes_nor_drifts(face: Any) -> None:
    face.face.move_head = False
    bpy.ops.facescript.add_life(drift=1.0)
    assert record(face.object).take.amounts == life_layer.Amounts(1.0, 0.5, 0.0, 0.0)
    assert face.settings.drift == 1.0


def test_it_is_toggled_and_removed(face: Any) -> None:
    target = find_target(face.object)
    bpy.ops.facescript.add_life()
    for state in ("muted", "on"):
        assert bpy.ops.facescript.toggle_life() == {"FINISHED"}
        assert life_layer.present(target) == state
    assert bpy.ops.facescript.remove_life() == {"FINISHED"}
    assert life_layer.present(target) == "none"


@pytest.mark.parametrize("name", ["toggle_life", "remove_life"])
def test_without_a_layer_there_is_nothing_to_do(face: Any, name: str) -> None:
    with pytest.raises(RuntimeError, match="no life layer"):
        getattr(bpy.ops.facescript, name)()
    assert face.said.error.code == "no_life"


def test_an_error_is_shown_and_nothing_is_changed(face: Any) -> None:
    bpy.ops.facescript.add_life(seed=1)
    before = record(face.object)
    with pytest.raises(RuntimeError, match="can blink"):
        bpy.ops.facescript.add_life(seed=2, blinks=0.0, darts=0.0, breath=0.0)
    assert record(face.object) == before
    assert (face.settings.seed, face.settings.blinks) == (1, 1.0)


def test_not_while_a_generation_is_running(face: Any) -> None:
    face.said.busy = True
    for name in ("add_life", "toggle_life", "remove_life"):
        assert not getattr(bpy.ops.facescript, name).poll()


def test_every_operator_says_what_it_does_and_is_one_step_of_undo() -> None:
    for cls in life.CLASSES[1:]:
        assert cls.bl_options == {"REGISTER", "UNDO"}
        assert inspect.getdoc(cls)
