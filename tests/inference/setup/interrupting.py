# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs set-ups, each as a process of its own that ends by SIGKILL at a point that is named.

Reads paths of settings, one a line, and answers with the exit status of each. A point is a moment in the program's own
calls, such as `before replace runtime.json`; the settings say at which occurrence of which one it ends. Where they name
none, the points are printed as they pass.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# requests is imported when it is needed: here, once for all.
import requests  # noqa: F401
from facescript.inference.setup import child_process, fetching, runtime
from facescript.inference.setup import setting_up as runtime_setup
from facescript.inference.setup import steps as setup_steps
from facescript.inference.setup.work import SetupOptions


class Points:
    """Counts the points that pass, and ends the process at one of them, with its `children`."""

    def __init__(self, point: str, number: int) -> None:
        self._point, self._number = point, number
        self.children: set[int] = set()
        self._seen: Counter[str] = Counter()

    def pass_by(self, point: str) -> None:
        """Be at a point."""
        self._seen[point] += 1
        if not self._point:
            print(point, flush=True)
        elif point == self._point and self._seen[point] == self._number:
            for child in self.children:
                os.killpg(child, signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, call: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        """The same call with a point before and one after it."""

        def wrapped(*arguments: Any, **named: Any) -> Any:
            what = name(*arguments)
            self.pass_by(f"before {what}")
            result = call(*arguments, **named)
            self.pass_by(f"after {what}")
            return result

        return wrapped


def serve() -> None:
    """Fork for each set-up: what all of them import is imported once."""
    for line in sys.stdin:
        path = Path(line.rstrip("\n"))
        pid = os.fork()
        if not pid:
            status = 1
            try:
                said = os.open(path.with_name("said"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(said, 1)
                os.dup2(said, 2)
                main(path)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def main(path: Path) -> None:
    """Set up as the settings say."""
    settings = json.loads(path.read_text(encoding="utf-8"))
    os.environ.update(settings["variables"])
    points = Points(settings["point"], settings["number"])
    os.replace = points.around(os.replace, lambda source, target: f"replace {Path(target).name}")
    runtime_setup.remove_tree = points.around(runtime.remove_tree, lambda tree: f"remove {Path(tree).name}")
    runtime_setup._sweep = points.around(runtime_setup._sweep, lambda *_: "sweep")
    _watch_lines(points, child_process, settings)
    _watch_bytes(points, fetching)
    _copy_env(points, setup_steps, Path(settings["env"]))
    options = SetupOptions(
        Path(sys.executable),
        repair=settings["repair"],
        requirements=Path(settings["requirements"]),
        start=Path(settings["start"]),
    )
    step = ""
    for event in runtime_setup.set_up(runtime.Runtime(Path(settings["runtime"])), options):
        if event.step != step:
            step = event.step
            points.pass_by(f"step {step}")


def _watch_lines(points: Points, module: Any, settings: dict[str, Any]) -> None:
    lines = module.ChildProcess.lines

    def watched(self: Any, *arguments: Any) -> Iterator[str]:
        called = self._process.args
        name = " ".join(["pip", called[called.index("pip") + 1]] if "pip" in called else ["python"])
        if settings["with_children"]:
            points.children.add(self._process.pid)
        for line in lines(self, *arguments):
            points.pass_by(f"line of {name}")
            yield line
        points.children.discard(self._process.pid)
        points.pass_by(f"end of {name}")

    module.ChildProcess.lines = watched


def _watch_bytes(points: Points, module: Any) -> None:
    attempt = module.Fetcher._attempt

    def watched(self: Any, link: Any, part: Path) -> Iterator[int]:
        for here in attempt(self, link, part):
            points.pass_by(f"bytes of {link.name.partition('-')[0]}")
            yield here
        points.pass_by(f"all bytes of {link.name.partition('-')[0]}")

    module.Fetcher._attempt = watched


def _copy_env(points: Points, module: Any, source: Path) -> None:
    """Have the environment copied from one that was made before: making one takes seconds."""

    def make_env(work: Any) -> Iterator[tuple[float, str]]:
        shutil.rmtree(work.env, ignore_errors=True)
        yield 0.0, "Copying"
        work.env.mkdir()
        points.pass_by("half an environment")
        shutil.copytree(source, work.env, symlinks=True, copy_function=os.link, dirs_exist_ok=True)
        yield 1.0, "Copied"

    module.STEPS = tuple(
        module.Step(s.name, s.weight, s.title, make_env, s.lasting, s.existing) if s.name == "venv" else s
        for s in module.STEPS
    )
    runtime_setup.STEPS = module.STEPS


if __name__ == "__main__":
    serve()
