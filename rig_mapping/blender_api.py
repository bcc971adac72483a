# SPDX-License-Identifier: GPL-3.0-or-later
"""F-curves of a datablock on every supported Blender: the only module that knows versions apart.

Up to 4.3 an action has F-curves for one datablock. From 4.4 it has slots, layers, strips and, in a keyframe strip,
one channelbag a slot; `Action.fcurves` is gone from 5.0 on.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt

SLOTTED = bpy.app.version >= (4, 4, 0)

# The option of a file property that takes paths relative to the open file.
RELATIVE_PATH = {"PATH_SUPPORTS_BLEND_RELATIVE"} if bpy.app.version >= (5, 0, 0) else set()

# Every property of a keyframe: its name, its width and the type Blender keeps it in.
FIELDS: tuple[tuple[str, int, str], ...] = (
    ("co", 2, "f4"),
    ("handle_left", 2, "f4"),
    ("handle_right", 2, "f4"),
    ("interpolation", 1, "i4"),
    ("easing", 1, "i4"),
    ("handle_left_type", 1, "i4"),
    ("handle_right_type", 1, "i4"),
    ("type", 1, "i4"),
    ("back", 1, "f4"),
    ("amplitude", 1, "f4"),
    ("period", 1, "f4"),
    ("select_control_point", 1, "bool"),
    ("select_left_handle", 1, "bool"),
    ("select_right_handle", 1, "bool"),
)

# Keyframes of one F-curve: property name -> array of shape (K,) or (K, 2).
Keys = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Place:
    """Where F-curves are kept: an action and, with slots, the slot that the datablock uses."""

    action: Any
    slot: Any

    @property
    def key(self) -> str:
        """A name for the slot that stays when it is renamed: its handle, or "0" where there are no slots."""
        return str(self.slot.handle) if self.slot is not None else "0"


def enum_value(name: str, identifier: str) -> int:
    """The number behind a keyframe's enum property, which is what `foreach_set` takes."""
    prop: Any = bpy.types.Keyframe.bl_rna.properties[name]
    return int(prop.enum_items[identifier].value)


def find_place(datablock: Any) -> Place | None:
    """The action (and slot) that animates a datablock, or None if nothing does."""
    animation = datablock.animation_data
    if animation is None or animation.action is None:
        return None
    if not SLOTTED:
        return Place(animation.action, None)
    return Place(animation.action, animation.action_slot) if animation.action_slot is not None else None


def animation_of(datablock: Any) -> Any:
    """What is the same for datablocks that share their F-curves, and for no others."""
    place = find_place(datablock)
    return (place.action.as_pointer(), place.key) if place is not None else datablock.as_pointer()


def make_place(datablock: Any, name: str) -> Place:
    """The datablock's action and slot, each made if there is none; a new action gets `name`."""
    animation = datablock.animation_data_create()
    if animation.action is None:
        animation.action = bpy.data.actions.new(name)
    action = animation.action
    if not SLOTTED:
        return Place(action, None)
    if animation.action_slot is None:
        animation.action_slot = action.slots.new(id_type=datablock.id_type, name=datablock.name)
    return Place(action, animation.action_slot)


def in_copy(place: Place, action: Any) -> Place:
    """The same place in a copy of its action."""
    if place.slot is None:
        return Place(action, None)
    return Place(action, next(slot for slot in action.slots if slot.handle == place.slot.handle))


def use_place(datablock: Any, place: Place) -> None:
    """Have a place's F-curves move a datablock, whatever moved it before."""
    animation = datablock.animation_data_create()
    animation.action = place.action
    if place.slot is not None:
        animation.action_slot = place.slot


def is_there(place: Place) -> bool:
    """Whether a place that was found before is still there; never touches what is not."""
    try:
        slots = {slot.as_pointer() for slot in place.action.slots} if place.slot is not None else set()
        _ = place.action.name
    except ReferenceError:
        return False
    return place.slot is None or place.slot.as_pointer() in slots


def place_of(action: Any) -> Place:
    """An action that was made for one datablock, with its only slot where there are slots."""
    return Place(action, action.slots[0] if SLOTTED and len(action.slots) else None)


def keyed_by_others(place: Place) -> bool:
    """Whether other slots of the place's action have F-curves."""
    if place.slot is None:
        return False
    others = [slot for slot in place.action.slots if slot.handle != place.slot.handle]
    return any(next(fcurves(Place(place.action, slot)), None) is not None for slot in others)


