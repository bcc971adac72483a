# SPDX-License-Identifier: GPL-3.0-or-later
"""Beats as timeline markers: placed with their descriptions, and found again after the animator has dragged them.

Markers keep nothing but a name and a frame (custom properties went in 5.0), so each beat's marker has a name of its
own in the scene, which the beat remembers.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import bpy

from ..rig_mapping.steps import Steps, pause
from .session import session

# Beats whose markers are placed in one step.
_ROWS = 25
# Blender keeps 63 bytes of a marker's name.
_BYTES = 60


@dataclass(frozen=True)
class Found:
    """A beat's marker: where it is now, and what it is called if the animator gave it another name."""

    frame: int
    renamed: str = ""


def place(scene: bpy.types.Scene, beats: Callable[[], Any]) -> Steps[None]:
    """Put a marker at each of the `beats` (a list of `FACESCRIPT_PG_beat`, found anew after each step), making those
    that are missing in `scene`. Those that the face's other scenes have go along: left where they were, they would
    pull the beats back when that scene is shown. Each face has markers of its own: a copy of a face begins with the
    names of the first one's."""
    done, rows = 0, beats()
    taken = _of_others(_scenes(scene, rows), rows)
    while done < len(rows):
        # Looking each one up by its name would walk all of them.
        known = [_by_name(place) for place in _scenes(scene, rows)]
        for number in range(done, min(done + _ROWS, len(rows))):
            if rows[number].marker in taken:
                rows[number].marker = ""
            _place(scene, rows[number], known, taken)
            taken.add(rows[number].marker)
        yield from pause()
        done, rows = done + _ROWS, beats()


def _scenes(scene: Any, beats: Any) -> list[Any]:
    """The scene, and the other ones that hold the face."""
    return [scene, *(place for place in beats[0].id_data.users_scene if place != scene)] if len(beats) else [scene]


def _of_others(scenes: Iterable[Any], beats: Any) -> set[str]:
    """The names of the markers of the other faces of some scenes."""
    if not len(beats):
        return set()
    mine = beats[0].id_data
    objects = {obj for scene in scenes for obj in scene.objects if obj != mine}
    return {beat.marker for obj in objects for beat in obj.facescript.beats if beat.marker}


def _by_name(scene: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for marker in scene.timeline_markers:
        found.setdefault(marker.name, []).append(marker)
    return found


def _taken_out(known: dict[str, list[Any]], beat: Any) -> Any:
    """A beat's marker, which is in `known` no more; of copies the nearest, or None if it has none."""
    found = known.pop(beat.marker, []) if beat.marker else []
    return min(found, key=lambda marker: abs(marker.frame - beat.frame), default=None)


def _place(scene: bpy.types.Scene, beat: Any, known: list[dict[str, list[Any]]], taken: Collection[str]) -> None:
    found = [_taken_out(names, beat) for names in known]
    if found[0] is None:
        found[0] = scene.timeline_markers.new("", frame=beat.frame)
    there = [(names, marker) for names, marker in zip(known, found, strict=True) if marker is not None]
    wanted = _short(beat.text)
    if not (beat.marker and _names(beat.marker, wanted)):
        beat.marker = _free(wanted, {name for names in known for name in names} | set(taken))
    for names, marker in there:
        names[beat.marker] = [marker]
        if marker.frame != beat.frame:
            marker.frame = beat.frame
        if marker.name != beat.marker:
            marker.name = beat.marker


def remove(scene: bpy.types.Scene, beats: Any, keys: Collection[int] | None = None) -> Steps[None]:
    """Remove the markers of `beats` (a list of `FACESCRIPT_PG_beat`), or of those with some numbers, from the scene and
    from the face's other ones, in one step."""
    gone = [beat for beat in beats if keys is None or beat.key in keys]
    for place in _scenes(scene, beats):
        known = _by_name(place)
        for marker in [_taken_out(known, beat) for beat in gone]:
            if marker is not None:
                place.timeline_markers.remove(marker)
    yield from pause()


def find(scene: bpy.types.Scene, beats: Any) -> Mapping[int, Found]:
    """The markers of `beats` (`FACESCRIPT_PG_beat`) by their numbers; a beat whose marker is gone is left out.

    A marker with a new name in the place of one that is gone is that one; one that was there before is somebody's own.
    """
    before = session().marker_names.get(scene.session_uid)
    by_name: dict[str, list[int]] = {}
    by_frame: dict[int, list[str]] = {}
    for marker in scene.timeline_markers:
        by_name.setdefault(marker.name, []).append(marker.frame)
        by_frame.setdefault(marker.frame, []).append(marker.name)
    ours = {beat.marker for beat in beats if beat.marker} | _of_others([scene], beats)
    found = {}
    for beat in beats:
        frames = by_name.get(beat.marker, ()) if beat.marker else ()
        if frames:
            # Of copies, the nearest: the copy is the one that was taken away.
            found[beat.key] = Found(min(frames, key=lambda frame: abs(frame - beat.frame)))
        elif beat.marker and before is not None:
            new = [name for name in by_frame.get(beat.frame, ()) if name not in ours and name not in before]
            if new:
                found[beat.key] = Found(beat.frame, new[0])
    return found


def remember(scene: bpy.types.Scene) -> None:
    """Note which markers there are, now that the list agrees with them: `find` tells by it which are new."""
    session().marker_names[scene.session_uid] = frozenset(marker.name for marker in scene.timeline_markers)


def _short(text: str) -> str:
    """A description as a marker's name: its beginning, cut between words."""
    plain = " ".join(text.split()) or "Beat"
    if len(plain.encode()) <= _BYTES:
        return plain
    cut = plain.encode()[: _BYTES - 3].decode(errors="ignore")
    return f"{cut.rpartition(' ')[0] or cut} …"


def _names(name: str, wanted: str) -> bool:
    """Whether a name is the wanted one, with or without a number."""
    stem, _, number = name.rpartition(" ")
    return name == wanted or (stem == wanted and number.isdigit())


def _free(wanted: str, taken: Collection[str]) -> str:
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted} {number}"
    return name
