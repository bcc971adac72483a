# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that speaks the OpenAI form: its models, and answers of one of them, as text.

`GET models` and `POST chat/completions` (the API reference of OpenAI, followed by Ollama, LM Studio, llama.cpp and
vLLM). Answers are asked for as streams of events, so that a slow server is told from a silent one; one that answers
in one piece is read as well. Of the envelope only what is needed is looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ...performance import FacescriptError
from ...performance.parsing import parse_object
from ..options import ModelOptions
from .addresses import check_key, parse_address
from .exchange import Check, Exchange, Limits, Refused, Reply

# A list that a person still chooses from.
MAX_MODELS = 500
_MAX_NAME = 200
# In an envelope: a list of models has some ten each.
_MAX_VALUES = 50_000
# Of the answer in a connection's test, which is a few tokens long; some models think before it.
_TEST_TOKENS = 512
# Servers that do not know a form of asking for a JSON schema say so in one of these ways; one of them may as well be
# trouble that passes.
_TROUBLE = 500
_NO_SCHEMA = (400, 422, 501, _TROUBLE)
# On a line of its own: the same words in a model's answer come after a quotation mark.
_END = re.compile(rb"[\r\n]data: ?\[DONE\]")
# https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Wanted:
    """What is asked for: a JSON schema with its name, the most tokens, and how freely words are chosen (0: not)."""

    name: str
    schema: Mapping[str, object]
    tokens: int
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Abilities:
    """What a connection's test found: the models' names, the one that was asked (or ""), and whether it keeps to a
    JSON schema and streams."""

    models: tuple[str, ...]
    model: str = ""
    schema: bool = False
    streams: bool = False


