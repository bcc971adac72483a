# SPDX-License-Identifier: GPL-3.0-or-later
"""What pip prints, read as progress while it works and as the decisive line when it fails."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Sequence

from ...performance.errors import FacescriptError
from ...performance.parsing import printable

# How many of pip's last lines are kept for the error message.
KEPT_LINES = 40
# Fetching is most of the work; unpacking what was fetched is silent and takes the rest.
_FETCHED = 0.8
_UNPACKING = 0.85

_UNITS = {"bytes": 1.0, "kb": 1e3, "mb": 1e6, "gb": 1e9}
_RAW = re.compile(r"Progress (\d+) of (\d+)")
_FILE = re.compile(r"\s*(Downloading|Using cached|Processing) (?:\S*[/\\])?([^/\\\s]+)(?: \((\d+(?:\.\d+)?) ?(\w+)\))?")
_ADDRESS = re.compile(r"\b([a-z+]{2,12}://)(?:\S*@)?([^\s?#]*)[^\s'\")]*", re.I)
_COLLECTING = re.compile(r"Collecting ([^\s<>=!~;\[(]+)")
_INSTALLING = re.compile(r"Installing collected packages: (.+)")

_PROXY = "Check the connection, and the proxy and certificate settings of pip and the system; then press Set Up again."
# The first of these that pip's last lines hold tells what went wrong: (pattern, code, message, hint).
_CAUSES: tuple[tuple[re.Pattern[str], str, str, str], ...] = (
    (
        re.compile(r"No space left on device|Errno 28|not enough space on the disk|Disk quota exceeded", re.I),
        "no_disk",
        "The disk is full.",
        "Free some space, then press Set Up again: it goes on where it stopped.",
    ),
    (
        re.compile(r"THESE PACKAGES DO NOT MATCH THE HASHES"),
        "bad_hash",
        "A package is not the one that this version was made with.",
        "The download was damaged or changed on its way. Press Set Up again; if it stays, do not go on.",
    ),
    (
        re.compile(r"CERTIFICATE_VERIFY_FAILED|SSLError|SSLCertVerificationError"),
        "no_network",
        "The package index's certificate is not trusted.",
        "If your network has a certificate of its own, set it with: pip config set global.cert FILE.",
    ),
    (re.compile(r"ProxyError|Cannot connect to proxy"), "no_network", "The proxy cannot be reached.", _PROXY),
    (
        re.compile(
            r"NewConnectionError|NameResolutionError|Temporary failure in name resolution|getaddrinfo failed|"
            r"ConnectTimeout|ReadTimeout|Read timed out|ConnectionResetError|RemoteDisconnected|ProtocolError|"
            r"Connection refused|Network is unreachable|IncompleteRead|IncompleteDownload|ConnectionBroken"
        ),
        "no_network",
        "The package index cannot be reached, or the connection was cut.",
        _PROXY,
    ),
    (
        re.compile(r"Permission denied|Errno 13|WinError 5\b|Read-only file system"),
        "no_permission",
        "The runtime's folder cannot be written.",
        "Choose another folder in the preferences, or give yourself the right to write there.",
    ),
    (
        re.compile(r"filename or extension is too long|Long Path support|WinError 206", re.I),
        "long_path",
        "The runtime's folder has too long a path for Windows.",
        "Choose a folder with a short path in the preferences, or turn on long paths in Windows.",
    ),
)


class PipProgress:
    """Follows one `pip install`: feed it pip's lines.

    `expected` is how many bytes it will fetch, about; with `--progress-bar raw` (pip 24.1) the fraction follows
    the real bytes, otherwise it moves on with each file.
    """

    def __init__(self, expected: float = 0.0) -> None:
        self.tail: deque[str] = deque(maxlen=KEPT_LINES)
        self.fraction = 0.0
        self._expected = max(1.0, expected)
        self._before = 0.0
        self._size = 0.0
        self._name = ""

    def feed(self, line: str) -> tuple[float, str] | None:
        """The fraction in [0, 1], which never falls, and a message; None if the line says nothing new."""
        if match := _RAW.fullmatch(line):
            done, total = float(match.group(1)), float(match.group(2))
            self._size = max(self._size, total)
            return self._at(self._before + done), f"Fetching {self._name} ({done / 1e6:.0f} of {total / 1e6:.0f} MB)"
        line = without_secrets(printable(line[:500]))
        self.tail.append(line)
        if match := _FILE.match(line):
            self._before += self._size
            self._size = float(match.group(3) or 0.0) * _UNITS.get((match.group(4) or "").lower(), 0.0)
            self._name = match.group(2)[:80]
            verb = "Checking" if match.group(1) == "Processing" else "Fetching"
            return self._at(self._before), f"{verb} {self._name}"
        if match := _COLLECTING.match(line):
            return self._at(self._before + self._size), f"Looking for {match.group(1)[:80]}"
        if match := _INSTALLING.match(line):
            self.fraction = max(self.fraction, _UNPACKING)
            count = match.group(1).count(",") + 1
            return self.fraction, f"Unpacking {count} package{'s' if count > 1 else ''}"
        return None

    def _at(self, fetched: float) -> float:
        self.fraction = max(self.fraction, _FETCHED * min(1.0, fetched / self._expected))
        return self.fraction


def cause(what: str, tail: Sequence[str]) -> FacescriptError | None:
    """What went wrong, if the last lines of pip or another program tell; `what` is the sentence's beginning."""
    text = "\n".join(tail)
    for pattern, code, message, hint in _CAUSES:
        if pattern.search(text):
            return FacescriptError(code, f"{what}: {message}", f"{hint} (It said: {decisive_line(tail)})")
    return None


def pip_error(step: str, status: int | None, tail: Sequence[str]) -> FacescriptError:
    """Why pip failed at `step`, from its exit status and last lines."""
    if known := cause(f"Installing {step} failed", tail):
        return known
    if status is not None and (status < 0 or status == 137):
        return FacescriptError(
            "killed", f"Installing {step} was killed.", "Perhaps memory ran out: close other programs and try again."
        )
    return FacescriptError(
        "pip_failed", f"Installing {step} failed: {decisive_line(tail)}", "Press Set Up to try again."
    )


def without_secrets(text: str) -> str:
    """A text without what is secret in addresses: names and passwords before the host, and what follows a ? or a #."""
    return _ADDRESS.sub(r"\1\2", text)


def decisive_line(tail: Sequence[str]) -> str:
    """The line that tells the most: pip's last error, else what a traceback ends with, else the last line."""
    errors = [line for line in tail if line.startswith("ERROR:")]
    # "No matching distribution" follows the line that lists which versions there were.
    for line in reversed(errors):
        return line.removeprefix("ERROR:").strip()[:300]
    return tail[-1].strip()[:300] if tail else "it ended without a word"
