# SPDX-License-Identifier: GPL-3.0-or-later
"""The client's end of the worker process: start it, ask, listen without ever waiting, and end it."""

from __future__ import annotations

import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ..performance import Beat, Brief, FacescriptError, Keyframe, Performance
from ..performance.model import MAX_KEYFRAMES
from . import broken_pipes, deaths, mishaps, protocol, update
from .options import ModelOptions
from .protocol import Alive, BeatFound, Cancelled, Done, Event, Failed, KeyframeMade, Ready, Request
from .pulse import Pulse

START = Path(__file__).with_name("start.py")
MAX_EVENT_BYTES = 1 << 20
# Events that nobody has taken yet: more than the longest performance has are no answer to anything.
MAX_WAITING = 5 * MAX_KEYFRAMES
# How long a worker that has closed its output may take to end, in seconds.
_LAST_BREATH = 5.0
# How often it is looked whether a worker hangs, and the most that one look counts for, in seconds: where this process
# itself stood still (a laptop that slept, a long render), the worker was not silent that long.
_GLANCE, _MOST = 0.5, 1.0

if sys.platform == "win32":
    # No console window.
    _FLAGS = subprocess.CREATE_NO_WINDOW
else:
    _FLAGS = 0


def worker_command(python: Path, models: Path) -> list[str]:
    """The command line that starts a worker with a runtime's Python and models folder."""
    # -I keeps the user's own site-packages and the current folder off Python's path.
    # -X utf8, since -I also ignores PYTHONUTF8.
    start = [str(python), "-I", "-X", "utf8", str(START)]
    return [*start, "worker", "--models", str(models), "--parent", str(os.getpid())]


