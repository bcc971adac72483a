# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker without a model: the real protocol in a real process, with performances made up from the script's words.

What is measured with it is the work around the model, and what goes wrong can be asked for: a script that holds one of
the words below meets that. The same script and seed give the same performance.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from pathlib import Path

from ..inference import protocol, update
from ..performance import BLEND_SHAPES, FacescriptError, Keyframe, Pose

# In a script: the request is refused; the process ends without a word; it does so the first time only; a server is
# away.
REFUSED, DIES, DIES_ONCE, AWAY = "REFUSED", "DIES", "DIES-ONCE", "AWAY"


def main(arguments: list[str]) -> int:
    """Answer until the other end is gone. `--seconds`: how long a line takes; `--marks`: a folder in which is kept who
    died already."""
    parser = argparse.ArgumentParser(prog="simulated_worker")
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--marks", type=Path, default=Path("/nonexistent"))
    options = parser.parse_args(arguments)
    _say(protocol.Ready(protocol.PROTOCOL, update.VERSION))
    for line in sys.stdin.buffer:
        request = protocol.parse_request(line)
        if request.type == "shutdown":
            break
        if request.type == "cancel":
            continue
        time.sleep(options.seconds)
        script = request.brief.script
        if DIES_ONCE in script:
            mark = options.marks / hashlib.sha256(script.encode()).hexdigest()
            if not mark.exists():
                mark.touch()
                os._exit(9)
        elif DIES in script:
            os._exit(9)
        if REFUSED in script:
            _say(protocol.Failed(request.id, FacescriptError("empty_script", "The script was refused.", "Mend it.")))
        elif AWAY in script:
            error = FacescriptError("server_unreachable", "No server answers.", "Start it.")
            _say(protocol.Failed(request.id, error))
        else:
            keyframes = performed(script, request.seed)
            for index, keyframe in enumerate(keyframes):
                _say(protocol.KeyframeMade(request.id, index, len(keyframes), keyframe))
            _say(protocol.Done(request.id, "simulated"))
    return 0


def performed(script: str, seed: int) -> list[Keyframe]:
    """Three keyframes a second apart, with coefficients from a digest of the script and the seed."""
    digest = hashlib.sha256(f"{seed} {script}".encode()).digest()
    made = []
    for index in range(3):
        # Of the mouth, in two decimals: files hold these as they are.
        values = {name: digest[index + place] % 101 / 100 for place, name in enumerate(BLEND_SHAPES[14:34])}
        made.append(Keyframe(float(index), f"beat {index} of {script[:40]}", Pose.from_dict(values)))
    return made


def _say(event: protocol.Event) -> None:
    sys.stdout.write(protocol.event_to_line(event))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
