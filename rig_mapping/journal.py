# SPDX-License-Identifier: GPL-3.0-or-later
"""All or nothing: what is done to animation is noted with its reverse, and taken back if anything fails."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any

import bpy

from . import blender_api as api
from . import curve_data, life_records, records
from .blender_api import Keys, Place
from .curve_data import CurveData
from .references import split_custom


class Journal:
    """A context in which animation is changed: an exception takes everything back, last first, and goes on."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while kind is not None and self._undo:
            # What was removed meanwhile needs nothing taken back, and must not keep the rest from it.
            with suppress(ReferenceError, ValueError, AttributeError, KeyError, RuntimeError):
                self._undo.pop()()

    def make_place(self, datablock: Any, name: str) -> tuple[Place, bool, bool]:
        """The datablock's action and slot, and whether the action and the slot had to be made."""
        animation = datablock.animation_data
        had_action = animation is not None and animation.action is not None
        had_place = api.find_place(datablock) is not None
        if had_place:
            found = api.find_place(datablock)
            assert found is not None
            return found, False, False
        made: list[Any] = []

        def undo() -> None:
            place = api.find_place(datablock)
            if had_action and place is not None:
                api.remove_slot(place)
            elif not had_action and datablock.animation_data is not None:
                action = made[0] if made else datablock.animation_data.action
                if action is not None and datablock.animation_data.action == action:
                    datablock.animation_data.action = None
                if action is not None and not action.users:
                    bpy.data.actions.remove(action)
            if animation is None and (datablock.animation_data is None or datablock.animation_data.action is None):
                datablock.animation_data_clear()

        self._undo.append(undo)
        place = api.make_place(datablock, name)
        made.append(place.action)
        return place, not had_action, True

    def rename(self, action: Any, name: str) -> None:
        """Give an action another name; Blender may make it unique."""
        before = action.name
        self._undo.append(lambda: setattr(action, "name", before))
        action.name = name

    def write_keys(self, place: Place, path: str, index: int, group: str, keys: Keys) -> None:
        """Replace an F-curve's keyframes; the F-curve is made if there is none."""
        curve = api.find_fcurve(place, path, index)
        if curve is None:

            def undo() -> None:
                made = _find(place, path, index)
                if made is not None:
                    api.remove_fcurves(place, [made])

            self._undo.append(undo)
            curve = api.make_fcurve(place, path, index, group)
        else:
            before = api.read_keys(curve)
            self._undo.append(lambda: api.write_keys(_find(place, path, index), before))
        api.write_keys(curve, keys)

    def remove_fcurve(self, place: Place, path: str, index: int) -> None:
        """Remove an F-curve."""
        curve = api.find_fcurve(place, path, index)
        before = curve_data.read(curve)
        self._undo.append(lambda: api.is_there(place) and curve_data.write(place, path, index, before))
        api.remove_fcurves(place, [curve])

    def add_fcurve(self, place: Place, path: str, index: int, data: CurveData) -> None:
        """Make an F-curve that is not there yet, with all that belongs to it."""

        def undo() -> None:
            made = _find(place, path, index)
            if made is not None:
                api.remove_fcurves(place, [made])

        self._undo.append(undo)
        curve_data.write(place, path, index, data)

    def new_action(self, name: str, datablock: Any) -> Place:
        """Make an action for datablocks of this kind that nothing uses yet."""
        place = api.new_action(name, datablock)
        self._undo.append(lambda: bpy.data.actions.remove(place.action))
        return place

    def save_record(self, place: Place, record: records.SlotRecord) -> None:
        """Store a record."""
        before = place.action.get(records.PROPERTY)

        def undo() -> None:
            if before is not None:
                place.action[records.PROPERTY] = before
            elif records.PROPERTY in place.action:
                del place.action[records.PROPERTY]

        self._undo.append(undo)
        records.save(place, record)

    def set_property(self, datablock: Any, path: str, index: int, value: float) -> None:
        """Set a property by its data path."""
        before = get_property(datablock, path, index)
        self._undo.append(lambda: set_property(datablock, path, index, before))
        set_property(datablock, path, index, value)


def _find(place: Place, path: str, index: int) -> Any:
    """An F-curve for taking something back; None if it, or all that it was in, is gone meanwhile."""
    return api.find_fcurve(place, path, index) if api.is_there(place) else None


def _owner(datablock: Any, path: str) -> tuple[Any, str]:
    # Names in brackets may hold dots; the property's own name after the last dot does not.
    owner, prop = split_custom(path) or path.rpartition(".")[::2]
    return (datablock.path_resolve(owner) if owner else datablock), prop


def _read(datablock: Any, path: str) -> Any:
    owner, prop = _owner(datablock, path)
    return owner[prop] if split_custom(path) else getattr(owner, prop)


def get_property(datablock: Any, path: str, index: int) -> float:
    """A number by its data path; `index` in its array, if it is one. Raises ValueError, AttributeError or KeyError if
    it is not there.

    It is as it stands: without what the life layer adds to a property that nothing else animates.
    """
    value = _read(datablock, path)
    standing = life_records.standing(datablock, path, index)
    if standing is not None:
        return standing
    return float(value[index] if hasattr(value, "__len__") else value)


def set_property(datablock: Any, path: str, index: int, value: float) -> None:
    """Set what `get_property` gets."""
    owner, prop = _owner(datablock, path)
    old = _read(datablock, path)
    if hasattr(old, "__len__"):
        old[index] = value
    elif split_custom(path):
        # A custom property keeps its type: an int stays one.
        owner[prop] = type(old)(value)
    else:
        setattr(owner, prop, type(old)(value))
