# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker that goes wrong in the way that its argument names, for the client's tests.

It stands for what cannot be had from the real worker on demand. Run as `python misbehaving_worker.py BEHAVIOUR`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time


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


def main(behaviour: str) -> None:
    if behaviour == "exits":
        print("\x1b[31mImportError: no torch here\n\n", file=sys.stderr)
        sys.exit(3)
    if behaviour == "old protocol":
        say(event="ready", protocol=99)
    say(event="ready", protocol=2)
    if behaviour == "never reads":
        time.sleep(60)
    number = hear()["id"]
    if behaviour == "dies":
        keyframe(number, 0, 2)
        os._exit(7)
    elif behaviour == "is killed":
        keyframe(number, 0, 2)
        os.kill(os.getpid(), signal.SIGKILL)
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
