# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server's test finds out, through real HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from facescript.inference.options import ModelOptions
from facescript.inference.servers.chat import Abilities, ChatServer, Wanted
from facescript.inference.servers.exchange import Limits
from facescript.inference.servers.trial import summary
from facescript.performance import FacescriptError
from model_servers import MODEL, Behaviour, Handler, ModelServer, good, posting, saying, serving

FORM = "json_schema"
QUICK = Limits(connect=1.0, silence=0.4, whole=2.0, pauses=(0.01,))


def nothing() -> None:
    """Nobody cancels."""


def abilities(behave: Behaviour, model: str = "") -> Abilities:
    with serving(behave) as server:
        return ChatServer(ModelOptions("server", model, address=server.address), QUICK).test(nothing)


def in_one_piece(handler: Handler) -> None:
    handler.body["stream"] = False
    good(handler)


def without_list(handler: Handler) -> None:
    if handler.command == "GET":
        handler.whole(b"Internal Server Error", 500, "text/plain")
    else:
        good(handler)


def refusing_schemas(handler: Handler) -> None:
    if "response_format" in handler.body:
        handler.whole(b"", 422)
    else:
        handler.says("Hello!")


def two(handler: Handler) -> None:
    handler.whole(json.dumps({"data": [{"id": "b"}, {"id": "a"}]}).encode())


@pytest.mark.parametrize(
    ("behave", "model", "found"),
    [
        (good, "", Abilities((MODEL,), MODEL, schema=True, streams=True)),
        (in_one_piece, "", Abilities((MODEL,), MODEL, schema=True, streams=False)),
        (saying("Hello!"), "", Abilities((MODEL,), MODEL, schema=False, streams=True)),
        (saying('{"JawOpen": 0.4}'), "", Abilities((MODEL,), MODEL, schema=False, streams=True)),
        (posting(refusing_schemas), "", Abilities((MODEL,), MODEL, schema=False, streams=True)),
        (two, "", Abilities(("a", "b"))),
        (without_list, "named", Abilities((), "named", schema=True, streams=True)),
    ],
)
def test_what_a_server_can_do_is_found_out(behave: Behaviour, model: str, found: Abilities) -> None:
    assert abilities(behave, model) == found


@pytest.mark.parametrize(
    ("behave", "model", "code"),
    [
        (without_list, "", "server_refused"),
        (lambda handler: handler.whole(b"", 401), "named", "server_key"),
        (lambda handler: handler.whole(b"<html>", kind="text/html"), "", "server_trouble"),
        (lambda handler: handler.whole(b'{"data": 3}'), "", "server_trouble"),
        (posting(lambda handler: handler.whole(b"", 404)), "", "server_refused"),
        (Handler.reset, "", "server_unreachable"),
    ],
)
def test_a_server_that_cannot_be_used_is_said(behave: Behaviour, model: str, code: str) -> None:
    with pytest.raises(FacescriptError) as caught:
        abilities(behave, model)
    assert (caught.value.code, bool(caught.value.hint)) == (code, True)


def test_a_list_without_end_is_cut() -> None:
    rows = [{"id": f"model {number:05}"} for number in range(3000)]
    with serving(lambda handler: handler.whole(json.dumps({"data": rows}).encode())) as server:
        found = ChatServer(ModelOptions("server", address=server.address), QUICK).models(nothing)
    assert (len(found), found[0], found[-1]) == (500, "model 00000", "model 00499")


def test_what_was_found_is_said_in_words() -> None:
    assert summary(Abilities(("a", "b"))) == "The server answers and has 2 models. Choose one and test again."
    assert summary(Abilities(("a",), "a", schema=False, streams=False)) == (
        "The server answers with a. It does not keep to a JSON schema: more answers fail. "
        "It gives its answers in one piece."
    )


def test_the_request_is_of_the_openai_form() -> None:
    with serving() as server:
        chat = ChatServer(ModelOptions("server", "named", address=server.address, key="k"), QUICK)
        chat.complete(
            [{"role": "user", "content": "Hi \ud83d"}], Wanted("x", {"type": "object", "properties": {}}, 9), nothing
        )
        [handler] = server.requests
    assert handler.path == "/v1/chat/completions"
    assert handler.headers["Content-Type"] == "application/json"
    assert handler.body == {
        "model": "named",
        "messages": [{"role": "user", "content": "Hi \ud83d"}],
        "temperature": 0.0,
        "top_p": 1.0,
        "seed": 0,
        "max_tokens": 9,
        "stream": True,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "strict": True, "schema": {"type": "object", "properties": {}}},
        },
    }


