# SPDX-License-Identifier: GPL-3.0-or-later
"""What a server's test finds out, through real HTTP."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from facescript.inference.options import ModelOptions
from facescript.inference.servers.chat import Abilities, ChatServer, Wanted
from facescript.inference.servers.exchange import Limits
from facescript.inference.servers.trial import summary
from facescript.performance import FacescriptError
from model_servers import MODEL, Behaviour, Handler, good, posting, saying, serving

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
        (lambda handler: handler.whole(b"<html>", kind="text/html"), "", "server_answer"),
        (lambda handler: handler.whole(b'{"data": 3}'), "", "server_answer"),
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
