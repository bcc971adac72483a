# SPDX-License-Identifier: GPL-3.0-or-later
"""A server as the model, through the installed zip: what is asked, what is refused, and where the key is not."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from facescript.inference.servers.addresses import KEY_VARIABLE  # noqa: E402
from facescript.performance import jsonl  # noqa: E402
from model_servers import DESCRIPTION, MODEL, Handler, ModelServer, good, posting, serving  # noqa: E402

KEY = "sk-do-not-tell-anybody"
# How long a server that hangs would keep whoever waited for it, in seconds.
_STUCK = 12.0


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ModelServer, Path]]:
    """A server, and a runtime's folder that is not there: the same for all tests, so that one worker serves them."""
    with serving() as found:
        yield found, tmp_path_factory.mktemp("runtime") / "nothing here"


@pytest.fixture
def server(extension: Any, started: tuple[ModelServer, Path]) -> Iterator[ModelServer]:
    """A good server, chosen in the preferences of an extension that is not set up."""
    found, folder = started
    found.behave = good
    found.requests.clear()
    chosen = extension.preferences
    chosen.runtime_folder = str(folder)
    chosen.backend, chosen.server_address, chosen.server_model, chosen.server_key = "server", found.address, "", KEY
    yield found
    assert not folder.exists()
    extension.module("inference.servers.trial").stop()
    for name in ("server_address", "server_model", "server_key", "backend"):
        chosen.property_unset(name)


def refused(call: Any) -> str:
    """What an operator reports."""
    with pytest.raises(RuntimeError) as caught:
        call()
    return str(caught.value)


def test_without_set_up_a_server_performs(extension: Any, server: ModelServer, tmp_path: Path) -> None:
    bpy.ops.facescript.add_face()
    obj = bpy.context.view_layer.objects.active
    assert bpy.ops.facescript.generate(script="You lied to me. I saw her go.", wait=True) == {"FINISHED"}
    face = obj.facescript
    assert {beat.text for beat in face.beats} == {DESCRIPTION}
    assert face.model == f"{MODEL} (server)"
    assert obj.data.shape_keys.animation_data.action is not None
    assert {handler.headers["Authorization"] for handler in server.requests} == {f"Bearer {KEY}"}
    blend = tmp_path / "scene.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(blend), compress=False)
    data = blend.read_bytes()
    assert MODEL.encode() in data
    assert KEY.encode() not in data and str(server.server_port).encode() not in data


@pytest.mark.parametrize("command", ["generate", "pose", "batch"])
def test_one_that_the_command_line_names_is_asked_without_set_up(
    extension: Any, server: ModelServer, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    briefs, lines, sheet = tmp_path / "briefs.jsonl", tmp_path / "lines.jsonl", tmp_path / "sheet.csv"
    briefs.write_text('{"id": "a", "script": "Hello there."}\n')
    lines.write_text('{"id": "a", "keyframes": [{"t": 0.5, "text": "Brows fly up"}]}\n')
    sheet.write_text("file,script\na,Hello there.\n")
    out = tmp_path / "out"
    given = {
        "generate": ("--lines", briefs, "-o", out / "a.jsonl"),
        "pose": (lines, out / "a.jsonl"),
        "batch": (sheet, out),
    }
    out.mkdir()
    extension.preferences.backend = "embedded"
    arguments = (command, *given[command], "--address", server.address)
    status = extension.module("operators.command_line").main([str(argument) for argument in arguments])
    assert (status, capsys.readouterr().err) == (0, "")
    [performance] = jsonl.read_performances(out / "a.jsonl")
    assert performance.brief.id == "a" and server.bodies


def test_a_beat_is_made_again_by_the_server(extension: Any, server: ModelServer) -> None:
    bpy.ops.facescript.add_face()
    bpy.ops.facescript.generate(script="You lied to me.", wait=True)
    before = len(server.bodies)
    assert bpy.ops.facescript.regenerate_beat(wait=True) == {"FINISHED"}
    assert len(server.bodies) > before


def test_the_test_says_what_the_server_can_do(extension: Any, server: ModelServer) -> None:
    assert bpy.ops.facescript.test_server(wait=True) == {"FINISHED"}
    trial = extension.module("inference.servers.trial")
    found = trial.last(server.address + "/")
    assert trial.summary(found.abilities) == (
        f"The server answers with {MODEL}. It keeps to a JSON schema. It streams its answers."
    )
    assert trial.models(server.address) == (MODEL,)
    assert trial.models("localhost:1") == ()
    # Nothing of a script.
    assert [body["messages"] for body in server.bodies] == [[{"role": "user", "content": "Say hello."}]]


def test_the_test_does_not_wait_and_stops_with_the_extension(extension: Any, server: ModelServer) -> None:
    server.behave = lambda handler: handler.server.ended.wait(_STUCK) and None
    began = time.monotonic()
    assert bpy.ops.facescript.test_server() == {"FINISHED"}
    assert time.monotonic() - began < _STUCK / 3
    tested = extension.module("operators.server").FACESCRIPT_OT_test_server
    assert not tested.poll(bpy.context)
    extension.module("operators.server").unregister()
    assert time.monotonic() - began < _STUCK
    assert not [thread for thread in threading.enumerate() if thread.name == "facescript-server-test"]
    assert not bpy.app.timers.is_registered(extension.module("operators.server")._tick)


def test_a_test_that_fails_is_shown(extension: Any, server: ModelServer) -> None:
    server.behave = lambda handler: handler.whole(b"", 401)
    bpy.ops.facescript.test_server()
    tick = extension.module("operators.server")._tick
    ended = time.monotonic() + 5.0
    while tick() is not None and time.monotonic() < ended:
        time.sleep(0.02)
    assert extension.session.error.code == "server_key"
    assert "does not accept the key (401)" in refused(lambda: bpy.ops.facescript.test_server(wait=True))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("file:///etc/passwd", "is not spoken to by file"),
        ("http://me:pass@localhost", "holds a user name or a password"),
        ("", "No address of a server"),
        ("https://models.example", "is not this machine, and Blender does not allow online access"),
    ],
)
def test_an_address_that_cannot_be_used_changes_nothing(
    extension: Any, server: ModelServer, address: str, words: str
) -> None:
    bpy.context.preferences.system.use_online_access = False
    extension.preferences.server_address = address
    bpy.ops.facescript.add_face()
    obj = bpy.context.view_layer.objects.active
    for call in (
        lambda: bpy.ops.facescript.generate(script="You lied.", wait=True),
        lambda: bpy.ops.facescript.test_server(wait=True),
    ):
        assert words in refused(call)
    assert not obj.facescript.beats
    assert obj.data.shape_keys.animation_data is None
    assert server.requests == []


