# SPDX-License-Identifier: GPL-3.0-or-later
"""A rig's numbers as they stand, without keys: read, set for a look, and put back as they were."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..performance import INDEX, FacescriptError
from .controls import Turn, rotation_property, to_matrix
from .curves import Array, ChannelCurves, make_curve
from .journal import set_property
from .mapping import MapRow
from .references import key_path, resolve
from .styles import get as get_style
from .targets import Target
from .tracks import make_tracks, rotation_place


def is_there(row: MapRow) -> bool:
    """Whether the shape key, the bone or the property of a row is there."""
    obj = row.object.find()
    if row.kind == "KEY":
        keys = obj.data.shape_keys if obj.type == "MESH" else None
        return keys is not None and row.name in keys.key_blocks
    if row.kind == "TURN":
        return not row.name or (obj.pose is not None and row.name in obj.pose.bones)
    return resolve(obj, row.name, row.index) is not None


def shown_by(target: Target, coefficients: Mapping[str, float]) -> list[tuple[Any, str, int, float]]:
    """(datablock, path, index, value) of every number that these channels move, as it would be keyed for these
    coefficients with all other channels at 0. Raises FacescriptError (`target_gone`)."""
    style = get_style("linear")
    curves = {
        name: make_curve([0], [coefficients[name]], style) for name in sorted(coefficients, key=INDEX.__getitem__)
    }
    tracks = make_tracks(target, ChannelCurves(curves, np.array([0]), 0, 0, style)).tracks
    return [(track.datablock, track.path, track.index, float(track.curve.values[0])) for track in tracks]


def number(row: MapRow, target: Target | None) -> float:
    """Where the number of a row stands now, keyed or not, in its own unit; of a turn, the degrees by which its bone or
    object is turned about the row's axis.

    Raises FacescriptError (`target_gone`, and `no_axes` for a turn whose bone the face is not turned by).
    """
    obj = row.object.find()
    if row.kind == "KEY":
        return _standing(obj.data.shape_keys, key_path(row.name), 0)
    if row.kind == "PROPERTY":
        place = resolve(obj, row.name, row.index)
        if place is None:
            what = f"{obj.name!r} has no number {row.name!r} any more."
            raise FacescriptError("target_gone", what, "Choose another target for its row.")
        return _standing(*place, row.index)
    turns = target.turns if target is not None else ()
    turn = next((t for t in turns if (t.object, t.bone) == (row.object, row.name)), None)
    if turn is None:
        raise FacescriptError("no_axes", f"{row.name or row.object.name!r} does not turn the face.", "Remove its row.")
    above = turn.angles(_whole(turn.above))[row.index] if turn.above is not None else 0.0
    return math.degrees(turn.angles(_whole(turn))[row.index] - above)


def _whole(turn: Turn) -> Array:
    """The rotation (3, 3) of a bone or an object as it stands, with what the bones above add, in the turn's space."""
    obj, mode, path, _ = rotation_place(turn)
    stands = np.array(to_matrix(list(obj.path_resolve(path)), mode))
    if turn.bone:
        space = np.array(obj.data.bones[turn.bone].matrix_local.to_3x3())
        own = space @ stands @ space.T
        return np.asarray(own if turn.above is None else _whole(turn.above) @ own)
    own = np.array(to_matrix(list(getattr(obj, rotation_property(obj.rotation_mode, delta=False)[0])), mode))
    return np.asarray(own.T @ stands @ own)


@dataclass
class Look:
    """A face that is only looked at: what its numbers were before they were set."""

    target: Target
    _before: dict[tuple[Any, str, int], float] = field(default_factory=dict)

    def show(self, coefficients: Mapping[str, float]) -> None:
        """Set the numbers of these channels. Raises FacescriptError (`target_gone`), with the face as it was."""
        try:
            for datablock, path, index, value in shown_by(self.target, coefficients):
                self._before.setdefault((datablock, path, index), _standing(datablock, path, index))
                set_property(datablock, path, index, value)
        except FacescriptError:
            self.put_back()
            raise

    def put_back(self) -> None:
        """Have every number stand as it did, to the last bit; what is gone meanwhile is left out."""
        for (datablock, path, index), value in self._before.items():
            try:
                set_property(datablock, path, index, value)
                datablock.update_tag()
            except (ReferenceError, ValueError, AttributeError):
                continue
        self._before.clear()


def _standing(datablock: Any, path: str, index: int) -> float:
    """A number as it stands, with what the life layer adds."""
    value = datablock.path_resolve(path)
    return float(value[index] if hasattr(value, "__len__") else value)
