# SPDX-License-Identifier: GPL-3.0-or-later
"""The zip and the extension as a whole: what is in it, and that it comes and goes without a trace."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from facescript.commands.installed import PACKAGE  # noqa: E402


def test_the_zip_holds_what_runs_and_nothing_else(built_zip: Path) -> None:
    names = zipfile.ZipFile(built_zip).namelist()
    assert {"blender_manifest.toml", "__init__.py", "LICENSE", "inference/start.py"} <= set(names)
    assert {"inference/requirements/cpu.lock", "rig_mapping/styles.json", "operators/emotions.json"} <= set(names)
    folders = {name.split("/")[0] for name in names if "/" in name}
    assert folders == {"performance", "inference", "rig_mapping", "demo_face", "operators", "panels", "batch"}
    assert not [name for name in names if name.endswith(".pyc") or "/." in name or name.startswith(".")]
    assert built_zip.stat().st_size < 50_000_000


def _registered() -> list[str]:
    return sorted(name for name in dir(bpy.types) if name.startswith("FACESCRIPT_"))


def test_disabling_takes_everything_away_and_enabling_brings_it_back(extension: Any) -> None:
    classes = _registered()
    assert "FACESCRIPT_PT_script" in classes and "FACESCRIPT_OT_generate" in classes
    handlers = [len(getattr(bpy.app.handlers, name)) for name in ("load_pre", "load_post", "undo_post")]
    for _ in range(2):
        bpy.ops.preferences.addon_disable(module=PACKAGE)
        assert _registered() == []
        assert not hasattr(bpy.types.Object, "facescript")
        left = [
            function
            for name in ("load_pre", "load_post", "undo_post", "redo_post")
            for function in getattr(bpy.app.handlers, name)
            if PACKAGE in getattr(function, "__module__", "")
        ]
        assert left == []
        bpy.ops.preferences.addon_enable(module=PACKAGE)
    assert _registered() == classes
    assert [len(getattr(bpy.app.handlers, name)) for name in ("load_pre", "load_post", "undo_post")] == handlers


def test_blenders_process_never_imports_the_workers_libraries(extension: Any) -> None:
    bpy.ops.facescript.add_face()
    assert f"{PACKAGE}.inference.worker" not in sys.modules
    assert f"{PACKAGE}.inference.client" in sys.modules


def test_every_property_and_operator_explains_itself(extension: Any) -> None:
    for name in _registered():
        cls = getattr(bpy.types, name)
        if hasattr(cls, "bl_rna") and issubclass(cls, (bpy.types.Operator, bpy.types.PropertyGroup)):
            assert cls.bl_rna.description or cls.__doc__, name
            for prop in cls.bl_rna.properties:
                if prop.identifier not in ("rna_type", "name", "bl_rna") and prop.is_runtime:
                    assert prop.description or prop.is_hidden or prop.type == "COLLECTION", (name, prop.identifier)
