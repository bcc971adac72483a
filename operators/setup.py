# SPDX-License-Identifier: GPL-3.0-or-later
"""Set Up, its Cancel, and Remove: the private environment that the language model runs in."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty

from ..inference.setup.runtime import Runtime
from ..inference.setup.setting_up import SetupEvent, set_up, take_down
from ..inference.setup.work import SetupOptions
from ..performance import FacescriptError
from . import preferences
from .language import rpt_, tip_
from .session import TICK, redraw, session, watch


class FACESCRIPT_OT_set_up(bpy.types.Operator):
    """Download and prepare the language model's private environment (about 1.7 GB on disk), once"""

    bl_idname = "facescript.set_up"
    bl_label = "Set Up"

    repair: BoolProperty(
        name="Repair", description="Make everything anew, also what seems to be there", options={"SKIP_SAVE"}
    )
    wait: BoolProperty(name="Wait", description="Return only when it is done", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Not while a set-up or a generation is running."""
        if session().setup:
            cls.poll_message_set(tip_("Set-up is running already"))
            return False
        if session().busy:
            cls.poll_message_set(tip_("A generation is running. Wait for it, or press Cancel"))
            return False
        if not (bpy.app.background or bpy.app.online_access or preferences.get(context).wheels_folder):
            cls.poll_message_set(
                tip_(
                    "Set Up downloads packages: allow online access in the preferences (System > Network), "
                    "or choose a folder of packages"
                )
            )
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[Any]:
        wheels = preferences.get(context).wheels_folder
        options = SetupOptions(
            base_python=Path(sys.executable),
            online=bpy.app.online_access,
            wheels=Path(bpy.path.abspath(wheels)) if wheels else None,
            repair=self.repair,
            accelerator=preferences.get(context).accelerator,
        )
        return _work(self, context, lambda runtime, cancelled: set_up(runtime, options, cancelled))


def _work(
    operator: Any, context: bpy.types.Context, work: Callable[[Runtime, Callable[[], bool]], Iterator[SetupEvent]]
) -> set[Any]:
    """Do what takes long on a thread; with the operator's `wait`, return when it is done."""
    try:
        session().start_setup(partial(work, preferences.runtime(context)))
        if operator.wait:
            try:
                while session().step_setup():
                    time.sleep(TICK)
            except BaseException:
                session().stop_setup()
                raise
            if session().error:
                raise session().error
    except FacescriptError as error:
        session().fail(error)
        operator.report({"ERROR"}, rpt_(str(error)))
        return {"CANCELLED"}
    if not operator.wait:
        watch()
    redraw()
    return {"FINISHED"}


class FACESCRIPT_OT_cancel_set_up(bpy.types.Operator):
    """Stop the set-up; pressing Set Up again goes on where it stopped"""

    bl_idname = "facescript.cancel_set_up"
    bl_label = "Cancel Set-up"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only while a set-up is running."""
        if session().setup is None:
            cls.poll_message_set(tip_("No set-up is running"))
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[Any]:
        job = session().setup
        if job:
            job.cancel()
        return {"FINISHED"}


class FACESCRIPT_OT_remove_runtime(bpy.types.Operator):
    """Delete the language model's private environment and the converted model"""

    bl_idname = "facescript.remove_runtime"
    bl_label = "Remove the Runtime"

    wait: BoolProperty(name="Wait", description="Return only when it is done", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Not while it is in use."""
        if session().setup or session().busy:
            cls.poll_message_set(tip_("The runtime is in use"))
            return False
        return True

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[Any]:
        return context.window_manager.invoke_confirm(self, event)

    def execute(self, context: bpy.types.Context) -> set[Any]:
        return _work(self, context, lambda runtime, cancelled: take_down(runtime))


class FACESCRIPT_OT_preferences(bpy.types.Operator):
    """Open Facescript's preferences: the runtime, the model and the folders"""

    bl_idname = "facescript.preferences"
    bl_label = "Facescript Preferences"

    def execute(self, context: bpy.types.Context) -> set[Any]:
        bpy.ops.preferences.addon_show(module=preferences.PACKAGE)
        return {"FINISHED"}


CLASSES = (
    FACESCRIPT_OT_set_up,
    FACESCRIPT_OT_cancel_set_up,
    FACESCRIPT_OT_remove_runtime,
    FACESCRIPT_OT_preferences,
)
