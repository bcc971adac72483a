# SPDX-License-Identifier: GPL-3.0-or-later
"""What pip is set to, and the pages of indexes, good and bad."""

from __future__ import annotations

import json

import pytest
from facescript.inference.setup.locks import Pin, Target
from facescript.inference.setup.package_index import (
    PYPI,
    Link,
    PipSettings,
    choose,
    is_plain_name,
    links,
    read_settings,
)
from hypothesis import given
from hypothesis import strategies as st

HASH = "ab" * 32
OTHER = "cd" * 32
LINUX = Target((3, 11), "linux", "x86_64", (2, 31))


def _json(*files: object) -> bytes:
    return json.dumps({"files": files}).encode()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], PipSettings()),
        (["global.index-url='https://m/simple'"], PipSettings(("https://m/simple",))),
        (["global.index-url='https://m/simple'", "install.index-url='https://n'"], PipSettings(("https://n",))),
        ([":env:.index-url='https://e'", "global.index-url='https://m'"], PipSettings(("https://e",))),
        (["global.extra-index-url='https://a https://b'"], PipSettings((PYPI, "https://a", "https://b"))),
        (["global.extra-index-url='\\nhttps://a\\nhttps://b'"], PipSettings((PYPI, "https://a", "https://b"))),
        (["global.no-index='true'"], PipSettings(())),
        (
            ["global.proxy='http://u:p@p:1'", "global.cert='/c a/x.pem'"],
            PipSettings((PYPI,), "http://u:p@p:1", "/c a/x.pem"),
        ),
        (["global.find-links='/opt/wheels'"], PipSettings(folders=True)),
        (["nonsense", "global.index-url", "=", "global.timeout='5'"], PipSettings()),
    ],
)
def test_pips_settings(lines: list[str], expected: PipSettings) -> None:
    assert read_settings(lines) == expected


def test_the_links_of_a_json_page() -> None:
    page = _json(
        {"filename": "a-1-py3-none-any.whl", "url": "../f/a.whl", "hashes": {"sha256": HASH}, "size": 7},
        {"filename": "a-1.tar.gz", "url": "a.tar.gz", "hashes": {}},
        {"filename": "../../etc/a-1-py3-none-any.whl", "url": "x", "hashes": {}},
        {"filename": "b-1-py3-none-any.whl", "url": "https://o/b.whl", "hashes": {"sha256": "no"}, "size": -1},
    )
    assert links(page, "application/vnd.pypi.simple.v1+json", "https://i/simple/a/") == [
        Link("a-1-py3-none-any.whl", "https://i/simple/f/a.whl", HASH, 7),
        Link("b-1-py3-none-any.whl", "https://o/b.whl", "", 0),
    ]


def test_the_links_of_an_html_page() -> None:
    page = (
        f'<a href="/f/a-1%2Bcpu-py3-none-any.whl#sha256={HASH}">a</a><a href="a-1.tar.gz">b</a><a>c</a>'
        '<A HREF="https://o/b-1-py3-none-any.whl">d</A><a href="http://[">e</a>'
    )
    assert links(page.encode(), "text/html; charset=utf-8", "https://i/simple/a/") == [
        Link("a-1+cpu-py3-none-any.whl", "https://i/f/a-1%2Bcpu-py3-none-any.whl", HASH),
        Link("b-1-py3-none-any.whl", "https://o/b-1-py3-none-any.whl"),
    ]


@given(st.binary(max_size=300), st.sampled_from(["application/vnd.pypi.simple.v1+json", "text/html", ""]))
def test_any_page_gives_plain_names(page: bytes, kind: str) -> None:
    assert all(is_plain_name(link.name) for link in links(page, kind, "https://i/simple/a/"))


@pytest.mark.parametrize(
    "page", [b"[" * 100_000, b'{"files": 7}', b'{"files": [7]}', b'{"files": [{"filename": 1}]}', b"\xff"]
)
def test_a_damaged_json_page_has_no_links(page: bytes) -> None:
    assert links(page, "application/vnd.pypi.simple.v1+json", "https://i/") == []


def test_only_a_file_of_the_lock_that_fits_is_chosen() -> None:
    pin = Pin("a", "1", "", frozenset({HASH}))
    fits = Link("a-1-py3-none-any.whl", "u", HASH)
    better = Link("a-1-cp311-cp311-manylinux2014_x86_64.whl", "u", HASH)
    silent = Link("a-1-py3-none-any.whl", "u")
    assert choose(pin, [fits, better], LINUX) == better
    assert choose(pin, [silent], LINUX) == silent
    wrong = [
        Link("a-1-py3-none-any.whl", "u", OTHER),
        Link("a-1-cp311-cp311-win_amd64.whl", "u", HASH),
        Link("a-2-py3-none-any.whl", "u"),
        Link("b-1-py3-none-any.whl", "u"),
    ]
    assert choose(pin, wrong, LINUX) is None


@pytest.mark.parametrize(
    "name", ["../a.whl", "a/b.whl", "..", ".hidden.whl", "a\\b.whl", "a b.whl", "", "C:a.whl", "a.whl\n"]
)
def test_names_that_leave_a_folder_are_none(name: str) -> None:
    assert not is_plain_name(name)
