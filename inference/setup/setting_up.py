# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets the private runtime up, step by step: cancellable everywhere, and going on where it stopped."""

from __future__ import annotations

import errno
import queue
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ...performance.errors import FacescriptError
from ...performance.parsing import is_whole
from .. import broken_pipes
from .child_process import Cancelled, never
from .runtime import (
    MODEL_LOCK,
    PACKAGE,
    Record,
    Runtime,
    asks_for,
    digest,
    extension_version,
    generations,
    is_alive,
    is_generation,
    locked,
    platform_name,
    read_json,
    read_record,
    remove,
    remove_tree,
    write_json,
    write_record,
)
from .steps import STEPS
from .work import SetupOptions, Work


@dataclass(frozen=True)
class SetupEvent:
    """How far set-up is: the step's name, the fraction of the whole in [0, 1], and a sentence for the user."""

    step: str
    fraction: float
    message: str


@dataclass(frozen=True)
class _Journal:
    """A set-up that is not done: what it makes (`key`), where, which steps are done, and the bytes that it fetches."""

    key: str
    env: str
    models: str
    done: tuple[str, ...] = ()
    bytes: int = 0


def set_up(runtime: Runtime, options: SetupOptions, cancelled: Cancelled = never) -> Iterator[SetupEvent]:
    """Set the runtime up, or bring it up to date; nothing is done if it is ready and `options.repair` is not set.

    A generator: it works while it is iterated, and closing it stops it. The last event has the step `done`.
    Steps that an interrupted set-up has done are not done again, and a runtime that was in use stays in use
    until the new one is whole.

    Raises FacescriptError: `offline`, `busy`, `no_disk`, `no_folder`, `no_permission`, `long_path`, `not_python`,
    `old_python`, `no_ensurepip`, `bad_python`, `bad_install`, `no_torch`, `no_wheels`, `no_network`, `bad_hash`,
    `pip_failed`, `killed`, `prepare_failed`, `cancelled`, and what the preparation of the models says.
    """
    try:
        runtime.folder.mkdir(parents=True, exist_ok=True)
        with locked(runtime.folder) as lock:
            yield from _set_up(runtime, options, cancelled, lock)
    except OSError as error:
        raise _unusable(runtime.folder, error) from error


