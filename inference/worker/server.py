# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker: reads requests from standard input and answers with events on standard output.

One thread reads, so that a cancel is seen while a request is being worked on; one says every second that the process
is alive; the main thread works. The process ends, with all that it has started, when its standard input ends or its
parent is another one, which is when Blender ends, however it ends.
"""

from __future__ import annotations

import argparse
import itertools
import os
import queue
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ...performance import Beat, FacescriptError, Keyframe
from .. import protocol, update
from ..options import ModelOptions
from ..protocol import Request
from ..setup import in_use
from ..setup.runtime import is_generation
from . import failures
from .channel import Output, end

if TYPE_CHECKING:
    from .backends import Backend


# Seconds between two looks at the parent, and between two words that the process is alive.
_GLANCE, _BEAT = 0.5, 1.0


class _Stopped(Exception):
    """Raised between two steps of a request that was cancelled."""


class Server:
    """Works through requests one after another; keeps the last model loaded."""

    def __init__(self, models: Path, output: Output, at_once: int = 0) -> None:
        self._models = models
        self._at_once = at_once
        self._output = output
        self._requests: queue.Queue[Request] = queue.Queue()
        self._cancelled: set[int] = set()
        self._loaded: tuple[ModelOptions, Backend] | None = None
        self._step = 0

    def run(self) -> None:
        """Serve until a shutdown is asked for."""
        # The handshake comes first: a bad request is answered by the reading thread, at once.
        self._send(protocol.Ready(protocol.PROTOCOL, update.VERSION))
        threading.Thread(target=self._read, daemon=True, name="requests").start()
        threading.Thread(target=self._beat, daemon=True, name="alive").start()
        while (request := self._requests.get()).type != "shutdown":
            self._answer(request)

    def _read(self) -> None:
        for line in sys.stdin.buffer:
            try:
                request = protocol.parse_request(line)
            except FacescriptError as error:
                self._send(protocol.Failed(protocol.request_id(line), error))
                continue
            if request.type == "cancel":
                self._cancelled.add(request.id)
            else:
                self._requests.put(request)
        # Blender is gone. A model in the middle of a step would not notice for seconds.
        end()

    def _beat(self) -> None:
        while True:
            with suppress(MemoryError):
                self._send(protocol.Alive(self._step, time.process_time() - time.thread_time()))
            time.sleep(_BEAT)

    def _answer(self, request: Request) -> None:
        try:
            self._check(request)
            self._work(request)
        except _Stopped:
            self._send(protocol.Cancelled(request.id))
        # Whatever it is: the next request is not to suffer for it.
        except BaseException as error:
            told = failures.told(error)
            if not isinstance(error, FacescriptError) or told is not error:
                # It may have stopped in the middle of a step, with its cache half filled.
                self._loaded = None
            # With the error go the frames that hold what takes the memory.
            del error
            self._send(protocol.Failed(request.id, told))
        finally:
            self._cancelled.discard(request.id)

    def _check(self, request: Request) -> None:
        if request.id in self._cancelled:
            raise _Stopped

    def _send(self, event: protocol.Event) -> None:
        self._output.line(protocol.event_to_line(event))

    def _work(self, request: Request) -> None:
        if request.type != "generate" and not request.brief.beats:
            raise FacescriptError(
                "no_keyframes", "There are no keyframes to pose.", 'Give "keyframes" with t and text.'
            )
        self._send(protocol.Progress(request.id, 0.0, "Loading the model"))
        from . import engine
        from .backends import make

        if self._loaded is None or self._loaded[0] != request.options:
            self._loaded = None
            self._loaded = (request.options, make(request.options, self._models, self._at_once))
        backend = self._loaded[1]
        self._step += 1
        self._check(request)
        planning = request.type in ("generate", "alternatives")
        self._send(protocol.Progress(request.id, 0.05, "Planning the beats" if planning else "Posing the beats"))

        planned = itertools.count(1)

        def on_beat(index: int, count: int, beat: Beat) -> None:
            self._send(protocol.BeatFound(request.id, index, count, beat))
            done = next(planned)
            self._send(protocol.Progress(request.id, 0.05 + 0.25 * done / count, f"Planned {done} of {count} beats"))

        def on_keyframe(index: int, count: int, keyframe: Keyframe) -> None:
            self._send(protocol.KeyframeMade(request.id, index, count, keyframe))
            done = index + 1
            self._send(protocol.Progress(request.id, 0.3 + 0.7 * done / count, f"Posed {done} of {count} beats"))

        def check() -> None:
            self._step += 1
            self._check(request)

        brief, seed = request.brief, request.seed
        match request.type:
            case "pose_some":
                engine.pose_some(brief, request.at, backend, check, on_keyframe)
            case "pose_each":
                engine.pose_each(brief, backend, check, on_keyframe)
            case "alternatives":
                [place] = request.at
                engine.alternatives(brief, place, request.count, backend, seed, check, on_beat, on_keyframe)
            case _:
                engine.generate(brief, backend, seed, check, on_beat, on_keyframe)
        self._send(protocol.Done(request.id, backend.label))


def _follow(parent: int) -> None:
    """End with the parent, also if something else holds on to the pipe, and whatever the main thread does."""
    while os.getppid() == parent:
        time.sleep(_GLANCE)
    end()


def main(arguments: list[str]) -> int:
    """Run the worker; `--models FOLDER` holds the embedded model, `--parent PID` is who it works for (POSIX), and
    `--at-once N` says how many poses of one performance a server is asked for at once."""
    parser = argparse.ArgumentParser(prog="worker")
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--parent", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.parent and sys.platform != "win32":
        threading.Thread(target=_follow, args=(options.parent,), daemon=True, name="parent").start()
    for folder, kind in ((Path(sys.prefix), "env"), (options.models, "models")):
        if is_generation(folder.name, kind):
            in_use.hold(folder)
    Server(options.models, Output(), options.at_once).run()
    # Python's own way out aborts on the standard input that the reading thread waits for.
    os._exit(0)
