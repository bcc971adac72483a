# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of a server that the user runs and that is asked in place of a local model."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

from .fault import STOPPED, UNHARMED, Moves, fault
from .proxy import Answer, Proxy, Weather, unused_address
from .stage import Stage
from .tiny_runtime import make_certificate

KEY = "sk-this-must-not-be-seen-1234567890"


def _filled(schema: dict[str, Any], named: dict[str, Any] | None = None) -> Any:
    """The least that a JSON schema asks for; `named` are the parts that it refers to."""
    named = named or schema.get("$defs", {})
    if "$ref" in schema:
        return _filled(named[schema["$ref"].rpartition("/")[2]], named)
    if "properties" in schema:
        return {name: _filled(part, named) for name, part in schema["properties"].items()}
    if schema.get("type") in ("number", "integer"):
        return 0.2
    return "brows lift, the lips part" if schema.get("type") == "string" else {}


def _said(content: str, reason: str = "stop") -> Answer:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": reason}
    body = json.dumps({"id": "1", "object": "chat.completion", "choices": [choice]})
    return Answer(200, body.encode(), {"Content-Type": "application/json"})


def _answering(change: Callable[[str], Answer] = _said) -> Callable[[str, str, bytes], Answer]:
    """A server with one model that answers by the schema it is given; `change` makes another answer of that."""

    def answer(method: str, path: str, body: bytes) -> Answer:
        if method == "GET":
            return Answer(200, b'{"object": "list", "data": [{"id": "toy", "object": "model"}]}')
        asked = json.loads(body)
        form = asked.get("response_format", {})
        schema = form.get("json_schema", {}).get("schema") or form.get("schema") or {}
        return change(json.dumps(_filled(schema)))

    return answer


def _choose(stage: Stage, address: str) -> bool:
    """Choose a server as the model; whether this version of the extension can."""
    preferences = stage.preferences
    if "server" not in {item.identifier for item in preferences.bl_rna.properties["backend"].enum_items}:
        stage.skip("the extension has no server backend")
        return False
    preferences.backend = "server"
    names = {prop.identifier for prop in preferences.bl_rna.properties}
    given = {"address": address, "key": KEY, "model": "toy"}
    for name, value in given.items():
        for known in (f"server_{name}", name):
            if known in names:
                setattr(preferences, known, value)
                break
    stage.use(stage.settings.runtime)
    return True


def _ask(stage: Stage, address: str) -> Moves:
    """Generate with a server; nothing that is said may hold the key."""
    if not _choose(stage, address):
        return
    stage.strike()
    stage.generate()
    yield from stage.rest()
    told = stage.told
    assert told is None or KEY not in told.message + told.hint, "the key is shown"


def _served(
    stage: Stage, change: Callable[[str], Answer] = _said, weather: Weather | None = None, path: str = "/v1"
) -> Moves:
    proxy = _serve(stage, change, weather)
    yield from _ask(stage, proxy.address + path)


def _serve(stage: Stage, change: Callable[[str], Answer] = _said, weather: Weather | None = None) -> Proxy:
    proxy = Proxy(answer=_answering(change))
    proxy.weather = weather or Weather()
    stage.undo.append(proxy.close)
    return proxy


@fault(UNHARMED, within=60.0)
def nothing_is_wrong_with_the_server(stage: Stage) -> Moves:
    """A server that answers as it should, for comparison."""
    yield from _served(stage)


@fault("server_unreachable", within=30.0)
def server_is_not_there(stage: Stage) -> Moves:
    """Nothing listens at the address."""
    yield from _ask(stage, unused_address() + "/v1")


@fault(STOPPED, within=8.0)
def server_says_nothing_and_the_user_cancels(stage: Stage) -> Moves:
    """The server takes the request and says nothing; after 2 s, Cancel."""
    proxy = _serve(stage, weather=Weather(stall_after=0))
    if not _choose(stage, proxy.address + "/v1"):
        return
    stage.generate()
    yield from stage.until(lambda: proxy.requests or not stage.busy)
    yield from stage.idle(2.0)
    stage.strike()
    stage.attempt(stage.bpy.ops.facescript.cancel)
    yield from stage.rest()


@fault(STOPPED, within=8.0)
def server_drips_and_the_user_cancels(stage: Stage) -> Moves:
    """The server sends an answer of spaces, some bytes a second; after 2 s, Cancel."""

    def drip(text: str) -> Answer:
        return Answer(200, iter(lambda: b" " * 20, b""), {"Content-Type": "application/json"})

    proxy = _serve(stage, drip, Weather(rate=20.0))
    if not _choose(stage, proxy.address + "/v1"):
        return
    stage.generate()
    yield from stage.until(lambda: proxy.requests or not stage.busy)
    yield from stage.idle(2.0)
    stage.strike()
    stage.attempt(stage.bpy.ops.facescript.cancel)
    yield from stage.rest()


@fault("server_unreachable", within=60.0)
def server_hangs_up_in_the_middle(stage: Stage) -> Moves:
    """Each connection is reset after 40 bytes of the answer."""
    yield from _served(stage, weather=Weather(cut_after=40, only="completions"))


@fault("server_unreachable", within=60.0)
def server_promises_more_than_it_sends(stage: Stage) -> Moves:
    """The length that the server says is 500 bytes more than the answer has."""
    yield from _served(stage, weather=Weather(lie=500, only="completions"))


@fault("server_answer", within=60.0)
def servers_answer_never_ends(stage: Stage) -> Moves:
    """The server sends letters without end, as fast as it can."""

    def endless(text: str) -> Answer:
        return Answer(200, iter(lambda: b"x" * 65536, b""), {"Content-Type": "application/json"})

    yield from _served(stage, endless)


