# SPDX-License-Identifier: GPL-3.0-or-later
"""The built zip, installed into a scratch user folder and driven as a user's script would drive it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from facescript.commands import RUNTIME  # noqa: E402
from facescript.commands.build import built  # noqa: E402
from facescript.commands.installed import PACKAGE, install  # noqa: E402
from facescript.inference.setup.runtime import Runtime  # noqa: E402
from scenes import ENTRY  # noqa: E402


@pytest.fixture(scope="session")
def built_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zip that `run.py build` makes."""
    return built(tmp_path_factory.mktemp("dist"))


class Installed:
    """The installed extension: its modules, its preferences, and an empty file to work in."""

    @staticmethod
    def module(name: str) -> Any:
        """A module of the installed extension, not of the checkout."""
        return sys.modules[f"{PACKAGE}.{name}"]

    @property
    def preferences(self) -> Any:
        """The extension's preferences."""
        return bpy.context.preferences.addons[PACKAGE].preferences

    @property
    def session(self) -> Any:
        """What goes on behind the window."""
        return self.module("operators.session").session()


@pytest.fixture
def extension(built_zip: Path) -> Iterator[Installed]:
    """The extension, installed once, enabled, in an empty file, with the checkout's runtime."""
    if PACKAGE not in sys.modules:
        install(built_zip, Path(bpy.utils.resource_path("USER")), None)
    elif PACKAGE not in bpy.context.preferences.addons:
        bpy.ops.preferences.addon_enable(module=PACKAGE)
    bpy.ops.wm.read_homefile(use_empty=True)
    found = Installed()
    for name in ("model_folder", "adapter_folder", "wheels_folder"):
        setattr(found.preferences, name, "")
    found.preferences.backend, found.preferences.quantization = "embedded", "auto"
    found.preferences.runtime_folder = str(RUNTIME)
    yield found
    if found.session.job:
        found.session.stop_worker()


@pytest.fixture
def model() -> Runtime:
    """The real language model's runtime."""
    runtime = Runtime(RUNTIME)
    if not runtime.state().usable:
        pytest.skip("the language model is not prepared (python3 run.py test prepares it)")
    return runtime


@pytest.fixture
def performed(extension: Any, tmp_path: Path) -> Any:
    """The demo face with a performance that was read from a file; returns the object."""
    path = tmp_path / "smirk.jsonl"
    path.write_text(json.dumps(ENTRY))
    bpy.context.scene.render.fps = 24
    bpy.ops.facescript.add_face()
    assert bpy.ops.facescript.import_performance(filepath=str(path)) == {"FINISHED"}
    return bpy.context.view_layer.objects.active
