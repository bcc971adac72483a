# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the scene: what a performance is being made for is changed or goes away meanwhile.

Each waits until the worker is at work; what the user does then is the fault, and what is compared is the keys after it.
"""

from __future__ import annotations

from typing import Any

from .fault import REFUSED, STOPPED, UNHARMED, Moves, fault
from .stage import FACE, LONG, OTHER, Stage


def _begin(stage: Stage) -> Moves:
    yield from stage.perform("", LONG)
    yield from stage.at_work()


def _end(stage: Stage) -> Moves:
    """From the user's act on."""
    stage.strike()
    yield from stage.rest()


@fault("target_gone", quick=True)
def face_is_deleted(stage: Stage) -> Moves:
    """The face is deleted while beats come."""
    yield from _begin(stage)
    stage.bpy.data.objects.remove(stage.face)
    yield from _end(stage)


@fault(UNHARMED)
def face_is_renamed(stage: Stage) -> Moves:
    """The face gets another name while beats come."""
    yield from _begin(stage)
    stage.face.name = "Somebody else"
    stage.reload = True
    yield from _end(stage)


@fault(UNHARMED)
def another_object_takes_its_name(stage: Stage) -> Moves:
    """The face is renamed, and an object without a face gets its name."""
    yield from _begin(stage)
    stage.face.name = "Somebody else"
    stage.bpy.data.objects.new(FACE, None)
    stage.reload = True
    yield from _end(stage)


@fault("no_shape_keys")
def shape_keys_are_removed(stage: Stage) -> Moves:
    """All shape keys of the face are removed while beats come."""
    yield from _begin(stage)
    stage.face.shape_key_clear()
    stage.reload = True
    yield from _end(stage)


@fault(UNHARMED, quick=True)
def one_shape_key_is_removed(stage: Stage) -> Moves:
    """The shape key jawOpen of the face is removed while beats come."""
    yield from _begin(stage)
    stage.face.shape_key_remove(stage.face.data.shape_keys.key_blocks["jawOpen"])
    stage.reload = True
    yield from _end(stage)


@fault(UNHARMED)
def shape_key_is_renamed(stage: Stage) -> Moves:
    """The shape key browInnerUp gets the name of nothing that is known."""
    yield from _begin(stage)
    stage.face.data.shape_keys.key_blocks["browInnerUp"].name = "My own shape"
    stage.reload = True
    yield from _end(stage)


@fault(UNHARMED)
def shape_keys_become_absolute(stage: Stage) -> Moves:
    """Relative is turned off for the face's shape keys while beats come."""
    yield from _begin(stage)
    stage.face.data.shape_keys.use_relative = False
    stage.reload = True
    yield from _end(stage)


@fault(UNHARMED)
def mesh_is_replaced(stage: Stage) -> Moves:
    """The face gets the other face's mesh while beats come."""
    yield from _begin(stage)
    stage.face.data = stage.bpy.data.objects[OTHER].data
    stage.reload = True
    yield from _end(stage)


@fault(UNHARMED)
def actions_are_removed(stage: Stage) -> Moves:
    """All actions of the file are removed while beats come."""
    yield from _begin(stage)
    for action in list(stage.bpy.data.actions):
        stage.bpy.data.actions.remove(action)
    stage.reload = True
    yield from _end(stage)


@fault("driven_keys")
def drivers_take_the_shape_keys(stage: Stage) -> Moves:
    """Every shape key of the face gets a driver while beats come."""
    yield from _begin(stage)
    for block in stage.face.data.shape_keys.key_blocks[1:]:
        block.driver_add("value")
    stage.reload = True
    yield from _end(stage)


@fault(UNHARMED)
def curves_are_locked(stage: Stage) -> Moves:
    """All curves of the face are locked in the Graph Editor while beats come."""
    yield from _begin(stage)
    for name, curve in stage.named_curves():
        curve.lock = OTHER not in name
    stage.reload = True
    yield from _end(stage)


@fault("target_gone")
def scene_is_deleted(stage: Stage) -> Moves:
    """Another scene is made, and the one of the face is deleted."""
    yield from _begin(stage)
    old = stage.scene
    stage.bpy.data.scenes.new("Another")
    stage.bpy.data.scenes.remove(old)
    stage.reload = True
    yield from _end(stage)


