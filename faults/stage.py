# SPDX-License-Identifier: GPL-3.0-or-later
"""A scratch Blender with the installed extension: a scene with keys of a user's, what is done, and what can be seen.

Runs inside Blender. With the bpy module there is no window and no timer: `leave` calls the extension's own timer then.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import actor
from .fault import Moves
from .small_disk import SmallDisk, small_disk

PACKAGE = "bl_ext.user_default.facescript"
# Three beats that the user describes, so that any model makes the same of them.
DESCRIBED = "[0.0s] both brows shoot up, eyes wide, jaw dropped\n[1.0s] eyes closed\n[2.0s] lips pressed together"
# Where a planner has to work too, for some seconds.
LONG = "\n".join(f"Line {number}. (She smiles, then looks away.)" for number in range(12))
FACE, OTHER = "ARKit Face", "Other Face"

# Every key of a curve, by the curve's name: numbers as their bits, and its kinds.
Keys = dict[str, list[tuple[Any, ...]]]

# A frame on which nothing that is generated here has keys.
_OUTSIDE = 4000.25


@dataclass(frozen=True)
class Settings:
    """What the scratch Blender is given: the zip, a usable runtime, the Python that actors run with, a folder."""

    zip: Path
    runtime: Path
    python: Path
    folder: Path
    real: bool = True

    @classmethod
    def read(cls, path: Path) -> Settings:
        """From `settings.json`."""
        entry = json.loads(path.read_text(encoding="utf-8"))
        paths = {name: Path(entry[name]) for name in ("zip", "runtime", "python", "folder")}
        return cls(**paths, real=bool(entry["real"]))


@dataclass(frozen=True)
class Told:
    """What the user was told: an error with its code, or a note; `code` is "" for what is no error."""

    code: str
    message: str
    hint: str = ""


class Pulse:
    """The longest time between two beats, in seconds; it goes on through all faults of one Blender."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.count = 0
        self._last = 0.0

    def begin(self) -> None:
        """Forget what was."""
        self.longest, self.count, self._last = 0.0, 0, time.monotonic()

    def beat(self) -> None:
        """The window is live now."""
        now = time.monotonic()
        if self._last:
            self.longest = max(self.longest, now - self._last)
        self._last = now
        self.count += 1


