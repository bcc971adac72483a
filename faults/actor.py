# SPDX-License-Identifier: GPL-3.0-or-later
"""The real worker with a toy in place of the language model, which goes wrong as it is told.

It stands for what cannot be had from the real worker on demand. Run as a runtime's Python is, with the behaviour and
a file for notes before the rest: `python actor.py BEHAVIOUR NOTES -I ... START worker --models FOLDER`. What the worker
writes goes through a pipe of this module's own, where lines are changed, kept back or added; it knows nothing of it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

# Seconds for each description and each pose: long enough to do something in between.
PACE = 0.05


class Toy:
    """A backend that says and poses the same for everything, at its pace."""

    label = "a toy in place of the model"

    def __init__(self, misbehave: Callable[[str, int], None]) -> None:
        self._misbehave = misbehave

    def describe(self, brief: Any, asks: Sequence[Any], seed: int, check: Callable[[], None]) -> Iterator[Any]:
        for number, _ in enumerate(asks):
            self._pause("describe", number, check)
            yield number, f"brows lift, the jaw drops a little, {number} and {seed}"

    def pose(self, brief: Any, descriptions: Sequence[str], check: Callable[[], None]) -> Iterator[Any]:
        yield from self.pose_at(brief, descriptions, range(len(descriptions)), check)

    def pose_at(
        self, brief: Any, descriptions: Sequence[str], at: Sequence[int], check: Callable[[], None]
    ) -> Iterator[Any]:
        from facescript.performance import Pose

        for place in at:
            self._pause("pose", place, check)
            yield Pose.from_dict({"jawOpen": round(0.1 + 0.05 * (place % 10), 2), "browInnerUp": 0.4})

    def others(self, brief: Any, asks: Sequence[Any], number: int, wanted: Any, check: Callable[[], None]) -> list[str]:
        return self.near(brief, "", wanted, check)

    def near(self, brief: Any, text: str, wanted: Any, check: Callable[[], None]) -> list[str]:
        return [f"the mouth corner lifts, {wanted.seed} and {number}" for number in range(wanted.count)]

    def _pause(self, what: str, number: int, check: Callable[[], None]) -> None:
        check()
        time.sleep(PACE)
        self._misbehave(what, number)


class Behaviour:
    """What goes wrong: `step` between two steps of the work, `lines` on the way out. By itself, nothing."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes
        # Blender's end of the pipe.
        self.out = os.dup(1)

    def raw(self, data: bytes) -> None:
        """Write to Blender, whatever it is."""
        while data:
            data = data[os.write(self.out, data) :]

    def begin(self) -> None:
        """Before the worker starts."""

    def step(self, what: str, number: int) -> None:
        """In the worker's main thread, after each description ("describe") and before each pose ("pose")."""

    def line(self, line: bytes) -> None:
        """One line that the worker wrote."""
        event = json.loads(line)
        self.event(event, line)

    def event(self, event: dict[str, Any], line: bytes) -> None:
        """The same, parsed."""
        self.raw(line)

    def note(self, text: object) -> None:
        """Tell the fault something."""
        self.notes.write_text(str(text), encoding="utf-8")


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode() + b"\n"


# --- what dies or hangs ---------------------------------------------------------------------------------------


class Aborts(Behaviour):
    def step(self, what: str, number: int) -> None:
        if what == "pose":
            os.abort()


class ExitsWell(Behaviour):
    def step(self, what: str, number: int) -> None:
        if what == "pose":
            os._exit(0)


class Exits137(Behaviour):
    def step(self, what: str, number: int) -> None:
        if what == "pose":
            os._exit(137)


class RaisesMemoryError(Behaviour):
    def step(self, what: str, number: int) -> None:
        if what == "pose":
            raise MemoryError


class RaisesSomethingElse(Behaviour):
    def step(self, what: str, number: int) -> None:
        if what == "pose":
            raise ZeroDivisionError("division by zero of SECRETWORD")


class Sleeps(Behaviour):
    """The main thread waits for ever; other threads go on."""

    def step(self, what: str, number: int) -> None:
        if what == "pose":
            time.sleep(3600)


