# SPDX-License-Identifier: GPL-3.0-or-later
"""Test Connection: whether the server of the preferences answers, and what it can do."""

from __future__ import annotations

import time
from typing import Any

import bpy
from bpy.props import BoolProperty

from ..inference.servers import trial as server_trial
from ..performance import FacescriptError
from . import preferences
from .language import rpt_, tip_
from .session import TICK, redraw, session


class FACESCRIPT_OT_test_server(bpy.types.Operator):
    """Ask the server for its models and for one short answer; nothing of your script is sent"""

    bl_idname = "facescript.test_server"
    bl_label = "Test Connection"

    wait: BoolProperty(name="Wait", description="Return only when it is done", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only for a server, and one test at a time."""
        chosen = preferences.get(context)
        trial = server_trial.last(chosen.server_address)
        if trial is not None and trial.running:
            cls.poll_message_set(tip_("The server is being tested"))
            return False
        if chosen.backend != "server":
            cls.poll_message_set(tip_("Choose Server as the model first"))
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[Any]:
        try:
            trial = server_trial.start(preferences.model_options(context))
            session().error = None
            if self.wait:
                while trial.running:
                    time.sleep(TICK / 5)
                if trial.error:
                    raise trial.error
        except FacescriptError as error:
            session().fail(error)
            self.report({"ERROR"}, rpt_(str(error)))
            return {"CANCELLED"}
        if self.wait and trial.abilities:
            self.report({"INFO"}, rpt_(server_trial.summary(trial.abilities)))
        elif not bpy.app.timers.is_registered(_tick):
            bpy.app.timers.register(_tick, first_interval=TICK, persistent=True)
        return {"FINISHED"}


def _tick() -> float | None:
    """Look whether the test is done, so that the window shows it."""
    trial = server_trial.current()
    if trial is not None and trial.running:
        return TICK
    if trial is not None and trial.error:
        session().fail(trial.error)
    redraw()
    return None


def register() -> None:
    """Nothing runs yet."""


def unregister() -> None:
    """Stop a test that is running."""
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    server_trial.stop()


CLASSES = (FACESCRIPT_OT_test_server,)
