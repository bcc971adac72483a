# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that were written through one mapping, written anew through another.

What was done by hand is read through the mapping that it was made with, so that it is understood as it was meant. Poses
that the animator changed stay so, on whatever shows them now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..performance import FacescriptError
from ..rig_mapping import planning, timeline
from ..rig_mapping.records import Address
from ..rig_mapping.steps import Steps
from ..rig_mapping.targets import Target
from ..rig_mapping.tracks import datablocks, number_places, shown_channels
from . import faces, mapping_table

if TYPE_CHECKING:
    from .desk import Desk


def remap_steps(desk: Desk, follow_steps: Callable[[Desk], Steps[bool]]) -> Steps[bool]:
    """Have a face's keys follow its mapping, which is kept otherwise than when they were written; in small steps.

    `follow_steps` takes in what was done by hand. Whether there was anything to do; raises FacescriptError as writing
    does, with the keys as they were.
    """
    # Who asks may have looked at the face before it was mapped otherwise.
    desk.target = faces.find(desk.face.id_data)
    try:
        before = faces.find_as_written(desk.face)
    except FacescriptError:
        # What showed the keys is gone, and with it what was done by hand.
        before = None
    if before is not None and mapping_table.same(before.mapping, desk.target.mapping):
        mapping_table.mark(desk.face, desk.target.mapping)
        return (yield from follow_steps(desk))
    left = _left(before, desk.target)
    planning.check(left, [])
    if before is not None:
        old = replace(desk, target=before)
        yield from follow_steps(old)
        desk.beats, desk.dragged, desk.read = old.beats, old.dragged, old.read
    mine = [beat for beat in desk.beats if beat.by_hand]
    # What the animator keyed elsewhere was no part of a beat before it was mapped.
    others = _places(desk.target) - _places(before) if before is not None else frozenset()
    yield from desk.write_steps(desk.beats, dropped={beat.key for beat in mine}, others=others)
    if left and before is not None:
        timeline.clear(_only(before, left))
    mapping_table.mark(desk.face, desk.target.mapping)
    if mine:
        desk.note = " ".join((f"{len(mine)} beats with your poses were keyed anew.", desk.note)).strip()
    return True


def _places(target: Target) -> frozenset[tuple[int, Address]]:
    return frozenset((block.session_uid, address) for block, address, _ in shown_channels(target))


def _only(target: Target, blocks: list[Any]) -> Target:
    """A target with what it shows on some datablocks alone."""
    places = number_places(target)
    return replace(
        target,
        numbers=tuple(place.number for place in places if place.datablock in blocks),
        turns=tuple(turn for turn in target.turns if turn.object.find() in blocks),
    )


def _left(before: Target | None, now: Target) -> list[Any]:
    """The datablocks on which the new mapping keys nothing any more."""
    return [block for block in datablocks(before) if block not in datablocks(now)] if before is not None else []
