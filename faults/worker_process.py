# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the worker as a process: it dies, hangs, cannot be started, or does not go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from .fault import REFUSED, STOPPED, UNHARMED, Moves, fault
from .stage import LONG, Stage, is_running


@fault(UNHARMED, real=True)
def worker_killed_while_idle(stage: Stage) -> Moves:
    """SIGKILL to the worker between two generations; then Generate."""
    os.kill(stage.worker, signal.SIGKILL)
    yield from stage.idle(0.5)
    stage.strike()
    stage.generate()
    yield from stage.rest()


@fault(UNHARMED, "worker_killed", real=True)
def worker_killed_while_loading(stage: Stage) -> Moves:
    """SIGKILL to the worker while it imports torch and loads the model."""
    stage.session.stop_worker()
    stage.generate()
    yield from stage.idle(1.5)
    stage.strike()
    os.kill(stage.worker, signal.SIGKILL)
    yield from stage.rest()


@fault("worker_killed", real=True)
def worker_killed_in_the_middle(stage: Stage) -> Moves:
    """SIGKILL to the worker after its first beat."""
    stage.generate(LONG)
    yield from stage.at_work()
    stage.strike()
    os.kill(stage.worker, signal.SIGKILL)
    yield from stage.rest()


@fault("worker_hung", within=20.0, real=True)
def worker_frozen_in_the_middle(stage: Stage) -> Moves:
    """SIGSTOP to the worker after its first beat, as of a machine that swaps."""
    stage.generate(LONG)
    yield from stage.at_work()
    stage.strike()
    os.kill(stage.worker, signal.SIGSTOP)
    yield from stage.rest()


@fault(UNHARMED, within=20.0, real=True)
def worker_frozen_while_idle(stage: Stage) -> Moves:
    """SIGSTOP to the worker between two generations; then Generate."""
    os.kill(stage.worker, signal.SIGSTOP)
    yield from stage.idle(0.5)
    stage.strike()
    stage.generate()
    yield from stage.rest()


@fault(STOPPED, within=8.0, real=True)
def frozen_worker_is_cancelled(stage: Stage) -> Moves:
    """SIGSTOP to the worker after its first beat; then Cancel."""
    stage.generate(LONG)
    yield from stage.at_work()
    os.kill(stage.worker, signal.SIGSTOP)
    stage.strike()
    stage.attempt(stage.bpy.ops.facescript.cancel)
    yield from stage.rest()


@fault(UNHARMED, within=60.0, real=True)
def computer_goes_to_sleep(stage: Stage) -> Moves:
    """Blender and its worker are both stopped for 20 s in the middle of a generation, as a laptop does it."""
    stage.generate(LONG)
    yield from stage.at_work()
    worker = stage.worker
    both = f"kill -STOP {worker} {os.getpid()}; sleep 20; kill -CONT {os.getpid()} {worker}"
    sleep = subprocess.Popen(["sh", "-c", f"sleep 0.2; {both}"], start_new_session=True)
    yield from stage.idle(1.0)
    sleep.wait(60.0)
    stage.strike()
    yield from stage.rest()


# With nine processes for each core, Blender has to wait for its turn as well.
@fault(UNHARMED, within=120.0, held=5.0, real=True)
def computer_is_overloaded(stage: Stage) -> Moves:
    """Four busy processes for each core, and the worker at the lowest priority, through a whole generation."""
    busy = [
        subprocess.Popen([sys.executable if "python" in Path(sys.executable).name else "yes", "-c", "while True: pass"])
        for _ in range(4 * (os.cpu_count() or 1))
    ]
    try:
        os.setpriority(os.PRIO_PROCESS, stage.worker, 19)
        stage.strike()
        stage.generate(LONG)
        yield from stage.rest(120.0)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    # The next one is not to be at the lowest priority too.
    stage.session.stop_worker()


