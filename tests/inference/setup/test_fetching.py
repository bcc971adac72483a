# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetching: from a real server of this machine that cuts, stalls, lies and changes what it has."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from facescript.faults.proxy import Answer, Proxy, Weather, serving, unused_address
from facescript.faults.tiny_runtime import make_certificate
from facescript.inference.setup import fetching
from facescript.inference.setup.fetching import Fetcher, NotForUs
from facescript.inference.setup.package_index import Link, PipSettings, certificates
from facescript.performance import FacescriptError

NAME = "thing-1.0-py3-none-any.whl"
DATA = bytes(range(256)) * 1000
HASH = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Proxy]:
    """A server with one file."""
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / NAME).write_bytes(DATA)
    with serving(tmp_path / "served") as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where files are fetched to."""
    path = tmp_path / "ge holt"
    path.mkdir()
    return path


def _link(server: Proxy, size: int = len(DATA)) -> Link:
    return Link(NAME, f"{server.address}/files/{NAME}", HASH, size)


def _fetch(link: Link, folder: Path, settings: PipSettings | None = None) -> list[int]:
    fetcher = Fetcher(settings, pause=0.01)
    try:
        return list(fetcher.fetch(link, folder, {HASH}))
    finally:
        fetcher.close()


def _error(link: Link, folder: Path, settings: PipSettings | None = None) -> FacescriptError:
    with pytest.raises(FacescriptError) as caught:
        _fetch(link, folder, settings)
    assert not (folder / NAME).exists()
    return caught.value


def _whole(folder: Path) -> bool:
    return [path.name for path in folder.iterdir()] == [NAME] and (folder / NAME).read_bytes() == DATA


def test_a_file_is_fetched_whole_and_counted(server: Proxy, folder: Path) -> None:
    counts = _fetch(_link(server), folder)
    assert counts == sorted(counts) and counts[-1] == 256_000
    assert _whole(folder)


@pytest.mark.parametrize("here", [1, 65_536, 255_999, 256_000])
def test_what_is_there_is_not_fetched_again(server: Proxy, folder: Path, here: int) -> None:
    (folder / f"{NAME}.part").write_bytes(DATA[:here])
    _fetch(_link(server), folder)
    assert server.sent == 256_000 - here
    assert _whole(folder)


def test_a_whole_part_of_unknown_size_is_not_fetched_again(server: Proxy, folder: Path) -> None:
    (folder / f"{NAME}.part").write_bytes(DATA)
    server.answer = lambda method, path, body: Answer(416)
    _fetch(_link(server, size=0), folder)
    assert _whole(folder)


@pytest.mark.parametrize(
    "weather",
    [
        Weather(cut_after=100_000),
        Weather(cut_after=20_000),
        Weather(cut_after=5_000),
        Weather(status=500, failures=2),
        Weather(status=503, failures=3),
    ],
)
def test_what_may_pass_is_tried_again(server: Proxy, folder: Path, weather: Weather, monkeypatch: object) -> None:
    server.weather = weather
    _patch_waits(monkeypatch)
    _fetch(_link(server), folder)
    assert _whole(folder)


def test_too_many_requests_are_waited_for_as_the_server_asks(server: Proxy, folder: Path) -> None:
    server.weather = Weather(status=429, failures=1)
    begin = time.monotonic()
    _fetch(_link(server), folder)
    assert time.monotonic() - begin > 0.9
    assert _whole(folder)


@pytest.mark.parametrize(
    "weather",
    [
        Weather(status=500),
        Weather(refuse=True),
        Weather(cut_after=0),
        # Nothing new comes from a server that begins anew each time.
        Weather(cut_after=100_000, ignore_range=True),
        Weather(stall_after=1000, ignore_range=True),
    ],
)
def test_it_is_given_up_with_a_sentence(
    server: Proxy, folder: Path, weather: Weather, monkeypatch: pytest.MonkeyPatch
) -> None:
    _patch_waits(monkeypatch)
    monkeypatch.setattr(fetching, "_READ_SECONDS", 0.2)
    server.weather = weather
    error = _error(_link(server), folder)
    assert error.code == "no_network"
    assert "127.0.0.1" in error.message and "goes on where it stopped" in error.hint


def _patch_waits(monkeypatch: object) -> None:
    assert isinstance(monkeypatch, pytest.MonkeyPatch)
    monkeypatch.setattr(fetching, "_LONGEST_WAIT", 0.01)


def test_nobody_answers(folder: Path) -> None:
    error = _error(Link(NAME, f"{unused_address()}/{NAME}", HASH, 7), folder)
    assert error.code == "no_network"
    assert "refused" in error.message


@pytest.mark.parametrize("size", [0, len(DATA)])
def test_a_changed_file_is_fetched_from_its_beginning(server: Proxy, folder: Path, size: int) -> None:
    (folder / f"{NAME}.part").write_bytes(b"x" * 5000)
    (folder / f"{NAME}.part.tag").write_text('"older"')
    _fetch(_link(server, size), folder)
    assert _whole(folder)


def test_another_file_is_never_taken(server: Proxy, folder: Path) -> None:
    server.weather = Weather(spoil=True)
    error = _error(_link(server), folder)
    assert error.code == "bad_hash"
    assert NAME in error.message
    assert list(folder.iterdir()) == []


def test_a_file_of_another_size_is_not_read_to_its_end(server: Proxy, folder: Path) -> None:
    def endless(method: str, path: str, body: bytes) -> Answer:
        return Answer(200, iter(lambda: b"x" * 65_536, b""))

    server.answer = endless
    assert _error(_link(server), folder).code == "bad_hash"
    assert server.sent < 64 * 65_536 * 4


def test_a_length_that_is_a_lie(server: Proxy, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _patch_waits(monkeypatch)
    server.weather = Weather(lie=1000)
    assert _error(_link(server), folder).code == "bad_hash"
    # What it is long by is not known to be wrong: all came, and the sha256 is right.
    server.weather = Weather(lie=1000)
    with pytest.raises(FacescriptError, match=r"ended too early|cannot be reached"):
        _fetch(_link(server, size=0), folder)
    server.weather = Weather()
    _fetch(_link(server, size=0), folder)
    assert _whole(folder)


@pytest.mark.parametrize("status", [401, 403, 404, 407, 410])
def test_what_is_not_for_us_is_left_to_others(server: Proxy, folder: Path, status: int) -> None:
    server.weather = Weather(status=status)
    with pytest.raises(NotForUs):
        _fetch(_link(server), folder)


def test_cancel_does_not_wait_for_a_silent_server(server: Proxy, folder: Path) -> None:
    server.weather = Weather(stall_after=70_000)
    cancel = threading.Event()
    fetcher = Fetcher(cancelled=cancel.is_set)
    threading.Timer(0.5, cancel.set).start()
    begin = time.monotonic()
    with pytest.raises(FacescriptError, match="cancelled"):
        list(fetcher.fetch(_link(server), folder, {HASH}))
    assert time.monotonic() - begin < 5.0
    server.weather = Weather()
    assert (folder / f"{NAME}.part").stat().st_size > 60_000
    _fetch(_link(server), folder)
    assert _whole(folder)


def test_pips_proxy_is_used_and_the_systems(server: Proxy, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serving() as proxy:
        _fetch(_link(server), folder, PipSettings(proxy=proxy.address))
        assert [row for row in proxy.requests if row.startswith("GET http://")]
        (folder / NAME).unlink()
        proxy.requests.clear()
        monkeypatch.setenv("ALL_PROXY", proxy.address)
        _fetch(_link(server), folder)
        assert len(proxy.requests) == 1
        (folder / NAME).unlink()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        _fetch(_link(server), folder)
        assert len(proxy.requests) == 1
        assert _whole(folder)


def test_a_proxy_that_refuses_is_named(server: Proxy, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _patch_waits(monkeypatch)
    settings = PipSettings(proxy=unused_address())
    error = _error(Link(NAME, f"https://example.invalid/{NAME}", HASH, 7), folder, settings)
    assert error.code == "no_network" and "proxy" in error.message


def test_certificates_are_those_of_pip_and_of_the_variables(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    if certificate is None:
        pytest.skip("openssl is not here")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / NAME).write_bytes(DATA)
    with serving(tmp_path / "served", certificate=certificate) as server:
        with pytest.raises(NotForUs, match="certificate"):
            _fetch(_link(server), folder)
        _fetch(_link(server), folder, PipSettings(certificates=str(tmp_path / "only.pem")))
        assert _whole(folder)
        (folder / NAME).unlink()
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "only.pem"))
        _fetch(_link(server), folder)
        assert _whole(folder)


def test_which_certificates_count() -> None:
    environment = {"SSL_CERT_FILE": "/s", "REQUESTS_CA_BUNDLE": "/r", "CURL_CA_BUNDLE": ""}
    assert certificates(PipSettings(certificates="/p"), environment) == "/p"
    assert certificates(PipSettings(), environment) == "/r"
    assert certificates(PipSettings(), {"SSL_CERT_FILE": "/s"}) == "/s"
    assert certificates(PipSettings(), {}) is True


def test_a_page_and_what_is_none(server: Proxy) -> None:
    fetcher = Fetcher(pause=0.01)
    page, kind, address = fetcher.page(f"{server.index}/thing/")
    assert NAME.encode() in page and kind == "text/html" and address.endswith("/simple/thing/")
    assert fetcher.length(f"{server.address}/files/{NAME}") == 256_000
    assert fetcher.length(f"{server.address}/files/none.whl") == 0
    with pytest.raises(NotForUs):
        fetcher.page(f"{server.index}/other/")
    fetcher.close()
