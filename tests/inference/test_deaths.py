# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import signal
import sys

import pytest
from facescript.inference import deaths
from facescript.inference.start import DAMAGED, LACKING

SECRET = "I have always loved you"


@pytest.mark.parametrize(
    ("status", "words", "ready", "starved", "code"),
    [
        (-9, [], True, False, "worker_killed"),
        (-9, [], True, True, "no_memory"),
        (137, [], True, True, "no_memory"),
        (143, [], True, True, "worker_killed"),
        (-11, [], True, True, "worker_died"),
        (139, [], True, False, "worker_died"),
        (0xC0000017, [], True, False, "no_memory"),
        (0xC0000005, [], True, False, "worker_died"),
        (1, ["MemoryError"], True, False, "no_memory"),
        (1, ["RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."], True, False,
         "no_memory"),
        (1, ["libtorch_cpu.so: failed to map segment: Cannot allocate memory"], False, False, "no_memory"),
        (1, ["SyntaxError: invalid syntax"], False, False, "bad_install"),
        (1, ["SyntaxError: invalid syntax"], True, False, "worker_died"),
        (0, [], False, False, "bad_install"),
        (0, [], True, False, "worker_died"),
        (DAMAGED, ["ImportError: cannot import name 'x'"], False, False, "bad_install"),
        (LACKING, ["ImportError: libgomp.so.1: cannot open shared object file"], False, False, "bad_runtime"),
        (None, [], True, False, "worker_died"),
    ],
)  # fmt: skip
def test_why_a_worker_ended(status: int | None, words: list[str], ready: bool, starved: bool, code: str) -> None:
    error = deaths.told(status, words, ready, starved)
    assert error.code == code
    assert error.hint


@pytest.mark.parametrize("status", [1, 3, LACKING, DAMAGED, -6, None])
@pytest.mark.parametrize(
    "words",
    [
        [f"ValueError: {SECRET}"],
        ["Traceback (most recent call last):", f'  brief = "{SECRET}"', f"KeyError: '{SECRET}'"],
        [SECRET],
        [f"{SECRET} RuntimeError: {SECRET}"],
    ],
)
def test_nothing_of_a_script_is_quoted(status: int | None, words: list[str]) -> None:
    assert SECRET not in str(deaths.told(status, words, True, False))


def test_an_import_error_and_the_kind_of_others_are_quoted() -> None:
    said = ["Traceback ...", "\x1b[31mModuleNotFoundError: No module named 'torch'."]
    assert deaths.told(1, said, True, False).message == (
        "The worker ended by itself (status 1): ModuleNotFoundError: No module named 'torch'."
    )
    said = ["safetensors_rust.SafetensorError: secret", "in some line"]
    assert deaths.told(1, said, True, False).message == (
        "The worker ended by itself (status 1): safetensors_rust.SafetensorError."
    )


@pytest.mark.skipif(sys.platform != "linux", reason="/proc/vmstat")
def test_the_systems_count_of_processes_without_memory_is_read() -> None:
    assert deaths.memory_kills() >= 0


def test_signals_have_names() -> None:
    assert deaths.told(-int(signal.SIGTERM), [], True, False).message.endswith("(SIGTERM).")
