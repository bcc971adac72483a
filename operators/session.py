# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes on behind the window: the worker process, the generation that is running, and the set-up.

Nothing here is kept in the file. The one session is made when the extension is registered and closed when it is
unregistered; loading another file stops what is running.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..inference import mishaps
from ..inference.client import Collector, WorkerClient, worker_command
from ..inference.diagnostics import Errors
from ..inference.options import ModelOptions
from ..inference.protocol import Cancelled, Done, Event, Failed
from ..inference.setup.runtime import Runtime, child_environment
from ..inference.setup.setting_up import SetupEvent, SetupJob
from ..performance import Brief, FacescriptError
from ..rig_mapping.steps import Slices, Steps
from . import preferences

# Seconds that a worker is given to stop a generation; one that is stuck, or loading a large model, is ended.
PATIENCE = 5.0

# Modes whose own undo does not cover keyframes: nothing is written in them.
_APART = ("EDIT", "SCULPT", "PAINT", "PARTICLE")

# Operators that hold on to keys or markers while they run.
_DRAGS = ("TRANSFORM_OT", "MARKER_OT", "ACTION_OT", "GRAPH_OT", "ANIM_OT", "NLA_OT", "POSE_OT", "OBJECT_OT")

# Seconds that a timer may write for before the window gets its turn.
SLICE = 0.003

# Seconds between two looks whether the worker has been idle for long.
_IDLE_TICK = 15.0

# Errors after which the worker is not asked again: whatever it still says belongs to nobody, or it holds too much.
_BROKEN = ("bad_answer", "worker_died", "worker_killed", "worker_hung", "no_memory", "updated", "bad_runtime")

# Of these, those that are worth another try if nothing of the request was heard yet.
_SUDDEN = ("worker_died", "worker_killed", "worker_hung")

# Seconds between two looks at the worker's events: fast enough to feel live, slow enough to cost nothing.
TICK = 0.05


_CANCELLED = "Cancelled. The timeline is as it was."


@dataclass
class Job:
    """One request: how it is sent, its number, what it gathers, what to do with that, and the face it is for.

    `sight` is what is written to, as `held.Held.sight` tells of it.
    """

    send: Callable[[WorkerClient], int]
    number: int
    collector: Collector
    finish: Callable[[Collector], Steps[None]]
    sight: Callable[[], object]
    face: str
    stopping: float = 0.0
    heard: bool = False
    again: bool = False

    @property
    def overdue(self) -> bool:
        """Whether the worker was asked to stop and has not for too long."""
        return self.stopping > 0.0 and time.monotonic() - self.stopping > PATIENCE


