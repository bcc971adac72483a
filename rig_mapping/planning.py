# SPDX-License-Identifier: GPL-3.0-or-later
"""What writing would change on a datablock, worked out and checked before anything is touched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ..performance import FacescriptError
from . import blender_api as api
from . import keys, records, renames
from .blender_api import Keys
from .carry import ONE_KEY, Carry, Floats, near_any
from .curves import ChannelCurves, Curve, Frames, evaluate, make_curve
from .journal import get_property
from .keys import Codes, Record
from .records import Address
from .references import driven_paths, editable
from .steps import Steps
from .styles import Style
from .tracks import Track


@dataclass(frozen=True)
class Edit:
    """One F-curve's new keys, of which `written` are the performance's; None removes the F-curve and gives the
    property its value `before` again."""

    address: Address
    group: str
    keys: Keys | None
    before: float
    written: int = 0


@dataclass(frozen=True)
class Plan:
    """All that changes on one datablock, worked out before anything is touched."""

    datablock: Any
    edits: tuple[Edit, ...]
    curves: dict[Address, Record]


def enum_codes() -> Codes:
    """The numbers of Blender's enums that keys are written with."""
    return Codes(
        interpolation={name: api.enum_value("interpolation", name) for name in ("BEZIER", "LINEAR")},
        handles={name: api.enum_value("handle_left_type", name) for name in ("ALIGNED", "VECTOR")},
        keyframe=api.enum_value("type", "KEYFRAME"),
    )


def check_tweak_mode(datablock: Any) -> None:
    """Raise FacescriptError (`tweak_mode`) if a strip of the datablock's is being tweaked."""
    animation = datablock.animation_data
    if animation is not None and animation.use_tweak_mode:
        owner = datablock.user if datablock.id_type == "KEY" else datablock
        # The action is the strip's then, and frames in it are not the scene's.
        raise FacescriptError(
            "tweak_mode",
            f"The animation of {owner.name!r} is in NLA tweak mode, where keys would land at other times.",
            "Leave tweak mode (Tab in the NLA editor), and try again.",
        )


def check_action(datablock: Any, needed: bool) -> None:
    """Raise FacescriptError if the action that must be changed is another file's (`linked_action`), or is a strip's
    that is being tweaked (`tweak_mode`)."""
    animation = datablock.animation_data
    if not needed or animation is None:
        return
    check_tweak_mode(datablock)
    action = animation.action
    if action is not None and not editable(action):
        raise FacescriptError(
            "linked_action",
            f"The action {action.name!r} of {datablock.name!r} is linked from another file.",
            "Make the action local, or unlink it, and generate again.",
        )


def held(curve: Any) -> bool:
    """Whether an F-curve must be left alone: it is locked or baked."""
    return bool(api.locked(curve) or len(curve.sampled_points))


def check(datablocks: Iterable[Any], properties: Iterable[tuple[Any, Address]]) -> None:
    """Raise the FacescriptError that keeps `properties`, on some of a target's datablocks, from being keyed.

    `linked_action`, `tweak_mode`; if there are some and every one is locked or baked, `nothing_to_write`; if drivers
    have come to some of these, `driven_keys`.
    """
    wanted = list(properties)
    free, driven_too = not wanted, False
    for block in datablocks:
        mine = [address for owner, address in wanted if owner == block]
        place = api.find_place(block)
        check_action(block, bool(mine) or bool(records.load(place).curves))
        present, driven = api.fcurve_table(place), driven_paths(block)
        driven_too = driven_too or not driven.isdisjoint(mine)
        loose = [address for address in mine if address not in driven]
        free = free or any(address not in present or not held(present[address]) for address in loose)
    if not free and driven_too:
        hint = "Remove the drivers, or click the face and generate again to have it found anew."
        raise FacescriptError("driven_keys", "Every channel of the face is driven or locked.", hint)
    if not free:
        raise FacescriptError(
            "nothing_to_write", "Every channel of the face is locked.", "Unlock channels in the Graph Editor."
        )


