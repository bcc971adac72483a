# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno

import pytest
from facescript.inference import deaths
from facescript.inference.worker import failures
from facescript.performance import FacescriptError

SECRET = "I have always loved you"


class OutOfMemoryError(RuntimeError):
    """As torch has one."""


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("std::bad_alloc"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object: Cannot allocate memory"),
    ],
)
def test_what_a_lack_of_memory_looks_like(error: Exception) -> None:
    assert failures.told(error).code == "no_memory"
    wrapped = FacescriptError("bad_model", "The model cannot be loaded.", "Choose another.")
    wrapped.__cause__ = error
    assert failures.told(wrapped).code == "no_memory"


def test_what_the_user_is_told_already_stays(capsys: pytest.CaptureFixture[str]) -> None:
    error = FacescriptError("bad_model", "The folder 'out of memory' is empty.", "Choose another.")
    assert failures.told(error) is error
    assert failures.told(KeyError("out of memory")).code == "worker_error"


def test_an_error_is_told_by_its_kind_and_place_and_without_its_words(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        deaths.told(SECRET, [], True, False)  # type: ignore[arg-type]
    except TypeError as error:
        told = failures.told(error)
    assert told.message.startswith("The worker failed (TypeError, deaths.py line ")
    try:
        raise ValueError(SECRET)
    except ValueError as error:
        told = failures.told(error)
    assert SECRET not in str(told)
    assert SECRET not in "".join(line for line in capsys.readouterr().err.splitlines() if "raise" not in line)


def test_the_words_are_on_the_console_where_that_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACESCRIPT_DEBUG", "1")
    assert SECRET not in str(failures.told(ValueError(SECRET)))
    assert SECRET in capsys.readouterr().err


def test_a_package_that_is_missing_is_the_runtimes_and_a_file_of_ours_an_update() -> None:
    error = failures.told(ModuleNotFoundError("No module named 'torch'", name="torch"))
    assert (error.code, error.message) == (
        "bad_runtime",
        "The runtime is damaged (ModuleNotFoundError: No module named 'torch').",
    )
    assert (
        failures.told(ModuleNotFoundError("No module ...", name="facescript.inference.worker.engine")).code == "updated"
    )
