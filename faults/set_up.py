# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults while the runtime is set up: the network, the packages, the computer, and Blender in the middle of it.

After each, Set Up is pressed again in fair weather, and has to end with a runtime that works.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from .fault import STOPPED, UNHARMED, Moves, fault
from .proxy import Weather, serving, unused_address, wait_for
from .stage import PACKAGE, Stage, is_running
from .tiny_runtime import SLOW, TinySetUp, make_certificate, make_wheel

# Where the wheels are, and not the pages of the index.
_FILES = ".whl"


def _in_weather(stage: Stage, weather: Weather) -> Moves:
    """Set up in bad weather, and then in fair."""
    tiny = TinySetUp(stage)
    tiny.server.weather = weather
    stage.strike()
    yield from tiny.run()
    yield from tiny.mend()


@fault("no_network", within=60.0)
def nobody_answers(stage: Stage) -> Moves:
    """Nothing listens at the package index's address."""
    tiny = TinySetUp(stage)
    tiny.use_index(unused_address() + "/simple")
    stage.strike()
    yield from tiny.run()
    tiny.use_index(tiny.server.index)
    yield from tiny.mend()


@fault("no_network", within=60.0)
def name_is_not_found(stage: Stage) -> Moves:
    """The package index's name has no address."""
    tiny = TinySetUp(stage)
    tiny.use_index("http://packages.invalid/simple")
    stage.strike()
    yield from tiny.run()
    tiny.use_index(tiny.server.index)
    yield from tiny.mend()


@fault("no_network", within=60.0)
def proxy_does_not_answer(stage: Stage) -> Moves:
    """HTTP_PROXY and HTTPS_PROXY name a proxy that is not there."""
    tiny = TinySetUp(stage)
    proxy = unused_address()
    names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
    tiny.use_index(tiny.server.index.replace("127.0.0.1", "localhost"), **dict.fromkeys(names, proxy))
    stage.strike()
    yield from tiny.run()
    tiny.use_index(tiny.server.index)
    yield from tiny.mend()


@fault("pip_failed", within=60.0)
def proxy_asks_for_a_password(stage: Stage) -> Moves:
    """The proxy answers every request with 407."""
    tiny = TinySetUp(stage)
    with serving() as proxy:
        proxy.weather = Weather(status=407)
        names = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
        tiny.use_index(tiny.server.index.replace("127.0.0.1", "localhost"), **dict.fromkeys(names, proxy.address))
        stage.strike()
        yield from tiny.run()
    tiny.use_index(tiny.server.index)
    yield from tiny.mend()


@fault("no_network", within=60.0)
def certificate_is_not_trusted(stage: Stage) -> Moves:
    """The package index has a certificate of its own that nobody trusts."""
    certificate = make_certificate(stage.folder)
    if certificate is None:
        stage.skip("openssl is not here")
        return
    tiny = TinySetUp(stage, certificate=certificate)
    stage.strike()
    yield from tiny.run()
    tiny.use_index(tiny.server.index, PIP_CERT=str(certificate), REQUESTS_CA_BUNDLE=str(certificate))
    yield from tiny.mend()


@fault(UNHARMED, "no_network", "pip_failed", within=90.0)
def connection_is_cut_in_every_file(stage: Stage) -> Moves:
    """The connection is reset after 120,000 bytes of each file."""
    yield from _in_weather(stage, Weather(cut_after=120_000, only="fs_"))


@fault(STOPPED, "cancelled")
def server_stalls_and_the_user_cancels(stage: Stage) -> Moves:
    """The server stops in the middle of a file and says nothing more; after 2 s, Cancel."""
    tiny = TinySetUp(stage)
    tiny.server.weather = Weather(stall_after=50_000, only=_FILES)
    tiny.begin()
    yield from stage.until(lambda: any(_FILES in row for row in tiny.server.requests) or not stage.busy, 60.0)
    yield from stage.idle(2.0)
    stage.strike()
    stage.attempt(stage.bpy.ops.facescript.cancel_set_up)
    yield from stage.rest()
    yield from tiny.mend()


@fault("no_network", "pip_failed", within=180.0)
def server_stalls(stage: Stage) -> Moves:
    """The server takes each request for one of the files and says nothing."""
    yield from _in_weather(stage, Weather(stall_after=0, only="fs_torch"))


@fault(UNHARMED, within=90.0)
def server_is_busy_for_a_while(stage: Stage) -> Moves:
    """The server answers the first three requests with 503."""
    yield from _in_weather(stage, Weather(status=503, failures=3))


