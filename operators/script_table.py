# SPDX-License-Identifier: GPL-3.0-or-later
"""Scripts of several lines: in a Text datablock, checked, and as a table of what happens when.

The table is worked out when the script, its start or the beats have changed, not while it is drawn, and is kept on the
window manager: it says nothing that is not in the file already.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import bpy
from bpy.app.handlers import persistent
from bpy.props import BoolProperty, CollectionProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from ..inference.scripts.lines import Part, part, read_lines
from ..inference.scripts.timing import SHORTEST
from ..performance import FacescriptError, Keyframe, Performance, beat_list
from ..rig_mapping import timeline
from ..rig_mapping.steps import Steps
from . import faces
from .desk import Desk, merged
from .language import CONTEXT, rpt_
from .regenerate import Asking
from .session import redraw, session

# Lines above the one that is shown, so that what leads to it is seen.
_ABOVE = 6


def _go_to(table: Any, context: bpy.types.Context) -> None:
    if session().quieted or not 0 <= table.active < len(table.rows):
        return
    row = table.rows[table.active]
    try:
        face = faces.active_face(context)[1]
    except FacescriptError as error:
        session().fail(error)
        return
    place = next((i for i, beat in enumerate(face.beats) if row.frame <= beat.frame < row.end), -1)
    if place >= 0:
        with session().quiet():
            face.active_beat = place
    context.scene.frame_set(row.frame)
    if face.text:
        put_cursor(face.text, row.number)


class FACESCRIPT_PG_line(bpy.types.PropertyGroup):
    """A line of the script that is performed."""

    number: IntProperty(name="Line", description="Its number in the script")
    frame: IntProperty(name="Frame", description="The frame at which it starts")
    end: IntProperty(name="End", description="The frame at which the next one starts")
    time: FloatProperty(name="Time", description="When it starts", unit="TIME_ABSOLUTE")
    seconds: FloatProperty(name="Duration", description="How long it plays", unit="TIME_ABSOLUTE")
    words: StringProperty(name="Words", description="What is said and done")
    beats: IntProperty(name="Beats", description="How many beats it has on the timeline")


class FACESCRIPT_PG_lines(bpy.types.PropertyGroup):
    """The lines of the active face's script."""

    rows: CollectionProperty(type=FACESCRIPT_PG_line)
    active: IntProperty(name="Active Line", description="Selecting a line goes there", update=_go_to)


class _Memory:
    """What the table was made of."""

    def __init__(self) -> None:
        self.key: tuple[Any, ...] = ()


_memory = _Memory()


def table_of(context: bpy.types.Context) -> Any:
    """The table (`FACESCRIPT_PG_lines`)."""
    return context.window_manager.facescript_lines


def remembered(context: bpy.types.Context, face: Any) -> Any:
    """The table, for drawing: if something has changed, it is worked out anew from a timer, and drawn again."""
    if _key(face, context.scene) != _memory.key and not bpy.app.timers.is_registered(_look):
        bpy.app.timers.register(_look, first_interval=0.0)
    return table_of(context)


def _key(face: Any, scene: Any) -> tuple[Any, ...]:
    frames = tuple(beat.frame for beat in face.beats)
    return face.id_data.session_uid, face.brief().script, face.start_frame, timeline.scene_fps(scene), frames


def _look() -> None:
    try:
        refresh(bpy.context, faces.active_face(bpy.context)[1])
    except FacescriptError:
        # The panel of the face, or Check Script, says what it is.
        table_of(bpy.context).rows.clear()
    redraw()


def refresh(context: bpy.types.Context, face: Any) -> None:
    """Work the table out. Raises FacescriptError for what is wrong in the script; the table is empty then."""
    table = table_of(context)
    _memory.key = _key(face, context.scene)
    table.rows.clear()
    fps = timeline.scene_fps(context.scene)
    lines = read_lines(face.brief().script)
    starts = [_frame(face, line.start, fps) for line in lines]
    ends = [*starts[1:], _frame(face, lines[-1].end, fps) + 1]
    for line, start, end in zip(lines, starts, ends, strict=True):
        row = table.rows.add()
        row.number, row.frame, row.end = line.number, start, max(end, start + 1)
        row.time, row.seconds, row.words = line.start, line.seconds, line.words
    for beat in face.beats:
        row = next((row for row in reversed(table.rows) if row.frame <= beat.frame), None)
        if row is not None:
            row.beats += 1
    with session().quiet():
        table.active = min(table.active, len(table.rows) - 1)


def _frame(face: Any, seconds: float, fps: float) -> int:
    return int(face.start_frame) + round(seconds * fps)


def put_cursor(text: Any, number: int) -> None:
    """Put a text's cursor on a line, and show it where a Text Editor is open."""
    line = min(max(number, 1), len(text.lines)) - 1
    text.cursor_set(line, character=0)
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "TEXT_EDITOR":
                area.spaces.active.text = text
                area.spaces.active.top = max(0, line - _ABOVE)
                area.tag_redraw()