class Session:
    """The worker and the job, if any. All calls come from Blender's main thread."""

    def __init__(self) -> None:
        self._client: WorkerClient | None = None
        self._runtime: Runtime | None = None
        self._command: list[str] = []
        self.job: Job | None = None
        self.setup: SetupJob | None = None
        self.setup_progress = SetupEvent("", 0.0, "")
        self._error: FacescriptError | None = None
        self.errors = Errors()
        self.note = ""
        self._quiet = 0
        self._writing: Slices[None] | None = None
        self.following: Slices[None] | None = None
        # The names of each scene's markers when its list and they last agreed, by the scene's session number.
        self.marker_names: dict[int, frozenset[str]] = {}
        self._used = 0.0
        self._closing: list[threading.Thread] = []
        # Has a face that is only looked at stand as it does by itself.
        self.put_back: Callable[[], None] = lambda: None

    @property
    def error(self) -> FacescriptError | None:
        """The error that the panels show; the last ones are kept for a bug report."""
        return self._error

    @error.setter
    def error(self, error: FacescriptError | None) -> None:
        self._error = error
        if error is not None:
            self.errors.note(error)

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """While the list of beats is written by the extension itself, its properties' updates do nothing."""
        self._quiet += 1
        try:
            yield
        finally:
            self._quiet -= 1

    @property
    def quieted(self) -> bool:
        """Whether updates of properties are to do nothing."""
        return self._quiet > 0

    @property
    def busy(self) -> bool:
        """Whether a generation is running."""
        return self.job is not None

    def start(
        self,
        runtime: Runtime,
        kind: str,
        brief: Brief,
        options: ModelOptions,
        seed: int,
        face: str,
        finish: Callable[[Collector], Steps[None]],
        sight: Callable[[], object],
        at: tuple[int, ...] = (),
        count: int = 0,
    ) -> None:
        """Send a request, as `inference.protocol` tells of them; `finish` writes what came when it is done, and `sight`
        is what it writes to.

        Raises FacescriptError if a generation is running already, or if the worker cannot be started.
        """
        if self.job:
            raise FacescriptError("busy", "A generation is running already.", "Wait for it, or press Cancel.")
        self.error, self.note, self._used = None, "", time.monotonic()
        client = self._worker(runtime)
        client.poll()

        def send(client: WorkerClient) -> int:
            return client.request(kind, brief, options, seed, at, count)

        self.job = Job(send, send(client), Collector.of(kind, brief, at, count), finish, sight, face)

    def _worker(self, runtime: Runtime) -> WorkerClient:
        # Another Blender may have set the runtime up anew since.
        command = worker_command(runtime.python, runtime.models)
        if self._client and (not self._client.alive or self._command != command):
            self._let_go(2.0)
        if self._client is None:
            self._client = WorkerClient(command, child_environment())
            self._runtime, self._command = runtime, command
            watch_idle()
        return self._client

    def cancel(self) -> None:
        """Stop the running generation; what is on the timeline stays as it was."""
        if self._writing is not None and not self._writing.begun:
            self.job = self._writing = None
            self.note = _CANCELLED
        elif self.job and self._client and not self.job.stopping:
            self.job.stopping = time.monotonic()
            self._client.cancel(self.job.number)

    def step(self) -> bool:
        """Take in what the worker has said. True while a generation is running; never waits, never raises."""
        job = self.job
        if job is None or self._client is None:
            return False
        self._used = time.monotonic()
        try:
            if self._writing is not None:
                return self._write()
            for event in self._client.poll(SLICE):
                if not self._hear(job, event):
                    return self.busy
        except Exception as error:  # Nothing may leave a generation that never ends.
            # What is wrong with the answer is no reason to write half of it.
            self.job, self._writing, self.error = None, None, told(error)
            if self.error.code in _BROKEN:
                self.stop_worker(patience=0.0, wait=False)
            return False
        if job.overdue:
            self.stop_worker(patience=0.0, wait=False)
            self.note = _CANCELLED
            return False
        return True

    def _hear(self, job: Job, event: Event) -> bool:
        """Take in one event; whether the next one is wanted. Raises FacescriptError."""
        if getattr(event, "id", job.number) not in (0, job.number):
            return True
        if isinstance(event, Cancelled) or (isinstance(event, (Done, Failed)) and job.stopping):
            # An answer that crossed with the cancel is late.
            if isinstance(event, Failed) and event.error.code in _BROKEN:
                self._let_go(0.0)
            self.job, self.note = None, _CANCELLED
            return False
        if isinstance(event, Failed) and event.error.code in _SUDDEN and not (job.heard or job.again):
            # It died before it was at this request: of something else, or while it was idle.
            assert self._runtime
            self._let_go(0.0)
            job.again, job.number = True, job.send(self._worker(self._runtime))
            return False
        job.heard = True
        job.collector.add(event)
        if isinstance(event, Done):
            self.put_back()
            self._writing = Slices(job.finish(job.collector), job.sight)
        return not isinstance(event, Done)

    def _write(self) -> bool:
        """Do a little of the writing; whether there is more."""
        assert self._writing is not None
        if not self._writing.begun and (mode := mode_apart()):
            self.note = f"The answer is here. It is written when you leave {mode}."
            return True
        if dragging() or self._writing.advance(SLICE):
            return True
        self.job, self._writing = None, None
        return False

    @property
    def hurried(self) -> bool:
        """Whether there is more to do at once."""
        return self.writing or (self.busy and self._client is not None and self._client.talking)

    @property
    def writing(self) -> bool:
        """Whether what was made is being written to the timeline."""
        return self._writing is not None

    def settle(self) -> None:
        """Write at once what is still being written, before anything else is done to the timeline."""
        self.put_back()
        waiting: list[Slices[Any]] = [self.following] if self.following is not None else []
        self.following = None
        if self._writing is not None and (self._writing.begun or not mode_apart()):
            waiting.append(self._writing)
            self.job = self._writing = None
        for steps in waiting:
            try:
                steps.finish()
            except Exception as error:
                self.error = told(error)

    def give_up_writing(self) -> None:
        """Take back what is half written."""
        waiting: tuple[Slices[Any] | None, ...] = (self.following, self._writing)
        self.following = self._writing = None
        for steps in waiting:
            if steps is not None:
                steps.close()

    def start_setup(self, work: Callable[[Callable[[], bool]], Iterator[SetupEvent]]) -> None:
        """Start to set the runtime up, or to remove it, on a thread of its own."""
        # A worker keeps files of the runtime open, which Windows does not let go.
        self.stop_worker(wait=False)
        self.error, self.note = None, ""
        self.setup_progress = SetupEvent("", 0.0, "Starting")
        closing = list(self._closing)

        def undisturbed(cancelled: Callable[[], bool]) -> Iterator[SetupEvent]:
            for thread in closing:
                thread.join()
            yield from work(cancelled)

        self.setup = SetupJob(undisturbed)

    def step_setup(self) -> bool:
        """Take in how far set-up is. True while it is running; never waits, never raises."""
        if self.setup is None:
            return False
        # Asked first: what it says between the two calls is not lost.
        running = self.setup.running
        for event in self.setup.poll():
            self.setup_progress = event
        if running:
            return True
        self.error, self.setup = self.setup.error, None
        if self.error is None:
            self.note = self.setup_progress.message
        return False

    def stop_setup(self) -> None:
        """Stop the set-up, if one is running, and wait until it has."""
        if self.setup:
            self.setup.cancel()
            self.setup.join(10.0)
            self.setup = None

    def fail(self, error: FacescriptError) -> None:
        """Show an error in the panel."""
        self.error, self.note = error, ""

    def stop_worker(self, patience: float = 2.0, wait: bool = True) -> None:
        """End the worker process, after `patience` seconds by force; the next generation starts another.

        With `wait`, return when nothing of it is left; without, the window goes on meanwhile.
        """
        self.job = None
        self.give_up_writing()
        self._let_go(patience)
        if wait:
            for thread in self._closing:
                thread.join()

    def _let_go(self, patience: float) -> None:
        """Have the worker end, on a thread: a large model takes a while to leave the memory."""
        self._closing = [thread for thread in self._closing if thread.is_alive()]
        client, self._client = self._client, None
        if client is not None:
            closing = threading.Thread(target=client.close, args=(patience,), daemon=True, name="facescript_closing")
            closing.start()
            self._closing.append(closing)

    def rest(self, seconds: float) -> bool:
        """End a worker that has had nothing to do for so many seconds (0: never); whether there is one still."""
        if self._client is not None and not self.busy and 0.0 < seconds <= time.monotonic() - self._used:
            self.stop_worker(wait=False)
        return self._client is not None


