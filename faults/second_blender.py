# SPDX-License-Identifier: GPL-3.0-or-later
"""A second Blender, beside the one that faults are injected in: `python second_blender.py WHAT BLEND RUNTIME SCRIPT`.

It uses the same user folder, so the extension is installed already. It prints one word a line: `open`, `working PID`,
and what came of it.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

PACKAGE = "bl_ext.user_default.facescript"


def say(*words: object) -> None:
    print("second:", *words, flush=True)


def main(arguments: list[str]) -> int:
    """Do what is asked for, with the face that is active in the file."""
    what, blend, runtime, script = arguments
    import bpy as module

    # Its stubs take preferences for optional, and know no add-on's operators.
    bpy: Any = module
    bpy.ops.preferences.addon_enable(module=PACKAGE)
    bpy.context.preferences.addons[PACKAGE].preferences.runtime_folder = runtime
    bpy.ops.wm.open_mainfile(filepath=blend, load_ui=False)
    say("open")
    session = sys.modules[f"{PACKAGE}.operators.session"]
    bpy.ops.facescript.generate(script=script)
    worker = session.session()._client.pid
    say("working", worker)
    # As a program that another add-on starts without closing what it does not need.
    if what == "forks" and os.fork() == 0:
        time.sleep(30)
        os._exit(0)
    beats = False
    while session.session().busy:
        session._tick()
        time.sleep(0.01)
        job = session.session().job
        if job is not None and job.collector.beats and not beats:
            beats = True
            say("beats")
            if what == "quits":
                sys.exit(0)
    error = session.session().error
    say("error", error) if error else say("done", len(bpy.context.view_layer.objects.active.facescript.beats))
    if what == "saves":
        bpy.ops.wm.save_as_mainfile(filepath=str(Path(blend).with_name("saved.blend")))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
