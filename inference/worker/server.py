# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker: reads requests from standard input and answers with events on standard output.

One thread reads, so that a cancel is seen while a request is being worked on; the main thread works. The process
ends when its standard input ends, which is when Blender ends, however it ends.
"""

from __future__ import annotations

import argparse
import itertools
import os
import queue
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from ...performance import Beat, FacescriptError, Keyframe
from .. import protocol
from ..options import ModelOptions
from ..protocol import Request
from .channel import Output

if TYPE_CHECKING:
    from .backends import Backend


class _Stopped(Exception):
    """Raised between two steps of a request that was cancelled."""


class Server:
    """Works through requests one after another; keeps the last model loaded."""

    def __init__(self, models: Path, output: Output) -> None:
        self._models = models
        self._output = output
        self._requests: queue.Queue[Request] = queue.Queue()
        self._cancelled: set[int] = set()
        self._loaded: tuple[ModelOptions, Backend] | None = None

    def run(self) -> None:
        """Serve until a shutdown is asked for."""
        # The handshake comes first: a bad request is answered by the reading thread, at once.
        self._send(protocol.Ready(protocol.PROTOCOL))
        threading.Thread(target=self._read, daemon=True, name="requests").start()
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
        os._exit(0)

    def _answer(self, request: Request) -> None:
        try:
            self._check(request)
            self._work(request)
        except _Stopped:
            self._send(protocol.Cancelled(request.id))
        except FacescriptError as error:
            self._send(protocol.Failed(request.id, error))
        except MemoryError:
            self._loaded = None
            hint = "Close other programs, or choose nf4 or a smaller model."
            self._send(protocol.Failed(request.id, FacescriptError("no_memory", "The worker ran out of memory.", hint)))
        except Exception as error:
            traceback.print_exc()
            # It may have stopped in the middle of a step, with its cache half filled.
            self._loaded = None
            what = protocol.plain(f"{type(error).__name__}: {error}")
            wrapped = FacescriptError("worker_error", f"The worker failed: {what}", "Generate again, or run Set Up.")
            self._send(protocol.Failed(request.id, wrapped))
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
            self._loaded = (request.options, make(request.options, self._models))
        backend = self._loaded[1]
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


def main(arguments: list[str]) -> int:
    """Run the worker; `--models FOLDER` holds the embedded model."""
    parser = argparse.ArgumentParser(prog="worker")
    parser.add_argument("--models", type=Path, required=True)
    options = parser.parse_args(arguments)
    Server(options.models, Output()).run()
    # Python's own way out aborts on the standard input that the reading thread waits for.
    os._exit(0)