def told(error: Exception) -> FacescriptError:
    """What to tell of an error that stopped the writing; to be called where it is handled."""
    if isinstance(error, FacescriptError):
        return error
    if isinstance(error, ReferenceError):
        what = "What was being written to was deleted meanwhile."
        return FacescriptError("target_gone", what, "Choose a face, and try again.")
    print(mishaps.trace(error), file=sys.stderr)
    hint = "Please report this, with the lines of the system console."
    return FacescriptError("internal", f"Facescript failed ({mishaps.place(error)}).", hint)


_session: Session | None = None


def session() -> Session:
    """The session. Only while the extension is registered."""
    assert _session is not None
    return _session


def busy_reason(context: bpy.types.Context) -> str:
    """Why the timeline cannot be written now, or an empty text."""
    if session().busy:
        return "A generation is running. Wait for it, or press Cancel"
    if context.mode.startswith(_APART):
        # Undo in these modes does not cover keyframes.
        return "Switch to Object or Pose Mode first"
    return ""


def dragging() -> bool:
    """Whether something is being dragged: keys and markers must not be touched then."""
    windows = bpy.context.window_manager.windows
    return any(op.bl_idname.startswith(_DRAGS) for window in windows for op in window.modal_operators)


def mode_apart() -> str:
    """The mode of a window in which nothing can be written, as the user knows it; "" if there is none."""
    for window in bpy.context.window_manager.windows:
        obj = window.view_layer.objects.active
        if obj is not None and any(word in obj.mode for word in _APART):
            return f"{obj.mode.replace('_', ' ').title().removesuffix(' Mode')} Mode"
    return ""


