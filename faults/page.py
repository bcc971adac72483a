# SPDX-License-Identifier: GPL-3.0-or-later
"""The page that tells what came of each fault."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Sequence
from pathlib import Path

from .fault import REFUSED, THEMES, Outcome

_ROOT = Path(__file__).resolve().parent.parent

_INTRODUCTION = """# Faults

What goes wrong around Facescript, tried for real: each of these was injected into the built zip, installed in a
Blender of its own, by `python3 run.py faults`. `--list` names them, `--only NAME` tries one again or all of a theme.

{summary}

- **Noticed** is the time from the fault to the moment at which the user was told; a dash means that there was nothing
  to tell.
- **Held** is the longest time for which Blender's window had to wait while the fault went on. With ᵂ it was measured
  in a real window, between two beats of a timer, and in brackets is how long drawing that window (without a graphics
  card) holds it by itself; the others are the longest call of the extension's in a Blender without one.
- **Keys**: every key of the file was compared bit for bit with its handles and kinds, before and after. Where a
  performance was written all the same, those that are the user's.
- **Next Generate** was pressed in the same Blender right after; the time is until its keys were written. It takes some
  seconds where the worker has to be started again.
- After each fault the threads, child processes, open files, files in temporary folders and the memory of Blender were
  compared with those before; tracebacks on the console count as well. What was not as it should be is a **miss**, and
  is named below the table.
"""

_HEAD = """| fault | how it is injected | what the user sees | noticed | held | keys | next Generate |
| --- | --- | --- | --- | --- | --- | --- |
"""


def written(outcomes: Sequence[Outcome], seconds: float = 0.0, runs: int = 1) -> str:
    """The page, of what came of all faults in a run that took so many seconds, or in several `runs`."""
    tried = [outcome for outcome in outcomes if not outcome.skipped]
    parts = [_INTRODUCTION.format(summary=_summary(outcomes, seconds, runs))]
    for theme, title in THEMES.items():
        rows = [outcome for outcome in outcomes if outcome.theme == theme]
        if not rows:
            continue
        parts.append(f"## {title}\n\n{_HEAD}" + "\n".join(_row(outcome) for outcome in rows) + "\n")
        if missed := [outcome for outcome in rows if outcome in tried and outcome.missed]:
            misses = "\n".join(f"- {outcome.name}: {_plain('; '.join(outcome.missed))}" for outcome in missed)
            parts.append(f"Misses:\n\n{misses}\n")
    return "\n".join(parts)


def _summary(outcomes: Sequence[Outcome], seconds: float, runs: int) -> str:
    tried = [outcome for outcome in outcomes if not outcome.skipped]
    missed = sum(bool(outcome.missed) for outcome in tried)
    lost = sum(outcome.keys == "changed" for outcome in tried)
    longest = max((outcome.held for outcome in tried), default=0.0)
    blenders = sorted({outcome.blender for outcome in tried if outcome.blender})
    skipped = len(outcomes) - len(tried)
    where = f"{_machine()}, Blender {' and '.join(blenders)}"
    length = f"in one run of {seconds / 60:.0f} minutes" if runs == 1 else f"gathered from {runs} runs"
    lines = [
        f"{time.strftime('%Y-%m-%d %H:%M')}, {where}, {length}:",
        f"**{len(tried)} faults were tried, {missed} of them with a miss; {lost} changed a key that they should not",
        f"have; the longest time that a window was held is {longest:.2f} s.**",
    ]
    if runs > 1:
        lines.append("Where a fault was tried again, mostly because of a miss, only the last time is told here.")
    if hasattr(os, "getloadavg"):
        lines.append(
            f"The machine's load in the last quarter of an hour was {os.getloadavg()[2]:.1f}: times depend on it."
        )
    if skipped:
        lines.append(f"{skipped} were not tried; the table says why.")
    return "\n".join(lines)


def _machine() -> str:
    name = platform.processor() or platform.machine()
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
        name = found[1] if found else name
    except OSError:
        pass
    return f"{name}, {os.cpu_count()} cores, {platform.system()}"


def _row(outcome: Outcome) -> str:
    if outcome.skipped:
        return f"| {outcome.name} | {_plain(outcome.how)} | *not tried: {_plain(outcome.skipped)}* | | | | |"
    said = outcome.message if outcome.code or outcome.noticed else f"nothing: it goes on. {outcome.message}".strip()
    if outcome.code == REFUSED:
        said = f"Refused: {said}"
    elif outcome.code:
        said = f"`{outcome.code}` {said} *{outcome.hint}*"
    noticed = f"{outcome.noticed:.1f} s" if outcome.code or outcome.noticed else "-"
    held = f"{outcome.held * 1000:.0f} ms"
    if outcome.window:
        held += f"ᵂ ({outcome.usual * 1000:.0f} ms)"
    keys = f"**{outcome.keys}**" if outcome.keys == "changed" else outcome.keys
    after = outcome.next + (" **miss**" if outcome.missed else "")
    cells = (outcome.name, _plain(outcome.how), _plain(said), noticed, held, keys, after)
    return "| " + " | ".join(cells) + " |"


def without_places(text: str) -> str:
    """Text without the places of this machine: the folder of each fault, and the checkout."""
    themes = "|".join((*THEMES, "window", "all"))
    text = re.sub(rf"(?:/[\w.-]+)+/(?:{themes})/\d+(?=/)", "…", text)
    return text.replace(str(_ROOT), "…")


def _plain(text: str) -> str:
    """Text that cannot break a table."""
    text = " ".join(without_places(text).split()).replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= 400 else text[:400] + " …"