@fault("no_network", within=90.0)
def server_fails(stage: Stage) -> Moves:
    """The server answers every request with 500."""
    yield from _in_weather(stage, Weather(status=500))


@fault("pip_failed", within=60.0)
def package_is_not_there(stage: Stage) -> Moves:
    """The index does not know one of the packages."""
    tiny = TinySetUp(stage)
    [wheel] = tiny.wheels.glob("fs_packages-*.whl")
    data = wheel.read_bytes()
    wheel.unlink()
    stage.strike()
    yield from tiny.run()
    wheel.write_bytes(data)
    yield from tiny.mend()


@fault("bad_hash", within=60.0)
def package_was_changed(stage: Stage) -> Moves:
    """One byte of each package is another than the lock says."""
    yield from _in_weather(stage, Weather(spoil=True, only=_FILES))


@fault(UNHARMED, "bad_hash", "no_network", "pip_failed", within=90.0)
def server_says_a_wrong_length(stage: Stage) -> Moves:
    """The server says that each file is 1,000 bytes longer than it is, and closes."""
    yield from _in_weather(stage, Weather(lie=1000, only=_FILES))


@fault(UNHARMED, within=90.0)
def server_ignores_where_to_go_on(stage: Stage) -> Moves:
    """A set-up is cancelled in the middle of a file, and the server then gives the whole file again."""
    tiny = TinySetUp(stage)
    tiny.server.weather = Weather(stall_after=50_000, only=_FILES)
    tiny.begin()
    yield from stage.until(lambda: any(_FILES in row for row in tiny.server.requests) or not stage.busy, 60.0)
    yield from stage.idle(0.5)
    stage.attempt(stage.bpy.ops.facescript.cancel_set_up)
    yield from stage.until(lambda: not stage.busy)
    tiny.server.weather = Weather(ignore_range=True)
    stage.strike()
    yield from tiny.run()
    tiny.check_works()


@fault("offline", quick=True)
def network_is_not_allowed(stage: Stage) -> Moves:
    """Blender's Allow Online Access is off, and there is no folder of packages."""
    tiny = TinySetUp(stage)
    stage.strike()
    yield from tiny.run(online=False)


@fault("no_wheels")
def offline_folder_is_gone(stage: Stage) -> Moves:
    """The folder of offline packages is on a disk that was unplugged."""
    tiny = TinySetUp(stage)
    stage.strike()
    yield from tiny.run(online=False, wheels=stage.folder / "unplugged")


@fault("no_wheels", within=60.0)
def offline_folder_lacks_a_package(stage: Stage) -> Moves:
    """The folder of offline packages has all wheels but one."""
    tiny = TinySetUp(stage)
    [wheel] = tiny.wheels.glob("fs_packages-*.whl")
    data = wheel.read_bytes()
    wheel.unlink()
    stage.strike()
    yield from tiny.run(online=False, wheels=tiny.wheels)
    assert stage.told is not None and "packages" in stage.told.message, "it does not say which"
    wheel.write_bytes(data)
    yield from tiny.mend(online=False, wheels=tiny.wheels)


