# SPDX-License-Identifier: GPL-3.0-or-later
"""The life layer on a rig: an NLA track of its own, which the performance is combined with and can do without.

On each datablock of the face, one track with one strip in the blending mode Combine lies below the active action, whose
own mode becomes Combine as well. What that mode adds is a value's difference from its property's default, or, for
quaternions, a rotation in front of the others (`nlaeval_blend_strips` and on in Blender's anim_sys.cc).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, Literal

import bpy
import numpy as np
from mathutils import Matrix

from ..performance import FacescriptError
from . import blender_api as api
from . import keys, life, life_records, planning, profiles, timeline
from .controls import Turn, from_matrix, to_matrix
from .curves import Array, Curve, evaluate
from .journal import get_property, set_property
from .life import FULL, Amounts, smooth_curve
from .life_records import NO_TAKE, LifeRecord, Take, find_track
from .mapping import YAW
from .records import Address
from .references import default_of
from .steps import Steps, finish
from .targets import Target
from .tracks import NumberPlace, datablocks, limits, number_places, outer, own_turns, rotation_place

NAME = "Facescript Life"

# What Combine multiplies rather than adds (`nlaevalchan_detect_mix_mode`); nothing of life is a size.
_SCALED = ("scale",)

# Frames that are sampled in one step.
_CHUNK = 40

State = Literal["none", "on", "muted", "outdated"]


@dataclass(frozen=True)
class LifeReport:
    """What was added: the range of frames, the channels that move, the number of blinks, of F-curves and of keys."""

    start: int
    end: int
    channels: tuple[str, ...]
    blinks: int
    curves: int
    keys: int


@dataclass(frozen=True)
class _Layout:
    """The layer on one datablock: group and curve by address, and the values that only the layer animates had."""

    datablock: Any
    curves: Mapping[Address, tuple[str, Curve]]
    before: Mapping[Address, float]


def add(
    target: Target,
    *,
    start: int,
    end: int,
    seed: int = 0,
    amounts: Amounts = FULL,
    fps: float | None = None,
) -> LifeReport:
    """Lay life over what the target's F-curves show from `start` to `end` (frames); a layer that is there is replaced.

    `fps` is the scene's if None. The keys of the performance and of the animator are not touched. All or nothing.
    Raises FacescriptError: `target_gone`, `tweak_mode`, `bad_range`, `nothing_to_write` if the face shows nothing of
    it, `nla_conflict` if the layer would change, or not be seen beside, what the NLA does.
    """
    return finish(add_steps(target, start=start, end=end, seed=seed, amounts=amounts, fps=fps))


def add_steps(
    target: Target, *, start: int, end: int, seed: int = 0, amounts: Amounts = FULL, fps: float | None = None
) -> Steps[LifeReport]:
    """`add`, in small steps; nothing is changed before the last."""
    if end - start < 2:
        raise FacescriptError("bad_range", f"Frames {start} to {end} are too few for life.", "Choose more frames.")
    rate = timeline.scene_fps() if fps is None else fps
    samples = []
    for first in range(start, end + 1, _CHUNK):
        samples.append(timeline.sample_poses(target, np.arange(first, min(first + _CHUNK, end + 1))))
        yield
    curves = life.layer(np.concatenate(samples), start, rate, seed, amounts, *_full_angles(target))
    yield
    curves = {name: curve for name, curve in curves.items() if name in target.covered}
    layouts = []
    for layout in _lay_out(target, curves):
        layouts += [layout] if layout.curves else []
        yield
    if not layouts:
        raise FacescriptError(
            "nothing_to_write", "Nothing of this face can blink, look or turn.", "Raise an amount, or add shape keys."
        )
    for layout in layouts:
        _check(layout)
    _carry_out(target, layouts, Take(start, end, seed, amounts))
    blinks = [c for name, c in curves.items() if name.startswith("eyeBlink")]
    return LifeReport(
        start=start,
        end=end,
        channels=tuple(curves),
        blinks=max((int((np.diff(c.values) > 0.0).sum()) for c in blinks), default=0),
        curves=sum(len(layout.curves) for layout in layouts),
        keys=sum(len(curve.frames) for layout in layouts for _, curve in layout.curves.values()),
    )


def _full_angles(target: Target) -> tuple[float, float]:
    """Degrees for a coefficient of 1 of the head's and of the eyes' yaw."""
    found = []
    for turns, usual in ((target.head, "head"), (target.eyes, "eye")):
        gains = [np.degrees(np.abs(turn.gains[YAW]).max()) for turn in turns[-1:]]
        found.append(float(gains[0]) if gains and gains[0] > 1.0 else profiles.get().full_angles[usual])
    return found[0], found[1]


def remove(target: Target) -> bool:
    """Take the layer off, with all that was made for it; whether there was one. Raises FacescriptError
    (`target_gone`, `tweak_mode`) with everything as it was."""
    blocks = [block for block in datablocks(target) if find_track(block) is not None]
    for block in blocks:
        planning.check_tweak_mode(block)
    for block in blocks:
        _take_off(block)
    return bool(blocks)


def set_muted(target: Target, muted: bool) -> None:
    """Show the performance without the layer, or with it again. Raises FacescriptError (`target_gone`)."""
    for block in datablocks(target):
        track, record = find_track(block), life_records.load(block)
        if track is None or record is None:
            continue
        track.mute = muted
        if muted:
            _put_back(block, record.before)
        block.update_tag()


def refresh(target: Target) -> LifeReport | None:
    """Lay the layer anew over keys that have changed since, as it was laid; None if there is none.

    For whoever writes, moves or clears the performance's keys: blinks go with what the face does. A layer that was
    muted stays muted. Raises what `add` raises.
    """
    return finish(_refresh_steps(target))


def follow(target: Target) -> Steps[tuple[str, ...]]:
    """`refresh` in small steps; an error that keeps the layer from following becomes a sentence for the user."""
    try:
        yield from _refresh_steps(target)
    except FacescriptError as error:
        return (f"The life layer is as it was before: {error}",)
    return ()


def _refresh_steps(target: Target) -> Steps[LifeReport | None]:
    found = [(life_records.load(block), find_track(block)) for block in datablocks(target)]
    takes = [(record.take, track.mute) for record, track in found if record is not None and record.take != NO_TAKE]
    if not takes:
        return None
    (take, muted), *_ = takes
    report = yield from add_steps(target, start=take.start, end=take.end, seed=take.seed, amounts=take.amounts)
    if muted:
        set_muted(target, True)
    return report


def present(target: Target) -> State:
    """Whether the layer is there; outdated if another version of Blender made it, in which it looked otherwise.

    Raises FacescriptError (`target_gone`).
    """
    found = [(find_track(block), life_records.load(block)) for block in datablocks(target)]
    there = [(track, record) for track, record in found if track is not None and record is not None]
    if not there:
        return "none"
    if any(record.default != _default() for _, record in there):
        return "outdated"
    return "muted" if all(track.mute for track, _ in there) else "on"


def _default() -> float:
    """What Blender takes for a shape key's default: 0, but 1 in 5.0."""
    prop: Any = bpy.types.ShapeKey.bl_rna.properties["value"]
    return float(prop.default)


