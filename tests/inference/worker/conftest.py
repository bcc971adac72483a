# SPDX-License-Identifier: GPL-3.0-or-later
"""The real model and one real worker process, shared by the tests that need them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

# Sets how threads wait, before any test imports torch.
import facescript.inference.worker  # noqa: F401
import pytest
from facescript.commands import RUNTIME
from facescript.inference.client import WorkerClient, worker_command
from facescript.inference.options import EMBEDDED_MODEL
from facescript.inference.setup.runtime import Runtime, child_environment


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of the prepared models."""
    runtime = Runtime(RUNTIME)
    if runtime.record() is None or not (runtime.models / EMBEDDED_MODEL).is_dir():
        pytest.skip("the language model is not prepared: run `python3 run.py generate --help` once")
    return runtime.models


@pytest.fixture(scope="session")
def shared_worker(models: Path) -> Iterator[list[WorkerClient]]:
    """Holds the worker that most tests share."""
    holder: list[WorkerClient] = []
    yield holder
    for client in holder:
        client.close()


@pytest.fixture
def worker(models: Path, shared_worker: list[WorkerClient]) -> WorkerClient:
    """A real worker, the same for all tests as long as it lives."""
    if not shared_worker or not shared_worker[-1].alive:
        shared_worker.append(new_worker(models))
    shared_worker[-1].poll()
    return shared_worker[-1]


def new_worker(models: Path) -> WorkerClient:
    """Start a real worker."""
    return WorkerClient(worker_command(Path(sys.executable), models), child_environment())