class IsSlow(Behaviour):
    """Half a second for each pose."""

    def step(self, what: str, number: int) -> None:
        if what == "pose":
            time.sleep(0.5)


class HoldsEverything(Behaviour):
    """One long call that lets no other thread of the worker run, as a loop in a library's C code does."""

    def step(self, what: str, number: int) -> None:
        if what == "pose":
            re.match(r"(a|a)*$", "a" * 60 + "b")


class NeverReads(Behaviour):
    def begin(self) -> None:
        # The end of Blender's pipe stays open, and nobody reads from it.
        kept = os.dup(0)
        read, _write = os.pipe()
        os.dup2(read, 0)
        self.kept = kept, _write


class ClosesItsOutput(Behaviour):
    def step(self, what: str, number: int) -> None:
        if what == "pose":
            os.close(self.out)
            time.sleep(3600)

    def raw(self, data: bytes) -> None:
        try:
            super().raw(data)
        except OSError:
            time.sleep(3600)


class LeavesAChild(Behaviour):
    """A child of the worker that holds its pipes and does not end by itself."""

    def step(self, what: str, number: int) -> None:
        if what == "pose":
            command = [sys.executable, "-c", "import time; time.sleep(20)"]
            child = subprocess.Popen(command, stdout=self.out, stderr=2, stdin=0)
            self.note(child.pid)
            os.kill(os.getpid(), signal.SIGKILL)


class EatsMemory(Behaviour):
    """Takes memory until the limit that this process gives itself."""

    def begin(self) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    def step(self, what: str, number: int) -> None:
        if what == "pose":
            hoard = []
            while True:
                hoard.append(bytearray(1 << 26))


class IsBusy(Behaviour):
    """Works for some seconds at one step without a word, as the first load of a large model does."""

    def step(self, what: str, number: int) -> None:
        if (what, number) == ("pose", 0):
            end = time.monotonic() + 6.0
            while time.monotonic() < end:
                sum(range(1000))


class IgnoresShutdown(Behaviour):
    def begin(self) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        read, write = os.pipe()
        kept = os.dup(0)
        os.dup2(read, 0)

        def pass_on() -> None:
            stream = os.fdopen(kept, "rb")
            for line in stream:
                if b'"shutdown"' not in line:
                    os.write(write, line)
            time.sleep(3600)

        threading.Thread(target=pass_on, daemon=True).start()


class IgnoresCancel(Behaviour):
    """As `Sleeps`, in small steps that do not look whether they were cancelled, and with lines on the way."""

    def step(self, what: str, number: int) -> None:
        while what == "pose":
            time.sleep(0.1)


# --- what talks nonsense --------------------------------------------------------------------------------------


class Prints(Behaviour):
    def step(self, what: str, number: int) -> None:
        print("Loading weights: 100%", flush=True)


class PrintsFromC(Behaviour):
    """Writes to file descriptor 1 past Python, as C code does."""

    def step(self, what: str, number: int) -> None:
        os.write(1, b"ggml: loading tensors\n\x00\xff\xfe")


class Garbage(Behaviour):
    def step(self, what: str, number: int) -> None:
        if what == "pose":
            self.raw(bytes(range(256)) * 16 + b"\n")


class NoLineEnd(Behaviour):
    def step(self, what: str, number: int) -> None:
        if what == "pose":
            for _ in range(100):
                self.raw(b"x" * (1 << 20))


class FloodsErrors(Behaviour):
    def step(self, what: str, number: int) -> None:
        if (what, number) == ("pose", 0):
            for _ in range(50):
                os.write(2, b"a warning of a library that never ends\n" * 26_000)


class FloodsProgress(Behaviour):
    """100,000 well-formed events of progress."""

    def step(self, what: str, number: int) -> None:
        if (what, number) == ("pose", 0):
            event = {"event": "progress", "id": self.id, "fraction": 0.5, "message": "Still at it"}
            self.raw(_line(event) * 100_000)

    def event(self, event: dict[str, Any], line: bytes) -> None:
        self.id = event.get("id", 0)
        super().event(event, line)