def _lay_out(target: Target, curves: Mapping[str, Curve]) -> Iterator[_Layout]:
    for block in datablocks(target):
        made: dict[Address, tuple[str, Curve]] = {}
        before: dict[Address, float] = {}
        present = {a: c for a, c in api.fcurve_table(api.find_place(block)).items() if not c.mute}
        for place in number_places(target):
            if place.datablock == block and not place.path.endswith(_SCALED):
                _lay_number(place, curves, present, made, before)
        for turn in target.turns:
            if turn.object.find() == block:
                _lay_turn(block, turn, curves, present, made, before)
        yield _Layout(block, made, before)


def _lay_number(
    place: NumberPlace,
    curves: Mapping[str, Curve],
    present: Mapping[Address, Any],
    made: dict[Address, tuple[str, Curve]],
    before: dict[Address, float],
) -> None:
    parts = [(gain, curves[channel]) for channel, gain in place.number.parts if channel in curves]
    if not parts:
        return
    frames = np.unique(np.concatenate([curve.frames for _, curve in parts]))
    values = np.sum([gain * evaluate(curve, frames) for gain, curve in parts], axis=0)
    block, address = place.datablock, place.address
    if address in present:
        values = values + (_default() if block.id_type == "KEY" else default_of(block, *address))
    else:
        before[address] = get_property(block, *address)
        values = np.clip(values + before[address], *limits(place))
    made[address] = (NAME, smooth_curve(frames, values))


def _lay_turn(
    block: Any,
    turn: Turn,
    curves: Mapping[str, Curve],
    present: Mapping[Address, Any],
    made: dict[Address, tuple[str, Curve]],
    before: dict[Address, float],
) -> None:
    moving = [curves[channel] for channel in turn.channels if channel in curves]
    if not moving:
        return
    _, mode, path, width = rotation_place(turn)
    addresses = [(path, i) for i in range(width)]
    keyed = [address in present for address in addresses]
    frames = np.unique(np.concatenate([curve.frames for curve in moving]))
    if mode != "QUATERNION":
        # Angles of two turns add up only nearly: where the performance has keys, it is made up for.
        own = [np.rint(api.read_keys(present[a])["co"][:, 0]) for a in addresses if a in present]
        inside = np.concatenate([*own, frames[:0]])
        frames = np.union1d(frames, inside[(inside > frames[0]) & (inside < frames[-1])]).astype(np.int64)
    rows = [[_shown(block, a, present, float(f)) for a in addresses] for f in frames]
    coefficients = np.zeros((len(frames), len(turn.channels)))
    for i, channel in enumerate(turn.channels):
        if channel in curves:
            coefficients[:, i] = evaluate(curves[channel], frames)
    front = outer(turn, frames)
    turns = front @ own_turns(turn, coefficients) @ np.swapaxes(front, 1, 2)
    values = _quaternions(turns, rows, any(keyed)) if mode == "QUATERNION" else _angles(turns, rows, keyed, mode)
    for address, column, standing, fixed in zip(addresses, values.T, rows[0], keyed, strict=True):
        if not fixed:
            before[address] = standing
        made[address] = (turn.bone or "Delta Transforms", smooth_curve(frames, column))


