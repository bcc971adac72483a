# SPDX-License-Identifier: GPL-3.0-or-later
"""Several workers that go through the rows of a batch, each on a thread of its own with a worker process.

A thread takes the next row when it is done with one, and what came of a row is taken from it before many more are
begun: of ten thousand rows only as many are in hand as there are workers. What fails for a reason that may pass is
tried again after a pause.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ..inference import mishaps
from ..inference.client import WorkerClient, perform
from ..inference.options import ModelOptions
from ..inference.protocol import Done, Event
from ..performance import FacescriptError, Performance
from .sheet import Row

# Seconds before each further try: of what ends with a worker, and of a server that is away, which may be loading a
# large model. One that says how long it wants to be left alone is left so, if that is no longer than an hour.
Pauses = tuple[float, ...]
_SOON: Pauses = (1.0, 5.0)
_LATER: Pauses = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0)
PAUSES: dict[str, Pauses] = {
    "worker_died": _SOON,
    "worker_killed": _SOON,
    "worker_hung": _SOON,
    "worker_silent": _SOON,
    "no_memory": _SOON,
    "bad_answer": _SOON,
    "timeout": _SOON,
    "server_refused": _SOON,
    "server_trouble": _SOON,
    "server_busy": _LATER,
    "server_unreachable": _LATER,
}
# What every other row would meet as well: the batch stops, and the row is left open.
HOPELESS = frozenset(
    "no_model bad_model bad_adapter no_worker no_runtime bad_runtime bad_install updated no_requests bad_address "
    "bad_key offline server_key server_busy server_unreachable no_file".split()
)
# Rows in succession that failed for reasons that pass, after which nothing passes any more.
_STREAK = 5
_LONGEST_PAUSE = 3600.0
# How often it is looked whether all threads have ended, in seconds.
_GLANCE = 0.2


@dataclass(frozen=True)
class Outcome:
    """What came of a row: `label` names the model that performed it in so many `keyframes` and `seconds`, or there is
    an `error`."""

    row: Row
    label: str = ""
    keyframes: int = 0
    seconds: float = 0.0
    error: FacescriptError | None = None

    @property
    def passes(self) -> bool:
        """Whether the reason of a failure may pass."""
        return self.error is not None and self.error.code in PAUSES


@dataclass(frozen=True)
class Waiting:
    """A row is tried again in some seconds, because of an error."""

    row: Row
    error: FacescriptError
    seconds: float


class Pool:
    """Threads that perform rows and write what they make; `seed` is of rows without one."""

    def __init__(
        self,
        start: Callable[[], WorkerClient],
        look: Callable[[Row], None],
        write: Callable[[Row, Performance], None],
        model: ModelOptions,
        seed: int,
        count: int,
    ) -> None:
        """`start` starts a worker, `look` sees whether a row's files can be written, `write` writes them; each may
        raise FacescriptError."""
        self._start, self._look, self._write = start, look, write
        self._model, self._seed, self._count = model, seed, count
        self._found: queue.Queue[Outcome | Waiting] = queue.Queue(2 * count)
        self._stopped = threading.Event()
        self._taking = threading.Lock()
        self._clients: set[WorkerClient] = set()
        self._threads: list[threading.Thread] = []
        self._streak = 0

    def run(self, rows: Iterable[Row]) -> None:
        """Begin; `next` has what comes of it."""
        self._rows = iter(rows)
        for number in range(self._count):
            # A daemon: a batch that is ended at once does not wait for it.
            thread = threading.Thread(target=self._work, daemon=True, name=f"facescript-batch-{number}")
            self._threads.append(thread)
            thread.start()

    def next(self) -> Outcome | Waiting | None:
        """What came of a row, or that one is waited for; None when all rows are through, or after `stop`."""
        while True:
            # Looked at first: what a thread said before it ended is in the queue then.
            ended = not any(thread.is_alive() for thread in self._threads)
            try:
                return self._found.get(timeout=0.0 if ended else _GLANCE)
            except queue.Empty:
                if ended:
                    return None

    def stop(self) -> None:
        """Begin no more rows; those in hand are finished, or left open where they wait."""
        self._stopped.set()

    def halt(self) -> None:
        """End all workers now, with what they have in hand."""
        self.stop()
        for client in list(self._clients):
            client.close(patience=0.0)

    def judge(self, outcome: Outcome) -> bool:
        """Whether a failure is one of its row alone; the pool is stopped if it is not."""
        assert outcome.error
        self._streak = self._streak + 1 if outcome.passes else 0
        alone = outcome.error.code not in HOPELESS and self._streak < max(_STREAK, 2 * self._count)
        if not alone:
            self.stop()
        return alone

    def succeeded(self) -> None:
        """Forget failures in succession."""
        self._streak = 0

    def _work(self) -> None:
        client: WorkerClient | None = None
        try:
            while (row := self._take()) is not None:
                client, outcome = self._tried(client, row)
                if outcome is not None:
                    self._found.put(outcome)
        finally:
            self._drop(client)

    def _take(self) -> Row | None:
        with self._taking:
            return None if self._stopped.is_set() else next(self._rows, None)

    def _tried(self, client: WorkerClient | None, row: Row) -> tuple[WorkerClient | None, Outcome | None]:
        """Perform a row, with a new worker where there is none that lives; no outcome if it is left open."""
        tries = 0
        while True:
            began = time.perf_counter()
            try:
                if client is None or not client.alive:
                    self._drop(client)
                    client = self._start()
                    self._clients.add(client)
                return client, self._performed(client, row, began)
            except FacescriptError as error:
                if error.code == "worker_silent":
                    # It would begin nothing before it is done with what it is stuck in.
                    self._drop(client)
                    client = None
                pauses = PAUSES.get(error.code, ())
                if tries >= len(pauses):
                    return client, Outcome(row, error=error, seconds=time.perf_counter() - began)
                pause = max(pauses[tries], min(error.pause, _LONGEST_PAUSE))
                self._found.put(Waiting(row, error, pause))
                if self._stopped.wait(pause):
                    return client, None
                tries += 1
            # Whatever it is: the other rows are not to suffer for it, nor is anybody to wait for this thread.
            except Exception as error:
                return client, Outcome(row, error=_unforeseen(error))

    def _performed(self, client: WorkerClient, row: Row, began: float) -> Outcome:
        label = ""

        def hear(event: Event) -> None:
            nonlocal label
            if isinstance(event, Done):
                label = event.label

        self._look(row)
        seed = self._seed if row.seed is None else row.seed
        performance = perform(client, "generate", row.brief, self._model, seed, hear)
        self._write(row, performance)
        return Outcome(row, label, len(performance.keyframes), time.perf_counter() - began)

    def _drop(self, client: WorkerClient | None) -> None:
        if client is not None:
            client.close()
            self._clients.discard(client)


def _unforeseen(error: Exception) -> FacescriptError:
    """What is told and kept of an error that nobody thought of: its own words may quote the script."""
    if mishaps.DEBUG in os.environ:
        print(mishaps.trace(error), file=sys.stderr, flush=True)
    hint = f"Please report this; with the environment variable {mishaps.DEBUG} set, more is printed."
    return FacescriptError("internal", f"Facescript failed ({mishaps.place(error)}).", hint)
