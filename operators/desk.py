# SPDX-License-Identifier: GPL-3.0-or-later
"""The one way by which beats are edited: read the list, follow what was done by hand, write keys, list and markers.

Every edit takes the beats that are on the timeline, makes others of them (`performance.beat_list`), and has them
written: keys that the animator changed stay, or go with their beat (`rig_mapping.carry`). All or nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import bpy
import numpy as np

from ..performance import HEAD_CHANNELS, Brief, FacescriptError, Performance, Pose, beat_list, jsonl, shaping
from ..performance.beat_list import Beats, ShapedBeat
from ..rig_mapping import curves, hand_edits, life_layer, timeline
from ..rig_mapping.carry import Carry, anchors
from ..rig_mapping.records import Address
from ..rig_mapping.references import editable
from ..rig_mapping.steps import Steps, finish, pause, steadily
from ..rig_mapping.styles import Style
from ..rig_mapping.targets import Target
from . import faces, mapping_table, markers, remapping
from .language import rpt_
from .motion import chosen_style
from .session import session

# Rows of the list that are looked at in one step.
_ROWS = 25
_HEAD_OFF = dict.fromkeys(HEAD_CHANNELS, 0.0)


@lru_cache(maxsize=4096)
def _pose(text: str) -> Pose:
    """A stored pose. Raises FacescriptError if the file was tampered with."""
    return jsonl.keyframe_from_dict({"t": 0.0, "text": "", "pose": jsonl.parse_object(text or "{}")}).pose


def beats_of(face: Any) -> Beats:
    """A face's beats as they were written to the timeline. Raises FacescriptError if the file was tampered with."""
    return tuple(
        ShapedBeat(
            frame=row.written_frame,
            text=row.text,
            pose=_pose(row.pose),
            strength=min(shaping.STRONGEST, row.written_strength),
            regions=_strengths(row.written_regions),
            locked=row.locked or row.by_hand,
            by_hand=row.by_hand,
            posed=row.posed,
            key=row.key,
        )
        for row in face.beats
    )


def read_steps(face: Any) -> Steps[None]:
    """Read a face's stored poses in small steps, so that `beats_of` finds them read."""
    for text in [row.pose for row in face.beats]:
        _pose(text)
        yield from pause()


