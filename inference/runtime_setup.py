# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets the private runtime up, step by step: cancellable everywhere, and going on where it stopped."""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from ..performance.errors import FacescriptError
from . import setup_steps as steps
from .child_process import Cancelled, never
from .runtime import (
    ENV_FILES,
    MODEL_FILES,
    Record,
    Runtime,
    digest,
    extension_version,
    generations,
    is_alive,
    is_generation,
    locked,
    platform_name,
    read_json,
    remove,
    remove_tree,
    write_json,
    write_record,
)
from .setup_steps import SetupOptions


@dataclass(frozen=True)
class SetupEvent:
    """How far set-up is: the step's name, the fraction of the whole in [0, 1], and a sentence for the user."""

    step: str
    fraction: float
    message: str


@dataclass(frozen=True)
class _Journal:
    """A set-up that is not done: what it makes (`key`), where, and which steps are done."""

    key: str
    env: str
    models: str
    done: tuple[str, ...] = ()


def set_up(runtime: Runtime, options: SetupOptions, cancelled: Cancelled = never) -> Iterator[SetupEvent]:
    """Set the runtime up, or bring it up to date; nothing is done if it is ready and `options.repair` is not set.

    A generator: it works while it is iterated, and closing it stops it. The last event has the step `done`.
    Steps that an interrupted set-up has done are not done again, and a runtime that was in use stays in use
    until the new one is whole.

    Raises FacescriptError: `offline`, `busy`, `no_disk`, `no_folder`, `not_python`, `old_python`,
    `no_ensurepip`, `bad_python`, `no_network`, `bad_hash`, `pip_failed`, `killed`, `prepare_failed`,
    `cancelled`, and what the preparation of the models says.
    """
    try:
        runtime.folder.mkdir(parents=True, exist_ok=True)
        with locked(runtime.folder) as lock:
            yield from _set_up(runtime, options, cancelled, lock)
    except OSError as error:
        code = "no_disk" if error.errno in (28, 122) else "no_folder"
        raise FacescriptError(
            code,
            f"The folder of the runtime cannot be used ({runtime.folder}): {error.strerror or error}.",
            "Free some space, or choose another folder in the preferences.",
        ) from error


def _set_up(runtime: Runtime, options: SetupOptions, cancelled: Cancelled, lock: int) -> Iterator[SetupEvent]:
    if _is_ready(runtime, options):
        runtime.journal_path.unlink(missing_ok=True)
        _sweep(runtime, None)
        yield SetupEvent("done", 1.0, "The language model is ready.")
        return
    record = runtime.record()
    journal = _begin(runtime, options, record)
    scratch = runtime.folder / "tmp"
    remove_tree(scratch)
    scratch.mkdir()
    work = steps.Work(
        options=options,
        folder=runtime.folder,
        env=runtime.folder / journal.env,
        models=runtime.folder / journal.models,
        cancelled=cancelled,
        lock=lock,
        done=journal.done,
    )
    plan = [step for step in steps.STEPS if options.python is None or step.existing]
    whole = sum(step.weight for step in plan)
    fraction = 0.0
    for step in plan:
        share = step.weight / whole
        if step.name not in journal.done:
            yield SetupEvent(step.name, fraction, step.title)
            for part, message in step.run(work):
                yield SetupEvent(step.name, min(1.0, fraction + share * min(1.0, max(0.0, part))), message)
            if step.lasting:
                journal = replace(journal, done=(*journal.done, step.name))
                _write_journal(runtime, journal)
        fraction += share
    _put_in_use(runtime, options, journal, work)
    yield SetupEvent("done", 1.0, "The language model is ready.")


def _is_ready(runtime: Runtime, options: SetupOptions) -> bool:
    record = runtime.record()
    if record is None or options.repair or runtime.state(options.requirements).kind != "ready":
        return False
    return record.python == (str(options.python) if options.python else "")


def _begin(runtime: Runtime, options: SetupOptions, record: Record | None) -> _Journal:
    """The journal to go on with: the one that an interrupted set-up of the same things left, or a new one."""
    key = "|".join(
        (
            digest(options.requirements, ENV_FILES),
            digest(options.requirements, MODEL_FILES),
            platform_name(),
            str(options.python or options.base_python),
            "repair" if options.repair else "",
        )
    )
    journal = _read_journal(runtime)
    if journal is None or journal.key != key or ("venv" in journal.done and not is_alive(runtime.folder / journal.env)):
        journal = _new_journal(runtime, options, record, key)
    _sweep(runtime, journal)
    _write_journal(runtime, journal)
    return journal


