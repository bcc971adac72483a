# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside Blender, windowed or as a module: install the built extension, and play the random user."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

FOLDER = Path(os.environ["FACESCRIPT_SOAK"])
SETTINGS: dict[str, Any] = json.loads((FOLDER / "settings.json").read_text(encoding="utf-8"))
if SETTINGS["packages"] not in sys.path:
    sys.path.insert(0, SETTINGS["packages"])
if os.environ.get("FACESCRIPT_WINDOW"):
    # Debian's Blender comes without packages that every Blender of blender.org ships: they are taken from beside it.
    _beside = FOLDER / "packages"
    _beside.mkdir(exist_ok=True)
    for _name in ("numpy*", "requests", "urllib3", "idna", "certifi", "charset_normalizer"):
        for _source in Path("/venv/lib").glob(f"python3.*/site-packages/{_name}"):
            (_beside / _source.name).symlink_to(_source)
    sys.path.append(str(_beside))

import bpy as module  # noqa: E402
from facescript.soak import (  # noqa: E402
    actions,
    beat_actions,
    checks,
    extension,
    file_actions,
    hand_actions,
    making_actions,
    resources,
    scene_actions,
    setting_actions,
)
from facescript.soak.user import Broken, User  # noqa: E402

bpy: Any = module

# Steps between two lines on how it goes.
_NOW_AND_THEN = 50
# Seconds that a step may keep the window from its turn: generous, for machines that are busy with other things.
_HELD = 20.0
# Imported for what they put into the table.
_TABLES = (beat_actions, hand_actions, making_actions, scene_actions, file_actions, setting_actions)


class Journal:
    """Every step as a line of a file, written before the next begins, so that a crash leaves it too."""

    def __init__(self, folder: Path) -> None:
        self._stream = (folder / "journal.txt").open("w", encoding="utf-8", buffering=1)
        self.last: deque[str] = deque(maxlen=20)

    def begin(self, step: str) -> None:
        """What is about to be done."""
        self._stream.write(step)
        self._stream.flush()

    def end(self, user: User) -> None:
        """What was done."""
        told = "; ".join(user.step.told).replace("\n", " ")
        self._stream.write(f" {told} ({time.monotonic() - user.step.began:.2f} s)\n")
        self.last.append(f"{user.step.number} {user.step.name}: {told}")


def install() -> None:
    """Install the built zip as a user does, with the runtime that is there already."""
    preferences = bpy.context.preferences
    preferences.view.show_splash = False
    preferences.use_preferences_save = False
    preferences.edit.undo_steps = 64
    preferences.filepaths.save_version = 0
    bpy.ops.extensions.package_install_files(
        filepath=SETTINGS["zip"], repo="user_default", enable_on_install=True, overwrite=True
    )
    extension.preferences().runtime_folder = SETTINGS["runtime"]


def play(result: dict[str, Any]) -> Iterator[None]:
    """All steps, with all checks."""
    install()
    yield
    user = User(SETTINGS["seed"], FOLDER, SETTINGS)
    journal, console = Journal(FOLDER), checks.Console(FOLDER / "console.txt")
    file_actions.begin(user)
    yield
    yield from user.rest()
    user.step.barrier = True
    user.remember()
    watch = checks.Watch(FOLDER)
    done: Counter[str] = Counter()
    began, last = time.monotonic(), time.monotonic()
    say(f"Blender {bpy.app.version_string}, {'in a window' if user.windowed else 'the module: without undo'}")
    wanted: list[list[Any]] = SETTINGS["only"]
    number = 0
    while True:
        number += 1
        if SETTINGS["steps"] and number > SETTINGS["steps"]:
            break
        if SETTINGS["minutes"] and time.monotonic() - began > 60.0 * SETTINGS["minutes"]:
            break
        if wanted and number > len(wanted):
            break
        place, name = wanted[number - 1] if wanted else (number, "")
        try:
            yield from unheld(take(user, place, name, journal))
            yield
            yield from user.rest()
            check(user, watch, console)
            user.remember()
        except Exception as error:
            what = str(error) if isinstance(error, Broken) else traceback.format_exc()
            journal.end(user)
            keep(place)
            broken = {"step": place, "action": user.step.name, "what": what, "last": list(journal.last)}
            result["broken"].append(broken)
            if not SETTINGS["keep_going"]:
                result["steps"] = number
                return
            say(f"BROKEN at step {place} ({user.step.name}): {what[:1500]}")
            yield from recover(user, console)
            watch = checks.Watch(FOLDER)
            continue
        journal.end(user)
        done[user.step.name] += 1
        result["steps"], result["counts"] = number, dict(done)
        if number % _NOW_AND_THEN == 0:
            watch.check_memory(number)
            rate, last = _NOW_AND_THEN / (time.monotonic() - last), time.monotonic()
            common = ", ".join(f"{name} {count}" for name, count in done.most_common(6))
            kinds = f"{len(done)} of {len(actions.ACTIONS)} kinds"
            say(f"step {number}: {rate:.1f} a second, {resources.memory():.0f} MB; {kinds}: {common} ...")
    result["memory"] = [resources.memory(), watch.slope()]