@fault("bad_hash", within=60.0)
def offline_folder_has_a_cut_package(stage: Stage) -> Moves:
    """One of the offline packages is half as long as it should be."""
    tiny = TinySetUp(stage)
    [wheel] = tiny.wheels.glob("fs_torch-*.whl")
    data = wheel.read_bytes()
    wheel.write_bytes(data[: len(data) // 2])
    stage.strike()
    yield from tiny.run(online=False, wheels=tiny.wheels)
    wheel.write_bytes(data)
    yield from tiny.mend(online=False, wheels=tiny.wheels)


@fault("cancelled")
def cancelled_in_every_step(stage: Stage) -> Moves:
    """Cancel in each step of the set-up, one after another, each time going on where it stopped."""
    tiny = TinySetUp(stage, fresh=True)
    names = [step.name for step in stage.module("inference.setup.steps").STEPS]
    for name in names:
        tiny.begin()
        yield from stage.until(
            lambda name=name: not stage.busy or stage.session.setup_progress.step == name,  # type: ignore[misc]
            60.0,
        )
        if not stage.busy:
            break
        stage.strike()
        stage.attempt(stage.bpy.ops.facescript.cancel_set_up)
        yield from stage.rest()
        assert not tiny.usable, "a runtime that is not whole is called usable"
    yield from tiny.mend()


@fault("busy")
def set_up_twice_at_once(stage: Stage) -> Moves:
    """Another process sets the same folder up when Set Up is pressed."""
    tiny = TinySetUp(stage)
    tiny.start.write_text(SLOW, encoding="utf-8")
    other = _other_process(stage, tiny)
    yield from stage.until(lambda: list(tiny.runtime.glob("models-*/pid")), 60.0)
    stage.strike()
    yield from tiny.run()
    _kill_all(other, tiny)
    yield from _mend_quickly(tiny)


@fault("busy", UNHARMED)
def blender_is_killed_while_fetching(stage: Stage) -> Moves:
    """SIGKILL to another Blender in the middle of a file; then Set Up is pressed here."""
    tiny = TinySetUp(stage)
    tiny.server.weather = Weather(rate=20_000.0, only=_FILES)
    other = _other_process(stage, tiny)
    yield from stage.until(lambda: sum(_FILES in row for row in tiny.server.requests) > 1, 60.0)
    stage.strike()
    other.kill()
    other.wait()
    assert not tiny.usable, "a runtime that is not whole is called usable"
    # A pip that outlived its Blender keeps others out until it ends.
    tiny.server.weather = Weather()
    yield from stage.idle(3.0)
    yield from tiny.mend()


@fault("busy")
def blender_is_killed_while_preparing(stage: Stage) -> Moves:
    """SIGKILL to another Blender while its child prepares the model and lives on; then Set Up here, and once more."""
    tiny = TinySetUp(stage)
    tiny.start.write_text(SLOW, encoding="utf-8")
    other = _other_process(stage, tiny)
    yield from stage.until(lambda: list(tiny.runtime.glob("models-*/pid")), 60.0)
    other.kill()
    other.wait()
    stage.strike()
    yield from tiny.run()
    _kill_all(other, tiny)
    yield from _mend_quickly(tiny)


def _mend_quickly(tiny: TinySetUp) -> Moves:
    fresh = tiny.folder / "quick.py"
    fresh.write_text(type(tiny).__init__.__globals__["PREPARE"], encoding="utf-8")
    yield from tiny.mend(start=fresh)


def _other_process(stage: Stage, tiny: TinySetUp) -> subprocess.Popen[bytes]:
    """Another process that sets up the same folder, as another Blender does."""
    options = tiny.options()
    code = f"""
from pathlib import Path, PosixPath, WindowsPath
from facescript.inference.setup.runtime import Runtime
from facescript.inference.setup.setting_up import set_up
from facescript.inference.setup.steps import SetupOptions
for event in set_up(Runtime(Path({str(tiny.runtime)!r})), {options!r}):
    pass
"""
    process = subprocess.Popen(
        [str(stage.settings.python), "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    stage.undo += [process.wait, process.kill]
    return process


def _kill_all(other: subprocess.Popen[bytes], tiny: TinySetUp) -> None:
    other.kill()
    other.wait()
    for path in tiny.runtime.glob("models-*/pid"):
        pid = int(path.read_text() or 0)
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda pid=pid: not is_running(pid))  # type: ignore[misc]


def _with_start(stage: Stage, code: str) -> Moves:
    tiny = TinySetUp(stage)
    tiny.start.write_text(code, encoding="utf-8")
    stage.strike()
    yield from tiny.run()
    yield from _mend_quickly(tiny)


@fault("odd", within=60.0)
def self_test_fails(stage: Stage) -> Moves:
    """The model's preparation says that its test went wrong."""
    words = {"event": "error", "code": "odd", "message": "The self-test gave no pose.", "hint": "Press Repair."}
    yield from _with_start(stage, f"import json; print(json.dumps({words!r}), flush=True)")


@fault("killed", within=60.0)
def memory_runs_out_while_preparing(stage: Stage) -> Moves:
    """The preparation of the model is killed (SIGKILL)."""
    yield from _with_start(stage, "import os; os.kill(os.getpid(), 9)")


@fault("prepare_failed", within=60.0)
def preparation_prints_nonsense(stage: Stage) -> Moves:
    """The preparation prints 20 MB without a line end, binary data and half of an event, and ends well."""
    code = 'import os\nfor _ in range(20): os.write(1, bytes(range(1, 256)) * 4096)\nprint(\'{"event": "do\')'
    yield from _with_start(stage, code)


@fault("prepare_failed", within=60.0)
def model_is_not_left(stage: Stage) -> Moves:
    """The preparation says that it is done, and there is no model."""
    yield from _with_start(stage, 'print(\'{"event": "done", "quantization": "fp32", "selftest": {}}\')')


@fault("not_python")
def blenders_python_is_no_python(stage: Stage) -> Moves:
    """The program that should be Blender's Python is another one."""
    tiny = TinySetUp(stage)
    fake = stage.folder / "python3"
    fake.write_text("#!/bin/sh\necho Hello\n", encoding="utf-8")
    fake.chmod(0o755)
    stage.strike()
    yield from tiny.run(base_python=fake)
    yield from tiny.mend()


@fault(UNHARMED, within=60.0)
def variables_that_lead_pip_astray(stage: Stage) -> Moves:
    """PIP_TARGET, PIP_PREFIX, PIP_USER, PIP_REQUIRE_VIRTUALENV, PYTHONPATH and PYTHONHOME are set."""
    tiny = TinySetUp(stage)
    nowhere = str(stage.folder / "astray")
    names = ("PIP_TARGET", "PIP_PREFIX", "PYTHONPATH", "PYTHONHOME")
    stage.set_variables(dict.fromkeys(names, nowhere) | {"PIP_USER": "1", "PIP_DRY_RUN": "1", "PIP_NO_DEPS": "1"})
    stage.strike()
    yield from tiny.run()
    tiny.check_works()
    assert not Path(nowhere).exists(), "something was put elsewhere"


@fault("pip_failed", within=60.0)
def update_fails_over_a_runtime_that_works(stage: Stage) -> Moves:
    """A runtime works; an update of it asks for a package that is not there; the old one has to stay in use."""
    tiny = TinySetUp(stage)
    yield from tiny.run()
    tiny.check_works()
    before = tiny.record
    old = tiny.requirements
    tiny.requirements = tiny.folder / "newer"
    tiny.requirements.mkdir()
    tiny.write_requirements("99.0", "2.0")
    stage.told = None
    stage.strike()
    yield from tiny.run()
    assert tiny.record == before, "the record was changed"
    tiny.requirements = old
    tiny.check_works()
    yield from tiny.mend()


@fault(UNHARMED, "cancelled")
def extension_is_disabled_while_setting_up(stage: Stage) -> Moves:
    """The extension is disabled in the middle of a set-up, and enabled again."""
    tiny = TinySetUp(stage)
    tiny.server.weather = Weather(rate=50_000.0, only=_FILES)
    tiny.begin()
    yield from stage.until(lambda: any(_FILES in row for row in tiny.server.requests) or not stage.busy, 60.0)
    stage.strike()
    stage.bpy.ops.preferences.addon_disable(module=PACKAGE)
    stage.bpy.ops.preferences.addon_enable(module=PACKAGE)
    stage.use(stage.usual(False))
    yield from stage.idle(1.0)
    assert not tiny.usable, "a runtime that is not whole is called usable"
    yield from tiny.mend()


@fault(UNHARMED, within=90.0)
def file_is_opened_while_setting_up(stage: Stage) -> Moves:
    """Another file is opened in the middle of a set-up, which goes on."""
    tiny = TinySetUp(stage)
    tiny.server.weather = Weather(rate=200_000.0, only=_FILES)
    tiny.begin()
    yield from stage.until(lambda: any(_FILES in row for row in tiny.server.requests) or not stage.busy, 60.0)
    stage.bpy.ops.wm.open_mainfile(filepath=stage.bpy.data.filepath, load_ui=False)
    stage.strike()
    yield from stage.rest()
    tiny.check_works()


@fault(UNHARMED, within=60.0)
def set_up_is_pressed_when_all_is_there(stage: Stage) -> Moves:
    """Set Up is pressed again and again over a runtime that works, with nobody answering at the index."""
    tiny = TinySetUp(stage)
    yield from tiny.run()
    tiny.use_index(unused_address() + "/simple")
    stage.strike()
    for _ in range(5):
        tiny.begin()
        yield from stage.rest()
    tiny.check_works()


@fault("bad_hash", within=60.0)
def another_package_is_in_the_wheel(stage: Stage) -> Moves:
    """Under a package's name the server gives the wheel of another."""
    tiny = TinySetUp(stage)
    [wheel] = tiny.wheels.glob("fs_torch-*.whl")
    right = wheel.read_bytes()
    other = make_wheel(stage.folder, "fs_evil")
    wheel.write_bytes(other.read_bytes())
    stage.strike()
    yield from tiny.run()
    wheel.write_bytes(right)
    yield from tiny.mend()
