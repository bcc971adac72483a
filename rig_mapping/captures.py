# SPDX-License-Identifier: GPL-3.0-or-later
"""A capture on Blender's timeline: dense poses laid out on the rig, each number keyed as sparsely as a bound allows.

The keys are the animator's own. There are no beats, and what is remembered, on the action, is only which recording
they came from: so that they can go out again at its rate.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any, get_args

import numpy as np

from ..performance import CHANNELS, INDEX, FacescriptError, reduction
from ..performance.angles import AngleForm
from ..performance.reduction import SparseCurve
from . import blender_api as api
from . import eyes, keys, planning, records
from .curves import MAX_FRAME, Array, ChannelCurves, Curve
from .journal import Journal, get_property
from .keys import Record
from .records import Address
from .steps import Steps, finish
from .styles import get
from .tables import Table
from .targets import Target
from .tracks import Track, datablocks, properties, rotation_place, track_steps

PROPERTY = "facescript_recording"

_ALL = tuple(channel.name for channel in CHANNELS)
# Seconds since midnight: a timecode has at most 999 hours, and may go on past midnight.
_LONGEST = 1e7
# The share of a turn's bound that each of its numbers has: their errors add up in a coefficient.
_TURN = 0.5
# Tracks that are worked out in one step.
_CHUNK = 4


@dataclass(frozen=True)
class Source:
    """The recording that keys came from: its `name`, its rows a second, its first timecode in seconds since midnight,
    the frame that this is at, and the form that its angles had."""

    name: str
    rate: float
    start: float
    frame: float
    angles: AngleForm = "RADIANS"


@dataclass(frozen=True)
class CaptureReport:
    """What was written: the range of frames, counts of F-curves, of keys and of moments in the recording, the largest
    error at one of them in coefficients, the channels that move and that nothing on the face shows, and sentences."""

    start: float
    end: float
    curves: int
    keys: int
    moments: int
    error: float
    left_out: tuple[str, ...]
    warnings: tuple[str, ...]


def write(target: Target, poses: Array, frames: Array, source: Source, bound: float = 0.02) -> CaptureReport:
    """Key what `poses` (N, 61) show at rising `frames` (N,), whole or not, on the rig.

    A key's curve is nowhere off by more than `bound`, in coefficients, at any of the frames; where a shape key takes a
    coefficient times a gain, the bound has the same gain. Keys inside the range, on what the capture moves, are
    replaced; every other key stays, bit for bit. All or nothing. Raises FacescriptError: `target_gone`,
    `linked_action`, `tweak_mode`, `bad_frame`, `nothing_to_write`.
    """
    return finish(write_steps(target, poses, frames, source, bound))


def write_steps(
    target: Target, poses: Array, frames: Array, source: Source, bound: float = 0.02
) -> Steps[CaptureReport]:
    """`write`, in small steps; nothing is changed before the last ones."""
    check(poses, frames)
    poses = eyes.fill(poses)
    curves = _dense(poses, frames)
    laid = yield from track_steps(target, curves)
    planning.check(datablocks(target), [(t.datablock, (t.path, t.index)) for t in laid.tracks])
    placed = yield from _placed(target, laid.tracks, poses, frames)
    bounds = yield from _bounds(target, tuple(curves.curves), bound)
    sparse, error = [], 0.0
    for number, (track, at) in enumerate(placed):
        allowed = bounds.get(_unit(track), bound)
        curve = reduction.reduce(at, track.curve.values, allowed)
        off = float(np.abs(curve.at(at) - track.curve.values).max())
        error = max(error, off / allowed * bound if allowed else off)
        sparse.append((track, curve))
        if number % _CHUNK == 0:
            yield
    warnings: list[str] = [*laid.clipped]
    free = _free(sparse, warnings)
    yield
    with Journal() as journal:
        standing: dict[Any, dict[Address, Record]] = {}
        for track, curve in free:
            made = _write(track, curve, source.name, journal)
            standing.setdefault(track.datablock, {}).update(made)
            yield
        for block, made in standing.items():
            _remember(block, made, journal)
    for place in _places(target):
        place.action[PROPERTY] = json.dumps(asdict(source))
    return CaptureReport(
        start=float(frames[0]),
        end=float(frames[-1]),
        curves=len(free),
        keys=sum(len(curve.times) for _, curve in free),
        moments=len(frames),
        error=error,
        left_out=tuple(c for c in curves.curves if c in target.missing),
        warnings=tuple(warnings),
    )


def check(poses: Array, frames: Array) -> None:
    """Raise the FacescriptError (`bad_frame`, `nothing_to_write`) that `write` would, as far as no face is needed."""
    if not -MAX_FRAME <= frames[0] <= frames[-1] <= MAX_FRAME:
        what = f"The recording would reach frame {frames[-1]:.0f}; Blender ends at {MAX_FRAME}."
        raise FacescriptError("bad_frame", what, "Start earlier, or split the recording.")
    if not poses.any():
        raise FacescriptError(
            "nothing_to_write", "Every channel of the recording is 0 throughout.", "Choose another recording."
        )


def source_of(target: Target) -> Source | None:
    """The recording that the face's keys came from, as far as it is known. Raises FacescriptError (`target_gone`)."""
    for place in _places(target):
        try:
            return _source(Table.parse(place.action.get(PROPERTY), PROPERTY))
        except FacescriptError:
            continue
    return None


