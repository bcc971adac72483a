# SPDX-License-Identifier: GPL-3.0-or-later
"""The keys of takes that are not shown: each datablock's F-curves of the face wait in an action of their own.

Exchanged are the F-curves that show the face's channels, the animator's keys and modifiers with them, and the record
of what was written. Everything else in the actions that the face uses stays where it is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import bpy

from ..performance import CHANNELS, FacescriptError
from ..performance.parsing import parse_json
from . import blender_api as api
from . import curve_data, planning, records, renames, timeline
from .journal import Journal
from .keys import Record
from .records import Address, SlotRecord
from .references import default_of
from .targets import Target
from .tracks import datablocks, properties

# The names of a datablock's shape keys or bones, on the action that waits: to find those that are renamed meanwhile.
_NAMES = "facescript_names"
_ALL = tuple(channel.name for channel in CHANNELS)

Curves = dict[Address, Any]


@dataclass(frozen=True)
class Store:
    """The action in which one datablock's F-curves of a take wait."""

    datablock: Any
    action: Any


def exchange(target: Target, name: str, stores: Iterable[Store] = ()) -> list[Store]:
    """Put the keys that the face shows away, as those of a take of this name, and show those of `stores` instead.

    F-curves where those of `stores` belong go away with them, even if they show nothing of the face any more. Where two
    datablocks have one action by now, the first one's keys are shown. The actions of `stores` are gone then, as
    `discard` has it. All or nothing. Raises FacescriptError (`target_gone`, `linked_action`, `tweak_mode`,
    `baked_curve`).
    """
    waiting = {store.datablock: store for store in stores}
    blocks = _blocks(target, waiting)
    coming: dict[Any, set[Address]] = {}
    for block, store in waiting.items():
        coming.setdefault(api.animation_of(block), set()).update(_stored(store))
    shown = {block: _curves(target, block, coming.get(api.animation_of(block), ())) for block in blocks}
    for block, curves in shown.items():
        _check(block, curves, block in waiting)
    before = {block: records.load(api.find_place(block)) for block in (*blocks, *waiting)}
    with Journal() as journal:
        away = [_put_away(block, curves, name, journal) for block, curves in shown.items()]
        for block, store in waiting.items():
            _bring(store, before[block], journal)
    for block in blocks:
        timeline.drop_empty(block, before[block])
        block.update_tag()
    discard(waiting.values())
    return [store for store in away if store is not None]


def copied(target: Target, name: str) -> list[Store]:
    """Copies of the keys that the face shows, as those of a take of this name. Raises what `exchange` raises."""
    shown = {block: _curves(target, block) for block in _blocks(target, ())}
    for block, curves in shown.items():
        _check(block, curves, False)
    with Journal() as journal:
        made = [_copy(block, curves, name, journal) for block, curves in shown.items()]
    return [store for store in made if store is not None]


def shows_keys(target: Target) -> bool:
    """Whether the face has keys on any of its channels. Raises FacescriptError (`target_gone`)."""
    return any(_curves(target, block) for block in datablocks(target))


def rest_value(datablock: Any, address: Address, record: Record | None) -> float:
    """What a property stands at when the face's keys are taken from it: what it was before they were written."""
    if record is not None and record.made:
        return record.before
    # Blender's own default for a shape key is 1 in some versions.
    return 0.0 if datablock.id_type == "KEY" else default_of(datablock, *address)


def _blocks(target: Target, more: Iterable[Any]) -> list[Any]:
    """The datablocks of a face, those that share their F-curves once, and `more`."""
    found: dict[Any, Any] = {}
    for block in (*datablocks(target), *more):
        found.setdefault(api.animation_of(block), block)
    return list(found.values())


def _curves(target: Target, block: Any, more: Collection[Address] = ()) -> Curves:
    """A datablock's F-curves that show channels of the face, or that were written for one, or whose addresses are among
    `more`."""
    mine = {address for owner, address in properties(target, _ALL) if owner == block}
    mine |= {*renames.load(block).curves, *more}
    return {address: curve for address, curve in api.fcurve_table(api.find_place(block)).items() if address in mine}


def _check(block: Any, found: Curves, wanted: bool) -> None:
    planning.check_action(block, bool(found) or wanted)
    for (path, _), curve in found.items():
        if len(curve.sampled_points):
            raise FacescriptError(
                "baked_curve",
                f"{path} of {block.name!r} is baked to samples, which a take cannot keep.",
                "Convert it to keys (Channel > Samples to Keys in the Graph Editor).",
            )


