# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that is soon full: a small tmpfs where this process may mount one, else a limit on the size of its files."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_BALLAST = "ballast"
_DEVICE = "facescript-faults"


@dataclass(frozen=True)
class SmallDisk:
    """A folder with little room. `mounted`: a file system of its own; else a limit on every file that is written."""

    path: Path
    mounted: bool

    def fill(self, left: int = 0) -> None:
        """Leave `left` bytes of room, by a file of zeros; nothing where it is not a file system of its own."""
        if not self.mounted:
            return
        free = os.statvfs(self.path).f_bavail * os.statvfs(self.path).f_frsize
        with (self.path / _BALLAST).open("ab") as file:
            os.posix_fallocate(file.fileno(), file.tell(), max(1, free - left))

    def shrink(self, size: int) -> None:
        """Make the disk smaller, but not than what is on it; nothing where it is not a file system of its own."""
        if self.mounted:
            command = ["mount", "-o", f"remount,size={size}", str(self.path)]
            subprocess.run(command, check=True, capture_output=True)

    def clear(self) -> None:
        """Take the file of zeros away."""
        (self.path / _BALLAST).unlink(missing_ok=True)


@contextmanager
def small_disk(size: int, folder: Path | None = None, read_only: bool = False) -> Iterator[SmallDisk]:
    """A disk of `size` bytes, in `folder` or in the temporary folder, gone after the block.

    `read_only` has it mounted so that nothing can be written; that needs a mount. Raises OSError if it cannot be made.
    """
    path = Path(tempfile.mkdtemp(prefix="small disk ", dir=folder))
    mounted = _mount(path, size, read_only)
    try:
        if mounted:
            yield SmallDisk(path, True)
        elif read_only:
            raise OSError("a disk that cannot be written needs the right to mount one")
        else:
            with _limited(size):
                yield SmallDisk(path, False)
    finally:
        if mounted:
            # Lazily: what still has a file open there must not keep the folder.
            subprocess.run(["umount", "--lazy", str(path)], check=False, capture_output=True)
        else:
            for file in path.glob("*"):
                file.unlink(missing_ok=True)
        path.rmdir()


def unmount_below(folder: Path) -> None:
    """Take away the disks that a process which was killed has left in a folder."""
    if sys.platform != "linux":
        return
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        # Spaces are written as octal escapes there.
        path = Path(line.split()[1].encode("latin-1", "replace").decode("unicode_escape"))
        if line.startswith(_DEVICE) and folder in path.parents:
            subprocess.run(["umount", "--lazy", str(path)], check=False, capture_output=True)


def can_mount() -> bool:
    """Whether this process may mount a disk: root on Linux, outside of a container that forbids it."""
    try:
        with small_disk(1 << 16) as disk:
            return disk.mounted
    except OSError:
        return False


def _mount(path: Path, size: int, read_only: bool) -> bool:
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    options = f"size={size}" + (",ro" if read_only else "")
    command = ["mount", "-t", "tmpfs", "-o", options, _DEVICE, str(path)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@contextmanager
def _limited(size: int) -> Iterator[None]:
    # Python ignores SIGXFSZ, so that a write over the limit is an OSError.
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
