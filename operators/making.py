# SPDX-License-Identifier: GPL-3.0-or-later
"""What the operators share that make a picture or a movie of a face: where it goes, its steps, and Esc between them."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import bpy
from bpy.props import BoolProperty, StringProperty

from ..performance import FacescriptError
from ..rig_mapping import blender_api
from ..rig_mapping.targets import Target
from . import faces
from .language import iface_, rpt_, tip_
from .session import session, told

# Seconds without a word on the console.
_SILENCE = 3.0


# Work that goes on in a window. Blender ends the operators of an extension that is disabled without telling them.
_running: list[Maker] = []


class Step(NamedTuple):
    """How far the work is: `done` of `total`, and what is being done."""

    done: int
    total: int
    what: str


class Maker:
    """A mixin for an operator that writes `filepath` in steps: from a script at once, in a window one step a tick.

    A class names its file by `suffix` and `filename_ext`, and yields a `Step` after each part in `make`, which
    has to leave the scene as it was when it is closed early.
    """

    suffix: ClassVar[str]
    filename_ext: ClassVar[str]

    filepath: StringProperty(
        name="File",
        description="The file to write. Empty: beside the .blend, or in the temporary folder if that is not saved",
        subtype="FILE_PATH",
        options={"SKIP_SAVE"} | blender_api.RELATIVE_PATH,
    )
    check_existing: BoolProperty(
        name="Check Existing",
        description="Warn in the file browser where a file would be replaced",
        default=True,
        options={"HIDDEN"},
    )
    choose_file: BoolProperty(
        name="Choose File",
        description="Ask for the file in a file browser first",
        options={"SKIP_SAVE", "HIDDEN"},
    )

    # The work that goes on in a window.
    _work: Iterator[Step] | None = None
    _timer: Any = None

    def make(self, context: bpy.types.Context, target: Target, face: Any, path: Path) -> Iterator[Step]:
        """Do the work. May raise FacescriptError."""
        raise NotImplementedError

    def show(self, context: bpy.types.Context, path: Path) -> None:
        """Show what was made, in a window."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """A face with a performance is needed, as far as that is known without searching the scene."""
        reason = _why_not(context)
        if reason:
            cls.poll_message_set(tip_(reason))  # type: ignore[attr-defined]
        return not reason

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[Any]:
        operator: Any = self
        if self.choose_file:
            try:
                self.filepath = str(self._path(*faces.active_face(context)))
            except FacescriptError as error:
                return self._fail(error)
            context.window_manager.fileselect_add(operator)
            return {"RUNNING_MODAL"}
        self._work = self._steps(context)
        # The first step finds what is wrong with the face or the file.
        result = self._advance(context)
        if result == {"RUNNING_MODAL"}:
            self._timer = context.window_manager.event_timer_add(0.01, window=context.window)
            context.window_manager.modal_handler_add(operator)
            _running.append(self)
        return result

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[Any]:
        if event.type == "ESC":
            self.cancel(context)
            self.report({"INFO"}, rpt_(f"{self.bl_label} was stopped"))  # type: ignore[attr-defined]
            return {"CANCELLED"}
        return self._advance(context) if event.type == "TIMER" else {"RUNNING_MODAL"}

    def check(self, context: bpy.types.Context) -> bool:
        """Whether the file browser has to show another name: one with the ending."""
        path = bpy.path.ensure_ext(self.filepath, self.filename_ext)
        changed = path != self.filepath
        self.filepath = path
        return changed

    def execute(self, context: bpy.types.Context) -> set[Any]:
        if self.choose_file and not bpy.app.background:
            # From the file browser: begin anew, in steps that Esc can stop.
            kept = {name: getattr(self, name) for name in self._given() if name != "choose_file"}
            name = self.bl_idname.partition("_OT_")[2]  # type: ignore[attr-defined]
            operators: Any = bpy.ops
            return set(getattr(operators.facescript, name)("INVOKE_DEFAULT", **kept))
        self._work = self._steps(context)
        try:
            _say_now_and_then(self._work)
        except FacescriptError as error:
            return self._fail(error)
        return {"FINISHED"}

    def cancel(self, context: bpy.types.Context) -> None:
        """Stop the work, also where Blender ends the operator by itself."""
        if self._work is not None:
            self._work.close()  # type: ignore[attr-defined]
        self._end(context)

    def _given(self) -> list[str]:
        """The properties that were set, also those that Blender remembers from the last time."""
        properties: Any = self.properties  # type: ignore[attr-defined]
        names = [prop.identifier for prop in properties.bl_rna.properties if not prop.is_readonly]
        return [name for name in names if properties.is_property_set(name, ghost=False)]

    def _advance(self, context: bpy.types.Context) -> set[Any]:
        assert self._work is not None
        try:
            step = next(self._work)
        except StopIteration:
            self._end(context)
            return {"FINISHED"}
        except Exception as error:  # Nothing may leave the window with an operator that never ends.
            self._end(context)
            return self._fail(told(error))
        context.window_manager.progress_begin(0, step.total)
        context.window_manager.progress_update(step.done)
        context.workspace.status_text_set(iface_(f"{step.what} {step.done} of {step.total}.  Esc stops"))
        return {"RUNNING_MODAL"}

    def _end(self, context: bpy.types.Context) -> None:
        self._work = None
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        context.window_manager.progress_end()
        if self in _running:
            _running.remove(self)
        # There is none where the window is being closed.
        if context.workspace is not None:
            context.workspace.status_text_set(None)

    def _steps(self, context: bpy.types.Context) -> Iterator[Step]:
        target, face = faces.active_face(context)
        if not face.beats:
            raise FacescriptError("no_keyframes", "This face has no performance yet.", "Press Generate first.")
        path = self._path(target, face)
        yield from self.make(context, target, face, path)
        self.filepath = str(path)
        self.report({"INFO"}, rpt_(f"Saved {path}"))  # type: ignore[attr-defined]
        if not bpy.app.background:
            self.show(context, path)

    def _path(self, target: Target, face: Any) -> Path:
        if self.filepath:
            return _given_path(self.filepath)
        name = bpy.path.clean_name(f"{target.name}_{self.suffix}") + self.filename_ext
        blend = Path(bpy.data.filepath)
        if bpy.data.filepath and os.access(blend.parent, os.W_OK):
            return blend.with_name(f"{blend.stem}_{name}")
        return Path(bpy.context.preferences.filepaths.temporary_directory or tempfile.gettempdir(), name)

    def _fail(self, error: FacescriptError) -> set[Any]:
        session().fail(error)
        self.report({"ERROR"}, rpt_(str(error)))  # type: ignore[attr-defined]
        return {"CANCELLED"}


def _say_now_and_then(steps: Iterator[Step]) -> None:
    """Take the steps; without a window, with a line on the console every few seconds."""
    said = time.monotonic()
    for step in steps:
        if bpy.app.background and time.monotonic() - said > _SILENCE:
            said = time.monotonic()
            print(f"{step.what} {step.done} of {step.total}", flush=True)


def _why_not(context: bpy.types.Context) -> str:
    found = None if bpy.app.background else faces.remembered(context)
    if found is None:
        return ""
    try:
        if found.error is not None:
            raise found.error
        if found.target is not None and not faces.settings_of(found.target).beats:
            return "This face has no performance yet. Press Generate first"
    except FacescriptError as error:
        return str(error)
    return ""


def _given_path(given: str) -> Path:
    """The full path of the file to write. Raises FacescriptError (`no_file`) if there can be no such file."""
    if given.startswith("//") and not bpy.data.filepath:
        raise FacescriptError("no_file", "This file is not saved yet.", "Save it first, or choose a folder.")
    path = Path(bpy.path.abspath(given)).absolute()
    if path.is_dir() or not path.name:
        raise FacescriptError("no_file", f"{path} is a folder.", "Type a file name as well.")
    if not path.parent.is_dir():
        raise FacescriptError("no_file", f"There is no folder {path.parent}.", "Choose another one.")
    return path


def show_picture(context: bpy.types.Context, path: Path) -> bool:
    """Show a picture in an Image Editor of the window; False if there is none."""
    places = [(w, a) for w in context.window_manager.windows for a in w.screen.areas if a.type == "IMAGE_EDITOR"]
    if not places:
        return False
    window, area = places[0]
    image = bpy.data.images.load(str(path), check_existing=True)
    image.reload()
    space: Any = area.spaces.active
    space.image = image
    region = next(region for region in area.regions if region.type == "WINDOW")
    with context.temp_override(window=window, area=area, region=region):
        bpy.ops.image.view_all(fit_view=True)
    return True


def register() -> None:
    """Nothing goes on yet."""
    _running.clear()


def unregister() -> None:
    """Stop what is being made, with the scene as it was."""
    for maker in list(_running):
        maker.cancel(bpy.context)
