# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the runtime's folder: its files are damaged, gone or somebody else's, and its disk is full or read-only."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from .fault import REFUSED, UNHARMED, Moves, fault
from .proxy import Weather
from .small_disk import SmallDisk
from .stage import Stage
from .tiny_runtime import TinySetUp, read_record


def _spoil_record(stage: Stage, data: bytes) -> Moves:
    """Another content of runtime.json; then Generate."""
    stage.act("")
    (stage.folder / "runtime " / "runtime.json").write_bytes(data)
    stage.strike()
    stage.generate()
    yield from stage.rest()


@fault("no_runtime")
def record_is_cut(stage: Stage) -> Moves:
    """runtime.json ends in the middle."""
    yield from _spoil_record(stage, b'{"complete": true, "models": "mod')


@fault("no_runtime")
def record_is_of_zeros(stage: Stage) -> Moves:
    """runtime.json is 400 zeros, as a power cut leaves it."""
    yield from _spoil_record(stage, bytes(400))


@fault("no_runtime")
def record_is_huge(stage: Stage) -> Moves:
    """runtime.json is 200 MB of open brackets."""
    stage.act("")
    with (stage.folder / "runtime " / "runtime.json").open("wb") as file:
        for _ in range(200):
            file.write(b"[" * 1_000_000)
    stage.strike()
    stage.generate()
    yield from stage.rest()


@fault("no_runtime", quick=True)
def record_leads_out_of_its_folder(stage: Stage) -> Moves:
    """runtime.json names ../../../etc for its models and environment."""
    record = read_record(stage.settings.runtime) | {"models": "../../../etc", "env": "../../../usr", "python": ""}
    yield from _spoil_record(stage, json.dumps(record).encode())


@fault("no_runtime")
def record_is_of_another_machine(stage: Stage) -> Moves:
    """runtime.json says that it was made on another platform, as on a shared home folder."""
    record = read_record(stage.settings.runtime) | {"platform": "darwin-arm64"}
    yield from _spoil_record(stage, json.dumps(record).encode())


@fault("no_runtime")
def models_are_gone(stage: Stage) -> Moves:
    """The folder of converted models is deleted; then Generate with a new worker."""
    runtime = stage.copied_runtime()
    (runtime / read_record(runtime)["models"]).unlink()
    stage.use(runtime)
    stage.strike()
    stage.generate()
    yield from stage.rest()


@fault("no_model", within=60.0)
def models_folder_is_empty(stage: Stage) -> Moves:
    """The folder of converted models is there and empty; then Generate with a new worker."""
    runtime = stage.copied_runtime()
    models = runtime / read_record(runtime)["models"]
    models.unlink()
    models.mkdir()
    stage.use(runtime)
    stage.strike()
    stage.generate()
    yield from stage.rest()


@fault("no_runtime")
def runtime_is_not_there(stage: Stage) -> Moves:
    """The preferences name a folder that is not there."""
    stage.use(stage.folder / "nowhere")
    stage.strike()
    stage.generate()
    yield from stage.rest()


@fault("no_folder")
def runtime_folder_is_relative(stage: Stage) -> Moves:
    """The preferences name a folder that is relative to the open file."""
    stage.preferences.runtime_folder = "//runtime"
    stage.strike()
    stage.generate()
    yield from stage.rest()


# --- setting up in difficult places ---------------------------------------------------------------------------


@fault("no_folder")
def file_is_in_the_runtimes_place(stage: Stage) -> Moves:
    """There is a file where the runtime's folder should be made."""
    tiny = TinySetUp(stage, fresh=True)
    tiny.runtime.write_text("not a folder", encoding="utf-8")
    stage.strike()
    yield from tiny.run()
    tiny.runtime.unlink()


@fault("no_folder")
def link_to_nowhere_is_in_the_runtimes_place(stage: Stage) -> Moves:
    """The runtime's folder is a link to a disk that was unplugged."""
    tiny = TinySetUp(stage, fresh=True)
    tiny.runtime.symlink_to(stage.folder / "unplugged" / "disk")
    stage.strike()
    yield from tiny.run()
    tiny.runtime.unlink()


def _on_disk(stage: Stage, size: int, read_only: bool = False) -> tuple[TinySetUp, SmallDisk] | None:
    """A set-up into a small disk; None where there can be none."""
    disk = stage.disk(size, read_only)
    return None if disk is None else (TinySetUp(stage, disk.path / "runtime"), disk)


@fault("no_permission")
def disk_of_the_runtime_cannot_be_written(stage: Stage) -> Moves:
    """The runtime is to be made on a disk that is mounted read-only."""
    if found := _on_disk(stage, 1 << 24, read_only=True):
        stage.strike()
        yield from found[0].run()


@fault("no_disk")
def disk_is_too_small(stage: Stage) -> Moves:
    """The runtime is to be made on a disk with 16 MB free: that is said before anything is fetched."""
    if found := _on_disk(stage, 1 << 24):
        tiny, _ = found
        stage.strike()
        yield from tiny.run()
        assert not any(".whl" in row for row in tiny.server.requests), "something was fetched first"


