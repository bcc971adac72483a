# SPDX-License-Identifier: GPL-3.0-or-later
"""Diagnostics for a bug report: into the clipboard, or onto the command line."""

from __future__ import annotations

from typing import Any

import bpy

from ..inference import diagnostics
from ..inference.servers.addresses import parse_address
from ..performance import FacescriptError
from . import preferences
from .language import languages, rpt_
from .session import session


def text(context: bpy.types.Context) -> str:
    """The report; `inference.diagnostics` says what is in it and what never is."""
    chosen = preferences.get(context)
    program = diagnostics.Program(
        blender=bpy.app.version_string,
        window=not bpy.app.background,
        online=bpy.app.online_access,
        backend=chosen.backend,
        quantization=chosen.quantization,
        remote=_is_remote(chosen.server_address),
        own_folder=bool(chosen.runtime_folder),
    )
    try:
        runtime = preferences.runtime(context)
    except FacescriptError as error:
        session().errors.note(error)
        runtime = None
    # A language's table has all of the extension's messages.
    messages = {message for table in languages().values() for message in table}
    return diagnostics.report(program, runtime, session().errors.rows(), messages)


def _is_remote(address: str) -> bool:
    try:
        return not parse_address(address).is_local
    except FacescriptError:
        return False


class FACESCRIPT_OT_copy_diagnostics(bpy.types.Operator):
    """Copy what a bug report needs: versions, the runtime's state and the last errors; nothing of yours is in it"""

    bl_idname = "facescript.copy_diagnostics"
    bl_label = "Copy Diagnostics"
    bl_options = {"INTERNAL"}

    def execute(self, context: bpy.types.Context) -> set[Any]:
        context.window_manager.clipboard = text(context)
        self.report({"INFO"}, rpt_("The diagnostics are in the clipboard. Read them before you paste them."))
        return {"FINISHED"}


CLASSES = (FACESCRIPT_OT_copy_diagnostics,)
