# SPDX-License-Identifier: GPL-3.0-or-later
"""`run.py faults`: injects faults of all kinds into an installed extension and writes down what came of them."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..faults import page
from ..faults.fault import Fault, Outcome, table
from ..faults.inside import try_faults
from ..faults.small_disk import unmount_below
from ..faults.stage import Settings, Stage
from ..inference.setup.runtime import Runtime
from . import PYTHON, ROOT, RUNTIME
from .build import build
from .installed import install

PAGE = ROOT / "docs" / "faults.md"
GUI = ROOT / "tests" / "gui"
IN_WINDOW = ROOT / "faults" / "inside_window.py"
GEOMETRY = ("--window-geometry", "0", "0", "1600", "1000")
# A fault that takes longer than this, in seconds, has frozen its Blender.
LONGEST = 240.0


def main(arguments: list[str]) -> int:
    """Try the faults, and write the page if all were tried; 0 if none had a miss."""
    parser = argparse.ArgumentParser(prog="run.py faults", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="a fault or a theme; may be given again")
    parser.add_argument("--list", action="store_true", help="say which there are, and try none")
    parser.add_argument("--quick", action="store_true", help="those of the tests, with a toy in place of the model")
    parser.add_argument("--toy", action="store_true", help="a toy in place of the model wherever that will do")
    parser.add_argument("--at-once", type=int, default=2, metavar="N", help="Blenders at the same time (2)")
    parser.add_argument("--no-window", action="store_true", help="leave out those that need a window")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write")
    parser.add_argument("--keep", type=Path, help="work in this folder, and leave it there")
    parser.add_argument(
        "--gather",
        type=Path,
        nargs="+",
        metavar="FOLDER",
        help="try none, and write the page from what was kept in these folders; the last one that has a fault counts",
    )
    options = parser.parse_args(arguments[1:])
    if options.gather:
        text = page.written(gathered(options.gather), runs=len(options.gather))
        options.page.write_text(text, encoding="utf-8")
        return 0
    faults = chosen(options.only or [], options.quick)
    if options.list:
        for fault in faults:
            print(f"{fault.theme:16}{fault.name:44}{fault.how}")
        return 0
    if not faults:
        parser.error("there is no such fault: --list says which there are")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="facescript-faults-", ignore_cleanup_errors=True) as scratch:
        folder = (options.keep or Path(scratch)).resolve()
        real = not (options.quick or options.toy)
        outcomes = run(faults, folder, real, not options.no_window, options.quick, options.at_once)
    tried = [outcome for outcome in outcomes if not outcome.skipped]
    missed = [outcome for outcome in tried if outcome.missed]
    print(f"{len(tried)} faults, {len(missed)} with a miss, {len(outcomes) - len(tried)} not tried", flush=True)
    if not (options.only or options.quick):
        text = page.written(outcomes, seconds=time.monotonic() - begin)
        options.page.write_text(text, encoding="utf-8")
        print(f"{options.page}")
    return 1 if missed else 0


def chosen(only: list[str], quick: bool = False) -> list[Fault]:
    """The faults whose name or theme was given; all if none was."""
    wanted = {word.replace("-", " ").replace("_", " ") for word in only}
    return [
        one
        for one in table()
        if (not wanted or {one.name, one.theme.replace("_", " ")} & wanted) and (one.quick or not quick)
    ]


def run(
    faults: list[Fault], folder: Path, real: bool, window: bool = True, together: bool = False, at_once: int = 2
) -> list[Outcome]:
    """Try faults, a Blender for each theme and so many `at_once`, or all `together` in one; what came of each."""
    folder.mkdir(parents=True, exist_ok=True)
    zip_path = build(folder)
    found: dict[str, Outcome] = {}
    groups: dict[str, list[str]] = {}
    for one in faults:
        if window or not one.window:
            groups.setdefault("window" if one.window else "all" if together else one.theme, []).append(one.name)
    # The longest first; more than one at a time, since much of it is waiting.
    with ThreadPoolExecutor(at_once) as pool:
        for ended in pool.map(
            lambda name: _run_all(groups[name], folder / name, zip_path, real, name == "window"),
            sorted(groups, key=lambda name: -len(groups[name]) * (name == "set_up" or 0.5)),
        ):
            found |= ended
    return [found.get(one.name) or _not_tried(one, "it needs a window") for one in faults]


def gathered(folders: list[Path]) -> list[Outcome]:
    """What came of each fault by the results that are kept in some folders, in the table's order."""
    found: dict[str, Outcome] = {}
    for folder in folders:
        for path in sorted(folder.glob("*/*/results.jsonl")):
            for line in path.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                if "begin" in entry:
                    begun = entry["begin"]
                    found[begun] = Outcome(
                        begun, "", "", misses=["it did not end: Blender did, or it froze, or the run did"]
                    )
                else:
                    found[entry["name"]] = Outcome(**entry)
    outcomes = [found.get(one.name) or _not_tried(one, "not in this run") for one in table()]
    for one, outcome in zip(table(), outcomes, strict=True):
        outcome.theme, outcome.how = one.theme, one.how
    return outcomes