# --- what is read -----------------------------------------------------------------------------------------


def answer(server: ModelServer) -> str:
    """What a model says to a question."""
    return chat(server).complete([{"role": "user", "content": "Hi"}], Wanted("x", {"type": "object"}, 9), nothing)


def chat(server: ModelServer) -> ChatServer:
    return ChatServer(ModelOptions("server", "named", address=server.address), QUICK)


def streaming(data: bytes) -> Behaviour:
    def behave(handler: Handler) -> None:
        handler.begin(kind="text/event-stream")
        handler.write(data)

    return behave


A, B = (b'{"choices": [{"delta": {"content": "%s"}}]}' % text for text in (b"a", b"b"))
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    "data",
    [
        b"data: " + A + b"\n\ndata:" + B + b"\n\n" + DONE,
        b"\xef\xbb\xbfdata: " + A + b"\n\ndata: " + B + b"\n\n" + DONE,
        b"data: " + A + b"\r\rdata: " + B + b"\r\rdata: [DONE]\r\r",
        b": hi\r\n\r\nid: 1\r\ndata: " + A + b"\r\n\r\ndata: " + B + b"\r\n\r\ndata: [DONE]\r\n\r\n",
        b"data: " + A.replace(b"[{", b"[\ndata: {") + b"\n\ndata: " + B + b"\n\n" + DONE,
        b"data: " + A + b"\ndata: " + B + b"\n" + DONE,
        b"data: " + A + b"\n\ndata: " + B,
        b"data: " + A + b"\n\ndata: " + B + b"\n\ndata:[DONE]",
        b'data: {"usage": {"total": 3}}\n\ndata: ' + A + b"\n\ndata: " + B + b"\n\n" + DONE,
        b"data: " + A + b"\n\ndata: " + B + b'\n\ndata: {"choices": null, "usage": {"total": 3}}\n\n' + DONE,
    ],
    ids=[
        "plain",
        "byte order mark",
        "CR",
        "CRLF",
        "an event over several lines",
        "no empty lines",
        "no end",
        "no end after DONE",
        "no choices",
        "null for choices",
    ],
)
def test_a_stream_is_read_as_the_standard_of_events_says_and_what_holds_no_text_is_passed_over(data: bytes) -> None:
    with serving(streaming(data)) as server:
        assert answer(server) == "ab"
        assert len(server.requests) == 1


@pytest.mark.parametrize("done", [b"data: [DONE]", b"data:[DONE]"])
def test_a_stream_is_over_at_its_end_though_the_connection_is_not(done: bytes) -> None:
    def behave(handler: Handler) -> None:
        handler.begin(kind="text/event-stream")
        handler.write(b"data: " + A + b"\n\ndata: " + B + b"\n\n" + done + b"\n\n" + b": wait\n\n" * 1000)
        handler.server.ended.wait(5.0)

    with serving(behave) as server:
        assert answer(server) == "ab"
        assert len(server.requests) == 1


def test_words_of_an_answer_are_not_its_end() -> None:
    said = json.dumps({"choices": [{"delta": {"content": "data: [DONE]"}}]}).encode()
    # More than is read at once.
    with serving(
        streaming(b"data: " + said + b"\n\n" + b": wait\n\n" * 1000 + b"data: " + B + b"\n\n" + DONE)
    ) as server:
        assert answer(server) == "data: [DONE]b"


@pytest.mark.parametrize(
    "cut", [b'data: {"choices": [{"del', b"data: " + A[:-1], b"data:", b"da", b"data: [DO", b'data: {"choices": "\xc3']
)
def test_a_stream_that_is_cut_within_an_event_is_asked_for_again(cut: bytes) -> None:
    def behave(handler: Handler) -> None:
        first = len(handler.server.requests) == 1
        streaming(b"data: " + A + b"\n\n" + (cut if first else b"data: " + B + b"\n\n" + DONE))(handler)

    with serving(behave) as server:
        assert answer(server) == "ab"
        assert len(server.requests) == 2
    with serving(streaming(b"data: " + A + b"\n\n" + cut)) as server:
        with pytest.raises(FacescriptError, match=r"The connection to 127\.0\.0\.1 was cut"):
            answer(server)
        assert len(server.requests) == 2