class WorkerClient:
    """One worker process and the requests sent to it.

    Nothing here waits but `wait` and `close`: threads of its own write to the worker, read from it, and watch it. A
    worker that ends by itself, that hangs, or that says something that is not an event or that nobody asked for, is
    ended with all that it started, and shows up as one `Failed` event with the id 0.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the worker. Raises FacescriptError (`updated`, `no_worker`)."""
        self._events: queue.Queue[Event] = queue.Queue()
        self._last_words: deque[str] = deque(maxlen=30)
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._next = 1
        self._open: set[int] = set()
        self._ready = False
        self._pulse = Pulse()
        self._verdict: FacescriptError | None = None
        self._closing = False
        self._ended = threading.Event()
        self._kills = deaths.memory_kills()
        update.check()
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
                creationflags=_FLAGS,
                # A group of its own, which can be ended whole.
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise FacescriptError(
                "no_worker", f"The worker cannot be started ({command[0]}: {why}).", "Run Set Up."
            ) from error
        self._errors = threading.Thread(target=self._read_errors, daemon=True, name="facescript-errors")
        self._threads = (
            self._errors,
            threading.Thread(target=self._read_events, daemon=True, name="facescript-events"),
            threading.Thread(target=self._write_requests, daemon=True, name="facescript-requests"),
            threading.Thread(target=self._watch, daemon=True, name="facescript-watch"),
        )
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether the process runs and is not about to be ended."""
        return self._verdict is None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The worker's process number."""
        return self._process.pid

    def request(
        self,
        kind: str,
        brief: Brief,
        options: ModelOptions,
        seed: int = 0,
        at: tuple[int, ...] = (),
        count: int = 0,
    ) -> int:
        """Send a request for work, as `protocol` tells of them; the id that its events carry.

        Raises FacescriptError at once for what the worker would refuse to read, and if it has ended (`worker_died`) or
        is of another version by now (`updated`).
        """
        update.check()
        if not self.alive:
            raise FacescriptError("worker_died", "The worker has ended.", deaths.AGAIN)
        line = protocol.request_to_line(Request(self._next, kind, brief, options, seed, at, count))
        protocol.parse_request(line)
        number, self._next = self._next, self._next + 1
        self._open.add(number)
        self._requests.put(line.encode())
        return number

    def cancel(self, number: int) -> None:
        """Ask the worker to stop a request; a `Cancelled` event follows."""
        self._requests.put(protocol.request_to_line(Request(number, "cancel")).encode())

    def poll(self, seconds: float = math.inf) -> list[Event]:
        """The events since the last call, as far as they can be taken in about so many seconds; never waits for more.

        While the worker is talking, the thread that listens to it and this one get in each other's way.
        """
        found: list[Event] = []
        end = time.perf_counter() + seconds
        while not found or time.perf_counter() < end:
            try:
                found.append(self._events.get_nowait())
            except queue.Empty:
                break
        return found

    @property
    def talking(self) -> bool:
        """Whether there are events that were not taken yet."""
        return not self._events.empty()

    def wait(self, number: int, timeout: float = 3600.0) -> Iterator[Event]:
        """Yield the events of one request until it is done, cancelled or failed; blocks.

        Raises FacescriptError (`worker_silent`) after `timeout` seconds without an event.
        """
        while True:
            try:
                event = self._events.get(timeout=timeout)
            except queue.Empty:
                what = f"The worker said nothing for {timeout:.0f} seconds."
                raise FacescriptError("worker_silent", what, deaths.AGAIN) from None
            if isinstance(event, (Ready, Alive)) or event.id not in (0, number):
                continue
            yield event
            if isinstance(event, (Done, Cancelled, Failed)):
                return

    def close(self, patience: float = 2.0) -> None:
        """End the worker: ask, then kill after `patience` seconds. Safe to call twice, and from any thread."""
        self._closing = True
        self._requests.put(protocol.request_to_line(Request(0, "shutdown")).encode())
        self._requests.put(None)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self._kill()
        for thread in self._threads:
            thread.join(2.0)

    def _kill(self) -> None:
        """End the worker and all that it started, at once; nothing if that was done: its number may be another's."""
        if self._ended.is_set():
            return
        _kill_group(self._process)
        # One that waits for a disk ends when the disk has answered.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10.0)

    def _condemn(self, error: FacescriptError) -> None:
        """End the worker for a reason, of which the thread that reads its events will tell."""
        self._verdict = self._verdict or error
        self._kill()

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._ended.wait(_GLANCE):
            if self._process.poll() is not None:
                # What it has started holds on to the pipe.
                _kill_group(self._process)
            now = time.monotonic()
            why = self._pulse.wait(min(now - before, _MOST), bool(self._open))
            before = now
            if why and not self._closing:
                self._condemn(FacescriptError("worker_hung", f"The worker {why}, and was ended.", deaths.AGAIN))
                return

    def _write_requests(self) -> None:
        broken_pipes.outlive()
        stream = self._process.stdin
        assert stream
        # If it has died, the thread that reads events says so.
        with suppress(OSError), stream:
            while line := self._requests.get():
                stream.write(line)
                stream.flush()

    def _read_events(self) -> None:
        stream = self._process.stdout
        assert stream
        with stream:
            try:
                while line := stream.readline(MAX_EVENT_BYTES + 1):
                    if not line.endswith(b"\n") and len(line) <= MAX_EVENT_BYTES:
                        break  # It ended in the middle of a line: how it ended says more.
                    self._hear(line)
            except FacescriptError as error:
                # What else it says cannot be trusted either.
                self._condemn(error)
            if not self._closing:
                self._verdict = self._verdict or self._death()
                self._events.put(Failed(0, self._verdict))
            # What it has started goes with it, and lets the thread that reads errors end.
            self._kill()
        self._ended.set()
        # Ends the writing thread too.
        self._requests.put(None)

    def _hear(self, line: bytes) -> None:
        """Take in one line. Raises FacescriptError (`bad_answer`, `updated`) if it cannot be."""
        if len(line) > MAX_EVENT_BYTES:
            raise _bad(f"The worker answered with a line of more than {MAX_EVENT_BYTES >> 20} MiB.")
        event = protocol.parse_event(line)
        self._pulse.hear()
        if isinstance(event, Ready) == self._ready:
            raise _bad("The worker did not introduce itself, or did so twice.")
        match event:
            case Ready(spoken, version):
                if (spoken, version) != (protocol.PROTOCOL, update.VERSION):
                    raise update.updated()
                self._ready = True
                return
            case Alive():
                self._pulse.feel(event)
                return
            case Failed(0, _):
                self._open.clear()
            case _ if event.id >= self._next:
                raise _bad(f"The worker spoke of request {event.id}, which nobody made.")
            case _ if event.id not in self._open:
                # Late: nobody waits for it any more.
                return
            case Done() | Cancelled() | Failed():
                self._open.discard(event.id)
        if self._events.qsize() >= MAX_WAITING:
            raise _bad("The worker never stops talking.")
        self._events.put(event)

    def _read_errors(self) -> None:
        stream = self._process.stderr
        assert stream
        with stream:
            while line := stream.readline(8192):
                if words := line.decode("utf-8", "replace").strip():
                    self._last_words.append(words)
                    if mishaps.DEBUG in os.environ:
                        print(f"Facescript's worker: {words}", file=sys.stderr, flush=True)

    def _death(self) -> FacescriptError:
        status: int | None = None
        with suppress(subprocess.TimeoutExpired):
            status = self._process.wait(_LAST_BREATH)
        _kill_group(self._process)
        # What it printed last may still be on its way.
        self._errors.join(0.5)
        return deaths.told(status, self._last_words, self._ready, deaths.memory_kills() > self._kills)


