# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of Blender itself: it crashes, quits, runs twice, loses its files or its add-on in the middle of something."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .fault import STOPPED, UNHARMED, Moves, fault
from .stage import DESCRIBED, LONG, PACKAGE, Stage, is_running

_SECOND = Path(__file__).with_name("second_blender.py")


class Second:
    """A second Blender, at work in a copy of the file."""

    def __init__(self, stage: Stage, what: str, runtime: Path, script: str = LONG) -> None:
        self.folder = stage.folder / f"second {what}"
        self.folder.mkdir()
        self.blend = self.folder / "scene.blend"
        shutil.copyfile(stage.settings.folder / "stage.blend", self.blend)
        self.log = self.folder / "log.txt"
        command = [sys.executable, str(_SECOND), what, str(self.blend), str(runtime), script]
        # Its own group and folder for scratch files: what it leaves when it is killed is its own.
        environment = os.environ | {"TMPDIR": str(self.folder)}
        with self.log.open("wb") as stream:
            self.process = subprocess.Popen(
                command, stdout=stream, stderr=stream, env=environment, start_new_session=True
            )
        stage.undo.append(self.end)

    def said(self, word: str) -> str:
        """What it said after a word; "" if it has not yet."""
        for line in self.log.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(f"second: {word}"):
                return line.removeprefix(f"second: {word}").strip() or word
        return ""

    def wait(self, stage: Stage, word: str, seconds: float = 90.0) -> Moves:
        """Leave Blender to itself until the second one says a word."""
        end = time.monotonic() + seconds
        while not self.said(word):
            assert self.process.poll() is None or self.said(word), f"it ended: {self._last_line()}"
            assert time.monotonic() < end, f"it never said {word!r}: {self._last_line()}"
            yield from stage.idle(0.05)

    def _last_line(self) -> str:
        return self.log.read_text(errors="replace").strip().rpartition("\n")[2][:200]

    def end(self) -> None:
        """Kill what is left of it."""
        for pid in (self.process.pid, int(self.said("working") or 0)):
            if pid and is_running(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def _toy(stage: Stage) -> Path:
    return stage.usual(False)


def _left_behind(stage: Stage, second: Second, seconds: float = 8.0) -> Moves:
    """Its worker ends by itself, soon after Blender is gone; that is when it is noticed."""
    worker = int(second.said("working"))
    yield from stage.until(lambda: not is_running(worker), seconds)
    stage.tell_note(f"The worker ended by itself after {time.monotonic() - stage.struck:.1f} s.")


def _check_saved(second: Second, before: bytes) -> None:
    assert second.blend.read_bytes() == before, "the .blend of the Blender that is gone was changed"


@fault(STOPPED, real=True)
def blender_crashes_while_the_model_loads(stage: Stage) -> Moves:
    """SIGKILL to another Blender 1.5 s after its worker was started; the worker has to end by itself."""
    second = Second(stage, "generates", stage.settings.runtime)
    yield from second.wait(stage, "working")
    before = second.blend.read_bytes()
    yield from stage.idle(1.5)
    stage.strike()
    second.process.kill()
    yield from _left_behind(stage, second)
    _check_saved(second, before)


@fault(STOPPED)
def blender_crashes_in_the_middle(stage: Stage) -> Moves:
    """SIGKILL to another Blender after its first beat; the worker has to end by itself."""
    second = Second(stage, "generates", _toy(stage))
    yield from second.wait(stage, "beats")
    before = second.blend.read_bytes()
    stage.strike()
    second.process.kill()
    yield from _left_behind(stage, second)
    _check_saved(second, before)


@fault(STOPPED)
def blender_crashes_while_a_step_is_stuck(stage: Stage) -> Moves:
    """As before, with a worker whose main thread does not come back."""
    runtime = stage.actor_runtime(stage.folder / "stuck", "Sleeps", stage.folder / "notes")
    second = Second(stage, "generates", runtime)
    yield from second.wait(stage, "beats")
    stage.strike()
    second.process.kill()
    yield from _left_behind(stage, second)


@fault(STOPPED)
def pipe_outlives_a_crashed_blender(stage: Stage) -> Moves:
    """SIGKILL to another Blender, of which a child lives on that inherited the worker's pipes."""
    runtime = stage.actor_runtime(stage.folder / "stuck", "Sleeps", stage.folder / "notes")
    second = Second(stage, "forks", runtime)
    yield from second.wait(stage, "beats")
    stage.strike()
    second.process.kill()
    yield from _left_behind(stage, second)
    os.killpg(second.process.pid, signal.SIGKILL)


@fault(STOPPED)
def blender_quits_in_the_middle(stage: Stage) -> Moves:
    """Another Blender is quit after its first beat."""
    second = Second(stage, "quits", _toy(stage))
    yield from second.wait(stage, "beats")
    before = second.blend.read_bytes()
    stage.strike()
    yield from _left_behind(stage, second)
    yield from stage.until(lambda: second.process.poll() is not None, 15.0)
    _check_saved(second, before)


@fault(UNHARMED, within=60.0)
def two_blenders_at_once(stage: Stage) -> Moves:
    """Two Blenders generate different scripts with the same runtime at the same time."""
    second = Second(stage, "generates", _toy(stage))
    yield from second.wait(stage, "beats")
    stage.strike()
    stage.generate()
    yield from stage.rest()
    yield from second.wait(stage, "done")
    assert len(stage.face.facescript.beats) == 3, "the answers were mixed"
    assert int(second.said("done")) == 12, "the answers were mixed"


@fault(UNHARMED, within=60.0)
def another_blender_removes_the_runtime(stage: Stage) -> Moves:
    """Another process removes the runtime, as another Blender does, while a performance is made with it."""
    yield from stage.perform("", LONG)
    runtime = stage.folder / "runtime "
    code = "import sys; from pathlib import Path; from facescript.inference.setup.runtime import Runtime, remove; "
    code += "remove(Runtime(Path(sys.argv[1])))"
    done = subprocess.run([str(stage.settings.python), "-c", code, str(runtime)], capture_output=True, check=False)
    stage.strike()
    yield from stage.rest()
    assert b"Traceback" not in done.stderr or b"FacescriptError" in done.stderr, done.stderr.decode()[-300:]


@fault("updated")
def extension_is_updated_under_a_running_blender(stage: Stage) -> Moves:
    """The installed files are replaced by those of version 99.0.0, and the worker is started anew."""
    package = Path(stage.module("inference.setup.runtime").PACKAGE)
    manifest = package / "blender_manifest.toml"
    _replaced(stage, manifest, manifest.read_text().replace('version = "0.', 'version = "99.'))
    stage.session.stop_worker()
    stage.strike()
    stage.generate()
    yield from stage.rest()


@fault("updated")
def extensions_start_is_gone(stage: Stage) -> Moves:
    """The file that starts the worker is deleted from the installed extension."""
    package = Path(stage.module("inference.setup.runtime").PACKAGE)
    _replaced(stage, package / "inference" / "start.py", None)
    stage.session.stop_worker()
    stage.use(stage.settings.runtime)
    stage.strike()
    stage.generate()
    yield from stage.rest()


# What is left of the module may still be Python.
@fault("bad_install", "worker_died")
def extensions_file_is_cut(stage: Stage) -> Moves:
    """The worker's module in the installed extension ends in the middle, as a full disk leaves it."""
    package = Path(stage.module("inference.setup.runtime").PACKAGE)
    path = package / "inference" / "worker" / "server.py"
    text = path.read_text(encoding="utf-8")
    _replaced(stage, path, text[: len(text) // 2])
    stage.session.stop_worker()
    stage.use(stage.settings.runtime)
    stage.strike()
    stage.generate()
    yield from stage.rest()


def _replaced(stage: Stage, path: Path, text: str | None) -> None:
    """Another text in an installed file, or none, until the fault is over."""
    before, stat = path.read_bytes(), path.stat()

    def back() -> None:
        path.write_bytes(before)
        # Whoever looks whether a file was replaced finds it as it was.
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))

    stage.undo.append(back)
    if text is None:
        path.unlink()
    else:
        path.write_text(text, encoding="utf-8")


@fault(UNHARMED, quick=True)
def extension_is_disabled_in_the_middle(stage: Stage) -> Moves:
    """The extension is disabled in the preferences while beats come, and enabled again."""
    yield from stage.perform("", LONG)
    worker = stage.worker
    stage.strike()
    _disable_and_enable(stage)
    assert not is_running(worker), "the worker is still there"
    yield from stage.rest()


def _disable_and_enable(stage: Stage) -> None:
    stage.bpy.ops.preferences.addon_disable(module=PACKAGE)
    stage.bpy.ops.preferences.addon_enable(module=PACKAGE)
    stage.use(stage.usual(False))


@fault(UNHARMED)
def extension_is_disabled_ten_times(stage: Stage) -> Moves:
    """Disabled and enabled ten times in a row, each time with a generation begun."""
    for _ in range(10):
        stage.generate(LONG)
        _disable_and_enable(stage)
    stage.strike()
    yield from stage.rest()


@fault(UNHARMED, STOPPED)
def scripts_are_reloaded(stage: Stage) -> Moves:
    """Reload Scripts while beats come, as developers of add-ons press it."""
    yield from stage.perform("", LONG)
    worker = stage.worker
    stage.strike()
    stage.bpy.ops.script.reload()
    yield from stage.rest()
    stage.use(stage.usual(False))
    yield from stage.until(lambda: not is_running(worker) or worker in stage.workers, 5.0)
    assert len(stage.workers) <= 1, f"{len(stage.workers)} workers"


@fault(UNHARMED, STOPPED)
def factory_settings_are_loaded(stage: Stage) -> Moves:
    """Load Factory Settings, which disables all extensions, while beats come; then it is enabled again."""
    yield from stage.perform("", LONG)
    worker = stage.worker
    stage.bpy.ops.wm.read_factory_settings(use_empty=True)
    yield from stage.idle(0.0) if PACKAGE in stage.bpy.context.preferences.addons else _nothing()
    assert not is_running(worker), "the worker is still there"
    stage.bpy.ops.preferences.addon_enable(module=PACKAGE)
    stage.bpy.context.preferences.use_preferences_save = False
    stage.use(stage.usual(False))
    yield from stage.set_scene()
    stage.strike()


def _nothing() -> Iterator[None]:
    yield


@fault(UNHARMED)
def temporary_folder_is_gone(stage: Stage) -> Moves:
    """The folder for temporary files is deleted under the running Blender; then Generate, with a new worker."""
    folder = stage.folder / "temporary"
    folder.mkdir()
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    stage.undo.append(lambda: setattr(tempfile, "tempdir", before))
    stage.set_variables({"TMPDIR": str(folder)})
    folder.rmdir()
    stage.session.stop_worker()
    stage.strike()
    stage.generate()
    yield from stage.rest()


@fault(UNHARMED, quick=True)
def current_folder_is_gone(stage: Stage) -> Moves:
    """The folder that Blender was started in is deleted; then Generate, with a new worker."""
    folder = stage.folder / "here"
    folder.mkdir()
    before = Path.cwd()
    os.chdir(folder)
    stage.undo.append(lambda: os.chdir(before))
    folder.rmdir()
    stage.session.stop_worker()
    stage.strike()
    stage.generate()
    yield from stage.rest()


@fault(UNHARMED)
def variables_of_another_python(stage: Stage) -> Moves:
    """PYTHONHOME, PYTHONPATH, PYTHONSTARTUP, LD_PRELOAD and VIRTUAL_ENV name things that are not there."""
    names = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "LD_PRELOAD", "VIRTUAL_ENV", "PYTHONIOENCODING")
    stage.set_variables(dict.fromkeys(names, str(stage.folder / "nowhere")))
    stage.session.stop_worker()
    stage.strike()
    stage.generate()
    yield from stage.rest()


