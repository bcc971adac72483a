# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside the scratch Blender: injects faults one after another and writes down what came of each."""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .fault import NEVER_TOY, REAL_THEMES, REFUSED, STOPPED, UNHARMED, Fault, Moves, Outcome, table
from .stage import DESCRIBED, Stage, left_over, memory, traces

# What a window may be held for, in seconds, before it is called frozen.
FROZEN = 0.5
_MAX_MEMORY = 150.0


def try_faults(stage: Stage, names: list[str], results: Path, log: Path, real: bool) -> Iterator[None]:
    """Inject faults by their names; each outcome is a line of `results`. `log` is where this process prints to."""
    known = {one.name: one for one in table()}
    for number, name in enumerate(names):
        fault = known[name]
        _write(results, {"begin": name})
        outcome = Outcome(fault.name, fault.theme, fault.how, stage.bpy.app.version_string, window=stage.window)
        here = stage.at(stage.settings.folder / f"{number} {fault.inject.__name__}"[:40])
        try:
            themes = REAL_THEMES if real else NEVER_TOY
            yield from _try(here, fault, outcome, log, fault.real or fault.theme in themes)
        except Exception:
            outcome.misses.append(f"the harness failed: {traceback.format_exc(limit=-4)}")
        _write(results, outcome.to_dict())


def _write(results: Path, entry: dict[str, Any]) -> None:
    with results.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def _try(stage: Stage, fault: Fault, outcome: Outcome, log: Path, real: bool) -> Moves:
    begin = time.monotonic()
    yield from stage.set_scene()
    yield from _warm(stage, real)
    yield from stage.set_scene()
    session = stage.session
    session.error, session.note = None, ""
    folders = (Path(stage.module("inference.setup.runtime").PACKAGE), Path(_temporary()))
    traces_before = traces(folders)
    said, memory_before = log.stat().st_size, memory()
    if stage.window:
        yield from stage.usual_pulse()
        outcome.usual = round(stage.pulse.longest, 3)
    stage.strike()
    try:
        yield from fault.inject(stage)
    except AssertionError as error:
        outcome.misses.append(f"it did not go as it should: {error}")
    except Exception:
        outcome.misses.append(f"not handled: {traceback.format_exc(limit=-3)}")
    if stage.skipped:
        outcome.skipped = stage.skipped
    _judge_words(stage, fault, outcome)
    _judge_keys(stage, outcome)
    yield from _judge_next(stage, outcome, real)
    yield from stage.idle(0.1)
    grown = memory() - memory_before
    if grown > _MAX_MEMORY:
        outcome.misses.append(f"memory grew by {grown:.0f} MB")
    outcome.misses += left_over(traces_before, traces(folders))
    outcome.misses += _unhandled(log, said)
    outcome.seconds = round(time.monotonic() - begin, 2)


def _temporary() -> str:
    import tempfile

    return tempfile.gettempdir()


def _warm(stage: Stage, real: bool) -> Moves:
    """Have the usual worker running, with its model loaded."""
    stage.use(stage.usual(real))
    stage.preferences.backend = "embedded"
    if stage.session.error is not None or not stage.workers:
        stage.bpy.ops.facescript.generate(script=DESCRIBED, wait=True)
    yield


def _judge_words(stage: Stage, fault: Fault, outcome: Outcome) -> None:
    """What the user was told, and when."""
    told = stage.told
    if told is not None:
        outcome.code, outcome.message, outcome.hint = told.code, told.message, told.hint
        outcome.noticed = round(stage.noticed - stage.struck, 2)
    outcome.held = round(stage.held, 3)
    found = told.code if told and told.code else STOPPED if STOPPED in fault.expected and told else UNHARMED
    if outcome.skipped:
        return
    if found == UNHARMED:
        # There was nothing to notice: the sentence is what a performance that was made says.
        outcome.noticed = 0.0
    if found not in fault.expected:
        outcome.misses.append(f"expected {' or '.join(fault.expected)}, and it was {found}")
    if told is not None and told.code and told.code != REFUSED:
        outcome.misses += [f"the error has no {name}" for name in ("message", "hint") if not getattr(told, name)]
    if told is not None and "Traceback" in told.message:
        outcome.misses.append("the message is a traceback")
    if outcome.noticed > fault.within:
        outcome.late.append(f"noticed after {outcome.noticed:.1f} s; {fault.within:.0f} s were allowed")
    if outcome.held > max(FROZEN, fault.held) + outcome.usual:
        outcome.late.append(f"the window was held for {outcome.held:.2f} s")


def _judge_keys(stage: Stage, outcome: Outcome) -> None:
    """Whether all keys are as they were; where a performance was written, all that are the user's."""
    beats = stage.has_face and len(stage.face.facescript.beats) > 0
    written = outcome.code == "" and (beats or stage.wrote)
    now = stage.users_keys() if written else stage.keys()
    was = stage.users_before if written else stage.keys_before
    allowed = stage.changed_by_user
    lost = sorted(name for name in was if now.get(name) != was[name] and not any(part in name for part in allowed))
    new = sorted(name for name in now if name not in was and not any(part in name for part in allowed))
    outcome.keys = "changed" if lost or new else "as before" if not written else "the user's as before"
    outcome.misses += [f"keys changed: {name}" for name in (lost + new)[:3]]


def _judge_next(stage: Stage, outcome: Outcome, real: bool) -> Moves:
    """Whether the next Generate works, in the same Blender, on the face as it was in the file."""
    yield from stage.until(lambda: not stage.busy, 30.0)
    stage.put_back()
    stage.use(stage.usual(real))
    stage.preferences.backend = "embedded"
    users = stage.users_before
    if not stage.has_face or stage.reload:
        yield from stage.set_scene()
        users = stage.users_in_file
    stage.choose(stage.face.name)
    begin = time.monotonic()
    try:
        done = stage.bpy.ops.facescript.generate(script=DESCRIBED, wait=True)
    except RuntimeError as error:
        outcome.next = "failed"
        outcome.misses.append(f"the next Generate failed: {str(error).strip()}")
        return
    beats = [beat.text for beat in stage.face.facescript.beats]
    if done != {"FINISHED"} or len(beats) != 3:
        outcome.misses.append(f"the next Generate made {len(beats)} beats")
    outcome.next = f"works ({'real model' if real else 'toy model'}, {time.monotonic() - begin:.1f} s)"
    now = stage.users_keys()
    lost = [name for name, rows in users.items() if now.get(name) != rows]
    allowed = stage.changed_by_user
    lost = [name for name in lost if not any(part in name for part in allowed)]
    if lost:
        outcome.keys = "changed"
        outcome.misses += [f"keys changed by the next Generate: {name}" for name in lost[:3]]
    yield


def _unhandled(log: Path, start: int) -> list[str]:
    """Tracebacks that were printed since."""
    sys.stdout.flush()
    sys.stderr.flush()
    with log.open("rb") as file:
        file.seek(start)
        text = file.read(1 << 20).decode("utf-8", "replace")
    _, found, rest = text.partition("Traceback (most recent call last)")
    return [f"a traceback on the console: {' / '.join(rest.splitlines()[-1:])[:200]}"] if found else []
