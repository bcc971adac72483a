# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
import requests
from facescript.inference.servers.addresses import MAX_ADDRESS, Address, check_key, parse_address
from facescript.performance import FacescriptError
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.util import parse_url


@pytest.mark.parametrize(
    ("text", "read", "local"),
    [
        ("localhost:11434", "http://localhost:11434/v1", True),
        ("  localhost:1234/v1/ ", "http://localhost:1234/v1", True),
        ("http://127.0.0.1:8080/v1/chat/completions", "http://127.0.0.1:8080/v1", True),
        ("http://[::1]:8080", "http://[::1]:8080/v1", True),
        ("0.0.0.0:11434", "http://127.0.0.1:11434/v1", True),
        ("HTTPS://Api.Example.ORG", "https://api.example.org/v1", False),
        ("https://example.org:443/api/v1/models", "https://example.org/api/v1", False),
        ("http://192.168.1.5:8000", "http://192.168.1.5:8000/v1", False),
        ("http://studio_gpu-2:8000/v2", "http://studio_gpu-2:8000/v2", False),
        ("http://müller-pc:80", "http://xn--mller-pc-65a/v1", False),
        # Names that only some readers take for this machine.
        ("http://127.1", "http://127.1/v1", False),
        ("http://localhost.example.org", "http://localhost.example.org/v1", False),
    ],
)
def test_an_address_is_read_and_put_together_again(text: str, read: str, local: bool) -> None:
    found = parse_address(text)
    assert (str(found), found.is_local) == (read, local)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "No address"),
        (" \t", "No address"),
        ("file:///etc/passwd", "spoken to by file"),
        ("ftp://example.org", "spoken to by ftp"),
        ("gopher://localhost:11434", "spoken to by gopher"),
        ("file:/etc/passwd", "a : without a port"),
        ("javascript:alert(1)", "cannot be read"),
        ("http://me:secret@localhost", "a user name or a password"),
        ("http://localhost:80@evil.example", "a user name or a password"),
        ("http://localhost\\.evil.example", "a character that no address has"),
        ("http://local host", "a character that no address has"),
        ("http://localhost/\r\nHost: evil.example", "a character that no address has"),
        ("http://localhost/\x00", "a character that no address has"),
        ("http://localhost/v1?key=secret", "holds a ? or a #"),
        ("http://localhost/#secret", "holds a ? or a #"),
        ("http://localhost/../admin", "path"),
        ("http://localhost/%2e%2e", "path"),
        ("http://", "names no host"),
        ("http:///v1", "names no host"),
        ("http://a..b", "names no host"),
        ("http://-a", "names no host"),
        ("http://[fe80::1%25eth0]", "names no host"),
        ("http://[::1", "cannot be read"),
        ("http://localhost:99999", "cannot be read"),
        ("http://localhost:0", "a : without a port"),
        ("http://localhost:", "a : without a port"),
        ("http://" + "a" * 300, "names no host"),
        ("http://localhost/" + "a" * MAX_ADDRESS, "characters; the limit is"),
    ],
)
def test_other_addresses_are_refused_and_no_secret_is_quoted(text: str, words: str) -> None:
    with pytest.raises(FacescriptError) as caught:
        parse_address(text)
    assert caught.value.code == "bad_address"
    assert words in caught.value.message
    assert caught.value.hint
    assert "secret" not in str(caught.value)


_PIECES = st.sampled_from(
    [
        "http://",
        "https:",
        "//",
        "/",
        "localhost",
        "127.0.0.1",
        "[::1]",
        ":",
        "8080",
        "@",
        "\\",
        "evil.example",
        ".",
        "%2f",
    ]
)


@given(st.text(max_size=40) | st.lists(_PIECES, max_size=8).map("".join))
@example("http://127\u30020\u30020\u30021")
@example("http://\u217docalhost")
def test_whatever_is_read_is_the_same_host_for_every_reader(text: str) -> None:
    try:
        found = parse_address(text)
    except FacescriptError as error:
        assert (error.code, bool(error.hint)) == ("bad_address", True)
        return
    written = str(found)
    assert parse_address(written) == found
    assert written.isascii() and written.isprintable() and " " not in written
    prepared = requests.Request("GET", written).prepare().url
    assert prepared == written
    parsed = parse_url(written)
    assert (parsed.scheme, (parsed.host or "").strip("[]"), parsed.port or found.port) == (
        *(found.scheme, found.host),
        found.port,
    )
    assert (parsed.auth, parsed.query, parsed.fragment) == (None, None, None)


@given(st.integers(1, 65535), st.sampled_from(["http", "https"]), st.lists(st.sampled_from(["v1", "api", "a.b"])))
def test_what_is_written_reads_back(port: int, scheme: str, parts: list[str]) -> None:
    address = Address(scheme, "example.org", port, "/" + "/".join(parts or ["v1"]))
    assert parse_address(str(address)) == address


def test_what_leaves_this_machine_is_said() -> None:
    assert parse_address("localhost:1").warning == ""
    assert parse_address("https://example.org").warning == "Your script goes to example.org."
    assert parse_address("http://example.org").warning.startswith("Your script goes unencrypted to example.org")


def test_a_key_is_one_printable_word() -> None:
    assert check_key(" sk-abc_123.= \n") == "sk-abc_123.="
    assert check_key("") == ""


@pytest.mark.parametrize("key", ["two words", "a\r\nHost: b", "schlüssel", "a\x00b", "x" * 5000])
def test_other_keys_are_refused_and_not_quoted(key: str) -> None:
    with pytest.raises(FacescriptError) as caught:
        check_key(key)
    assert caught.value.code == "bad_key"
    assert key[:6] not in str(caught.value)
