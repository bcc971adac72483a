# SPDX-License-Identifier: GPL-3.0-or-later
"""The report for bug reports: it says what is needed, and none of what was planted everywhere it could come from."""

from __future__ import annotations

import json
import os
import platform
import socket
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from facescript.inference import diagnostics
from facescript.inference.diagnostics import Errors, Program, report
from facescript.inference.setup.runtime import Runtime
from facescript.performance import FacescriptError
from hypothesis import given, settings
from hypothesis import strategies as st

PROGRAM = Program("5.0.1 LTS", window=True, online=False, backend="embedded", quantization="auto")
MESSAGES = (
    "The script has no words.",
    "There is no model folder {0}.",
    "The worker failed: {0}",
    "{0}",
    "{0}, line {1}: {2}",
    "Set-up needs {0} GB in {1}, and {2} GB are free.",
    "Cannot write {0}: {1}.",
)


def lines(text: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in text.splitlines())


def made(folder: Path, **record: Any) -> Runtime:
    """A runtime that is set up, as far as files say it."""
    site = folder / "env-1" / "lib" / "python3.11" / "site-packages"
    for name in ("torch-2.13.0+cpu.dist-info", "numpy-1.26.4.dist-info", "annas_tool-1.0.dist-info"):
        (site / name).mkdir(parents=True)
    (folder / "models-1").mkdir()
    kept = {"complete": True, "models": "models-1", "env": "env-1", "version": "0.1.0", "python_version": "3.11.9"}
    kept |= {"platform": "linux-x86_64", "quantization": "bf16", "selftest": {"seconds": 2.34}}
    (folder / "runtime.json").write_text(json.dumps(kept | record))
    return Runtime(folder)


def test_it_says_what_a_bug_report_needs(tmp_path: Path) -> None:
    runtime = made(tmp_path / "runtime")
    errors = [(125.0, FacescriptError("empty_script", "The script has no words.", "Type something."))]
    found = lines(report(PROGRAM, runtime, errors, MESSAGES))
    assert found["Blender"] == "5.0.1, with a window"
    assert found["Python"].startswith("3.")
    assert found["Network"].startswith("online access not allowed, ")
    assert found["Model"] == "embedded, auto"
    assert found["Runtime"].endswith("in its usual folder")
    assert "MB, " in found["Folder"] and "GB free" in found["Folder"]
    assert found["Packages"] == "torch 2.13.0+cpu, numpy 1.26.4"
    assert "by version 0.1.0, Python 3.11.9" in found["Set up"] and "self-test 2.3 s" in found["Set up"]
    assert found["Error 2 min ago"] == "empty_script: The script has no words."


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("There is no model folder /home/anna/Secret Film/model.", "There is no model folder ...."),
        ("The worker failed: RuntimeError: shape of anna", "The worker failed: RuntimeError"),
        ("The worker failed: AnnaError: shape", "The worker failed: ..."),
        ("Set-up needs 2.5 GB in /home/anna, and 0.3 GB are free.", "Set-up needs 2.5 GB in ..., and 0.3 GB are free."),
        ("Cannot write /home/anna/a: b.csv: No space left on device.", "Cannot write ...: ...."),
        ("Something that nobody wrote down, by anna", "..."),
    ],
)
def test_of_an_error_only_our_own_words_are_told(tmp_path: Path, message: str, told: str) -> None:
    text = report(PROGRAM, None, [(0.0, FacescriptError("bad_file", message, "Ask anna."))], MESSAGES)
    assert lines(text)["Error 0 min ago"] == f"bad_file: {told}"
    assert "anna" not in text


def test_a_code_that_is_none_is_not_told() -> None:
    text = report(PROGRAM, None, [(0.0, FacescriptError("Anna Smith", "The script has no words."))], MESSAGES)
    assert lines(text)["Error 0 min ago"] == "...: The script has no words."


def test_of_proxies_only_that_they_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in diagnostics._PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert "no proxies are set" in report(PROGRAM, None, [], MESSAGES)
    monkeypatch.setenv("HTTPS_PROXY", "http://anna:secret@proxy.example:3128")
    text = report(PROGRAM, None, [], MESSAGES)
    assert ", proxies are set" in text and "anna" not in text and "example" not in text


# Letters alone would be found in the report's own words.
private = st.from_regex(r"[A-Z][a-z]{3,8}[0-9]{3}[a-z]{3}", fullmatch=True)


@settings(max_examples=60)
@given(private, st.data())
def test_no_private_word_gets_in_wherever_it_comes_from(tmp_path_factory: Any, word: str, data: st.DataObject) -> None:
    """User, machine, folders, files, scripts, names of objects, keys, addresses, what other programs said."""
    spots = ("version", "python_version", "platform", "quantization", "accelerator", "users", "model", "python", "env")
    spot = data.draw(st.sampled_from(spots))
    value = data.draw(st.sampled_from((word, f"/home/{word}/x", f"1.0+{word}", f"3.11 {word}", f"linux-{word}")))
    folder = tmp_path_factory.mktemp("home") / word / f"runtime {word}"
    runtime = made(folder, **{spot: value}, selftest={"seconds": word, "model": word})
    (folder / "env-1" / "lib" / "python3.11" / "site-packages" / f"torch-2.13.0+{word}.dist-info").mkdir()
    message = data.draw(st.sampled_from((word, *MESSAGES))).format(*[f"{word} /home/{word}/a b.blend: 'x'"] * 3)
    errors = Errors()
    errors.note(FacescriptError(data.draw(st.sampled_from(("bad_file", word))), message, f"Ask {word}."))
    chosen = Program(f"5.0.1 {word}", True, True, word, word, own_folder=True)
    environment = {"HTTP_PROXY": f"http://{word}@{word}", "USER": word, "HOME": f"/home/{word}", "FACESCRIPT": word}
    release = {"ID": word, "VERSION_ID": word, "NAME": word}
    with (
        mock.patch.dict(os.environ, environment),
        mock.patch.object(platform, "node", lambda: word),
        mock.patch.object(socket, "gethostname", lambda: word),
        mock.patch.object(platform, "release", lambda: f"6.1.0-{word}"),
        mock.patch.object(platform, "machine", lambda: word),
        mock.patch.object(platform, "freedesktop_os_release", lambda: release),
    ):
        text = report(chosen, runtime, errors.rows(), (*MESSAGES, "The name of {0} is taken."))
    assert word.lower() not in text.lower()
    assert "Packages: " in text or runtime.record() is None


def test_the_last_ten_errors_are_kept_and_one_that_is_shown_twice_is_one() -> None:
    errors = Errors()
    same = FacescriptError("same", "The same.")
    for number in range(20):
        errors.note(FacescriptError("other", f"Number {number}."))
    errors.note(same)
    errors.note(same)
    assert [error.code for _, error in errors.rows()] == [*["other"] * 9, "same"]