class Stage:
    """One scratch Blender, in which faults are injected one after another."""

    def __init__(self, settings: Settings, bpy: Any, window: bool = False) -> None:
        self.settings = settings
        self.bpy = bpy
        self.window = window
        self.folder = settings.folder
        self.told: Told | None = None
        self.struck = self.noticed = 0.0
        # In a window, how long it was held is between two beats of a timer; else, the longest call of the extension's.
        self.pulse = Pulse()
        self._longest_call = 0.0
        self.skipped = ""
        self.keys_before: Keys = {}
        self.users_before: Keys = {}
        self.users_in_file: Keys = {}
        self._face_uid = 0
        # Parts of the names of curves that the fault itself changes, as the user.
        self.changed_by_user: list[str] = []
        # Whether keys were written that make no beats.
        self.wrote = False
        # Whether the file is opened again before the next Generate: its face is not what it was.
        self.reload = False
        # What is to be done to have the computer as it was.
        self.undo: list[Callable[[], object]] = []

    # --- the extension ----------------------------------------------------------------------------------------

    @staticmethod
    def module(name: str) -> Any:
        """A module of the installed extension."""
        return sys.modules[f"{PACKAGE}.{name}"]

    @property
    def session(self) -> Any:
        """What goes on behind the window."""
        return self.module("operators.session").session()

    @property
    def preferences(self) -> Any:
        """The extension's preferences."""
        return self.bpy.context.preferences.addons[PACKAGE].preferences

    @property
    def scene(self) -> Any:
        """The current scene."""
        return self.bpy.context.scene

    @property
    def face(self) -> Any:
        """The face that is generated on, whatever it is called by now. Raises StopIteration if it is gone."""
        return next(obj for obj in self.bpy.data.objects if obj.session_uid == self._face_uid)

    @property
    def has_face(self) -> bool:
        """Whether that face is there."""
        return any(obj.session_uid == self._face_uid for obj in self.bpy.data.objects)

    @property
    def busy(self) -> bool:
        """Whether the extension is at work on a performance or a set-up."""
        return bool(self.session.busy or self.session.setup is not None)

    @property
    def workers(self) -> list[int]:
        """The process numbers of this Blender's workers."""
        return [pid for pid in descendants(os.getpid()) if "worker" in command_of(pid) and not is_zombie(pid)]

    @property
    def worker(self) -> int:
        """The process number of the worker."""
        return self.workers[-1]

    # --- the scene --------------------------------------------------------------------------------------------

    def set_scene(self) -> Moves:
        """Open the file with two faces, one of them with a performance, and keys of the user's on everything."""
        path = self.settings.folder / "stage.blend"
        if not path.is_file():
            yield from self._make_scene()
            self.bpy.ops.wm.save_as_mainfile(filepath=str(path))
        # A copy: faults may save.
        here = self.folder / "stage.blend"
        if here != path:
            shutil.copyfile(path, here)
        self.bpy.ops.wm.open_mainfile(filepath=str(here), load_ui=False)
        # A window has its context again only in the timer's next call.
        yield
        self.choose(FACE)
        self._face_uid = self.bpy.data.objects[FACE].session_uid
        self.users_in_file = self.users_keys()

    def choose(self, name: str) -> None:
        """Make an object the active one, and the only one that is selected."""
        layer = self.bpy.context.view_layer
        obj = self.bpy.data.objects[name]
        for other in list(layer.objects):
            other.select_set(other == obj)
        layer.objects.active = obj

    def _make_scene(self) -> Moves:
        bpy = self.bpy
        bpy.ops.wm.read_homefile(use_empty=True)
        yield
        self.scene.render.fps, self.scene.frame_end = 24, 250
        bpy.ops.facescript.add_face()
        first = bpy.context.view_layer.objects.active
        first.name = OTHER
        path = self.settings.folder / "performance.jsonl"
        rows = [{"t": float(n), "text": f"beat {n}", "pose": {"mouthSmileLeft": 0.2 * n}} for n in range(1, 4)]
        path.write_text(json.dumps({"script": "Oh, really?", "keyframes": rows}), encoding="utf-8")
        bpy.ops.facescript.import_performance(filepath=str(path))
        bpy.ops.facescript.add_face()
        second = bpy.context.view_layer.objects.active
        second.name, second.location.x = FACE, 1.0
        second.facescript.script = DESCRIBED
        for obj in (first, second):
            self._key_by_hand(obj)

    def _key_by_hand(self, obj: Any) -> None:
        """Keys before, between and after what is generated, with values and handles that no program would choose."""
        for shape, frame, value in (("jawOpen", _OUTSIDE, 0.1234567), ("cheekPuff", _OUTSIDE + 8.5, 0.7654321)):
            block = obj.data.shape_keys.key_blocks[shape]
            block.value = value
            block.keyframe_insert("value", frame=frame)
            block.value = 0.0
        obj.location.z = 0.333333
        for frame in (3, 30.5):
            obj.keyframe_insert("location", frame=frame)
        for curve in self._curves():
            for point in curve.keyframe_points:
                if point.co.x > _OUTSIDE - 1 or "location" in curve.data_path:
                    point.handle_left_type = point.handle_right_type = "FREE"
                    point.handle_left.y += 0.0137

    def _curves(self) -> list[Any]:
        return [curve for _, curve in self.named_curves()]

    def named_curves(self) -> Iterator[tuple[str, Any]]:
        """Every curve of the file, named by what it moves."""
        api = self.module("rig_mapping.blender_api")
        for block in (*self.bpy.data.objects, *self.bpy.data.shape_keys):
            for curve in api.fcurves(api.find_place(block)):
                yield f"{type(block).__name__} {block.name} {curve.data_path} {curve.array_index}", curve

    def keys(self) -> Keys:
        """Every key of the file."""
        return {name: [_bits(point) for point in curve.keyframe_points] for name, curve in self.named_curves()}

    def users_keys(self) -> Keys:
        """Those that no performance may touch: of the other face, of objects, and far outside of what is generated."""
        own = {}
        face = self.face if self.has_face else None
        keys = face.data.shape_keys if face is not None else None
        mesh = str(keys.name) if keys is not None else ""
        for name, curve in self.named_curves():
            points = list(curve.keyframe_points)
            if mesh and f"Key {mesh} " in name:
                points = [point for point in points if point.co.x >= _OUTSIDE]
            elif face is not None and f"Object {face.name} " in name and "location" not in curve.data_path:
                # Head motion is written to the object itself.
                continue
            own[name] = [_bits(point) for point in points]
        return {name: rows for name, rows in own.items() if rows}

    # --- what a user does -------------------------------------------------------------------------------------

    def attempt(self, operator: Any, /, blocking: bool = False, **properties: Any) -> set[str]:
        """Press a button: call an operator, and take what it says if it refuses.

        `blocking` is for what a window does in steps and a script at once.
        """
        before = self.session.error
        begin = time.perf_counter()
        try:
            result = set(operator(**properties))
        except RuntimeError as error:
            after = self.session.error
            told = told_by(after) if after is not None and after is not before else None
            self.tell(told or Told("refused", str(error).strip().rpartition("poll() ")[2]))
            return {"CANCELLED"}
        finally:
            if not (blocking or properties.get("wait")):
                self._longest_call = max(self._longest_call, time.perf_counter() - begin)
        return result

    def in_window(self, operator: Any, **properties: Any) -> None:
        """Call an operator of Blender's own that needs a window; nothing if it cannot be called now."""
        with self.bpy.context.temp_override(window=self.bpy.context.window_manager.windows[0]):
            if operator.poll():
                operator(**properties)

    def usual_pulse(self) -> Moves:
        """Have the window drawn again and again for a second; how long that alone holds it is `pulse.longest`."""
        self.pulse.begin()
        end = time.monotonic() + 1.0
        # Drawn once, it may take longer than that.
        while time.monotonic() < end or self.pulse.count < 5:
            for area in self.bpy.context.window_manager.windows[0].screen.areas:
                area.tag_redraw()
            yield

    def generate(self, script: str = DESCRIBED, **properties: Any) -> set[str]:
        """Press Generate, and do not wait."""
        return self.attempt(self.bpy.ops.facescript.generate, script=script, **properties)

    def perform(self, behaviour: str, script: str = DESCRIBED) -> Moves:
        """Press Generate with a worker that behaves so; once it is at work or done, that is the fault."""
        self.act(behaviour)
        self.generate(script)
        yield from self.until(lambda: self.session.job is None or self.session.job.collector.beats, 60.0)
        self.strike()

    def tell(self, told: Told) -> None:
        """The user is told something now."""
        if self.told is None or (told.code and not self.told.code):
            self.told, self.noticed = told, time.monotonic()

    def tell_note(self, message: str) -> None:
        """The user is told something that is no error."""
        self.tell(Told("", message))

    def strike(self) -> None:
        """The fault happens now: what is noticed from here on is counted, and the keys are as they are to stay."""
        self.keys_before, self.users_before = self.keys(), self.users_keys()
        self.struck, self.told, self._longest_call = time.monotonic(), None, 0.0
        self.pulse.begin()

    def put_back(self) -> None:
        """Undo what the fault did to the computer."""
        while self.undo:
            self.undo.pop()()

    def set_variables(self, variables: Mapping[str, str | None]) -> None:
        """Set this process's environment variables, or take them away, until the fault is over."""
        before = {name: os.environ.get(name) for name in variables}
        _set_variables(variables)
        self.undo.append(lambda: _set_variables(before))

    def disk(self, size: int = 1 << 20, read_only: bool = False) -> SmallDisk | None:
        """A small disk until the fault is over; None where there is none, and then it is said."""
        stack = ExitStack()
        try:
            found = stack.enter_context(small_disk(size, self.folder, read_only))
        except OSError as error:
            self.skip(str(error))
            return None
        self.undo.append(stack.close)
        if not found.mounted:
            self.skip("a disk cannot be mounted here")
            return None
        return found

    def skip(self, why: str) -> None:
        """It cannot be tried here."""
        self.skipped = why

    def leave(self) -> Moves:
        """Leave Blender to itself for a moment."""
        if not self.window:
            begin = time.perf_counter()
            for timer in ("_tick", "_tick_idle"):
                getattr(self.module("operators.session"), timer)()
            self._longest_call = max(self._longest_call, time.perf_counter() - begin)
            time.sleep(0.01)
        yield

    @property
    def held(self) -> float:
        """The longest time that the window was held since the fault, in seconds."""
        return self.pulse.longest if self.window else self._longest_call

    def until(self, condition: Callable[[], object], seconds: float = 30.0) -> Moves:
        """Leave Blender to itself until something is so. Raises AssertionError if it takes too long."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"waited {seconds:.0f} s in vain"
            yield from self.leave()

    def idle(self, seconds: float) -> Moves:
        """Leave Blender to itself for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            yield from self.leave()

    def rest(self, seconds: float = 90.0) -> Moves:
        """Leave Blender to itself until nothing is at work any more, and take down what it says then."""
        yield from self.until(lambda: not self.busy, seconds)
        session = self.session
        if session.error is not None:
            self.tell(told_by(session.error))
        elif session.note:
            self.tell(Told("", session.note))

    def at_work(self, what: str = "beats", seconds: float = 60.0) -> Moves:
        """Leave Blender to itself until the first of a performance's `beats` or `keyframes` has come."""
        yield from self.until(lambda: self.session.job is None or getattr(self.session.job.collector, what), seconds)
        assert self.session.job is not None, f"it was over too soon: {self.session.error or self.session.note}"

    # --- runtimes ---------------------------------------------------------------------------------------------

    def use(self, runtime: Path) -> None:
        """Choose a runtime's folder in the preferences."""
        self.preferences.runtime_folder = str(runtime)

    def act(self, behaviour: str) -> Path:
        """Choose a runtime whose worker has a toy for a model and behaves so; the file of its notes."""
        notes = self.folder / "notes.txt"
        self.use(self.actor_runtime(self.folder / f"runtime {behaviour}", behaviour, notes))
        return notes

    def actor_runtime(self, folder: Path, behaviour: str, notes: Path) -> Path:
        """A runtime's folder with an actor for its Python."""
        folder.mkdir(exist_ok=True)
        actor.write_python(folder / "python", self.settings.python, behaviour, notes)
        record = json.loads((self.settings.runtime / "runtime.json").read_text(encoding="utf-8"))
        (folder / record["models"]).mkdir(exist_ok=True)
        entry = record | {"env": "", "python": str(folder / "python")}
        (folder / "runtime.json").write_text(json.dumps(entry), encoding="utf-8")
        return folder

    def usual(self, real: bool) -> Path:
        """The runtime for what comes between faults: the real one, or a toy that behaves."""
        if real:
            return self.settings.runtime
        toy = self.settings.folder / "toy"
        return toy if toy.is_dir() else self.actor_runtime(toy, "", self.settings.folder / "toy.txt")

    def copied_runtime(self) -> Path:
        """A runtime of its own with the real worker: the record, and a link to the models."""
        folder = self.folder / "runtime copy"
        folder.mkdir()
        record = json.loads((self.settings.runtime / "runtime.json").read_text(encoding="utf-8"))
        (folder / record["models"]).symlink_to(self.settings.runtime / record["models"])
        (folder / "runtime.json").write_text(json.dumps(record), encoding="utf-8")
        return folder

    def at(self, folder: Path) -> Stage:
        """The same Blender for the next fault, which works in `folder`."""
        folder.mkdir(parents=True)
        fresh = Stage(self.settings, self.bpy, self.window)
        fresh.folder, fresh.pulse = folder, self.pulse
        return fresh


