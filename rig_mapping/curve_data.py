# SPDX-License-Identifier: GPL-3.0-or-later
"""An F-curve with all that belongs to it, as plain values: taken from one action and put into another, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import blender_api as api
from .blender_api import Keys, Place

# What a copy has by where it is, or what Blender works out.
_NOT_COPIED = {"rna_type", "data_path", "array_index", "is_valid", "group"}


@dataclass(frozen=True, eq=False)
class Modifier:
    """An F-modifier: its type, its settings, and the control points that an envelope has."""

    type: str
    settings: Mapping[str, Any]
    points: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, eq=False)
class CurveData:
    """An F-curve's keys, settings and modifiers, and the name and settings of its group (empty if it has none)."""

    keys: Keys
    settings: Mapping[str, Any]
    modifiers: tuple[Modifier, ...]
    group: str
    group_settings: Mapping[str, Any]


def read(curve: Any) -> CurveData:
    """All of an F-curve but for baked samples, which cannot be written."""
    group = curve.group
    return CurveData(
        keys=api.read_keys(curve),
        settings=_settings(curve),
        modifiers=tuple(_modifier(modifier) for modifier in curve.modifiers),
        group=group.name if group is not None else "",
        group_settings=_settings(group) if group is not None else {},
    )


def write(place: Place, path: str, index: int, data: CurveData) -> Any:
    """Make an F-curve that is not there yet. A group that is there already keeps its own settings."""
    curve, made = api.new_fcurve(place, path, index, data.group)
    if made:
        _set(curve.group, data.group_settings)
    for modifier in data.modifiers:
        new = curve.modifiers.new(modifier.type)
        _set(new, modifier.settings)
        for point in modifier.points:
            new.control_points.add(point["frame"])
        # One by one, each change would have Blender (5.0 at least) look for an F-curve where there is none, and end.
        for name in ("min", "max"):
            values = [point[name] for point in modifier.points]
            if values:
                new.control_points.foreach_set(name, values)
    for modifier, new in zip(data.modifiers, curve.modifiers, strict=True):
        if modifier.settings["active"]:
            new.active = True  # the others are not, then
    # Some settings have Blender compute handles anew, so the keys come last.
    _set(curve, data.settings)
    api.write_keys(curve, data.keys)
    return curve


def _modifier(modifier: Any) -> Modifier:
    points = tuple(_settings(point) for point in getattr(modifier, "control_points", ()))
    return Modifier(modifier.type, _settings(modifier), points)


def _settings(owner: Any) -> dict[str, Any]:
    found = {}
    for prop in owner.bl_rna.properties:
        if not prop.is_readonly and prop.identifier not in _NOT_COPIED:
            value = getattr(owner, prop.identifier)
            found[prop.identifier] = tuple(value) if getattr(prop, "is_array", False) else value
    return found


def _set(owner: Any, settings: Mapping[str, Any]) -> None:
    # Twice: limits such as an end after its start hold each other back.
    for _ in range(2):
        for name, value in settings.items():
            if name != "active":
                setattr(owner, name, value)