class ChatServer:
    """One server and one of its models. Raises what `parse_address` and `check_key` raise."""

    def __init__(self, options: ModelOptions, limits: Limits | None = None) -> None:
        self._exchange = Exchange(parse_address(options.address), check_key(options.key), limits)
        self._model = options.model.strip()[:_MAX_NAME]
        # Which of the forms of asking for a schema is taken, as far as is known.
        self._form = 0
        # Whether the last answer came only in a lower form, and that may have been for trouble that passes.
        self._doubted = False
        self.streamed = False

    @property
    def host(self) -> str:
        """The server's host, for messages."""
        return self._exchange.address.host

    @property
    def model(self) -> str:
        """The model's name, or "" while it is not known."""
        return self._model

    def models(self, check: Check) -> tuple[str, ...]:
        """The names of the server's models, sorted. Raises what `Exchange.send` raises."""
        reply = self._exchange.send("GET", "/models", b"", check)
        rows = self._object(reply).get("data")
        if not isinstance(rows, list):
            raise self._other_form(reply)
        names = {row["id"] for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)}
        return tuple(sorted(name for name in names if name.isprintable() and 0 < len(name) <= _MAX_NAME)[:MAX_MODELS])

    def choose(self, check: Check) -> str:
        """The model that is asked: the one that was named, or the server's only one. Raises FacescriptError
        (`no_model`), and what `models` raises."""
        if not self._model:
            names = self.models(check)
            if len(names) != 1:
                what = f"{self.host} has {len(names)} models, and none was chosen."
                hint = f"Choose one of: {', '.join(names[:10])}." if names else "Load one there first."
                raise FacescriptError("no_model", what, hint)
            self._model = names[0]
        return self._model

    def complete(self, messages: list[dict[str, str]], wanted: Wanted, check: Check) -> str:
        """What the model answers to a conversation; "" if it says nothing. Raises what `choose` and `send` raise.

        A server that refuses the JSON schema is asked in another form and at last without, and from then on so: after
        a 500, which may be trouble that passes, only if the next answer meets it too.
        """
        return self._answer(messages, wanted, check)[0]

    def _answer(self, messages: list[dict[str, str]], wanted: Wanted, check: Check) -> tuple[str, int]:
        """As `complete`, and which of the forms was taken."""
        request: dict[str, Any] = {
            "model": self.choose(check),
            "messages": messages,
            "temperature": wanted.temperature,
            "top_p": 0.9 if wanted.temperature else 1.0,
            "seed": wanted.seed,
            "max_tokens": wanted.tokens,
            "stream": True,
        }
        forms = _forms(wanted)
        begun, doubted, sure = self._form, self._doubted, True
        for number in range(begun, len(forms)):
            try:
                text = self._text(request | forms[number], check)
            except Refused as error:
                if error.status not in _NO_SCHEMA or number == len(forms) - 1:
                    raise
                sure = sure and error.status != _TROUBLE
            else:
                # Answers may be waited for side by side: trouble that all of them meet at once counts once.
                if sure or doubted:
                    self._form = max(self._form, number)
                self._doubted = number > begun and self._form < number
                return text, number
        raise AssertionError

    def test(self, check: Check) -> Abilities:
        """Try what is needed: the list of models, and one short answer that a schema forces. Raises what those do.

        A server that cannot list its models may still answer for the one that was named.
        """
        names: tuple[str, ...] = ()
        try:
            names = self.models(check)
        except FacescriptError as error:
            if not self._model or error.code not in ("server_busy", "server_refused", "server_trouble"):
                raise
        if not self._model and len(names) != 1:
            return Abilities(names)
        number = {"type": "number", "enum": [0.5]}
        schema = {"type": "object", "properties": {"JawOpen": number}, "required": ["JawOpen"]}
        wanted = Wanted("test", schema | {"additionalProperties": False}, _TEST_TOKENS)
        said, form = self._answer([{"role": "user", "content": "Say hello."}], wanted, check)
        try:
            keeps = "response_format" in _forms(wanted)[form] and parse_object(said, _MAX_VALUES) == {"JawOpen": 0.5}
        except FacescriptError:
            keeps = False
        return Abilities(names, self._model, keeps, self.streamed)

    def _text(self, request: Mapping[str, Any], check: Check) -> str:
        body = json.dumps(request, allow_nan=False).encode()
        reply = self._exchange.send("POST", "/chat/completions", body, check, _END)
        self.streamed = reply.kind == "text/event-stream"
        if self.streamed:
            return self._from_stream(reply)
        found = self._object(reply)
        if not isinstance(found.get("choices"), list):
            raise self._other_form(reply)
        return _said(found, "message")

    def _from_stream(self, reply: Reply) -> str:
        found = [row for data in self._events(reply) for row in self._rows(data, reply)]
        # Some have none, such as what tells how many tokens were used.
        chosen = [row for row in found if row.get("choices") is not None]
        if (found and not chosen) or not all(isinstance(row["choices"], list) for row in chosen):
            raise self._other_form(reply)
        return "".join(_said(row, "delta") for row in chosen)

    def _events(self, reply: Reply) -> Iterator[list[str]]:
        """The lines of data of each event."""
        try:
            text = reply.body.decode("utf-8-sig")
        except UnicodeDecodeError:
            raise self._other_form(reply) from None
        data: list[str] = []
        for line in (*_LINE_END.split(text), ""):
            name, _, value = line.partition(":")
            if name == "data" and value.strip() not in ("", "[DONE]"):
                data.append(value.strip())
            if not line and data:
                yield data
                data = []

    def _rows(self, data: list[str], reply: Reply) -> list[dict[str, object]]:
        """What an event says: one object over all of its lines, or, of servers that leave out the empty lines between
        events, one a line."""
        if len(data) > 1:
            whole = "\n".join(data)
            with suppress(FacescriptError):
                parse_object(whole, _MAX_VALUES)
                data = [whole]
        return [self._parsed(line, reply) for line in data]

    def _object(self, reply: Reply) -> dict[str, object]:
        return self._parsed(reply.body, reply)

    def _parsed(self, text: bytes | str, reply: Reply) -> dict[str, object]:
        try:
            found = parse_object(text, _MAX_VALUES)
        except FacescriptError:
            raise self._other_form(reply) from None
        # vLLM has said the latter.
        if found.get("error") or found.get("object") == "error":
            what = f"{self.host} could not finish its answer."
            raise FacescriptError("server_trouble", what, "Try again; the server's log says more.")
        return found

    def _other_form(self, reply: Reply) -> FacescriptError:
        kind = reply.kind if reply.kind.isprintable() and 0 < len(reply.kind) <= 60 else "of no kind"
        what = f"{self.host} does not speak the OpenAI form: its answer ({kind}) cannot be read."
        return FacescriptError("server_trouble", what, "Check the address; most servers have /v1 at its end.")


def _forms(wanted: Wanted) -> list[dict[str, Any]]:
    """The ways to ask for a JSON schema, and at last none: OpenAI's, and that of Anyscale's endpoints, which
    llama-cpp-python and older servers of llama.cpp know instead."""
    described = {"name": wanted.name, "strict": True, "schema": wanted.schema}
    return [
        {"response_format": {"type": "json_schema", "json_schema": described}},
        {"response_format": {"type": "json_object", "schema": wanted.schema}},
        {},
    ]


def _said(found: Mapping[str, Any], part: str) -> str:
    """The text of the first of the choices, which may come in parts; "" where there is none."""
    for choice in found["choices"][:1]:
        message = choice.get(part) if isinstance(choice, dict) else None
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, str):
            return content
        if isinstance(content, list):
            return "".join(map(_part, content))
    return ""


def _part(found: object) -> str:
    """The text of a part of an answer; "" of others, such as thoughts."""
    text = found.get("text") if isinstance(found, dict) and found.get("type", "text") == "text" else None
    return text if isinstance(text, str) else ""