def _shown(block: Any, address: Address, present: Mapping[Address, Any], frame: float) -> float:
    return float(present[address].evaluate(frame)) if address in present else get_property(block, *address)


def _quaternions(turns: Array, rows: list[list[float]], keyed: bool) -> Array:
    """The layer's quaternions (N, 4): the turns alone in front of keyed rotations, else turned standing ones."""
    values: list[list[float]] = []
    for one, row in zip(turns, rows, strict=True):
        shown = Matrix(one.tolist()) if keyed else Matrix(one.tolist()) @ to_matrix(row, "QUATERNION")
        values.append(from_matrix(shown, "QUATERNION", values[-1] if values else None))
    return np.array(values)


def _angles(turns: Array, rows: list[list[float]], keyed: list[bool], mode: str) -> Array:
    """The layer's Euler or axis angles (N, width): what has to be added to keyed ones, or all of those that are not."""
    values = []
    for one, row in zip(turns, rows, strict=True):
        whole = from_matrix(Matrix(one.tolist()) @ to_matrix(row, mode), mode, row)
        values.append([w - r if fixed else w for w, r, fixed in zip(whole, row, keyed, strict=True)])
    return np.array(values)


def _check(layout: _Layout) -> None:
    """Raise the FacescriptError that keeps the layer from a datablock."""
    block = layout.datablock
    animation = block.animation_data
    if animation is None:
        return
    planning.check_tweak_mode(block)
    if not animation.use_nla:
        raise _conflict(block, "has its NLA turned off", "Turn it on")
    if animation.action_blend_type not in ("REPLACE", "COMBINE") or animation.action_influence != 1.0:
        raise _conflict(block, "blends its action in another way than Replace", "Set it to Replace, at full influence")
    ours = find_track(block)
    others = [track for track in animation.nla_tracks if track != ours and not track.mute]
    if any(track.is_solo for track in others):
        raise _conflict(block, "has a solo track in the NLA", "Turn Solo off")
    touched = {*layout.curves, *api.fcurve_table(api.find_place(block))}
    for track in others:
        for strip in track.strips:
            for curve in api.strip_fcurves(strip) if not strip.mute else ():
                if (curve.data_path, curve.array_index) in touched:
                    raise _conflict(block, f"animates {curve.data_path} by the NLA track {track.name!r} too", "Mute it")


def _conflict(block: Any, what: str, remedy: str) -> FacescriptError:
    owner = block.user if block.id_type == "KEY" else block
    return FacescriptError("nla_conflict", f"{owner.name!r} {what}.", f"{remedy}, and add life again.")


def _carry_out(target: Target, layouts: list[_Layout], take: Take) -> None:
    """Put the new layer on, then take an old one off; if that fails, what is new goes again."""
    old = [(block, find_track(block), life_records.load(block)) for block in datablocks(target)]
    tracks = {block.as_pointer(): track for block, track, _ in old if track is not None and _alone(track)}
    with ExitStack() as undo:
        for layout in layouts:
            track = tracks.get(layout.datablock.as_pointer())
            if track is not None:
                _lay_anew(layout, take, track, undo)
            else:
                _put_on(layout, take, undo)
        undo.pop_all()
    new = {layout.datablock.as_pointer(): layout.before for layout in layouts}
    for block, track, record in old:
        if track is None or record is None:
            continue
        before = new.get(block.as_pointer())
        if before is None:
            _take_off(block)
            continue
        if block.as_pointer() not in tracks:
            _discard(block, track)
            track = find_track(block)
            track.name, track.strips[0].name, life_records.actions(track)[0].name = NAME, NAME, _title(block)
        _put_back(block, {a: value for a, value in record.before.items() if a not in before})


def _alone(track: Any) -> bool:
    """Whether a track of the layer's is as it was made, and nothing else plays its action."""
    gone = life_records.actions(track)
    return len(track.strips) == len(gone) == 1 and gone[0].users - int(gone[0].use_fake_user) == 1


