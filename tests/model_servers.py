# SPDX-License-Identifier: GPL-3.0-or-later
"""Real HTTP servers on this machine: one that answers as a good one does, and ways to misbehave."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MODEL = "good-model"
DESCRIPTION = "Brows lift, the eyes widen and the lips part."


class Handler(BaseHTTPRequestHandler):
    """One request; what is done is the server's `behave`."""

    protocol_version = "HTTP/1.1"
    server: ModelServer  # type: ignore[assignment]

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._do(b"")

    def do_POST(self) -> None:
        self._do(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def _do(self, body: bytes) -> None:
        self.close_connection = True
        self.body: dict[str, Any] = json.loads(body) if body else {}
        self.server.requests.append(self)
        # The other end is free to go.
        with suppress(OSError):
            self.server.behave(self)

    @property
    def schema(self) -> dict[str, Any]:
        """The schema that is asked for, or {}."""
        return dict(self.body.get("response_format", {}).get("json_schema", {}).get("schema", {}))

    def begin(self, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Connection": "close", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def write(self, data: bytes) -> None:
        self.wfile.write(data)
        self.wfile.flush()

    def whole(self, data: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> None:
        self.begin(status, kind, Content_Length=str(len(data)), **headers)
        self.write(data)

    def says(self, text: str) -> None:
        """The model's answer, as a stream if that is asked for."""
        if not self.body.get("stream"):
            self.whole(json.dumps({"choices": [{"message": {"role": "assistant", "content": text}}]}).encode())
            return
        self.begin(kind="text/event-stream; charset=utf-8")
        for start in range(0, len(text), 40):
            delta = {"choices": [{"index": 0, "delta": {"content": text[start : start + 40]}, "finish_reason": None}]}
            self.write(b"data: " + json.dumps(delta).encode() + b"\n\n")
        self.write(b'data: {"choices": [], "usage": {"total_tokens": 9}}\n\ndata: [DONE]\n\n')

    def reset(self) -> None:
        """Cut the connection as a crash does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


Behaviour = Callable[[Handler], None]


def good(handler: Handler) -> None:
    """Lists its model, and answers what a schema asks for: half-open jaws, and one description for all moments."""
    if handler.command == "GET":
        handler.whole(json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode())
    else:
        handler.says(json.dumps(filled(handler.schema, handler.schema.get("$defs", {}))))


def filled(schema: dict[str, Any], named: dict[str, Any]) -> Any:
    """Something that a schema allows."""
    if "$ref" in schema:
        schema = named[schema["$ref"].rpartition("/")[2]]
    if "enum" in schema:
        return 0.5 if 0.5 in schema["enum"] else schema["enum"][0]
    if schema.get("type") == "object":
        return {name: filled(part, named) for name, part in schema["properties"].items()}
    return DESCRIPTION


def saying(text: str) -> Behaviour:
    """Lists its model, and always answers the same."""
    return lambda handler: handler.says(text) if handler.command == "POST" else good(handler)


def posting(behave: Behaviour) -> Behaviour:
    """Lists its model, and answers in its own way."""
    return lambda handler: behave(handler) if handler.command == "POST" else good(handler)


class ModelServer(ThreadingHTTPServer):
    """A server on a free port of this machine."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, behave: Behaviour) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behave = behave
        self.requests: list[Handler] = []
        # Set at the end: behaviours that stall wait for it.
        self.ended = threading.Event()

    def handle_error(self, *_: Any) -> None:
        pass

    @property
    def address(self) -> str:
        scheme = "https" if isinstance(self.socket, ssl.SSLSocket) else "http"
        return f"{scheme}://127.0.0.1:{self.server_port}"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What was posted, in order."""
        return [handler.body for handler in self.requests if handler.body]


@contextmanager
def serving(behave: Behaviour = good, certificate: Path | None = None) -> Iterator[ModelServer]:
    """Run a server for as long as the block; with a `certificate` (and its key, in one file), by https."""
    server = ModelServer(behave)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join(5.0)
