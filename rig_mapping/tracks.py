# SPDX-License-Identifier: GPL-3.0-or-later
"""Channel curves as the rig's own curves: numbers with gains and ranges, and rotations in any mode."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from ..performance import CHANNELS, FacescriptError
from . import blender_api as api
from . import life_records, renames
from .blender_api import Place
from .controls import Turn, bone_path, from_matrix, rotation_property, to_matrix
from .curves import Array, ChannelCurves, Curve, Frames, evaluate, make_curve
from .journal import get_property
from .mapping import Number
from .records import Address
from .references import key_path, resolve
from .steps import Steps, finish
from .targets import Target

_BONE = re.compile(r'pose\.bones\["((?:[^"\\]|\\.)*)"\]')
_REGIONS = {channel.name: channel.region for channel in CHANNELS}
# Numbers that are laid out in one step.
_CHUNK = 8


@dataclass(frozen=True)
class Track:
    """One F-curve to be: on `datablock` (a bpy ID), at `path`[`index`], in the property's own unit."""

    datablock: Any
    path: str
    index: int
    group: str
    curve: Curve


@dataclass(frozen=True)
class Tracks:
    """All tracks of a performance on a target; `clipped`: sentences on values that did not fit a key's range."""

    tracks: tuple[Track, ...]
    clipped: tuple[str, ...]


@dataclass(frozen=True)
class NumberPlace:
    """A number of a target, with the datablock that it is animated on and its data path there."""

    number: Number
    datablock: Any
    path: str

    @property
    def address(self) -> Address:
        """The address of its F-curve."""
        return self.path, self.number.index


def number_places(target: Target) -> list[NumberPlace]:
    """Where a target's numbers are. Raises FacescriptError (`target_gone`)."""
    objects = {ref: ref.find() for ref in dict.fromkeys(number.object for number in target.numbers)}
    return [_number_place(number, objects[number.object]) for number in target.numbers]


def _number_place(number: Number, obj: Any) -> NumberPlace:
    if number.kind == "KEY":
        keys = obj.data.shape_keys if obj.type == "MESH" else None
        if keys is not None and number.name in keys.key_blocks:
            return NumberPlace(number, keys, key_path(number.name))
        raise FacescriptError(
            "target_gone", f"{obj.name!r} has no shape key {number.name!r} any more.", "Choose the face again."
        )
    found = resolve(obj, number.name, number.index)
    if found is None:
        raise FacescriptError(
            "target_gone", f"{obj.name!r} has no number {number.name!r} any more.", "Choose the face again."
        )
    return NumberPlace(number, *found)


def datablocks(target: Target) -> list[Any]:
    """The datablocks that a target's F-curves live on, each once. Raises FacescriptError (`target_gone`)."""
    found = [place.datablock for place in number_places(target)]
    found += [turn.object.find() for turn in target.turns]
    return list({block.as_pointer(): block for block in found}.values())


def properties(target: Target, channels: Collection[str]) -> list[tuple[Any, Address]]:
    """The datablock and the address of every property that these channels move. Raises FacescriptError
    (`target_gone`)."""
    return [(block, address) for block, address, shown in shown_channels(target) if not shown.isdisjoint(channels)]


def shown_channels(target: Target) -> list[tuple[Any, Address, frozenset[str]]]:
    """Every property that a target is written to, by datablock and address, with the channels that it shows. Raises
    FacescriptError (`target_gone`)."""
    found = [(place.datablock, place.address, frozenset(place.number.channels)) for place in number_places(target)]
    for turn in target.turns:
        obj, _, path, width = rotation_place(turn)
        found += [(obj, (path, i), frozenset(turn.channels)) for i in range(width)]
    return found


def make_tracks(target: Target, curves: ChannelCurves) -> Tracks:
    """Lay the curves out on the target. Raises FacescriptError (`target_gone`)."""
    return finish(track_steps(target, curves))


def track_steps(target: Target, curves: ChannelCurves) -> Steps[Tracks]:
    """`make_tracks`, in small steps."""
    tracks: dict[tuple[int, str, int], Track] = {}
    clipped: list[str] = []
    for i, place in enumerate(number_places(target)):
        track = _number_track(place, curves, clipped)
        if track is not None:
            tracks.setdefault((track.datablock.as_pointer(), track.path, track.index), track)
        if i % _CHUNK == _CHUNK - 1:
            yield
    yield
    for turn in target.turns:
        for track in _turn_tracks(turn, curves):
            tracks.setdefault((track.datablock.as_pointer(), track.path, track.index), track)
        yield
    return Tracks(tuple(tracks.values()), tuple(dict.fromkeys(clipped)))


