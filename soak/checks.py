# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold after each step, whatever it was."""

from __future__ import annotations

import itertools
import json
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bpy as module
import numpy as np

from . import extension, resources, state
from .user import Broken, User

bpy: Any = module

# The console's lines that are no report of something that is said in words.
_WRONG = re.compile(r"Traceback|Exception|Error|SIGSEGV|assert", re.IGNORECASE)
# What drivers of graphics say on machines without a graphics card.
_NOISE = ("EGL Error",)
# Files that are open by right: the soak's own two, and where the graphics driver keeps compiled shaders.
_OTHERS = ("/console.txt", "/journal.txt", "/mesa_shader_cache")
# More pipes than a worker's input, output and errors are none of its client's.
_PIPES = 4
# Megabytes a thousand steps, over the latter half of what was seen, and the steps before which memory is not judged.
_GROWTH, _ENOUGH = 60.0, 2000


class Console:
    """What the process has printed since the last look, line by line."""

    def __init__(self, path: Path) -> None:
        self._stream = path.open("r", encoding="utf-8", errors="replace")
        # Blender's console is written in blocks, which may end within a line.
        self._begun = ""

    def _lines(self) -> list[str]:
        whole, _, self._begun = (self._begun + self._stream.read()).rpartition("\n")
        return whole.splitlines()

    def check(self, user: User) -> None:
        """Raise Broken for a line that tells of an error nobody put in words."""
        lines = self._lines()
        for number, line in enumerate(lines):
            if _WRONG.search(line) and not any(part in line for part in (*_NOISE, *user.allowed)):
                raise Broken("the console says:\n" + "\n".join(lines[number : number + 30])[:3000])
        del user.allowed[:-200]

    def skip(self) -> None:
        """Begin from here."""
        self._lines()


class Watch:
    """The process as it was at the beginning."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handlers = extension.handlers()
        self._pipes = self._held().pipes
        self._children = set(self._held().children)
        self._memory: deque[tuple[int, float]] = deque(maxlen=4000)

    def _held(self) -> resources.Held:
        return resources.held(self._folder, extension.THREADS)

    def check(self, user: User) -> None:
        """Raise Broken for a thread, a process, a pipe, a file or a handler that is left over."""
        now, on = self._held(), extension.enabled()
        works = on and extension.worker() is not None
        if len(now.threads) != len(set(now.threads)) or (now.threads and not works):
            raise Broken(f"threads are left over: {now.threads}, {'with' if works else 'without'} a worker")
        more = set(now.children) - self._children
        if len(more) != works:
            raise Broken(f"{len(more)} child processes run, not {int(works)}: {sorted(more)}")
        if now.pipes > self._pipes + _PIPES * works:
            raise Broken(f"{now.pipes} pipes are open, not {self._pipes} and those of {int(works)} workers")
        kept = [path for path in now.files if not any(part in path for part in _OTHERS)]
        if kept:
            raise Broken(f"files are left open: {kept}")
        if on and extension.handlers() != self._handlers:
            raise Broken(f"handlers: {extension.handlers()}, not {self._handlers}")
        if not on and extension.handlers():
            raise Broken(f"handlers are left of a disabled extension: {extension.handlers()}")

    def check_memory(self, step: int) -> None:
        """Raise Broken if memory grows and grows, by a line through the latter half of what was seen."""
        self._memory.append((step, resources.memory()))
        half = list(self._memory)[len(self._memory) // 2 :]
        if len(half) < 200 or half[-1][0] < _ENOUGH:
            return
        slope = self.slope()
        if slope > _GROWTH and half[-1][1] > 1.2 * half[0][1]:
            raise Broken(f"memory grows by {slope:.0f} MB in a thousand steps, to {half[-1][1]:.0f} MB")

    def slope(self) -> float:
        """Megabytes that memory grows by in a thousand steps."""
        half = np.array(list(self._memory)[len(self._memory) // 2 :])
        return float(np.polyfit(half[:, 0] / 1000.0, half[:, 1], 1)[0]) if len(half) > 2 else 0.0


def check_file(user: User) -> None:
    """Raise Broken if lists, markers and keys do not agree, or a value is out of its range."""
    for problem in _problems(user):
        raise Broken(problem)


def _problems(user: User) -> Iterator[str]:
    yield from dangling()
    for action in bpy.data.actions:
        for curve in state.fcurves(action):
            yield from _curve_problems(action, curve)
    if not extension.enabled():
        return
    for obj in bpy.data.objects:
        yield from _list_problems(obj)
    left = extension.unfollowed()
    if user.face is not None and left is not None:
        yield from _marker_problems(user)
    if left:
        yield f"list, markers and keys do not agree at rest: {left}"


def dangling() -> Iterator[str]:
    """Undo that keeps a datablock, but not what it points to, ends in a crash some time later."""
    there = {action.as_pointer() for action in bpy.data.actions}
    for block in (*bpy.data.objects, *bpy.data.shape_keys):
        animation = block.animation_data
        if animation is None:
            continue
        used = {f"strip of {track.name!r}": strip.action for track in animation.nla_tracks for strip in track.strips}
        for what, action in (used | {"own action": animation.action}).items():
            if action is not None and action.as_pointer() not in there:
                yield f"{block.name} ({block.id_type}) has an action that is gone: {what}"


def _curve_problems(action: Any, curve: Any) -> Iterator[str]:
    points = curve.keyframe_points
    place = f"{action.name}: {curve.data_path}[{curve.array_index}]"
    for name in ("co", "handle_left", "handle_right"):
        flat = np.empty(2 * len(points), dtype="f4")
        points.foreach_get(name, flat)
        if not np.isfinite(flat).all():
            yield f"{place} has a {name} that is not finite"
        if name == "co" and (np.diff(flat[::2]) <= 0.0).any():
            yield f"{place} has keys that are not in order, or two on one frame: {flat[::2].tolist()}"
        if name == "co" and "key_blocks" in curve.data_path and len(flat) and abs(flat[1::2]).max() > 10.0:
            yield f"{place} has a value of {abs(flat[1::2]).max()}"


def _list_problems(obj: Any) -> Iterator[str]:
    rows = obj.facescript.beats
    frames = [row.written_frame for row in rows]
    if any(a >= b for a, b in itertools.pairwise(frames)):
        yield f"{obj.name}: the list is not in order: {frames}"
    if len({row.key for row in rows}) != len(rows):
        yield f"{obj.name}: two beats have one number"
    for row in rows:
        for name, value in json.loads(row.pose or "{}").items():
            low = -1.0 if name.endswith(("Yaw", "Pitch", "Roll")) else 0.0
            if not low <= value <= 1.0:
                yield f"{obj.name}: {name} of the beat at {row.frame} is {value}"


def _marker_problems(user: User) -> Iterator[str]:
    face = user.face
    frames: dict[str, list[int]] = {}
    for marker in user.scene.timeline_markers:
        frames.setdefault(marker.name, []).append(marker.frame)
    for row in face.beats:
        if row.frame != row.written_frame:
            yield f"the beat at {row.written_frame} is listed at {row.frame}"
        if face.show_markers and row.marker and row.frame not in frames.get(row.marker, [row.frame]):
            yield f"the beat at {row.frame} has its marker {row.marker!r} at {frames[row.marker]}"