def _source(table: Table) -> Source:
    """A recording as it is kept. Raises FacescriptError (`bad_table`)."""
    table.only("name", "rate", "start", "frame", "angles")
    angles = table.text("angles")
    if angles not in get_args(AngleForm):
        raise table.error(f"has unknown 'angles' {angles[:20]!r}")
    rate, start = table.number("rate", 1e-3, 1e4), table.number("start", 0.0, _LONGEST)
    return Source(table.text("name"), rate, start, table.number("frame", -MAX_FRAME, MAX_FRAME), angles)  # type: ignore[arg-type]


def span(target: Target) -> tuple[float, float] | None:
    """The first and the last frame with a key of the face's channels, or None if it has none. Raises FacescriptError
    (`target_gone`)."""
    ends = [
        (curve.keyframe_points[0].co.x, curve.keyframe_points[-1].co.x)
        for curve in _curves(target)
        if len(curve.keyframe_points)
    ]
    return (min(a for a, _ in ends), max(b for _, b in ends)) if ends else None


def _curves(target: Target) -> Iterable[Any]:
    wanted = properties(target, _ALL)
    for block in datablocks(target):
        present = api.fcurve_table(api.find_place(block))
        yield from (present[address] for owner, address in wanted if owner == block and address in present)


def _places(target: Target) -> list[api.Place]:
    found = (api.find_place(block) for block in datablocks(target))
    return [place for place in found if place is not None]


def _dense(poses: Array, frames: Array) -> ChannelCurves:
    """A key at every moment, on the channels that are not 0 throughout."""
    return _straight({name: poses[:, i] for name, i in INDEX.items() if poses[:, i].any()}, frames)


def _straight(values: Mapping[str, Array], frames: Array) -> ChannelCurves:
    curves = {}
    for name, column in values.items():
        points = np.stack([frames, column], axis=1)
        curves[name] = Curve(frames, column, points, points, "LINEAR")  # type: ignore[arg-type]
    ends = np.array([np.floor(frames[0]), np.ceil(frames[-1])], dtype=np.int64)
    return ChannelCurves(MappingProxyType(curves), ends, int(ends[0]), int(ends[1]), get("linear"))


