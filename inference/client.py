# SPDX-License-Identifier: GPL-3.0-or-later
"""The client's end of the worker process: start it, ask, listen without ever waiting, and end it."""

from __future__ import annotations

import math
import queue
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
from . import protocol
from .options import ModelOptions
from .protocol import BeatFound, Cancelled, Done, Event, Failed, KeyframeMade, Request

START = Path(__file__).with_name("start.py")
MAX_EVENT_BYTES = 1 << 20
# How long a worker that has closed its output may take to end, in seconds.
_LAST_BREATH = 5.0
_HINT = "Generate again; if it happens again, run Set Up in the preferences."

if sys.platform == "win32":
    # No console window.
    _FLAGS = subprocess.CREATE_NO_WINDOW
else:
    _FLAGS = 0


def worker_command(python: Path, models: Path) -> list[str]:
    """The command line that starts a worker with a runtime's Python and models folder."""
    # -I keeps the user's own site-packages and the current folder off Python's path.
    # -X utf8, since -I also ignores PYTHONUTF8.
    return [str(python), "-I", "-X", "utf8", str(START), "worker", "--models", str(models)]


class WorkerClient:
    """One worker process and the requests sent to it.

    Nothing here waits but `wait` and `close`: threads of its own write to the worker and read from it. A worker
    that ends by itself shows up as a `Failed` event with the id 0; one that says something that is not an event
    is killed, and shows up in the same way, once.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._events: queue.Queue[Event] = queue.Queue()
        self._last_words: deque[str] = deque(maxlen=30)
        self._requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._next = 1
        self._closing = False
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
                creationflags=_FLAGS,
            )
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise FacescriptError(
                "no_worker", f"The worker cannot be started ({command[0]}: {why}).", "Run Set Up."
            ) from error
        self._errors = threading.Thread(target=self._read_errors, daemon=True, name="facescript-errors")
        self._reader = threading.Thread(target=self._read_events, daemon=True, name="facescript-events")
        self._writer = threading.Thread(target=self._write_requests, daemon=True, name="facescript-requests")
        self._threads = (self._errors, self._reader, self._writer)
        for thread in self._threads:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

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

        Raises FacescriptError at once for what the worker would refuse to read, and (`worker_died`) if it has ended.
        """
        if not self.alive:
            raise FacescriptError("worker_died", "The worker has ended.", _HINT)
        line = protocol.request_to_line(Request(self._next, kind, brief, options, seed, at, count))
        protocol.parse_request(line)
        number, self._next = self._next, self._next + 1
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

        Raises FacescriptError (`timeout`) after `timeout` seconds without an event.
        """
        while True:
            try:
                event = self._events.get(timeout=timeout)
            except queue.Empty:
                raise FacescriptError("timeout", f"The worker said nothing for {timeout:.0f} seconds.", _HINT) from None
            if isinstance(event, protocol.Ready) or event.id not in (0, number):
                continue
            yield event
            if isinstance(event, (Done, Cancelled, Failed)):
                return

    def close(self, patience: float = 2.0) -> None:
        """End the worker: ask, then kill after `patience` seconds. Safe to call twice."""
        self._closing = True
        self._requests.put(protocol.request_to_line(Request(0, "shutdown")).encode())
        self._requests.put(None)
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10.0)
        for thread in self._threads:
            thread.join(2.0)

    def _write_requests(self) -> None:
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
            while line := stream.readline(MAX_EVENT_BYTES + 1):
                try:
                    self._events.put(_event(line))
                except FacescriptError as error:
                    # What else it says cannot be trusted either.
                    self._process.kill()
                    self._process.wait()
                    self._events.put(Failed(0, error))
                    break
            else:
                if not self._closing:
                    self._events.put(Failed(0, self._death()))
        # Ends the writing thread too.
        self._requests.put(None)

    def _read_errors(self) -> None:
        stream = self._process.stderr
        assert stream
        with stream:
            while line := stream.readline(8192):
                if words := line.decode("utf-8", "replace").strip():
                    self._last_words.append(words)

    def _death(self) -> FacescriptError:
        try:
            ended = f"ended by itself (status {self._process.wait(_LAST_BREATH)})"
        except subprocess.TimeoutExpired:
            ended = "closed its output"
            self._process.kill()
            self._process.wait()
        # What it printed last may still be on its way.
        self._errors.join(0.5)
        words = protocol.plain(self._last_words[-1])[:300] if self._last_words else "it said nothing"
        return FacescriptError("worker_died", f"The worker {ended}: {words.rstrip('.')}.", _HINT)


def _event(line: bytes) -> Event:
    if len(line) > MAX_EVENT_BYTES:
        limit = MAX_EVENT_BYTES >> 20
        raise FacescriptError("bad_answer", f"The worker answered with a line of more than {limit} MiB.", _HINT)
    event = protocol.parse_event(line)
    if isinstance(event, protocol.Ready) and event.protocol != protocol.PROTOCOL:
        raise FacescriptError("bad_answer", f"The worker speaks protocol {event.protocol}.", "Restart Blender.")
    return event


class Collector:
    """Gathers one request's events into keyframes, and these into a performance."""

    def __init__(self, brief: Brief) -> None:
        self._brief = brief
        self.beats: dict[int, Beat] = {}
        self.keyframes: dict[int, Keyframe] = {}
        self.count = 0
        self.fraction = 0.0
        self.message = ""
        self.label = ""

    def add(self, event: Event) -> None:
        """Take in one event. Raises its error for `Failed`, and `bad_answer` if the number of beats changes."""
        match event:
            case protocol.Progress(_, fraction, message):
                self.fraction, self.message = fraction, message
            case BeatFound(_, index, count, beat):
                self._expect(count)
                self.beats[index] = beat
            case KeyframeMade(_, index, count, keyframe):
                self._expect(count)
                self.keyframes[index] = keyframe
            case Done(_, label):
                self.label, self.fraction = label, 1.0
            case Failed(_, error):
                raise error

    def _expect(self, count: int) -> None:
        if self.count not in (0, count):
            raise FacescriptError("bad_answer", f"The worker spoke of {self.count} beats, then of {count}.", _HINT)
        self.count = count

    def made(self) -> tuple[Keyframe, ...]:
        """All keyframes of the answer, in order: of alternatives, which have one time, too.

        Raises FacescriptError (`bad_answer`) if one never came.
        """
        missing = [i for i in range(self.count) if i not in self.keyframes]
        if missing or not self.count:
            raise FacescriptError("bad_answer", f"The worker left out {len(missing) or 'all'} keyframes.", _HINT)
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
    collector = Collector(brief)
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