def unheld(work: Iterator[None]) -> Iterator[None]:
    """The same work; raises Broken where a part of it kept the window from its turn for long."""
    ended = object()
    while True:
        began = time.monotonic()
        more = next(work, ended) is not ended
        if (held := time.monotonic() - began) > _HELD:
            raise Broken(f"the window was held for {held:.0f} s")
        if not more:
            return
        yield


def take(user: User, number: int, name: str, journal: Journal) -> Iterator[None]:
    """One step: the action of that name, or one that fits."""
    has = {"extension"} if extension.enabled() else set()
    has |= {"window"} if user.windowed else set()
    has |= {"model"} if SETTINGS["model"] else set()
    if user.faces() and (user.active is None or user.active.name not in user.faces()):
        user.choose(user.faces()[0])
    face = user.face
    has |= {"face"} if face is not None else set()
    has |= {"beats"} if face is not None and len(face.beats) else set()
    fitting = [one for one in actions.ACTIONS if (one.name == name if name else one.fits(user, has))]
    chosen = Random(f"{user.seed} {number}").choices(fitting, [one.weight for one in fitting])[0]
    journal.begin(f"{number} {chosen.name}:")
    user.begin(number, chosen.name, chosen.effect)
    user.tell(f"<{user.active.name if user.active else None}>")
    if not chosen.fits(user, has):
        return
    work = chosen.do(user)
    if work is not None:
        yield from work


def check(user: User, watch: checks.Watch, console: checks.Console) -> None:
    """Raise Broken for whatever does not hold."""
    console.check(user)
    user.check_keys()
    checks.check_file(user)
    watch.check(user)
    console.check(user)


def keep(number: int) -> None:
    """Save the file as it was found, without what the extension brings in step before a file is saved."""
    handlers = bpy.app.handlers.save_pre
    before = list(handlers)
    handlers.clear()
    try:
        bpy.ops.wm.save_as_mainfile(filepath=str(FOLDER / f"broken-{number}.blend"), copy=True)
    except RuntimeError as error:
        say(f"The file was not kept: {error}")
    handlers.extend(before)


def recover(user: User, console: checks.Console) -> Iterator[None]:
    """Begin anew after something was broken."""
    if extension.enabled():
        extension.session().stop_worker()
        file_actions.begin(user)
    yield
    user.step.barrier = True
    user.remember()
    console.skip()


def say(text: str) -> None:
    """A line for whoever runs it."""
    os.write(_OUT, f"{time.strftime('%H:%M:%S')}  {text}\n".encode())


def _catch() -> None:
    """Have everything that is printed in one file, with the errors of threads."""
    log = os.open(FOLDER / "console.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)
    for name in ("excepthook", "unraisablehook"):
        owner = sys if name == "unraisablehook" else threading
        setattr(owner, name, lambda given: print("Traceback of a thread:", given.exc_type, given.exc_value, flush=True))


def finish(result: dict[str, Any]) -> None:
    """Leave what was found for whoever started this, and end at once."""
    (FOLDER / "result.json").write_text(json.dumps(result), encoding="utf-8")
    if extension.enabled():
        extension.session().stop_worker()
    os._exit(0)


def main() -> None:
    """Play, from a timer where there is a window."""
    result: dict[str, Any] = {"broken": [], "steps": 0, "counts": {}}
    work = play(result)

    def go_on() -> float | None:
        try:
            next(work)
            return 0.001
        except StopIteration:
            pass
        except BaseException:
            result["broken"].append({"step": -1, "action": "", "what": traceback.format_exc(), "last": []})
        finish(result)
        return None

    if not bpy.app.background:
        bpy.app.timers.register(go_on, first_interval=0.5, persistent=True)
        return
    while True:
        go_on()
        if extension.enabled():
            extension.drive()
        time.sleep(0.002)


_OUT = os.dup(1)
_catch()
main()