def _copy(block: Any, found: Curves, name: str, journal: Journal) -> Store | None:
    record = renames.load(block)
    if not found and not record.curves:
        return None
    place = journal.new_action(f"{name[:30]} ({owner_of(block).name[:24]})", block)
    for (path, index), curve in found.items():
        journal.add_fcurve(place, path, index, curve_data.read(curve))
    records.save(place, record)
    place.action[_NAMES] = json.dumps(_names(block))
    return Store(block, place.action)


def _put_away(block: Any, found: Curves, name: str, journal: Journal) -> Store | None:
    store, place = _copy(block, found, name, journal), api.find_place(block)
    if store is None or place is None:
        return None
    record = renames.load(block)
    for address in found:
        journal.remove_fcurve(place, *address)
        try:
            journal.set_property(block, *address, rest_value(block, address, record.curves.get(address)))
        except (ValueError, AttributeError, KeyError):
            continue  # the key or the bone is gone
    journal.save_record(place, SlotRecord())
    return store


def _stored(store: Store) -> Curves:
    """The F-curves of a take that waits, by where they belong now."""
    names = _renamed(store.action, store.datablock)
    return {_now(address, names): curve for address, curve in api.fcurve_table(api.place_of(store.action)).items()}


def _bring(store: Store, before: SlotRecord, journal: Journal) -> None:
    block, stored = store.datablock, records.load(api.place_of(store.action))
    # Those of a datablock that has the same action by now.
    there = api.fcurve_table(api.find_place(block))
    curves = {address: curve_data.read(c) for address, c in _stored(store).items() if address not in there}
    if not curves:
        return
    place, new_action, new_slot = journal.make_place(block, stored.made_action or store.action.name)
    shown = records.load(place)
    for (path, index), data in curves.items():
        journal.add_fcurve(place, path, index, data)
    ours = new_action or place.action.name == before.made_action
    if ours and stored.made_action and place.action.name != stored.made_action:
        journal.rename(place.action, stored.made_action)
    names = _renamed(store.action, block)
    rows = {_now(address, names): row for address, row in stored.curves.items()} | shown.curves
    made = place.action.name if ours else ""
    journal.save_record(place, replace(stored, made_action=made, made_slot=new_slot or before.made_slot, curves=rows))


def owner_of(block: Any) -> Any:
    """What a datablock is known by: shape keys by their mesh."""
    return block.user if block.id_type == "KEY" else block


def _names(block: Any) -> list[str]:
    """The names that data paths of a datablock have in brackets."""
    if block.id_type == "KEY":
        return [key.name for key in block.key_blocks]
    return [bone.name for bone in block.pose.bones] if block.pose is not None else []


def _renamed(action: Any, block: Any) -> dict[str, str]:
    """The names that are others now, and those: the one in the same place, if none came or went."""
    try:
        old = [str(name) for name in parse_json(action.get(_NAMES, "[]"))]
    # AttributeError, TypeError: a property that is no text, or no list in it.
    except (FacescriptError, AttributeError, TypeError):
        return {}
    now = _names(block)
    if len(old) != len(now):
        return {}
    return {was: name for was, name in zip(old, now, strict=True) if was not in now and name not in old}


def _now(address: Address, names: dict[str, str]) -> Address:
    path, index = address
    for was, name in names.items():
        path = path.replace(f'["{bpy.utils.escape_identifier(was)}"]', f'["{bpy.utils.escape_identifier(name)}"]')
    return path, index


def waits(action: Any) -> bool:
    """Whether keys of a take wait in an action."""
    return _NAMES in action


def span_of(stores: Iterable[Store]) -> tuple[float, float] | None:
    """The first and the last frame with a key of a take that waits, or None if it has none."""
    frames = [
        point.co.x
        for store in stores
        for curve in api.fcurves(api.place_of(store.action))
        for point in (curve.keyframe_points[:1] + curve.keyframe_points[-1:] if len(curve.keyframe_points) else ())
    ]
    return (min(frames), max(frames)) if frames else None


def discard(stores: Iterable[Store]) -> None:
    """Remove the keys of a take that waits, with their actions, unless something else is keyed there by now."""
    for store in stores:
        place = api.place_of(store.action)
        if not api.keyed_by_others(place):
            bpy.data.actions.remove(store.action)
            continue
        api.remove_slot(place)
        for name in (_NAMES, records.PROPERTY):
            if name in store.action:
                del store.action[name]


def duplicated(stores: Iterable[Store], name: str) -> list[Store]:
    """Copies of the keys of a take that waits, as those of a take of this name."""
    made = []
    for store in stores:
        copy = store.action.copy()
        copy.name = f"{name[:30]} ({owner_of(store.datablock).name[:24]})"
        made.append(Store(store.datablock, copy))
    return made
