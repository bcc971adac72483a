# SPDX-License-Identifier: GPL-3.0-or-later
"""Gets the wheels of set-up: which are there, where the others come from, and how far fetching them is."""

from __future__ import annotations

import time
import zipfile
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ...performance.errors import FacescriptError
from .child_process import Cancelled, never
from .fetching import Fetcher, NotForUs, sha256, size_of
from .locks import Pin, Target, read_lock, wheel_package
from .package_index import Link, PipSettings, choose, links, read_settings
from .pip_progress import PipProgress
from .runtime import MODEL_LOCK
from .work import MODELS_BYTES, Report, Work, pip_command, require_space, run, run_pip, user_pip_environment

# What wheels unpack to, in times of their own size, at most (torch 3.9, the others less); for before they are here.
_UNPACKED = 4.0
# Over how many seconds the speed is an average.
_RECENT = 5.0
_TELL_SECONDS = 0.1


@dataclass
class Meter:
    """How far fetching is: bytes and packages, the speed and the time that is left."""

    total: int
    packages: int
    done: int = 0
    number: int = 0
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def fraction(self) -> float:
        """The part of all bytes that is here, in [0, 1]."""
        return min(1.0, self.done / self.total) if self.total > 0 else 0.0

    def at(self, here: int, now: float) -> None:
        """Note that `here` bytes are here at the time `now`, in seconds."""
        self.done = here
        self._seen.append((now, here))
        while len(self._seen) > 2 and now - self._seen[0][0] > _RECENT:
            self._seen.popleft()

    def sentence(self, name: str) -> str:
        """For the user."""
        words = [f"Fetching {name}, {self.done / 1e6:.0f} of {max(self.total, self.done) / 1e6:.0f} MB"]
        words.append(f"{self.number} of {self.packages} packages")
        if (speed := self._speed()) > 0:
            words.append(f"{speed / 1e6:.1f} MB/s" if speed >= 1e5 else f"{speed / 1e3:.0f} kB/s")
            left = (self.total - self.done) / speed
            if left >= 1:
                words.append(f"{left:.0f} s left" if left < 90 else f"{left / 60:.0f} min left")
        return ", ".join(words)

    def _speed(self) -> float:
        (begin, first), (end, last) = (self._seen[0], self._seen[-1]) if self._seen else ((0.0, 0), (0.0, 0))
        return (last - first) / (end - begin) if end - begin > 0.5 else 0.0


def fetch(work: Work, pins: Sequence[Pin], by_pip: bool = True, tidy: bool = True) -> Report:
    """Have the wheel of each pin in `work.wheels`, whole; what is there already is not fetched again.

    What we cannot fetch ourselves (a server that asks for a password, a folder as an index, a certificate that only the
    system knows) is left to pip, if `by_pip`. `tidy` removes what no pin asks for.

    Raises FacescriptError: `no_network`, `bad_hash`, `no_disk`, `pip_failed`, `cancelled`.
    """
    work.wheels.mkdir(exist_ok=True)
    missing = [pin for pin in pins if not is_whole(work.wheels, pin, work.target)]
    if not missing:
        return
    yield 0.0, "Asking where the packages are"
    settings = _settings(work)
    own = tuple(
        index for name in (work.lock, MODEL_LOCK) for index in read_lock(work.options.requirements / name).indexes
    )
    try:
        fetcher = Fetcher(settings, work.cancelled)
    except ImportError:
        # Some Linux packages of Blender have no requests.
        if by_pip:
            yield from _by_pip(work, missing, own)
        return
    try:
        search = _Search(fetcher, work, settings, own)
        found: dict[Pin, Link] = {}
        for number, pin in enumerate(missing):
            yield 0.05 * number / len(missing), f"Asking where {pin.name} is ({number + 1} of {len(missing)})"
            if link := search.find(pin):
                found[pin] = link
        here = [path for pin in pins if pin not in missing and (path := find_wheel(work.wheels, pin, work.target))]
        if tidy:
            _tidy(work.wheels, [path.name for path in here] + [link.name for link in found.values()])
        left = [pin for pin in missing if pin not in found]
        for part, message in _fetch_all(work, fetcher, found, left, sum(map(size_of, here)), len(pins)):
            yield 0.05 + 0.95 * part, message
    finally:
        fetcher.close()
    if left and by_pip:
        yield 0.9, f"Fetching {_some(left)} by pip"
        answering = [index for index in own if index not in search.silent]
        yield from _by_pip(work, left, answering, next(iter(search.silent.values()), None))