def _lay_anew(layout: _Layout, take: Take, track: Any, undo: ExitStack) -> None:
    """Change a layer in place.

    What follows an edit by hand makes no step of undo of its own. Undo keeps datablocks that were the same in the step
    before; if one of these had a strip with an action that was made since, its action would be gone.
    """
    block, action = layout.datablock, life_records.actions(track)[0]
    place, record, animation = (
        api.place_of(action),
        life_records.load(block) or LifeRecord(),
        layout.datablock.animation_data,
    )
    before = [
        (c.data_path, c.array_index, c.group.name if c.group else "", api.read_keys(c)) for c in api.fcurves(place)
    ]
    undo.callback(_strip_anew, track, int(track.strips[0].frame_start), place)
    undo.callback(_fill, place, before)
    undo.callback(life_records.save, action, record)
    undo.callback(setattr, track, "mute", track.mute)
    undo.callback(setattr, animation, "action_blend_type", animation.action_blend_type)
    _fill(place, _rows(layout))
    life_records.save(action, replace(record, take=take, default=_default(), before=layout.before))
    _strip_anew(track, min(int(curve.frames[0]) for _, curve in layout.curves.values()), place)
    track.mute = False
    animation.action_blend_type = "COMBINE"
    block.update_tag()


def _rows(layout: _Layout) -> list[tuple[str, int, str, keys.Keys]]:
    """A layout's F-curves: (path, index, group, keys)."""
    codes = planning.enum_codes()
    return [
        (path, index, group, keys.new_keys(c.frames, c.values, c.left, c.right, c.interpolation, codes))
        for (path, index), (group, c) in layout.curves.items()
    ]


def _fill(place: api.Place, rows: list[tuple[str, int, str, keys.Keys]]) -> None:
    """Have a layer's action hold these F-curves alone: (path, index, group, keys)."""
    api.remove_fcurves(place, list(api.fcurves(place)))
    for path, index, group, made in rows:
        api.write_keys(api.make_fcurve(place, path, index, group), made)


def _strip_anew(track: Any, start: int, place: api.Place) -> None:
    """Have a layer's track play its action from a frame on, all of it."""
    for strip in list(track.strips):
        track.strips.remove(strip)
    strip = api.new_strip(track, NAME, start, place)
    # Held on both sides: where a strip ends, Blender would leave its properties as they last were.
    strip.blend_type, strip.extrapolation = "COMBINE", "HOLD"


def _title(block: Any) -> str:
    """The name of a layer's action. Blender's names have 63 bytes before 5.0."""
    return f"{NAME} ({block.user.name[:16]} shapes)" if block.id_type == "KEY" else f"{NAME} ({block.name[:24]})"


def _put_on(layout: _Layout, take: Take, undo: ExitStack) -> None:
    block = layout.datablock
    animation, old = block.animation_data, life_records.load(block)
    blend, made = ("REPLACE", True) if animation is None else (animation.action_blend_type, False)
    if old is not None:
        blend, made = old.blend, old.made
    place = api.new_action(_title(block), block)
    undo.callback(bpy.data.actions.remove, place.action)
    _fill(place, _rows(layout))
    life_records.save(place.action, LifeRecord(take, blend, made, _default(), layout.before))
    if animation is None:
        undo.callback(block.animation_data_clear)
        animation = block.animation_data_create()
    track = animation.nla_tracks.new()
    undo.callback(animation.nla_tracks.remove, track)
    track.name = NAME
    _strip_anew(track, min(int(curve.frames[0]) for _, curve in layout.curves.values()), place)
    undo.callback(setattr, animation, "action_blend_type", animation.action_blend_type)
    animation.action_blend_type = "COMBINE"
    block.update_tag()


def _take_off(block: Any) -> None:
    """Remove a datablock's layer and put everything back that it had changed."""
    animation, record = block.animation_data, life_records.load(block) or LifeRecord()
    _discard(block, find_track(block))
    if animation.action_blend_type == "COMBINE":  # if not, somebody has chosen otherwise since
        animation.action_blend_type = record.blend
    _put_back(block, record.before)
    if record.made and animation.action is None and not len(animation.nla_tracks) and not len(animation.drivers):
        block.animation_data_clear()
    block.update_tag()


def _discard(block: Any, track: Any) -> None:
    """Remove a track of the layer's, and its actions unless they are used elsewhere."""
    gone = life_records.actions(track)
    block.animation_data.nla_tracks.remove(track)
    for action in gone:
        if action.users - int(action.use_fake_user) <= 0:
            bpy.data.actions.remove(action)


def _put_back(block: Any, before: Mapping[Address, float]) -> None:
    """Give properties that the layer alone has animated their values again."""
    present = api.fcurve_table(api.find_place(block))
    for address, value in before.items():
        if address in present:
            continue  # it was keyed since
        try:
            set_property(block, *address, value)
        except (ValueError, AttributeError, KeyError):
            continue  # the key or the bone is gone
