# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py soak`: a random user in one Blender with the built zip and the real model, checked after each step.

The same seed gives the same steps. With a window (the default where there is one) Blender's own timers and its undo
are part of it; with the module, whose event loop is played here, there is no undo.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ..inference.setup.runtime import Runtime
from . import PYTHON, ROOT, RUNTIME
from .build import build

INSIDE = ROOT / "soak" / "inside.py"
GUI = ROOT / "tests" / "gui"
# Seconds without a step after which Blender counts as hung.
_SILENCE = 400.0
_FULL_DISK = 1 << 20


def main(arguments: list[str]) -> int:
    """Run it; 1 if something did not hold."""
    options = _options(arguments[1:])
    seed = options.seed if options.seed is not None else random.randrange(1_000_000)
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="facescript-soak-", ignore_cleanup_errors=True) as scratch:
        result = soak(Path(scratch), seed, options)
    counts = result.get("counts", {})
    print(f"{result['steps']} steps of {len(counts)} kinds: {', '.join(f'{n} {c}' for n, c in sorted(counts.items()))}")
    if "memory" in result:
        print("memory: {:.0f} MB at the end, {:+.0f} MB in a thousand steps".format(*result["memory"]))
    for broken in result["broken"]:
        _tell(broken, seed, options)
    print(f"{len(result['broken'])} invariants were broken.")
    return 1 if result["broken"] else 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="run.py soak", description=__doc__)
    parser.add_argument("--steps", type=int, default=0, help="how many steps; 500 if no minutes are given")
    parser.add_argument("--minutes", type=float, default=0.0, help="how long")
    parser.add_argument("--seed", type=int, help="repeat the run that printed it")
    parser.add_argument("--window", action=argparse.BooleanOptionalAction, help="in a window, or the bpy module")
    parser.add_argument("--keep-going", action="store_true", help="begin anew after something was broken")
    parser.add_argument("--no-model", action="store_true", help="nothing that asks the model, which is slower")
    parser.add_argument("--zip", type=Path, help="a built extension, rather than the checkout's")
    parser.add_argument("--only", default="", help="some steps of a run alone: NUMBER:ACTION,NUMBER:ACTION ...")
    parser.add_argument("--keep", type=Path, help="a folder for the journal of all steps, and the file of each break")
    options = parser.parse_args(arguments)
    if not options.steps and not options.minutes:
        options.steps = 500
    if options.window is None:
        options.window = not _windowed().missing()
    return options


def _windowed() -> Any:
    """How the tests start a Blender in a window."""
    if str(GUI) not in sys.path:
        sys.path.insert(0, str(GUI))
    return importlib.import_module("windowed")


def soak(folder: Path, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Play one run in `folder`; its steps, the counts of its actions, and what was broken."""
    windowed = _windowed()
    if options.window and (reason := windowed.missing()):
        raise SystemExit(f"There is no window: {reason}.")
    source = windowed.runtime_for_window(RUNTIME / "window") if options.window else RUNTIME
    full = folder / "full"
    full.mkdir()
    settings = {
        "seed": seed,
        "steps": options.steps,
        "minutes": options.minutes,
        "keep_going": options.keep_going,
        "only": _only(options.only),
        "model": not options.no_model,
        "zip": str(options.zip.resolve() if options.zip else build(folder)),
        "runtime": str(own_runtime(source, folder / "runtime")),
        "packages": str(ROOT / ".venv" / "package"),
        "full": str(full) if _can_mount() else "",
    }
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (folder / "home").mkdir()
    environment = os.environ | {
        "FACESCRIPT_SOAK": str(folder),
        "FACESCRIPT_WINDOW": "1" if options.window else "",
        "BLENDER_USER_RESOURCES": str(folder / "home" / "blender"),
        "BLENDER_HOME": str(folder / "home"),
        "SCREEN": "640x480",
    }
    command = [str(PYTHON), str(INSIDE)]
    if options.window:
        geometry = ["--window-geometry", "0", "0", "640", "480"]
        command = ["bash", str(windowed.LAUNCHER), "--python-exit-code", "3", *geometry, "-P", str(INSIDE)]
    if settings["full"]:
        command = _with_disk(command, full)
    result = _watch(command, folder, environment)
    if options.keep:
        options.keep.mkdir(parents=True, exist_ok=True)
        for path in (folder / "journal.txt", *folder.glob("broken-*.blend")):
            if path.exists():
                shutil.copy(path, options.keep)
    return result


def _only(text: str) -> list[list[Any]]:
    pairs = [part.split(":") for part in text.split(",") if part]
    return [[int(number), name] for number, name in pairs]


def own_runtime(source: Path, folder: Path) -> Path:
    """A copy of a runtime whose record can be spoiled: its files are links to the same ones."""
    folder.mkdir()
    record = Runtime(source).record()
    if record is None:
        raise SystemExit(f"{source} is no runtime.")
    shutil.copy(source / "runtime.json", folder / "runtime.json")
    try:
        shutil.copytree(source / record.models, folder / record.models, copy_function=os.link)
    except OSError:
        shutil.copytree(source / record.models, folder / record.models, dirs_exist_ok=True)
    return folder


def _can_mount() -> bool:
    """Whether a small disk can be mounted for the run alone."""
    if not sys.platform.startswith("linux") or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0


def _with_disk(command: list[str], folder: Path) -> list[str]:
    """The command, with a small disk at a folder that only it sees, and that goes when it ends."""
    mount = f'mount -t tmpfs -o size={_FULL_DISK} soak "{folder}" && exec "$@"'
    return ["unshare", "-m", "bash", "-c", mount, "soak", *command]


def _watch(command: list[str], folder: Path, environment: dict[str, str]) -> dict[str, Any]:
    """Run Blender until it ends, or says nothing for too long."""
    # So that whoever ends this ends Blender as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    journal = folder / "journal.txt"
    try:
        while process.poll() is None:
            time.sleep(1.0)
            if journal.exists() and time.time() - journal.stat().st_mtime > _SILENCE:
                break
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    result = folder / "result.json"
    if result.exists():
        found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
        return found
    lines = journal.read_text(encoding="utf-8").splitlines() if journal.exists() else []
    console = folder / "console.txt"
    end = console.read_text(encoding="utf-8", errors="replace")[-4000:] if console.exists() else ""
    number, _, action = (lines[-1] if lines else "0 nothing:").partition(":")[0].partition(" ")
    what = f"Blender ended (status {process.returncode}) or hung. The console ends with:\n{end}"
    broken = {"step": int(number), "action": action, "what": what, "last": lines[-20:]}
    return {"steps": int(number), "broken": [broken]}


def _tell(broken: dict[str, Any], seed: int, options: argparse.Namespace) -> None:
    print(f"\nBROKEN: seed {seed}, step {broken['step']} ({broken['action']})\n{broken['what']}\nThe last actions:")
    for line in broken["last"]:
        print(f"  {line[:300]}")
    flags = ("--window" if options.window else "--no-window") + (" --no-model" if options.no_model else "")
    print(f"To repeat it: python3 run.py soak --seed {seed} --steps {broken['step']} {flags}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
