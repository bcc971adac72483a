# SPDX-License-Identifier: GPL-3.0-or-later
"""One question to a server over HTTP, with an end to everything: time, bytes, tries; and it can be cancelled.

The exchange runs on a thread of its own, and whoever waits for it looks around several times a second. A cancel shuts
the connection, so that a server that is still writing notices too. Nothing of the environment is sent: no `.netrc`, no
cookies, and proxies only to hosts that are not this machine.
"""

from __future__ import annotations

import os
import queue
import re
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, MaxRetryError, ReadTimeoutError

from ..performance import FacescriptError
from .addresses import Address, parse_address

Check = Callable[[], None]

# How often a silent server lets the waiting look whether it was cancelled, in seconds.
_GLANCE = 0.1
# Bytes taken from the connection at once.
_PIECE = 4096
# What may pass: too many requests, and a server that is restarted, loading, or behind a proxy that waits for it.
_PASSING = (429, 502, 503, 504)
# Refusals whose words are looked at.
_TELLING = (400, 422, 500)
# Where a user's or a company's own certificates are named; requests' and OpenSSL's words for it.
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
# How servers call texts that are too long (llama.cpp, vLLM, Ollama); their own words may quote the script.
_TOO_LONG = re.compile(rb"context[ _-]?(size|length|window)|too long|maximum context", re.I)


@dataclass(frozen=True)
class Limits:
    """Seconds to connect, of silence, and for the whole exchange with its tries; bytes of an answer; seconds before
    each further try, and the most that a server may ask to wait.

    A large model on a processor reads a prompt for minutes before it says a word.
    """

    connect: float = 10.0
    silence: float = 300.0
    whole: float = 900.0
    size: int = 1 << 20
    pauses: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0)
    longest_pause: float = 30.0


@dataclass(frozen=True)
class Reply:
    """A server's answer: its status, type (`application/json`), the seconds to wait that it asks for, where it says
    that it moved, and its bytes as they came."""

    status: int
    kind: str
    pause: float
    moved: str
    body: bytes


class _Passing(Exception):
    """A failure that another try may not meet."""

    def __init__(self, error: FacescriptError) -> None:
        super().__init__()
        self.error = error


