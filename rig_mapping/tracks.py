# SPDX-License-Identifier: GPL-3.0-or-later
"""Channel curves as the rig's own curves: shape key values with gains and ranges, and rotations in any mode."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import bpy
import numpy as np
from mathutils import Matrix

from ..performance import CHANNELS, FacescriptError
from . import blender_api as api
from . import life_records, renames
from .blender_api import Place
from .controls import RotationControl, bone_path, from_matrix, rotation_property, to_matrix
from .curves import Array, ChannelCurves, Curve, Frames, evaluate, make_curve
from .journal import get_property
from .records import Address
from .references import key_path
from .steps import Steps, finish
from .targets import KeyRow, MeshKeys, Target


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


def datablocks(target: Target) -> list[Any]:
    """The datablocks that a target's F-curves live on, each once. Raises FacescriptError (`target_gone`)."""
    found = [_keys_of(mesh) for mesh in target.meshes]
    found += [control.object.find() for control in (*target.head, *target.eyes)]
    return list({block.as_pointer(): block for block in found}.values())


def properties(target: Target, channels: Collection[str]) -> list[tuple[Any, Address]]:
    """The datablock and the address of every property that these channels move. Raises FacescriptError
    (`target_gone`)."""
    found: list[tuple[Any, Address]] = []
    for mesh in target.meshes:
        data = _keys_of(mesh)
        found += [(data, (key_path(row.key), 0)) for row in mesh.rows if row.channel in channels]
    for control in (*target.head, *target.eyes):
        obj, _, path, width = rotation_place(control)
        if any(channel in channels for channel in control.channels):
            found += [(obj, (path, i)) for i in range(width)]
    return found


def _keys_of(mesh: MeshKeys) -> Any:
    obj = mesh.object.find()
    keys = obj.data.shape_keys if obj.type == "MESH" else None
    gone = [r.key for r in mesh.rows if keys is None or r.key not in keys.key_blocks]
    if gone:
        raise FacescriptError(
            "target_gone", f"{obj.name!r} has no shape key {gone[0]!r} any more.", "Choose the face again."
        )
    return keys


def make_tracks(target: Target, curves: ChannelCurves) -> Tracks:
    """Lay the curves out on the target. Raises FacescriptError (`target_gone`)."""
    return finish(track_steps(target, curves))


def track_steps(target: Target, curves: ChannelCurves) -> Steps[Tracks]:
    """`make_tracks`, in small steps."""
    tracks: dict[tuple[int, str, int], Track] = {}
    clipped: list[str] = []
    for mesh in target.meshes:
        for track in _shape_tracks(mesh, curves, clipped):
            tracks.setdefault((track.datablock.as_pointer(), track.path, track.index), track)
            yield
    for control in (*target.head, *target.eyes):
        for track in _rotation_tracks(control, curves):
            tracks.setdefault((track.datablock.as_pointer(), track.path, track.index), track)
        yield
    return Tracks(tuple(tracks.values()), tuple(dict.fromkeys(clipped)))


def _shape_tracks(mesh: MeshKeys, curves: ChannelCurves, clipped: list[str]) -> Iterator[Track]:
    data = _keys_of(mesh)
    regions = {c.name: c.region for c in CHANNELS}
    by_key: dict[str, list[KeyRow]] = {}
    for row in mesh.rows:
        if row.channel in curves.curves:
            by_key.setdefault(row.key, []).append(row)
    for key, rows in by_key.items():
        frames, values = _weighted([(row.gain, curves.curves[row.channel]) for row in rows])
        block = data.key_blocks[key]
        fitting = np.clip(values, block.slider_min, block.slider_max)
        # In float32, a limit of 0.7 is a little off: that is no clipping to speak of.
        if np.abs(fitting - values).max() > 1e-6:
            worst = int(np.argmax(np.abs(fitting - values)))
            clipped.append(
                f"{mesh.object.name}: {key} goes to {values[worst]:.2f}, its range ends at {fitting[worst]:.2f}."
            )
        region = regions[rows[0].channel].capitalize()
        yield Track(data, key_path(key), 0, region, make_curve(frames, fitting, curves.style))


def _weighted(parts: list[tuple[float, Curve]]) -> tuple[Frames, Array]:
    """The sum of gain x curve at every frame on which one of the curves has a key: frames and values, each (K,)."""
    if len(parts) == 1:
        gain, curve = parts[0]
        return curve.frames, gain * curve.values
    frames = np.unique(np.concatenate([curve.frames for _, curve in parts]))
    return frames, np.sum([gain * evaluate(curve, frames) for gain, curve in parts], axis=0)


