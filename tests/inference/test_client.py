# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from facescript.inference.client import Collector, WorkerClient, perform
from facescript.inference.options import ModelOptions
from facescript.inference.protocol import Cancelled, Done, Event, Failed, KeyframeMade, Progress
from facescript.inference.setup.runtime import child_environment
from facescript.performance import Beat, Brief, FacescriptError, Performance

WORKER = Path(__file__).with_name("misbehaving_worker.py")
BRIEF = Brief("Hello.")
Start = Callable[[str], WorkerClient]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a worker that misbehaves; checks afterwards that nothing of it is left."""
    clients: list[WorkerClient] = []
    before = descriptors()

    def begin(behaviour: str) -> WorkerClient:
        clients.append(WorkerClient([sys.executable, str(WORKER), behaviour], child_environment()))
        return clients[-1]

    yield begin
    for client in clients:
        client.close(patience=0.5)
        client.close(patience=0.5)
        assert not client.alive
        assert gone(client.pid)
    left = [thread.name for thread in threading.enumerate() if thread.name.startswith("facescript")]
    assert left == []
    assert descriptors() == before


def descriptors() -> list[str]:
    """What this process has open, where that can be known."""
    folder = Path("/proc/self/fd")
    found = [os.readlink(path) for path in folder.iterdir() if path.is_symlink()] if folder.is_dir() else []
    return sorted(name for name in found if name.startswith("pipe:"))


def exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pid: int) -> bool:
    """Whether a process ends within some seconds: one that was killed is there until it was waited for."""
    end = time.monotonic() + 10.0
    while exists(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not exists(pid)


def ask(client: WorkerClient, brief: Brief = BRIEF, timeout: float = 20.0) -> Performance:
    return perform(client, "generate", brief, ModelOptions(), timeout=timeout)


def failure(client: WorkerClient, timeout: float = 20.0) -> FacescriptError:
    with pytest.raises(FacescriptError) as caught:
        ask(client, timeout=timeout)
    assert caught.value.hint
    return caught.value


def polled(client: WorkerClient, until: type[Event], seconds: float = 20.0) -> list[Event]:
    """What `poll` gives up to an event of a type, as the window's timer would see it."""
    found: list[Event] = []
    end = time.monotonic() + seconds
    while not any(isinstance(event, until) for event in found):
        assert time.monotonic() < end, found
        found += client.poll()
        time.sleep(0.01)
    return found


@pytest.mark.parametrize("path", ["/nowhere/python", str(Path(__file__).parent), "nul\0python"])
def test_a_worker_that_cannot_be_started_is_named(path: str) -> None:
    before = threading.active_count()
    with pytest.raises(FacescriptError) as caught:
        WorkerClient([path, "start.py"], child_environment())
    assert (caught.value.code, caught.value.hint) == ("no_worker", "Run Set Up.")
    assert path in caught.value.message
    assert threading.active_count() == before


def test_a_worker_that_exits_at_once_is_quoted(start: Start) -> None:
    client = start("exits")
    [event] = polled(client, Failed)
    assert isinstance(event, Failed)
    assert event.error.code == "worker_died"
    assert event.error.message == "The worker ended by itself (status 3): ImportError: no torch here."
    assert failure(client).code == "worker_died"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    ("behaviour", "code", "message"),
    [
        ("dies", "worker_died", "The worker ended by itself (status 7)."),
        ("is killed", "worker_killed", "The worker was ended from outside (SIGKILL)."),
        ("is killed in the middle of a line", "worker_killed", "The worker was ended from outside (SIGKILL)."),
        ("ends as a killed child", "worker_killed", "The worker was ended from outside (SIGKILL)."),
        ("is ended", "worker_killed", "The worker was ended from outside (SIGTERM)."),
        ("crashes", "worker_died", "The worker crashed (SIGSEGV)."),
        ("cannot allocate", "no_memory", "The worker ran out of memory."),
        ("leaves a traceback", "worker_died", "The worker ended by itself (status 1): ValueError."),
        ("lacks a package", "bad_runtime", "The runtime is damaged (ModuleNotFoundError: No module named 'numpy')."),
    ],
)
def test_a_worker_that_dies_in_the_middle_fails_the_request(
    start: Start, monkeypatch: pytest.MonkeyPatch, behaviour: str, code: str, message: str
) -> None:
    # Whatever else this machine ran out of memory for.
    monkeypatch.setattr("facescript.inference.deaths.memory_kills", lambda: 0)
    error = failure(start(behaviour))
    assert (error.code, error.message) == (code, message)


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        ("half a file", "bad_install"),
        ("exits in silence", "bad_install"),
        ("other version", "updated"),
        ("old protocol", "updated"),
        ("does not introduce itself", "bad_answer"),
        ("introduces itself twice", "bad_answer"),
    ],
)
def test_a_worker_of_other_files_than_these_is_not_asked(start: Start, behaviour: str, code: str) -> None:
    client = start(behaviour)
    events = polled(client, Failed)
    assert isinstance(events[-1], Failed)
    assert events[-1].error.code == code
    assert events[-1].error.hint
    assert not client.alive