def _unusable(folder: Path, error: OSError) -> FacescriptError:
    """What to tell of a folder that the system lets us not work in."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "Free some space, then press Set Up again: it goes on where it stopped."
        return FacescriptError("no_disk", f"The disk of {folder} is full.", hint)
    hint = "Choose another folder in the preferences"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        what = f"The folder {folder} cannot be written."
        return FacescriptError("no_permission", what, f"{hint}, or give yourself the right to write there.")
    if error.errno == errno.ENAMETOOLONG or getattr(error, "winerror", 0) == 206:
        return FacescriptError("long_path", f"The path of the folder is too long: {str(folder)[:200]}.", f"{hint}.")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        what = f"There is a file where the folder of the runtime should be: {_file_in_the_way(folder)}."
        return FacescriptError("no_folder", what, f"{hint}, or move that file.")
    what = f"The folder of the runtime cannot be used ({folder}): {error.strerror or error}."
    return FacescriptError("no_folder", what, f"{hint}.")


def _file_in_the_way(folder: Path) -> Path:
    return next((path for path in (folder, *folder.parents) if path.exists() and not path.is_dir()), folder)


def _set_up(runtime: Runtime, options: SetupOptions, cancelled: Cancelled, lock: int) -> Iterator[SetupEvent]:
    if _is_ready(runtime, options):
        runtime.journal_path.unlink(missing_ok=True)
        _note_user(runtime, options)
        _sweep(runtime, None)
        yield SetupEvent("done", 1.0, "The language model is ready.")
        return
    record = runtime.record(options.requirements)
    journal = _begin(runtime, options, record)
    scratch = runtime.folder / "tmp"
    remove_tree(scratch)
    scratch.mkdir()
    work = Work(
        options=options,
        folder=runtime.folder,
        env=runtime.folder / journal.env,
        models=runtime.folder / journal.models,
        wheels=runtime.wheels,
        cancelled=cancelled,
        lock_descriptor=lock,
        done=journal.done,
    )
    plan = [step for step in STEPS if options.python is None or step.existing]
    whole = sum(step.weight for step in plan)
    fraction = 0.0
    for step in plan:
        share = step.weight / whole
        if step.name not in journal.done:
            yield SetupEvent(step.name, fraction, step.title)
            reached = 0.0
            for part, message in step.run(work):
                if work.bytes > journal.bytes:
                    journal = replace(journal, bytes=work.bytes)
                    _write_journal(runtime, journal)
                # A step may guess anew how much there is to do; the bar does not go back for that.
                reached = max(reached, min(1.0, part))
                yield SetupEvent(step.name, min(1.0, fraction + share * reached), message)
            if step.lasting:
                journal = replace(journal, done=(*journal.done, step.name))
                work.done = journal.done
                _write_journal(runtime, journal)
        fraction += share
    _put_in_use(runtime, options, journal, work)
    yield SetupEvent("done", 1.0, "The language model is ready.")


def _is_ready(runtime: Runtime, options: SetupOptions) -> bool:
    record = runtime.record(options.requirements)
    if record is None or options.repair:
        return False
    if runtime.state(options.requirements, options.accelerator).kind != "ready":
        return False
    return record.python == (str(options.python) if options.python else "")


def _begin(runtime: Runtime, options: SetupOptions, record: Record | None) -> _Journal:
    """The journal to go on with: the one that an interrupted set-up of the same things left, or a new one."""
    key = "|".join(
        (
            digest(options.requirements, options.lock),
            digest(options.requirements, MODEL_LOCK),
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
    if record.requirements != digest(options.requirements, options.lock) or record.platform != platform_name():
        return fresh
    # The environment in use is what is wanted; only its models are made anew.
    done = ("venv", "pip", "packages")
    same_model = record.model == digest(options.requirements, MODEL_LOCK)
    return replace(fresh, env=record.env, done=(*done, "model") if same_model else done)


def _put_in_use(runtime: Runtime, options: SetupOptions, journal: _Journal, work: Work) -> None:
    last = read_record(runtime.record_path)
    record = Record(
        models=journal.models,
        env="" if options.python else journal.env,
        python=str(options.python) if options.python else "",
        requirements=digest(options.requirements, options.lock),
        model=digest(options.requirements, MODEL_LOCK),
        version=extension_version(),
        python_version=work.python_version,
        platform=platform_name(),
        quantization=work.quantization,
        accelerator=options.accelerator,
        users=str(PACKAGE) if is_whole(str(PACKAGE)) else "",
        selftest=work.selftest,
    )
    mine = last is not None and asks_for(options.requirements, last) and runtime.is_alive(last)
    if last is not None and not mine and _users(last):
        # An extension of another version, or on another machine, goes on with it.
        write_json(_kept_path(runtime, last), {"complete": True, **asdict(last)})
    write_record(runtime, record)
    runtime.journal_path.unlink(missing_ok=True)
    _sweep(runtime, None)


def _note_user(runtime: Runtime, options: SetupOptions) -> None:
    """Note that this extension too uses the runtime that is ready."""
    for path in (runtime.record_path, *runtime.other_record_paths()):
        record = read_record(path)
        if record is None or not asks_for(options.requirements, record) or str(PACKAGE) in record.users.splitlines():
            continue
        users = "\n".join(filter(None, (record.users, str(PACKAGE))))
        write_json(path, {"complete": True, **asdict(record), "users": users})


def _users(record: Record) -> list[str]:
    """The folders of the other extensions that are still there and ask for what a record names."""
    found = []
    for user in record.users.splitlines():
        with suppress(OSError, FacescriptError):
            if Path(user) != PACKAGE and asks_for(Path(user, "inference", "requirements"), record):
                found.append(user)
    return found


def _kept_path(runtime: Runtime, record: Record) -> Path:
    return runtime.folder / f"runtime-{record.models}.json"


def _sweep(runtime: Runtime, journal: _Journal | None) -> None:
    """Remove environments and models that are neither in use nor being made, and what was fetched.

    What a worker of the runtime before works from, or is held open (Windows), stays until the next sweep.
    """
    kept = {journal.env, journal.models} if journal else set()
    mine = runtime.record()
    for path in (runtime.record_path, *runtime.other_record_paths()):
        record = read_record(path)
        if record is not None and (path == runtime.record_path or _users(record) or record == mine):
            kept |= {record.env, record.models}
        elif path != runtime.record_path:
            path.unlink(missing_ok=True)
    for path in generations(runtime.folder):
        if path.name not in kept:
            remove_tree(path)
    if journal is None:
        for name in ("tmp", "wheels"):
            shutil.rmtree(runtime.folder / name, ignore_errors=True)


def _read_journal(runtime: Runtime) -> _Journal | None:
    entry = read_json(runtime.journal_path) or {}
    key, env, models, done = (entry.get(name) for name in ("key", "env", "models", "done"))
    if not (isinstance(key, str) and isinstance(env, str) and isinstance(models, str) and isinstance(done, list)):
        return None
    if not (is_generation(env, "env") and is_generation(models, "models")):
        return None
    fetched = entry.get("bytes")
    whole = fetched if isinstance(fetched, int) and fetched > 0 else 0
    return _Journal(key, env, models, tuple(str(name) for name in done), whole)


def _write_journal(runtime: Runtime, journal: _Journal) -> None:
    write_json(runtime.journal_path, {**asdict(journal), "done": list(journal.done)})


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
        broken_pipes.outlive()
        try:
            for event in work(self._cancel.is_set):
                self._events.put(event)
        except FacescriptError as error:
            self.error = error
        except Exception as error:  # The thread has nobody else to tell.
            self.error = FacescriptError("setup_failed", f"Set-up failed: {error!r:.300}", "Press Set Up to try again.")