class Planner:
    """Works out what writing changes on one datablock."""

    def __init__(
        self,
        datablock: Any,
        curves: ChannelCurves,
        keep_edits: bool,
        append: bool,
        carry: Carry | None = None,
        before: Mapping[Address, Track] = MappingProxyType({}),
    ) -> None:
        """`before` are the tracks of `carry`'s performance, if a beat of it was reshaped."""
        self._datablock = datablock
        self._range = (curves.start, curves.end)
        self._beats, self._style = curves.beats, curves.style
        self._carry = carry
        self._before = before
        self._keep_edits = keep_edits
        self._append = append
        self._codes = enum_codes()
        place = api.find_place(datablock)
        self._records = renames.load(datablock).curves
        self._present = api.fcurve_table(place)
        # The face was found before: drivers may have come since.
        self._driven = driven_paths(datablock)

    def _held(self, address: Address) -> bool:
        """Whether what is at an address must be left alone."""
        curve = self._present.get(address)
        return address in self._driven or (curve is not None and held(curve))

    def plan(self, tracks: list[Track], warnings: list[str]) -> Steps[Plan]:
        """The edits for the tracks, and for what the last performance keyed and this one does not."""
        edits: list[Edit] = []
        rows: dict[Address, Record] = {}
        locked: list[str] = []
        for track in tracks:
            address = (track.path, track.index)
            curve = self._present.get(address)
            if self._held(address):
                locked.append(track.path)
                continue
            edit, rows[address] = self._edit(track, curve)
            edits.append(edit)
            yield
        done = {edit.address for edit in edits}
        for address in dict.fromkeys((*self._records, *self._before)):
            curve, old = self._present.get(address), self._records.get(address)
            if address in rows or address in done or curve is None:
                continue
            if self._append or self._held(address):
                if old is not None:
                    rows[address] = old
            elif self._carry is not None:
                edit, row = self._left(self._carry, address, curve, old)
                edits.append(edit)
                if row is not None:
                    rows[address] = row
            elif old is not None:
                edits.append(without_ours(address, curve, old, self._codes))
            yield
        if locked:
            names = ", ".join(list(dict.fromkeys(locked))[:4]) + (" and more" if len(locked) > 4 else "")
            warnings.append(f"Locked, baked or driven, and left alone: {names}.")
        return Plan(self._datablock, tuple(edits), rows)

    def _edit(self, track: Track, curve: Any) -> tuple[Edit, Record]:
        """What a track makes of its F-curve (None if there is none yet), and the record of it."""
        c = track.curve
        address = (track.path, track.index)
        if curve is None:
            before = get_property(self._datablock, *address)
            row = Record(c.frames, c.values, True, before)
            return Edit(address, track.group, self._new(c), before, len(c.frames)), row
        old, have = self._records.get(address), api.read_keys(curve)
        return self._replaced(track, have, old) if self._carry is None else self._carried(self._carry, track, have, old)

    def _new(self, c: Curve) -> Keys:
        return keys.new_keys(c.frames, c.values, c.left, c.right, c.interpolation, self._codes)

    def _carried(self, carry: Carry, track: Track, have: Keys, old: Record | None) -> tuple[Edit, Record]:
        """The animator's keys, where they go, and the track's keys between them."""
        address = (track.path, track.index)
        hand = self._hand(carry, address, have, old, track)
        c = _pinned(track.curve, self._beats, hand["co"][:, 0].astype(np.float64), self._style)
        free = ~near_any(c.frames, hand["co"][:, 0], ONE_KEY)
        joined = keys.join(hand, keys.select(self._new(c), free))
        return self._made(track, joined, c.frames[free], c.values[free], int(free.sum()), old)

    def _replaced(self, track: Track, have: Keys, old: Record | None) -> tuple[Edit, Record]:
        """The track's keys in its range, and what is to stay inside and outside of it."""
        c = track.curve
        mine, inside = keys.ours(have, old, self._codes), keys.inside(have, *self._range)
        stay = ~inside & (~mine | self._append)
        free = np.ones(len(c.frames), dtype=bool)
        if self._keep_edits and old is not None:
            stay |= ~mine
            free = ~keys.near(c.frames, have["co"][inside & ~mine, 0])
        kept = have["co"][stay & mine].astype(np.float64)
        frames = np.concatenate([np.rint(kept[:, 0]).astype(np.int64), c.frames[free]])
        values = np.concatenate([kept[:, 1], c.values[free]])
        order = np.argsort(frames, kind="stable")
        joined = keys.join(keys.select(keys.unmarked(have, ~mine), stay), keys.select(self._new(c), free))
        return self._made(track, joined, frames[order], values[order], int(free.sum()), old)

    @staticmethod
    def _made(
        track: Track, joined: Keys, frames: Frames, values: Floats, written: int, old: Record | None
    ) -> tuple[Edit, Record]:
        made, before = (False, 0.0) if old is None else (old.made, old.before)
        edit = Edit((track.path, track.index), track.group, joined, before, written)
        return edit, Record(frames, values, made, before)

    def _hand(self, carry: Carry, address: Address, have: Keys, old: Record | None, track: Track | None) -> Keys:
        """The animator's keys of an F-curve, carried over."""
        hand = keys.unmarked(keys.select(have, ~carry.mine(have, old, self._codes)))
        block = api.shape_key_of(self._datablock, address[0])
        limits = (-np.inf, np.inf) if block is None else (block.slider_min, block.slider_max)
        if (self._datablock.session_uid, address) in carry.others:
            carry = replace(carry, dropped=frozenset())
        return carry.carried(hand, self._shifts(carry, address, track), limits)

    def _shifts(self, carry: Carry, address: Address, track: Track | None) -> Floats:
        """By how much an F-curve's value changes at each beat that was reshaped, (beats,)."""
        shifts = np.zeros(len(carry.frames))
        which = [i for i in sorted(carry.reshaped) if carry.now[i] >= 0]
        old = self._before.get(address)
        if which and (old is not None or track is not None):
            was = evaluate(old.curve, carry.frames[which]) if old is not None else 0.0
            shifts[which] = (evaluate(track.curve, carry.now[which]) if track is not None else 0.0) - was
        return shifts

    def _left(self, carry: Carry, address: Address, curve: Any, old: Record | None) -> tuple[Edit, Record | None]:
        """The edit of an F-curve that the performance keyed and now does not: keys by hand stay, and between the beats
        on both sides of each the property is what it was before it was animated."""
        hand = self._hand(carry, address, api.read_keys(curve), old, None)
        x = hand["co"][:, 0].astype(np.float64)
        frames = _around(self._beats, x)
        frames = frames[~near_any(frames, x, ONE_KEY)]
        if old is None or not frames.size:
            return _remaining(address, curve, old, hand), None
        rest = make_curve(frames, np.full(frames.size, old.before), self._style)
        joined = keys.join(hand, self._new(rest))
        edit = Edit(address, "", joined, old.before, frames.size)
        return edit, Record(rest.frames, rest.values, old.made, old.before)