@pytest.mark.parametrize("part", ["message", "delta"])
def test_an_answer_in_parts_is_their_text(part: str) -> None:
    thoughts = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    content = [thoughts, {"type": "text", "text": "a"}, {"text": "b"}, {"type": "text", "text": None}]
    data = json.dumps({"choices": [{part: {"content": content}}]}).encode()
    with serving(streaming(b"data: " + data + b"\n\n") if part == "delta" else lambda h: h.whole(data)) as server:
        assert answer(server) == "ab"


# --- the form of asking -----------------------------------------------------------------------------------


def forms(server: ModelServer) -> list[str | None]:
    """The form of each request."""
    return [body.get("response_format", {}).get("type") for body in server.bodies]


def failing(*statuses: int) -> Behaviour:
    """Answers requests with these statuses in turn, and then well."""

    def behave(handler: Handler) -> None:
        status = [*statuses, *[200] * 9][len(handler.server.bodies) - 1]
        handler.says("Hello!") if status == 200 else handler.whole(b"{}", status)

    return behave


@pytest.mark.parametrize(
    ("statuses", "asked"),
    [
        ((), [FORM, FORM, FORM]),
        ((500,), [FORM, "json_object", FORM, FORM]),
        ((500, 500), [FORM, "json_object", None, FORM, FORM]),
        ((500, 200, 200, 500), [FORM, "json_object", FORM, FORM, "json_object"]),
        ((500, 200, 500), [FORM, "json_object", FORM, "json_object", "json_object"]),
        ((400,), [FORM, "json_object", "json_object", "json_object"]),
        ((422,), [FORM, "json_object", "json_object", "json_object"]),
        ((501, 501), [FORM, "json_object", None, None, None]),
        ((400, 500), [FORM, "json_object", None, FORM, FORM]),
    ],
)
def test_a_lower_form_is_kept_after_a_refusal_or_a_second_500_in_a_row(
    statuses: tuple[int, ...], asked: list[str | None]
) -> None:
    with serving(failing(*statuses)) as server:
        made = chat(server)
        for _ in range(3):
            said = made.complete([{"role": "user", "content": "Hi"}], Wanted("x", {"type": "object"}, 9), nothing)
            assert said == "Hello!"
        assert forms(server) == asked


def test_trouble_that_answers_meet_side_by_side_counts_once() -> None:
    together = threading.Barrier(3)

    def behave(handler: Handler) -> None:
        if handler.schema and len(handler.server.bodies) <= 3:
            together.wait(2.0)
            handler.whole(b"{}", 500)
        else:
            handler.says("Hello!")

    with serving(behave) as server:
        made = chat(server)
        question = [{"role": "user", "content": "Hi"}], Wanted("x", {"type": "object", "title": "x"}, 9), nothing
        with ThreadPoolExecutor(3) as pool:
            assert [asked.result() for asked in [pool.submit(made.complete, *question) for _ in range(3)]] == [
                "Hello!"
            ] * 3
        made.complete(*question)
        assert forms(server) == [FORM] * 3 + ["json_object"] * 3 + [FORM]


def test_a_schema_that_was_not_asked_for_is_not_kept_to() -> None:
    def behave(handler: Handler) -> None:
        if "response_format" in handler.body:
            handler.whole(b"{}", 500)
        else:
            handler.says('{"JawOpen": 0.5}')

    assert abilities(posting(behave)) == Abilities((MODEL,), MODEL, schema=False, streams=True)


def test_without_the_package_requests_everything_is_imported_and_asking_says_so() -> None:
    code = (
        "import sys; sys.modules['requests'] = sys.modules['urllib3'] = None\n"
        "from facescript.inference.servers import trial as server_trial\n"
        "from facescript.inference.options import ModelOptions\n"
        "trial = server_trial.start(ModelOptions('server', address='localhost:1'))\n"
        "trial._thread.join(10)\n"
        "print(trial.error.code, trial.error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("no_requests This Python lacks the package requests")
