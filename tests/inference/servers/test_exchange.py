# SPDX-License-Identifier: GPL-3.0-or-later
"""One question to a real HTTP server: its limits, its tries, and what is sent to whom."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import pytest
import requests
from facescript.inference.servers.addresses import parse_address
from facescript.inference.servers.exchange import Exchange, Limits, Reply, Until
from facescript.performance import FacescriptError
from model_servers import Behaviour, Handler, ModelServer, serving

CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
# A thousand times as large when it is unpacked.
BOMB = gzip.compress(bytes(10_000_000))
QUICK = Limits(connect=1.0, silence=0.4, whole=1.0, size=20_000, pauses=(0.01, 0.02), longest_pause=0.3)


def nothing() -> None:
    """Nobody cancels."""


def send(
    server: ModelServer, limits: Limits = QUICK, check: Callable[[], None] = nothing, until: Until = None
) -> Reply:
    return Exchange(parse_address(server.address), "a-secret-key", limits).send("POST", "/x", b"{}", check, until)


def left_over() -> list[threading.Thread]:
    """Threads of exchanges that are still there after a while."""
    found = [thread for thread in threading.enumerate() if thread.name == "facescript-exchange"]
    for thread in found:
        thread.join(2.0)
    return [thread for thread in found if thread.is_alive()]


def failure(behave: Behaviour, limits: Limits = QUICK) -> tuple[FacescriptError, int]:
    """The error that a behaviour ends in, and how many requests were made."""
    with serving(behave) as server:
        with pytest.raises(FacescriptError) as caught:
            send(server, limits)
        count = len(server.requests)
    assert not left_over()
    assert caught.value.hint
    assert "secret" not in str(caught.value)
    return caught.value, count


def dripping(handler: Handler) -> None:
    handler.begin()
    while not handler.server.ended.wait(0.05):
        handler.write(b"x")


def endless(handler: Handler) -> None:
    handler.begin()
    while not handler.server.ended.is_set():
        handler.write(b"x" * 4096)


def silent(handler: Handler) -> None:
    handler.server.ended.wait(5.0)


def half(handler: Handler) -> None:
    handler.begin()
    handler.write(b'{"half":')
    handler.server.ended.wait(5.0)


def cut(handler: Handler) -> None:
    handler.begin(Content_Length="1000")
    handler.write(b"half")
    handler.reset()


def lying(handler: Handler) -> None:
    handler.begin(Content_Length="1000")
    handler.write(b"half")


def rubbish(handler: Handler) -> None:
    handler.write(b"\x00\xffnot HTTP at all\r\n\r\n")


def many_headers(handler: Handler) -> None:
    handler.send_response(200)
    for number in range(1000):
        handler.send_header(f"X-{number}", "x")
    handler.end_headers()


def packed(handler: Handler) -> None:
    handler.whole(BOMB, Content_Encoding="gzip")


@pytest.mark.parametrize(
    ("behave", "code", "words", "tries"),
    [
        (silent, "timeout", "said nothing for 0 seconds", 1),
        (half, "timeout", "said nothing", 1),
        (dripping, "timeout", "was not done after 1 seconds", 1),
        (endless, "server_answer", "is larger than 19 KiB", 1),
        (packed, "server_answer", "packed its answer", 1),
        (Handler.reset, "server_unreachable", "was cut", 3),
        (cut, "server_unreachable", "was cut", 3),
        (lying, "server_unreachable", "was cut", 3),
        (rubbish, "server_unreachable", "was cut", 3),
        (many_headers, "server_unreachable", "was cut", 3),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_server_that_misbehaves_is_said(behave: Behaviour, code: str, words: str, tries: int) -> None:
    began = time.monotonic()
    error, count = failure(behave)
    assert (error.code, count) == (code, tries)
    assert words in error.message
    assert time.monotonic() - began < 5.0


@pytest.mark.parametrize(
    ("status", "body", "code", "tries"),
    [
        (400, b'{"error": "You lied to me, she said"}', "server_refused", 1),
        (400, b'{"error": {"type": "exceed_context_size_error"}}', "long_text", 1),
        (400, b"This model's maximum context length is 2048 tokens: You lied to me", "long_text", 1),
        (401, b"", "server_key", 1),
        (403, b"", "server_key", 1),
        (404, b"<html>You lied to me</html>", "server_refused", 1),
        (413, b"", "long_text", 1),
        (418, b"", "server_refused", 1),
        (429, b"", "server_busy", 3),
        (500, b"You lied to me", "server_refused", 1),
        (502, b"", "server_busy", 3),
        (503, b'{"error": {"message": "Loading model"}}', "server_busy", 3),
        (504, b"", "server_refused", 3),
    ],
)
def test_a_status_is_told_in_our_own_words(status: int, body: bytes, code: str, tries: int) -> None:
    error, count = failure(lambda handler: handler.whole(body, status))
    assert (error.code, count) == (code, tries)
    assert f"({status})" in error.message
    assert "lied" not in str(error)


@pytest.mark.parametrize(
    ("behave", "busy"),
    [
        *((lambda handler, status=status: handler.whole(b"", status), True) for status in (429, 502, 503)),
        *((lambda handler, status=status: handler.whole(b"", status), False) for status in (400, 404, 500, 501, 504)),
        (Handler.reset, False),
        (lambda handler: handler.whole(b"", 307, Location="http://a.example/(503)."), False),
    ],
)
def test_a_server_that_has_no_time_now_is_told_from_one_that_refuses(behave: Behaviour, busy: bool) -> None:
    assert (failure(behave)[0].code == "server_busy") is busy


def test_what_passes_is_tried_again() -> None:
    def behave(handler: Handler) -> None:
        count = len(handler.server.requests)
        if count == 1:
            handler.reset()
        else:
            handler.whole(b"{}", 503 if count == 2 else 200)

    with serving(behave) as server:
        assert send(server).body == b"{}"
        assert len(server.requests) == 3


@pytest.mark.parametrize(("asked", "tries"), [("0", 3), ("1", 1), ("99999999999", 3), ("tomorrow", 3), ("-5", 3)])
def test_a_pause_that_is_asked_for_is_kept_within_limits(asked: str, tries: int) -> None:
    # A second is more than these limits allow; what is no number of seconds asks for nothing.
    _, count = failure(lambda handler: handler.whole(b"", 429, Retry_After=asked))
    assert count == tries


@pytest.mark.parametrize(
    ("asked", "pause"),
    [
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2026 07:28:10 GMT", 10.0),
        ("Wed, 21 Oct 2026 09:28:10 +0200", 10.0),
        ("Wed, 21 Oct 2026 07:28:10 -0000", 10.0),
        ("Wednesday, 21-Oct-26 07:28:10 GMT", 10.0),
        ("Wed Oct 21 07:28:10 2026", 10.0),
        ("Wed, 21 Oct 2020 07:28:10 GMT", 0.0),
        ("Wed, 21 Oct 99999 07:28:10 GMT", 0.0),
        ("Wed, 41 Oct 2026 07:28:10 GMT", 0.0),
        ("Wed, 21 Oct 2026 07:28:10 +9999999999", 0.0),
        ("7", 7.0),
        ("0.5", 0.0),
    ],
)
def test_a_pause_may_be_asked_for_as_a_date_by_the_servers_own_clock(asked: str, pause: float) -> None:
    def behave(handler: Handler) -> None:
        handler.send_response_only(200)
        for name, value in {"Date": "Wed, 21 Oct 2026 07:28:00 GMT", "Retry-After": asked}.items():
            handler.send_header(name, value)
        handler.end_headers()

    with serving(behave) as server:
        assert send(server).pause == pause


@pytest.mark.parametrize(("seconds", "tries"), [(-60, 3), (60, 1)])
def test_a_date_is_kept_within_the_same_limits(seconds: int, tries: int) -> None:
    asked = formatdate(time.time() + seconds, usegmt=True)
    _, count = failure(lambda handler: handler.whole(b"", 429, Retry_After=asked))
    assert count == tries


def test_a_pause_beyond_the_limits_is_told() -> None:
    error, _ = failure(lambda handler: handler.whole(b"", 429, Retry_After="90"))
    assert (error.pause, error.hint) == (90.0, "Try again in 90 seconds.")


def test_a_pause_within_the_limits_is_waited_for() -> None:
    times: list[float] = []

    def behave(handler: Handler) -> None:
        times.append(time.monotonic())
        handler.whole(b"", 429 if len(times) == 1 else 200, Retry_After="1")

    with serving(behave) as server:
        send(server, Limits(pauses=(0.0,), longest_pause=2.0))
    assert times[1] - times[0] >= 0.9


@pytest.mark.parametrize(
    ("to", "hint"),
    [
        ("file:///etc/passwd", "Check the address."),
        ("gopher://127.0.0.1/x", "Check the address."),
        ("http://evil.example/v1", "If you trust http://evil.example, enter that address."),
        ("/v1/x", "Check the address."),
        ("http://me:secret@evil.example/", "Check the address."),
        ("\u00ff\u00fe", "Check the address."),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nobody_is_followed(status: int, to: str, hint: str) -> None:
    error, count = failure(lambda handler: handler.whole(b"", status, Location=to))
    assert (error.code, error.hint, count) == ("server_refused", hint, 1)


@pytest.mark.parametrize("status", [302, 307, 401, 404, 503])
def test_the_body_of_a_refusal_is_not_waited_for(status: int) -> None:
    def behave(handler: Handler) -> None:
        handler.begin(status, Location="http://127.0.0.1:1/")
        handler.server.ended.wait(5.0)

    began = time.monotonic()
    error, _ = failure(behave, Limits(pauses=()))
    assert f"({status})" in error.message
    assert time.monotonic() - began < 2.0


def test_the_key_does_not_go_where_a_server_sends_on_to() -> None:
    with serving() as other:
        failure(lambda handler: handler.whole(b"", 307, Location=f"{other.address}/v1/x"))
        assert other.requests == []


def test_nobody_there_is_said_at_once() -> None:
    with serving() as server:
        address = parse_address(server.address)
    with pytest.raises(FacescriptError, match="No server answers at http://127") as caught:
        Exchange(address, "", Limits()).send("GET", "/models", b"", nothing)
    assert caught.value.code == "server_unreachable"


@pytest.mark.parametrize("behave", [silent, half, dripping], ids=lambda value: value.__name__)
def test_a_cancel_goes_through_within_a_second_and_shuts_the_connection(behave: Behaviour) -> None:
    cut_off = threading.Event()

    def watched(handler: Handler) -> None:
        if behave is not silent:
            handler.begin()
            handler.write(b"x")
        # Ends when the other end has gone.
        handler.connection.settimeout(3.0)
        if handler.connection.recv(1) == b"":
            cut_off.set()

    began = time.monotonic()

    def check() -> None:
        if time.monotonic() - began > 0.3:
            raise KeyboardInterrupt

    with serving(watched) as server:
        with pytest.raises(KeyboardInterrupt):
            send(server, Limits(), check)
        assert time.monotonic() - began < 1.3
        assert cut_off.wait(1.0)
    assert not left_over()


def test_a_cancel_goes_through_while_a_pause_is_waited_for() -> None:
    began = time.monotonic()

    def check() -> None:
        if time.monotonic() - began > 0.3:
            raise KeyboardInterrupt

    busy = serving(lambda handler: handler.whole(b"", 503, Retry_After="20"))
    with busy as server, pytest.raises(KeyboardInterrupt):
        send(server, Limits(), check)
    assert time.monotonic() - began < 1.3


def test_reading_stops_at_the_end_that_was_named() -> None:
    def behave(handler: Handler) -> None:
        handler.begin()
        handler.write(b"abc" * 2000 + b"THE END")
        handler.write(b"x" * 4096)
        handler.server.ended.wait(5.0)

    with serving(behave) as server:
        began = time.monotonic()
        assert b"THE END" in send(server, until=re.compile(b"THE END")).body
        assert time.monotonic() - began < 0.4


def test_only_what_is_ours_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password netrc-secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(lambda handler: handler.whole(b"{}", Set_Cookie="a=b")) as proxy, serving(proxy.behave) as server:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.address)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        exchange = Exchange(parse_address(server.address), "", QUICK)
        for _ in range(2):
            exchange.send("GET", "/models", b"", nothing)
        # A server on this machine is not asked through a proxy.
        assert proxy.requests == []
        for handler in server.requests:
            assert set(handler.headers) == {"Host", "Accept", "Accept-Encoding", "User-Agent"}
            assert handler.headers["User-Agent"] == "Facescript"


def test_another_host_is_asked_through_the_proxy_with_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda handler: handler.whole(b"{}")) as proxy:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("http_proxy", proxy.address)
        Exchange(parse_address("http://models.example"), "the-key", QUICK).send("GET", "/models", b"", nothing)
        [handler] = proxy.requests
        assert handler.path == "http://models.example/v1/models"
        assert handler.headers["Authorization"] == "Bearer the-key"


def test_a_proxy_that_is_not_there_is_said_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://me:proxy-secret@127.0.0.1:1")
    with pytest.raises(FacescriptError, match=r"The proxy to models\.example") as caught:
        Exchange(parse_address("http://models.example"), "", QUICK).send("GET", "/models", b"", nothing)
    assert "secret" not in str(caught.value)


SOCKS = "The proxy to models.example speaks SOCKS, which this Python cannot: it lacks the package PySocks."
UNREADABLE = "HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names a proxy to models.example that cannot be read."


@pytest.mark.parametrize(
    ("name", "proxy", "message"),
    [
        ("all_proxy", "socks5://me:proxy-secret@127.0.0.1:1", SOCKS),
        ("http_proxy", "socks5h://127.0.0.1:1", SOCKS),
        ("http_proxy", "http://me:proxy-secret@[bad:1", UNREADABLE),
        ("http_proxy", "me:proxy-secret@127.0.0.1:1", UNREADABLE),
        ("http_proxy", "http://me:proxy-secret@host:port", UNREADABLE),
        ("http_proxy", "ftp://me:proxy-secret@127.0.0.1:1", UNREADABLE),
        ("http_proxy", "http://", UNREADABLE),
    ],
)
def test_a_proxy_that_cannot_be_used_is_said_at_once(
    name: str, proxy: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("NO_PROXY", "no_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(other, raising=False)
    # PySocks may be there.
    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", _no_socks)
    monkeypatch.setenv(name, proxy)
    began = time.monotonic()
    with pytest.raises(FacescriptError) as caught:
        Exchange(parse_address("http://models.example"), "", Limits()).send("GET", "/models", b"", nothing)
    assert time.monotonic() - began < 0.5
    assert (caught.value.code, caught.value.message, caught.value.hint) == (
        "server_unreachable",
        message,
        "Set HTTPS_PROXY and HTTP_PROXY to http://HOST:PORT, and take ALL_PROXY away, before Blender starts.",
    )


def _no_socks(*_: object, **__: object) -> None:
    """As requests has it where PySocks is not installed."""
    raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")


@pytest.mark.parametrize("name", CERTIFICATES)
def test_certificates_that_are_not_there_are_said(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in CERTIFICATES:
        monkeypatch.delenv(other, raising=False)
    path = str(tmp_path / "gone.pem")
    monkeypatch.setenv(name, path)
    with serving(lambda handler: handler.whole(b"{}")) as server:
        address = parse_address(server.address.replace("http:", "https:"))
        with pytest.raises(FacescriptError) as caught:
            Exchange(address, "", Limits()).send("GET", "/models", b"", nothing)
        assert (caught.value.code, caught.value.message, caught.value.hint) == (
            "server_unreachable",
            f"{name} names {path!r}, which is not there.",
            "Set it to the file of your network's certificate, or take it away, before Blender starts.",
        )
        # Without https nobody asks for them.
        assert send(server).body == b"{}"


def test_https_to_a_server_of_http_is_said() -> None:
    with serving() as server:
        address = parse_address(server.address.replace("http:", "https:"))
        with pytest.raises(FacescriptError, match="cannot be spoken to by https") as caught:
            Exchange(address, "", QUICK).send("GET", "/models", b"", nothing)
    assert caught.value.code == "server_unreachable"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody has signed, and its key."""
    if not (openssl := shutil.which("openssl")):
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("certificate") / "own.pem"
    made = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=own -addext subjectAltName=IP:127.0.0.1 -keyout"
    subprocess.run([openssl, *made.split(), path, "-out", f"{path}.crt"], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


def test_a_certificate_that_is_not_trusted_is_said_and_nothing_is_sent(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in CERTIFICATES:
        monkeypatch.delenv(name, raising=False)
    with serving(certificate=certificate) as server:
        with pytest.raises(FacescriptError, match=r"The certificate of 127\.0\.0\.1 is not trusted\.") as caught:
            send(server)
        assert (caught.value.code, server.requests) == ("server_unreachable", [])


@pytest.mark.parametrize("name", CERTIFICATES)
def test_a_certificate_of_the_users_own_is_taken(certificate: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for other in CERTIFICATES:
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, str(certificate))
    with serving(lambda handler: handler.whole(b"{}"), certificate) as server:
        assert send(server).body == b"{}"
