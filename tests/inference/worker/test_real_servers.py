# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers with SmolLM2: llama.cpp's, and `transformers serve`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from facescript.batch.carrying_out import Batch, carry_out
from facescript.batch.crew import crew
from facescript.batch.options import starter
from facescript.batch.settings import Settings
from facescript.benchmarks import local_servers
from facescript.benchmarks.local_servers import NAME
from facescript.commands import RUNTIME
from facescript.inference.examples import Examples
from facescript.inference.options import ModelOptions
from facescript.inference.servers.chat import Abilities, ChatServer, Wanted
from facescript.inference.setup.runtime import Runtime
from facescript.inference.worker.asks import Ask
from facescript.inference.worker.remote import ServerBackend
from facescript.performance import Brief, FacescriptError, jsonl

pytestmark = [pytest.mark.model, pytest.mark.slow]

HELLO = [{"role": "user", "content": "Say hello."}]


def nothing() -> None:
    """Nobody cancels."""


@pytest.fixture(scope="module")
def llama_cpp(models: Path) -> Iterator[ModelOptions]:
    if not local_servers.KINDS["llama.cpp"].version:
        pytest.skip("the package xllamacpp, which brings llama.cpp's server, has no wheel for this machine")
    with local_servers.running("llama.cpp", models) as found:
        yield found


@pytest.fixture(scope="module")
def transformers(models: Path) -> Iterator[ModelOptions]:
    with local_servers.running("transformers", models) as found:
        yield found


def refused(options: ModelOptions, content: str = "Say hello.") -> FacescriptError:
    with pytest.raises(FacescriptError) as caught:
        ChatServer(options).complete(
            [{"role": "user", "content": content}], Wanted("x", {"type": "object"}, 8), nothing
        )
    return caught.value


def test_llama_cpp_keeps_to_a_schema_and_streams(llama_cpp: ModelOptions) -> None:
    for model in ("", NAME):
        found = ChatServer(replace(llama_cpp, model=model)).test(nothing)
        assert found == Abilities((NAME,), NAME, schema=True, streams=True)


def test_transformers_streams_and_takes_no_notice_of_a_schema(transformers: ModelOptions) -> None:
    found = ChatServer(replace(transformers, model="")).test(nothing)
    assert found == Abilities((NAME,), NAME, schema=False, streams=True)


@pytest.mark.parametrize("key", ["", "sk-of-somebody-else"])
def test_another_key_is_refused_and_said(llama_cpp: ModelOptions, key: str) -> None:
    error = refused(replace(llama_cpp, key=key))
    assert (error.code, error.message) == ("server_key", "127.0.0.1 does not accept the key (401).")


def test_a_model_that_is_not_there_is_said(transformers: ModelOptions) -> None:
    error = refused(replace(transformers, model="somebody/else"))
    assert error.code == "server_refused"
    assert "the model" in error.hint


def test_a_text_that_is_longer_than_the_context_is_said(llama_cpp: ModelOptions) -> None:
    error = refused(llama_cpp, "hello " * (local_servers.CONTEXT + 10))
    assert (error.code, error.message) == ("long_text", "The texts are too long for the model at 127.0.0.1 (400).")


def test_an_answer_is_cancelled_in_the_middle_and_the_server_answers_the_next(llama_cpp: ModelOptions) -> None:
    server = ChatServer(llama_cpp)
    long = {"type": "object", "properties": {"a": {"type": "array", "minItems": 2000, "items": {"type": "number"}}}}
    end = time.monotonic() + 2.0

    def check() -> None:
        if time.monotonic() > end:
            raise FacescriptError("cancelled", "Enough.")

    with pytest.raises(FacescriptError, match="Enough"):
        server.complete(HELLO, Wanted("long", long | {"required": ["a"]}, 3000), check)
    assert server.test(nothing).schema


def test_moments_are_described_in_the_form_that_was_asked_for(llama_cpp: ModelOptions) -> None:
    backend = ServerBackend(llama_cpp, Examples.load())
    brief = Brief("You came. I waited all night.", "A kitchen at dawn.", "Relief")
    found = dict(backend.describe(brief, [Ask("You came."), Ask("I waited all night.")], 0, nothing))
    assert sorted(found) == [0, 1]
    assert all(line.strip() == line != "" for line in found.values())


def test_a_line_is_performed_by_llama_cpp(llama_cpp: ModelOptions, tmp_path: Path) -> None:
    text = "Both brows shoot up and the jaw drops."
    sheet = tmp_path / "sheet.jsonl"
    sheet.write_text(json.dumps({"file": "one", "script": f"[0.0s] {text}"}))
    chosen = crew(llama_cpp, 1)
    work = Batch(
        sheet, tmp_path / "out", Settings(llama_cpp), chosen, starter(Runtime(RUNTIME), chosen), lambda work: iter(())
    )
    assert carry_out(work) == 0
    [found] = jsonl.read_performances(tmp_path / "out" / "one.jsonl")
    [keyframe] = found.keyframes
    assert (keyframe.time, keyframe.text) == (0.0, text)
    assert keyframe.pose.active()
