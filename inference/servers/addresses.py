# SPDX-License-Identifier: GPL-3.0-or-later
"""The address of a server that the user names, and the key for it: read once, strictly, before anything is sent.

Nothing here opens a connection. An address is put together again from the parts that were understood, so that no other
reader can take it for another host.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from ...performance import FacescriptError

MAX_ADDRESS = 500
MAX_KEY = 4000
# For command lines, which other users of a machine can read. No process that we start is given it.
KEY_VARIABLE = "FACESCRIPT_SERVER_KEY"

_PORTS = {"http": 80, "https": 443}
# What the OpenAI form puts before `chat/completions` and `models`, where the address says nothing else.
_PATH = "/v1"
_ENDINGS = ("/chat/completions", "/models")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
# One label or several; an underscore is in names that containers have.
_HOST = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?")
_PLAIN_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_HINT = "Write it as http://localhost:11434 or https://example.org/v1."


@dataclass(frozen=True)
class Address:
    """Where a server speaks the OpenAI form: `http` or `https`, a host in ASCII, a port, and a path without an end."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        return self.origin + self.path

    @property
    def origin(self) -> str:
        """Scheme, host and port, as browsers write them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")

    @property
    def is_local(self) -> bool:
        """Whether it is this machine by its very name: `localhost`, or an address of the loopback."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def warning(self) -> str:
        """What is to be said of what leaves this machine; empty where nothing does."""
        if self.is_local:
            return ""
        if self.scheme == "https":
            return f"Your script goes to {self.host}."
        return f"Your script goes unencrypted to {self.host}, and so does the key."


def parse_address(text: str) -> Address:
    """Read an address; without a scheme it is http.

    Raises FacescriptError (`bad_address`), which does not quote what may hold a password, for anything but http and
    https, for credentials, a query or a fragment, and for characters that are in no address.
    """
    text = text.strip()
    if not text:
        raise FacescriptError("bad_address", "No address of a server was given.", _HINT)
    if len(text) > MAX_ADDRESS:
        what = f"The server's address has {len(text)} characters; the limit is {MAX_ADDRESS}."
        raise FacescriptError("bad_address", what, _HINT)
    if not text.isprintable() or any(char.isspace() or char in "\\<>\"'`{}|^" for char in text):
        raise FacescriptError("bad_address", "The server's address holds a character that no address has.", _HINT)
    if "@" in text:
        what = "The server's address holds a user name or a password."
        raise FacescriptError("bad_address", what, "Leave out what is before the @; the key has a field of its own.")
    if "?" in text or "#" in text:
        raise FacescriptError("bad_address", "The server's address holds a ? or a #.", "Leave out what follows it.")
    found = _SCHEME.match(text)
    if found and found[1].lower() not in _PORTS:
        what = f"A server is not spoken to by {found[1][:20]}, but by http or https."
        raise FacescriptError("bad_address", what, _HINT)
    try:
        parts = urlsplit(text if found else f"http://{text}")
        port = parts.port
    except ValueError:
        raise FacescriptError("bad_address", "The server's address cannot be read.", _HINT) from None
    if parts.netloc.endswith(":") or port == 0:
        raise FacescriptError("bad_address", "The server's address has a : without a port.", _HINT)
    return Address(parts.scheme, _host(parts.hostname or ""), port or _PORTS[parts.scheme], _path(parts.path))


def _host(host: str) -> str:
    try:
        number = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        # Servers say that they listen there; what is meant is this machine.
        if number.is_unspecified:
            return "127.0.0.1" if number.version == 4 else "::1"
        # With a zone (fe80::1%eth0) it would be a name as well.
        if "%" not in host:
            return str(number)
    try:
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        name = ""
    if len(name) > 253 or not _HOST.fullmatch(name):
        raise FacescriptError("bad_address", "The server's address names no host.", _HINT)
    return name.rstrip(".")


def _path(path: str) -> str:
    path = path.rstrip("/")
    for ending in _ENDINGS:
        path = path.removesuffix(ending)
    if not _PLAIN_PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise FacescriptError("bad_address", "The path of the server's address cannot be read.", _HINT)
    return path or _PATH


def given_key(typed: str) -> str:
    """The key that was typed, else that of the environment variable FACESCRIPT_SERVER_KEY, else ""."""
    return typed or os.environ.get(KEY_VARIABLE, "")


def check_key(key: str) -> str:
    """The key as it is sent, without blanks around it.

    Raises FacescriptError (`bad_key`), which does not quote it, for a key that cannot stand in a line of HTTP.
    """
    key = key.strip()
    if len(key) > MAX_KEY or not key.isascii() or not key.isprintable() or " " in key:
        raise FacescriptError(
            "bad_key", "The server's key holds characters that no key has, or is too long.", "Copy it once more."
        )
    return key
