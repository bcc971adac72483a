# SPDX-License-Identifier: GPL-3.0-or-later
"""References to objects that outlive undo and reloading: names that are looked up when they are used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import bpy

from ..performance import FacescriptError

_CUSTOM = re.compile(r'(.*)\["((?:[^"\\]|\\.)*)"\]')


@dataclass(frozen=True)
class ObjectRef:
    """An object by name and, for a linked one, its library's path (two libraries may use one name)."""

    name: str
    library: str | None = None

    @classmethod
    def of(cls, obj: Any) -> ObjectRef:
        """The reference to an object."""
        return cls(obj.name, obj.library.filepath if obj.library is not None else None)

    def find(self) -> Any:
        """The object. Raises FacescriptError (`target_gone`) if it was renamed or removed."""
        obj = bpy.data.objects.get((self.name, self.library))
        if obj is None:
            raise FacescriptError(
                "target_gone", f"The object {self.name!r} is not there any more.", "Choose the face again."
            )
        return obj


def editable(datablock: Any) -> bool:
    """Whether animation on a datablock is kept in the file: it is local, or an override that may be edited."""
    if datablock.library is not None:
        return False
    override = datablock.override_library
    return override is None or not override.is_system_override


def driven_paths(datablock: Any) -> set[tuple[str, int]]:
    """(path, index) of every property with a driver."""
    animation = datablock.animation_data
    if animation is None:
        return set()
    return {(driver.data_path, driver.array_index) for driver in animation.drivers}


def key_path(name: str) -> str:
    """The data path of a shape key's value, from its Key datablock."""
    return f'key_blocks["{bpy.utils.escape_identifier(name)}"].value'


def split_custom(path: str) -> tuple[str, str] | None:
    """The data path of what has a custom property, and the property's name; None if a path leads to none."""
    found = _CUSTOM.fullmatch(path)
    return (found[1], bpy.utils.unescape_identifier(found[2])) if found else None


def resolve(obj: Any, name: str, index: int) -> tuple[Any, str] | None:
    """The datablock and the data path from it of a number that `name` leads to from an object, such as
    `pose.bones["jaw"].location`, `["smile"]` or `data["smile"]`; None if there is none."""
    block, path = obj, name
    if name.startswith(("data.", "data[")) and obj.data is not None:
        block, path = obj.data, name.removeprefix("data").removeprefix(".")
    try:
        value = block.path_resolve(path)
        number = value[index] if hasattr(value, "__len__") else value
        float(number)
    except (ValueError, TypeError, IndexError, KeyError):
        return None
    return block, path


def default_of(datablock: Any, path: str, index: int) -> float:
    """What Blender takes for a number's default: its property's, or what a custom property's settings say."""
    custom = split_custom(path)
    if custom:
        owner = datablock.path_resolve(custom[0]) if custom[0] else datablock
        default = owner.id_properties_ui(custom[1]).as_dict().get("default", 0.0)
        return float(default[index] if isinstance(default, (list, tuple)) else default)
    parent, _, name = path.rpartition(".")
    prop: Any = (datablock.path_resolve(parent) if parent else datablock).bl_rna.properties[name]
    return float(prop.default_array[index] if prop.is_array else prop.default)
