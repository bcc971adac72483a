# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes as strips of the NLA editor: one on each datablock, on a track named after the take.

Below all of them lies a track that holds the face at rest. Without it, Blender blends a strip in from the property's
default, which for shape keys is 1 in 5.0, and leaves properties as they last were where no strip plays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import bpy
import numpy as np

from ..performance import FacescriptError
from . import blender_api as api
from . import keys, life_records, planning, records, takes
from .records import Address
from .references import editable
from .takes import Store

REST = "Facescript Rest"
# On the action of the rest track.
_REST_MARK = "facescript_rest"

Blend = Literal["REPLACE", "COMBINE", "ADD"]


@dataclass(frozen=True)
class Placing:
    """How strips are placed: `frame` is where the first key comes, the others are frames of fading in and out."""

    frame: float
    blend_in: float = 0.0
    blend_out: float = 0.0
    blend_type: Blend = "REPLACE"


def check(datablocks: Iterable[Any]) -> None:
    """Raise the FacescriptError that keeps strips from datablocks: `linked`, `tweak_mode`, `nla_off`, `nla_life`,
    `nla_solo`."""
    for block in datablocks:
        animation = block.animation_data
        owner = takes.owner_of(block).name
        if not editable(block):
            raise FacescriptError("linked", f"{owner!r} is linked from another file.", "Make it local.")
        if animation is None:
            continue
        planning.check_tweak_mode(block)
        if not animation.use_nla:
            raise FacescriptError("nla_off", f"{owner!r} has its NLA turned off.", "Turn it on in the NLA editor.")
        if life_records.find_track(block) is not None:
            raise FacescriptError(
                "nla_life", f"{owner!r} has a life layer, which goes with keys.", "Remove life before."
            )
        if any(track.is_solo for track in animation.nla_tracks):
            raise FacescriptError("nla_solo", f"{owner!r} has a solo track in the NLA.", "Turn Solo off.")


def place(stores: Sequence[Store], name: str, how: Placing) -> tuple[float, float]:
    """Have strips play the keys of a take that waits; the frames at which they begin and end.

    All or nothing. Raises FacescriptError as `check` does, and `no_keys`.
    """
    span = takes.span_of(stores)
    if span is None:
        raise FacescriptError("no_keys", f"{name!r} has no keys to place.", "Generate first, or select another take.")
    check(store.datablock for store in stores)
    end = how.frame + max(1.0, span[1] - span[0])
    if how.blend_in + how.blend_out > end - how.frame:
        raise FacescriptError(
            "long_blend", f"The strip has only {end - how.frame:g} frames to blend in and out.", "Shorten the blends."
        )
    with ExitStack() as undo:
        for store in stores:
            _put_on(store, name, how, (span[0], end - how.frame + span[0]), undo)
        undo.pop_all()
    for store in stores:
        _settle(store.datablock)
    return how.frame, end


def remove(stores: Iterable[Store]) -> None:
    """Take the strips of a take off, with their tracks if nothing else is on them. Raises FacescriptError as
    `check` does."""
    stores = list(stores)
    check(store.datablock for store in stores)
    for store in stores:
        animation = store.datablock.animation_data
        for track in list(animation.nla_tracks) if animation is not None else ():
            for strip in [strip for strip in track.strips if strip.action == store.action]:
                track.strips.remove(strip)
                if not len(track.strips):
                    animation.nla_tracks.remove(track)
                    break
        _settle(store.datablock)


def _put_on(store: Store, name: str, how: Placing, span: tuple[float, float], undo: ExitStack) -> None:
    block = store.datablock
    if block.animation_data is None:
        undo.callback(block.animation_data_clear)
    animation = block.animation_data_create()
    source = api.place_of(store.action)
    _rest(block, source, undo)
    track = animation.nla_tracks.new()
    undo.callback(animation.nla_tracks.remove, track)
    track.name = name
    strip = api.new_strip(track, name, round(how.frame), source)
    strip.action_frame_start, strip.action_frame_end = span
    strip.frame_start = how.frame
    strip.frame_end = how.frame + span[1] - span[0]
    strip.use_auto_blend = False
    strip.blend_in, strip.blend_out = how.blend_in, how.blend_out
    # Of values, Combine adds the difference from the default that is 1 in 5.0; of rotations, it turns further.
    strip.blend_type = "ADD" if how.blend_type == "COMBINE" and block.id_type == "KEY" else how.blend_type
    block.update_tag()


def _rest(block: Any, source: api.Place, undo: ExitStack) -> None:
    """Have the rest track hold every property that the take animates and that no track of the animator's does."""
    rest = _rest_place(block)
    if rest is None:
        rest = api.new_action(f"{REST} ({takes.owner_of(block).name[:40]})", block)
        undo.callback(bpy.data.actions.remove, rest.action)
        rest.action[_REST_MARK] = True
    record = records.load(source).curves
    taken = {(c.data_path, c.array_index) for strip in _strips(block) for c in api.strip_fcurves(strip)}
    wanted = [a for a in api.fcurve_table(source) if a not in taken or a in api.fcurve_table(rest)]
    for address in wanted:
        if api.find_fcurve(rest, *address) is None:
            _hold(rest, address, takes.rest_value(block, address, record.get(address)))
    if wanted and _rest_place(block) is None:
        tracks = block.animation_data.nla_tracks
        track = tracks.new()
        undo.callback(tracks.remove, track)
        track.name = REST
        strip = api.new_strip(track, REST, 0, rest)
        strip.extrapolation = "HOLD"


def _hold(rest: api.Place, address: Address, value: float) -> None:
    codes = planning.enum_codes()
    x = np.array([0.0, 1.0])
    y = np.full(2, value)
    flat = np.stack([x, y], axis=1)
    curve = api.make_fcurve(rest, *address, REST)
    api.write_keys(curve, keys.new_keys(x, y, flat, flat, "LINEAR", codes))


def _strips(block: Any) -> Iterator[Any]:
    """The strips of a datablock, from below."""
    animation = block.animation_data
    for track in animation.nla_tracks if animation is not None else ():
        yield from track.strips


def _rest_place(block: Any) -> api.Place | None:
    found = (s.action for s in _strips(block) if s.action is not None and _REST_MARK in s.action)
    return next((api.place_of(action) for action in found), None)


def _settle(block: Any) -> None:
    """Have the lowest strip of a take's hold its ends, as keys do, and the others leave what is below them; without
    strips of takes, the rest track goes."""
    held = False
    mine = [strip for strip in _strips(block) if strip.action is not None and takes.waits(strip.action)]
    for strip in mine:
        holds = not held and strip.blend_type == "REPLACE"
        strip.extrapolation = "HOLD" if holds else "NOTHING"
        held = held or holds
    rest = _rest_place(block)
    if rest is not None and not mine:
        tracks = block.animation_data.nla_tracks
        for track in [t for t in tracks if any(strip.action == rest.action for strip in t.strips)]:
            tracks.remove(track)
        bpy.data.actions.remove(rest.action)
    block.update_tag()