class Exchange:
    """Sends requests to one server, and the key to no other."""

    def __init__(self, address: Address, key: str = "", limits: Limits | None = None) -> None:
        self.address = address
        self._key = key
        self._limits = limits or Limits()

    def send(self, method: str, path: str, body: bytes, check: Check, until: bytes = b"") -> Reply:
        """The answer to one request; `path` follows the address's own. Reading stops after the bytes `until`.

        `check` is called ten times a second and may raise to cancel. Raises FacescriptError: `server_unreachable`,
        `server_key`, `server_refused`, `server_answer`, `long_text`, `timeout`.
        """
        end = time.monotonic() + self._limits.whole
        for pause in (*self._limits.pauses, None):
            try:
                reply = self._once(method, path, body, until, check, end)
                if reply.status not in _PASSING:
                    if 200 <= reply.status < 300:
                        return reply
                    raise self._refused(reply)
                error, asked = self._refused(reply), reply.pause
            except _Passing as passing:
                error, asked = passing.error, 0.0
            if pause is None or asked > self._limits.longest_pause:
                raise error
            _wait(max(pause, asked), check, end, error)
        raise AssertionError

    def _once(self, method: str, path: str, body: bytes, until: bytes, check: Check, end: float) -> Reply:
        call = _Call(self.address, self._limits, until)
        call.start(method, str(self.address) + path, body, self._headers(bool(body)))
        try:
            while (result := call.result()) is None:
                check()
                if time.monotonic() > end:
                    what = f"{self.address.host} was not done after {self._limits.whole:.0f} seconds."
                    raise FacescriptError("timeout", what, "Choose a smaller model there, or a faster machine.")
            if isinstance(result, Reply):
                return result
            raise result
        finally:
            call.stop()

    def _headers(self, has_body: bool) -> dict[str, str]:
        headers = {
            "Accept": "application/json, text/event-stream",
            # A small answer that unpacks to a huge one is no risk if nothing is packed.
            "Accept-Encoding": "identity",
            "User-Agent": "Facescript",
        }
        if has_body:
            headers["Content-Type"] = "application/json"
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        return headers

    def _refused(self, reply: Reply) -> FacescriptError:
        """What a status says. The server's own words are not shown: they may quote the script."""
        host, status = self.address.host, reply.status
        if 300 <= status < 400:
            return self._moved(reply)
        if status in (401, 403):
            what = f"{host} does not accept the key ({status})."
            return FacescriptError("server_key", what, "Check the key in the preferences.")
        if status == 404:
            what = f"{host} has nothing at {self.address}, or not that model (404)."
            return FacescriptError("server_refused", what, "Check the address, and choose a model that it lists.")
        if status == 413 or (status in _TELLING and _TOO_LONG.search(reply.body)):
            what = f"The texts are too long for the model at {host} ({status})."
            return FacescriptError("long_text", what, "Shorten them, or give the model a longer context there.")
        if status == 429:
            what = f"{host} takes no more requests for now (429)."
            return FacescriptError("server_refused", what, "Try again later.")
        if status >= 500:
            what = f"{host} has trouble of its own ({status})."
            return FacescriptError("server_refused", what, "It may still be loading the model; its own log says more.")
        what = f"{host} does not take the request ({status})."
        return FacescriptError("server_refused", what, "Check the address and the model; the server's log says more.")

    def _moved(self, reply: Reply) -> FacescriptError:
        hint = "Check the address."
        # A place on the same server would be taken for a host.
        with suppress(FacescriptError):
            if "://" in reply.moved:
                hint = f"If you trust {parse_address(reply.moved).origin}, enter that address."
        what = f"{self.address.host} sends on to another address ({reply.status}), which is not followed."
        return FacescriptError("server_refused", what, hint)


def _wait(seconds: float, check: Check, end: float, error: FacescriptError) -> None:
    until = time.monotonic() + seconds
    if until > end:
        raise error
    while (left := until - time.monotonic()) > 0:
        check()
        time.sleep(min(left, _GLANCE))


class _Call:
    """One exchange on a thread of its own."""

    def __init__(self, address: Address, limits: Limits, until: bytes) -> None:
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
            return self._found.get(timeout=_GLANCE)
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
            verify=next((os.environ[name] for name in _CERTIFICATES if os.environ.get(name)), True),
            proxies={} if self._address.is_local else requests.utils.get_environ_proxies(url),
        )
        with response:
            status, found = response.status_code, response.headers
            kind = found.get("Content-Type", "").partition(";")[0].strip().lower()
            wanted = 200 <= status < 300 or status in _TELLING
            return Reply(
                status,
                kind,
                _number(found.get("Retry-After", "")),
                found.get("Location", ""),
                self._read(response) if wanted else b"",
            )

    def _read(self, response: requests.Response) -> bytes:
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
            if self._until and self._until in body[-len(piece) - len(self._until) :]:
                return bytes(body)
        # The urllib3 of Blender 4.2 takes an answer that is cut off for a whole one.
        if len(body) < _number(response.headers.get("Content-Length", "")):
            raise HTTPError
        return bytes(body)

    def _failure(self, error: Exception) -> Exception:
        """What to tell of an exception; its own words may hold a proxy's password."""
        host = self._address.host
        if isinstance(error, FacescriptError):
            return error
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
            return _Passing(FacescriptError("server_unreachable", what, "Try again; the server's log may say more."))
        return error


def _never_connected(error: Exception) -> bool:
    # requests wraps it so when no connection was made; one that is cut is wrapped otherwise.
    return isinstance(error, requests.exceptions.ConnectionError) and isinstance(
        next(iter(error.args), None), MaxRetryError
    )


def _number(text: str) -> int:
    """A header's number, such as Retry-After's seconds; a date or nonsense is 0."""
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