@fault("no_memory", real=True)
def memory_runs_out_while_loading(stage: Stage) -> Moves:
    """The worker may take no more than 60 MB (RLIMIT_AS) when it is asked to load the model in another precision."""
    import resource

    size = int(Path(f"/proc/{stage.worker}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    limit = size + 60_000_000
    resource.prlimit(stage.worker, resource.RLIMIT_AS, (limit, limit))
    stage.preferences.quantization = "bf16"
    stage.undo.append(lambda: setattr(stage.preferences, "quantization", "auto"))
    stage.strike()
    stage.generate(LONG)
    yield from stage.rest()
    stage.session.stop_worker()


@fault("no_memory", within=20.0)
def memory_runs_out_in_a_step(stage: Stage) -> Moves:
    """The worker takes memory at a pose until the system gives no more (RLIMIT_AS of 1 GB)."""
    yield from stage.perform("EatsMemory")
    yield from stage.rest()


@fault("no_memory")
def model_raises_memory_error(stage: Stage) -> Moves:
    """The model raises MemoryError at a pose."""
    yield from stage.perform("RaisesMemoryError")
    yield from stage.rest()


@fault("worker_killed")
def worker_ends_with_137(stage: Stage) -> Moves:
    """The worker ends with status 137, as a container's does whose memory ran out."""
    yield from stage.perform("Exits137")
    yield from stage.rest()


@fault("worker_died", quick=True)
def worker_aborts(stage: Stage) -> Moves:
    """C code of the worker calls abort() at a pose."""
    yield from stage.perform("Aborts")
    yield from stage.rest()


@fault("worker_died")
def worker_ends_well_too_soon(stage: Stage) -> Moves:
    """The worker ends with status 0 in the middle of a request."""
    yield from stage.perform("ExitsWell")
    yield from stage.rest()


@fault("worker_error")
def model_raises_an_error(stage: Stage) -> Moves:
    """The model raises ZeroDivisionError, with a word of the script in its message."""
    yield from stage.perform("RaisesSomethingElse")
    yield from stage.rest()
    if stage.told is not None and "SECRETWORD" in stage.told.message:
        # What an exception says may be anything, and is shown to the user alone; it must not be printed.
        assert "SECRETWORD" not in Path(os.readlink("/proc/self/fd/2")).read_text(errors="replace")


@fault(STOPPED, within=8.0)
def one_step_never_ends(stage: Stage) -> Moves:
    """The worker's main thread sleeps for ever at a pose; then Cancel."""
    yield from stage.perform("Sleeps")
    yield from stage.idle(1.0)
    stage.strike()
    stage.attempt(stage.bpy.ops.facescript.cancel)
    yield from stage.rest()


@fault("worker_hung", within=25.0)
def library_holds_the_whole_worker(stage: Stage) -> Moves:
    """A call in C at a pose lets no other thread of the worker run, and does not end."""
    yield from stage.perform("HoldsEverything")
    yield from stage.rest()


@fault(UNHARMED, within=30.0)
def one_step_takes_long(stage: Stage) -> Moves:
    """One pose keeps the worker at full load for 6 s without a word."""
    stage.act("IsBusy")
    stage.generate()
    yield from stage.rest()


@fault("worker_died", within=20.0)
def worker_closes_its_output(stage: Stage) -> Moves:
    """The worker closes its end of the pipe, and lives on."""
    yield from stage.perform("ClosesItsOutput")
    yield from stage.rest()


@fault(STOPPED, within=8.0)
def worker_never_reads(stage: Stage) -> Moves:
    """The worker does not read its input; more is sent than a pipe holds; then Cancel."""
    stage.act("NeverReads")
    stage.generate("She smiles. " + "very " * 350 + "\n" + "(She looks away and blinks.)\n" * 500)
    yield from stage.idle(2.0)
    stage.strike()
    stage.attempt(stage.bpy.ops.facescript.cancel)
    yield from stage.rest()


@fault(UNHARMED)
def worker_does_not_go(stage: Stage) -> Moves:
    """The worker ignores the request to end and SIGTERM; then another runtime is chosen and Generate pressed."""
    stage.act("IgnoresShutdown")
    stage.generate()
    yield from stage.rest()
    old = stage.worker
    stage.use(stage.usual(False))
    stage.strike()
    stage.generate()
    yield from stage.rest()
    yield from stage.until(lambda: not is_running(old), 5.0)


@fault("worker_killed", within=12.0)
def worker_leaves_a_child_behind(stage: Stage) -> Moves:
    """A child of the worker inherits its pipes; the worker is killed, the child lives on for 20 s."""
    notes = stage.act("LeavesAChild")
    stage.generate()
    yield from stage.until(notes.is_file, 20.0)
    stage.strike()
    yield from stage.rest()
    with_child = int(notes.read_text() or 0)
    yield from stage.idle(0.2)
    if is_running(with_child):
        # It is not the extension's: nothing but its own end is waited for.
        os.kill(with_child, signal.SIGKILL)


@fault("no_worker", quick=True)
def runtimes_python_may_not_be_run(stage: Stage) -> Moves:
    """The runtime's Python has no right to be run (chmod 644)."""
    stage.act("")
    (stage.folder / "runtime " / "python").chmod(0o644)
    stage.generate()
    yield from stage.rest()


@fault("worker_died")
def runtimes_python_is_another_program(stage: Stage) -> Moves:
    """The runtime's Python is a program that prints a kilobyte of binary data and ends."""
    stage.act("")
    program = stage.folder / "runtime " / "python"
    program.write_text("#!/bin/sh\nhead -c 1000 /dev/urandom\n", encoding="utf-8")
    stage.generate()
    yield from stage.rest()


@fault("no_runtime")
def runtimes_python_is_gone(stage: Stage) -> Moves:
    """The runtime's Python is deleted while a worker of it is idle; the worker is killed; then Generate."""
    stage.act("")
    stage.generate()
    yield from stage.rest()
    os.kill(stage.worker, signal.SIGKILL)
    yield from stage.idle(0.3)
    (stage.folder / "runtime " / "python").unlink()
    stage.strike()
    stage.generate()
    yield from stage.rest()


@fault("worker_error", within=20.0)
def packages_are_damaged(stage: Stage) -> Moves:
    """The runtime's Python finds a torch whose file is cut in the middle of a line."""
    folder = stage.folder / "damaged"
    (folder / "torch").mkdir(parents=True)
    (folder / "torch" / "__init__.py").write_text("from torch._C import (", encoding="utf-8")
    runtime = stage.copied_runtime()
    _wrap_python(stage, runtime, f"import sys; sys.path.insert(0, {str(folder)!r})")
    stage.use(runtime)
    stage.strike()
    stage.generate()
    yield from stage.rest()


def _wrap_python(stage: Stage, runtime: Path, first: str) -> None:
    """Have the runtime's Python run a line before the worker's own."""
    record = json.loads((runtime / "runtime.json").read_text(encoding="utf-8"))
    code = f"{first}; import runpy; sys.argv = sys.argv[4:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    program = runtime / "python"
    # After the code come the worker's own -I -X utf8 and its command.
    program.write_text(f'#!/bin/sh\nexec \'{record["python"]}\' -X utf8 -c "{code}" "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    (runtime / "runtime.json").write_text(json.dumps(record | {"python": str(program)}), encoding="utf-8")


@fault("no_worker", quick=True)
def no_more_files_can_be_opened(stage: Stage) -> Moves:
    """Blender has as many files open as it may (RLIMIT_NOFILE) when the worker has to be started."""
    import resource

    stage.session.stop_worker()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    hoard = []
    try:
        while True:
            hoard.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        # The script itself reads the record first.
        os.close(hoard.pop())
    stage.strike()
    try:
        stage.generate()
        stage.noticed = time.monotonic()
    finally:
        for number in hoard:
            os.close(number)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    yield from stage.rest()


@fault(UNHARMED, REFUSED, "busy", quick=True)
def generate_is_pressed_fifty_times(stage: Stage) -> Moves:
    """Generate is pressed fifty times in a row, from scripts, without waiting."""
    for _ in range(50):
        stage.generate()
    stage.told = None
    yield from stage.rest()
    assert len(stage.workers) == 1, f"{len(stage.workers)} workers"


@fault(STOPPED, UNHARMED)
def generate_and_cancel_in_turns(stage: Stage) -> Moves:
    """Generate and Cancel are pressed in turns twenty times, with 0 to 100 ms in between."""
    for number in range(20):
        yield from stage.until(lambda: not stage.busy, 20.0)
        stage.generate(LONG)
        yield from stage.idle(0.005 * number)
        if stage.session.busy:
            stage.attempt(stage.bpy.ops.facescript.cancel)
    stage.strike()
    yield from stage.rest()


@fault(STOPPED, within=8.0, real=True)
def cancel_while_loading(stage: Stage) -> Moves:
    """Cancel half a second after the start of a worker, while it imports torch."""
    stage.session.stop_worker()
    stage.generate(LONG)
    yield from stage.idle(0.5)
    stage.strike()
    stage.attempt(stage.bpy.ops.facescript.cancel)
    yield from stage.rest()


@fault(UNHARMED, real=True)
def worker_is_long_idle(stage: Stage) -> Moves:
    """Nothing is done for longer than the model is kept loaded: the worker ends; then Generate."""
    before = stage.preferences.keep_loaded
    stage.preferences.keep_loaded = 1
    stage.undo.append(lambda: setattr(stage.preferences, "keep_loaded", before))
    worker = stage.worker
    stage.strike()
    yield from stage.until(lambda: not is_running(worker), 120.0)


@fault("worker_hung", within=20.0, window=True)
def worker_frozen_under_a_window(stage: Stage) -> Moves:
    """In a window: SIGSTOP to the worker after its first beat."""
    yield from stage.perform("IsSlow", LONG)
    os.kill(stage.worker, signal.SIGSTOP)
    yield from stage.rest()


@fault(UNHARMED, "bad_answer", within=60.0, window=True)
def progress_floods_a_window(stage: Stage) -> Moves:
    """In a window: 100,000 events of progress at once."""
    yield from stage.perform("FloodsProgress")
    yield from stage.rest()


@fault("worker_killed", window=True)
def worker_killed_under_a_window(stage: Stage) -> Moves:
    """In a window: SIGKILL to the worker after its first beat."""
    yield from stage.perform("IsSlow", LONG)
    os.kill(stage.worker, signal.SIGKILL)
    yield from stage.rest()


@fault(STOPPED, within=8.0, window=True)
def stuck_worker_is_cancelled_in_a_window(stage: Stage) -> Moves:
    """In a window: the worker's main thread sleeps for ever at a pose; then Cancel."""
    yield from stage.perform("Sleeps")
    yield from stage.idle(1.0)
    stage.strike()
    stage.attempt(stage.bpy.ops.facescript.cancel)
    yield from stage.rest()