def _not_tried(fault: Fault, why: str) -> Outcome:
    return Outcome(fault.name, fault.theme, fault.how, skipped=why, window=fault.window)


def _run_all(names: list[str], folder: Path, zip_path: Path, real: bool, window: bool) -> dict[str, Outcome]:
    """Try faults in one Blender, and in another one where it did not live through a fault."""
    known = {one.name: one for one in table()}
    windowed = _windowed() if window else None
    if windowed is not None and (reason := windowed.missing()):
        return {name: _not_tried(known[name], reason) for name in names}
    found: dict[str, Outcome] = {}
    left = list(names)
    while left:
        place = folder / str(len(names) - len(left))
        begun, ended = _run_some(left, place, zip_path, real, windowed)
        found |= {outcome.name: outcome for outcome in ended}
        if len(ended) < len(left):
            # The one that was begun last took its Blender with it; if none was, Blender could not be started.
            fault = known[begun or left[0]]
            why = _last_words(place / "log.txt")
            found[fault.name] = Outcome(fault.name, fault.theme, fault.how, misses=[f"Blender ended or froze: {why}"])
            _say(found[fault.name])
        left = [name for name in left if name not in found]
    return found


def _windowed() -> Any:
    """The module that runs a Blender in a window."""
    sys.path.insert(0, str(GUI))
    return importlib.import_module("windowed")


def _run_some(names: list[str], folder: Path, zip_path: Path, real: bool, windowed: Any) -> tuple[str, list[Outcome]]:
    """One Blender; the name of the fault that was begun last, and what came of those that ended."""
    (folder / "tmp").mkdir(parents=True)
    results, log = folder / "results.jsonl", folder / "log.txt"
    results.touch()
    runtime = RUNTIME if windowed is None else windowed.runtime_for_window(RUNTIME / "window")
    settings = {
        "names": names,
        "zip": str(zip_path),
        "runtime": str(runtime),
        "python": str(PYTHON if windowed is None else Runtime(runtime).python),
        "folder": str(folder),
        "results": str(results),
        "log": str(log),
        "real": real,
        "gui": str(GUI),
        "package": str(PYTHON.parent.parent / "package"),
    }
    command = [str(PYTHON), "-m", __spec__.name, "inside", str(folder / "settings.json")]
    if windowed is not None:
        command = ["bash", str(windowed.LAUNCHER), "--python-exit-code", "3", *GEOMETRY, "-P", str(IN_WINDOW)]
    (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    environment = os.environ | {
        "TMPDIR": str(folder / "tmp"),
        "BLENDER_HOME": str(folder / "home"),
        "BLENDER_USER_RESOURCES": str(folder / "user"),
        "FACESCRIPT_GUI": str(folder),
        "SCREEN": "1600x1000",
    }
    (folder / "home").mkdir()
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=stream, stderr=stream, start_new_session=True
        )
        try:
            begun, ended = _follow(process, results)
        finally:
            _end(process)
            unmount_below(folder)
    return begun, ended


def _follow(process: subprocess.Popen[bytes], results: Path) -> tuple[str, list[Outcome]]:
    """Wait for a Blender to try its faults; one that says nothing for too long is left."""
    begun, ended, seen, last = "", [], 0, time.monotonic()
    while True:
        running = process.poll() is None
        lines = results.read_text(encoding="utf-8").splitlines()
        for line in lines[seen:]:
            entry = json.loads(line)
            if "begin" in entry:
                begun = entry["begin"]
            else:
                ended.append(Outcome(**entry))
                _say(ended[-1])
            last = time.monotonic()
        seen = len(lines)
        if not running or time.monotonic() - last > LONGEST:
            return begun, ended
        time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a Blender with everything that it started in its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _last_words(log: Path) -> str:
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return re.sub(r"\s+", " ", " / ".join(lines[-2:]))[-300:]


def _say(outcome: Outcome) -> None:
    """One line on the console for one fault."""
    told = f"{outcome.code or '-'}, {outcome.noticed:.1f} s" if not outcome.skipped else f"not tried: {outcome.skipped}"
    verdict = "MISS " if outcome.missed else "     "
    print(f"{verdict}{outcome.theme:16}{outcome.name:44}{told} ({outcome.seconds:.0f} s)", flush=True)
    for miss in outcome.missed:
        print(f"         {miss}", flush=True)


def inside(path: Path) -> int:
    """In the scratch Blender without a window: try the faults that the settings name."""
    settings = Settings.read(path)
    entry = json.loads(path.read_text(encoding="utf-8"))
    bpy = install(settings.zip, settings.folder / "user", settings.runtime)
    bpy.context.preferences.use_preferences_save = False
    stage = Stage(settings, bpy)
    for _ in try_faults(stage, entry["names"], Path(entry["results"]), Path(entry["log"]), settings.real):
        pass
    bpy.ops.wm.read_homefile(use_empty=True)
    stage.session.stop_worker()
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["inside"]:
        sys.exit(inside(Path(sys.argv[2])))
    sys.exit(main(sys.argv[1:]))