def remove_slot(place: Place) -> None:
    """Remove the place's slot with all its F-curves from its action, where there are slots."""
    if place.slot is not None:
        place.action.slots.remove(place.slot)


def _bag(place: Place) -> Any:
    """What holds `fcurves` and `groups`, or None if nothing was keyed yet."""
    if not SLOTTED:
        return place.action
    for layer in place.action.layers:
        for strip in layer.strips:
            bag = strip.channelbag(place.slot) if strip.type == "KEYFRAME" else None
            if bag is not None:
                return bag
    return None


def _make_bag(place: Place) -> Any:
    bag = _bag(place)
    if bag is not None:
        return bag
    action = place.action
    layer = action.layers[0] if len(action.layers) else action.layers.new("Layer")
    strip = layer.strips[0] if len(layer.strips) else layer.strips.new(type="KEYFRAME")
    return strip.channelbag(place.slot, ensure=True)


def fcurves(place: Place | None) -> Iterator[Any]:
    """The place's F-curves."""
    bag = _bag(place) if place is not None else None
    if bag is not None:
        yield from bag.fcurves


def find_fcurve(place: Place | None, path: str, index: int) -> Any:
    """The F-curve of a property (`index` in its array), or None."""
    bag = _bag(place) if place is not None else None
    return bag.fcurves.find(path, index=index) if bag is not None else None


def fcurve_table(place: Place | None) -> dict[tuple[str, int], Any]:
    """(path, index) -> F-curve: for many look-ups, each of which would walk all F-curves."""
    return {(curve.data_path, curve.array_index): curve for curve in fcurves(place)}


def make_fcurve(place: Place, path: str, index: int, group: str) -> Any:
    """A new F-curve in the group of that name, which is made if there is none."""
    return new_fcurve(place, path, index, group)[0]


def new_fcurve(place: Place, path: str, index: int, group: str) -> tuple[Any, bool]:
    """A new F-curve in the group of that name ("" for none), and whether that group had to be made."""
    bag = _make_bag(place)
    made = bool(group) and group not in bag.groups
    if SLOTTED:
        # The action's own `fcurves` took an `action_group`; a channelbag's takes the group afterwards or by name,
        # depending on the version.
        curve = bag.fcurves.new(path, index=index)
        if group:
            curve.group = bag.groups.new(group) if made else bag.groups[group]
        return curve, made
    return bag.fcurves.new(path, index=index, action_group=group), made


def remove_fcurves(place: Place, curves: Iterable[Any]) -> None:
    """Remove F-curves, and those of their groups that are empty then."""
    bag = _bag(place)
    names = set()
    for curve in list(curves):
        if curve.group is not None:
            names.add(curve.group.name)
        bag.fcurves.remove(curve)
    for name in names:
        group = bag.groups.get(name)
        if group is not None and not len(group.channels):
            bag.groups.remove(group)


def read_keys(curve: Any) -> Keys:
    """All properties of an F-curve's keyframes."""
    points = curve.keyframe_points
    count = len(points)
    keys: Keys = {}
    for name, width, kind in FIELDS:
        flat = np.empty(count * width, dtype=kind)
        points.foreach_get(name, flat)
        keys[name] = flat.reshape(count, width) if width > 1 else flat
    return keys


def write_keys(curve: Any, keys: Keys) -> None:
    """Replace all keyframes of an F-curve, bit for bit; `keys` has every field, in order of frames."""
    points = curve.keyframe_points
    count = len(keys["co"])
    if len(points) != count:
        points.clear()
        points.add(count)
    if count:
        flat = {name: np.ascontiguousarray(keys[name], dtype=kind).ravel() for name, _, kind in FIELDS}
        for name, _, _ in FIELDS:
            points.foreach_set(name, flat[name])
        curve.update()
        # Updating computes automatic handles anew. Those of keys beside the new ones would move, and with them
        # motion outside the range that is written, so all are put back as given.
        for name in ("handle_left", "handle_right"):
            points.foreach_set(name, flat[name])


def shape_key_of(datablock: Any, path: str) -> Any:
    """The shape key that a data path of a Key datablock animates, or None for any other path or datablock."""
    if datablock.id_type != "KEY" or not path.endswith("].value"):
        return None
    try:
        return datablock.path_resolve(path.removesuffix(".value"))
    except ValueError:
        return None


