# SPDX-License-Identifier: GPL-3.0-or-later
"""A stub of the Hugging Face hub's HTTP interface on this machine: one model, which may be cut, changed or away."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

NAME, COMMIT = "toys/tiny", "a" * 40


class Hub:
    """What the hub holds, how it behaves, and what it was asked."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.commit = COMMIT
        # After so many bytes of weights the connection is cut; how often still.
        self.cut_at, self.cuts = 0, 0
        # Seconds between two pieces of 64 KiB.
        self.pace = 0.0
        self.gated = False
        # Commits that there were; whether every token is refused.
        self.gone: set[str] = set()
        self.refuses_tokens = False
        self.asked: list[tuple[str, str]] = []
        self.address = ""

    def listing(self, commit: str) -> dict[str, Any]:
        """As GET /api/models/OWNER/NAME?blobs=true answers."""
        siblings = []
        for name, content in self.files.items():
            row: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": _blob(content)}
            if name.endswith((".safetensors", ".bin")):
                row["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
            siblings.append(row)
        return {"id": NAME, "modelId": NAME, "sha": commit, "siblings": siblings, "tags": [], "private": False}


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        """Answer as the hub does."""
        hub = self.hub
        path = self.path.partition("?")[0]
        hub.asked.append((path, self.headers.get("Range", "")))
        if hub.refuses_tokens and "Authorization" in self.headers:
            self._answer(401, b"{}", {"X-Error-Message": "Invalid credentials in Authorization header"})
        elif any(commit in path for commit in hub.gone):
            self._answer(404, b"{}", {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
        elif hub.gated:
            self._answer(403, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Agree first"})
        elif found := re.fullmatch(rf"/api/models/{NAME}(?:/revision/([0-9a-f]{{40}}))?", path):
            self._answer(200, json.dumps(hub.listing(found[1] or hub.commit)).encode())
        elif (found := re.fullmatch(rf"/{NAME}/resolve/([0-9a-f]{{40}})/(.+)", path)) and found[2] in hub.files:
            self._file(hub.files[found[2]])
        else:
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _file(self, content: bytes) -> None:
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        rest = content[start:]
        cut = self.hub.cuts > 0 and self.hub.cut_at < len(rest)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if cut:
            self.hub.cuts -= 1
            self.wfile.write(rest[: self.hub.cut_at])
            self.wfile.flush()
            self.close_connection = True
            self.connection.shutdown(2)
            return
        # Who asked is free to go.
        with suppress(OSError):
            for begin in range(0, len(rest), 65536):
                self.wfile.write(rest[begin : begin + 65536])
                time.sleep(self.hub.pace)

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Hub]:
    """A hub that holds these files of one model."""
    hub = Hub(files)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
