# SPDX-License-Identifier: GPL-3.0-or-later
"""An export is there whole, or the older file is."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from facescript.performance import FacescriptError
from facescript.performance.saving import saved


@pytest.fixture
def older(tmp_path: Path) -> Path:
    path = tmp_path / "a.jsonl"
    path.write_text("older")
    return path


def test_a_file_is_replaced_when_all_is_written(older: Path) -> None:
    older.chmod(0o640)
    with saved(older) as stream:
        stream.write("new é\n")
        stream.flush()
        assert older.read_text() == "older"
    assert older.read_bytes() == "new é\n".encode()
    assert older.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in older.parent.iterdir()] == ["a.jsonl"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt(), ValueError()])
def test_what_fails_half_way_leaves_the_older_file_and_nothing_else(older: Path, error: BaseException) -> None:
    wanted = FacescriptError if isinstance(error, OSError) else type(error)
    with pytest.raises(wanted), saved(older) as stream:
        stream.write("half")
        raise error
    assert older.read_text() == "older"
    assert [path.name for path in older.parent.iterdir()] == ["a.jsonl"]


def test_a_disk_that_is_full_when_the_file_is_closed_is_noticed(older: Path, monkeypatch: Any) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(FacescriptError, match=r"Cannot write .*: No space left"),
        saved(older) as stream,
    ):
        stream.write("new")
    assert older.read_text() == "older"


def test_what_a_link_leads_to_is_replaced(older: Path) -> None:
    link = older.with_name("link.jsonl")
    link.symlink_to(older)
    with saved(link) as stream:
        stream.write("new")
    assert link.is_symlink() and older.read_text() == "new"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FacescriptError, match="Cannot write"), saved(tmp_path / "none" / "a.csv"):
        pass


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_a_name_that_no_file_can_have_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(FacescriptError, match="Cannot write"), saved(tmp_path / name):
        pass
    assert list(tmp_path.iterdir()) == []