def _placed(target: Target, tracks: tuple[Track, ...], poses: Array, frames: Array) -> Steps[list[tuple[Track, Array]]]:
    """The tracks, each with the frames of its values: those of the recording.

    An axis and its angle go each their own way between keys, so they are laid out at every frame at the least: where
    the recording has fewer, at frames between as well.
    """
    if all(len(track.curve.values) == len(frames) for track in tracks):
        return [(track, frames) for track in tracks]
    pieces = [np.linspace(a, b, math.ceil(b - a), endpoint=False) for a, b in itertools.pairwise(frames.tolist())]
    filled = np.concatenate([*pieces, frames[-1:]])
    between = np.stack([np.interp(filled, frames, column) for column in poses.T], axis=1)
    laid = yield from track_steps(target, _dense(between, filled))
    full = {_unit(track): track for track in laid.tracks}
    return [
        (track, frames) if len(track.curve.values) == len(frames) else (full[_unit(track)], filled) for track in tracks
    ]


def _unit(track: Track) -> tuple[int, str, int]:
    return track.datablock.as_pointer(), track.path, track.index


def _bounds(target: Target, channels: tuple[str, ...], bound: float) -> Steps[dict[tuple[int, str, int], float]]:
    """What a bound in coefficients is for each of the rig's numbers: it has the largest gain of the channels that move
    it. The numbers of a rotation are not its coefficients; they have one bound, of which each takes a share."""
    gains: dict[tuple[int, str, int], float] = {}
    for channel in channels:
        probe = _straight({channel: np.array([0.0, 1.0])}, np.array([0.0, 1.0]))
        laid = yield from track_steps(target, probe)
        for track in laid.tracks:
            change = abs(float(track.curve.values[-1] - track.curve.values[0]))
            gains[_unit(track)] = max(gains.get(_unit(track), 0.0), change)
    for obj, _, path, width in map(rotation_place, target.turns):
        units = [(obj.as_pointer(), path, i) for i in range(width)]
        gains |= dict.fromkeys(units, _TURN * max(gains.get(unit, 0.0) for unit in units))
    return {unit: bound * gain for unit, gain in gains.items() if gain > 0.0}


def _free(sparse: list[tuple[Track, SparseCurve]], warnings: list[str]) -> list[tuple[Track, SparseCurve]]:
    """Those whose F-curves may be changed."""
    free, names = [], []
    for track, curve in sparse:
        present = api.find_fcurve(api.find_place(track.datablock), track.path, track.index)
        if present is not None and planning.held(present):
            names.append(track.path)
        else:
            free.append((track, curve))
    if names:
        shown = ", ".join(list(dict.fromkeys(names))[:4]) + (" and more" if len(names) > 4 else "")
        warnings.append(f"Locked or baked, and left alone: {shown}.")
    return free


def _write(track: Track, curve: SparseCurve, name: str, journal: Journal) -> dict[Address, Record]:
    """Write a curve's keys; the record of the F-curve if it was made for them."""
    owner = track.datablock.user if track.datablock.id_type == "KEY" else track.datablock
    address: Address = (track.path, track.index)
    before = get_property(track.datablock, *address)
    place, _, _ = journal.make_place(track.datablock, f"{name[:32]} ({owner.name[:24]})")
    left, right = curve.handles
    new = keys.new_keys(curve.times, curve.values, left, right, "BEZIER", planning.enum_codes())
    present = api.find_fcurve(place, *address)
    if present is not None:
        have = api.read_keys(present)
        new = keys.join(keys.select(have, ~keys.inside(have, curve.times[0], curve.times[-1])), new)
    journal.write_keys(place, *address, track.group, new)
    track.datablock.update_tag()
    return {} if present is not None else {address: Record(np.zeros(0, dtype=np.int64), np.zeros(0), True, before)}


def _remember(block: Any, made: Mapping[Address, Record], journal: Journal) -> None:
    """Note what properties stood at before they were keyed, which turns are added to, but none of the keys: they are
    the animator's."""
    place = api.find_place(block)
    if made and place is not None:
        old = records.load(place)
        journal.save_record(place, replace(old, curves={**old.curves, **made}))
