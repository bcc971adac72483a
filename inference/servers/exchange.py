# SPDX-License-Identifier: GPL-3.0-or-later
"""One question to a server over HTTP, with an end to everything: time, bytes, tries; and it can be cancelled.

The exchange runs on a thread of its own, and whoever waits for it looks around several times a second. A cancel shuts
the connection, so that a server that is still writing notices too. Nothing of the environment is sent: no `.netrc`, no
cookies, and proxies only to hosts that are not this machine.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ...performance import FacescriptError
from .addresses import Address, parse_address

Check = Callable[[], None]
# What ends an answer before its connection does; it matches no more than `LONGEST_END` bytes.
Until = re.Pattern[bytes] | None
LONGEST_END = 20

# How often a silent server lets the waiting look whether it was cancelled, in seconds.
GLANCE = 0.1
# What may pass: too many requests, and a server that is restarted, loading, or behind a proxy that waits for it.
_PASSING = (429, 502, 503, 504)
# Of these, what any request would meet; a proxy may be tired of waiting (504) for a long one alone.
_BUSY = (429, 502, 503)
# Refusals whose words are looked at.
TELLING = (400, 422, 500)
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


class Refused(FacescriptError):
    """A server's answer that is none: `server_busy` where any request would meet it, as the server is loading or
    restarted or has too many of them, else `server_refused`; and its status."""

    def __init__(self, status: int, message: str, hint: str, pause: float = 0.0) -> None:
        super().__init__("server_busy" if status in _BUSY else "server_refused", message, hint, pause=pause)
        self.status = status


class Passing(Exception):
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

    def send(self, method: str, path: str, body: bytes, check: Check, until: Until = None) -> Reply:
        """The answer to one request; `path` follows the address's own. Reading stops where `until` is found.

        `check` is called ten times a second and may raise to cancel. Raises FacescriptError: `server_unreachable`,
        `server_key`, `server_busy`, `server_refused`, `server_answer`, `long_text`, `timeout`.
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
            except Passing as passing:
                error, asked = passing.error, 0.0
            if pause is None or asked > self._limits.longest_pause:
                raise error
            _wait(max(pause, asked), check, end, error)
        raise AssertionError

    def _once(self, method: str, path: str, body: bytes, until: Until, check: Check, end: float) -> Reply:
        # Imported here: some builds of Blender have no package requests, and most users ask no server.
        try:
            from .http_call import Call
        except ImportError:
            what = "This Python lacks the package requests, by which servers are asked."
            hint = "Press Set Up, or use Blender from blender.org, which brings it."
            raise FacescriptError("no_requests", what, hint) from None
        call = Call(self.address, self._limits, until)
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
            return Refused(status, what, "Check the address, and choose a model that it lists.")
        if status == 413 or (status in TELLING and _TOO_LONG.search(reply.body)):
            what = f"The texts are too long for the model at {host} ({status})."
            return FacescriptError("long_text", what, "Shorten them, or give the model a longer context there.")
        if status == 429:
            what = f"{host} takes no more requests for now (429)."
            hint = f"Try again in {reply.pause:.0f} seconds." if reply.pause else "Try again later."
            return Refused(status, what, hint, reply.pause)
        if status >= 500:
            what = f"{host} has trouble of its own ({status})."
            hint = "It may still be loading the model; its own log says more."
            return Refused(status, what, hint, reply.pause)
        what = f"{host} does not take the request ({status})."
        return Refused(status, what, "Check the address and the model; the server's log says more.")

    def _moved(self, reply: Reply) -> FacescriptError:
        hint = "Check the address."
        # A place on the same server would be taken for a host.
        with suppress(FacescriptError):
            if "://" in reply.moved:
                hint = f"If you trust {parse_address(reply.moved).origin}, enter that address."
        what = f"{self.address.host} sends on to another address ({reply.status}), which is not followed."
        return Refused(reply.status, what, hint)


def _wait(seconds: float, check: Check, end: float, error: FacescriptError) -> None:
    until = time.monotonic() + seconds
    if until > end:
        raise error
    while (left := until - time.monotonic()) > 0:
        check()
        time.sleep(min(left, GLANCE))