def _set_variables(variables: Mapping[str, str | None]) -> None:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def told_by(error: Any) -> Told:
    """What an error of the extension's says."""
    return Told(error.code, error.message, error.hint)


def _bits(point: Any) -> tuple[Any, ...]:
    numbers = (*point.co, *point.handle_left, *point.handle_right)
    return (*(float(number).hex() for number in numbers), point.handle_left_type, point.interpolation, point.easing)


# --- what is left over ----------------------------------------------------------------------------------------


def traces(folders: tuple[Path, ...]) -> dict[str, Counter[str]]:
    """What this process holds: threads, children, open files, and the files in some folders."""
    files: Counter[str] = Counter()
    for folder in folders:
        files.update(str(path) for path in folder.rglob("*") if not _is_blenders(path.relative_to(folder)))
    return {
        "thread": Counter(thread.name.rstrip("0123456789-") for thread in threading.enumerate()),
        "process": Counter(_kind(pid) for pid in descendants(os.getpid())),
        "open file": Counter(_open_files()),
        "file": files,
    }


def left_over(before: dict[str, Counter[str]], after: dict[str, Counter[str]]) -> list[str]:
    """What is there now and was not before, in words."""
    return [
        f"{more} {kind} left: {name}"
        for kind, found in after.items()
        for name, more in (found - before[kind]).items()
        if more > 0
    ]