@fault(UNHARMED)
def another_scene_is_opened(stage: Stage) -> Moves:
    """Another scene of the file is shown while beats come."""
    yield from _begin(stage)
    scene = stage.bpy.data.scenes.new("Another")
    if stage.window:
        stage.bpy.context.window.scene = scene
    stage.reload = True
    yield from _end(stage)


@fault(UNHARMED)
def face_is_taken_out_of_the_scene(stage: Stage) -> Moves:
    """The face is unlinked from all collections, and is still in the file."""
    yield from _begin(stage)
    for collection in list(stage.face.users_collection):
        collection.objects.unlink(stage.face)
    stage.reload = True
    yield from _end(stage)


@fault("target_gone")
def unused_data_is_purged(stage: Stage) -> Moves:
    """The face is deleted and all unused data is purged while beats come."""
    yield from _begin(stage)
    stage.bpy.data.objects.remove(stage.face)
    stage.bpy.data.orphans_purge(do_recursive=True)
    yield from _end(stage)


@fault(UNHARMED)
def another_face_is_selected(stage: Stage) -> Moves:
    """The other face is selected while beats come."""
    yield from _begin(stage)
    stage.choose(OTHER)
    yield from _end(stage)


@fault(UNHARMED)
def frame_rate_is_changed(stage: Stage) -> Moves:
    """The frame rate goes from 24 to 60 while beats come."""
    yield from _begin(stage)
    stage.scene.render.fps = 60
    yield from _end(stage)


@fault(UNHARMED)
def keys_are_set_by_hand_meanwhile(stage: Stage) -> Moves:
    """The user sets keys on the same shape keys, far behind the performance, while beats come."""
    yield from _begin(stage)
    for number in range(20):
        block = stage.face.data.shape_keys.key_blocks["jawOpen"]
        block.value = number / 20
        block.keyframe_insert("value", frame=5000 + 3 * number)
        yield from stage.leave()
    block.value = 0.0
    yield from _end(stage)


@fault(UNHARMED)
def file_is_saved_while_keys_are_written(stage: Stage) -> Moves:
    """Save, again and again, from the last keyframe until all keys are written."""
    yield from _begin(stage)
    stage.strike()
    while stage.busy:
        if stage.session.job is not None and len(stage.session.job.collector.keyframes) > 20:
            stage.bpy.ops.wm.save_mainfile()
        yield from stage.leave()
    yield from stage.rest()


@fault(STOPPED, quick=True)
def new_file_is_opened(stage: Stage) -> Moves:
    """File > New while beats come."""
    yield from _begin(stage)
    stage.bpy.ops.wm.read_homefile(use_empty=True)
    yield from _end(stage)


@fault(STOPPED)
def file_is_reverted(stage: Stage) -> Moves:
    """File > Revert while beats come."""
    yield from _begin(stage)
    stage.bpy.ops.wm.open_mainfile(filepath=stage.bpy.data.filepath, load_ui=False)
    yield from _end(stage)


@fault(STOPPED)
def file_is_opened_while_keys_are_written(stage: Stage) -> Moves:
    """The file is opened again between two steps of the writing."""
    yield from _begin(stage)
    yield from stage.until(lambda: stage.session.writing or not stage.busy)
    stage.bpy.ops.wm.open_mainfile(filepath=stage.bpy.data.filepath, load_ui=False)
    yield from _end(stage)
    if stage.told is None:
        # A short performance is written in one step.
        stage.tell_note("It was written before the file could be opened.")


def _in_mode(stage: Stage, mode: str) -> Moves:
    yield from _begin(stage)
    stage.bpy.ops.object.mode_set(mode=mode)
    stage.strike()
    # Keys are not written in a mode whose undo does not cover them.
    yield from stage.idle(4.0)
    assert stage.keys() == stage.keys_before, "keys were written in that mode"
    stage.bpy.ops.object.mode_set(mode="OBJECT")
    yield from stage.rest()


@fault(UNHARMED)
def edit_mode_is_entered(stage: Stage) -> Moves:
    """Edit Mode is entered on the face while beats come, and left after 4 s."""
    yield from _in_mode(stage, "EDIT")


@fault(UNHARMED)
def sculpt_mode_is_entered(stage: Stage) -> Moves:
    """Sculpt Mode is entered on the face while beats come, and left after 4 s."""
    yield from _in_mode(stage, "SCULPT")


