# SPDX-License-Identifier: GPL-3.0-or-later
"""What else is done in Blender around a performance: undo, modes, scenes, faces that come and go, the NLA."""

from __future__ import annotations

from typing import Any

import bpy as module

from . import checks
from .actions import action
from .user import Broken, Effect, User, Work

bpy: Any = module


@action(45, Effect.OPENED, "window")
def undo(user: User) -> Work:
    """Undo some steps."""
    yield from _travel(user, "ed.undo", -min(user.rng.choice((1, 1, 2, 4)), user.at))


@action(35, Effect.OPENED, "window")
def redo(user: User) -> Work:
    """Redo some steps."""
    yield from _travel(user, "ed.redo", min(user.rng.choice((1, 2, 4)), len(user.past) - 1 - user.at))


def _travel(user: User, name: str, steps: int) -> Work:
    for _ in range(abs(steps)):
        if not user.blender(name):
            user.step.barrier = True
            return
        for problem in checks.dangling():
            raise Broken(problem)
        user.at += 1 if steps > 0 else -1
        # Where keys had been dragged it goes one step further, which takes a moment.
        yield from user.rest()
    if steps:
        user.compare()


@action(16, Effect.KEPT, "")
def choose_face(user: User) -> None:
    """Click another face."""
    faces = user.faces()
    if faces:
        user.choose(user.rng.choice(faces))
        user.push("Select")


@action(6, Effect.KEPT, "face")
def rename_face(user: User) -> None:
    """Rename a face, or its mesh."""
    user.active.name = user.rng.choice(("Hero", "Villain 🙂", "A.001", f"Face {user.step.number}"))
    user.push("Rename")


@action(3, Effect.COPIED, "face")
def duplicate_face(user: User) -> None:
    """Duplicate a face with its keys."""
    if len(user.faces()) < 5:
        user.choose(user.active.name)
        user.blender("object.duplicate", linked=user.rng.random() < 0.3)
        user.push("Duplicate Objects")


@action(3, Effect.KEPT, "face")
def delete_face(user: User) -> None:
    """Delete a face; its keys wait in actions that nothing uses, until the file is saved and opened again."""
    if len(user.faces()) > 2:
        user.choose(user.active.name)
        gone = user.step.reach
        user.step.may_lose = lambda key: key.action in gone
        user.blender("object.delete")
        user.push("Delete")
        user.choose(user.faces()[0])
        user.push("Select")


@action(8, Effect.KEPT, "face")
def shape_keys(user: User) -> None:
    """Mute a shape key, show one alone, or rename one that no face shows anything by."""
    obj, rng = user.active, user.rng
    block = rng.choice(list(obj.data.shape_keys.key_blocks)[1:])
    what = rng.choice(("mute", "mute", "pin"))
    if what == "mute":
        block.mute = not block.mute
    else:
        obj.show_only_shape_key = not obj.show_only_shape_key
    user.tell(block.name)
    user.push(f"Shape key: {what}")


@action(10, Effect.KEPT, "face")
def change_mode(user: User) -> None:
    """Go into a mode in which undo does not cover keys, try the extension there, and come back."""
    mode = user.rng.choice(("EDIT", "SCULPT", "WEIGHT_PAINT"))
    if user.blender("object.mode_set", mode=mode):
        user.step.barrier = True
        user.call(user.rng.choice(("generate", "delete_beat", "add_life", "new_take", "clear", "edit_mapping")))
        user.blender("object.mode_set", mode="OBJECT")


@action(5, Effect.KEPT, "window")
def other_scene(user: User) -> None:
    """Make another scene that shows a face too, or go to one, or back."""
    window, rng = bpy.context.window_manager.windows[0], user.rng
    user.step.barrier = True
    if len(bpy.data.scenes) < 2:
        scene = bpy.data.scenes.new("Other")
        scene.render.fps = 30
        for name in user.faces()[:1]:
            scene.collection.objects.link(bpy.data.objects[name])
    others = [scene for scene in bpy.data.scenes if scene != window.scene]
    window.scene = rng.choice(others)
    user.tell(window.scene.name)
    if user.faces():
        user.choose(user.faces()[0])


@action(3, Effect.KEPT, "face")
def push_down(user: User) -> None:
    """Push the face's action down to the NLA, as its editor does, or take the strips off again."""
    keys = user.active.data.shape_keys
    animation = keys.animation_data
    if animation is None:
        return
    pushed = [track for track in animation.nla_tracks if track.name == "Pushed"]
    if pushed and animation.action is None:
        animation.action = pushed[0].strips[0].action
    for track in pushed:
        animation.nla_tracks.remove(track)
    if not pushed and animation.action is not None:
        track = animation.nla_tracks.new()
        track.name = "Pushed"
        track.strips.new("Pushed", 1, animation.action)
        animation.action = None
    user.push("Push Down Action")


@action(5, Effect.KEPT, "face")
def frame_rate(user: User) -> None:
    """Change the scene's frame rate, or where it is."""
    if user.rng.random() < 0.4:
        user.change(user.scene.render, "fps", user.rng.choice((24, 25, 30, 60)))
    else:
        user.scene.frame_set(user.rng.randrange(-10, 300))


@action(12, Effect.KEPT, "extension")
def wrong_context(user: User) -> None:
    """Call an operator with nothing, or with what is no face, as the active object."""
    before = user.active.name if user.active is not None else ""
    chosen = user.rng.choice(("", "Cube"))
    if chosen and chosen not in bpy.context.view_layer.objects:
        return
    bpy.context.view_layer.objects.active = bpy.data.objects[chosen] if chosen else None
    names = (
        "generate insert_beat split_beat delete_beat move_beat add_life remove_life new_take show_take delete_take "
        "clear key_pose step_beat regenerate_beat vary_beat adjust_beat keep_variation place_on_nla start_here "
        "test_channel map_row edit_take_again append_take cancel set_emotion script_to_text check_script "
        "regenerate_line paste_pose remove_map_row fill_mapping"
    ).replace("map_row ", "", 1)
    user.call(user.rng.choice(names.split()))
    if before:
        bpy.context.view_layer.objects.active = bpy.data.objects[before]
    user.step.barrier = user.step.pushes > 0
