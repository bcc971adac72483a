# SPDX-License-Identifier: GPL-3.0-or-later
"""The models and adapters on this machine, for the preferences: choosing, downloading from the hub, removing."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, IntProperty, StringProperty

from ..inference.models import library, memory
from ..inference.models.download import download
from ..inference.models.library import Model
from ..inference.setup.runtime import Runtime
from ..inference.setup.setting_up import SetupEvent, SetupJob
from ..performance import FacescriptError
from . import preferences
from .language import rpt_, tip_
from .preferences import FACESCRIPT_PG_model_folder
from .session import TICK, redraw, session


class Shelf:
    """The models that were found last, the memory that was free then, and the download that is running."""

    def __init__(self) -> None:
        self._key: tuple[Any, ...] = ()
        self._models: tuple[Model, ...] = ()
        self.free: int | None = None
        self.job: SetupJob | None = None
        self.progress = SetupEvent("", 0.0, "")

    def remembered(self, context: bpy.types.Context) -> tuple[Model, ...] | None:
        """The models; None for a moment until they were looked for, which is done from a timer. For drawing."""
        if self._key == _places(context):
            return self._models
        if not bpy.app.timers.is_registered(_look):
            bpy.app.timers.register(_look, first_interval=0.0)
        return None

    def look(self, context: bpy.types.Context) -> tuple[Model, ...]:
        """Look for the models now."""
        key = _places(context)
        with suppress(FacescriptError):
            own = library.downloads(preferences.runtime(context))
            self._models = tuple(library.find(own, [Path(folder) for folder in key[1:]]))
        self.free = memory.free()
        self._key = key
        return self._models

    def forget(self) -> None:
        """Look again at the next redraw."""
        self._key = ()

    def start(self, runtime: Runtime, name: str) -> None:
        """Begin to download a model."""
        session().error, session().note = None, ""
        self.progress = SetupEvent("", 0.0, "Starting")
        self.job = SetupJob(lambda cancelled: download(runtime, name, cancelled))

    def step(self) -> bool:
        """Take in how far the download is. True while it is running; never waits, never raises."""
        if self.job is None:
            return False
        # Asked first: what it says between the two calls is not lost.
        running = self.job.running
        for event in self.job.poll():
            self.progress = event
        if running:
            return True
        error, self.job = self.job.error, None
        self.forget()
        if error is not None:
            session().fail(error)
        else:
            session().note = f"The model is in {self.progress.message}."
        return False

    def stop(self) -> None:
        """Stop the download, if one is running, and wait until it has."""
        if self.job is not None:
            self.job.cancel()
            self.job.join(10.0)
            self.job = None


shelf = Shelf()


def _places(context: bpy.types.Context) -> tuple[str, ...]:
    """Where models are looked for, as something that can be compared: the runtime's folder and those of the user."""
    chosen = preferences.get(context)
    rows = [bpy.path.abspath(row.path) for row in chosen.model_folders if row.path]
    return (f"{chosen.runtime_folder}|{library.cache()}", *rows)


def _look() -> None:
    shelf.look(bpy.context)
    redraw()


def _tick() -> float | None:
    running = shelf.step()
    redraw()
    return TICK if running else None


class FACESCRIPT_OT_find_models(bpy.types.Operator):
    """Look again which models there are: in your folders, in the hub's cache and among those downloaded here"""

    bl_idname = "facescript.find_models"
    bl_label = "Find Models"

    def execute(self, context: bpy.types.Context) -> set[Any]:
        found = [model for model in shelf.look(context) if model.kind == "model"]
        self.report({"INFO"}, rpt_(f"{len(found)} models were found."))
        redraw()
        return {"FINISHED"}


