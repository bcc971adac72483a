# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetches files over HTTP so that nothing that came is fetched twice: resumed at any byte, checked by sha256.

A file that is not whole is `NAME.part`, with the server's mark of its version in `NAME.part.tag`; it gets its name
only once its sha256 is right. Reading is done on a thread of its own, so that a server which says nothing keeps nobody
waiting.
"""

from __future__ import annotations

import hashlib
import os
import queue
import re
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...performance.errors import FacescriptError
from .. import broken_pipes
from .child_process import Cancelled, never
from .package_index import ACCEPT, Link, PipSettings, certificates

# Seconds: to connect, and between two pieces of an answer.
_CONNECT_SECONDS, _READ_SECONDS = 10.0, 20.0
# How often a thing is tried with nothing new coming, and the longest wait between two tries, in seconds.
_TRIES, _LONGEST_WAIT = 5, 16.0
_CHUNK = 1 << 16
# For the urllib3 before 2.1, which only reads as much as it is asked for.
_SMALL_CHUNK = 1 << 12
# Chunks on their way from the thread that reads: 4 MB at most.
_AHEAD = 64
# The longest page of an index is some MB.
_MAX_PAGE = 64 << 20
# How often a silent server lets us look whether we were cancelled, in seconds.
_GLANCE = 0.1
_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_WHERE = "Check the connection, the proxy and the certificates; pressing Set Up again goes on where it stopped."


class NotForUs(Exception):
    """What this cannot fetch and pip may: a server that asks for a password, a certificate that only it knows."""


class _Passing(Exception):
    """What may be over at the next try; `wait` is how many seconds the server asks for."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


class _Changed(Exception):
    """The file at the server is not the one that was begun."""


@dataclass(frozen=True)
class _Head:
    """What an answer begins with."""

    status: int
    headers: Mapping[str, str]
    url: str


