# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
import requests
from facescript.faults.proxy import Answer, Proxy, Weather, serving, unused_address

BODY = bytes(range(256)) * 400


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fs_tiny-1.0-py3-none-any.whl").write_bytes(BODY)
    return tmp_path


def wheel(proxy: Proxy, **given: object) -> requests.Response:
    return requests.get(f"{proxy.address}/files/fs_tiny-1.0-py3-none-any.whl", timeout=2.0, **given)


def test_a_fair_server_has_an_index_files_and_parts_of_them(folder: Path) -> None:
    with serving(folder) as proxy:
        page = requests.get(f"{proxy.index}/fs-tiny/", timeout=2.0).text
        assert "/files/fs_tiny-1.0-py3-none-any.whl#sha256=" in page
        assert requests.get(f"{proxy.index}/other/", timeout=2.0).status_code == 404
        assert wheel(proxy).content == BODY
        part = wheel(proxy, headers={"Range": "bytes=1000-"})
        assert (part.status_code, part.content) == (206, BODY[1000:])
        proxy.weather = Weather(ignore_range=True)
        whole = wheel(proxy, headers={"Range": "bytes=1000-"})
        assert (whole.status_code, whole.content) == (200, BODY)


@pytest.mark.parametrize("weather", [Weather(cut_after=5000), Weather(lie=10)])
def test_a_cut_is_an_error_of_the_connection(folder: Path, weather: Weather) -> None:
    with serving(folder) as proxy:
        proxy.weather = weather
        with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
            assert wheel(proxy).content


def test_what_was_sent_before_a_cut_arrives(folder: Path) -> None:
    with serving(folder) as proxy:
        proxy.weather = Weather(cut_after=5000)
        answer = wheel(proxy, stream=True)
        with pytest.raises(requests.RequestException):
            got = b""
            for part in answer.iter_content(1000):
                got += part
        assert got == BODY[:5000]


def test_a_stall_lasts_until_the_other_side_gives_up(folder: Path) -> None:
    with serving(folder) as proxy:
        proxy.weather = Weather(stall_after=100)
        with pytest.raises(requests.ConnectionError, match="timed out"):
            requests.get(f"{proxy.address}/fs_tiny-1.0-py3-none-any.whl", timeout=0.3)


def test_failures_are_answered_so_often(folder: Path) -> None:
    with serving(folder) as proxy:
        proxy.weather = Weather(status=503, failures=2)
        assert [wheel(proxy).status_code for _ in range(3)] == [503, 503, 200]


def test_only_the_addresses_that_are_named_are_spoilt(folder: Path) -> None:
    with serving(folder) as proxy:
        proxy.weather = Weather(spoil=True, only=".whl")
        assert wheel(proxy).content == BODY[:-1] + b"\x00"
        assert requests.get(f"{proxy.index}/fs-tiny/", timeout=2.0).text.endswith("</html>")


def test_a_connection_that_is_refused_is_reset(folder: Path) -> None:
    with serving(folder) as proxy:
        proxy.weather = Weather(refuse=True)
        with pytest.raises(requests.ConnectionError):
            wheel(proxy)
    with pytest.raises(requests.ConnectionError):
        requests.get(unused_address(), timeout=1.0)


def test_a_proxy_passes_requests_on_and_counts_them(folder: Path) -> None:
    with serving(folder) as server, serving() as proxy:
        assert wheel(server, proxies={"http": proxy.address}).content == BODY
        assert proxy.requests == [f"GET {server.address}/files/fs_tiny-1.0-py3-none-any.whl"]


def test_an_endless_answer_ends_with_its_reader_or_its_server() -> None:
    def endless(method: str, path: str, body: bytes) -> Answer:
        return Answer(body=iter(lambda: b"x" * 1000, b""))

    with (
        serving(answer=endless) as proxy,
        requests.post(proxy.address, data=b"{}", timeout=2.0, stream=True) as answer,
    ):
        assert len(next(answer.iter_content(100_000))) == 100_000
    end = time.monotonic() + 5.0
    while any("process_request_thread" in thread.name for thread in threading.enumerate()):
        assert time.monotonic() < end
        time.sleep(0.01)
