# SPDX-License-Identifier: GPL-3.0-or-later
"""The card beside an adapter: what it was made from, how, and how good it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from .task import Row, Task, verdict

_CARD = """\
# Adapter for {base}

Made by Facescript's `run.py train` on {day}.

```
{command}
```

## Data

| | performances | keyframes |
| --- | --- | --- |
| trained on | {train} | {keyframes} |
| held out to measure with | {held} | {held_keyframes} |

{doubles} were there twice and were read once; {left_out} were left out since their scripts are nearly those of some
that are held out.{known} The performances are not in this folder; whether and under which licence it may be passed on
is for their owner to say, beside the licence of {base}.

## Training

Seed {seed}; {settings}.

## Figures

| | before | after |
| --- | --- | --- |
{rows}

{verdict}

MAE and MSE: mean absolute and mean squared error over the 55 channels that are independent; F1: of the channels that
are active.
"""


def write(folder: Path, base: str, task: Task, rows: Sequence[Row], known: str = "") -> None:
    """Write `README.md` into an adapter's folder; `known` says what else it was trained on."""
    data = task.data
    text = _CARD.format(
        base=base,
        day=date.today().isoformat(),
        command=task.command,
        train=len(data.train),
        keyframes=data.keyframes,
        held=len(data.held),
        held_keyframes=sum(len(p.keyframes) for p in data.held),
        doubles=data.doubles,
        left_out=data.left_out,
        known=f" {known}" if known else "",
        seed=task.seed,
        settings=", ".join(f"{name} {json.dumps(value)}" for name, value in task.settings.items()),
        verdict=verdict(rows),
        rows="\n".join(f"| {row.what} | {row.before} | {row.after} |" for row in rows),
    )
    (folder / "README.md").write_text(text, encoding="utf-8")
