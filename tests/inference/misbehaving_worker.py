# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker that goes wrong in the way that its argument names, for the client's tests.

It stands for what cannot be had from the real worker on demand. Run as `python misbehaving_worker.py BEHAVIOUR`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

PROTOCOL = 3
MANIFEST = Path(__file__).parents[2] / "blender_manifest.toml"


def version() -> str:
    return str(tomllib.loads(MANIFEST.read_text(encoding="utf-8"))["version"])


def say(**event: object) -> None:
    raw(json.dumps(event) + "\n")


def raw(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def hear() -> dict:
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)


def keyframe(number: int, index: int, count: int, **other: object) -> None:
    row = {"index": index, "count": count, "t": float(index), "text": f"beat {index}", "pose": {"jawOpen": 0.5}}
    say(**({"event": "keyframe", "id": number} | row | other))


def perform(number: int, count: int = 2) -> None:
    for index in range(count):
        keyframe(number, index, count)
    say(event="done", id=number, label="fake")


def answer(request: dict) -> None:
    """Three beats, or as many as are asked for."""
    beats, kind = request.get("brief", {}).get("keyframes", []), request["type"]
    counts = {"pose": len(beats), "pose_each": len(beats), "pose_some": len(request.get("at", []))}
    counts["alternatives"] = request.get("count", 0)
    perform(request["id"], counts.get(kind, 3))


def main(behaviour: str) -> None:
    if behaviour == "exits":
        print("\x1b[31mImportError: no torch here\n\n", file=sys.stderr)
        sys.exit(3)
    if behaviour == "old protocol":
        say(event="ready", protocol=99)
    if behaviour == "exits in silence":
        sys.exit(0)
    if behaviour == "half a file":
        print("SyntaxError: '(' was never closed", file=sys.stderr)
        sys.exit(1)
    if behaviour == "does not introduce itself":
        say(event="progress", id=1, fraction=0.5, message="Hello")
    say(event="ready", protocol=PROTOCOL, version="9.9.9" if behaviour == "other version" else version())
    if behaviour == "introduces itself twice":
        say(event="ready", protocol=PROTOCOL, version=version())
    if behaviour == "never reads":
        time.sleep(60)
    if behaviour == "answers":
        while (request := hear())["type"] != "shutdown":
            if request["type"] != "cancel":
                answer(request)
        return
    if behaviour == "dies when asked":
        hear()
        os._exit(9)
    if behaviour == "dies once":
        # Its first process dies when it is asked, before it says anything; the next one answers.
        marker = Path(sys.argv[2])
        request = hear()
        if not marker.exists():
            marker.touch()
            os._exit(9)
        answer(request)
    number = hear()["id"]
    if behaviour == "dies":
        keyframe(number, 0, 2)
        os._exit(7)
    elif behaviour == "is killed":
        keyframe(number, 0, 2)
        os.kill(os.getpid(), signal.SIGKILL)
    elif behaviour == "is killed in the middle of a line":
        sys.stdout.write('{"event": "keyfr')
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    elif behaviour == "is ended":
        os.kill(os.getpid(), signal.SIGTERM)
    elif behaviour == "ends as a killed child":
        os._exit(137)
    elif behaviour == "crashes":
        signal.signal(signal.SIGSEGV, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGSEGV)
    elif behaviour == "cannot allocate":
        print("terminate called after throwing an instance of 'std::bad_alloc'", file=sys.stderr, flush=True)
        os.abort()
    elif behaviour == "leaves a traceback":
        raise ValueError("My secret script")
    elif behaviour == "lacks a package":
        print("ModuleNotFoundError: No module named 'numpy'", file=sys.stderr)
        sys.exit(69)
    elif behaviour == "stops":
        keyframe(number, 0, 2)
        say(event="alive", step=1, worked=1.0)
        os.kill(os.getpid(), signal.SIGSTOP)
    elif behaviour == "is stuck":
        while True:
            say(event="alive", step=3, worked=1.0)
            time.sleep(0.02)
    elif behaviour == "is slow":
        begin = time.monotonic()
        while time.monotonic() - begin < 1.5:
            say(event="alive", step=3, worked=time.monotonic())
            time.sleep(0.02)
        perform(number)
    elif behaviour == "has a child":
        # It holds on to the pipe of errors, and does not listen.
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        say(event="progress", id=number, fraction=0.5, message=str(child.pid))
        time.sleep(600)
    elif behaviour == "dies and leaves a child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        say(event="progress", id=number, fraction=0.5, message=str(child.pid))
        os._exit(7)
    elif behaviour == "answers nobody":
        keyframe(number + 7, 0, 2)
    elif behaviour == "sends a keyframe twice":
        keyframe(number, 0, 2)
        keyframe(number, 0, 2)
    elif behaviour == "sends a beat twice":
        for _ in range(2):
            say(event="beat", id=number, index=0, count=2, t=0.0, text="a beat")
    elif behaviour == "sends too many":
        perform(number, 5)
    elif behaviour == "goes on after done":
        perform(number)
        keyframe(number, 0, 9)
        say(event="done", id=number, label="again")
        perform(hear()["id"], 3)
    elif behaviour == "never stops talking":
        while True:
            say(event="progress", id=number, fraction=0.5, message="blah")
    elif behaviour == "binary":
        sys.stdout.buffer.write(bytes(range(256)) * 400 + b"\n")
        sys.stdout.flush()
    elif behaviour == "100 MB of errors":
        for _ in range(1600):
            sys.stderr.write("x" * 65536)
        perform(number)
    elif behaviour == "prints text":
        raw("Loading weights: 100%\n")
    elif behaviour == "NaN":
        keyframe(number, 0, 2, pose={"jawOpen": float("nan")})
    elif behaviour == "7.0":
        keyframe(number, 0, 2, pose={"jawOpen": 7.0})
    elif behaviour == "unknown name":
        keyframe(number, 0, 2, pose={"jawClosed": 0.5})
    elif behaviour == "index":
        keyframe(number, 2, 2)
    elif behaviour == "leaves out":
        keyframe(number, 0, 2)
        say(event="done", id=number, label="fake")
    elif behaviour == "nothing at all":
        say(event="done", id=number, label="fake")
    elif behaviour == "counts again":
        keyframe(number, 0, 2)
        keyframe(number, 0, 1)
    elif behaviour == "goes back in time":
        keyframe(number, 0, 2)
        keyframe(number, 1, 2, t=0.0)
        say(event="done", id=number, label="fake")
    elif behaviour == "never ends a line":
        while True:
            raw("x" * 65536)
    elif behaviour == "floods":
        for line in range(20_000):
            print(f"warning {line}: " + "x" * 80, file=sys.stderr)
        perform(number)
    elif behaviour == "closes its output":
        os.close(1)
        time.sleep(60)
    elif behaviour == "is silent":
        time.sleep(60)
    elif behaviour == "fails itself":
        say(event="error", id=0, code="bad_request", message="What?", hint="Say it again.")
        assert hear() == {"id": number, "type": "cancel"}
        number, late = hear()["id"], number
        keyframe(late, 0, 9)
        say(event="done", id=late, label="late")
        perform(number)
    elif behaviour == "answers late":
        assert hear() == {"id": number, "type": "cancel"}
        keyframe(number, 0, 2)
        say(event="cancelled", id=number)
        keyframe(number, 1, 2)
        say(event="done", id=number, label="late")
        perform(hear()["id"], count=3)
    while True:
        if behaviour == "does not shut down":
            perform(number)
            time.sleep(60)
        if hear()["type"] == "shutdown":
            return


if __name__ == "__main__":
    main(sys.argv[1])
