# SPDX-License-Identifier: GPL-3.0-or-later
"""The Facescript tab: the face, its script, Generate, and the beats that came out."""

from __future__ import annotations

import bpy

from ..operators import faces, preferences
from ..operators.emotions import emotions
from ..operators.language import CONTEXT, iface_
from ..operators.session import session
from ..performance import FacescriptError
from .layout import draw_bar, draw_error, draw_setup, face_of, paragraph
from .presets import FACESCRIPT_PT_emotion_presets


class Sidebar:
    """Where all of it is."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Facescript"


class FacePanel(Sidebar):
    """A panel that is there only with a face."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only with a face."""
        return face_of(context) is not None


class FACESCRIPT_MT_emotions(bpy.types.Menu):
    """Emotional directions to start from"""

    bl_idname = "FACESCRIPT_MT_emotions"
    bl_label = "Emotion Presets"

    def draw(self, context: bpy.types.Context) -> None:
        for number, (family, directions) in enumerate(emotions().items()):
            if number:
                self.layout.separator()
            self.layout.label(text=family)
            for direction in directions:
                button = self.layout.operator("facescript.set_emotion", text=direction, translate=False)
                button.emotion = direction


class FACESCRIPT_PT_face(Sidebar, bpy.types.Panel):
    """The face that is performed on"""

    bl_idname = "FACESCRIPT_PT_face"
    bl_translation_context = CONTEXT
    bl_order = 0
    bl_label = "Face"

    def draw(self, context: bpy.types.Context) -> None:
        layout, width = self.layout, context.region.width
        found = faces.remembered(context)
        if found is None:
            layout.label(text="Looking at the selection ...")
            return
        if found.target is None:
            assert found.error
            paragraph(layout, found.error.message, width, "INFO")
            paragraph(layout, found.error.hint, width, "FORWARD")
            layout.operator("facescript.add_face", text="Add an ARKit Face", icon="USER")
            return
        target = found.target
        layout.label(text=target.name, translate=False, icon="OUTLINER_OB_MESH")
        family = faces.family_of(target)
        owner = faces.owner_of(found)
        by_hand = owner is not None and owner.facescript_mapping.read() is not None
        layout.label(text=iface_(f"{family}, mapped by hand" if by_hand else family), translate=False, icon="COMMUNITY")
        shown, all_channels = len(target.covered), len(target.covered) + len(target.missing)
        row = layout.row()
        row.label(
            text=iface_(f"{shown} of {all_channels} channels"),
            translate=False,
            icon="CHECKMARK" if not target.missing else "DOT",
        )
        names = ", ".join(mesh.object.name for mesh in target.meshes)
        if len(target.meshes) > 1:
            paragraph(layout, f"{len(target.meshes)} meshes: {names}", width)
        if target.missing:
            paragraph(layout, f"Not on this face: {', '.join(target.missing)}", width, lines=4)
        for warning in target.warnings[:3]:
            paragraph(layout, warning, width, "ERROR", lines=3)


class FACESCRIPT_PT_script(Sidebar, bpy.types.Panel):
    """What is performed, and how"""

    bl_idname = "FACESCRIPT_PT_script"
    bl_order = 1
    bl_label = "Script"

    def draw(self, context: bpy.types.Context) -> None:
        layout, width = self.layout, context.region.width
        face = face_of(context)
        if face is None:
            layout.label(text="Choose a face first.")
            return
        column = layout.column()
        column.enabled = not session().busy
        if face.text:
            column.label(text="The script is in the Text Editor:")
        else:
            column.prop(face, "script", text="", placeholder="Dialogue, (directions), action ...")
            column.label(text="Or, for several lines, a text:")
        column.template_ID(face, "text", new="text.new", open="text.open")
        column.label(text="Background")
        column.prop(face, "background", text="")
        row = column.row()
        row.label(text="Emotion")
        row.menu("FACESCRIPT_MT_emotions", text="", icon="PRESET")
        row.popover(FACESCRIPT_PT_emotion_presets.bl_idname, text="", icon="BOOKMARKS")
        column.prop(face, "emotion", text="")
        column.separator()
        row = column.row(align=True)
        row.prop(face, "start_frame")
        row.operator("facescript.start_here", text="", icon="TIME")
        column.prop(face, "seed")
        self._draw_generate(context, width)

    def _draw_generate(self, context: bpy.types.Context, width: int) -> None:
        layout = self.layout
        try:
            state = preferences.worker_runtime(context).state()
        except FacescriptError as error:
            paragraph(layout, str(error), width, "ERROR")
            return
        if session().setup or not state.usable:
            draw_setup(layout, width, state.sentence)
            draw_error(layout, width)
            return
        job = session().job
        if job:
            row = layout.row(align=True)
            draw_bar(row, job.collector.fraction, "Stopping ..." if job.stopping else f"{job.collector.fraction:.0%}")
            row.operator("facescript.cancel", text="", icon="X")
            paragraph(layout, session().note or job.collector.message, width)
            for index in sorted(job.collector.beats)[-4:]:
                paragraph(layout, job.collector.beats[index].text, width, "DOT", lines=2, translate=False)
            return
        row = layout.row()
        row.scale_y = 1.6
        row.operator("facescript.generate", text="Generate", icon="RENDER_ANIMATION")
        draw_error(layout, width)
        if session().note:
            paragraph(layout, session().note, width, "INFO")


class FACESCRIPT_PT_seeing(Sidebar, bpy.types.Panel):
    """Look at the performance: as a movie, a sheet of its beats, or curves"""

    bl_idname = "FACESCRIPT_PT_seeing"
    bl_order = 6
    bl_label = "Preview"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        column = self.layout.column(align=True)
        column.operator("facescript.preview", text="Play a Movie", icon="RENDER_ANIMATION")
        column.operator("facescript.contact_sheet", icon="RENDER_STILL")
        column.operator("facescript.plot", icon="GRAPH")


class FACESCRIPT_PT_runtime(Sidebar, bpy.types.Panel):
    """The language model on this machine"""

    bl_idname = "FACESCRIPT_PT_runtime"
    bl_order = 9
    bl_label = "Language Model"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: bpy.types.Context) -> None:
        layout, width = self.layout, context.region.width
        chosen = preferences.get(context)
        layout.prop(chosen, "backend", text="")
        try:
            state = preferences.worker_runtime(context).state()
        except FacescriptError as error:
            paragraph(layout, str(error), width, "ERROR")
        else:
            paragraph(layout, state.sentence, width, "CHECKMARK" if state.usable else "INFO")
        layout.operator("facescript.preferences", text="Preferences ...", icon="PREFERENCES")


CLASSES = (
    FACESCRIPT_MT_emotions,
    FACESCRIPT_PT_face,
    FACESCRIPT_PT_script,
    FACESCRIPT_PT_seeing,
    FACESCRIPT_PT_runtime,
)
