# SPDX-License-Identifier: GPL-3.0-or-later
"""A performance on Blender's timeline: written as ordinary keyframes, read back, and removed."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

from ..performance import CHANNELS, COUNT, INDEX, Performance, Pose
from . import blender_api as api
from . import eyes, keys, life_records, planning, reading, records, renames
from .blender_api import Place
from .carry import Carry
from .curves import Array, ChannelCurves, beat_frames, curve_steps, frames_at
from .journal import Journal, get_property
from .planning import Edit, Plan, Planner, check_action, enum_codes, without_ours
from .reading import Reading
from .records import Address, SlotRecord
from .steps import Steps, finish
from .styles import DEFAULT, Style
from .styles import get as get_style
from .targets import Target
from .tracks import NumberPlace, Track, datablocks, number_places, properties, read_angles, track_steps

__all__ = [
    "WriteReport",
    "beat_frames",
    "check",
    "clear",
    "hand_edited_frames",
    "read_pose",
    "sample_poses",
    "scene_fps",
    "standing_pose",
    "write",
    "write_steps",
]

_ALL = tuple(channel.name for channel in CHANNELS)


@dataclass(frozen=True)
class WriteReport:
    """What was written: the range of frames, the beats' frames, the channels that move and are shown, those that
    move and are not (`left_out`), counts of F-curves and of keys, the actions' names, and sentences for the user."""

    start: int
    end: int
    beats: tuple[int, ...]
    channels: tuple[str, ...]
    left_out: tuple[str, ...]
    curves: int
    keys: int
    actions: tuple[str, ...]
    clipped: tuple[str, ...]
    warnings: tuple[str, ...]


def scene_fps(scene: Any = None) -> float:
    """Frames per second of a scene, the current one if None: 23.976 and the like are a rate over a base."""
    chosen: Any = scene or bpy.context.scene
    render = chosen.render
    return float(render.fps / render.fps_base)


def check(
    target: Target,
    *,
    start_frame: int = 1,
    seconds: float = 0.0,
    fps: float | None = None,
    channels: Collection[str] = _ALL,
) -> None:
    """Raise the FacescriptError that `write` would, as far as it is known before there is a performance.

    `seconds` is the last beat's time, or a guess; `channels` are those that may move. `target_gone`, `bad_fps`,
    `bad_frame`, `linked_action`, `tweak_mode`, or `nothing_to_write` if every channel is locked. Changes nothing.
    """
    frames_at(np.array([seconds]), scene_fps() if fps is None else fps, start_frame)
    wanted = properties(target, channels)
    planning.check(datablocks(target), wanted)


def write(
    target: Target,
    performance: Performance,
    *,
    start_frame: int = 1,
    style: str | Style = DEFAULT,
    fps: float | None = None,
    keep_edits: bool = False,
    append: bool = False,
    carry: Carry | None = None,
) -> WriteReport:
    """Write a performance's keyframes; time 0 is at `start_frame`, `fps` is the scene's if None.

    Replaced are keys inside the performance's range on the channels that it moves, and keys of the last
    performance that are still as they were written. Every other key stays, bit for bit. With `keep_edits`, keys
    inside the range that were changed or added by hand since the last performance stay too, and nothing is
    written on their frames; with `append`, the last performance stays outside the new one's range. With `carry`,
    every key of the animator's stays wherever it is, and goes with its beat.
    All or nothing: an error leaves everything as it was. Raises FacescriptError (`target_gone`, `linked_action`,
    `tweak_mode`, `bad_fps`, `bad_frame`, `unknown_style`, `nothing_to_write`); `check` knows most of them before.
    """
    return finish(
        write_steps(
            target,
            performance,
            start_frame=start_frame,
            style=style,
            fps=fps,
            keep_edits=keep_edits,
            append=append,
            carry=carry,
        )
    )


