# SPDX-License-Identifier: GPL-3.0-or-later
"""What the animator did to a performance's keys since they were written: beats dragged in time, poses changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..performance import CHANNELS, INDEX, Performance
from . import blender_api as api
from . import eyes, records, renames
from .carry import Floats, beats_at, distances, followed, near_any
from .curves import Frames
from .keys import SAME, Codes, Record
from .planning import enum_codes
from .records import Address
from .steps import Steps, finish
from .targets import Target
from .timeline import sample_poses
from .tracks import datablocks, shown_channels

# A beat was moved if at least this share of the channels that change at it have moved, all by the same distance.
_MOST = 0.5
# A value that is off by less was not changed by a person.
_SEEN = 0.004
_GAZE = tuple(c.name for c in CHANNELS if c.name.startswith(("eyeLook", "leftEye", "rightEye")))


@dataclass(frozen=True)
class HandEdits:
    """`moves`: by how many frames beats were dragged by their keys. `poses`: what the channels show at beats where the
    animator's keys changed it."""

    moves: Mapping[int, float]
    poses: Mapping[int, Mapping[str, float]]


@dataclass(frozen=True)
class _Keyed:
    """An F-curve of the target with the channels that it shows, its keys, and what was written to it."""

    channels: tuple[str, ...]
    have: api.Keys
    record: Record | None


def fingerprint(target: Target) -> bytes:
    """A digest of where all keys of the target's channels are: another one means that there is something to find."""
    digest = hashlib.blake2b(digest_size=16)
    for _, _, curve in _shown(target):
        points = curve.keyframe_points
        flat = np.empty(2 * len(points), dtype="f4")
        points.foreach_get("co", flat)
        digest.update(curve.data_path.encode() + flat.tobytes())
    return digest.digest()


def whole_fingerprint(target: Target) -> Steps[bytes]:
    """`fingerprint`, with handles, kinds of keys and what was recorded of them, in small steps."""
    digest = hashlib.blake2b(digest_size=16)
    for _, _, curve in _shown(target):
        digest.update(curve.data_path.encode())
        for values in api.read_keys(curve).values():
            digest.update(np.ascontiguousarray(values).tobytes())
        yield
    for block in datablocks(target):
        place = api.find_place(block)
        if place is not None:
            digest.update(repr((place.action.session_uid, place.action.get(records.PROPERTY))).encode())
            yield
    return digest.digest()


def find(target: Target, shown: Performance, beats: Frames, spans: Floats) -> HandEdits:
    """Compare the timeline with what was written: `shown` with its beats at `beats` (N,), whose poses are held in
    `spans` (N, 2). Raises FacescriptError (`target_gone`)."""
    return finish(find_steps(target, shown, beats, spans))


def find_steps(target: Target, shown: Performance, beats: Frames, spans: Floats) -> Steps[HandEdits]:
    """`find`, in small steps."""
    codes = enum_codes()
    keyed = []
    for channels, curve, record in _curves(target):
        keyed.append(_Keyed(channels, api.read_keys(curve), record))
        yield
    moves = yield from _moves(keyed, beats, spans, codes)
    dragged = drags(moves, spans)
    shift = np.array([moves.get(i, 0.0) for i in range(len(beats))])
    touched = yield from _touched(keyed, spans + shift[:, None], spans, dragged, codes)
    meant = eyes.fill(shown.poses)
    poses = {}
    for i, names in sorted(touched.items()):
        values = sample_poses(target, [beats[i] + shift[i]], meant[[i]])[0]
        yield
        names |= set(_GAZE) if names & set(_GAZE) else set()
        off = {n: float(values[INDEX[n]]) for n in sorted(names) if abs(values[INDEX[n]] - meant[i, INDEX[n]]) > _SEEN}
        if off:
            poses[i] = off
    return HandEdits(moves, poses)


def drags(moves: Mapping[int, float], spans: Floats) -> dict[tuple[float, float], float]:
    """For `Carry.dragged`: the frames in which the keys of each moved beat were recorded, and how far they went."""
    ends = [*(start - 1.0 for start in spans[1:, 0]), float("inf")]
    return {(float(spans[i, 0]), float(ends[i])): distance for i, distance in moves.items()}


