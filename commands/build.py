# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py build`: the extension's zip, validated and built by Blender's own extension builder."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

from . import PYTHON, ROOT


def version() -> str:
    """The version in the manifest."""
    return str(tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))["version"])


def builder() -> Path:
    """The script of Blender's own `extension` command inside the bpy package."""
    spec = find_spec("bpy")
    assert spec and spec.origin
    found = sorted(Path(spec.origin).parent.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py"))
    if not found:
        raise SystemExit("This bpy does not carry Blender's extension builder.")
    return found[0]


def build(folder: Path) -> Path:
    """Build the zip into `folder`; its path. Raises CalledProcessError if Blender's builder refuses."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"facescript-{version()}.zip"
    command = [str(PYTHON), str(builder())]
    source = ["--source-dir", str(ROOT)]
    subprocess.run([*command, "build", *source, "--output-filepath", str(path)], check=True)
    subprocess.run([*command, "validate", str(path)], check=True)
    return path


def built(folder: Path) -> Path:
    """The zip that FACESCRIPT_ZIP names, built once by `run.py test` for all Blenders; else one built in `folder`."""
    given = os.environ.get("FACESCRIPT_ZIP")
    return Path(given) if given else build(folder)


def main(arguments: list[str]) -> int:
    """Build into dist/."""
    try:
        path = build(ROOT / "dist")
    except subprocess.CalledProcessError as error:
        return error.returncode
    print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