def write_steps(
    target: Target,
    performance: Performance,
    *,
    start_frame: int = 1,
    style: str | Style = DEFAULT,
    fps: float | None = None,
    keep_edits: bool = False,
    append: bool = False,
    carry: Carry | None = None,
) -> Steps[WriteReport]:
    """`write`, in small steps."""
    chosen = get_style(style) if isinstance(style, str) else style
    rate = scene_fps() if fps is None else fps
    performance = eyes.with_gaze(performance)
    yield
    curves = yield from curve_steps(performance, rate, start_frame, chosen)
    laid = yield from track_steps(target, curves)
    blocks = datablocks(target)
    planning.check(blocks, [(t.datablock, (t.path, t.index)) for t in laid.tracks])
    warnings: list[str] = []
    plans = []
    before: tuple[Track, ...] = ()
    if carry is not None and carry.reshaped:
        before = yield from _tracks_before(target, carry, chosen)
    for block in _one_a_place(blocks, warnings):
        old = {(t.path, t.index): t for t in before if t.datablock == block}
        planner = Planner(block, curves, keep_edits, append, carry, old)
        plan = yield from planner.plan([t for t in laid.tracks if t.datablock == block], warnings)
        plans.append(plan)
    warnings += _standing(target, curves)
    written = [p.curves[e.address] for p in plans for e in p.edits if e.written]
    titles = {p.datablock: _title(performance, p.datablock) for p in plans}
    names = yield from _carry_out(plans, titles, append)
    shown = [c for c in curves.curves if c in target.covered]
    return WriteReport(
        start=curves.start,
        end=curves.end,
        beats=tuple(int(f) for f in curves.beats),
        channels=tuple(shown),
        left_out=tuple(c for c in curves.curves if c in target.missing),
        curves=len(written),
        keys=sum(e.written for p in plans for e in p.edits),
        actions=tuple(names),
        clipped=laid.clipped,
        warnings=tuple(warnings),
    )


def _tracks_before(target: Target, carry: Carry, style: Style) -> Steps[tuple[Track, ...]]:
    """The tracks of the performance that was there before, for its values at its beats."""
    performance = eyes.with_gaze(carry.before)
    fps = (carry.frames[-1] - carry.frames[0]) / performance.times[-1] if len(carry.frames) > 1 else 24.0
    curves = yield from curve_steps(performance, float(fps), int(carry.frames[0]), style)
    laid = yield from track_steps(target, curves)
    return laid.tracks


def _title(performance: Performance, datablock: Any) -> str:
    """An action's name. Blender's names have 63 bytes before 5.0."""
    brief = performance.brief
    words = " ".join((brief.id or brief.script).split()) or "Performance"
    owner = f"{datablock.user.name[:16]} shapes" if datablock.id_type == "KEY" else datablock.name
    return f"{words[:32]} ({owner[:24]})"


def _standing(target: Target, curves: ChannelCurves) -> list[str]:
    """Numbers that the performance leaves at rest and that stand at something else, with nothing to animate them."""
    found = []
    present: dict[int, dict[Address, Any]] = {}
    for place in number_places(target):
        number, block = place.number, place.datablock
        if not curves.curves.keys().isdisjoint(number.channels):
            continue
        if block.as_pointer() not in present:
            present[block.as_pointer()] = api.fcurve_table(api.find_place(block))
        value = get_property(block, *place.address)
        least = 1e-3 * max(abs(gain) for _, gain in number.parts)
        if abs(value - number.offset) > least and place.address not in present[block.as_pointer()]:
            found.append(f"{number.object.name}: {number.name} stands at {value:.2f}, which is seen throughout.")
    return found


def _one_a_place(blocks: list[Any], warnings: list[str]) -> list[Any]:
    """The datablocks without those that share their action (and slot) with one before, and a warning for actions
    that are used elsewhere."""
    kept: dict[Any, Any] = {}
    users: dict[Any, int] = {}
    for block in blocks:
        place = api.find_place(block)
        kept.setdefault(api.animation_of(block), block)
        if place is not None:
            users[place.action] = users.get(place.action, 0) + 1
    for action, count in users.items():
        if action.users - int(action.use_fake_user) > count:
            warnings.append(f"The action {action.name!r} is used elsewhere too, where its new keys are seen as well.")
    return list(kept.values())