def _curves(target: Target) -> Iterator[tuple[tuple[str, ...], Any, Record | None]]:
    """Every F-curve that shows channels of the target: the channels, the F-curve, its record."""
    written: dict[int, Mapping[Address, Record]] = {}
    for block, names, curve in _shown(target):
        if block.as_pointer() not in written:
            written[block.as_pointer()] = renames.load(block).curves
        yield names, curve, written[block.as_pointer()].get((curve.data_path, curve.array_index))


def _shown(target: Target) -> Iterator[tuple[Any, tuple[str, ...], Any]]:
    """Every F-curve that shows channels of the target: its datablock, the channels, the F-curve."""
    channels = _addresses(target)
    for block in datablocks(target):
        for curve in api.fcurves(api.find_place(block)):
            names = channels.get((block.as_pointer(), (curve.data_path, curve.array_index)))
            if names:
                yield block, names, curve


def _addresses(target: Target) -> dict[tuple[int, Address], tuple[str, ...]]:
    found: dict[tuple[int, Address], tuple[str, ...]] = {}
    for block, address, channels in shown_channels(target):
        place = (block.as_pointer(), address)
        found[place] = (*found.get(place, ()), *sorted(channels))
    return found


def _moves(keyed: list[_Keyed], beats: Frames, spans: Floats, codes: Codes) -> Steps[dict[int, float]]:
    # What shows the same channels, such as a neck's and a head's four numbers each, has one vote.
    votes: dict[int, dict[float, set[tuple[str, ...]]]] = {}
    voters: dict[int, set[tuple[str, ...]]] = {}
    for one in keyed:
        yield
        if one.record is None:
            continue
        arrivals = beats_at(one.record.frames.astype(np.float64), spans[:, 0], beats)
        for i in np.unique(arrivals[arrivals >= 0]).tolist():
            voters.setdefault(i, set()).add(one.channels)
        found = distances(one.have, one.record, codes)
        if not found:
            continue
        which = beats_at(np.array([frame for frame, _ in found]), spans[:, 0], beats)
        ballots = {(int(i), round(d, 3)) for i, (_, d) in zip(which, found, strict=True) if i >= 0}
        for i, distance in ballots:
            votes.setdefault(i, {}).setdefault(distance, set()).add(one.channels)
    moves = {}
    for i, counted in votes.items():
        distance = max(counted, key=lambda d: len(counted[d]))
        if len(counted[distance]) >= _MOST * len(voters[i]):
            moves[i] = distance
    return moves


def _touched(
    keyed: list[_Keyed], spans: Floats, recorded: Floats, dragged: Mapping[tuple[float, float], float], codes: Codes
) -> Steps[dict[int, set[str]]]:
    """The beats with keys by hand in their spans, or with written keys missing there, and the channels of those."""
    found: dict[int, set[str]] = {}
    order = np.argsort(spans[:, 0], kind="stable")
    for one in keyed:
        yield
        mine = followed(one.have, one.record, codes, dragged)
        x = one.have["co"][~mine, 0].astype(np.float64)
        at = {int(order[i]) for i in beats_at(x, spans[order, 0], spans[order, 1]) if i >= 0}
        if one.record is not None:
            at |= _missing(one.record, one.have["co"][mine, 0].astype(np.float64), recorded, dragged)
        for i in at:
            found.setdefault(i, set()).update(one.channels)
    return found


def _missing(record: Record, left: Floats, spans: Floats, dragged: Mapping[tuple[float, float], float]) -> set[int]:
    """The beats of recorded keys that are neither where they were written nor where their beat went."""
    frames = record.frames.astype(np.float64)
    there = frames.copy()
    for (start, end), distance in dragged.items():
        there[(frames >= start - SAME) & (frames <= end + SAME)] += distance
    gone = ~(near_any(frames, left) | near_any(there, left))
    return {int(i) for i in beats_at(frames[gone], spans[:, 0], spans[:, 1]) if i >= 0}