def _full_at(stage: Stage, size: int, *steps: str) -> Moves:
    """A disk of 8 GB that shrinks to `size` bytes once the set-up is at a step; then it grows again."""
    if not (found := _on_disk(stage, 8 << 30)):
        return
    tiny, disk = found
    # Slow enough for the disk to shrink in time.
    tiny.server.weather = Weather(rate=400_000.0, only=".whl")
    tiny.begin()
    yield from tiny.until_step(*steps)
    disk.shrink(max(size, _used(disk.path) + 4096))
    stage.strike()
    yield from stage.rest()
    assert not tiny.usable, "a runtime that is not whole is called usable"
    disk.shrink(8 << 30)
    yield from tiny.mend()


def _used(path: Path) -> int:
    found = os.statvfs(path)
    return (found.f_blocks - found.f_bfree) * found.f_frsize


@fault("no_disk", within=60.0)
def disk_is_full_while_the_environment_is_made(stage: Stage) -> Moves:
    """The disk is full while the private environment is made."""
    yield from _full_at(stage, 4 << 20, "venv")


@fault("no_disk", within=60.0)
def disk_is_full_while_packages_come(stage: Stage) -> Moves:
    """The disk is full while packages are fetched and installed."""
    yield from _full_at(stage, 0, "fetch", "torch", "packages")


@fault(UNHARMED, within=60.0)
def leftovers_of_other_set_ups(stage: Stage) -> Moves:
    """The runtime's folder holds a half-made environment, a scratch folder, a stale lock, and a file of the user's."""
    tiny = TinySetUp(stage, fresh=True)
    for name in ("env-1/bin", "models-3", "tmp/pip-1", "wheels"):
        (tiny.runtime / name).mkdir(parents=True)
    (tiny.runtime / "env-1" / "bin" / "python").write_text("half a program", encoding="utf-8")
    (tiny.runtime / "setup.lock").write_text("4711", encoding="utf-8")
    (tiny.runtime / "notes.txt").write_text("mine", encoding="utf-8")
    stage.strike()
    yield from tiny.run()
    tiny.check_works()
    assert (tiny.runtime / "notes.txt").read_text(encoding="utf-8") == "mine", "the user's file is gone"


@fault(UNHARMED, within=60.0)
def journal_is_of_something_else(stage: Stage) -> Moves:
    """setup.json says that all is done, in folders that are outside of the runtime's."""
    tiny = TinySetUp(stage, fresh=True)
    tiny.runtime.mkdir()
    entry = {"key": "", "env": "../env", "models": "/etc", "done": ["venv", "pip", "torch", "packages", "model"]}
    (tiny.runtime / "setup.json").write_text(json.dumps(entry), encoding="utf-8")
    stage.strike()
    yield from tiny.run()
    tiny.check_works()


@fault(UNHARMED, "no_disk", "no_folder", "venv_failed", "pip_failed", "prepare_failed", within=60.0)
def folder_is_deleted_while_setting_up(stage: Stage) -> Moves:
    """The runtime's folder is deleted in the middle of a set-up."""
    tiny = TinySetUp(stage)
    tiny.server.weather = Weather(rate=100_000.0, only=".whl")
    tiny.begin()
    yield from stage.until(lambda: any(".whl" in row for row in tiny.server.requests) or not stage.busy, 60.0)
    shutil.rmtree(tiny.runtime, ignore_errors=True)
    stage.strike()
    yield from stage.rest()
    yield from tiny.mend()


@fault(UNHARMED, "no_folder", "venv_failed", "long_path", "pip_failed", within=60.0)
def path_is_very_long(stage: Stage) -> Moves:
    """The runtime's folder has a path of 900 characters."""
    folder = stage.folder
    while len(str(folder)) < 900:
        folder = folder / ("a long name of a folder " * 4).strip()
    tiny = TinySetUp(stage, folder)
    stage.strike()
    yield from tiny.run()
    if stage.session.error is None:
        tiny.check_works()


@fault("no_runtime", within=60.0)
def pythons_home_is_gone(stage: Stage) -> Moves:
    """The Blender whose Python the runtime was made with is moved; then Generate, and Set Up."""
    tiny = TinySetUp(stage)
    yield from tiny.run()
    [config] = tiny.runtime.glob("env-*/pyvenv.cfg")
    lines = config.read_text(encoding="utf-8").splitlines()
    moved = ["home = /nowhere/at/all" if line.startswith("home") else line for line in lines]
    config.write_text("\n".join(moved), encoding="utf-8")
    stage.use(tiny.runtime)
    stage.told = None
    stage.strike()
    stage.generate()
    yield from stage.rest()
    yield from tiny.mend()


@fault(UNHARMED, REFUSED, "in_use", within=60.0)
def removed_while_it_is_in_use(stage: Stage) -> Moves:
    """Remove is pressed while a worker of the runtime is idle; the worker ends first, and only set-up's folders go."""
    stage.act("")
    stage.generate()
    yield from stage.rest()
    mine = stage.folder / "runtime " / "mine.txt"
    mine.write_text("mine", encoding="utf-8")
    stage.strike()
    stage.attempt(stage.bpy.ops.facescript.remove_runtime, wait=True)
    yield from stage.rest()
    assert mine.is_file(), "a file of the user's was removed"