@fault("server_answer", within=60.0)
def servers_answer_is_a_zip_bomb(stage: Stage) -> Moves:
    """The server sends 1 MB that gzip unpacks to 1 GB."""
    bomb = gzip.compress(b" " * (1 << 30), 1)
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    yield from _served(stage, lambda text: Answer(200, bomb, headers))


@fault("server_trouble", within=60.0)
def server_is_a_login_page(stage: Stage) -> Moves:
    """A page in HTML comes with status 200, as of a hotel's network."""
    page = b"<!DOCTYPE html><html><body>Please log in</body></html>"
    yield from _served(stage, lambda text: Answer(200, page, {"Content-Type": "text/html"}))


@fault("server_trouble", within=60.0)
def servers_answer_is_empty(stage: Stage) -> Moves:
    """Status 200 and no bytes."""
    yield from _served(stage, lambda text: Answer(200, b""))


@fault("server_answer", within=60.0)
def server_has_no_choices(stage: Stage) -> Moves:
    """An answer whose list of choices is empty."""
    yield from _served(stage, lambda text: Answer(200, b'{"choices": []}', {"Content-Type": "application/json"}))


@fault("server_trouble", within=60.0)
def servers_answer_is_not_utf_8(stage: Stage) -> Moves:
    """An answer in Latin-1 with letters that are no UTF-8."""
    yield from _served(stage, lambda text: Answer(200, b'{"choices": [{"message": {"content": "\xe4\xff\xfe"}}]}'))


@fault("server_answer", within=60.0)
def server_writes_prose(stage: Stage) -> Moves:
    """The model answers with a sentence and no JSON, each time."""
    yield from _served(stage, lambda text: _said("I am sorry, but I cannot help with faces."))


@fault(UNHARMED, within=60.0)
def server_writes_prose_around_the_answer(stage: Stage) -> Moves:
    """The model thinks aloud first and puts its JSON between words and marks."""
    yield from _served(stage, lambda text: _said(f"<think>Hm. A face.</think>Here you go:\n```json\n{text}\n```\nBye!"))


@fault("server_answer", within=60.0)
def servers_values_are_not_numbers(stage: Stage) -> Moves:
    """NaN for every channel."""
    yield from _served(stage, lambda text: _said(text.replace("0.2", "NaN")))


@fault("server_answer", within=60.0)
def servers_values_are_out_of_range(stage: Stage) -> Moves:
    """40 for every channel, as in percent."""
    yield from _served(stage, lambda text: _said(text.replace("0.2", "40")))


@fault("server_trouble", within=60.0)
def servers_answer_is_nested(stage: Stage) -> Moves:
    """Lists in lists, 100,000 deep."""
    yield from _served(stage, lambda text: _said("{" + '"a":[' * 100_000 + "]" * 100_000 + "}"))


@fault(UNHARMED, within=60.0)
def server_is_busy_twice(stage: Stage) -> Moves:
    """429 with Retry-After for the first two requests."""
    yield from _served(stage, weather=Weather(status=429, failures=2, only="completions"))


@fault("server_busy", within=90.0)
def server_always_fails(stage: Stage) -> Moves:
    """503 for every request."""
    yield from _served(stage, weather=Weather(status=503))


@fault("server_key", within=60.0)
def server_refuses_the_key(stage: Stage) -> Moves:
    """401, with the key in the answer's text."""
    yield from _served(stage, lambda text: Answer(401, f'{{"error": {{"message": "bad key {KEY}"}}}}'.encode()))


@fault("server_refused", within=60.0)
def server_does_not_know_the_model(stage: Stage) -> Moves:
    """404 for the model that is asked for."""
    yield from _served(stage, lambda text: Answer(404, b'{"error": {"message": "model not found"}}'))


@fault("server_refused", within=60.0)
def server_sends_elsewhere(stage: Stage) -> Moves:
    """A redirect to another host, which must not get the script or the key."""
    other = Proxy(answer=_answering())
    stage.undo.append(other.close)
    place = other.address.replace("127.0.0.1", "localhost") + "/v1/chat/completions"
    yield from _served(stage, lambda text: Answer(307, b"", {"Location": place}))
    assert not other.requests, "the other host was asked"


@fault("server_refused", within=60.0)
def server_sends_to_a_file(stage: Stage) -> Moves:
    """A redirect to file:///etc/passwd."""
    yield from _served(stage, lambda text: Answer(302, b"", {"Location": "file:///etc/passwd"}))


@fault("server_unreachable", within=60.0)
def servers_certificate_is_not_trusted(stage: Stage) -> Moves:
    """The server has a certificate of its own that nobody trusts."""
    certificate = make_certificate(stage.folder)
    if certificate is None:
        stage.skip("openssl is not here")
        return
    proxy = Proxy(answer=_answering(), certificate=certificate)
    stage.undo.append(proxy.close)
    yield from _ask(stage, proxy.address + "/v1")


def _at(stage: Stage, address: str) -> Iterator[None]:
    yield from _ask(stage, address)


@fault("bad_address")
def address_is_of_a_file(stage: Stage) -> Moves:
    """The address is file:///etc/passwd."""
    yield from _at(stage, "file:///etc/passwd")


@fault("bad_address")
def address_has_a_password(stage: Stage) -> Moves:
    """The address holds a user's name and password."""
    yield from _at(stage, "http://me:secret@localhost:11434/v1")
    assert stage.told is None or "secret" not in stage.told.message, "the password is shown"