def _number_track(place: NumberPlace, curves: ChannelCurves, clipped: list[str]) -> Track | None:
    number = place.number
    parts = [(gain, curves.curves[channel]) for channel, gain in number.parts if channel in curves.curves]
    if not parts:
        return None
    frames, values = _weighted(parts)
    values = values + number.offset
    fitting = np.clip(values, *limits(place))
    # In float32, a limit of 0.7 is a little off: that is no clipping to speak of.
    if np.abs(fitting - values).max() > 1e-6 * max(1.0, *(abs(gain) for gain, _ in parts)):
        worst = int(np.argmax(np.abs(fitting - values)))
        clipped.append(
            f"{number.object.name}: {number.name} goes to {values[worst]:.2f}, its range ends at {fitting[worst]:.2f}."
        )
    curve = parts[0][1]
    if len(parts) > 1 or not np.array_equal(fitting, curve.values):
        curve = make_curve(frames, fitting, curves.style)
    group = _bone_of(place.path) or _REGIONS[number.channels[0]].capitalize()
    return Track(place.datablock, place.path, number.index, group, curve)


def _bone_of(path: str) -> str:
    """The bone that a data path leads to, whose name Blender gives to the group of its F-curves, or ""."""
    found = _BONE.match(path)
    return bpy.utils.unescape_identifier(found[1]) if found else ""


def limits(place: NumberPlace) -> tuple[float, float]:
    """The range that a number is kept in: its rows', and a shape key's own."""
    number = place.number
    if number.kind != "KEY":
        return number.low, number.high
    block = place.datablock.key_blocks[number.name]
    return max(number.low, block.slider_min), min(number.high, block.slider_max)


def _weighted(parts: list[tuple[float, Curve]]) -> tuple[Frames, Array]:
    """The sum of gain x curve at every frame on which one of the curves has a key: frames and values, each (K,)."""
    if len(parts) == 1:
        gain, curve = parts[0]
        return curve.frames, gain * curve.values
    frames = np.unique(np.concatenate([curve.frames for _, curve in parts]))
    return frames, np.sum([gain * evaluate(curve, frames) for gain, curve in parts], axis=0)


def rotation_place(turn: Turn) -> tuple[Any, str, str, int]:
    """A turn's object, rotation mode, data path and width. Raises FacescriptError (`target_gone`)."""
    obj = turn.object.find()
    if not turn.bone:
        prop, width = rotation_property(obj.rotation_mode, delta=True)
        return obj, obj.rotation_mode, prop, width
    bone = obj.pose.bones.get(turn.bone) if obj.pose is not None else None
    if bone is None:
        raise FacescriptError(
            "target_gone", f"{obj.name!r} has no bone {turn.bone!r} any more.", "Choose the face again."
        )
    prop, width = rotation_property(bone.rotation_mode, delta=False)
    return obj, bone.rotation_mode, bone_path(turn.bone, prop), width


def _turn_tracks(turn: Turn, curves: ChannelCurves) -> list[Track]:
    moving = [curves.curves[c] for c in turn.channels if c in curves.curves]
    if not moving:
        return []
    obj, mode, path, width = rotation_place(turn)
    frames = np.unique(np.concatenate([curve.frames for curve in moving]))
    style = curves.style
    if mode == "AXIS_ANGLE":
        # Between two keys, axis and angle go each their own way, which is not the way of the turn.
        frames, style = _every_frame(frames, moving), replace(style, interpolation="LINEAR")
    coefficients = np.zeros((frames.size, len(turn.channels)))
    for i, channel in enumerate(turn.channels):
        if channel in curves.curves:
            coefficients[:, i] = evaluate(curves.curves[channel], frames)
    place = api.find_place(obj)
    rest = _rest(turn, obj, mode, path, width, place)
    before, after = _around(turn, obj, place, rest, frames)
    shown = _lead(turn, turn.shared(coefficients)) @ before @ turn.turns(coefficients) @ after
    values: list[list[float]] = []
    for turned in shown.tolist():
        values.append(from_matrix(Matrix(turned), mode, values[-1] if values else None))
    group = turn.bone or "Delta Transforms"
    columns = np.array(values).T
    return [Track(obj, path, i, group, make_curve(frames, columns[i], style)) for i in range(width)]


def _every_frame(frames: Frames, curves: Sequence[Curve]) -> Frames:
    """Rising `frames` (N,), with all frames between two of them where one of the curves is not the same."""
    values = np.array([evaluate(curve, frames) for curve in curves])
    changes = np.any(values[:, 1:] != values[:, :-1], axis=0)
    spans = zip(frames[:-1].tolist(), frames[1:].tolist(), changes.tolist(), strict=True)
    between = [np.arange(a, b) for a, b, change in spans if change]
    return np.unique(np.concatenate([frames, *between]))


