# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers of language models as they are: what each can do, and what descriptions and poses take there.

All run SmolLM2, which is too small to be of use on a server: what is measured is the way there and back, and how
requests that are sent together fare against the same one by one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ..inference.examples import Examples
from ..inference.options import ModelOptions
from ..inference.servers.chat import ChatServer
from ..inference.worker.asks import Ask
from ..inference.worker.remote import ServerBackend
from ..performance import Brief, FacescriptError
from . import local_servers
from .decoding import machine
from .desk import BACKGROUND, EMOTION, LINES

# Moments that are described and posed.
COUNT = 3

_COLUMNS = (
    "server|version|models listed|wrong key|JSON schema|streams|answers at once|"
    f"{COUNT} descriptions|{COUNT} poses one by one|{COUNT} poses, asked together"
)


def bench_servers(models: Path, names: list[str] | None = None) -> None:
    """Start each server that is installed and print a table's row for it; `models` is the folder of prepared models."""
    print(f"Servers with SmolLM2; {machine()}; {time.strftime('%Y-%m-%d %H:%M')}\n")
    print(f"| {_COLUMNS.replace('|', ' | ')} |")
    print(f"|{' --- |' * (_COLUMNS.count('|') + 1)}")
    for name, kind in local_servers.KINDS.items():
        if names and name not in names:
            continue
        if not kind.version:
            print(f"| {kind.title} | not installed |", flush=True)
            continue
        with local_servers.running(name, models) as options:
            print(f"| {kind.title} | {kind.version} | {' | '.join(_cells(options, kind.slots))} |", flush=True)


def _cells(options: ModelOptions, slots: int) -> list[str]:
    found = ChatServer(options).test(_nothing)
    key = "-"
    if options.key:
        key = _said(
            lambda: ChatServer(ModelOptions("server", options.model, address=options.address, key="sk-x")).test(
                _nothing
            )
        )
    brief = Brief("\n".join(line for line, _ in LINES[:COUNT]), BACKGROUND, EMOTION)
    asks = [Ask(line) for line, _ in LINES[:COUNT]]
    texts = [text for _, text in LINES[:COUNT]]
    examples = Examples.load()
    alone, together = (ServerBackend(options, examples, at_once=count) for count in (1, COUNT))
    return [
        str(len(found.models)),
        key,
        "kept" if found.schema else "not kept",
        "yes" if found.streams else "no",
        str(slots),
        _said(lambda: list(alone.describe(brief, asks, 0, _nothing))),
        _said(lambda: list(alone.pose(brief, texts, _nothing))),
        _said(lambda: list(together.pose(brief, texts, _nothing))),
    ]


def _said(call: Callable[[], object]) -> str:
    """The seconds that a call takes, or its error."""
    begin = time.perf_counter()
    try:
        call()
    except FacescriptError as error:
        return f"`{error.code}`"
    return f"{time.perf_counter() - begin:.1f} s"


def _nothing() -> None:
    """Nobody cancels."""