def rotation_place(control: RotationControl) -> tuple[Any, str, str, int]:
    """A control's object, rotation mode, data path and width. Raises FacescriptError (`target_gone`)."""
    obj = control.object.find()
    if not control.bone:
        prop, width = rotation_property(obj.rotation_mode, delta=True)
        return obj, obj.rotation_mode, prop, width
    bone = obj.pose.bones.get(control.bone) if obj.pose is not None else None
    if bone is None:
        raise FacescriptError(
            "target_gone", f"{obj.name!r} has no bone {control.bone!r} any more.", "Choose the face again."
        )
    prop, width = rotation_property(bone.rotation_mode, delta=False)
    return obj, bone.rotation_mode, bone_path(control.bone, prop), width


def _rotation_tracks(control: RotationControl, curves: ChannelCurves) -> list[Track]:
    moving = [curves.curves[c] for c in control.channels if c in curves.curves]
    if not moving:
        return []
    obj, mode, path, width = rotation_place(control)
    frames = np.unique(np.concatenate([curve.frames for curve in moving]))
    coefficients = np.zeros((frames.size, 3))
    for i, channel in enumerate(control.channels):
        if channel in curves.curves:
            coefficients[:, i] = evaluate(curves.curves[channel], frames)
    place = api.find_place(obj)
    rest = _rest(control, obj, mode, path, width, place)
    before, after = _around(control, obj, place, rest, frames)
    values: list[list[float]] = []
    for turned in (before @ control.turns(coefficients) @ after).tolist():
        values.append(from_matrix(Matrix(turned), mode, values[-1] if values else None))
    group = control.bone or "Delta Transforms"
    columns = np.array(values).T
    return [Track(obj, path, i, group, make_curve(frames, columns[i], curves.style)) for i in range(width)]


def _rest(control: RotationControl, obj: Any, mode: str, path: str, width: int, place: Place | None) -> Array:
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


def _around(
    control: RotationControl, obj: Any, place: Place | None, rest: Array, frames: Frames | Array
) -> tuple[Array, Array]:
    """What a turn in the control's space is multiplied with, before and after, to be the property's rotation."""
    if control.bone:
        bone = np.array(obj.data.bones[control.bone].matrix_local.to_3x3())
        return rest @ bone.T, bone
    # delta @ own is what the object shows; the turn comes first, in the object's own space.
    whole = rest @ _user_rotations(obj, place, frames)
    return whole, np.swapaxes(whole, 1, 2) @ rest


def outer(control: RotationControl, frames: Frames | Array) -> Array:
    """The rotation in front of a control's own turns at frames (N,): (N, 3, 3), or (1, 3, 3) if it never changes.

    With it, `outer @ turn @ outer.T @ shown` is what the property shows, turned by one more turn in the control's
    space.
    """
    obj, mode, path, width = rotation_place(control)
    place = api.find_place(obj)
    before, _ = _around(control, obj, place, _rest(control, obj, mode, path, width, place), frames)
    return before.reshape(-1, 3, 3)


def read_turns(control: RotationControl, frames: Sequence[float] | None) -> Array:
    """The coefficients of yaw, pitch and roll that a control's F-curves show at frames (N,): (N, 3); or, for None,
    those that it stands at now: (1, 3).

    The inverse of writing.
    """
    obj, mode, path, width = rotation_place(control)
    place = api.find_place(obj)
    keyed = [api.find_fcurve(place, path, i) for i in range(width)]
    scene: Any = bpy.context.scene
    at = np.array([scene.frame_current] if frames is None else frames, dtype=np.float64)
    if all(c is None for c in keyed):
        # Not animated: what it stands at is its rest.
        return np.zeros((len(at), 3))
    if frames is None:
        values = [life_records.without(obj, path, width)]
    else:
        standing = [get_property(obj, path, i) if c is None else 0.0 for i, c in enumerate(keyed)]
        values = [
            [s if c is None else c.evaluate(frame) for c, s in zip(keyed, standing, strict=True)]
            for frame in at.tolist()
        ]
    before, after = _around(control, obj, place, _rest(control, obj, mode, path, width, place), at)
    shown = np.array([to_matrix(row, mode) for row in values])
    # Rotations, whose inverses are their transposes.
    turns = np.swapaxes(before, -1, -2) @ shown @ np.swapaxes(after, -1, -2)
    return np.array([control.coefficients(turn) for turn in turns])