class FACESCRIPT_OT_choose_model(bpy.types.Operator):
    """Have this model write performances, or the chosen model with this adapter"""

    bl_idname = "facescript.choose_model"
    bl_label = "Choose Model"

    folder: StringProperty(name="Folder", description="The model's folder", options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[Any]:
        chosen = preferences.get(context)
        chosen.backend = "local"
        if library.is_adapter(Path(self.folder)):
            chosen.adapter_folder = self.folder
        else:
            chosen.model_folder = self.folder
        return {"FINISHED"}


class FACESCRIPT_OT_remove_model(bpy.types.Operator):
    """Delete this model, which Facescript has downloaded, from the disk"""

    bl_idname = "facescript.remove_model"
    bl_label = "Remove Model"

    folder: StringProperty(name="Folder", description="The model's folder", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Not while a generation is running."""
        if session().busy:
            cls.poll_message_set(tip_("A generation is running. Wait for it, or press Cancel"))
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[Any]:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> set[Any]:
        try:
            # A worker keeps its files open, which Windows does not let go.
            session().stop_worker()
            library.remove(Path(self.folder), library.downloads(preferences.runtime(context)))
        except FacescriptError as error:
            session().fail(error)
            self.report({"ERROR"}, rpt_(str(error)))
            return {"CANCELLED"}
        finally:
            shelf.forget()
        chosen = preferences.get(context)
        for field in ("model_folder", "adapter_folder"):
            if getattr(chosen, field) == self.folder:
                setattr(chosen, field, "")
        return {"FINISHED"}


class FACESCRIPT_OT_download_model(bpy.types.Operator):
    """Download a model from the Hugging Face hub: its weights in safetensors, its tokenizer and its licence"""

    bl_idname = "facescript.download_model"
    bl_label = "Download"

    name: StringProperty(
        name="Name",
        description="The model's name on the hub; if not given, that of the preferences",
        maxlen=200,
        options={"SKIP_SAVE"},
    )
    wait: BoolProperty(name="Wait", description="Return only when it is done", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """One at a time, with the runtime, and only if the network may be used."""
        if shelf.job is not None:
            cls.poll_message_set(tip_("A model is being downloaded"))
            return False
        if not bpy.app.online_access:
            cls.poll_message_set(tip_("Allow online access in the preferences (System > Network)"))
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[Any]:
        try:
            runtime = preferences.runtime(context)
            if not runtime.state().usable:
                raise FacescriptError("no_runtime", "The language model is not set up.", "Press Set Up first.")
            name = (self.name or preferences.get(context).hub_name).strip()
            library.folder_name(name)
            shelf.start(runtime, name)
            if self.wait:
                self._wait()
        except FacescriptError as error:
            session().fail(error)
            self.report({"ERROR"}, rpt_(str(error)))
            return {"CANCELLED"}
        if not self.wait and not bpy.app.timers.is_registered(_tick):
            bpy.app.timers.register(_tick, first_interval=TICK, persistent=True)
        redraw()
        return {"FINISHED"}

    def _wait(self) -> None:
        try:
            while shelf.step():
                time.sleep(TICK)
        except BaseException:
            shelf.stop()
            raise
        if session().error:
            raise session().error


class FACESCRIPT_OT_cancel_download(bpy.types.Operator):
    """Stop the download; pressing Download again goes on where it stopped"""

    bl_idname = "facescript.cancel_download"
    bl_label = "Cancel Download"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only while one is running."""
        if shelf.job is None:
            cls.poll_message_set(tip_("No download is running"))
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[Any]:
        if shelf.job is not None:
            shelf.job.cancel()
        return {"FINISHED"}


class FACESCRIPT_OT_add_model_folder(bpy.types.Operator):
    """Add a folder in which models are looked for"""

    bl_idname = "facescript.add_model_folder"
    bl_label = "Add Model Folder"

    directory: StringProperty(
        name="Folder",
        description="A model's folder, or one that holds folders of models",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[Any]:
        context.window_manager.fileselect_add(self)
        return {"RUNNING_MODAL"}

    def execute(self, context: bpy.types.Context) -> set[Any]:
        if not self.directory or not Path(bpy.path.abspath(self.directory)).is_dir():
            self.report({"ERROR"}, rpt_("That is no folder. Choose another one."))
            return {"CANCELLED"}
        rows = preferences.get(context).model_folders
        if all(row.path != self.directory for row in rows):
            rows.add().path = self.directory
        return {"FINISHED"}


class FACESCRIPT_OT_drop_model_folder(bpy.types.Operator):
    """Look for models in this folder no longer; nothing in it is changed"""

    bl_idname = "facescript.drop_model_folder"
    bl_label = "Forget Model Folder"

    index: IntProperty(name="Number", description="Which of the folders, from 0", min=0, options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[Any]:
        rows = preferences.get(context).model_folders
        if self.index >= len(rows):
            return {"CANCELLED"}
        rows.remove(self.index)
        return {"FINISHED"}


CLASSES = (
    FACESCRIPT_PG_model_folder,
    FACESCRIPT_OT_find_models,
    FACESCRIPT_OT_choose_model,
    FACESCRIPT_OT_remove_model,
    FACESCRIPT_OT_download_model,
    FACESCRIPT_OT_cancel_download,
    FACESCRIPT_OT_add_model_folder,
    FACESCRIPT_OT_drop_model_folder,
)


def register() -> None:
    """Nothing runs yet."""
    shelf.forget()


def unregister() -> None:
    """Stop what is running."""
    for function in (_tick, _look):
        if bpy.app.timers.is_registered(function):
            bpy.app.timers.unregister(function)
    shelf.stop()
