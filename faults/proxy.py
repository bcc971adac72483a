# SPDX-License-Identifier: GPL-3.0-or-later
"""A local HTTP server and proxy that behaves as badly as it is told: it cuts, stalls, throttles, refuses and lies.

As a server it gives what `Proxy.answer` makes, or the files of a folder, with a package index over its wheels
(`/simple/NAME/`, PEP 503) and with Range. As a proxy it passes `http://` requests on, and tunnels for `https://`.
"""

from __future__ import annotations

import hashlib
import html
import http.client
import select
import socket
import ssl
import struct
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_CHUNK = 1 << 14


@dataclass
class Weather:
    """What happens to every answer from now on; may be changed at any time, from any thread.

    `cut_after` and `stall_after` count the body's bytes of one answer; -1 is never. `rate` is in bytes a second, 0 for
    as fast as it goes. `refuse` closes each connection before anything is said. `status` other than 0 is answered to
    every request, `failures` times (-1 for always). `spoil` inverts the body's last byte. `lie` says a length that is
    so many bytes too long. `ignore_range` gives the whole file to who asks for a part. `only` is a part of the
    addresses that all this is for; the others have fair weather.
    """

    cut_after: int = -1
    stall_after: int = -1
    rate: float = 0.0
    refuse: bool = False
    status: int = 0
    failures: int = -1
    spoil: bool = False
    lie: int = 0
    ignore_range: bool = False
    only: str = ""


@dataclass(frozen=True)
class Answer:
    """A whole answer. The body may be an endless iterator: then no length is said."""

    status: int = 200
    body: bytes | Iterator[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class Proxy:
    """A running server; `address` is `http://127.0.0.1:PORT` (`https` with a certificate). `close` ends it."""

    def __init__(
        self,
        folder: Path | None = None,
        answer: Callable[[str, str, bytes], Answer] | None = None,
        certificate: Path | None = None,
    ) -> None:
        """Serve `folder`, or what `answer(method, path, body)` gives; `certificate` is a PEM with its key, for TLS."""
        self.weather = Weather()
        self.folder = folder
        self.answer = answer
        self.requests: list[str] = []
        self.sent = 0
        self._closing = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if certificate else "http"
        self.address = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True, name="proxy")
        self._thread.start()

    @property
    def index(self) -> str:
        """The address of the package index over the folder."""
        return f"{self.address}/simple"

    @property
    def closing(self) -> bool:
        """Whether answers that go on are to end."""
        return self._closing.is_set()

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than the server lives."""
        self._closing.wait(seconds)

    def close(self) -> None:
        """End the server and all its connections."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)


@contextmanager
def serving(
    folder: Path | None = None,
    answer: Callable[[str, str, bytes], Answer] | None = None,
    certificate: Path | None = None,
) -> Iterator[Proxy]:
    """A `Proxy` for a block."""
    proxy = Proxy(folder, answer, certificate)
    try:
        yield proxy
    finally:
        proxy.close()