def redraw() -> None:
    """Ask for the sidebars and the preferences to be drawn again, and not for the whole 3D View."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type in ("VIEW_3D", "PREFERENCES"):
                for region in area.regions:
                    if region.type == ("UI" if area.type == "VIEW_3D" else "WINDOW"):
                        region.tag_redraw()


def watch() -> None:
    """Follow the running generation from a timer, so that the window stays live."""
    if not bpy.app.timers.is_registered(_tick):
        # Also where another file is opened: set-up goes on.
        bpy.app.timers.register(_tick, first_interval=TICK, persistent=True)


def watch_idle() -> None:
    """Give the worker's memory back from a timer when it has had nothing to do for as long as the preferences say."""
    if not bpy.app.timers.is_registered(_tick_idle):
        bpy.app.timers.register(_tick_idle, first_interval=_IDLE_TICK, persistent=True)


def _tick_idle() -> float | None:
    if _session is None:
        return None
    return _IDLE_TICK if _session.rest(preferences.get(bpy.context).keep_loaded * 60.0) else None


def _tick() -> float | None:
    if _session is None:
        return None
    generating, setting_up = _session.step(), _session.step_setup()
    if _session.hurried:
        return 0.0
    redraw()
    return TICK if generating or setting_up else None


@persistent  # type: ignore[untyped-decorator]
def _stop(*_: Any) -> None:
    if _session is None:
        return
    _session.error, _session.note = None, ""
    _session.put_back()
    _session.give_up_writing()
    if _session.job:
        # The objects that the job is for go with the file.
        _session.stop_worker(patience=0.0, wait=False)
        _session.note = "Another file was opened; the generation was stopped."


@persistent  # type: ignore[untyped-decorator]
def _settle(*_: Any) -> None:
    if _session is not None:
        _session.settle()


def register() -> None:
    """Make the session."""
    global _session
    if _session is not None:
        unregister()
    _session = Session()
    bpy.app.handlers.load_pre.append(_stop)
    for handlers in _settling():
        handlers.append(_settle)


def _settling() -> tuple[Any, ...]:
    """Before these, what is being written has to be whole."""
    return bpy.app.handlers.save_pre, bpy.app.handlers.undo_pre, bpy.app.handlers.redo_pre


def unregister() -> None:
    """End the worker and the session."""
    global _session
    bpy.app.handlers.load_pre.remove(_stop)
    for handlers in _settling():
        handlers.remove(_settle)
    for timer in (_tick, _tick_idle):
        if bpy.app.timers.is_registered(timer):
            bpy.app.timers.unregister(timer)
    if _session:
        _session.put_back()
        _session.stop_setup()
        _session.stop_worker(patience=0.5)
    _session = None
