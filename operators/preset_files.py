# SPDX-License-Identifier: GPL-3.0-or-later
"""Presets of style and of emotion, by Blender's own preset system: saved, listed, applied, removed and shared as files.

Those that come with the extension are in the folder `presets` beside this module; the user's are in the presets folder
of Blender's user scripts, under the same names. They are read as data (`preset_reading`), not run as Blender does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy
from bl_operators.presets import AddPresetBase
from bpy.props import StringProperty

from ..performance import FacescriptError
from . import desk, faces, preset_reading
from .language import rpt_, tip_
from .motion import chosen_style
from .session import session

# What a preset's file calls the face. It does not say the extension's own name, which depends on where it came from.
_DEFINES = ["face = bpy.context.window_manager.facescript_face"]
# What a preset may set.
_ALLOWED = ("style", "motion", "emotion")


# Blender's stubs know neither what it returns nor its properties, and not all of `bpy.utils`.
_Base: Any = AddPresetBase
_utils: Any = bpy.utils


class _AddPreset(_Base):
    """What saving and removing presets share."""

    preset_defines = _DEFINES

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a face, as far as it is known without searching the scene."""
        found = None if bpy.app.background else faces.remembered(context)
        if found is not None and found.error is not None:
            cls.poll_message_set(tip_(str(found.error)))
            return False
        return True

    def execute(self, context: bpy.types.Context) -> set[Any]:
        try:
            faces.active_face(context)
            if self.remove_name or self.remove_active:
                self._check_own()
        except FacescriptError as error:
            self.report({"ERROR"}, rpt_(str(error)))
            return {"CANCELLED"}
        result: set[Any] = super().execute(context)
        return result

    def _check_own(self) -> None:
        """Raise FacescriptError (`shipped_preset`) for a preset that is not the user's own."""
        name = getattr(bpy.types, self.preset_menu).bl_label if self.remove_active else self.name
        folder = self.preset_subdir
        found = _utils.preset_find(name, folder) or _utils.preset_find(name, folder, display_name=True)
        if found and Path(found).is_relative_to(Path(__file__).parent):
            raise FacescriptError("shipped_preset", f"{name!r} comes with the extension.", "Only your own can go.")


class FACESCRIPT_OT_add_style_preset(_AddPreset, bpy.types.Operator):
    """Save how the face moves as a preset, or remove one"""

    bl_idname = "facescript.add_style_preset"
    bl_label = "Add Style Preset"
    preset_menu = "FACESCRIPT_PT_style_presets"
    preset_subdir = "facescript/style"
    preset_values = ["face.style", "face.motion"]


class FACESCRIPT_OT_add_emotion_preset(_AddPreset, bpy.types.Operator):
    """Save the emotional direction as a preset, or remove one"""

    bl_idname = "facescript.add_emotion_preset"
    bl_label = "Add Emotion Preset"
    preset_menu = "FACESCRIPT_PT_emotion_presets"
    preset_subdir = "facescript/emotion"
    preset_values = ["face.emotion"]


class FACESCRIPT_OT_apply_preset(bpy.types.Operator):
    """Take over this preset; what is on the timeline follows, in one step"""

    bl_idname = "facescript.apply_preset"
    bl_label = "Apply Preset"
    bl_options = {"REGISTER", "UNDO", "INTERNAL"}

    filepath: StringProperty(name="File", description="The preset's file", subtype="FILE_PATH", options={"SKIP_SAVE"})
    menu_idname: StringProperty(name="Menu", description="The menu that it was chosen from", options={"SKIP_SAVE"})

    def execute(self, context: bpy.types.Context) -> set[Any]:
        try:
            face = faces.active_face(context)[1]
            face.check_editable()
        except FacescriptError as error:
            session().fail(error)
            self.report({"ERROR"}, rpt_(str(error)))
            return {"CANCELLED"}
        before = chosen_style(face)
        path = Path(self.filepath)
        try:
            # Each setting alone would have the keys written anew.
            with session().quiet():
                preset_reading.use(preset_reading.read(path), face, _ALLOWED)
        except FacescriptError as error:
            session().fail(error)
            self.report({"ERROR"}, rpt_(str(error)))
            return {"CANCELLED"}
        menu = getattr(bpy.types, self.menu_idname, None)
        if menu is not None:
            # Its header shows which one was chosen last, as Blender's own do.
            menu.bl_label = bpy.path.display_name(path.name, title_case=False)
        if face.beats and chosen_style(face) != before:
            desk.rewrite(face.id_data, everything=True)
        return {"FINISHED"}


CLASSES = (FACESCRIPT_OT_add_style_preset, FACESCRIPT_OT_add_emotion_preset, FACESCRIPT_OT_apply_preset)


def register() -> None:
    """Have Blender find the presets of the extension, and presets the active face."""
    _utils.register_preset_path(str(Path(__file__).parent))
    owner: Any = bpy.types.WindowManager
    owner.facescript_face = property(lambda _: faces.active_face(bpy.context)[1])


def unregister() -> None:
    """Undo `register`."""
    owner: Any = bpy.types.WindowManager
    del owner.facescript_face
    _utils.unregister_preset_path(str(Path(__file__).parent))
