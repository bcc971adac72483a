# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
from pathlib import Path

import pytest
from facescript.faults import small_disk
from facescript.faults.small_disk import can_mount
from facescript.faults.small_disk import small_disk as made


def test_a_small_disk_runs_full_and_is_gone_afterwards(tmp_path: Path) -> None:
    with made(1 << 16, tmp_path) as disk:
        (disk.path / "fits").write_bytes(b"x" * 1000)
        with pytest.raises(OSError) as caught:
            (disk.path / "does not fit").write_bytes(b"x" * (1 << 17))
        assert caught.value.errno in (errno.ENOSPC, errno.EFBIG)
    assert list(tmp_path.iterdir()) == []


def test_without_a_mount_a_limit_on_files_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_disk, "_mount", lambda *_: False)
    with made(1000, tmp_path) as disk:
        assert not disk.mounted
        with pytest.raises(OSError) as caught:
            (disk.path / "file").write_bytes(b"x" * 5000)
        assert caught.value.errno == errno.EFBIG
    (tmp_path / "file").write_bytes(b"x" * 5000)


@pytest.mark.skipif(not can_mount(), reason="a disk cannot be mounted here")
def test_it_can_be_filled_to_the_last_bytes_and_cleared(tmp_path: Path) -> None:
    with made(1 << 20, tmp_path) as disk:
        disk.fill(left=8192)
        (disk.path / "fits").write_bytes(b"x" * 4096)
        with pytest.raises(OSError):
            (disk.path / "does not").write_bytes(b"x" * 65536)
        (disk.path / "does not").unlink(missing_ok=True)
        disk.clear()
        (disk.path / "now it does").write_bytes(b"x" * 65536)
    with made(1 << 20, tmp_path, read_only=True) as disk, pytest.raises(OSError):
        (disk.path / "file").write_bytes(b"x")


@pytest.mark.skipif(not can_mount(), reason="a disk cannot be mounted here")
def test_what_a_killed_process_left_is_taken_away(tmp_path: Path) -> None:
    folder = tmp_path / "with spaces"
    folder.mkdir()
    with made(1 << 16, folder) as disk:
        (disk.path / "file").write_bytes(b"x")
        small_disk.unmount_below(tmp_path / "elsewhere")
        assert (disk.path / "file").exists()
        small_disk.unmount_below(tmp_path)
        assert not (disk.path / "file").exists()
