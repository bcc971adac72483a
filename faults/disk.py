# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of disks: they are full, cannot be written, or hold something else where a file should go."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import Any

from .fault import UNHARMED, Moves, fault
from .stage import OTHER, Stage


def _export(stage: Stage, operator: Any, path: Path, **given: Any) -> Moves:
    stage.choose(OTHER)
    stage.strike()
    stage.attempt(operator, filepath=str(path), **given)
    yield from stage.rest()


def _whole_or_none(path: Path, before: bytes | None) -> None:
    """The file is as it was, and no part of a new one is beside it."""
    now = path.read_bytes() if path.is_file() else None
    assert now == before, "half a file is left" if before is None else "the old file was lost"
    beside = [other.name for other in path.parent.iterdir() if other.name not in (path.name, "ballast")]
    assert not beside, f"{beside[0]} is left"


@fault("no_file", quick=True)
def export_to_a_full_disk(stage: Stage) -> Moves:
    """A performance is exported to a disk without a byte left."""
    if (disk := stage.disk()) is not None:
        disk.fill()
        path = disk.path / "performance.jsonl"
        yield from _export(stage, stage.bpy.ops.facescript.export_performance, path)
        _whole_or_none(path, None)


@fault("no_file")
def export_over_a_file_on_a_full_disk(stage: Stage) -> Moves:
    """A recording is exported over an older file, and the disk is full before it is written."""
    if (disk := stage.disk()) is not None:
        path = disk.path / "recording.csv"
        path.write_bytes(b"the only copy of last week's work\n" * 100)
        before = path.read_bytes()
        disk.fill(left=4096)
        yield from _export(stage, stage.bpy.ops.facescript.export_live_link, path)
        _whole_or_none(path, before)


@fault("no_file")
def export_to_a_disk_that_cannot_be_written(stage: Stage) -> Moves:
    """A performance is exported to a disk that is mounted read-only."""
    if (disk := stage.disk(read_only=True)) is not None:
        yield from _export(stage, stage.bpy.ops.facescript.export_performance, disk.path / "performance.jsonl")


@fault("no_file")
def export_to_a_folder_that_is_gone(stage: Stage) -> Moves:
    """The folder to export to is deleted before the file is written."""
    path = stage.folder / "gone" / "performance.jsonl"
    yield from _export(stage, stage.bpy.ops.facescript.export_performance, path)


@fault("no_file")
def export_over_a_folder(stage: Stage) -> Moves:
    """There is a folder with the name of the file to export."""
    path = stage.folder / "performance.jsonl"
    path.mkdir()
    yield from _export(stage, stage.bpy.ops.facescript.export_performance, path)


@fault("no_file")
def export_with_a_name_that_is_too_long(stage: Stage) -> Moves:
    """The file's name has 300 characters."""
    path = stage.folder / ("x" * 300 + ".jsonl")
    yield from _export(stage, stage.bpy.ops.facescript.export_performance, path)


@fault("no_file")
def file_grows_past_its_limit(stage: Stage) -> Moves:
    """Blender may write files of 200 bytes (RLIMIT_FSIZE), as under a quota."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = stage.folder / "quota" / "recording.csv"
    path.parent.mkdir()
    stage.choose(OTHER)
    stage.strike()
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
    try:
        stage.attempt(stage.bpy.ops.facescript.export_live_link, filepath=str(path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    yield from stage.rest()
    _whole_or_none(path, None)


@fault("no_file")
def contact_sheet_on_a_full_disk(stage: Stage) -> Moves:
    """A contact sheet is rendered for a disk without a byte left."""
    if (disk := stage.disk()) is not None:
        disk.fill()
        path = disk.path / "sheet.png"
        yield from _export(stage, stage.bpy.ops.facescript.contact_sheet, path, blocking=True, size=64)
        _whole_or_none(path, None)


@fault("no_file")
def plot_on_a_full_disk(stage: Stage) -> Moves:
    """A plot is drawn for a disk without a byte left."""
    if (disk := stage.disk()) is not None:
        disk.fill()
        path = disk.path / "plot.png"
        yield from _export(stage, stage.bpy.ops.facescript.plot, path, blocking=True)
        _whole_or_none(path, None)


@fault("no_file")
def mapping_is_saved_on_a_full_disk(stage: Stage) -> Moves:
    """A mapping is saved to a disk without a byte left."""
    if (disk := stage.disk()) is not None:
        disk.fill()
        path = disk.path / "profile.json"
        stage.attempt(stage.bpy.ops.facescript.edit_mapping)
        yield from _export(stage, stage.bpy.ops.facescript.save_profile, path)
        _whole_or_none(path, None)


@fault(UNHARMED)
def scratch_disk_is_full(stage: Stage) -> Moves:
    """The disk of the temporary folder is full; the worker is started anew and Generate pressed."""
    if (disk := stage.disk()) is not None:
        disk.fill()
        stage.set_variables({"TMPDIR": str(disk.path)})
        stage.session.stop_worker()
        stage.strike()
        stage.generate()
        yield from stage.rest()
