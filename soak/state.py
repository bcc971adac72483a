# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in the file, as plain values: every key of the user's to the last bit, and all that undo brings back.

A key that the user owns has a number of its own as its `amplitude`, which shows in elastic motion alone: so it is found
again wherever it went, whatever the extension believes of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import bpy as module
import numpy as np

from ..rig_mapping import blender_api as api
from ..rig_mapping.keys import unmarked

bpy: Any = module

# Whole numbers up to 2 ** 24 are exact in Blender's floats.
FIRST_NUMBER = 1000
_MOVING = ("co", "handle_left", "handle_right")
_FIELDS = tuple(name for name, _, _ in api.FIELDS if not name.startswith("select"))

# Shape keys and properties that no face shows anything by.
FOREIGN = ('key_blocks["Scar"].value', "location", "scale")


@dataclass(frozen=True)
class Owned:
    """A key of the user's: where it is, all of its bits, and those that stay when it goes with a beat."""

    number: int
    action: str
    path: str
    index: int
    frame: float
    points: tuple[float, ...]
    bits: bytes
    still: bytes

    @property
    def foreign(self) -> bool:
        """Whether it is on what no face shows anything by."""
        return self.path in FOREIGN

    @property
    def what(self) -> tuple[int, str, int, bytes]:
        """All of it but the name of its action, which goes with the performance."""
        return self.number, self.path, self.index, self.bits


# By their numbers; copies of a face or of a take have copies of the keys.
Ledger = dict[int, list[Owned]]
State = dict[str, Any]


def fcurves(action: Any) -> Iterator[Any]:
    """All F-curves of an action, of each of its slots."""
    for slot in action.slots if api.SLOTTED else (None,):
        yield from api.fcurves(api.Place(action, slot))


def owned() -> Ledger:
    """Every key of the user's in the file."""
    found: Ledger = {}
    for action in bpy.data.actions:
        for curve in fcurves(action):
            points = curve.keyframe_points
            numbers = np.empty(len(points), dtype="f4")
            points.foreach_get("amplitude", numbers)
            places = np.flatnonzero(numbers >= FIRST_NUMBER)
            if not places.size:
                continue
            # One that was the performance's bears its mark until it is written next.
            keys = unmarked(api.read_keys(curve))
            for i in places.tolist():
                bits = b"".join(keys[name][i].tobytes() for name in _FIELDS)
                still = b"".join(keys[name][i].tobytes() for name in _FIELDS if name not in _MOVING)
                frame, number = float(keys["co"][i, 0]), int(numbers[i])
                points = tuple(float(x) for name in _MOVING for x in keys[name][i])
                row = Owned(number, action.name, curve.data_path, curve.array_index, frame, points, bits, still)
                found.setdefault(number, []).append(row)
    return found


def _digest(curve: Any) -> str:
    points = curve.keyframe_points
    digest = hashlib.blake2b(digest_size=6)
    for name in _MOVING:
        flat = np.empty(2 * len(points), dtype="f4")
        points.foreach_get(name, flat)
        digest.update(flat.tobytes())
    return f"{len(points)} keys {digest.hexdigest()}"


def state() -> State:
    """All that undo and redo have to bring back."""
    found: State = {"objects": sorted(obj.name for obj in bpy.data.objects)}
    for action in bpy.data.actions:
        for curve in fcurves(action):
            found[f"{action.name}: {curve.data_path}[{curve.array_index}]"] = _digest(curve)
    for block in (*bpy.data.objects, *bpy.data.shape_keys):
        animation = block.animation_data
        if animation is not None:
            place = animation.action.name if animation.action is not None else None
            strips = [(t.name, t.mute, [(s.frame_start, s.frame_end) for s in t.strips]) for t in animation.nla_tracks]
            found[f"animation of {block.name} ({block.id_type})"] = (place, strips)
    for scene in bpy.data.scenes:
        found[f"markers of {scene.name}"] = sorted((m.frame, m.name) for m in scene.timeline_markers)
    for obj in bpy.data.objects:
        found |= _settings(obj)
    return found


def _settings(obj: Any) -> State:
    face = obj.facescript
    if not (face.script or face.beats):
        return {}
    found: State = {
        f"{obj.name}: {name}": getattr(face, name)
        for name in ("script", "background", "emotion", "style", "move_head", "show_markers", "performed")
    }
    for number, row in enumerate(face.beats):
        found[f"{obj.name}: beat {number}"] = (
            row.key,
            row.frame,
            row.text,
            row.pose,
            row.strength,
            tuple(row.regions),
            row.locked,
            row.by_hand,
        )
    found[f"{obj.name}: variations"] = [row.text for row in face.variations]
    takes = obj.facescript_takes
    found[f"{obj.name}: takes"] = (takes.shown, [(row.key, row.name, row.on_nla) for row in takes.rows])
    found[f"{obj.name}: mapping"] = [(row.channel, row.name, row.gain) for row in obj.facescript_mapping.rows]
    return found


def differences(one: State, other: State, most: int = 12) -> list[str]:
    """Sentences on where two states differ."""
    names = [name for name in {**one, **other} if one.get(name) != other.get(name)]
    rows = [f"{name}: {one.get(name)!r} -> {other.get(name)!r}" for name in names[:most]]
    return rows + ([f"and {len(names) - most} more"] if len(names) > most else [])