class Deep(Behaviour):
    def event(self, event: dict[str, Any], line: bytes) -> None:
        self.raw(b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n" if event["event"] == "keyframe" else line)


class NotUtf8(Behaviour):
    def event(self, event: dict[str, Any], line: bytes) -> None:
        self.raw(line.replace(b'"text": "', b'"text": "\xc3\x28\xed\xa0\x80') if event["event"] == "keyframe" else line)


class _ChangesKeyframe(Behaviour):
    """Changes each keyframe by `change`."""

    def change(self, event: dict[str, Any]) -> dict[str, Any]:
        raise NotImplementedError

    def event(self, event: dict[str, Any], line: bytes) -> None:
        self.raw(_line(self.change(event)) if event["event"] == "keyframe" else line)


class NotANumber(_ChangesKeyframe):
    def change(self, event: dict[str, Any]) -> dict[str, Any]:
        return event | {"pose": {"jawOpen": float("nan")}}


class OutOfRange(_ChangesKeyframe):
    def change(self, event: dict[str, Any]) -> dict[str, Any]:
        return event | {"pose": {"jawOpen": 7.0}}


class UnknownChannel(_ChangesKeyframe):
    def change(self, event: dict[str, Any]) -> dict[str, Any]:
        return event | {"pose": {"jawOpne": 0.5}}


class TextForANumber(_ChangesKeyframe):
    def change(self, event: dict[str, Any]) -> dict[str, Any]:
        return event | {"pose": {"jawOpen": "wide"}}


class TimesGoBack(_ChangesKeyframe):
    def change(self, event: dict[str, Any]) -> dict[str, Any]:
        return event | {"t": 100.0 - event["index"]}


class FarFuture(_ChangesKeyframe):
    def change(self, event: dict[str, Any]) -> dict[str, Any]:
        return event | {"t": 1e300 + event["index"]}


class CountChanges(_ChangesKeyframe):
    def change(self, event: dict[str, Any]) -> dict[str, Any]:
        return event | {"count": event["count"] + event["index"]}


class HugeCount(_ChangesKeyframe):
    def change(self, event: dict[str, Any]) -> dict[str, Any]:
        return event | {"count": 10**9}


class LeavesOut(Behaviour):
    def event(self, event: dict[str, Any], line: bytes) -> None:
        if event["event"] != "keyframe" or event["index"] != 1:
            self.raw(line)


class Twice(Behaviour):
    """Every keyframe comes twice, the second time another."""

    def event(self, event: dict[str, Any], line: bytes) -> None:
        self.raw(line)
        if event["event"] == "keyframe":
            self.raw(_line(event | {"pose": {"cheekPuff": 1.0}}))


class Backwards(Behaviour):
    """The keyframes come last first."""

    def begin(self) -> None:
        self.kept: list[bytes] = []

    def event(self, event: dict[str, Any], line: bytes) -> None:
        if event["event"] == "keyframe":
            self.kept.append(line)
            return
        if event["event"] == "done":
            self.raw(b"".join(reversed(self.kept)))
        self.raw(line)


class DoneFirst(Behaviour):
    def event(self, event: dict[str, Any], line: bytes) -> None:
        self.raw(_line({"event": "done", "id": event["id"], "label": "early"}) if event["event"] == "beat" else line)


class AfterDone(Behaviour):
    """Goes on after the end, with the id of the request that is done and with the next one's."""

    def event(self, event: dict[str, Any], line: bytes) -> None:
        self.raw(line)
        if event["event"] == "done":
            for number in (event["id"], event["id"] + 1):
                row = {"event": "keyframe", "id": number, "index": 0, "count": 1, "t": 0.0, "text": "late"}
                self.raw(_line(row | {"pose": {"cheekPuff": 1.0}}))
            self.raw(_line({"event": "done", "id": event["id"], "label": "again"}))


class AnotherRequest(Behaviour):
    """Speaks of a request that nobody made."""

    def event(self, event: dict[str, Any], line: bytes) -> None:
        if event["event"] == "keyframe":
            self.raw(_line(event | {"id": 4711, "pose": {"cheekPuff": 1.0}}))
        self.raw(line)


class NeverDone(Behaviour):
    """Everything comes but the end."""

    def event(self, event: dict[str, Any], line: bytes) -> None:
        if event["event"] != "done":
            self.raw(line)


class AnswersLate(Behaviour):
    """What belongs to a cancelled request comes after the cancel was said to be done, and during the next request."""

    def begin(self) -> None:
        self.kept: list[bytes] = []
        self.late = False

    def event(self, event: dict[str, Any], line: bytes) -> None:
        if event["event"] == "cancelled" and not self.late:
            self.late = True
            self.raw(line + b"".join(self.kept) + _line({"event": "done", "id": event["id"], "label": "late"}))
            return
        if event["event"] == "keyframe":
            self.kept.append(_line(event | {"pose": {"cheekPuff": 1.0}}))
        self.raw(line)


class OtherProtocol(Behaviour):
    def event(self, event: dict[str, Any], line: bytes) -> None:
        self.raw(_line(event | {"protocol": 9999}) if event["event"] == "ready" else line)


class OtherVersion(Behaviour):
    """The worker of another version of the extension, which speaks the same protocol."""

    def event(self, event: dict[str, Any], line: bytes) -> None:
        self.raw(_line(event | {"version": "99.0.0"}) if event["event"] == "ready" else line)


class NoHandshake(Behaviour):
    def event(self, event: dict[str, Any], line: bytes) -> None:
        if event["event"] != "ready":
            self.raw(line)


class HugeError(Behaviour):
    """An error with a megabyte of text, and with the colours and bells of a terminal."""

    def event(self, event: dict[str, Any], line: bytes) -> None:
        if event["event"] == "keyframe":
            words = "\x1b[31m\x07\u202e" + "no " * 200_000
            event = {"event": "error", "id": event["id"], "code": "odd", "message": words, "hint": words}
        self.raw(_line(event))


class Injects(_ChangesKeyframe):
    """Descriptions with line ends, control characters and a megabyte of text."""

    def change(self, event: dict[str, Any]) -> dict[str, Any]:
        return event | {"text": "brows\nlift\x00\x1b[2J\u202e" + "x" * 500_000}


# --- the process ----------------------------------------------------------------------------------------------


def _behaviour(name: str, notes: Path) -> Behaviour:
    found = globals().get(name, Behaviour)
    assert isinstance(found, type) and issubclass(found, Behaviour), name
    return found(notes)


def _import_package(start: Path) -> None:
    """What the worker's own `start.py` does first."""
    spec = importlib.util.spec_from_file_location("facescript_start", start)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.import_package()


def _put_toy(behaviour: Behaviour) -> None:
    """Have the worker find a toy where it looks for backends."""
    backends = types.ModuleType("facescript.inference.worker.backends")
    vars(backends).update(Backend=object, make=lambda *_: Toy(behaviour.step))
    sys.modules[backends.__name__] = backends


def _filter_output(behaviour: Behaviour) -> None:
    """Have what the worker writes to its standard output go through the behaviour."""
    read, write = os.pipe()
    os.dup2(write, 1)
    os.close(write)

    def pass_on() -> None:
        with os.fdopen(read, "rb") as stream:
            for line in stream:
                try:
                    behaviour.line(line)
                except OSError:
                    # Blender is gone, or has closed the pipe.
                    os._exit(0)

    threading.Thread(target=pass_on, daemon=True, name="behaviour").start()


def main(arguments: list[str]) -> int:
    """Be the worker that `arguments` after the first two ask for."""
    name, notes = arguments[:2]
    behaviour = _behaviour(name, Path(notes))
    start = next(Path(word) for word in arguments if word.endswith("start.py"))
    _import_package(start)
    _put_toy(behaviour)
    behaviour.begin()
    _filter_output(behaviour)
    from facescript.inference.worker import server

    rest = arguments[arguments.index("worker") + 1 :]
    status = server.main(rest)
    # What is still in the pipe goes out.
    time.sleep(0.2)
    return status


def write_python(path: Path, python: Path, behaviour: str, notes: Path) -> None:
    """Write a program to `path` that a runtime can name as its Python: this actor, run by `python`."""
    words = [str(python), "-X", "utf8", str(Path(__file__).resolve()), behaviour, str(notes)]
    command = " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
    path.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