def test_a_key_that_is_none_is_refused_and_not_quoted(extension: Any, server: ModelServer) -> None:
    extension.preferences.server_key = "two secret words"
    message = refused(lambda: bpy.ops.facescript.test_server(wait=True))
    assert "no key has" in message and "secret" not in message


def test_a_server_that_fails_leaves_the_performance_as_it_was(extension: Any, server: ModelServer) -> None:
    bpy.ops.facescript.add_face()
    obj = bpy.context.view_layer.objects.active
    bpy.ops.facescript.generate(script="You lied to me.", wait=True)
    texts = [(beat.frame, beat.text, beat.pose) for beat in obj.facescript.beats]
    server.behave = posting(lambda handler: handler.says("I cannot do that, and you lied to me"))
    message = refused(lambda: bpy.ops.facescript.generate(script="I saw her go.", wait=True))
    assert "was asked twice" in message and "saw her" not in message
    assert [(beat.frame, beat.text, beat.pose) for beat in obj.facescript.beats] == texts
    server.behave = good
    assert bpy.ops.facescript.generate(script="I saw her go.", wait=True) == {"FINISHED"}


def test_the_key_may_come_from_the_environment_and_goes_to_no_process(
    extension: Any, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "from-the-environment")
    preferences = extension.module("operators.preferences")
    assert preferences.model_options(bpy.context).key == KEY
    extension.preferences.server_key = ""
    assert preferences.model_options(bpy.context).key == "from-the-environment"
    assert KEY_VARIABLE in os.environ
    assert KEY_VARIABLE not in extension.module("inference.setup.runtime").child_environment()


def test_the_key_is_a_password_and_the_models_are_offered(extension: Any, server: ModelServer) -> None:
    properties = extension.preferences.bl_rna.properties
    assert properties["server_key"].subtype == "PASSWORD"
    bpy.ops.facescript.test_server(wait=True)
    names = extension.module("operators.preferences")._models
    assert names(extension.preferences, bpy.context, "GOOD") == [MODEL]
    assert names(extension.preferences, bpy.context, "other") == []


def test_cancel_in_the_middle_of_an_answer(extension: Any, server: ModelServer) -> None:
    asked = threading.Event()

    def stuck(handler: Handler) -> None:
        asked.set()
        handler.server.ended.wait(_STUCK)

    server.behave = posting(stuck)
    bpy.ops.facescript.add_face()
    assert bpy.ops.facescript.generate(script="You lied to me.") == {"FINISHED"}
    ended = time.monotonic() + 30.0
    while not asked.is_set() and time.monotonic() < ended:
        extension.session.step()
        time.sleep(0.02)
    began = time.monotonic()
    bpy.ops.facescript.cancel()
    while extension.session.step():
        time.sleep(0.02)
    assert time.monotonic() - began < _STUCK
    assert extension.session.note.startswith("Cancelled.")


def test_blenders_command_line_asks_a_server_and_leaves_the_preferences_as_they_were(
    extension: Any, server: ModelServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    chosen = extension.preferences
    chosen.backend, chosen.server_address, chosen.server_key = "embedded", "localhost:1", ""
    main = extension.module("operators.command_line").main
    given = ["generate", "--script", "You lied to me.", "-o", str(tmp_path / "out.jsonl")]
    assert main([*given, "--address", server.address]) == 0
    assert DESCRIPTION in (tmp_path / "out.jsonl").read_text()
    assert {handler.headers["Authorization"] for handler in server.requests} == {f"Bearer {KEY}"}
    assert (chosen.backend, chosen.server_address, chosen.server_key) == ("embedded", "localhost:1", "")


def test_blenders_command_line_refuses_another_machine_without_online_access(
    extension: Any, server: ModelServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bpy.context.preferences.system.use_online_access = False
    main = extension.module("operators.command_line").main
    given = ["generate", "--script", "You lied.", "-o", str(tmp_path / "out.jsonl")]
    assert main([*given, "--address", "https://models.example"]) == 1
    assert "does not allow online access" in capsys.readouterr().err


def test_a_blender_whose_python_cannot_ask_wants_set_up(
    extension: Any, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extension.module("operators.preferences"), "can_ask", lambda: False)
    bpy.ops.facescript.add_face()
    assert "is not set up yet" in refused(lambda: bpy.ops.facescript.generate(script="You lied.", wait=True))
    assert server.requests == []
