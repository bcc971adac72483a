# SPDX-License-Identifier: GPL-3.0-or-later
"""A face and a scene that are kept in mind while something takes its time, whatever is done to the file meanwhile.

Nothing of Blender's is held but numbers that it gives a datablock for as long as the file is open: they outlive undo,
renaming and what else moves datablocks in memory, and no other datablock gets them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import bpy
import numpy as np

from ..performance import FacescriptError
from ..rig_mapping import blender_api
from ..rig_mapping.references import ObjectRef, driven_paths
from ..rig_mapping.targets import Target
from ..rig_mapping.tracks import number_places
from . import faces


class Held:
    """A face (`Target`) and the scene that it is performed in."""

    def __init__(self, target: Target, scene: Any) -> None:
        """Raises FacescriptError (`target_gone`)."""
        self.target = target
        self._scene = scene.session_uid
        self._owner = target.owner.find().session_uid
        self._numbers = _numbers(target)

    def find(self) -> tuple[Any, Any]:
        """The face's settings and the scene now; `target` is the face then, also if objects were renamed meanwhile.

        Raises FacescriptError (`target_gone`, and what `faces.find` raises if there is no face any more).
        """
        scene = _numbered(bpy.data.scenes, self._scene)
        if scene is None:
            raise FacescriptError("target_gone", "The scene was deleted meanwhile.", "Choose a face, and try again.")
        owner = _numbered(bpy.data.objects, self._owner)
        if owner is None:
            what = f"The face {self.target.name!r} was deleted meanwhile."
            raise FacescriptError("target_gone", what, "Choose another face, and try again.")
        if not self._as_it_was():
            self.target = faces.find(owner)
            if self.target.owner.find() != owner:
                what = f"The face {self.target.name!r} is made of other objects than before."
                raise FacescriptError("target_gone", what, "Choose the face, and try again.")
            self._numbers = _numbers(self.target)
        return faces.settings_of(self.target), scene

    def sight(self) -> object:
        """All that writing depends on and holds on to between two steps, as something that can be compared."""
        scene = _numbered(bpy.data.scenes, self._scene)
        try:
            objects = [ref.find() for ref in self._numbers]
            settings = self.target.owner.find().facescript
        except FacescriptError:
            return None
        markers = tuple(marker.as_pointer() for marker in scene.timeline_markers) if scene is not None else None
        parts = tuple(_parts(block) for obj in objects for block in _animated(obj))
        return settings.as_pointer(), len(settings.beats), markers, parts

    def _as_it_was(self) -> bool:
        """Whether the names of the target still lead to the same objects, and to numbers that can be keyed."""
        try:
            places = number_places(self.target)
            same = _numbers(self.target) == self._numbers
        except FacescriptError:
            return False
        driven = {place.datablock: driven_paths(place.datablock) for place in places}
        return same and not any(place.address in driven[place.datablock] for place in places)


def _animated(obj: Any) -> list[Any]:
    """The datablocks of an object that can have F-curves of a face."""
    keys = getattr(obj.data, "shape_keys", None)
    return [block for block in (obj, obj.data, keys) if block is not None]


def _parts(block: Any) -> tuple[Any, ...]:
    """Where a datablock and what animates it are in memory, and where all keys of that are."""
    place = blender_api.find_place(block)
    curves = tuple((curve.as_pointer(), _keys(curve)) for curve in blender_api.fcurves(place))
    keys = tuple((key.as_pointer(), key.name) for key in block.key_blocks) if block.id_type == "KEY" else ()
    return block.as_pointer(), place and (place.action.as_pointer(), place.key), curves, keys


def _keys(curve: Any) -> bytes:
    flat = np.empty(2 * len(curve.keyframe_points), dtype="f4")
    curve.keyframe_points.foreach_get("co", flat)
    return flat.tobytes()


def _numbers(target: Target) -> dict[ObjectRef, int]:
    refs = [target.owner, *(number.object for number in target.numbers), *(turn.object for turn in target.turns)]
    refs += [mesh.object for mesh in target.meshes]
    return {ref: ref.find().session_uid for ref in dict.fromkeys(refs)}


def _numbered(blocks: Iterable[Any], number: int) -> Any:
    """The datablock with a number, or None."""
    return next((block for block in blocks if block.session_uid == number), None)