def _bad(what: str) -> FacescriptError:
    return FacescriptError("bad_answer", what, deaths.AGAIN)


if sys.platform == "win32":

    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        process.kill()

else:

    def _kill_group(process: subprocess.Popen[bytes]) -> None:
        # The group outlives the worker if something that it started does.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


class Collector:
    """Gathers one request's events into keyframes, and these into a performance."""

    def __init__(self, brief: Brief, expected: range = range(1, MAX_KEYFRAMES + 1)) -> None:
        """`expected`: how many keyframes may come."""
        self._brief = brief
        self._expected = expected
        self.beats: dict[int, Beat] = {}
        self.keyframes: dict[int, Keyframe] = {}
        self.count = 0
        self.fraction = 0.0
        self.message = ""
        self.label = ""

    @classmethod
    def of(cls, kind: str, brief: Brief, at: Sequence[int] = (), count: int = 0) -> Collector:
        """For a request of a kind, as `protocol` tells of them."""
        beats = len(brief.beats)
        whole = {"pose": beats, "pose_each": beats, "pose_some": len(at)}
        if kind in whole:
            return cls(brief, range(whole[kind], whole[kind] + 1))
        return cls(brief, range(1, count + 1)) if kind == "alternatives" else cls(brief)

    def add(self, event: Event) -> None:
        """Take in one event. Raises its error for `Failed`, and `bad_answer` for what cannot be part of one answer: a
        number of beats that changes or was not asked for, one beat or keyframe twice, an end before all have come."""
        match event:
            case protocol.Progress(_, fraction, message):
                self.fraction, self.message = fraction, message
            case BeatFound(_, index, count, beat):
                self._expect(count)
                self._once(index, self.beats)
                self.beats[index] = beat
            case KeyframeMade(_, index, count, keyframe):
                self._expect(count)
                self._once(index, self.keyframes)
                self.keyframes[index] = keyframe
            case Done(_, label):
                self.made()
                self.label, self.fraction = label, 1.0
            case Failed(_, error):
                raise error

    def _expect(self, count: int) -> None:
        if self.count not in (0, count):
            raise _bad(f"The worker spoke of {self.count} beats, then of {count}.")
        if count not in self._expected:
            raise _bad(f"The worker spoke of {count} beats, of which nobody had asked.")
        self.count = count

    def _once(self, index: int, known: Mapping[int, object]) -> None:
        if index in known:
            raise _bad(f"The worker sent beat {index + 1} twice.")

    def made(self) -> tuple[Keyframe, ...]:
        """All keyframes of the answer, in order: of alternatives, which have one time, too.

        Raises FacescriptError (`bad_answer`) if one never came.
        """
        missing = [i for i in range(self.count) if i not in self.keyframes]
        if missing or not self.count:
            raise _bad(f"The worker left out {len(missing) or 'all'} keyframes.")
        return tuple(self.keyframes[i] for i in range(self.count))

    def performance(self) -> Performance:
        """The finished performance. Raises FacescriptError (`bad_answer`) if a keyframe never came."""
        return Performance(replace(self._brief, beats=()), self.made())


def perform(
    client: WorkerClient,
    kind: str,
    brief: Brief,
    options: ModelOptions,
    seed: int = 0,
    on_event: Callable[[Event], None] = lambda event: None,
    timeout: float = 3600.0,
) -> Performance:
    """Ask and wait for the whole performance; `timeout` is the longest silence, in seconds.

    Raises FacescriptError, also if it was cancelled.
    """
    made = ask(client, kind, brief, options, seed, on_event=on_event, timeout=timeout)
    return Performance(replace(brief, beats=()), made)


def ask(
    client: WorkerClient,
    kind: str,
    brief: Brief,
    options: ModelOptions,
    seed: int = 0,
    at: tuple[int, ...] = (),
    count: int = 0,
    on_event: Callable[[Event], None] = lambda event: None,
    timeout: float = 3600.0,
) -> tuple[Keyframe, ...]:
    """Ask and wait for all keyframes of an answer, as `perform` does for a performance."""
    collector = Collector.of(kind, brief, at, count)
    number = client.request(kind, brief, options, seed, at, count)
    began = time.monotonic()
    try:
        for event in client.wait(number, timeout):
            collector.add(event)
            on_event(event)
            if isinstance(event, Cancelled):
                raise FacescriptError("cancelled", f"Cancelled after {time.monotonic() - began:.0f} seconds.")
        return collector.made()
    except BaseException:
        # Nobody listens any more: the next request must not wait for this one.
        client.cancel(number)
        raise
