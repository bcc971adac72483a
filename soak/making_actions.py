# SPDX-License-Identifier: GPL-3.0-or-later
"""What asks the model, and what is done to it meanwhile: cancelled, killed, stopped, undone, its face taken away."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import bpy as module

from . import extension
from .actions import action
from .user import Effect, User, Work

bpy: Any = module

SCRIPTS = (
    "Oh! (She smiles.) No.",
    "You got the job?! (She laughs.) Oh, come here!",
    "(He looks down.)\nI am sorry.",
    "[0.0s] brows knit, lips press\n[1.1s] a wide smile\n[2.0s] eyes closed",
    "Non. (Elle sourit.)",
    "   ",
)
WORDS = ("more tired", "less smile", "add a raised left eyebrow", "softer", "mouth open", "xyzzy")
MOMENTS = ("at once", "loading", "first beat", "writing")


def _wait(user: User) -> Work:
    """Wait until the request has ended and is written, and count its step of undo."""
    yield from user.until(lambda: not extension.busy(), "a request to end")
    user.tell(extension.said()[:80])
    if extension.was_made():
        user.step.pushes += 1


def _until_moment(user: User, moment: str) -> Work:
    """Wait for a moment of a running request, which may have ended before."""

    def come() -> bool:
        now = extension.session()
        job = now.job
        if job is None or moment == "at once":
            return True
        if moment == "loading":
            return bool(job.collector.message or job.collector.beats)
        return bool(now.writing) if moment == "writing" else bool(job.collector.beats)

    user.tell(f"until {moment}")
    yield from user.until(come, f"a request to be {moment}")


def _press_generate(user: User) -> bool:
    """Type a script, and press Generate."""
    face = user.face
    if face.text is not None:
        user.change(face, "text", None)
    user.change(face, "script", user.rng.choice(SCRIPTS))
    user.change(face, "seed", user.rng.randrange(9))
    return user.call("generate")


@action(15, Effect.KEPT, "face model")
def generate(user: User) -> Work:
    """Generate, and wait."""
    if len(user.face.beats) > 24:
        user.change(user.face.beats[0], "locked", False)
    user.writes_anew()
    if _press_generate(user):
        yield from _wait(user)


def _asking(name: str, weight: float, effect: Effect, **values: Any) -> None:
    def do(user: User) -> Work:
        face = user.face
        face.active_beat = user.rng.randrange(len(face.beats))
        before = user.step.pushes
        if not user.call(name, **{key: user.rng.choice(value) for key, value in values.items()}):
            return
        if extension.busy():
            yield from _wait(user)
        elif user.step.pushes == before:
            # It needed no model.
            user.step.pushes += 1

    do.__name__ = name
    action(weight, effect, "beats model")(do)


_asking("regenerate_beat", 10, Effect.CARRIED)
_asking("regenerate_unlocked", 6, Effect.CARRIED)
_asking("vary_beat", 7, Effect.CARRIED, count=[1, 3])
_asking("adjust_beat", 12, Effect.CARRIED, words=WORDS)


@action(9, Effect.CARRIED, "beats")
def keep_variation(user: User) -> None:
    """Look at a variation, and keep one or none."""
    face = user.face
    if len(face.variations):
        user.change(face, "active_variation", user.rng.randrange(len(face.variations)))
    user.call("keep_variation", discard=user.rng.random() < 0.4)


# --- meanwhile


def _cancel(user: User) -> None:
    user.call("cancel")


def _again(user: User) -> None:
    user.call("generate", script="Twice.")


def _edit(user: User) -> None:
    user.change(user.face, "emotion", "Doubt")


def _save(user: User) -> None:
    user.blender("wm.save_as_mainfile", filepath=str(user.folder / "meanwhile.blend"), copy=True)


def _undo(user: User) -> None:
    if user.windowed and user.at > 0:
        user.step.effect, user.step.barrier = Effect.OPENED, True
        user.blender("ed.undo")


def _edit_mode(user: User) -> None:
    if user.active.type == "MESH":
        user.blender("object.mode_set", mode="EDIT")


def _delete_face(user: User) -> None:
    user.step.effect, user.step.barrier = Effect.OPENED, True
    bpy.data.objects.remove(user.active)


def _rename_face(user: User) -> None:
    user.active.name = f"Renamed {user.step.number}"
    user.step.barrier = True


def _kill(user: User) -> None:
    client = extension.worker()
    if client is not None:
        with suppress(ProcessLookupError):
            os.kill(client.pid, signal.SIGKILL)


def _stop(user: User) -> None:
    """Have the worker hang, and press Cancel."""
    client = extension.worker()
    if client is not None:
        with suppress(ProcessLookupError):
            os.kill(client.pid, signal.SIGSTOP)
    user.call("cancel")


def _other_scene(user: User) -> None:
    if user.windowed and len(bpy.data.scenes) > 1:
        user.step.barrier = True
        bpy.context.window_manager.windows[0].scene = next(s for s in bpy.data.scenes if s != user.scene)


def _lose_scene(user: User) -> None:
    if len(bpy.data.scenes) > 1:
        user.step.effect, user.step.barrier = Effect.OPENED, True
        bpy.data.scenes.remove(next(s for s in bpy.data.scenes if s != user.scene))


_MEANWHILE: tuple[tuple[float, Callable[[User], None]], ...] = (
    (10, _cancel),
    (3, _again),
    (3, _edit),
    (3, _save),
    (4, _undo),
    (3, _edit_mode),
    (2, _delete_face),
    (3, _rename_face),
    (1.5, _kill),
    (0.7, _stop),
    (2, _other_scene),
    (1, _lose_scene),
)


@action(12, Effect.KEPT, "face model")
def interrupt(user: User) -> Work:
    """Generate, and do something else at some moment of it."""
    rng = user.rng
    user.writes_anew()
    if not _press_generate(user):
        return
    yield from _until_moment(user, rng.choice(MOMENTS))
    meanwhile = rng.choices([do for _, do in _MEANWHILE], [weight for weight, _ in _MEANWHILE])[0]
    user.tell(meanwhile.__name__.strip("_"))
    meanwhile(user)
    yield
    if bpy.context.mode != "OBJECT":
        # The answer waits for that.
        job = extension.session().job
        yield from user.until(lambda: extension.session().job is not job or "answer is here" in extension.said(), "it")
        user.step.barrier = True
        user.blender("object.mode_set", mode="OBJECT")
    yield from _wait(user)
