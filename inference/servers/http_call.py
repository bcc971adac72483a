# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTP exchange on a thread of its own, by the package requests: the only part that needs it."""

from __future__ import annotations

import os
import queue
import re
import socket
import threading
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, MaxRetryError, ReadTimeoutError

from ...performance import FacescriptError
from ...performance.parsing import parse_object
from .. import broken_pipes
from .addresses import Address
from .exchange import GLANCE, LONGEST_END, TELLING, Limits, Passing, Reply, Until

# Bytes taken from the connection at once.
_PIECE = 4096
# Where a user's or a company's own certificates are named; requests' and OpenSSL's words for it.
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_EVENTS = "text/event-stream"


class Call:
    """One exchange on a thread of its own."""

    def __init__(self, address: Address, limits: Limits, until: Until) -> None:
        self._address = address
        self._limits = limits
        self._until = until
        self._found: queue.SimpleQueue[Reply | Exception] = queue.SimpleQueue()
        self._adapter = _Adapter()
        self._thread: threading.Thread | None = None

    def start(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> None:
        """Begin; `result` has what comes of it."""
        self._thread = threading.Thread(
            target=self._run, args=(method, url, body, headers), daemon=True, name="facescript-exchange"
        )
        self._thread.start()

    def result(self) -> Reply | Exception | None:
        """What came of it, or None after a tenth of a second."""
        try:
            return self._found.get(timeout=GLANCE)
        except queue.Empty:
            return None

    def stop(self) -> None:
        """End it: what still waits for the server wakes up."""
        self._adapter.shut()
        if self._thread:
            # One that is still looking a name up cannot be woken; it ends by its own limit.
            self._thread.join(0.5)
        self._adapter.close()

    def _run(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> None:
        broken_pipes.outlive()
        try:
            self._found.put(self._ask(method, url, body, headers))
        except Exception as error:
            self._found.put(self._failure(error))

    def _ask(self, method: str, url: str, body: bytes, headers: dict[str, str]) -> Reply:
        # Without requests' Session, which reads .netrc, and the whole body of an answer that sends on elsewhere.
        response = self._adapter.send(
            requests.Request(method, url, headers, data=body or None).prepare(),
            stream=True,
            timeout=(self._limits.connect, self._limits.silence),
            verify=_certificates(url.startswith("https:")),
            proxies={} if self._address.is_local else requests.utils.get_environ_proxies(url),
        )
        with response:
            status, found = response.status_code, response.headers
            kind = found.get("Content-Type", "").partition(";")[0].strip().lower()
            wanted = 200 <= status < 300 or status in TELLING
            return Reply(
                status,
                kind,
                _seconds(found.get("Retry-After", ""), found.get("Date", "")),
                found.get("Location", ""),
                self._read(response, kind) if wanted else b"",
            )

    def _read(self, response: requests.Response, kind: str) -> bytes:
        """The bytes of an answer. Raises FacescriptError (`server_answer`) for what is too large, or packed."""
        host = self._address.host
        if response.headers.get("Content-Encoding", "identity").strip().lower() not in ("", "identity"):
            what = f"{host} packed its answer, which it was asked not to."
            raise FacescriptError("server_answer", what, "Turn compression off there.")
        body = bytearray()
        for piece in response.raw.stream(_PIECE, decode_content=False):
            body += piece
            if len(body) > self._limits.size:
                what = f"The answer of {host} is larger than {self._limits.size // 1024} KiB."
                raise FacescriptError("server_answer", what, "Check the address and the model.")
            if self._until and self._until.search(body, max(0, len(body) - len(piece) - LONGEST_END)):
                return bytes(body)
        # The urllib3 of Blender 4.2 takes an answer that is cut off for a whole one.
        if len(body) < _number(response.headers.get("Content-Length", "")):
            raise HTTPError
        # Where no length is said, nor pieces counted, nothing else tells it.
        if kind == _EVENTS and _is_cut(bytes(body)):
            raise HTTPError
        return bytes(body)

    def _failure(self, error: Exception) -> Exception:
        """What to tell of an exception; its own words may hold a proxy's password."""
        host = self._address.host
        if isinstance(error, FacescriptError):
            return error
        if isinstance(error, (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL)):
            return _bad_proxy(host, error)
        if isinstance(error, (requests.exceptions.SSLError, OSError)) and "certificate" in str(error).lower():
            what = f"The certificate of {host} is not trusted."
            return FacescriptError("server_unreachable", what, "Name your own one in REQUESTS_CA_BUNDLE.")
        if isinstance(error, requests.exceptions.SSLError):
            what = f"{host} cannot be spoken to by https."
            return FacescriptError("server_unreachable", what, "Check the address; perhaps it is http.")
        if isinstance(error, requests.exceptions.ProxyError):
            what = f"The proxy to {host} cannot be reached or refuses."
            return FacescriptError("server_unreachable", what, "Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY.")
        if isinstance(error, (requests.exceptions.ReadTimeout, ReadTimeoutError)):
            what = f"{host} said nothing for {self._limits.silence:.0f} seconds."
            return FacescriptError("timeout", what, "Look whether it is stuck, or still loading a model.")
        if isinstance(error, requests.exceptions.ConnectTimeout) or _never_connected(error):
            what = f"No server answers at {self._address.origin}."
            return FacescriptError("server_unreachable", what, "Start it, or check the address.")
        if isinstance(error, (requests.exceptions.RequestException, HTTPError, OSError)):
            what = f"The connection to {host} was cut."
            return Passing(FacescriptError("server_unreachable", what, "Try again; the server's log may say more."))
        return error


def _never_connected(error: Exception) -> bool:
    # requests wraps it so when no connection was made; one that is cut is wrapped otherwise.
    return isinstance(error, requests.exceptions.ConnectionError) and isinstance(
        next(iter(error.args), None), MaxRetryError
    )


def _bad_proxy(host: str, error: Exception) -> FacescriptError:
    """What to tell of a proxy that cannot be used as it is written; the address itself has been read before."""
    hint = "Set HTTPS_PROXY and HTTP_PROXY to http://HOST:PORT, and take ALL_PROXY away, before Blender starts."
    # The only kind that requests has no adapter for.
    if isinstance(error, requests.exceptions.InvalidSchema):
        what = f"The proxy to {host} speaks SOCKS, which this Python cannot: it lacks the package PySocks."
        return FacescriptError("server_unreachable", what, hint)
    what = f"HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names a proxy to {host} that cannot be read."
    return FacescriptError("server_unreachable", what, hint)


def _certificates(needed: bool) -> str | bool:
    """The file or folder of certificates that the environment names; True for those that come with the package.

    Raises FacescriptError (`server_unreachable`) for one that is `needed` and not there.
    """
    name = next((name for name in _CERTIFICATES if os.environ.get(name)), "")
    if not name:
        return True
    if needed and not os.path.exists(os.environ[name]):
        what = f"{name} names {os.environ[name]!r}, which is not there."
        hint = "Set it to the file of your network's certificate, or take it away, before Blender starts."
        raise FacescriptError("server_unreachable", what, hint)
    return os.environ[name]


def _is_cut(body: bytes) -> bool:
    """Whether a stream of events ends within a line of data; one that is whole may lack its end."""
    last = re.split(rb"[\r\n]", body)[-1]
    data = last.removeprefix(b"data:").strip()
    if not last or not b"data:".startswith(last[:5]) or data == b"[DONE]":
        return False
    try:
        parse_object(data)
    except FacescriptError:
        return True
    return False


def _seconds(text: str, now: str) -> float:
    """Retry-After's seconds, which may be said as a date (RFC 9110, 10.2.3); nonsense and what has been are 0.

    `now` is the answer's own date: the server's clock may be another than ours.
    """
    until, begin = _date(text), _date(now) or datetime.now(UTC)
    return max(0.0, (until - begin).total_seconds()) if until else float(_number(text))


def _date(text: str) -> datetime | None:
    with suppress(ValueError, OverflowError):
        found = parsedate_to_datetime(text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return None


def _number(text: str) -> int:
    """A header's number, such as Content-Length; nonsense is 0."""
    return int(text) if re.fullmatch(r"[0-9]{1,9}", text.strip()) else 0


class _Adapter(HTTPAdapter):
    """Remembers the connections that it opens, so that another thread can shut them."""

    def __init__(self) -> None:
        self._sockets: list[socket.socket] = []
        self._closed = False
        super().__init__(max_retries=0)

    def init_poolmanager(self, *arguments: Any, **named: Any) -> None:
        super().init_poolmanager(*arguments, **named)
        self._watch(self.poolmanager)

    def proxy_manager_for(self, *arguments: Any, **named: Any) -> Any:
        manager = super().proxy_manager_for(*arguments, **named)
        self._watch(manager)
        return manager

    def shut(self) -> None:
        """Shut every connection, also for a thread that waits for it."""
        self._closed = True
        for connection in list(self._sockets):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _watch(self, manager: Any) -> None:
        pools = {"http": HTTPConnectionPool, "https": HTTPSConnectionPool}
        manager.pool_classes_by_scheme = {scheme: self._watched(pool) for scheme, pool in pools.items()}

    def _watched(self, pool: Any) -> Any:
        adapter = self

        class Connection(pool.ConnectionCls):  # type: ignore[misc]
            def connect(self) -> None:
                super().connect()
                adapter._sockets.append(self.sock)
                if adapter._closed:
                    adapter.shut()

        return type(pool.__name__, (pool,), {"ConnectionCls": Connection})
