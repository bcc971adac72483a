# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done by hand in Blender's editors: keys added, moved, changed and deleted, markers dragged and renamed."""

from __future__ import annotations

from typing import Any

import bpy as module
import numpy as np

from ..rig_mapping import blender_api as api
from . import state
from .actions import action
from .user import Effect, User

bpy: Any = module

_HANDLES = ("FREE", "ALIGNED", "VECTOR", "AUTO", "AUTO_CLAMPED")
_INTERPOLATIONS = ("CONSTANT", "LINEAR", "BEZIER", "BACK")


def _curves(user: User) -> list[Any]:
    """The F-curves of the active face in a fixed order."""
    actions = [bpy.data.actions[name] for name in sorted(user.step.reach)]
    return sorted((c for a in actions for c in state.fcurves(a)), key=lambda c: (c.data_path, c.array_index))


def _keys(curve: Any) -> list[Any]:
    return list(curve.keyframe_points)


def _claim(user: User, point: Any) -> None:
    if point.amplitude < state.FIRST_NUMBER:
        point.amplitude = user.number()


def _done(user: User, message: str) -> None:
    # Noted before anything follows: from here on the keys are to stay.
    user.mine()
    user.push(message)


@action(30, Effect.KEPT, "face")
def add_key(user: User) -> None:
    """Add a key to an F-curve, inside the performance or outside."""
    curves, rng = _curves(user), user.rng
    if not curves:
        return
    curve = rng.choice(curves)
    frame = rng.choice((rng.randrange(-20, 260), round(rng.uniform(0.0, 160.0), 2)))
    if any(abs(point.co.x - frame) < 0.1 for point in curve.keyframe_points):
        return
    now = curve.evaluate(frame)
    turned = "key_blocks" not in curve.data_path
    value = rng.choice((now, now + 0.1 if turned else rng.random()))
    point = curve.keyframe_points.insert(frame, value)
    point.interpolation = rng.choice(_INTERPOLATIONS)
    point.handle_left_type = point.handle_right_type = rng.choice(_HANDLES)
    point.amplitude = user.number()
    curve.update()
    user.tell(f"{curve.data_path} at {frame:g}: {value:.3f}")
    _done(user, "Insert Keyframe")


@action(22, Effect.KEPT, "beats")
def lift_key(user: User) -> None:
    """Change the value of a key, the performance's or the user's own."""
    curves, rng = _curves(user), user.rng
    if not curves:
        return
    curve = rng.choice(curves)
    if not len(curve.keyframe_points):
        return
    point = rng.choice(_keys(curve))
    by = rng.choice((0.25, -0.1, 0.002))
    for part in (point.co, point.handle_left, point.handle_right):
        part.y += by
    _claim(user, point)
    curve.update()
    user.tell(f"{curve.data_path} at {point.co.x:g} by {by}")
    _done(user, "Move Keyframes")


@action(14, Effect.CARRIED, "beats")
def move_key(user: User) -> None:
    """Move one key in time."""
    curves, rng = _curves(user), user.rng
    if not curves:
        return
    curve = rng.choice(curves)
    if not len(curve.keyframe_points):
        return
    point = rng.choice(_keys(curve))
    by = rng.choice((1.0, -2.0, 0.5, 11.0))
    if any(abs(other.co.x - point.co.x - by) < 0.1 for other in curve.keyframe_points):
        return
    user.tell(f"{curve.data_path} at {point.co.x:g} by {by:g} frames")
    # A key of the performance's is not claimed: where few channels move, it is the beat that is dragged by it.
    for part in (point.co, point.handle_left, point.handle_right):
        part.x += by
    curve.keyframe_points.sort()
    curve.update()
    _done(user, "Move Keyframes")