@fault(UNHARMED)
def weight_paint_mode_is_entered(stage: Stage) -> Moves:
    """Weight Paint Mode is entered on the face while beats come, and left after 4 s."""
    yield from _in_mode(stage, "WEIGHT_PAINT")


@fault(REFUSED)
def generate_in_edit_mode(stage: Stage) -> Moves:
    """Generate is pressed in Edit Mode."""
    stage.bpy.ops.object.mode_set(mode="EDIT")
    stage.undo.append(lambda: stage.bpy.ops.object.mode_set(mode="OBJECT"))
    stage.generate()
    yield from stage.rest()


@fault(UNHARMED)
def action_goes_to_the_nla(stage: Stage) -> Moves:
    """The action of the face's shape keys is pushed down into an NLA track while beats come."""
    yield from _begin(stage)
    data = stage.face.data.shape_keys.animation_data
    if data is not None and data.action is not None:
        action = data.action
        data.nla_tracks.new().strips.new(action.name, 0, action)
        data.action = None
    stage.reload = True
    yield from _end(stage)


@fault(REFUSED, "busy", UNHARMED)
def list_is_edited_meanwhile(stage: Stage) -> Moves:
    """Clear, and then each operator of the list of beats, are called from a script while beats come."""
    yield from _begin(stage)
    stage.strike()
    operators: Any = stage.bpy.ops.facescript
    for name in ("clear", "add_beat", "remove_beat", "duplicate_beat", "regenerate", "new_take", "clear_life"):
        if hasattr(operators, name):
            try:
                getattr(operators, name)()
            except (RuntimeError, AttributeError, TypeError):
                continue
    yield from stage.rest()


@fault(UNHARMED, STOPPED, "target_gone", "no_shape_keys", "no_face", "no_arkit_keys", window=True)
def undo_past_the_start(stage: Stage) -> Moves:
    """In a window: four steps of undo while beats come, to before the script was typed, and then redo."""
    bpy = stage.bpy
    for number in range(4):
        stage.face.facescript.emotion = f"Step {number}"
        bpy.ops.ed.undo_push(message=f"Step {number}")
        yield from stage.idle(0.05)
    yield from _begin(stage)
    for _ in range(4):
        stage.in_window(bpy.ops.ed.undo)
        yield from stage.idle(0.05)
    yield from _end(stage)


@fault("target_gone", window=True)
def undo_of_adding_the_face(stage: Stage) -> Moves:
    """In a window: a face is added, a performance is begun on it, and adding it is undone while beats come."""
    bpy = stage.bpy
    bpy.ops.ed.undo_push(message="Before")
    bpy.ops.facescript.add_face()
    bpy.ops.ed.undo_push(message="Add")
    yield from stage.idle(0.2)
    yield from _begin(stage)
    stage.in_window(bpy.ops.ed.undo)
    stage.reload = True
    yield from _end(stage)


@fault(UNHARMED, STOPPED, window=True)
def undo_while_keys_are_written(stage: Stage) -> Moves:
    """In a window: undo between two steps of the writing, and redo after it."""
    yield from _begin(stage)
    yield from stage.until(lambda: stage.session.writing or not stage.busy)
    stage.in_window(stage.bpy.ops.ed.undo)
    yield from _end(stage)
    stage.in_window(stage.bpy.ops.ed.redo)
    stage.reload = True


@fault(UNHARMED, window=True)
def playback_runs_meanwhile(stage: Stage) -> Moves:
    """In a window: the animation plays from before the first beat until the keys are written."""
    stage.in_window(stage.bpy.ops.screen.animation_play)
    stage.undo.append(lambda: stage.in_window(stage.bpy.ops.screen.animation_cancel, restore_frame=False))
    yield from _begin(stage)
    yield from _end(stage)


@fault(UNHARMED, window=True)
def window_of_its_own_is_closed(stage: Stage) -> Moves:
    """In a window: a second window is opened, Generate pressed in it, and the window closed while beats come."""
    bpy = stage.bpy
    first = bpy.context.window_manager.windows[0]
    with bpy.context.temp_override(window=first):
        bpy.ops.wm.window_new()
    second = bpy.context.window_manager.windows[-1]
    yield from stage.idle(0.5)
    with bpy.context.temp_override(window=second):
        stage.choose(FACE)
        stage.act("")
        stage.generate(LONG)
    yield from stage.at_work()
    with bpy.context.temp_override(window=second):
        bpy.ops.wm.window_close()
    yield from _end(stage)