def _strengths(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(min(shaping.STRONGEST, float(value)) for value in values)


def _typed(face: Any) -> dict[int, dict[str, Any]]:
    """What can be typed into the rows of the list, by the beats' numbers."""
    fields = ("text", "frame", "strength", "locked")
    return {row.key: {f: getattr(row, f) for f in fields} | {"regions": tuple(row.regions)} for row in face.beats}


def _keep_beats(owner: Any, beats: Beats, fps: float, read: Mapping[int, Mapping[str, Any]]) -> Steps[None]:
    """Make the list of an object's face say what `beats` say. Rows keep their markers by the beats' numbers, and what
    was typed into them since the list was `read`: it is followed at the next look."""
    names = {row.key: row.marker for row in owner.facescript.beats}
    typed = {
        key: {name: value for name, value in row.items() if value != read[key][name]}
        for key, row in _typed(owner.facescript).items()
        if key in read
    }
    for start in range(0, max(1, len(beats)), _ROWS):
        # Found anew in each step: rows that are added or removed move the others.
        rows = owner.facescript.beats
        while len(rows) > len(beats):
            rows.remove(len(rows) - 1)
        while len(rows) < len(beats):
            rows.add()
        with session().quiet():
            for row, beat in zip(rows[start : start + _ROWS], beats[start : start + _ROWS], strict=True):
                _keep(row, beat, names.get(beat.key, ""), (beat.frame - beats[0].frame) / fps)
                _set(row, **typed.get(beat.key, {}))
        yield from pause()
    face = owner.facescript
    if face.active_beat >= len(beats):
        with session().quiet():
            face.active_beat = max(0, len(beats) - 1)


def _keep(row: Any, beat: ShapedBeat, marker: str, time: float) -> None:
    _set(row, key=beat.key, frame=beat.frame, written_frame=beat.frame, text=beat.text, posed=beat.posed)
    _set(row, time=time, marker=marker, locked=beat.locked, by_hand=beat.by_hand)
    _set(row, strength=beat.strength, written_strength=beat.strength)
    # Most beats are as they were read.
    if not row.pose or _pose(row.pose) is not beat.pose:
        row.pose = json.dumps(beat.pose.active(1e-4))
    _set(row, regions=beat.regions, written_regions=beat.regions)


def _set(row: Any, **values: Any) -> None:
    for name, value in values.items():
        now = getattr(row, name)
        if (tuple(now) if isinstance(value, tuple) else now) != value:
            setattr(row, name, value)


@dataclass
class Desk:
    """One face's performance, open for an edit; `beats` are up to date with what was done by hand, and `read` is what
    stood in the rows of the list then.

    `owner` (the object with the face's settings) and `scene` are IDs, which say so (ReferenceError) when they are gone.
    What is in them is looked up each time: it may move or go between two steps.
    """

    target: Target
    owner: Any
    scene: Any
    fps: float
    beats: Beats
    brief: Brief
    dragged: Mapping[tuple[float, float], float] = field(default_factory=dict)
    read: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def of(cls, target: Target, face: Any, scene: Any) -> Desk:
        """A face as it was last written. Raises FacescriptError if the file was tampered with."""
        brief = jsonl.brief_from_dict(jsonl.parse_object(face.performed or "{}"))
        fps = timeline.scene_fps(scene)
        return cls(target, face.id_data, scene, fps, beats_of(face), brief, read=_typed(face))

    @property
    def face(self) -> Any:
        """The face's settings, not to be held across a step."""
        return self.owner.facescript

    @property
    def index(self) -> int:
        """The selected beat. Raises FacescriptError (`no_keyframes`) if there are no beats."""
        if not self.beats:
            raise FacescriptError("no_keyframes", "This face has no performance yet.", "Press Generate first.")
        return min(max(self.face.active_beat, 0), len(self.beats) - 1)

    @property
    def style(self) -> Style:
        """How the face moves."""
        return chosen_style(self.face)

    def shown(self, beats: Beats) -> Performance:
        """What beats show on this face."""
        if not self.face.move_head:
            beats = tuple(replace(b, pose=shaping.with_values(b.pose, _HEAD_OFF)) for b in beats)
        return beat_list.to_performance(beats, self.brief, self.fps)

    def write(self, beats: Beats, *, dropped: Collection[int] = (), select: int | None = None) -> timeline.WriteReport:
        """Put other beats on the timeline; keys by hand of the beats numbered `dropped` go. `select` is the number of
        the beat to select. All or nothing; raises FacescriptError as `timeline.write` does."""
        return finish(self.write_steps(beats, dropped=dropped, select=select))

    def write_steps(
        self,
        beats: Beats,
        *,
        dropped: Collection[int] = (),
        others: Collection[tuple[int, Address]] = (),
        select: int | None = None,
    ) -> Steps[timeline.WriteReport]:
        """`write`, in small steps. Of F-curves among `others` (`Carry.others`) nothing goes."""
        self.face.check_editable()
        # A new beat is none of those before it, whose keys by hand would go with it.
        beats = beat_list.numbered(beats, {beat.key for beat in self.beats})
        shown = yield from self.shown_steps(beats)
        carry = yield from self._carry(beats, frozenset(dropped), frozenset(others))
        style, fps, start = self.style, self.fps, beats[0].frame
        report = yield from steadily(
            lambda: timeline.write_steps(self.target, shown, start_frame=start, style=style, fps=fps, carry=carry)
        )
        if not self.beats:
            mapping_table.mark(self.face, self.target.mapping)
        yield from self.keep_steps(beats, select)
        warnings = yield from steadily(lambda: life_layer.follow(self.target))
        self.note = " ".join((*report.warnings, *warnings))
        return report

    def keep(self, beats: Beats, select: int | None = None) -> None:
        """Make list and markers say what the timeline shows."""
        finish(self.keep_steps(beats, select))

    def keep_steps(self, beats: Beats, select: int | None = None) -> Steps[None]:
        """`keep`, in small steps."""
        gone = {row.key for row in self.face.beats} - {beat.key for beat in beats}
        yield from markers.remove(self.scene, self.face.beats, gone)
        yield from _keep_beats(self.owner, beats, self.fps, self.read)
        self.face.performed = json.dumps(jsonl.brief_to_dict(self.brief), ensure_ascii=False)
        yield from self._lead()
        if self.face.show_markers:
            yield from markers.place(self.scene, lambda: self.face.beats)
        markers.remember(self.scene)
        if select is not None:
            numbers = [beat.key for beat in beats]
            if select in numbers:
                with session().quiet():
                    self.face.active_beat = numbers.index(select)
        self.beats, self.dragged, self.read = beats, {}, _typed(self.face)

    def _lead(self) -> Steps[None]:
        """Have this list be the one of its face: what other meshes hold, as a duplicate does, was written over."""
        others = faces.others_of(self.target)
        mapping_table.keep_before(self.owner, others)
        mine = {row.marker for row in self.face.beats}
        for other in others:
            rows = other.facescript.beats
            if len(rows) and editable(other):
                yield from markers.remove(self.scene, rows, {row.key for row in rows if row.marker not in mine})
                other.facescript.beats.clear()

    def shown_steps(self, beats: Beats) -> Steps[Performance]:
        """`shown`, in small steps."""
        for number, beat in enumerate(beats):
            _ = beat.shown  # kept with the beat
            if number % _ROWS == 0:
                yield from pause()
        shown = self.shown(beats)
        yield from pause()
        return shown

    def _carry(
        self, after: Beats, dropped: frozenset[int], others: frozenset[tuple[int, Address]]
    ) -> Steps[Carry | None]:
        before = self.beats
        if not before:
            return None
        shown = yield from self.shown_steps(before)
        frames = np.array([b.frame for b in before], dtype=np.int64)
        there = {b.key: b for b in after}
        same = [(b, there[b.key]) for b in before if b.key in there]
        now = [there[b.key].frame if b.key in there else -1 for b in before]
        reshaped = [i for i, b in enumerate(before) if b.key in there and there[b.key].shown != b.shown]
        return Carry(
            before=shown,
            frames=frames,
            anchors=anchors([b.frame for b, _ in same], [b.frame for _, b in same]),
            spans=curves.beat_spans(frames, self.style, self.fps),
            now=np.array(now, dtype=np.int64),
            reshaped=frozenset(reshaped),
            dropped=frozenset(i for i, b in enumerate(before) if b.key in dropped),
            others=others,
            dragged=self.dragged,
        )


def open_desk(context: bpy.types.Context) -> Desk:
    """The active object's face, ready for an edit. Raises FacescriptError."""
    target, face = faces.active_face(context)
    return opened(target, face, context.scene)


def opened(target: Target, face: Any, scene: Any) -> Desk:
    """A face, ready for an edit: what was done by hand since is taken in first. Raises FacescriptError."""
    session().settle()
    desk = Desk.of(target, face, scene)
    if desk.beats:
        follow(desk)
    return desk


def of_object(obj: Any, scene: Any) -> Desk:
    """The face whose settings are kept on `obj`, ready for an edit. Raises FacescriptError."""
    target = faces.target_of(obj)
    return opened(target, faces.settings_of(target), scene)


def follow(desk: Desk) -> bool:
    """Have list, markers and keys agree after the animator changed some of them. Whether there was anything to do.

    A beat is where its number in the list, its marker or most of its keys were put, and the rest of it goes along. A
    pose that was changed by hand becomes the beat's own, which is locked then; one whose lock was opened is
    Facescript's again, and has its keys written anew. Strengths that were changed in the list are written.
    """
    return finish(follow_steps(desk))


def follow_steps(desk: Desk) -> Steps[bool]:
    """`follow`, in small steps."""
    if mapping_table.remapped(desk.face):
        return (yield from remapping.remap_steps(desk, _by_hand_steps))
    return (yield from _by_hand_steps(desk))


def _by_hand_steps(desk: Desk) -> Steps[bool]:
    beats = desk.beats
    frames = np.array([b.frame for b in beats], dtype=np.int64)
    # Changed frame rates leave beats on their frames.
    spans = curves.beat_spans(frames, desk.style, desk.fps)
    shown = yield from desk.shown_steps(beats)
    edits = yield from steadily(lambda: hand_edits.find_steps(desk.target, shown, frames, spans))
    face = desk.face
    marked = markers.find(desk.scene, face.beats) if face.show_markers else {}
    released = {row.key for row in face.beats if row.by_hand and not row.locked}
    dragged = {beats[i].key: round(beats[i].frame + distance) for i, distance in edits.moves.items()}
    poses = {beats[i].key: values for i, values in edits.poses.items()}
    named = {k: m.renamed for k, m in marked.items() if m.renamed}
    before = tuple(_taken(beat, desk, poses.get(beat.key)) for beat in beats)
    before = tuple(replace(b, text=named[b.key]) if b.key in named else b for b in before)
    pulled, shaped = yield from _asked(desk, marked, dragged, poses)
    if not (dragged or poses or named or pulled or shaped or released):
        markers.remember(desk.scene)
        return False
    desk.beats = beat_list.moved(before, dragged)
    desk.dragged = hand_edits.drags(edits.moves, spans)
    _adopt(desk.face, marked)
    if not (dragged or pulled or shaped or released):
        # Only the list has to learn of it: the keys are as the animator wants them.
        yield from desk.keep_steps(desk.beats)
        return True
    after = tuple(replace(b, **shaped[b.key]) if b.key in shaped else b for b in desk.beats)
    after = tuple(replace(b, by_hand=False, locked=False) if b.key in released else b for b in after)
    yield from desk.write_steps(beat_list.moved(after, pulled), dropped=released)
    return True


def _asked(
    desk: Desk,
    marked: Mapping[int, markers.Found],
    dragged: Mapping[int, int],
    poses: Mapping[int, Mapping[str, float]],
) -> Steps[tuple[dict[int, int], dict[int, dict[str, Any]]]]:
    """What list and markers ask for: beats' frames, and beats' strengths, by the beats' numbers."""
    pulled: dict[int, int] = {}
    shaped: dict[int, dict[str, Any]] = {}
    for start in range(0, len(desk.beats), _ROWS):
        rows = desk.face.beats
        for place in range(start, min(start + _ROWS, len(rows))):
            row = rows[place]
            if row.frame != row.written_frame:
                pulled[row.key] = _within(rows, place)
            elif row.key in marked and row.key not in dragged and marked[row.key].frame != row.written_frame:
                pulled[row.key] = marked[row.key].frame
            wanted = {"strength": min(shaping.STRONGEST, row.strength), "regions": _strengths(row.regions)}
            written = {"strength": row.written_strength, "regions": _strengths(row.written_regions)}
            # What was changed by hand has taken the strengths into itself.
            if wanted != written and row.key not in poses:
                shaped[row.key] = wanted
        yield from pause()
    return pulled, shaped


def _within(rows: Any, place: int) -> int:
    """The frame that a row asks for, between its neighbours: the list's order does not change under the mouse."""
    frame = int(rows[place].frame)
    if place + 1 < len(rows):
        frame = min(frame, rows[place + 1].written_frame - 1)
    return max(frame, rows[place - 1].written_frame + 1) if place else frame


def _taken(beat: ShapedBeat, desk: Desk, values: Mapping[str, float] | None) -> ShapedBeat:
    """A beat with what the animator made of its pose, if anything."""
    if values is None:
        return beat
    if not desk.face.move_head:
        values = {name: value for name, value in values.items() if name not in HEAD_CHANNELS}
    return beat_list.set_pose(beat, shaping.with_values(beat.shown, values), by_hand=True, locked=True)


def _adopt(face: Any, marked: Mapping[int, markers.Found]) -> None:
    """Take over the names that markers were given."""
    with session().quiet():
        for row in face.beats:
            if row.key in marked and marked[row.key].renamed:
                row.marker = marked[row.key].renamed


def edit(
    operator: Any, context: bpy.types.Context, change: Callable[[Desk], str | None], only_with_beats: bool = True
) -> set[Any]:
    """Carry an edit of the active face out for an operator: errors are shown, and nothing is changed then."""
    try:
        desk = open_desk(context)
        if only_with_beats:
            _ = desk.index
        note = change(desk)
    except FacescriptError as error:
        session().fail(error)
        operator.report({"ERROR"}, rpt_(str(error)))
        return {"CANCELLED"}
    session().error = None
    session().note = " ".join(part for part in (note, desk.note) if part)
    return {"FINISHED"}


def listed(row: Any, _: bpy.types.Context) -> None:
    """Write what was changed in the panel's list of beats; shows what keeps it from that. For update callbacks."""
    if not session().quieted:
        rewrite(row.id_data)


def restyled(owner: Any, _: bpy.types.Context) -> None:
    """Write the beats anew after a setting of how the face moves was changed. For update callbacks."""
    if owner.id_data.facescript.beats and not session().quieted:
        rewrite(owner.id_data, everything=True)


def rewrite(obj: Any, everything: bool = False) -> None:
    """Have the timeline follow a face's list, or also (`everything`) a setting of how the face moves; what is wrong
    with it is shown."""
    try:
        bring_in_step(obj, everything)
    except FacescriptError as error:
        session().fail(error)


def bring_in_step(obj: Any, everything: bool = False) -> None:
    """`rewrite`, for a face that nobody is at. Raises FacescriptError."""
    # Its markers are in its own scene, which need not be the one that is shown.
    scene = next((s for s in (bpy.context.scene, *obj.users_scene) if s in obj.users_scene), None)
    if scene is None:
        return
    desk = of_object(obj, scene)
    if everything and desk.beats:
        desk.write(desk.beats)


def merged(locked: Iterable[ShapedBeat], made: Beats, distance: int) -> Beats:
    """New beats around those that are locked: a new one less than `distance` frames from a locked one gives way."""
    kept = tuple(locked)
    free = [b for b in made if all(abs(b.frame - other.frame) >= max(1, distance) for other in kept)]
    return tuple(sorted((*kept, *free), key=lambda b: b.frame))