@action(12, Effect.KEPT, "face")
def delete_keys(user: User) -> None:
    """Delete one key, or all of an F-curve on the face."""
    curves, rng = _curves(user), user.rng
    if not curves:
        return
    curve = rng.choice(curves)
    user.tell(f"{curve.data_path} of {len(curve.keyframe_points)} keys")
    if not len(curve.keyframe_points):
        return
    if rng.random() < 0.15 and curve.data_path not in state.FOREIGN:
        owner = curve.id_data
        for slot in owner.slots if api.SLOTTED else (None,):
            place = api.Place(owner, slot)
            if api.find_fcurve(place, curve.data_path, curve.array_index) == curve:
                api.remove_fcurves(place, [curve])
                break
    elif len(curve.keyframe_points) > 1:
        curve.keyframe_points.remove(rng.choice(_keys(curve)))
        curve.update()
    _done(user, "Delete Keyframes")


@action(18, Effect.CARRIED, "beats")
def drag_column(user: User) -> None:
    """Move all keys of a beat in time, and the user's own among them."""
    face, rng = user.face, user.rng
    row = rng.choice(list(face.beats))
    by = rng.choice((2, -3, 8, -11, 30))
    low, high = row.frame - 8.0, row.frame + 4.0
    user.tell(f"the keys in {low:g} to {high:g} by {by} frames")
    for curve in _curves(user):
        if curve.data_path in state.FOREIGN or not len(curve.keyframe_points):
            continue
        keys = api.read_keys(curve)
        chosen = (keys["co"][:, 0] >= low) & (keys["co"][:, 0] <= high)
        for name in ("co", "handle_left", "handle_right"):
            keys[name][chosen, 0] += by
        # As Blender does where a key is dropped on another one: that one goes.
        order = np.argsort(keys["co"][:, 0], kind="stable")
        keys = {name: values[order] for name, values in keys.items()}
        chosen = chosen[order]
        x = keys["co"][:, 0]
        under = np.array([bool((abs(x[chosen] - at) < 0.1).any()) for at in x]) & ~chosen
        api.write_keys(curve, {name: values[~under] for name, values in keys.items()})
        curve.update()
    _done(user, "Move Keyframes")


@action(8, Effect.KEPT, "beats")
def lock_curve(user: User) -> None:
    """Lock or mute an F-curve, or open it again."""
    curves, rng = _curves(user), user.rng
    if not curves:
        return
    held = [curve for curve in curves if curve.lock or curve.mute]
    if held and rng.random() < 0.7:
        for curve in held:
            curve.lock = curve.mute = False
    else:
        curve = rng.choice(curves)
        setattr(curve, rng.choice(("lock", "mute")), True)
    _done(user, "Protect")


def _ours(user: User) -> list[Any]:
    """The markers of the active face's beats."""
    names = {row.marker for row in user.face.beats if row.marker}
    return sorted((m for m in user.scene.timeline_markers if m.name in names), key=lambda m: (m.frame, m.name))


@action(18, Effect.CARRIED, "beats")
def drag_marker(user: User) -> None:
    """Drag the marker of a beat."""
    markers, rng = _ours(user), user.rng
    if markers:
        marker = rng.choice(markers)
        by = rng.choice((1, -4, 9, 60, -90))
        user.tell(f"{marker.name!r} at {marker.frame} by {by}")
        marker.frame += by
        user.push("Move Markers")


@action(10, Effect.KEPT, "beats")
def edit_marker(user: User) -> None:
    """Rename, copy or delete a beat's marker, or add one that is no beat's."""
    markers, rng = _ours(user), user.rng
    what = rng.choice(("rename", "copy", "delete", "add"))
    if what == "add" or not markers:
        user.scene.timeline_markers.new("Mine", frame=rng.randrange(1, 200))
    elif what == "rename":
        rng.choice(markers).name = rng.choice(("A nod", "Mine", "F_12", "She smiles"))
    elif what == "copy":
        marker = rng.choice(markers)
        user.scene.timeline_markers.new(marker.name, frame=marker.frame + 20)
    else:
        user.scene.timeline_markers.remove(rng.choice(markers))
    if len(user.scene.timeline_markers) > 60:
        user.scene.timeline_markers.clear()
    user.push(f"Markers: {what}")