def _around(beats: Frames, frames: Floats) -> Frames:
    """The beats on both sides of each of `frames` (K,) that lies between two, each once, rising."""
    between = frames[(frames > beats[0]) & (frames < beats[-1])]
    after = np.searchsorted(beats, between, side="right")
    return np.union1d(beats[after - 1], beats[np.minimum(after, len(beats) - 1)])


def _pinned(curve: Curve, beats: Frames, hand: Floats, style: Style) -> Curve:
    """The curve with a key at the beats on both sides of each of the animator's keys, so that a key between two beats
    changes nothing at either: where a channel holds its value it has none there."""
    extra = np.setdiff1d(_around(beats, hand), curve.frames)
    if not extra.size:
        return curve
    frames = np.union1d(curve.frames, extra)
    return make_curve(frames, evaluate(curve, frames), replace(style, interpolation=curve.interpolation))


def without_ours(address: Address, curve: Any, old: Record, codes: Codes) -> Edit:
    """The edit that takes the keys that are still as they were written from an F-curve."""
    have = api.read_keys(curve)
    return _remaining(address, curve, old, keys.unmarked(keys.select(have, ~keys.ours(have, old, codes))))


def _remaining(address: Address, curve: Any, old: Record | None, stay: Keys) -> Edit:
    # What the animator added to a curve of ours, keys or modifiers, keeps it.
    gone = old is not None and old.made and not len(stay["co"]) and not len(curve.modifiers)
    return Edit(address, "", None if gone else stay, 0.0 if old is None else old.before)