class Fetcher:
    """Fetches with one session: pip's proxy and certificates where pip has any, else the system's variables."""

    def __init__(self, settings: PipSettings | None = None, cancelled: Cancelled = never, pause: float = 0.5) -> None:
        """`pause` is how many seconds are waited before the second try; each further wait is twice as long."""
        import requests

        self._settings = settings or PipSettings()
        self._cancelled = cancelled
        self._pause = pause
        self._session = requests.Session()
        self._verify = certificates(self._settings)
        proxy = self._settings.proxy
        self._proxies = {"http": proxy, "https": proxy} if proxy else None

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def page(self, url: str) -> tuple[bytes, str, str]:
        """A page, its content type and its address in the end.

        Raises NotForUs if there is none, or it cannot be had this way; FacescriptError (`no_network`, `cancelled`).
        """
        for number in self._tries(url):
            try:
                return self._page(url)
            except _Passing as error:
                self._give_up(url, number + 1, error)
        raise AssertionError("the last try gives up")

    def length(self, url: str) -> int:
        """How many bytes a file has, or 0 if its server does not say."""
        try:
            with _Answer(self._request(url, {"Accept-Encoding": "identity"}, method="HEAD"), self._cancelled) as answer:
                return _extent(answer.head())[1]
        except (_Passing, NotForUs):
            return 0

    def fetch(self, link: Link, folder: Path, hashes: Collection[str]) -> Iterator[int]:
        """Fetch a file into `folder`, yielding how many of its bytes are there each time that some came.

        Raises NotForUs; FacescriptError: `no_network`, `bad_hash`, `cancelled`; OSError where it cannot be written.
        """
        path, part = folder / link.name, folder / f"{link.name}.part"
        for last in (False, True):
            try:
                yield from self._fetch(link, part)
                if sha256(part) in hashes:
                    os.replace(part, path)
                    _tag(part).unlink(missing_ok=True)
                    return
            except _Changed:
                pass
            # Pieces of two files, or another file: once more from the beginning.
            part.unlink(missing_ok=True)
            _tag(part).unlink(missing_ok=True)
            if last:
                raise FacescriptError(
                    "bad_hash",
                    f"{link.name} from {_host(link.url)} is not the file that this version was made with.",
                    "It was damaged or changed on its way. Press Set Up again; if it stays, do not go on.",
                )

    def _fetch(self, link: Link, part: Path) -> Iterator[int]:
        best, failures = size_of(part), 0
        while not link.size or size_of(part) < link.size:
            try:
                yield from self._attempt(link, part)
                return
            except _Passing as error:
                here = size_of(part)
                best, failures = max(best, here), 0 if here > best else failures + 1
                self._give_up(link.url, failures, error)
                self._wait(max(error.wait, self._pause * 2 ** max(0, failures - 1)))

    def _attempt(self, link: Link, part: Path) -> Iterator[int]:
        """One answer's bytes, from where we stopped."""
        here = size_of(part)
        headers = {"Accept-Encoding": "identity"}
        if here:
            headers["Range"] = f"bytes={here}-"
            with suppress(OSError):
                headers["If-Range"] = _tag(part).read_text(encoding="latin-1")
        with _Answer(self._request(link.url, headers), self._cancelled) as answer:
            head = answer.head()
            self._judge(head)
            start, whole = _extent(head)
            if head.status == 416:
                # All of it is here already: its sha256 will tell.
                return
            if start > here or (link.size and whole and whole != link.size):
                raise _Changed
            if not start:
                _keep_tag(part, head)
            with part.open("r+b" if start else "wb") as file:
                file.seek(start)
                file.truncate()
                for chunk in answer.chunks():
                    file.write(chunk)
                    start += len(chunk)
                    if start > (link.size or whole or start):
                        raise _Changed
                    yield start
            if start < (whole or link.size):
                raise _Passing("the connection ended too early")

    def _page(self, url: str) -> tuple[bytes, str, str]:
        with _Answer(self._request(url, {"Accept": ACCEPT}, decode=True), self._cancelled) as answer:
            head = answer.head()
            self._judge(head)
            body = bytearray()
            for chunk in answer.chunks():
                body += chunk
                if len(body) > _MAX_PAGE:
                    raise NotForUs(f"the page of {_host(url)} is too long")
            return bytes(body), head.headers.get("Content-Type", ""), head.url

    def _request(self, url: str, headers: Mapping[str, str], decode: bool = False, method: str = "GET") -> Any:
        def read(stop: threading.Event, put: Any) -> None:
            timeout = (_CONNECT_SECONDS, _READ_SECONDS)
            with self._session.request(
                method,
                url,
                allow_redirects=True,
                headers=headers,
                stream=True,
                timeout=timeout,
                verify=self._verify,
                proxies=self._proxies,
            ) as response:
                put(_Head(response.status_code, response.headers, response.url))
                for chunk in _pieces(response.raw, decode):
                    if stop.is_set():
                        return
                    put(chunk)

        return read

    def _judge(self, head: _Head) -> None:
        status = head.status
        if status in (408, 425, 429) or status >= 500:
            raise _Passing(f"the server answers {status}", _retry_after(head))
        if status not in (200, 206, 416):
            raise NotForUs(f"{_host(head.url)} answers {status}")

    def _tries(self, url: str) -> Iterator[int]:
        for number in range(_TRIES):
            if number:
                self._wait(self._pause * 2 ** (number - 1))
            yield number

    def _give_up(self, url: str, failures: int, error: Exception) -> None:
        if failures >= _TRIES:
            what = f"{_host(url)} cannot be reached, or the connection was cut: {error}."
            raise FacescriptError("no_network", what, _WHERE) from error

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + min(seconds, _LONGEST_WAIT)
        while (left := end - time.monotonic()) > 0:
            _heed(self._cancelled)
            time.sleep(min(left, _GLANCE))