def locked(curve: Any) -> bool:
    """Whether the animator locked the F-curve or its group."""
    return bool(curve.lock or (curve.group is not None and curve.group.lock))


def new_material(name: str) -> Any:
    """A material with a node tree. `use_nodes` is always on from 5.0, and deprecated there."""
    material = bpy.data.materials.new(name)
    if bpy.app.version < (5, 0, 0):
        material.use_nodes = True
    return material


def new_world(name: str) -> Any:
    """A world with a node tree that holds a Background node."""
    world = bpy.data.worlds.new(name)
    if bpy.app.version < (5, 0, 0):
        world.use_nodes = True
    return world


def use_png(render: Any) -> None:
    """Have a scene's renders saved as PNG pictures; from 5.0 the kind of media is chosen first."""
    if bpy.app.version >= (5, 0, 0):
        render.image_settings.media_type = "IMAGE"
    render.image_settings.file_format = "PNG"
    render.image_settings.color_mode = "RGB"
    render.image_settings.color_depth = "8"


def use_mp4(render: Any) -> None:
    """Have a scene's animation saved as an H.264 movie in an MP4 file."""
    if bpy.app.version >= (5, 0, 0):
        render.image_settings.media_type = "VIDEO"
    render.image_settings.file_format = "FFMPEG"
    render.ffmpeg.format = "MPEG4"
    render.ffmpeg.codec = "H264"
    render.ffmpeg.constant_rate_factor = "HIGH"


_IMAGE = ("file_format", "color_mode", "color_depth")
_FFMPEG = ("format", "codec", "constant_rate_factor")


def image_settings(render: Any) -> dict[str, Any]:
    """What `use_png` and `use_mp4` change, for `restore_image_settings`."""
    media = ("media_type",) if bpy.app.version >= (5, 0, 0) else ()
    kept = {name: getattr(render.image_settings, name) for name in (*media, *_IMAGE)}
    return kept | {f"ffmpeg.{name}": getattr(render.ffmpeg, name) for name in _FFMPEG}


def restore_image_settings(render: Any, kept: dict[str, Any]) -> None:
    """Put back what `image_settings` returned."""
    for name, value in kept.items():
        owner = render.ffmpeg if name.startswith("ffmpeg.") else render.image_settings
        setattr(owner, name.removeprefix("ffmpeg."), value)


def add_image_strip(scene: Any, pictures: Sequence[Path]) -> None:
    """Show pictures of one folder in the scene's sequencer, one a frame from frame 1 on."""
    editor = scene.sequence_editor_create()
    strips = editor.strips if bpy.app.version >= (4, 4, 0) else editor.sequences
    strip = strips.new_image("Pictures", str(pictures[0]), 1, 1)
    for picture in pictures[1:]:
        strip.elements.append(picture.name)


def can_draw() -> bool:
    """Whether Workbench can render here. Without a window Blender on Linux draws by EGL, and ends at once, with all
    that is not saved, if that library is not installed."""
    if not bpy.app.background or sys.platform != "linux":
        return True
    try:
        ctypes.CDLL("libEGL.so.1")
    except OSError:
        return False
    return True


def new_action(name: str, datablock: Any) -> Place:
    """An action for datablocks of this kind that nothing uses yet, and its slot, where there are slots."""
    action: Any = bpy.data.actions.new(name)
    if not SLOTTED:
        action.id_root = datablock.id_type
        return Place(action, None)
    return Place(action, action.slots.new(id_type=datablock.id_type, name=datablock.name))


def new_strip(track: Any, name: str, start: int, place: Place) -> Any:
    """A strip at a frame of an NLA track that plays an action, and of it the slot."""
    strip = track.strips.new(name, start, place.action)
    strip.name = name  # 4.3 names it after the action
    if place.slot is not None:
        strip.action_slot = place.slot
    return strip


def strip_fcurves(strip: Any) -> Iterator[Any]:
    """The F-curves that an NLA strip plays, those of a meta strip's strips among them."""
    for inner in getattr(strip, "strips", ()):
        yield from strip_fcurves(inner)
    if strip.action is not None:
        slot = strip.action_slot if SLOTTED else None
        if slot is not None or not SLOTTED:
            yield from fcurves(Place(strip.action, slot))
