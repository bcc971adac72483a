# SPDX-License-Identifier: GPL-3.0-or-later
"""The extension's own settings and its runtime: other models, broken folders, a spoiled record, off and on again."""

from __future__ import annotations

import os
import signal
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import bpy as module

from . import extension
from .actions import action
from .user import Broken, Effect, User, Work

bpy: Any = module


@action(1.5, Effect.KEPT)
def quantization(user: User) -> None:
    """Choose how the model's weights are kept."""
    chosen = user.rng.choice(("auto", "auto", "fp32", "bf16", "nf4"))
    extension.preferences().quantization = chosen
    user.tell(chosen)


@action(2, Effect.KEPT, "face model")
def broken_model(user: User) -> Work:
    """Choose a model that is not there or is none, or a server that is not there, and generate with it."""
    settings, rng = extension.preferences(), user.rng
    folder = user.folder / rng.choice(("no such model", "broken model"))
    if folder.name == "broken model":
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_bytes(rng.choice((b"{}", b"", rng.randbytes(50))))
        (folder / "model.safetensors").write_bytes(rng.randbytes(64))
    settings.backend, settings.model_folder = rng.choice(("local", "local", "server")), str(folder)
    # Nothing listens at the discard port of this machine.
    settings.server_address, settings.server_model = "http://127.0.0.1:9/v1", "none"
    try:
        if user.call("generate", script="Hello."):
            yield from user.until(lambda: not extension.busy(), "a broken model to be refused")
            if extension.session().error is None:
                raise Broken("a model that is none has made a performance")
            user.tell(extension.said()[:80])
    finally:
        settings.backend, settings.model_folder = "embedded", ""
        settings.server_address, settings.server_model = "", ""


@action(2, Effect.KEPT, "face")
def spoiled_record(user: User) -> Work:
    """Generate while the runtime's record cannot be read; then it is whole again."""
    path = Path(extension.preferences().runtime_folder, "runtime.json")
    whole = path.read_bytes()
    try:
        path.write_bytes(user.rng.choice((b"", whole[:40], b'{"complete": true}', user.rng.randbytes(40))))
        if user.call("generate", script="Hello."):
            raise Broken("a runtime without its record was taken for usable")
    finally:
        path.write_bytes(whole)
    yield


@action(1, Effect.KEPT)
def kill_idle_worker(user: User) -> Work:
    """Kill the worker while it waits."""
    client = extension.worker()
    if client is not None:
        with suppress(ProcessLookupError):
            os.kill(client.pid, signal.SIGKILL)
        yield from user.until(lambda: extension.worker() is None, "the worker to end")
        extension.session().stop_worker()


@action(0.8, Effect.KEPT, "")
def off_and_on(user: User) -> Work:
    """Disable the extension, and enable it again."""
    user.step.barrier = True
    chosen = extension.preferences().runtime_folder if extension.enabled() else ""
    bpy.ops.preferences.addon_disable(module=extension.PACKAGE)
    yield
    if extension.handlers():
        raise Broken(f"handlers are left of a disabled extension: {extension.handlers()}")
    bpy.ops.preferences.addon_enable(module=extension.PACKAGE)
    extension.preferences().runtime_folder = chosen
    yield


class CutConnection:
    """A proxy at which every connection is cut after some bytes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                with connection, suppress(OSError):
                    connection.recv(4096)
                    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n"
                    connection.sendall((answer + bytes(self._size))[: self._size])

    def close(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5.0)


@action(0.4, Effect.KEPT, "extension model")
def set_up(user: User) -> Work:
    """Set up into a folder of its own over a connection that is cut, and cancel at some moment."""
    settings, rng = extension.preferences(), user.rng
    kept = settings.runtime_folder
    proxy = CutConnection(rng.choice((0, 20, 500)))
    names = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "PIP_RETRIES", "PIP_TIMEOUT")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names[:4], proxy.address) | {"PIP_RETRIES": "1", "PIP_TIMEOUT": "3"})
    settings.runtime_folder = str(user.folder / "scratch runtime")
    # Nothing leaves the machine: the proxy is all that is asked.
    system = bpy.context.preferences.system
    allowed, system.use_online_access = system.use_online_access, True
    try:
        if user.call("set_up"):
            for _ in range(rng.choice((0, 5, 60))):
                yield
            user.call("cancel_set_up")
            yield from user.until(lambda: not extension.busy(), "the set-up to stop")
            user.tell(extension.said()[:80])
            user.call("remove_runtime")
            yield from user.until(lambda: not extension.busy(), "the runtime to be removed")
    finally:
        proxy.close()
        system.use_online_access = allowed
        settings.runtime_folder = kept
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
