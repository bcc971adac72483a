# SPDX-License-Identifier: GPL-3.0-or-later
"""The client's end of the worker process: start it, ask, listen without ever waiting, and end it."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ..performance import Beat, Brief, FacescriptError, Keyframe, Performance
from . import protocol
from .options import ModelOptions
from .protocol import BeatFound, Cancelled, Done, Event, Failed, KeyframeMade, Request

START = Path(__file__).with_name("start.py")
MAX_EVENT_BYTES = 1 << 20
_HINT = "Generate again; if it happens again, run Set Up in the preferences."


def worker_command(python: Path, models: Path) -> list[str]:
    """The command line that starts a worker with a runtime's Python and models folder."""
    # -I keeps the user's own site-packages and the current folder off Python's path.
    return [str(python), "-I", str(START), "worker", "--models", str(models)]


class WorkerClient:
    """One worker process and the requests sent to it.

    `poll` never blocks: two threads read the worker's output. A worker that ends by itself, or that says
    something that is not an event, shows up as a `Failed` event.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._events: queue.Queue[Event] = queue.Queue()
        self._last_words: deque[str] = deque(maxlen=30)
        self._next = 1
        self._open: set[int] = set()
        self._closing = False
        try:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=dict(environment),
                # No console window on Windows.
                creationflags=subprocess.CREATE_NO_WINDOW if sys.platform == "win32" else 0,
            )
        except OSError as error:
            raise FacescriptError(
                "no_worker", f"The worker cannot be started ({command[0]}: {error.strerror}).", "Run Set Up."
            ) from error
        self._errors = threading.Thread(target=self._read_errors, daemon=True, name="facescript-errors")
        self._errors.start()
        self._reader = threading.Thread(target=self._read_events, daemon=True, name="facescript-events")
        self._reader.start()

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        """The worker's process number."""
        return self._process.pid

    def request(self, kind: str, brief: Brief, options: ModelOptions, seed: int = 0) -> int:
        """Send a `generate` or `pose` request; the id that its events carry."""
        number, self._next = self._next, self._next + 1
        self._open.add(number)
        self._send(Request(number, kind, brief, options, seed))
        return number

    def cancel(self, number: int) -> None:
        """Ask the worker to stop a request; a `Cancelled` event follows."""
        self._send(Request(number, "cancel"))

    def _send(self, request: Request) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(protocol.request_to_line(request).encode())
            self._process.stdin.flush()
        except (OSError, ValueError):
            # It has died: the reading thread says so.
            pass

    def poll(self) -> list[Event]:
        """The events since the last call; never waits."""
        found = []
        while True:
            try:
                found.append(self._settle(self._events.get_nowait()))
            except queue.Empty:
                return found

    def wait(self, number: int, timeout: float = 3600.0) -> Iterator[Event]:
        """Yield the events of one request until it is done, cancelled or failed; blocks.

        Raises FacescriptError (`timeout`) after `timeout` seconds without an event.
        """
        while True:
            try:
                event = self._settle(self._events.get(timeout=timeout))
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
        self._send(Request(0, "shutdown"))
        try:
            assert self._process.stdin
            self._process.stdin.close()
        except OSError:
            pass
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10.0)
        self._reader.join(2.0)
        self._errors.join(2.0)

    def _settle(self, event: Event) -> Event:
        if isinstance(event, (Done, Cancelled, Failed)):
            self._open.discard(event.id)
        return event

    def _read_events(self) -> None:
        stream = self._process.stdout
        assert stream
        while line := stream.readline(MAX_EVENT_BYTES):
            try:
                self._events.put(protocol.parse_event(line))
            except FacescriptError as error:
                self._events.put(Failed(0, error))
        if not self._closing:
            self._events.put(Failed(0, self._death()))

    def _read_errors(self) -> None:
        stream = self._process.stderr
        assert stream
        while line := stream.readline(8192):
            self._last_words.append(line.decode("utf-8", "replace").rstrip())

    def _death(self) -> FacescriptError:
        try:
            status: object = self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            status = "unknown"
        # What it printed last may still be on its way.
        self._errors.join(0.5)
        words = protocol.plain(self._last_words[-1]) if self._last_words else "it said nothing"
        return FacescriptError("worker_died", f"The worker ended by itself (status {status}): {words}.", _HINT)


class Collector:
    """Gathers one request's events into a performance."""

    def __init__(self, brief: Brief) -> None:
        self._brief = brief
        self.beats: dict[int, Beat] = {}
        self.keyframes: dict[int, Keyframe] = {}
        self.count = 0
        self.fraction = 0.0
        self.message = ""
        self.label = ""

    def add(self, event: Event) -> None:
        """Take in one event. Raises its error for `Failed`."""
        match event:
            case protocol.Progress(_, fraction, message):
                self.fraction, self.message = fraction, message
            case BeatFound(_, index, count, beat):
                self.beats[index], self.count = beat, count
            case KeyframeMade(_, index, count, keyframe):
                self.keyframes[index], self.count = keyframe, count
            case Done(_, label):
                self.label, self.fraction = label, 1.0
            case Failed(_, error):
                raise error

    def performance(self) -> Performance:
        """The finished performance. Raises FacescriptError (`bad_answer`) if a keyframe never came."""
        missing = [i for i in range(self.count) if i not in self.keyframes]
        if missing or not self.count:
            raise FacescriptError("bad_answer", f"The worker left out {len(missing) or 'all'} keyframes.", _HINT)
        keyframes = tuple(self.keyframes[i] for i in range(self.count))
        return Performance(replace(self._brief, beats=()), keyframes)


def perform(
    client: WorkerClient,
    kind: str,
    brief: Brief,
    options: ModelOptions,
    seed: int = 0,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Performance:
    """Ask and wait for the whole performance. Raises FacescriptError, also if it was cancelled."""
    collector = Collector(brief)
    number = client.request(kind, brief, options, seed)
    began = time.monotonic()
    for event in client.wait(number):
        collector.add(event)
        on_event(event)
        if isinstance(event, Cancelled):
            raise FacescriptError("cancelled", f"Cancelled after {time.monotonic() - began:.0f} seconds.")
    return collector.performance()
