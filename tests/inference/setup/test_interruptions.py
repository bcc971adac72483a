# SPDX-License-Identifier: GPL-3.0-or-later
"""Set-up killed by SIGKILL at many points, over a runtime that works and over none, and then run again."""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from facescript.faults.proxy import Proxy, Weather, serving
from facescript.faults.tiny_runtime import PREPARE, make_wheel, sha256
from facescript.inference.setup.runtime import Runtime, child_environment

DRIVER = Path(__file__).with_name("interrupting.py")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="kills by POSIX signals"),
]

# Where a set-up is killed: the point, which occurrence of it, and whether what it runs is killed with it.
POINTS = [
    ("step check", 1, False),
    ("before replace setup.json", 1, False),
    ("after replace setup.json", 1, False),
    ("line of python", 1, False),
    ("step venv", 1, False),
    ("half an environment", 1, False),
    ("before replace setup.json", 2, False),
    ("step pip", 1, False),
    ("line of pip config", 1, True),
    ("step fetch", 1, False),
    ("bytes of fs_torch", 1, False),
    ("bytes of fs_torch", 3, False),
    ("all bytes of fs_torch", 1, False),
    ("before replace fs_torch-1.0-py3-none-any.whl", 1, False),
    ("after replace fs_torch-1.0-py3-none-any.whl", 1, False),
    ("bytes of fs_packages", 2, False),
    ("before replace fs_model-1.0-py3-none-any.whl", 1, False),
    ("step packages", 1, False),
    ("line of pip install", 1, True),
    ("line of pip install", 2, False),
    ("line of pip install", 4, True),
    ("end of pip install", 1, False),
    ("step model", 1, False),
    ("line of pip install", 5, False),
    ("step prepare", 1, False),
    ("line of python", 2, True),
    ("end of python", 2, False),
    ("before replace runtime.json", 1, False),
    ("after replace runtime.json", 1, False),
    ("before sweep", 2, False),
    ("after sweep", 2, False),
]


@dataclass
class Ground:
    """What all runs share: a slow index over tiny wheels, their locks, and an environment to copy."""

    folder: Path
    server: Proxy
    env: Path
    works: Path
    drivers: queue.Queue[subprocess.Popen[str]]

    def run(self, runtime: Path, point: str = "never", number: int = 1, with_children: bool = False) -> int:
        """A set-up in a process of its own; its exit status."""
        settings = {
            "point": point,
            "number": number,
            "with_children": with_children,
            "runtime": str(runtime),
            "repair": runtime.with_name("repair").exists(),
            "env": str(self.env),
            "requirements": str(self.requirements),
            "start": str(self.folder / "start.py"),
        }
        settings["variables"] = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": self.server.index}
        path = runtime.with_name("settings.json")
        path.write_text(json.dumps(settings), encoding="utf-8")
        driver = self.drivers.get()
        try:
            assert driver.stdin and driver.stdout
            driver.stdin.write(f"{path}\n")
            driver.stdin.flush()
            return int(driver.stdout.readline())
        finally:
            self.drivers.put(driver)

    def run_until_done(self, runtime: Path) -> int:
        """A whole set-up; what a killed one has left running keeps others out until it ends."""
        end = time.monotonic() + 30.0
        while status := self.run(runtime):
            busy = "Another set-up" in runtime.with_name("said").read_text(encoding="utf-8")
            if not busy or time.monotonic() > end:
                break
            time.sleep(0.2)
        return status

    @property
    def requirements(self) -> Path:
        """The folder of locks."""
        return self.folder / "requirements"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("interruptions")
    wheels, requirements = folder / "served", folder / "requirements"
    wheels.mkdir()
    requirements.mkdir()
    rows = {}
    for name in ("torch", "packages", "model"):
        path = make_wheel(wheels, f"fs_{name}")
        rows[name] = f"fs_{name}==1.0 --hash=sha256:{sha256(path)}\n"
    for lock in ("cpu", "cuda", "macos"):
        (requirements / f"{lock}.lock").write_text(rows["torch"] + rows["packages"])
    (requirements / "model.lock").write_text(rows["model"])
    (requirements / "pip.lock").write_text(f"pip==99.0 --hash=sha256:{'0' * 64}\n")
    (folder / "start.py").write_text(PREPARE, encoding="utf-8")
    env = folder / "env"
    subprocess.run([sys.executable, "-I", "-m", "venv", str(env)], check=True, env=child_environment())
    with serving(wheels) as server:
        server.weather = Weather(rate=4e6, only=".whl")
        found = Ground(folder, server, env, folder / "works" / "runtime", queue.Queue())
        found.works.parent.mkdir()
        drivers = [_driver() for _ in range(2)]
        try:
            for driver in drivers:
                found.drivers.put(driver)
            assert found.run(found.works) == 0, found.works.with_name("said").read_text()
            # Links to it would be one lock for all.
            (found.works / "setup.lock").unlink()
            yield found
        finally:
            for driver in drivers:
                driver.kill()
                driver.wait()


def _driver() -> subprocess.Popen[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([sys.executable, str(DRIVER)], env=kept, text=True, **pipes)


def _works(runtime: Runtime) -> bool:
    """Whether the runtime in use has all that it should have."""
    code = "import fs_torch, fs_packages, fs_model"
    status = subprocess.run([runtime.python, "-I", "-c", code], env=child_environment(), check=False).returncode
    return status == 0 and (runtime.models / "model.safetensors").read_bytes() == b"weights"


def _interrupted(ground: Ground, folder: Path, point: str, number: int, with_children: bool, over: bool) -> str:
    """Kill a set-up at a point and run it again: what is wrong after the one or the other, or ""."""
    folder.mkdir(parents=True)
    path = folder / "ru ntime"
    if over:
        shutil.copytree(ground.works, path, symlinks=True, copy_function=os.link)
        (folder / "repair").touch()
    status = ground.run(path, point, number, with_children)
    if status != -9:
        return f"it was not killed: {status} {(folder / 'said').read_text()[-300:]}"
    runtime = Runtime(path)
    state = runtime.state(ground.requirements)
    if over and not state.usable:
        return f"the runtime that worked is lost: {state}"
    if state.usable and not _works(runtime):
        return f"a broken runtime is called {state.kind}"
    if status := ground.run_until_done(path):
        return f"run again it failed: {status} {(folder / 'said').read_text()[-300:]}"
    if runtime.state(ground.requirements).kind != "ready" or not _works(runtime):
        return f"run again it does not work: {runtime.state(ground.requirements)}"
    left = {entry.name.partition("-")[0] for entry in path.iterdir()} - {"env", "models", "runtime.json", "setup.lock"}
    return f"it left {left}" if left or len(list(path.glob("env-*"))) != 1 else ""


def test_killed_at_many_points_it_always_ends_with_a_runtime_that_works(
    ground: Ground, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    begin = time.monotonic()
    rows = [(number, *row, number % 2 == 0) for number, row in enumerate(POINTS)]
    with ThreadPoolExecutor(2) as pool:
        wrong = list(pool.map(lambda row: _interrupted(ground, tmp_path / str(row[0]), *row[1:]), rows))
    with capsys.disabled():
        print(f"\nset-up killed at {len(rows)} points ({time.monotonic() - begin:.0f} s):")
        for (_, point, number, with_children, over), what in zip(rows, wrong, strict=True):
            killed = " with its child" if with_children else ""
            print(f"  {point} ({number}){killed}, over {'a runtime' if over else 'nothing'}: {what or 'whole'}")
    assert len(rows) >= 30
    assert [what for what in wrong if what] == []