def _settings(work: Work) -> PipSettings:
    """What pip is set to; asked once."""
    if work.pip_settings is None:
        lines = run(work, pip_command(work, "config", "list"), user_pip_environment(work))[1]
        work.pip_settings = read_settings(lines)
    return work.pip_settings


def check_folder(folder: Path, pins: Sequence[Pin], target: Target | None, cancelled: Cancelled = never) -> None:
    """Whether a folder of wheels has all that a machine needs, whole.

    Raises FacescriptError (`no_wheels`, `bad_hash`, `cancelled`) that says which files are missing or damaged.
    """
    if not folder.is_dir():
        raise FacescriptError("no_wheels", f"There is no folder {folder}.", "Choose the folder of packages.")
    missing, damaged = [], []
    for pin in pins:
        if cancelled():
            raise FacescriptError("cancelled", "Set-up was cancelled.", "Press Set Up to go on where it stopped.")
        path = find_wheel(folder, pin, target)
        if path is None:
            missing.append(pin)
        elif sha256(path) not in pin.hashes:
            damaged.append(path.name)
    machine = target.name if target else "this machine"
    hint = f"Make the folder again, for {machine}: blender --command facescript offline FOLDER."
    if missing:
        raise FacescriptError("no_wheels", f"The folder {folder} lacks {_some(missing)} for {machine}.", hint)
    if damaged:
        raise FacescriptError("bad_hash", f"{', '.join(damaged[:5])} in {folder} is damaged or another file.", hint)


def find_wheel(folder: Path, pin: Pin, target: Target | None) -> Path | None:
    """The wheel of a pin in a folder that fits the machine best, by its name; None if there is none."""
    paths = [path for path in folder.glob("*.whl") if wheel_package(path.name) == (pin.name, pin.version)]
    ranks = {path: rank for path in paths if target and (rank := target.rank(path.name)) is not None}
    return max(ranks, key=lambda path: ranks[path], default=None)


def is_whole(folder: Path, pin: Pin, target: Target | None) -> bool:
    """Whether the wheel of a pin is in a folder, with the right sha256."""
    path = find_wheel(folder, pin, target)
    return path is not None and sha256(path) in pin.hashes


def unpacked_size(wheel: Path) -> int:
    """The bytes that a wheel unpacks to; 0 if it cannot be read."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            return sum(entry.file_size for entry in archive.infolist())
    except (OSError, zipfile.BadZipFile, ValueError):
        return 0


class _Search:
    """Looks wheels up: in pip's indexes, then in those that the locks name for what is not on PyPI."""

    def __init__(self, fetcher: Fetcher, work: Work, settings: PipSettings, own: Sequence[str]) -> None:
        self._fetcher = fetcher
        self._work = work
        # Whoever sets pip to use no index at all means it.
        indexes = (*settings.indexes, *own) if settings.indexes else ()
        self._indexes = [index for index in indexes if urlsplit(index).scheme in ("http", "https")]
        self._only_web = len(self._indexes) == len(indexes) and not settings.folders
        self.silent: dict[str, FacescriptError] = {}

    def find(self, pin: Pin) -> Link | None:
        """Where a wheel is, or None if no index says so. Raises FacescriptError if none of all indexes answers."""
        target = self._work.target
        assert target is not None
        for index in self._indexes:
            if index in self.silent:
                continue
            try:
                page, kind, address = self._fetcher.page(f"{index.rstrip('/')}/{pin.name}/")
            except NotForUs:
                continue
            except FacescriptError as error:
                if error.code != "no_network":
                    raise
                self.silent[index] = error
                continue
            if link := choose(pin, links(page, kind, address), target):
                return link if link.size else self._measured(link)
        if self._only_web and self.silent and len(self.silent) == len(self._indexes):
            raise next(iter(self.silent.values()))
        return None

    def _measured(self, link: Link) -> Link:
        return Link(link.name, link.url, link.sha256, self._fetcher.length(link.url))