def test_files_that_were_replaced_under_a_running_blender_are_noticed_before_anything_is_asked(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = start("floods")
    monkeypatch.setattr("facescript.inference.update.VERSION", "0.0.9")
    for ask_or_start in (lambda: client.request("generate", BRIEF, ModelOptions()), lambda: start("floods")):
        with pytest.raises(FacescriptError) as caught:
            ask_or_start()
        assert (caught.value.code, caught.value.hint) == ("updated", "Restart Blender.")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGSTOP")
def test_a_stopped_worker_is_noticed_and_ended(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facescript.inference.pulse.SILENT", 1.0)
    client = start("stops")
    error = failure(client)
    assert (error.code, error.message) == ("worker_hung", "The worker has said nothing for 1 seconds, and was ended.")
    assert gone(client.pid)


def test_a_worker_that_does_nothing_is_told_from_a_slow_one(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facescript.inference.pulse.STUCK", 1.0)
    assert len(ask(start("is slow")).keyframes) == 2
    error = failure(start("is stuck"))
    assert (error.code, error.message) == ("worker_hung", "The worker has done nothing for 1 seconds, and was ended.")


@pytest.mark.skipif(sys.platform == "win32", reason="process groups")
@pytest.mark.parametrize("behaviour", ["has a child", "dies and leaves a child"])
def test_what_a_worker_has_started_ends_with_it(start: Start, behaviour: str) -> None:
    client = start(behaviour)
    client.request("generate", BRIEF, ModelOptions())
    event, *_ = polled(client, Progress)
    assert isinstance(event, Progress)
    child = int(event.message)
    if behaviour == "has a child":
        assert running(child)
        client.close(patience=0.0)
    end = time.monotonic() + 10.0
    while running(child):
        assert time.monotonic() < end
        time.sleep(0.01)


def running(pid: int) -> bool:
    """Whether a process runs: one that nobody has waited for yet (where nothing adopts orphans) does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return sys.platform != "linux" and exists(pid)


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("prints text", "not JSON"),
        ("NaN", "NaN is not a finite number"),
        ("7.0", "Channel jawOpen is 7, outside [0, 1]"),
        ("unknown name", "no channel 'jawClosed'"),
        ("index", "Keyframe 2 of 2 cannot be"),
        ("never ends a line", "a line of more than 1 MiB"),
        ("binary", "cannot be used"),
        ("answers nobody", "request 8, which nobody made"),
    ],
)
def test_an_answer_that_is_no_event_ends_the_worker_with_one_error(start: Start, behaviour: str, words: str) -> None:
    client = start(behaviour)
    error = failure(client)
    assert error.code == "bad_answer"
    assert words in error.message
    assert not client.alive
    time.sleep(0.1)
    assert client.poll() == []
    assert failure(client).code == "worker_died"


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ("leaves out", "The worker left out 1 keyframes."),
        ("nothing at all", "The worker left out all keyframes."),
        ("counts again", "The worker spoke of 2 beats, then of 1."),
        ("sends a keyframe twice", "The worker sent beat 1 twice."),
        ("sends a beat twice", "The worker sent beat 1 twice."),
    ],
)
def test_an_answer_that_is_not_whole_is_refused(start: Start, behaviour: str, words: str) -> None:
    error = failure(start(behaviour))
    assert (error.code, error.message) == ("bad_answer", words)


def test_times_that_do_not_rise_are_refused(start: Start) -> None:
    assert failure(start("goes back in time")).code == "bad_time"


def test_more_keyframes_than_were_asked_for_are_refused(start: Start) -> None:
    brief = Brief("", beats=(Beat(0.0, "a"), Beat(1.0, "b")))
    with pytest.raises(FacescriptError, match="5 beats, of which nobody had asked"):
        perform(start("sends too many"), "pose", brief, ModelOptions(), timeout=20.0)


@pytest.mark.parametrize("behaviour", ["floods", "100 MB of errors"])
def test_a_flood_of_warnings_holds_nothing_up(start: Start, behaviour: str) -> None:
    assert len(ask(start(behaviour)).keyframes) == 2


def test_a_worker_that_never_stops_talking_is_ended(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facescript.inference.client.MAX_WAITING", 500)
    client = start("never stops talking")
    client.request("generate", BRIEF, ModelOptions())
    end = time.monotonic() + 20.0
    while client.alive:
        assert time.monotonic() < end
        time.sleep(0.01)
    found = polled(client, Failed)
    assert isinstance(found[-1], Failed)
    assert (found[-1].error.code, len(found)) == ("bad_answer", 501)


def test_what_comes_after_an_answer_is_dropped(start: Start) -> None:
    client = start("goes on after done")
    assert len(ask(client).keyframes) == 2
    assert len(ask(client).keyframes) == 3


def test_a_worker_that_closes_its_output_is_ended(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("facescript.inference.client._LAST_BREATH", 0.2)
    client = start("closes its output")
    error = failure(client)
    assert (error.code, error.message) == ("worker_died", "The worker closed its output.")
    assert not client.alive


def test_a_silent_worker_is_waited_for_only_so_long(start: Start) -> None:
    error = failure(start("is silent"), timeout=0.5)
    assert error.code == "worker_silent"


def test_asking_never_waits_for_a_worker_that_does_not_read(start: Start) -> None:
    client = start("never reads")
    begin = time.monotonic()
    for _ in range(20):
        client.cancel(client.request("generate", Brief("x" * 100_000), ModelOptions()))
    client.poll()
    assert time.monotonic() - begin < 1.0


def test_a_worker_that_does_not_shut_down_is_killed(start: Start) -> None:
    client = start("does not shut down")
    ask(client)
    begin = time.monotonic()
    client.close(patience=0.3)
    assert time.monotonic() - begin < 5.0
    assert gone(client.pid)


def test_late_events_do_not_reach_the_next_request(start: Start) -> None:
    client = start("answers late")
    number = client.request("generate", BRIEF, ModelOptions())
    client.cancel(number)
    found = list(client.wait(number, timeout=20.0))
    assert [type(event) for event in found] == [KeyframeMade, Cancelled]
    assert len(ask(client).keyframes) == 3


def test_after_an_error_of_the_worker_itself_late_events_are_dropped(start: Start) -> None:
    client = start("fails itself")
    error = failure(client)
    assert (error.code, error.message, error.hint) == ("bad_request", "What?", "Say it again.")
    assert client.alive
    assert len(ask(client).keyframes) == 2


@pytest.mark.parametrize(
    ("brief", "seed", "code"),
    [
        (Brief("half \ud800 a character"), 0, "bad_json"),
        (Brief("x" * 100_001), 0, "long_text"),
        (Brief("Hi.", background="x" * 2001), 0, "long_text"),
        (Brief("Hi."), 2**60, "bad_json"),
    ],
)
def test_what_the_worker_would_refuse_is_refused_before_it_is_sent(
    start: Start, brief: Brief, seed: int, code: str
) -> None:
    client = start("leaves out")
    with pytest.raises(FacescriptError) as caught:
        client.request("generate", brief, ModelOptions(), seed)
    assert caught.value.code == code
    assert client.request("generate", BRIEF, ModelOptions()) == 1


def test_polling_sees_the_events_as_they_come(start: Start) -> None:
    client = start("floods")
    collector = Collector(BRIEF)
    client.request("generate", BRIEF, ModelOptions())
    for event in polled(client, Done):
        collector.add(event)
    assert collector.label == "fake"
    assert collector.fraction == 1.0
    assert collector.performance().times.tolist() == [0.0, 1.0]
