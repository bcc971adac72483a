# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py demo`: a short scene, done as a user would do it, with the built and installed extension."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from ..performance import jsonl
from . import OUT, RUNTIME
from .build import build
from .installed import install
from .stage import set_stage

SCRIPT = """You read my diary?
(She looks away and laughs, not believing it.)
And you're proud of it. Wow.
(Her smile dies.) Get out."""
BACKGROUND = "Two sisters in a small kitchen, an hour before their brother's wedding"
EMOTION = "Disbelief that turns to cold anger"


def main(arguments: list[str]) -> int:
    """Make out/demo; 0 if all of it was made."""
    parser = argparse.ArgumentParser(prog="run.py demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=OUT / "demo")
    parser.add_argument("--size", type=int, default=320, help="pixels of a rendered face")
    parser.add_argument("--step", type=int, default=2, help="render every n-th frame of the movie")
    options = parser.parse_args(arguments[1:])
    folder: Path = options.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    user = folder / "blender"
    shutil.rmtree(user, ignore_errors=True)
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begin:5.0f} s  {text}", flush=True)

    say("Building the extension and installing it into a Blender of its own")
    bpy = install(build(folder), user, RUNTIME)
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = bpy.context.scene
    scene.render.fps, scene.frame_end = 24, 300
    set_stage(bpy, options.size)
    say("Add > Mesh > ARKit Face")
    bpy.ops.facescript.add_face()
    face = bpy.context.view_layer.objects.active
    say("Generate: the language model reads the script")
    bpy.ops.facescript.generate(script=SCRIPT, background=BACKGROUND, emotion=EMOTION, wait=True)
    for beat in face.facescript.beats:
        say(f"  frame {beat.frame:3d}  {beat.text}")
    scene.frame_end = face.facescript.beats[-1].frame + scene.render.fps
    files = {
        name: folder / name
        for name in ("demo.blend", "contact_sheet.png", "preview.mp4", "performance.jsonl", "livelink.csv")
    }
    bpy.ops.facescript.export_performance(filepath=str(files["performance.jsonl"]))
    bpy.ops.facescript.export_live_link(filepath=str(files["livelink.csv"]))
    say("Rendering the contact sheet")
    bpy.ops.facescript.contact_sheet(filepath=str(files["contact_sheet.png"]), size=options.size, look="RENDER")
    say("Rendering the movie")
    bpy.ops.facescript.preview(filepath=str(files["preview.mp4"]), size=options.size, step=options.step, look="RENDER")
    bpy.ops.wm.save_as_mainfile(filepath=str(files["demo.blend"]), compress=True)
    list(jsonl.read_performances(files["performance.jsonl"]))
    say("Done:")
    for path in files.values():
        print(f"         {path}  ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
