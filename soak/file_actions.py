# SPDX-License-Identifier: GPL-3.0-or-later
"""Files: saved, opened again, appended from, imported, exported, onto a full disk too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import bpy as module

from . import stage
from .actions import action
from .state import differences, state
from .user import Broken, Effect, User, Work

bpy: Any = module

_POSES: tuple[dict[str, float], ...] = (
    {"jawOpen": 0.1, "headYaw": 0.3},
    {"jawOpen": 0.5, "mouthSmile": 0.6, "headYaw": -0.3},
    {"eyeBlink": 1.0, "browInnerUp": 0.4},
    {"mouthFunnel": 0.7, "browDown": 0.5, "headPitch": -0.2, "leftEyeYaw": 0.4, "rightEyeYaw": 0.4},
    {"mouthPucker": 0.3, "cheekPuff": 0.8, "jawLeft": 0.4, "headRoll": 0.1},
    {},
)


def _performance(rng: Random) -> dict[str, Any]:
    """A performance of some beats, as in a file."""
    rows, time = [], 0.0
    for number in range(rng.randint(1, 7)):
        rows.append({"t": round(time, 3), "text": f"Beat {number}", "pose": rng.choice(_POSES)})
        time += rng.choice((0.2, 0.6, 1.5, 3.0))
    return {"script": "Oh. It is you.", "keyframes": rows}


_BAD = (
    b"",
    b"\x00\xff\xfe rubbish",
    b'{"script": "x", "keyframes": [{"t": 1e999, "text": "", "pose": {}}]}',
    b'{"script": "x", "keyframes": [{"t": 0, "text": "", "pose": {"jawOpen": NaN}}]}',
    b'{"script": "x", "keyframes": []}',
    b"[" * 5000,
    b"Timecode,BlendshapeCount\n00:00:00:00,61\n",
    b"Timecode,BlendShapeCount,JawOpen\n00:00:00:00,61,inf\n",
)


@action(6, Effect.KEPT, "")
def save(user: User) -> None:
    """Save the file, under its own name or another."""
    path = user.folder / user.rng.choice(("one.blend", "two ünïcode.blend"))
    user.blender("wm.save_as_mainfile", filepath=str(path))


@action(2.5, Effect.OPENED, "")
def save_and_open(user: User) -> Work:
    """Save, and open what was saved: all of it is there."""
    path = user.folder / "reopened.blend"
    user.step.barrier = True
    # What nothing uses is not saved.
    bpy.data.orphans_purge(do_recursive=True)
    used = _used_actions()
    if not user.blender("wm.save_as_mainfile", filepath=str(path)):
        return
    if left := used - _used_actions():
        raise Broken(f"saving took the last user of {sorted(left)}")
    bpy.data.orphans_purge(do_recursive=True)
    before = state()
    bpy.ops.wm.open_mainfile(filepath=str(path))
    yield
    yield from user.rest()
    if rows := differences(before, state()):
        raise Broken("the file opens otherwise than it was saved:\n  " + "\n  ".join(rows))


def _used_actions() -> set[str]:
    return {action.name for action in bpy.data.actions if action.users}


@action(2, Effect.OPENED, "")
def open_saved(user: User) -> Work:
    """Open a file that was saved some time ago."""
    path = user.folder / user.rng.choice(("one.blend", "two ünïcode.blend"))
    user.step.barrier = True
    if path.exists():
        bpy.ops.wm.open_mainfile(filepath=str(path))
    yield


@action(1, Effect.OPENED, "")
def revert(user: User) -> Work:
    """Revert to what was saved."""
    user.step.barrier = True
    if bpy.data.filepath and Path(bpy.data.filepath).exists():
        bpy.ops.wm.revert_mainfile()
    yield


@action(3, Effect.OPENED, "extension")
def new_file(user: User) -> Work:
    """Begin another file."""
    user.step.barrier = True
    begin(user)
    yield


def begin(user: User) -> None:
    """A new file with all that is worked on."""
    bpy.ops.wm.read_homefile(use_empty=not user.windowed)
    for obj in list(bpy.data.objects):
        bpy.data.objects.remove(obj)
    with user.where():
        stage.set_up(user)


@action(1.5, Effect.COPIED, "extension")
def append_face(user: User) -> None:
    """Append a face from a file that was saved."""
    path = user.folder / "one.blend"
    if not path.exists() or len(user.faces()) > 4 or bpy.data.filepath == str(path):
        return
    with bpy.data.libraries.load(str(path), link=False) as (source, wanted):
        wanted.objects = [name for name in source.objects if "Face" in name][:1]
    for obj in wanted.objects:
        user.scene.collection.objects.link(obj)
    user.tell(f"{[obj.name for obj in wanted.objects]}")
    user.push("Append")


@action(26, Effect.KEPT, "face")
def import_beats(user: User) -> None:
    """Import a performance."""
    path = user.folder / "performance.jsonl"
    path.write_text(json.dumps(_performance(user.rng)))
    user.writes_anew()
    if user.call("import_performance", filepath=str(path), start_frame=user.rng.choice((1, 24, 100))):
        user.step.pushes += 1


@action(9, Effect.KEPT, "face")
def import_bad(user: User) -> None:
    """Import what is no performance."""
    rng = user.rng
    data = rng.choice((*_BAD, rng.randbytes(200), json.dumps(_performance(rng)).encode()[: rng.randrange(20, 90)]))
    path = user.folder / f"bad{rng.choice(('.jsonl', '.csv', '.json'))}"
    path.write_bytes(data)
    before = state()
    if user.call("import_performance", filepath=str(path)):
        user.step.pushes += 1
    elif rows := differences(before, state()):
        raise Broken("a file that was refused has changed something:\n  " + "\n  ".join(rows))


@action(9, Effect.KEPT, "face")
def export(user: User) -> None:
    """Export the performance or the animation."""
    name, ending = user.rng.choice((("export_performance", ".jsonl"), ("export_live_link", ".csv")))
    user.call(name, filepath=str(user.folder / f"out{ending}"))


@action(1, Effect.KEPT, "beats")
def plot(user: User) -> None:
    """Draw the curves as a picture."""
    user.call("plot", filepath=str(user.folder / "plot.png"))


@action(0.4, Effect.KEPT, "beats")
def pictures(user: User) -> None:
    """Make a small contact sheet, or a small movie, of a few beats."""
    if len(user.face.beats) > 6 or user.face.beats[-1].frame - user.face.beats[0].frame > 100:
        return
    if user.rng.random() < 0.6:
        user.call("contact_sheet", filepath=str(user.folder / "sheet.png"), size=64)
    else:
        user.call("preview", filepath=str(user.folder / "movie.mp4"), size=64, step=8, play=False)


@contextmanager
def _full(folder: Path) -> Iterator[None]:
    """The folder of a small disk without any room."""
    stuffing = folder / "stuffing"
    try:
        try:
            with stuffing.open("wb") as stream:
                while True:
                    stream.write(bytes(65536))
                    stream.flush()
        except OSError:
            pass
        yield
    finally:
        for path in folder.iterdir():
            path.unlink()


@action(4, Effect.KEPT, "face")
def full_disk(user: User) -> None:
    """Export and save onto a disk that is full."""
    folder = Path(user.settings.get("full") or "")
    if not user.settings.get("full"):
        return
    # Saving brings the lists of all faces in step with their keys, also of one that shares them with a face in hand.
    user.blender("wm.save_as_mainfile", filepath=str(folder.parent / "in step.blend"), copy=True)
    before = state()
    with _full(folder):
        name, ending = user.rng.choice(
            (("export_performance", ".jsonl"), ("export_live_link", ".csv"), ("save_profile", ".json"), ("", ".blend"))
        )
        path = str(folder / f"out{ending}")
        # Blender tells of it itself.
        done = user.call(name, filepath=path) if name else user.blender("wm.save_as_mainfile", filepath=path, copy=True)
        if done:
            raise Broken(f"{name or 'saving'} says that it has written to a full disk")
    if rows := differences(before, state()):
        raise Broken("a full disk has changed something:\n  " + "\n  ".join(rows))
