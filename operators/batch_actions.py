# SPDX-License-Identifier: GPL-3.0-or-later
"""The actions of a batch: each line's keys as actions of their own, many lines in one .blend."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import bpy

from ..batch.parts import Part, Work
from ..performance import FacescriptError, Performance, jsonl
from ..rig_mapping import blender_api, timeline
from ..rig_mapping.targets import Target
from ..rig_mapping.tracks import datablocks
from . import faces
from .add_face import create_face

# On each action, whatever it is called by then: the line that it is of.
LINE = "facescript_line"
# Datablocks of a face, each with what moves it.
Places = Sequence[tuple[Any, blender_api.Place]]
# Bytes of a name in Blender before 5.0.
_MAX_NAME = 63


def carry_out(work: Work) -> Iterator[str]:
    """Look for every character's face, then write each part to its .blend, and yield its name when that is there.

    The open file is lost. Raises FacescriptError: `no_file`, `no_face`, `several_faces`, `no_object`, and what
    `timeline.write` raises, for a part of which nothing is kept then.
    """
    if work.characters:
        stage = _stage(work)
        for character in work.characters:
            _face(stage, work, character)
    for part, path in work.parts:
        _write(work, part, Path(path))
        yield part.name


def _stage(work: Work) -> dict[str, Target]:
    """Open the file with the faces, or make the demo face in a new one: each face by the names of its objects."""
    if work.blend:
        if not os.path.isfile(work.blend):
            raise FacescriptError("no_file", f"There is no file {work.blend}.", "Name a .blend.")
        try:
            bpy.ops.wm.open_mainfile(filepath=work.blend, load_ui=False)
        except RuntimeError as error:
            raise FacescriptError("no_file", f"Blender cannot open {work.blend}.", "Name a .blend.") from error
    else:
        bpy.ops.wm.read_homefile(use_empty=True)
        create_face(bpy.context)
        render = bpy.context.scene.render
        render.fps = math.ceil(work.fps)
        render.fps_base = math.ceil(work.fps) / work.fps
    found: dict[str, Target] = {}
    for obj in bpy.context.view_layer.objects:
        # Most objects are no faces.
        with suppress(FacescriptError):
            found[obj.name] = faces.find(obj)
    for target in list(found.values()):
        found.setdefault(target.name, target)
        _bare(target)
    return found


def _bare(target: Target) -> None:
    """Take the keys off a face, so that a line's are not put among them."""
    for block in datablocks(target):
        if block.animation_data is not None:
            block.animation_data.action = None


def _face(stage: dict[str, Target], work: Work, character: str) -> Target:
    """The face of a character, else the one that was named, else the only one."""
    if character in stage:
        return stage[character]
    if work.face:
        if work.face not in stage:
            where = work.blend or "A new file with the demo face"
            raise FacescriptError("no_object", f"{where} has no face {work.face!r}.", _hint(stage))
        return stage[work.face]
    names = {target.name: target for target in stage.values()}
    if not names:
        raise FacescriptError(
            "no_face", f"{work.blend} has no face with shapes for the channels.", "Name another file."
        )
    if len(names) > 1:
        whose = f"and none is called {character!r}" if character else "and a line does not say whose it is"
        raise FacescriptError("several_faces", f"{work.blend} has several faces, {whose}.", _hint(stage))
    return next(iter(names.values()))


def _hint(stage: dict[str, Target]) -> str:
    names = sorted({target.name for target in stage.values()})
    return f"Choose one with --face, or call the character so: {', '.join(map(repr, names[:10]))}."


def _write(work: Work, part: Part, path: Path) -> None:
    stage, first = _stage(work), dict[str, Places]()
    for line in part.lines:
        try:
            face, performance = _face(stage, work, line.character), _performance(Path(line.path))
            first.setdefault(face.name, _keep_actions(face, performance, work.style, line.name))
        except FacescriptError as error:
            raise FacescriptError(error.code, f"{line.name}: {error.message}", error.hint) from error
    _show(first.values())
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(path), copy=True, compress=True)
    except RuntimeError as error:
        raise FacescriptError("no_file", f"Cannot write {path}.", "Make room, or name another folder.") from error


def _performance(path: Path) -> Performance:
    found = next(jsonl.read_performances(path), None)
    if found is None:
        raise FacescriptError("no_file", f"{path} holds no performance.", "Have the batch write it --anew.")
    return found


def _keep_actions(target: Target, performance: Performance, style: str, name: str) -> Places:
    """Write a performance, keep its actions under a line's name, and leave the face as it was; what of them moves
    which datablock."""
    report = timeline.write(target, performance, style=style)
    copies: dict[Any, tuple[Any, Any]] = {}
    places: list[tuple[Any, blender_api.Place]] = []
    for block in datablocks(target):
        place = blender_api.find_place(block)
        if place is not None and place.action.name in report.actions:
            if place.action not in copies:
                copies[place.action] = (block, place.action.copy())
            places.append((block, blender_api.in_copy(place, copies[place.action][1])))
    # The names are free then.
    timeline.clear(target)
    for number, (block, action) in enumerate(copies.values()):
        action.name = _name(name, f" ({block.name})" if number else "")
        action.use_fake_user = True
        action[LINE] = name
    return places


def _show(first: Iterable[Places]) -> None:
    """Have each face play its first line, from the first frame of a scene that is as long as the longest line."""
    for block, place in itertools.chain.from_iterable(first):
        blender_api.use_place(block, place)
    actions: Any = bpy.data.actions
    ranges = [action.frame_range for action in actions if LINE in action]
    scene = bpy.context.scene
    scene.use_preview_range = False
    scene.frame_start = math.floor(min(start for start, _ in ranges))
    scene.frame_end = math.ceil(max(end for _, end in ranges))
    scene.frame_set(scene.frame_start)


def _name(line: str, owner: str) -> str:
    """An action's name: the line's, or its end, which tells lines apart, with the owner's of a second action."""
    tail = owner.encode()[:40]
    room = _MAX_NAME - len(tail)
    whole = line if len(line.encode()) <= room else line.rpartition("/")[2]
    return whole.encode()[-room:].decode("utf-8", "ignore") + tail.decode("utf-8", "ignore")
