# SPDX-License-Identifier: GPL-3.0-or-later
"""The private runtime: real environments and a real pip, with tiny wheels in place of the large ones."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from facescript.faults.small_disk import can_mount, small_disk
from facescript.inference.setup import setting_up as runtime_setup
from facescript.inference.setup import steps as setup_steps
from facescript.inference.setup.child_process import ChildProcess
from facescript.inference.setup.locks import Target
from facescript.inference.setup.pip_progress import PipProgress, pip_error
from facescript.inference.setup.runtime import Runtime, child_environment, locked, remove, write_json
from facescript.inference.setup.setting_up import SetupEvent, SetupJob, set_up
from facescript.inference.setup.work import SetupOptions, Work
from facescript.performance import FacescriptError

ROOT = Path(__file__).resolve().parents[3]

PREPARE = """
import json, pathlib, sys
models = pathlib.Path(sys.argv[3])
models.mkdir(exist_ok=True)
import fs_torch, fs_packages, fs_model
print("a warning in between", file=sys.stderr)
print(json.dumps({"event": "progress", "fraction": 0.5, "message": "Half of it"}), flush=True)
(models / "model.safetensors").write_bytes(b"weights")
print(json.dumps({"event": "done", "quantization": "nf4", "selftest": {"seconds": 1.5}}), flush=True)
"""
SLOW = """
import os, pathlib, sys, time
models = pathlib.Path(sys.argv[3])
models.mkdir(exist_ok=True)
models.joinpath("pid").write_text(str(os.getpid()))
time.sleep(60)
"""


def _wheel(folder: Path, name: str, version: str = "1.0") -> str:
    """Make a tiny wheel; its row for a lock."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in files) + f"{info}/RECORD,,\n"
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for path, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(path, text)
    data = (folder / f"{name}-{version}-py3-none-any.whl").read_bytes()
    return f"{name}=={version} \\\n    --hash=sha256:{hashlib.sha256(data).hexdigest()}\n"


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> SetupOptions:
    """Set-up with tiny wheels from a folder, and a preparation that takes no time."""
    folder = tmp_path_factory.mktemp("small")
    wheels, requirements = folder / "wheels", folder / "requirements"
    wheels.mkdir()
    requirements.mkdir()
    rows = {name: _wheel(wheels, f"fs_{name}") for name in ("torch", "packages", "model")}
    for lock in ("cpu", "cuda", "macos"):
        (requirements / f"{lock}.lock").write_text(f"# {lock}\n{rows['torch']}{rows['packages']}", encoding="utf-8")
    # Another row, so that what is made for an NVIDIA GPU is another thing.
    (requirements / "cuda.lock").open("a", encoding="utf-8").write("fs_cuda==1.0 ; sys_platform == 'none'\n")
    (requirements / "model.lock").write_text(rows["model"], encoding="utf-8")
    # Not among the wheels: the pip that Python brought has to do.
    (requirements / "pip.lock").write_text(f"pip==99.0 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    start = folder / "start.py"
    start.write_text(PREPARE, encoding="utf-8")
    return SetupOptions(
        base_python=Path(sys.executable), online=False, wheels=wheels, requirements=requirements, start=start
    )


@pytest.fixture(autouse=True)
def _room(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type("usage", (), {"total": 10**12, "used": 0, "free": 10**12})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)


@pytest.fixture(scope="module")
def template(options: SetupOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole runtime, made once in a folder with a difficult name under hostile variables."""
    folder = tmp_path_factory.mktemp("user") / "Ünïcödé 顔 with spaces" / "runtime"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder / "nonsense"))
        patch.setenv("PYTHONHOME", str(folder / "nonsense"))
        patch.setenv("PIP_TARGET", str(folder / "elsewhere"))
        usage = type("usage", (), {"free": 10**12})
        patch.setattr(shutil, "disk_usage", lambda path: usage)
        events = list(set_up(Runtime(folder), options))
    folder.with_name("events.json").write_text(json.dumps([[e.step, e.fraction, e.message] for e in events]))
    return folder


@pytest.fixture
def runtime(template: Path, tmp_path: Path) -> Runtime:
    """A copy of the whole runtime for one test to change."""
    return Runtime(Path(shutil.copytree(template, tmp_path / "ä copy", symlinks=True)))


@pytest.fixture
def bare(template: Path, tmp_path: Path) -> Runtime:
    """A runtime whose set-up was interrupted after the environment was made (which takes the longest here)."""
    folder = Path(shutil.copytree(template, tmp_path / "bare", symlinks=True))
    shutil.rmtree(folder / "models-1")
    (folder / "runtime.json").unlink()
    for path in list(folder.glob("env-1/lib/python3*/site-packages/fs_*")):
        shutil.rmtree(path)
    return Runtime(folder)


def _journal(runtime: Runtime, options: SetupOptions, *done: str) -> None:
    """The journal that a set-up leaves which was interrupted after the steps `done`."""
    steps = set_up(runtime, options)
    next(steps)
    steps.close()
    entry = json.loads(runtime.journal_path.read_text())
    write_json(runtime.journal_path, {**entry, "env": "env-1", "done": list(done)})
    shutil.rmtree(runtime.folder / "env-2", ignore_errors=True)


@pytest.fixture
def interrupted(bare: Runtime, options: SetupOptions) -> Runtime:
    """As `bare`, with its journal."""
    env = bare.folder / "env-1"
    aside = env.rename(bare.folder / "aside")
    _journal(bare, options, "venv", "pip")
    aside.rename(env)
    return bare


def _code(runtime: Runtime, options: SetupOptions) -> FacescriptError:
    with pytest.raises(FacescriptError) as caught:
        list(set_up(runtime, options))
    return caught.value


def _start(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "other_start.py"
    path.write_text(text, encoding="utf-8")
    return path


def _steps(events: list[SetupEvent]) -> list[str]:
    return list(dict.fromkeys(event.step for event in events))


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] if os.path.isdir("/proc") else ""
        os.kill(pid, 0)
    except (OSError, IndexError):
        return False
    return state != "Z"


def _wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def _pid_of_preparation(runtime: Runtime) -> int:
    """The process number that SLOW leaves, once it is there."""
    _wait_for(lambda: any(path.read_text() for path in runtime.folder.glob("models-*/pid")))
    return int(next(runtime.folder.glob("models-*/pid")).read_text())


# --- the whole way ------------------------------------------------------------------------------------------


def test_set_up_from_nothing(template: Path, options: SetupOptions) -> None:
    events = [SetupEvent(*row) for row in json.loads(template.with_name("events.json").read_text())]
    assert _steps(events) == ["check", "venv", "pip", "fetch", "packages", "model", "prepare", "done"]
    fractions = [event.fraction for event in events]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert any(event.message == "Half of it" for event in events)
    runtime = Runtime(template)
    assert runtime.state(options.requirements).kind == "ready"
    assert runtime.quantization == "nf4"
    record = runtime.record()
    assert record and record.selftest == {"seconds": 1.5}
    assert (runtime.models / "model.safetensors").is_file()
    assert sorted(path.name for path in template.iterdir()) == ["env-1", "models-1", "runtime.json", "setup.lock"]
    code = "import fs_torch, sys; print(sys.prefix, sys.flags.isolated)"
    answer = subprocess.run(
        [runtime.python, "-I", "-X", "utf8", "-c", code], env=child_environment(), capture_output=True, check=True
    )
    assert str(template / "env-1") in answer.stdout.decode()


def test_ready_means_nothing_to_do(runtime: Runtime, options: SetupOptions) -> None:
    assert [event.step for event in set_up(runtime, options)] == ["done"]


def test_only_the_models_are_made_anew_when_only_they_changed(
    runtime: Runtime, options: SetupOptions, tmp_path: Path
) -> None:
    requirements = Path(shutil.copytree(options.requirements, tmp_path / "requirements"))
    wheels = Path(shutil.copytree(options.wheels or Path(), tmp_path / "wheels"))
    (requirements / "model.lock").write_text(_wheel(wheels, "fs_model", "2.0"))
    newer = replace(options, requirements=requirements, wheels=wheels)
    assert runtime.state(requirements).kind == "outdated"
    assert runtime.state(requirements).usable
    assert _steps(list(set_up(runtime, newer))) == ["check", "fetch", "model", "prepare", "done"]
    assert runtime.state(requirements).kind == "ready"
    assert (runtime.python.parent.parent.name, runtime.models.name) == ("env-1", "models-2")
    assert not (runtime.folder / "models-1").exists()


def test_a_failed_update_leaves_the_old_runtime_in_use(runtime: Runtime, options: SetupOptions, tmp_path: Path) -> None:
    requirements = Path(shutil.copytree(options.requirements, tmp_path / "requirements"))
    wheels = Path(shutil.copytree(options.wheels or Path(), tmp_path / "wheels"))
    (wheels / "fs_broken-1.0-py3-none-any.whl").write_bytes(b"no zip")
    row = f"fs_broken==1.0 --hash=sha256:{hashlib.sha256(b'no zip').hexdigest()}\n"
    (requirements / "cpu.lock").write_text(row)
    before = runtime.record_path.read_bytes()
    error = _code(runtime, replace(options, requirements=requirements, wheels=wheels))
    assert error.code == "pip_failed"
    assert "fs_broken" in error.message or "fs-broken" in error.message
    assert runtime.record_path.read_bytes() == before
    assert runtime.state(options.requirements).kind == "ready"
    assert runtime.state(requirements).usable
    assert (runtime.folder / "env-2").is_dir()
    # Going back to what is in use clears away what failed.
    assert [event.step for event in set_up(runtime, options)] == ["done"]
    assert not (runtime.folder / "env-2").exists()


def test_a_python_that_is_gone_is_noticed_and_repaired(runtime: Runtime, options: SetupOptions) -> None:
    (runtime.folder / "env-1/pyvenv.cfg").write_text("home = /nowhere/at/all\n")
    state = runtime.state(options.requirements)
    assert (state.kind, state.usable) == ("incomplete", False)
    assert "venv" in _steps(list(set_up(runtime, options)))
    assert runtime.state(options.requirements).kind == "ready"
    assert runtime.python.parent.parent.name == "env-2"


# --- interruptions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["fetch", "packages", "model", "prepare"])
def test_stopped_before_a_step_it_goes_on_there(interrupted: Runtime, options: SetupOptions, step: str) -> None:
    events = set_up(interrupted, options)
    seen = next(event for event in events if event.step == step)
    assert seen.fraction < 1.0
    events.close()
    assert interrupted.state(options.requirements).kind == "incomplete"
    # What is fetched is looked at each time.
    steps = ["packages", "model", "prepare"]
    left = steps[steps.index(step) :] if step in steps else steps
    assert _steps(list(set_up(interrupted, options))) == ["check", "fetch", *left, "done"]
    assert interrupted.state(options.requirements).kind == "ready"


def test_a_half_made_environment_is_made_again(tmp_path: Path, options: SetupOptions) -> None:
    runtime = Runtime(tmp_path / "runtime")
    events = set_up(runtime, options)
    assert next(event for event in events if event.step == "venv")
    events.close()
    (runtime.folder / "env-1/bin").mkdir(parents=True, exist_ok=True)
    (runtime.folder / "env-1/bin/python").write_text("not yet a program")
    assert _steps(list(set_up(runtime, options)))[:2] == ["check", "venv"]
    assert runtime.state(options.requirements).kind == "ready"


def test_a_half_installed_package_is_installed_again(interrupted: Runtime, options: SetupOptions) -> None:
    events = set_up(interrupted, options)
    next(event for event in events if event.step == "packages")
    events.close()
    (site,) = (interrupted.folder / "env-1/lib").glob("python3*/site-packages")
    # As a kill leaves it in the middle of unpacking: metadata there, files and INSTALLER not.
    half = site / "fs_packages-1.0.dist-info"
    half.mkdir()
    (half / "METADATA").write_text("Metadata-Version: 2.1\nName: fs_packages\nVersion: 1.0\n")
    list(set_up(interrupted, options))
    assert (site / "fs_packages/__init__.py").is_file()
    assert (half / "INSTALLER").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="kills by POSIX signals")
def test_killed_with_its_child_at_work(interrupted: Runtime, options: SetupOptions, tmp_path: Path) -> None:
    slow = _start(tmp_path, SLOW)
    driver = tmp_path / "driver.py"
    driver.write_text(
        f"""
import importlib.util, pathlib, sys
root = pathlib.Path({str(ROOT)!r})
places = [str(root)]
spec = importlib.util.spec_from_file_location("facescript", root / "__init__.py", submodule_search_locations=places)
sys.modules["facescript"] = module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from facescript.inference.setup.runtime import Runtime
from facescript.inference.setup.setting_up import set_up
from facescript.inference.setup.work import SetupOptions
P = pathlib.Path
options = SetupOptions(P({str(options.base_python)!r}), False, P({str(options.wheels)!r}),
    requirements=P({str(options.requirements)!r}), start=P({str(slow)!r}))
for event in set_up(Runtime(P({str(interrupted.folder)!r})), options):
    print(event, flush=True)
""",
        encoding="utf-8",
    )
    process = subprocess.Popen([sys.executable, str(driver)], stdout=subprocess.DEVNULL)
    orphan = 0
    try:
        orphan = _pid_of_preparation(interrupted)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert interrupted.state(options.requirements).kind == "incomplete"
        # The child outlived its parent and may still write: it keeps the others out until it ends.
        assert _is_running(orphan)
        assert _code(interrupted, options).code == "busy"
    finally:
        process.kill()
        process.wait()
        if orphan:
            os.kill(orphan, signal.SIGKILL)
    _wait_for(lambda: not _is_running(orphan))
    assert _steps(list(set_up(interrupted, options))) == ["check", "fetch", "prepare", "done"]
    assert interrupted.state(options.requirements).kind == "ready"


def test_cancelled_inside_a_step(interrupted: Runtime, options: SetupOptions, tmp_path: Path) -> None:
    job = SetupJob(partial(set_up, interrupted, replace(options, start=_start(tmp_path, SLOW))))
    child = _pid_of_preparation(interrupted)
    assert job.running
    begin = time.monotonic()
    job.cancel()
    job.join(10.0)
    assert time.monotonic() - begin < 5.0
    assert job.error is not None and job.error.code == "cancelled"
    assert not _is_running(child)
    assert [event.step for event in job.poll()][-1] == "prepare"
    again = SetupJob(partial(set_up, interrupted, options))
    again.join(60.0)
    assert again.error is None
    assert again.poll()[-1].step == "done"
    assert interrupted.state(options.requirements).kind == "ready"


@pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell")
def test_grandchildren_end_too_and_cannot_hold_us_up(tmp_path: Path) -> None:
    command = ["/bin/sh", "-c", "sleep 60 & echo $!; exit 3"]
    begin = time.monotonic()
    with ChildProcess(command, child_environment(), tmp_path) as child:
        (line,) = list(child.lines())
    assert child.status == 3
    assert time.monotonic() - begin < 10.0
    _wait_for(lambda: not _is_running(int(line)), 5.0)


# --- refusals -----------------------------------------------------------------------------------------------


def test_offline_is_refused_with_the_way_out(tmp_path: Path, options: SetupOptions) -> None:
    error = _code(Runtime(tmp_path / "r"), replace(options, wheels=None))
    assert error.code == "offline"
    assert "Allow Online Access" in error.hint


def test_refusals_before_anything_is_made(
    tmp_path: Path, options: SetupOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime = Runtime(tmp_path / "r")
    fake = tmp_path / "python-fake"
    fake.write_text("#!/bin/sh\necho hello\n")
    fake.chmod(0o755)
    blender = tmp_path / "blender"
    blender.write_text("#!/bin/sh\ntouch started\n")
    blender.chmod(0o755)
    assert _code(runtime, replace(options, wheels=tmp_path / "none")).code == "no_wheels"
    assert _code(runtime, replace(options, base_python=blender)).code == "not_python"
    assert not list(tmp_path.rglob("started"))
    assert _code(runtime, replace(options, base_python=tmp_path / "python3")).code == "not_python"
    assert _code(runtime, replace(options, base_python=fake)).code == "not_python"
    error = _code(runtime, replace(options, python=runtime_python(options)))
    assert error.code == "bad_python"
    small = type("usage", (), {"free": 10**8})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: small)
    error = _code(runtime, options)
    assert error.code == "no_disk"
    assert "0.1 GB are free" in error.message
    assert not list((tmp_path / "r").glob("env-*"))
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "r"):
        error = _code(Runtime(place), options)
        assert error.code == "no_folder"
        assert f"There is a file where the folder of the runtime should be: {tmp_path / 'file'}." in error.message
    assert _code(Runtime(tmp_path / ("long" * 80)), options).code == "long_path"


@pytest.mark.skipif(not can_mount(), reason="needs the right to mount a small disk")
def test_a_disk_that_is_full_or_cannot_be_written(options: SetupOptions, tmp_path: Path) -> None:
    with small_disk(1 << 20, tmp_path, read_only=True) as disk:
        error = _code(Runtime(disk.path / "r"), options)
        assert error.code == "no_permission"
        assert str(disk.path) in error.message and "another folder" in error.hint
    with small_disk(1 << 20, tmp_path) as disk:
        error = _code(Runtime(disk.path / "r"), options)
        assert error.code == "no_disk"
        assert "goes on where it stopped" in error.hint or "Free some space" in error.hint
        assert Runtime(disk.path / "r").state(options.requirements).kind == "incomplete"


def runtime_python(options: SetupOptions) -> Path:
    """A Python without the packages of the runtime."""
    return Path(getattr(sys, "_base_executable", "") or options.base_python)


def test_an_existing_environment(
    runtime: Runtime, options: SetupOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(setup_steps, "_MODULES", ["fs_torch"])
    other = Runtime(tmp_path / "other")
    existing = replace(options, python=runtime.python, wheels=None, online=False)
    assert _steps(list(set_up(other, existing))) == ["check", "prepare", "done"]
    assert other.python == runtime.python
    assert other.state(options.requirements).kind == "ready"
    assert not list(other.folder.glob("env-*"))
    remove(other)
    assert runtime.python.is_file()


def test_another_accelerator_is_another_runtime(runtime: Runtime, options: SetupOptions) -> None:
    assert runtime.state(options.requirements, "cpu").kind == "ready"
    state = runtime.state(options.requirements, "cuda")
    assert (state.kind, state.usable) == ("outdated", True)
    assert state.sentence.startswith(
        "The runtime was made for the processor, and an NVIDIA GPU is chosen. Press Set Up"
    )
    events = set_up(runtime, replace(options, accelerator="cuda"))
    assert next(event for event in events if event.step == "venv")
    events.close()
    assert runtime.state(options.requirements, "cpu").kind == "ready"


def test_nvidia_on_windows_with_python_3_11_is_refused() -> None:
    options = SetupOptions(accelerator="cuda")
    work = Work(options, Path(), Path(), Path(), Path(), target=Target((3, 11), "win32", "AMD64"))
    with pytest.raises(
        FacescriptError, match=r"no PyTorch for an NVIDIA GPU here \(win32, AMD64, Python 3\.11\)"
    ) as caught:
        work.wanted()
    assert caught.value.code == "no_torch" and "Choose Processor" in caught.value.hint
    work.target = Target((3, 13), "win32", "AMD64")
    assert {pin.version for pin in work.wanted() if pin.name == "torch"} == {"2.13.0+cu130"}


def test_versions_of_the_extension_share_a_folder(
    runtime: Runtime, options: SetupOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other Blender" / "facescript"
    theirs = Path(shutil.copytree(options.requirements, other / "inference" / "requirements"))
    with monkeypatch.context() as patch:
        patch.setattr(runtime_setup, "PACKAGE", other)
        list(set_up(runtime, replace(options, requirements=theirs)))
    requirements = Path(shutil.copytree(options.requirements, tmp_path / "requirements"))
    wheels = Path(shutil.copytree(options.wheels or Path(), tmp_path / "wheels"))
    (requirements / "model.lock").write_text(_wheel(wheels, "fs_model", "2.0"))
    newer = replace(options, requirements=requirements, wheels=wheels)
    list(set_up(runtime, newer))
    # Each has its own, and neither is told to set up again.
    for folder, models in ((requirements, "models-2"), (theirs, "models-1")):
        record = runtime.record(folder)
        assert record and record.models == models and (runtime.folder / models).is_dir()
        assert runtime.state(folder).kind == "ready"
    assert [event.step for event in set_up(runtime, newer)] == ["done"]
    assert runtime.state(theirs).kind == "ready"
    # The other is updated too: what only it used goes.
    (theirs / "model.lock").write_text((requirements / "model.lock").read_text())
    list(set_up(runtime, newer))
    assert not (runtime.folder / "models-1").exists()
    assert runtime.other_record_paths() == []
    assert runtime.state(theirs).kind == "ready"


def test_a_worker_keeps_what_it_works_from(runtime: Runtime, options: SetupOptions, tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT.parent)!r}); from facescript.inference.setup.in_use import hold; "
    code += f"print(hold(__import__('pathlib').Path({str(runtime.models)!r})), flush=True); input()"
    worker = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        assert worker.stdout and worker.stdout.readline() == "True\n"
        with pytest.raises(FacescriptError) as caught:
            remove(runtime)
        assert caught.value.code == "in_use"
        assert runtime.state(options.requirements).kind == "ready"
        requirements = Path(shutil.copytree(options.requirements, tmp_path / "requirements"))
        wheels = Path(shutil.copytree(options.wheels or Path(), tmp_path / "wheels"))
        (requirements / "model.lock").write_text(_wheel(wheels, "fs_model", "2.0"))
        list(set_up(runtime, replace(options, requirements=requirements, wheels=wheels)))
        assert (runtime.folder / "models-1" / "model.safetensors").is_file()
    finally:
        worker.kill()
        worker.wait()
    remove(runtime)
    assert not runtime.folder.exists()


def test_an_interrupted_set_up_says_how_much_is_here(tmp_path: Path) -> None:
    runtime = Runtime(tmp_path / "r")
    runtime.wheels.mkdir(parents=True)
    write_json(
        runtime.journal_path, {"key": "", "env": "env-1", "models": "models-1", "done": [], "bytes": 420_000_000}
    )
    with (runtime.wheels / "torch.whl.part").open("wb") as file:
        file.truncate(210_000_000)
    assert runtime.state().sentence == (
        "Set-up was interrupted. Press Set Up to go on where it stopped (210 of 420 MB are here)."
    )


def test_two_at_once(runtime: Runtime, options: SetupOptions) -> None:
    with locked(runtime.folder):
        assert _code(runtime, replace(options, repair=True)).code == "busy"
        with pytest.raises(FacescriptError, match="at work"):
            remove(runtime)
    assert runtime.state(options.requirements).kind == "ready"


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (
            'print(\'{"event": "error", "code": "bad_model", "message": "M.", "hint": "H."}\'); raise SystemExit(1)',
            "bad_model",
            "M.",
        ),
        ("raise ValueError('no such kernel')", "prepare_failed", "no such kernel"),
        ("print('all fine')", "prepare_failed", "all fine"),
        ("pass", "prepare_failed", "without a word"),
        ('print(\'{"event": "done", "quantization": 7, "selftest": [1]}\')', "prepare_failed", "no model"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed", "memory"),
        ("print('[' * 100000); print('{' * 5)", "prepare_failed", "{{{{{"),
    ],
)
def test_a_preparation_that_fails_says_why(
    interrupted: Runtime, options: SetupOptions, tmp_path: Path, text: str, code: str, words: str
) -> None:
    list_done = json.loads(interrupted.journal_path.read_text())
    write_json(interrupted.journal_path, {**list_done, "done": ["venv", "pip", "packages", "model"]})
    error = _code(interrupted, replace(options, start=_start(tmp_path, text)))
    assert error.code == code
    assert words in error.message
    assert interrupted.state(options.requirements).kind == "incomplete"


# --- small parts --------------------------------------------------------------------------------------------


def test_states_before_set_up(tmp_path: Path) -> None:
    runtime = Runtime(tmp_path / "r")
    assert runtime.state().kind == "missing"
    with pytest.raises(FacescriptError, match="not set up"):
        _ = runtime.python
    remove(runtime)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[1]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"complete": true}',
        b'{"complete": true, "models": "../../home", "env": "env-1"}',
        b'{"complete": true, "models": "models-1", "env": "/usr"}',
        b'{"complete": true, "models": 7, "env": "env-1"}',
        b'{"complete": false, "models": "models-1", "env": "env-1"}',
    ],
)
def test_a_damaged_record_is_an_incomplete_runtime(runtime: Runtime, text: bytes) -> None:
    runtime.record_path.write_bytes(text)
    assert runtime.record() is None
    assert runtime.state().kind == "incomplete"


def test_remove_takes_nothing_that_is_not_its_own(runtime: Runtime, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("")
    (runtime.folder / "env-7").symlink_to(outside, target_is_directory=True)
    (runtime.folder / "notes.txt").write_text("mine")
    (runtime.folder / "env-mine").mkdir()
    remove(runtime)
    assert sorted(path.name for path in runtime.folder.iterdir()) == ["env-mine", "notes.txt"]
    assert (outside / "kept").exists()
    assert runtime.state().kind == "missing"


def test_child_environment_is_clean() -> None:
    base = {
        "PYTHONHOME": "/b",
        "PYTHONPATH": "/p",
        "PATH": "/bin",
        "HTTPS_PROXY": "http://proxy:1",
        "VIRTUAL_ENV": "/v",
    }
    found = child_environment(base)
    assert found == {
        "PATH": "/bin",
        "HTTPS_PROXY": "http://proxy:1",
        "PYTHONUTF8": "1",
        "PYTHONNOUSERSITE": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    assert base["PYTHONHOME"] == "/b"


def test_progress_follows_pips_bytes() -> None:
    progress = PipProgress(200e6)
    lines = [
        "Collecting torch==2.13.0",
        "  Downloading torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl (100.0 MB)",
        "Progress 0 of 100000000",
        "Progress 50000000 of 100000000",
        "Progress 100000000 of 100000000",
        "Collecting sympy (from torch==2.13.0)",
        "  Using cached sympy-1.14.0-py3-none-any.whl (100.0 MB)",
        "Progress 1 of 100000000",
        "Installing collected packages: sympy, torch",
        "Successfully installed sympy-1.14.0 torch-2.13.0",
    ]
    found = [news for line in lines if (news := progress.feed(line))]
    fractions = [fraction for fraction, _ in found]
    assert fractions == sorted(fractions)
    assert found[3] == (
        pytest.approx(0.2),
        "Fetching torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl (50 of 100 MB)",
    )
    assert fractions[4] == pytest.approx(0.4)
    assert found[-1] == (0.85, "Unpacking 2 packages")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "no_disk"),
        ("WARNING: Retrying after connection broken by 'NewConnectionError(...)': /simple/torch/", "no_network"),
        ("ERROR: ... SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]')", "no_network"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "bad_hash"),
        ("ERROR: Could not install packages due to an OSError: [Errno 13] Permission denied", "no_permission"),
        ("ERROR: No matching distribution found for torch==2.13.0", "pip_failed"),
    ],
)
def test_pips_errors_are_told_apart(line: str, code: str) -> None:
    error = pip_error("torch", 1, ["Collecting torch", line])
    assert error.code == code
    assert error.hint
    assert pip_error("torch", -9, []).code == "killed"


def test_a_lock_that_was_removed_before_it_was_taken_is_taken_anew(tmp_path: Path) -> None:
    lock, opened = tmp_path / "setup.lock", []

    def removed_meanwhile(descriptor: int) -> None:
        # Whoever held it before removes it now, once.
        if not opened:
            lock.unlink()
        opened.append(descriptor)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("facescript.inference.setup.runtime._lock", removed_meanwhile)
        with locked(tmp_path):
            assert len(opened) == 2 and lock.exists()


def test_removing_a_runtime_removes_its_lock_while_it_is_held(tmp_path: Path) -> None:
    runtime = Runtime(tmp_path / "runtime")
    runtime.folder.mkdir()
    with locked(runtime.folder):
        pass
    remove(runtime)
    assert not runtime.folder.exists()