def _new_journal(runtime: Runtime, options: SetupOptions, record: Record | None, key: str) -> _Journal:
    numbers = [int(path.name.partition("-")[2]) for path in generations(runtime.folder)]
    number = max(numbers, default=0) + 1
    fresh = _Journal(key, f"env-{number}", f"models-{number}")
    reusable = record is not None and not (record.python or options.repair or options.python)
    if record is None or not reusable or not is_alive(runtime.folder / record.env):
        return fresh
    if record.requirements != digest(options.requirements, ENV_FILES) or record.platform != platform_name():
        return fresh
    # The environment in use is what is wanted; only its models are made anew.
    done = ("venv", "pip", "torch", "packages")
    same_model = record.model == digest(options.requirements, MODEL_FILES)
    return replace(fresh, env=record.env, done=(*done, "model") if same_model else done)


def _put_in_use(runtime: Runtime, options: SetupOptions, journal: _Journal, work: steps.Work) -> None:
    record = Record(
        models=journal.models,
        env="" if options.python else journal.env,
        python=str(options.python) if options.python else "",
        requirements=digest(options.requirements, ENV_FILES),
        model=digest(options.requirements, MODEL_FILES),
        version=extension_version(),
        python_version=work.python_version,
        platform=platform_name(),
        quantization=work.quantization,
        selftest=work.selftest,
    )
    write_record(runtime, record)
    runtime.journal_path.unlink(missing_ok=True)
    _sweep(runtime, None)


def _sweep(runtime: Runtime, journal: _Journal | None) -> None:
    """Remove environments and models that are neither in use nor being made, and what pip left behind.

    What is held open (Windows, a worker of the runtime before) stays until the next sweep.
    """
    record = runtime.record()
    kept = {record.env, record.models} if record else set()
    kept |= {journal.env, journal.models} if journal else set()
    for path in generations(runtime.folder):
        if path.name not in kept:
            remove_tree(path)
    if journal is None:
        shutil.rmtree(runtime.folder / "tmp", ignore_errors=True)


def _read_journal(runtime: Runtime) -> _Journal | None:
    entry = read_json(runtime.journal_path) or {}
    key, env, models, done = (entry.get(name) for name in ("key", "env", "models", "done"))
    if not (isinstance(key, str) and isinstance(env, str) and isinstance(models, str) and isinstance(done, list)):
        return None
    if not (is_generation(env, "env") and is_generation(models, "models")):
        return None
    return _Journal(key, env, models, tuple(str(name) for name in done))


def _write_journal(runtime: Runtime, journal: _Journal) -> None:
    entry = {"key": journal.key, "env": journal.env, "models": journal.models, "done": list(journal.done)}
    write_json(runtime.journal_path, entry)


def take_down(runtime: Runtime) -> Iterator[SetupEvent]:
    """Remove the runtime (`runtime.remove`, which takes some ten seconds), in the form of a set-up."""
    yield SetupEvent("remove", 0.1, "Removing the runtime")
    remove(runtime)
    yield SetupEvent("done", 1.0, "The runtime was removed.")


class SetupJob:
    """A set-up on a thread of its own, for a window that must not wait: `poll` it from a timer."""

    def __init__(self, work: Callable[[Cancelled], Iterator[SetupEvent]]) -> None:
        """Start at once; `work` is given what tells it to stop."""
        self.error: FacescriptError | None = None
        self._events: queue.Queue[SetupEvent] = queue.Queue()
        self._cancel = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(work,), daemon=True, name="facescript-set-up")
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is at work; once it is not, `error` tells why it failed, or is None."""
        return self._thread.is_alive()

    def poll(self) -> list[SetupEvent]:
        """The events since the last call; never waits."""
        events: list[SetupEvent] = []
        while True:
            try:
                events.append(self._events.get_nowait())
            except queue.Empty:
                return events

    def cancel(self) -> None:
        """Ask it to stop; it does within about a second, with the error `cancelled`."""
        self._cancel.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, at most `timeout` seconds."""
        self._thread.join(timeout)

    def _run(self, work: Callable[[Cancelled], Iterator[SetupEvent]]) -> None:
        try:
            for event in work(self._cancel.is_set):
                self._events.put(event)
        except FacescriptError as error:
            self.error = error
        except Exception as error:  # The thread has nobody else to tell.
            self.error = FacescriptError("setup_failed", f"Set-up failed: {error!r:.300}", "Press Set Up to try again.")
