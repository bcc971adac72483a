# SPDX-License-Identifier: GPL-3.0-or-later
"""The random user: what it can do in Blender, what it waits for, and what it remembers of its steps and its keys."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from random import Random
from typing import Any

import bpy as module

from . import extension
from .state import Ledger, Owned, State, differences, owned, state

bpy: Any = module

# A part of a step; Blender's window gets its turn after each.
Work = Iterator[None]

# Seconds after which what is waited for counts as hung; generous, for machines that are busy with other things.
PATIENCE = 180.0


class Broken(AssertionError):
    """Something that must hold does not."""


class Effect(Enum):
    """What a step may do to keys that the user owns."""

    KEPT = "all stay, bit for bit"
    COPIED = "all stay, and there may be copies"
    CARRIED = "those on the active face may go along with their beats"
    REMADE = "those on the active face may be written anew"
    OPENED = "another file, or another moment of this one"


@dataclass
class Step:
    """What is known of the step that is being taken."""

    number: int
    name: str
    rng: Random
    effect: Effect
    ledger: Ledger
    reach: frozenset[str]
    span: tuple[float, float]
    began: float = field(default_factory=time.monotonic)
    pushes: int = 0
    barrier: bool = False
    told: list[str] = field(default_factory=list)
    # Keys that this step may take away, as it was asked to.
    may_lose: Callable[[Owned], bool] = lambda key: False


class User:
    """One user of one Blender."""

    def __init__(self, seed: int, folder: Path, settings: dict[str, Any]) -> None:
        self.seed, self.folder, self.settings = seed, folder, settings
        self.windowed = not bpy.app.background
        self.step = Step(0, "", Random(0), Effect.OPENED, {}, frozenset(), (0.0, 0.0))
        self.past: list[State | None] = []
        self.at = -1
        self.allowed: list[str] = []
        self._next_number = 1000

    # --- looking

    @property
    def rng(self) -> Random:
        """This step's own numbers: they are the same whatever the steps before have used."""
        return self.step.rng

    @property
    def scene(self) -> Any:
        """The scene that is shown."""
        return bpy.context.scene

    def faces(self) -> list[str]:
        """The names of the scene's faces."""
        found = [obj for obj in bpy.context.view_layer.objects if obj.type == "MESH" and obj.data.shape_keys]
        return sorted(obj.name for obj in found if len(obj.data.shape_keys.key_blocks) > 5)

    @property
    def active(self) -> Any:
        """The active object, or None."""
        return bpy.context.view_layer.objects.active

    @property
    def face(self) -> Any:
        """The settings of the active object's face, or None."""
        obj = self.active
        if obj is None or obj.name not in self.faces() or not extension.enabled():
            return None
        try:
            return extension.shown(obj.name)[1]
        except extension.part("performance").FacescriptError:
            return None

    @property
    def owner(self) -> Any:
        """The object on which the active face's settings are kept: of meshes on one rig, one for all of them."""
        face = self.face
        return face.id_data if face is not None else self.active

    def where(self) -> AbstractContextManager[Any]:
        """As if the pointer were in the 3D View: from a timer no window is current."""
        if not self.windowed:
            return nullcontext()
        window = bpy.context.window_manager.windows[0]
        area = max(window.screen.areas, key=lambda area: (area.type == "VIEW_3D", area.width))
        region = next(region for region in area.regions if region.type == "WINDOW")
        return bpy.context.temp_override(window=window, area=area, region=region)

    # --- doing

    def tell(self, text: str) -> None:
        """Note what the step does, for the journal."""
        self.step.told.append(text)

    def call(self, name: str, **values: Any) -> bool:
        """An operator of the extension; False if its button is grey, or if it says why it cannot."""
        operator = getattr(bpy.ops.facescript, name)
        given = ", ".join(f"{key}={value!r}" for key, value in values.items())
        self.tell(f"{name}({given})")
        with self.where():
            if not operator.poll():
                self.tell("grey")
                return False
            try:
                result = operator("EXEC_DEFAULT", True, **values)
            except RuntimeError as error:
                self.allow(str(error))
                return False
        options = getattr(getattr(bpy.types, f"FACESCRIPT_OT_{name}"), "bl_options", ())
        if result == {"FINISHED"} and "UNDO" in options:
            self.step.pushes += 1
        return bool(result == {"FINISHED"})

    def allow(self, message: str) -> None:
        """An error that was reported, and said in words."""
        if "Traceback" in message or not message.startswith("Error: "):
            raise Broken(f"{self.step.told[-1:]} failed: {message}")
        self.allowed += [line for line in message.removeprefix("Error: ").splitlines() if line.strip()]
        self.tell(f"refused: {message.strip()[:100]}")

    def blender(self, name: str, **values: Any) -> bool:
        """An operator of Blender's own; False if it cannot."""
        space, _, word = name.partition(".")
        self.tell(name)
        with self.where():
            operator = getattr(getattr(bpy.ops, space), word)
            try:
                return bool(operator.poll() and operator(**values) == {"FINISHED"})
            except RuntimeError as error:
                self.allow(str(error))
                return False

    def push(self, message: str) -> None:
        """Close a step of undo, as Blender's editors do after an edit by hand."""
        self.tell(message)
        self.step.pushes += 1
        if self.windowed:
            with self.where():
                bpy.ops.ed.undo_push(message=message)

    def change(self, owner: Any, name: str, value: Any) -> None:
        """A field, as it is edited in a panel."""
        self.tell(f"{name} = {value!r}"[:80])
        setattr(owner, name, value)
        self.push(f"Edit {name}")

    def choose(self, name: str) -> None:
        """Click an object."""
        for obj in bpy.context.view_layer.objects:
            obj.select_set(obj.name == name)
        bpy.context.view_layer.objects.active = bpy.data.objects[name]

    def number(self) -> float:
        """The number of another key of the user's."""
        self._next_number += 1
        return float(self._next_number)

    def mine(self) -> None:
        """Keys are as the user has just made them: from now on they are compared with this."""
        self.step.ledger = owned()

    def until(self, condition: Callable[[], bool], what: str) -> Work:
        """Wait for something; it never takes long."""
        end = time.monotonic() + PATIENCE
        while not condition():
            if time.monotonic() > end:
                raise Broken(f"waited in vain for {what}; the panel says {extension.said()!r}")
            yield

    def rest(self) -> Work:
        """Wait until nothing runs, and what was done by hand has been followed."""
        if not extension.enabled():
            return
        yield from self.until(lambda: not extension.busy(), "the extension to come to rest")
        for _ in range(3000):
            if extension.look():
                return
            if extension.busy():
                yield
        raise Broken(f"the list does not come to rest; the panel says {extension.said()!r}")

    # --- remembering

    def begin(self, number: int, name: str, effect: Effect) -> None:
        """Begin a step, with all that is compared afterwards."""
        rng = Random(f"{self.seed} {number} {name}")
        self.step = Step(number, name, rng, effect, owned(), self._reach(), self._span())

    def _reach(self) -> frozenset[str]:
        """The names of the actions of the active face: of all that shows it, and of its objects."""
        obj = self.active
        if obj is None:
            return frozenset()
        blocks = [obj, obj.data.shape_keys if obj.type == "MESH" else None]
        if self.face is not None:
            blocks += [self.owner, *extension.animated(obj.name)]
        animated = [block.animation_data for block in blocks if block is not None and block.animation_data]
        return frozenset(a.action.name for a in animated if a.action is not None)

    def _span(self) -> tuple[float, float]:
        face = self.face
        frames = [row.frame for row in face.beats] if face is not None else []
        return (min(frames), max(frames)) if frames else (0.0, 0.0)

    def writes_anew(self) -> None:
        """A performance is about to be written where there was none: in its range its channels' keys are replaced."""
        face = self.face
        if face is None or len(face.beats):
            return
        reach = self.step.reach

        def replaced(key: Owned) -> bool:
            low, high = self._span()
            return key.action in reach and not key.foreign and low - 72.0 <= key.frame <= high + 72.0

        self.step.may_lose = replaced

    def check_keys(self) -> None:
        """Raise Broken if a key of the user's is lost or otherwise than the step may have left it."""
        step, now = self.step, owned()
        if step.effect is Effect.OPENED:
            return
        after = self._span()
        low, high = min(step.span[0], after[0]) - 48.0, max(step.span[1], after[1]) + 48.0
        for number, before in step.ledger.items():
            stay = [key for key in before if not step.may_lose(key)]
            if step.effect is Effect.REMADE:
                stay = [key for key in stay if key.foreign or key.action not in step.reach]
            self._check_key(number, stay, now.get(number, []), low, high)
        if step.effect not in (Effect.COPIED, Effect.REMADE):
            for number, rows in now.items():
                if len(rows) > len(step.ledger.get(number, [])):
                    raise Broken(f"the user's key {number} is there {len(rows)} times: {_named(rows)}")

    def _check_key(self, number: int, before: list[Owned], after: list[Owned], low: float, high: float) -> None:
        left = list(after)
        carried = self.step.effect is Effect.CARRIED
        # Copies look alike: those that may not change are found again first.
        for key in sorted(before, key=lambda key: key.action in self.step.reach):
            exact = next((k for k in left if k.what == key.what), None)
            if exact is not None:
                left.remove(exact)
                continue
            may_go = carried and not key.foreign and key.action in self.step.reach and low <= key.frame <= high
            gone = next((k for k in left if may_go and k.path == key.path and k.still == key.still), None)
            if gone is None:
                was = f"{_named([key])} of {_named(before)}"
                raise Broken(f"the user's key {number} is gone or changed: {was} -> {_named(after)}")
            left.remove(gone)

    def remember(self) -> None:
        """After a step: what undo has to come back to."""
        if not self.windowed:
            return
        if self.step.barrier or self.at < 0:
            with self.where():
                bpy.ops.ed.undo_push(message="Soak")
            self.past, self.at = [state()], 0
            return
        if self.step.pushes:
            del self.past[self.at + 1 :]
            self.past += [None] * (self.step.pushes - 1) + [state()]
            self.past = self.past[-24:]
            self.at = len(self.past) - 1

    def compare(self) -> None:
        """Raise Broken if undo or redo has led to another state than was there."""
        known = self.past[self.at]
        if known is None:
            self.past[self.at] = state()
        elif rows := differences(known, state()):
            raise Broken("undo or redo leads elsewhere:\n  " + "\n  ".join(rows))


def _named(keys: list[Owned]) -> str:
    return ", ".join(f"{k.action}: {k.path}[{k.index}] {k.points}" for k in keys) or "nowhere"