def _carry_out(plans: list[Plan], titles: dict[Any, str], append: bool) -> Steps[list[str]]:
    """Carry plans out, all or none; the names of the actions that hold keys of ours then."""
    old = [records.load(api.find_place(plan.datablock)) for plan in plans]
    places = {}
    with Journal() as journal:
        for plan, record in zip(plans, old, strict=True):
            if plan.edits:
                place = yield from _apply(plan, record, titles.get(plan.datablock, ""), append, journal)
                if plan.curves:
                    places[place.action.as_pointer()] = place.action
    names = [str(action.name) for action in places.values()]
    for plan, record in zip(plans, old, strict=True):
        if plan.edits and not plan.curves:
            drop_empty(plan.datablock, record)
    return names


def _apply(plan: Plan, old: SlotRecord, title: str, append: bool, journal: Journal) -> Steps[Place]:
    place, new_action, new_slot = journal.make_place(plan.datablock, title)
    for edit in plan.edits:
        if edit.keys is not None:
            journal.write_keys(place, *edit.address, edit.group, edit.keys)
            yield
    ours = new_action or place.action.name == old.made_action
    if plan.curves and ours and not new_action and not append and title != old.made_action:
        # It holds another performance now. A name that the animator gave it stays.
        journal.rename(place.action, title)
    made = place.action.name if ours else old.made_action
    journal.save_record(place, SlotRecord(made, new_slot or old.made_slot, plan.curves))
    for edit in plan.edits:
        if edit.keys is None:
            _remove(plan.datablock, place, edit, journal)
            yield
    plan.datablock.update_tag()
    return place


def _remove(datablock: Any, place: Place, edit: Edit, journal: Journal) -> None:
    journal.remove_fcurve(place, *edit.address)
    try:
        journal.set_property(datablock, *edit.address, edit.before)
    except (ValueError, AttributeError, KeyError):
        # The key or bone itself is gone: there is nothing to set back.
        return


def clear(target: Target) -> int:
    """Remove the keys that were written and are as they were written; the number of keys removed.

    F-curves, slots and actions made for them go too, if nothing else is left in them, and properties get the
    values that they had before. Keys of shape keys and bones that were renamed since are found. All or nothing.
    Raises FacescriptError (`target_gone`, `linked_action`, `tweak_mode`).
    """
    codes = enum_codes()
    removed = 0
    plans = []
    for block in _one_a_place(datablocks(target), []):
        place = api.find_place(block)
        present = api.fcurve_table(place)
        edits = []
        rows = {}
        known = renames.load(block).curves
        check_action(block, bool(known))
        for address, old in known.items():
            curve = present.get(address)
            if curve is not None and api.locked(curve):
                rows[address] = old
            elif curve is not None:
                removed += int(keys.ours(api.read_keys(curve), old, codes).sum())
                edits.append(without_ours(address, curve, old, codes))
        plans.append(Plan(block, tuple(edits), rows))
    finish(_carry_out(plans, {}, append=False))
    return removed


def drop_empty(datablock: Any, record: SlotRecord) -> None:
    """Remove a slot or an action that was made for the keys and has nothing in it any more."""
    place = api.find_place(datablock)
    if place is None or next(api.fcurves(place), None) is not None:
        return
    action = place.action
    if record.made_slot and not record.made_action:
        api.remove_slot(place)
    elif record.made_action and api.keyed_by_others(place):
        # The animator keyed something else in it.
        datablock.animation_data.action = None
        api.remove_slot(place)
    elif record.made_action and action.users - int(action.use_fake_user) <= 1:
        datablock.animation_data.action = None
        bpy.data.actions.remove(action)