def _lead(turn: Turn, shared: Array) -> Array:
    """What takes the share of the bones above, (N, 3, 3) in the armature's space, off a bone's own rotation."""
    if turn.above is None:
        return shared
    bone = _bone_matrix(turn)
    return np.asarray(bone.T @ np.swapaxes(shared, -1, -2) @ bone)


def _bone_matrix(turn: Turn) -> Array:
    return np.array(turn.object.find().data.bones[turn.bone].matrix_local.to_3x3())


def _rest(turn: Turn, obj: Any, mode: str, path: str, width: int, place: Place | None) -> Array:
    """The rotation (3, 3) that the property had before it was animated, which a turn is added to.

    Where the animator keys it, there is no such thing: then it is no rotation.
    """
    record = renames.load(obj)
    old = [record.curves.get((path, i)) for i in range(width)]
    if all(r is not None and r.made for r in old):
        return np.array(to_matrix([r.before for r in old if r is not None], mode))
    if any(api.find_fcurve(place, path, i) is not None for i in range(width)):
        return np.eye(3)
    return np.array(to_matrix([get_property(obj, path, i) for i in range(width)], mode))


def _user_rotations(obj: Any, place: Place | None, frames: Frames | Array) -> Array:
    """An object's own rotation at frames (N,), without the delta: (N, 3, 3), or (1, 3, 3) if it is not keyed."""
    mode = obj.rotation_mode
    prop, width = rotation_property(mode, delta=False)
    keyed = [api.find_fcurve(place, prop, i) for i in range(width)]
    at = frames if any(keyed) else frames[:1]
    rows = [
        [get_property(obj, prop, i) if c is None else c.evaluate(float(f)) for i, c in enumerate(keyed)] for f in at
    ]
    return np.array([to_matrix(row, mode) for row in rows])


def _around(turn: Turn, obj: Any, place: Place | None, rest: Array, frames: Frames | Array) -> tuple[Array, Array]:
    """What a turn in its own space is multiplied with, before and after, to be the property's rotation."""
    if turn.bone:
        bone = _bone_matrix(turn)
        return rest @ bone.T, bone
    # delta @ own is what the object shows; the turn comes first, in the object's own space.
    whole = rest @ _user_rotations(obj, place, frames)
    return whole, np.swapaxes(whole, 1, 2) @ rest


def outer(turn: Turn, frames: Frames | Array) -> Array:
    """The rotation in front of a control's own turns at frames (N,): (N, 3, 3), or (1, 3, 3) if it never changes.

    With it, `outer @ turn @ outer.T @ shown` is what the property shows, turned by one more turn in the space of the
    armature, or of the object.
    """
    obj, mode, path, width = rotation_place(turn)
    place = api.find_place(obj)
    before, _ = _around(turn, obj, place, _rest(turn, obj, mode, path, width, place), frames)
    return before.reshape(-1, 3, 3)


def own_turns(turn: Turn, coefficients: Array) -> Array:
    """What the bone itself adds to the turns of those above it, (N, 3, 3), for coefficients (N, channels)."""
    return np.asarray(np.swapaxes(turn.shared(coefficients), -1, -2) @ turn.turns(coefficients))


def read_angles(turn: Turn, frames: Sequence[float] | None) -> Array:
    """Yaw, pitch and roll in radians of the whole turns that F-curves show at frames (N,): (N, 3); or, for None, of
    those that it stands at now: (1, 3). The inverse of writing."""
    return np.array([turn.angles(one) for one in _read_turns(turn, frames)])


def _read_turns(turn: Turn, frames: Sequence[float] | None) -> Array:
    obj, mode, path, width = rotation_place(turn)
    place = api.find_place(obj)
    keyed = [api.find_fcurve(place, path, i) for i in range(width)]
    scene: Any = bpy.context.scene
    at = np.array([scene.frame_current] if frames is None else frames, dtype=np.float64)
    shared = np.broadcast_to(np.eye(3), (len(at), 3, 3)) if turn.above is None else _read_turns(turn.above, frames)
    if all(c is None for c in keyed):
        # Not animated: what it stands at is its rest, and goes along with the bones above.
        return shared
    if frames is None:
        values = [life_records.without(obj, path, range(width))]
    else:
        standing = [get_property(obj, path, i) if c is None else 0.0 for i, c in enumerate(keyed)]
        values = [
            [s if c is None else c.evaluate(frame) for c, s in zip(keyed, standing, strict=True)]
            for frame in at.tolist()
        ]
    before, after = _around(turn, obj, place, _rest(turn, obj, mode, path, width, place), at)
    shown = np.array([to_matrix(row, mode) for row in values])
    # Rotations, whose inverses are their transposes.
    led = np.swapaxes(_lead(turn, shared), -1, -2) @ shown
    return np.asarray(np.swapaxes(before, -1, -2) @ led @ np.swapaxes(after, -1, -2))
