# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes on behind the window: the worker process, the generation that is running, and the set-up.

Nothing here is kept in the file. The one session is made when the extension is registered and closed when it is
unregistered; loading another file stops what is running.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..inference.client import Collector, WorkerClient, worker_command
from ..inference.options import ModelOptions
from ..inference.protocol import Cancelled, Done
from ..inference.runtime import Runtime, child_environment
from ..inference.runtime_setup import SetupEvent, SetupJob
from ..performance import Brief, FacescriptError
from ..rig_mapping.steps import Steps, advance, finish

# Seconds that a worker is given to stop a generation; one that is stuck, or loading a large model, is ended.
PATIENCE = 5.0

# Operators that hold on to keys or markers while they run.
_DRAGS = ("TRANSFORM_OT", "MARKER_OT", "ACTION_OT", "GRAPH_OT", "ANIM_OT", "NLA_OT", "POSE_OT", "OBJECT_OT")

# Seconds that a timer may write for before the window gets its turn.
SLICE = 0.003

# Seconds between two looks at the worker's events: fast enough to feel live, slow enough to cost nothing.
TICK = 0.05


_CANCELLED = "Cancelled. The timeline is as it was."


@dataclass
class Job:
    """One request: its number, what it gathers, what to do with that, and the face it is for."""

    number: int
    collector: Collector
    finish: Callable[[Collector], Steps[None]]
    face: str
    stopping: float = 0.0

    @property
    def overdue(self) -> bool:
        """Whether the worker was asked to stop and has not for too long."""
        return self.stopping > 0.0 and time.monotonic() - self.stopping > PATIENCE


class Session:
    """The worker and the job, if any. All calls come from Blender's main thread."""

    def __init__(self) -> None:
        self._client: WorkerClient | None = None
        self._runtime: Runtime | None = None
        self.job: Job | None = None
        self.setup: SetupJob | None = None
        self.setup_progress = SetupEvent("", 0.0, "")
        self.error: FacescriptError | None = None
        self.note = ""
        self._quiet = 0
        self._writing: Steps[Any] | None = None
        self.following: Steps[bool] | None = None
        # Has a face that is only looked at stand as it does by itself.
        self.put_back: Callable[[], None] = lambda: None

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
        at: tuple[int, ...] = (),
        count: int = 0,
    ) -> None:
        """Send a request, as `inference.protocol` tells of them; `finish` writes what came when it is done.

        Raises FacescriptError if a generation is running already, or if the worker cannot be started.
        """
        if self.job:
            raise FacescriptError("busy", "A generation is running already.", "Wait for it, or press Cancel.")
        self.error, self.note = None, ""
        client = self._worker(runtime)
        client.poll()
        self.job = Job(client.request(kind, brief, options, seed, at, count), Collector(brief), finish, face)

    def _worker(self, runtime: Runtime) -> WorkerClient:
        if self._client and (not self._client.alive or self._runtime != runtime):
            self.stop_worker()
        if self._client is None:
            self._client = WorkerClient(worker_command(runtime.python, runtime.models), child_environment())
            self._runtime = runtime
        return self._client

    def cancel(self) -> None:
        """Stop the running generation; what is on the timeline stays as it was."""
        if self.job and self._client and not self.job.stopping:
            self.job.stopping = time.monotonic()
            self._client.cancel(self.job.number)

    def step(self) -> bool:
        """Take in what the worker has said. True while a generation is running; never waits, never raises."""
        job = self.job
        if job is None or self._client is None:
            return False
        try:
            if self._writing is not None:
                return self._write()
            for event in self._client.poll(SLICE):
                if getattr(event, "id", job.number) not in (0, job.number):
                    continue
                job.collector.add(event)
                if isinstance(event, Cancelled):
                    self.job, self.note = None, _CANCELLED
                    return False
                if isinstance(event, Done):
                    self.put_back()
                    self._writing = job.finish(job.collector)
                    return True
        except FacescriptError as error:
            self.job, self.error, self._writing = None, error, None
            if error.code in ("bad_answer", "worker_died"):
                # Whatever it still says belongs to nobody.
                self.stop_worker()
            return False
        except Exception as error:  # Anything else must not leave a generation that never ends.
            self.job, self._writing = None, None
            self.error = _unforeseen(error)
            return False
        if job.overdue:
            self.stop_worker(patience=0.0)
            self.note = _CANCELLED
            return False
        return True

    def _write(self) -> bool:
        """Do a little of the writing; whether there is more."""
        assert self._writing is not None
        if dragging() or advance(self._writing, SLICE):
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
        waiting = [steps for steps in (self.following, self._writing) if steps is not None]
        if self._writing is not None:
            self.job = None
        self.following = self._writing = None
        for steps in waiting:
            try:
                finish(steps)
            except FacescriptError as error:
                self.error = error
            except Exception as error:
                self.error = _unforeseen(error)

    def give_up_writing(self) -> None:
        """Take back what is half written."""
        for steps in (self.following, self._writing):
            if steps is not None:
                steps.close()
        self.following = self._writing = None

    def start_setup(self, work: Callable[[Callable[[], bool]], Iterator[SetupEvent]]) -> None:
        """Start to set the runtime up, or to remove it, on a thread of its own."""
        # A worker keeps files of the runtime open, which Windows does not let go.
        self.stop_worker()
        self.error, self.note = None, ""
        self.setup_progress = SetupEvent("", 0.0, "Starting")
        self.setup = SetupJob(work)

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

    def stop_worker(self, patience: float = 2.0) -> None:
        """End the worker process, after `patience` seconds by force; the next generation starts another."""
        self.job = None
        self.give_up_writing()
        if self._client:
            self._client.close(patience)
            self._client = None


def _unforeseen(error: Exception) -> FacescriptError:
    """What to tell of an error that nobody thought of; to be called where it is handled."""
    traceback.print_exc()
    hint = "Please report this, with the lines of the system console."
    return FacescriptError("internal", f"Writing the keyframes failed: {error}.", hint)


_session: Session | None = None


def session() -> Session:
    """The session. Only while the extension is registered."""
    assert _session is not None
    return _session


def busy_reason(context: bpy.types.Context) -> str:
    """Why the timeline cannot be written now, or an empty text."""
    if session().busy:
        return "A generation is running. Wait for it, or press Cancel"
    if context.mode.startswith(("EDIT", "SCULPT", "PAINT", "PARTICLE")):
        # Undo in these modes does not cover keyframes.
        return "Switch to Object or Pose Mode first"
    return ""


def dragging() -> bool:
    """Whether something is being dragged: keys and markers must not be touched then."""
    windows = bpy.context.window_manager.windows
    return any(op.bl_idname.startswith(_DRAGS) for window in windows for op in window.modal_operators)


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
        bpy.app.timers.register(_tick, first_interval=TICK)


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
        _session.stop_worker()
        _session.note = "Another file was opened; the generation was stopped."


@persistent  # type: ignore[untyped-decorator]
def _settle(*_: Any) -> None:
    if _session is not None:
        _session.settle()


def register() -> None:
    """Make the session."""
    global _session
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
    if bpy.app.timers.is_registered(_tick):
        bpy.app.timers.unregister(_tick)
    if _session:
        _session.stop_setup()
        _session.stop_worker()
    _session = None