@fault("worker_died")
def blender_has_no_console(stage: Stage) -> Moves:
    """Blender has no standard output, as on Windows without a console, when the worker dies."""
    yield from stage.perform("Aborts")
    before = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = None

    def back() -> None:
        sys.stdout, sys.stderr = before

    stage.undo.append(back)
    yield from stage.rest()


@fault("interrupted")
def interrupted_from_the_console(stage: Stage) -> Moves:
    """Control C in the terminal of a Blender whose script waits for Generate."""
    # Where the whole run was started in the background, the shell has turned Control C off for it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    stage.undo.append(lambda: signal.signal(signal.SIGINT, before))
    stage.act("Sleeps")
    killer = subprocess.Popen(["sh", "-c", f"sleep 1.5; kill -INT {os.getpid()}"], start_new_session=True)
    try:
        stage.attempt(stage.bpy.ops.facescript.generate, script=DESCRIBED, wait=True)
    except KeyboardInterrupt:
        stage.tell_note("Interrupted, as in any script.")
    killer.wait()
    yield from stage.rest()
    assert not stage.session.busy


@fault(UNHARMED)
def record_changes_under_a_running_worker(stage: Stage) -> Moves:
    """Another Blender's set-up puts a new runtime in use in the same folder while a performance is made."""
    yield from stage.perform("", LONG)
    folder = stage.folder / "runtime "
    record = json.loads((folder / "runtime.json").read_text(encoding="utf-8"))
    (folder / "models-7").mkdir()
    (folder / "runtime.json").write_text(json.dumps(record | {"models": "models-7"}), encoding="utf-8")
    shutil.rmtree(folder / record["models"])
    stage.strike()
    yield from stage.rest()
    stage.generate()
    yield from stage.rest()