class _Answer:
    """An answer that is read on a thread: its head, then its body in chunks."""

    def __init__(self, read: Any, cancelled: Cancelled) -> None:
        self._cancelled = cancelled
        self._stop = threading.Event()
        self._news: queue.Queue[Any] = queue.Queue(_AHEAD)
        self._thread = threading.Thread(target=self._run, args=(read,), daemon=True, name="facescript-fetching")
        self._thread.start()

    def __enter__(self) -> _Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()

    def head(self) -> _Head:
        """The status and the headers."""
        head = self._next()
        if not isinstance(head, _Head):
            raise _Passing("the server said nothing")
        return head

    def chunks(self) -> Iterator[bytes]:
        """The body."""
        while (chunk := self._next()) is not None:
            yield chunk

    def _next(self) -> Any:
        while True:
            _heed(self._cancelled)
            with suppress(queue.Empty):
                news = self._news.get(timeout=_GLANCE)
                if isinstance(news, Exception):
                    raise news
                return news

    def _run(self, read: Any) -> None:
        broken_pipes.outlive()
        try:
            read(self._stop, self._put)
            self._put(None)
        except Exception as error:
            self._put(_told(error))

    def _put(self, news: Any) -> None:
        while not self._stop.is_set():
            with suppress(queue.Full):
                self._news.put(news, timeout=_GLANCE)
                return


def _pieces(raw: Any, decode: bool) -> Iterator[bytes]:
    """A body as it comes in; a longer read would lose what came before a connection was cut."""
    if decode or not hasattr(raw, "read1"):
        yield from raw.stream(_SMALL_CHUNK, decode_content=decode)
        return
    while data := raw.read1(_CHUNK, decode_content=False):
        yield data


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal; "" if there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def size_of(path: Path) -> int:
    """How many bytes a file has; 0 if there is none."""
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _told(error: Exception) -> Exception:
    """What an error of requests or urllib3 means for us."""
    import requests

    if isinstance(error, requests.exceptions.SSLError):
        return NotForUs("the certificate is not trusted")
    if isinstance(error, (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL, UnicodeError)):
        return NotForUs("this is no address of the web")
    if isinstance(error, (requests.exceptions.InvalidProxyURL, OSError)) and "407" in str(error):
        return NotForUs("the proxy asks for a password")
    return _Passing(_reason(error))


def _reason(error: Exception) -> str:
    """The innermost cause in a few words, without addresses (they may hold a password)."""
    text = f"{type(error).__name__} {error}"
    for mark, words in (
        ("ProxyError", "the proxy refuses"),
        ("Cannot connect to proxy", "the proxy refuses"),
        ("imed out", "no answer in time"),
        ("Timeout", "no answer in time"),
        ("NameResolution", "its name is not known"),
        ("getaddrinfo", "its name is not known"),
        ("refused", "the connection was refused"),
        ("IncompleteRead", "the connection ended too early"),
        ("unreachable", "the network is unreachable"),
    ):
        if mark in text:
            return words
    return type(error).__name__


def _extent(head: _Head) -> tuple[int, int]:
    """Where in the file the answer begins, and how long the file is (0: not said)."""
    length = head.headers.get("Content-Length", "")
    if head.status == 206:
        match = _RANGE.fullmatch(head.headers.get("Content-Range", ""))
        if match is None:
            raise _Changed
        return int(match[1]), int(match[2]) if match[2].isdigit() else 0
    return 0, int(length) if length.isdigit() else 0


def _retry_after(head: _Head) -> float:
    value = head.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() else 0.0


def _tag(part: Path) -> Path:
    return part.with_name(part.name + ".tag")


def _keep_tag(part: Path, head: _Head) -> None:
    # If-Range takes a strong mark only (RFC 9110, 13.1.5).
    mark = head.headers.get("ETag", "")
    if mark and not mark.startswith("W/"):
        _tag(part).write_text(mark, encoding="latin-1")
    else:
        _tag(part).unlink(missing_ok=True)


def _host(url: str) -> str:
    return url.split("://")[-1].split("/")[0].rpartition("@")[2]


def _heed(cancelled: Cancelled) -> None:
    if cancelled():
        raise FacescriptError("cancelled", "Set-up was cancelled.", "Press Set Up to go on where it stopped.")