def read_pose(target: Target, frame: float) -> Pose:
    """The pose that the target's F-curves (else its properties) show at a frame, clipped to the channels' ranges.

    The first object that shows a channel counts; channels that nothing shows are 0. Raises FacescriptError
    (`target_gone`).
    """
    return Pose(sample_poses(target, [frame])[0])


def sample_poses(target: Target, frames: npt.ArrayLike, meant: Array | None = None) -> Array:
    """`read_pose` at many `frames` (N,), whole or not: shape (N, 61), in the order of `CHANNELS`.

    Where several poses would look alike on the rig, the one next to rest is taken. With `meant` (N, 61), the one next
    to that; and numbers without F-curves, which may stand anywhere, are taken to show it. Raises FacescriptError
    (`target_gone`).
    """
    at: list[float] = np.atleast_1d(np.asarray(frames, dtype=np.float64)).tolist()
    return _sample(target, at, meant)


def standing_pose(target: Target) -> Pose:
    """The pose that the target's properties stand at now, keyed or not, without what the life layer adds.

    Raises FacescriptError (`target_gone`).
    """
    return Pose(_sample(target, None)[0])


def _sample(target: Target, frames: Sequence[float] | None, meant: Array | None = None) -> Array:
    """Poses (N, 61) of F-curves at frames (N,), or for None (1, 61) of the properties as they stand."""
    near = np.zeros((1 if frames is None else len(frames), COUNT)) if meant is None else meant
    readings = []
    present: dict[int, dict[Address, Any]] = {}
    for place in number_places(target):
        number, block = place.number, place.datablock
        if block.as_pointer() not in present:
            present[block.as_pointer()] = api.fcurve_table(api.find_place(block))
        curve = present[block.as_pointer()].get(place.address)
        if curve is None and meant is not None:
            values = sum(gain * meant[:, INDEX[channel]] for channel, gain in number.parts)
        else:
            values = _shown(place, curve, frames) - number.offset
        readings.append(Reading(number.object, number.parts, np.asarray(values)))
    shared = {turn.above for turn in target.turns}
    # The lowest bone shows where all that share a turn have turned.
    for turn in (turn for turn in target.turns if turn not in shared):
        angles = read_angles(turn, frames)
        for axis, gains in enumerate(turn.gains):
            parts = tuple((c, float(g)) for c, g in zip(turn.channels, gains, strict=True) if g != 0.0)
            if parts:
                readings.append(Reading(turn.object, parts, angles[:, axis]))
    return eyes.fill(reading.poses(readings, near))


def _shown(place: NumberPlace, curve: Any, frames: Sequence[float] | None) -> Array:
    """What a number's F-curve (else the property) shows at frames (N,): (N,), or (1,) for None, as it stands."""
    block, path = place.datablock, place.path
    if frames is None:
        one = hasattr(block.path_resolve(path), "__len__")
        return np.array(life_records.without(block, path, [place.number.index] if one else None))
    if curve is None:
        return np.full(len(frames), get_property(block, *place.address))
    return np.array([curve.evaluate(frame) for frame in frames])


def hand_edited_frames(target: Target) -> tuple[int, ...]:
    """Frames at which keys that were written have been changed, moved, added or removed by hand, in order."""
    codes = enum_codes()
    frames: set[int] = set()
    for block in datablocks(target):
        place = api.find_place(block)
        present = api.fcurve_table(place)
        for address, old in renames.load(block).curves.items():
            curve = present.get(address)
            if curve is None or not old.frames.size:
                frames.update(int(f) for f in old.frames)
                continue
            have = api.read_keys(curve)
            mine = keys.ours(have, old, codes)
            between = keys.inside(have, old.frames[0], old.frames[-1])
            frames.update(round(float(x)) for x in have["co"][between & ~mine, 0])
            left = {round(float(x)) for x in have["co"][mine, 0]}
            frames.update(int(f) for f in old.frames if int(f) not in left)
    return tuple(sorted(frames))
