# SPDX-License-Identifier: GPL-3.0-or-later
"""The built extension, installed into a Blender of its own: what a user has, for the demo and the tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

PACKAGE = "bl_ext.user_default.facescript"


def install(zip_path: Path, user_folder: Path, runtime: Path | None) -> Any:
    """Install and enable the zip; the bpy module. Must be called before anything imports bpy.

    `user_folder` becomes Blender's folder for preferences and extensions; `runtime` is a runtime that is set up
    already, or None to have the extension use its own.
    """
    os.environ["BLENDER_USER_RESOURCES"] = str(user_folder)
    import bpy as module

    # Its stubs take preferences for optional, and know no add-on's.
    bpy: Any = module

    bpy.ops.extensions.package_install_files(
        filepath=str(zip_path), repo="user_default", enable_on_install=True, overwrite=True
    )
    if PACKAGE not in bpy.context.preferences.addons:
        raise SystemExit(f"Blender did not enable {zip_path}.")
    if runtime is not None:
        bpy.context.preferences.addons[PACKAGE].preferences.runtime_folder = str(runtime)
    return bpy