def _is_blenders(path: Path) -> bool:
    """Whether a file is Python's or Blender's own: compiled modules, and the folder of each session."""
    return "__pycache__" in path.parts or path.parts[0].startswith("blender_")


def _kind(pid: int) -> str:
    words = command_of(pid)
    return "zombie" if is_zombie(pid) else "worker" if "worker" in words else words[:60]


def _open_files() -> list[str]:
    found = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{number}")
            # Pipes and sockets have a number of their own each; their count is what matters.
            found.append(target.partition(":[")[0])
    return [name for name in found if not name.startswith("/proc/") and "stage.blend" not in name]


def descendants(pid: int) -> list[int]:
    """The processes that come from one, in the order of their numbers."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError, IndexError):
                stat = Path("/proc", name, "stat").read_text(encoding="utf-8", errors="replace")
                parents[int(name)] = int(stat.rpartition(")")[2].split()[1])
    found: set[int] = set()
    new = {pid}
    while new:
        new = {child for child, parent in parents.items() if parent in new} - found
        found |= new
    return sorted(found)


def command_of(pid: int) -> str:
    """A process's command line."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return ""


def is_zombie(pid: int) -> bool:
    """Whether a process has ended and was not waited for."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] == "Z"
    return False


def is_running(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    return os.path.exists(f"/proc/{pid}") and not is_zombie(pid)


def memory() -> float:
    """This process's resident memory in megabytes."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return 0.0