def _fetch_all(
    work: Work, fetcher: Fetcher, found: dict[Pin, Link], left: list[Pin], here: int, packages: int
) -> Report:
    """Fetch what was found; what turns out not to be for us is added to `left`."""
    folder = work.wheels
    sizes = {pin: max(link.size, size_of(folder / f"{link.name}.part")) for pin, link in found.items()}
    work.bytes = here + sum(sizes.values())
    begun = sum(size_of(folder / f"{link.name}.part") for link in found.values())
    unpacked = _UNPACKED * work.bytes + MODELS_BYTES if work.unpacks else 0.0
    require_space(work.folder, work.bytes - here - begun + unpacked)
    meter = Meter(work.bytes, packages, here, packages - len(found) - len(left))
    told = 0.0
    for pin, link in sorted(found.items(), key=lambda row: row[1].size):
        meter.number += 1
        size = 0
        try:
            for size in fetcher.fetch(link, folder, pin.hashes):
                now = time.monotonic()
                meter.at(here + size, now)
                if now - told > _TELL_SECONDS:
                    told = now
                    yield meter.fraction, meter.sentence(pin.name)
        except NotForUs:
            left.append(pin)
            continue
        here += max(size, sizes[pin])
        meter.at(here, time.monotonic())
        yield meter.fraction, meter.sentence(pin.name)


def _by_pip(work: Work, pins: Sequence[Pin], own: Sequence[str], silent: FacescriptError | None = None) -> Report:
    """Have pip fetch these, by all that it is set to and the locks' `own` indexes, and take them over.

    `silent` is what to tell if it finds nothing, and an index did not answer us.
    """
    asked = work.scratch / "asked.txt"
    asked.write_text("".join(f"{pin.requirement}\n" for pin in pins), encoding="utf-8")
    folder = work.scratch / "download"
    command = pip_command(work, "download", "--no-deps", "--require-hashes", "--only-binary=:all:")
    command += [f"--progress-bar={'raw' if _is_new_pip(work) else 'off'}", "-r", str(asked), "-d", str(folder)]
    command += [part for index in own for part in ("--extra-index-url", index)]
    command += _other_machine(work)
    try:
        yield from run_pip(work, f"{_some(pins)}", command, user_pip_environment(work), PipProgress(work.bytes or 1e8))
    except FacescriptError as error:
        if error.code == "pip_failed" and silent is not None:
            raise silent from error
        raise
    for pin in pins:
        path = find_wheel(folder, pin, work.target)
        if path is not None:
            path.replace(work.wheels / path.name)


def _is_new_pip(work: Work) -> bool:
    """Whether pip tells bytes in lines (from 24.1)."""
    tail = run(work, pip_command(work, "--version"))[1]
    numbers = tail[-1].split()[1].split(".")[:2] if tail and len(tail[-1].split()) > 1 else []
    return [int(number) for number in numbers if number.isdigit()] >= [24, 1]


def _other_machine(work: Work) -> Iterator[str]:
    """pip's options for another machine than this one."""
    target = work.target
    if target is None or target == work.here:
        return
    dotted = ".".join(map(str, target.python))
    yield from ("--python-version", dotted, "--implementation", "cp")
    for abi in (f"cp{target.python[0]}{target.python[1]}", "abi3", "none"):
        yield from ("--abi", abi)
    for platform in target.platforms():
        yield from ("--platform", platform)


def _tidy(folder: Path, names: Sequence[str]) -> None:
    """Remove what another set of packages has left."""
    kept = {name + ending for name in names for ending in ("", ".part", ".part.tag")}
    for path in folder.iterdir():
        if path.name not in kept and path.is_file():
            path.unlink(missing_ok=True)


def _some(pins: Sequence[Pin]) -> str:
    names = [f"{pin.name} {pin.version}" for pin in pins]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more
