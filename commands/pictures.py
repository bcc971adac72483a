# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py pictures`: takes the pictures of the documentation again, from the built and installed extension."""

from __future__ import annotations

import argparse
import importlib
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from . import ROOT, RUNTIME
from .build import build
from .installed import install
from .stage import set_stage

PICTURES = ROOT / "docs" / "pictures"
PERFORMANCE = ROOT / "docs" / "examples" / "the_letter.jsonl"
IN_WINDOW = Path(__file__).with_name("pictures_in_window.py")
GUI = ROOT / "tests" / "gui"
# Longer than the script in the window takes at most before it ends by itself.
_SECONDS = 3000.0


def main(arguments: list[str]) -> int:
    """Take the pictures; 0 if all were taken, or if what is missing for some was named."""
    parser = argparse.ArgumentParser(prog="run.py pictures", description=__doc__)
    parser.add_argument("--only", choices=("hero", "window", "mapping", "recording"), help="take only these")
    parser.add_argument("--keep", type=Path, help="work in this folder, and leave it there")
    options = parser.parse_args(arguments[1:])
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="facescript-pictures-") as scratch:
        folder = (options.keep or Path(scratch)).resolve()
        zip_path = build(folder)
        taken: dict[str, Path] = {}
        if options.only in (None, "hero"):
            taken["hero"] = hero(zip_path, folder / "hero")
        if options.only != "hero":
            taken |= window(zip_path, folder / "window", taken, options.only or "")
        for name, source in taken.items():
            path = PICTURES / f"{name}.png"
            shutil.copyfile(source, path)
            print(f"{path} ({path.stat().st_size / 1000:.0f} kB)", flush=True)
    return 0


def hero(zip_path: Path, folder: Path) -> Path:
    """A contact sheet of the example performance, two rows of three, cut to 4:3."""
    folder.mkdir(parents=True, exist_ok=True)
    bpy = install(zip_path, folder / "blender", None)
    bpy.ops.wm.read_homefile(use_empty=True)
    set_stage(bpy, samples=24)
    bpy.ops.facescript.add_face()
    bpy.ops.facescript.import_performance(filepath=str(PERFORMANCE))
    sheet = folder / "sheet.png"
    size = 320
    bpy.ops.facescript.contact_sheet(filepath=str(sheet), size=size, columns=3, look="RENDER")
    return _cut_rows(bpy, sheet, folder / "hero.png")


def _cut_rows(bpy: Any, sheet: Path, path: Path) -> Path:
    """Take a part of the room for captions out of both rows of a sheet, which makes it 4:3."""
    import numpy as np

    image = bpy.data.images.load(str(sheet))
    width, height = image.size
    pixels = np.empty(width * height * 4, dtype=np.float32)
    image.pixels.foreach_get(pixels)
    # Top row first.
    rows = pixels.reshape(height, width, 4)[::-1]
    spare = (height - round(width * 3 / 4)) // 2
    half = height // 2
    kept = np.concatenate([rows[: half - spare], rows[half : height - spare]])
    made = bpy.data.images.new("hero", width, len(kept))
    made.pixels.foreach_set(np.ascontiguousarray(kept[::-1]).ravel())
    made.filepath_raw, made.file_format = str(path), "PNG"
    made.save()
    return path


def window(zip_path: Path, folder: Path, others: dict[str, Path], only: str = "") -> dict[str, Path]:
    """Pictures of the real window by their names, and `others` made as small; nothing if there is no window.

    `only` names one of the parts that can be taken without the others.
    """
    sys.path.insert(0, str(GUI))
    windowed = importlib.import_module("windowed")
    if reason := windowed.missing():
        print(f"The pictures of the window stay as they are: {reason}.")
        return {}
    settings = {
        "zip": str(zip_path),
        "runtime": str(windowed.runtime_for_window(RUNTIME / "window")),
        "gui": str(GUI),
        "only": only,
        "others": {name: str(path) for name, path in others.items()},
    }
    result = windowed.run(IN_WINDOW, folder, settings, timeout=_SECONDS)
    for key, value in result.items():
        print(f"{key}: {value}")
    # What was taken before an error is kept too: it says what the error is about.
    return {name: folder / f"{name}.png" for name in result.get("pictures", [])}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