def unused_address() -> str:
    """An address of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


class _Cut(Exception):
    """The connection is to be reset."""


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    """A handler class that knows its proxy."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            # A connection that is kept open and silent ends with the server.
            self.connection.settimeout(30.0)

        def handle(self) -> None:
            # The other side may go at any moment: that is what is tried here.
            with suppress(OSError, _Cut, ValueError):
                if proxy.weather.refuse:
                    raise _Cut
                super().handle()
                return
            _reset(self.connection)

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self._respond()

        do_HEAD = do_POST = do_GET

        def do_CONNECT(self) -> None:
            proxy.requests.append(f"CONNECT {self.path}")
            if self._refused():
                return
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=10.0) as upstream:
                self.send_response(200)
                self.end_headers()
                self._tunnel(upstream)

        def _respond(self) -> None:
            proxy.requests.append(f"{self.command} {self.path}")
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length) if length else b""
            if self._refused():
                return
            self._give(self._find(body))

        def _refused(self) -> bool:
            weather = self._weather()
            if not weather.status or weather.failures == 0:
                return False
            if weather.failures > 0:
                weather.failures -= 1
            self._give(Answer(weather.status, b"no", {"Retry-After": "1"}), fair=True)
            return True

        def _weather(self) -> Weather:
            return proxy.weather if proxy.weather.only in self.path else Weather()

        def _find(self, body: bytes) -> Answer:
            if self.path.startswith("http://"):
                return _fetched(self.command, self.path, body, dict(self.headers))
            if proxy.answer is not None:
                return proxy.answer(self.command, self.path, body)
            if proxy.folder is None:
                return Answer(404)
            asked = "" if self._weather().ignore_range else self.headers.get("Range", "")
            return _file_answer(proxy.folder, self.path, asked)

        def _give(self, answer: Answer, fair: bool = False) -> None:
            weather = Weather() if fair else self._weather()
            whole = answer.body if isinstance(answer.body, bytes) else None
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if whole is not None:
                self.send_header("Content-Length", str(len(whole) + weather.lie))
            else:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            if self.command == "HEAD":
                return
            if whole is not None and whole and weather.spoil:
                whole = whole[:-1] + bytes([whole[-1] ^ 0xFF])
            parts = iter([whole]) if whole is not None else answer.body
            assert not isinstance(parts, bytes)
            self._pour(parts, weather)
            if weather.lie:
                raise _Cut

        def _pour(self, parts: Iterator[bytes], weather: Weather) -> None:
            sent = 0
            for part in parts:
                for start in range(0, len(part), _CHUNK):
                    piece = part[start : start + _CHUNK]
                    for limit, stalls in ((weather.cut_after, False), (weather.stall_after, True)):
                        if 0 <= limit < sent + len(piece):
                            self.wfile.write(piece[: max(0, limit - sent)])
                            self.wfile.flush()
                            if stalls:
                                proxy.pause(3600.0)
                            raise _Cut
                    # Before it is written: who has it may ask at once how much was sent.
                    proxy.sent += len(piece)
                    self.wfile.write(piece)
                    sent += len(piece)
                    if weather.rate:
                        proxy.pause(len(piece) / weather.rate)
                    if proxy.closing:
                        raise _Cut

        def _tunnel(self, upstream: socket.socket) -> None:
            sent, weather = 0, self._weather()
            ends = (self.connection, upstream)
            while not proxy.closing:
                ready, _, _ = select.select(ends, [], [], 0.1)
                for end in ready:
                    data = end.recv(_CHUNK)
                    if not data:
                        raise _Cut
                    if end is upstream:
                        proxy.sent += len(data)
                    (upstream if end is self.connection else self.connection).sendall(data)
                    if end is upstream:
                        sent += len(data)
                        if weather.rate:
                            proxy.pause(len(data) / weather.rate)
                if 0 <= weather.cut_after < sent:
                    raise _Cut
                if 0 <= weather.stall_after < sent:
                    proxy.pause(3600.0)

    return Handler


def _reset(connection: socket.socket) -> None:
    """Close a connection so that the other side is told it was reset."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()


def _fetched(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """What the server of `url` answers to a request that is passed on."""
    parts = urllib.parse.urlsplit(url)
    kept = {name: value for name, value in headers.items() if name.lower() not in ("proxy-connection", "connection")}
    connection = http.client.HTTPConnection(parts.netloc, timeout=30.0)
    try:
        connection.request(method, urllib.parse.urlunsplit(("", "", *parts[2:])), body or None, kept)
        response = connection.getresponse()
        dropped = ("content-length", "connection", "transfer-encoding")
        given = {name: value for name, value in response.getheaders() if name.lower() not in dropped}
        return Answer(response.status, response.read(), given)
    except OSError:
        return Answer(502, b"no answer")
    finally:
        connection.close()


def _file_answer(folder: Path, path: str, asked: str) -> Answer:
    """A file of the folder, a part of it (`Range: bytes=N-`), or the index's page of a package."""
    parts = [urllib.parse.unquote(part) for part in path.partition("?")[0].split("/") if part]
    if parts[:1] == ["simple"] and len(parts) == 2:
        return _index_page(folder, parts[1])
    file = folder / parts[-1] if parts else folder
    if not file.is_file():
        return Answer(404)
    data = file.read_bytes()
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "ETag": f'"{_sha(data)[:16]}"'}
    start = asked.removeprefix("bytes=").partition("-")[0]
    if start.isdigit() and int(start) < len(data):
        said = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        return Answer(206, data[int(start) :], headers | said)
    return Answer(200, data, headers)


def _index_page(folder: Path, name: str) -> Answer:
    """A package's page, as PEP 503 has it."""
    wheels = [path for path in sorted(folder.glob("*.whl")) if _normal(path.name.partition("-")[0]) == _normal(name)]
    if not wheels:
        return Answer(404)
    links = "".join(
        f'<a href="/files/{html.escape(path.name)}#sha256={_sha(path.read_bytes())}">{html.escape(path.name)}</a>\n'
        for path in wheels
    )
    page = f"<!DOCTYPE html><html><body>\n{links}</body></html>"
    return Answer(200, page.encode(), {"Content-Type": "text/html"})


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether a condition comes true within so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()
