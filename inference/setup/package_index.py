# SPDX-License-Identifier: GPL-3.0-or-later
"""Where wheels come from: pip's own settings, and the pages of package indexes (PEP 503, 691)."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from ...performance.errors import FacescriptError
from ...performance.parsing import parse_object
from .locks import Pin, Target, wheel_package

PYPI = "https://pypi.org/simple"
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
# Of a setting that several places hold, the last of these counts.
_PLACES = ("global", "install", ":env:")
_SETTING = re.compile(r"(global|install|:env:)\.([\w-]+)='?(.*?)'?$")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class PipSettings:
    """What pip is set to, of what we heed ourselves; `folders`: it also looks into folders or pages of links."""

    indexes: tuple[str, ...] = (PYPI,)
    proxy: str = ""
    certificates: str = ""
    folders: bool = False


@dataclass(frozen=True)
class Link:
    """A wheel to fetch: its file name, address, sha256 ("": the index does not say), bytes (0: it does not say)."""

    name: str
    url: str
    sha256: str = ""
    size: int = 0


def read_settings(lines: Iterable[str]) -> PipSettings:
    """The settings that `pip config list` printed."""
    found: dict[tuple[str, str], str] = {}
    for line in lines:
        if match := _SETTING.fullmatch(line.strip()):
            found[match[1], match[2]] = _unquoted(line.strip().partition("=")[2])

    def setting(name: str) -> str:
        values = [found[place, name] for place in _PLACES if (place, name) in found]
        return values[-1] if values else ""

    indexes = () if _is_on(setting("no-index")) else (setting("index-url") or PYPI, *setting("extra-index-url").split())
    return PipSettings(indexes, setting("proxy"), setting("cert"), bool(setting("find-links")))


def certificates(settings: PipSettings, environment: Mapping[str, str] = os.environ) -> str | bool:
    """The file of certificates to trust, in the order in which pip and requests ask for it; True: requests' own."""
    names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
    return settings.certificates or next((environment[name] for name in names if environment.get(name)), True)


def links(page: bytes, content_type: str, address: str) -> list[Link]:
    """The wheels on an index's page about one package, at `address`; a page that is none has none."""
    if "json" in content_type:
        return _json_links(page, address)
    reader = _Anchors()
    reader.feed(page.decode("utf-8", "replace"))
    found = []
    for href in reader.hrefs:
        url, fragment = urldefrag(urljoin(address, href))
        kind, _, value = fragment.partition("=")
        found.append(Link(_file_name(url), url, value if kind == "sha256" else ""))
    return [link for link in found if link.name.endswith(".whl")]


def choose(pin: Pin, found: Sequence[Link], target: Target) -> Link | None:
    """The wheel of a pin that fits the machine best, or None. Only wheels that the lock knows, as far as it is said."""
    fitting = [
        (rank, number, link)
        for number, link in enumerate(found)
        if (link.sha256 in pin.hashes if link.sha256 else wheel_package(link.name) == (pin.name, pin.version))
        and (rank := target.rank(link.name)) is not None
    ]
    return max(fitting, key=lambda row: (row[0], -row[1]))[2] if fitting else None


def is_plain_name(name: str) -> bool:
    """Whether a file's name is one that stays in its folder."""
    return bool(re.fullmatch(r"[\w.+!-]{5,250}", name, re.ASCII)) and not name.startswith(".")


def _json_links(page: bytes, address: str) -> list[Link]:
    try:
        files = parse_object(page)["files"]
        rows = [(str(f["filename"]), str(f["url"]), f.get("hashes", {}).get("sha256"), f.get("size")) for f in files]
    except (FacescriptError, LookupError, TypeError, AttributeError):
        return []
    found = []
    for name, url, sha256, size in rows:
        known = sha256 if isinstance(sha256, str) and _SHA256.fullmatch(sha256) else ""
        if name.endswith(".whl") and is_plain_name(name):
            found.append(Link(name, urljoin(address, url), known, size if isinstance(size, int) and size > 0 else 0))
    return found


class _Anchors(HTMLParser):
    """Collects where a page's links point."""

    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one link."""
        href = dict(attrs).get("href") if tag == "a" else None
        if href and is_plain_name(_file_name(href)):
            self.hrefs.append(href)


def _file_name(url: str) -> str:
    try:
        return unquote(urlsplit(url).path.rpartition("/")[2])
    except ValueError:
        return ""


def _unquoted(value: str) -> str:
    try:
        return str(ast.literal_eval(value))
    except (ValueError, SyntaxError):
        return value


def _is_on(value: str) -> bool:
    return value.lower() in ("1", "true", "yes", "on")