class FACESCRIPT_OT_script_to_text(bpy.types.Operator):
    """Move the script into a text of the Text Editor, where it can have many lines"""

    bl_idname = "facescript.script_to_text"
    bl_label = "Move to Text Editor"
    bl_options = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[Any]:
        try:
            target, face = faces.active_face(context)
            if face.text:
                raise FacescriptError(
                    "has_text", f"The script is in the text {face.text.name!r} already.", "Edit it in the Text Editor."
                )
            face.check_editable()
        except FacescriptError as error:
            session().fail(error)
            self.report({"ERROR"}, rpt_(str(error)))
            return {"CANCELLED"}
        text = bpy.data.texts.new(f"{target.name} Script")
        text.write(face.script)
        face.text, face.script = text, ""
        put_cursor(text, 1)
        return {"FINISHED"}


class FACESCRIPT_OT_check_script(bpy.types.Operator):
    """Read the script without performing it; what is wrong is said, and the Text Editor's cursor put on its line"""

    bl_idname = "facescript.check_script"
    bl_label = "Check Script"
    bl_options = {"REGISTER"}

    def execute(self, context: bpy.types.Context) -> set[Any]:
        try:
            face = faces.active_face(context)[1]
        except FacescriptError as error:
            return self._failed(error)
        try:
            refresh(context, face)
        except FacescriptError as error:
            if face.text and error.line:
                put_cursor(face.text, error.line)
            return self._failed(error)
        rows = table_of(context).rows
        session().error = None
        last = rows[-1]
        note = f"The script reads well: {len(rows)} lines, {last.time + last.seconds:.1f} seconds."
        session().note = note
        self.report({"INFO"}, rpt_(note))
        return {"FINISHED"}

    def _failed(self, error: FacescriptError) -> set[Any]:
        session().fail(error)
        self.report({"ERROR"}, rpt_(str(error)))
        return {"CANCELLED"}


class FACESCRIPT_OT_regenerate_line(Asking, bpy.types.Operator):
    """Generate one line of the script anew, or that line and all after it; other beats and locked ones stay"""

    bl_idname = "facescript.regenerate_line"
    bl_label = "Regenerate Line"

    line: IntProperty(
        name="Line",
        description="The line's number in the script; 0 is the selected one of the table",
        default=0,
        min=0,
        translation_context=CONTEXT,
    )
    onward: BoolProperty(name="And All After It", description="From this line on", options={"SKIP_SAVE"})

    def ask(self, desk: Desk, context: bpy.types.Context) -> None:
        brief = desk.face.brief()
        table = table_of(context)
        number = self.line
        if not number:
            refresh(context, desk.face)
            number = table.rows[max(0, table.active)].number
        chosen = part(brief.script, number, alone=not self.onward)
        start = desk.face.start_frame

        def finish(now: Desk, made: tuple[Keyframe, ...]) -> Steps[Any]:
            # The script may have been edited since the beats were made; they are of this one from now on.
            now.brief = replace(brief, beats=())
            return now.write_steps(_instead(now, made, chosen, start))

        self.send(desk, context, "generate", replace(brief, script=chosen.script), finish)


def _instead(desk: Desk, made: tuple[Keyframe, ...], chosen: Part, start: int) -> beat_list.Beats:
    """The beats of a face with those of a part of its script made anew."""
    moved = tuple(replace(k, time=chosen.time(k.time)) for k in made)
    frames = timeline.beat_frames(Performance(desk.brief, moved), desk.fps, start)
    new = beat_list.from_performance(Performance(desk.brief, moved), [int(frame) for frame in frames])
    low = start + round(chosen.outer[0] * desk.fps)
    high = None if chosen.end is None else start + round(chosen.end * desk.fps)
    kept = [b for b in desk.beats if b.locked or b.frame < low or (high is not None and b.frame >= high)]
    return merged(kept, new, round(SHORTEST / 2 * desk.fps))


_GROUPS = (FACESCRIPT_PG_line, FACESCRIPT_PG_lines)

CLASSES = (FACESCRIPT_OT_script_to_text, FACESCRIPT_OT_check_script, FACESCRIPT_OT_regenerate_line)


@persistent  # type: ignore[untyped-decorator]
def _forget(*_: Any) -> None:
    _memory.key = ()


def register() -> None:
    """Hang the table on the window manager."""
    for cls in _GROUPS:
        bpy.utils.register_class(cls)
    owner: Any = bpy.types.WindowManager
    owner.facescript_lines = PointerProperty(type=FACESCRIPT_PG_lines)  # type: ignore[func-returns-value]
    bpy.app.handlers.load_post.append(_forget)


def unregister() -> None:
    """Undo `register`."""
    _forget()
    bpy.app.handlers.load_post.remove(_forget)
    if bpy.app.timers.is_registered(_look):
        bpy.app.timers.unregister(_look)
    owner: Any = bpy.types.WindowManager
    del owner.facescript_lines
    for cls in reversed(_GROUPS):
        bpy.utils.unregister_class(cls)
