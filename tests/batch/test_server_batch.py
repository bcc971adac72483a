# SPDX-License-Identifier: GPL-3.0-or-later
"""A batch on a server over HTTP, with the real worker: so many requests at once, and no more."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from facescript.batch.carrying_out import Batch, carry_out
from facescript.batch.crew import crew
from facescript.batch.options import starter
from facescript.batch.settings import Settings
from facescript.commands import RUNTIME
from facescript.inference.options import ModelOptions
from facescript.inference.setup.runtime import Runtime
from facescript.performance import jsonl
from model_servers import MODEL, Handler, good, serving


@pytest.mark.slow
def test_a_server_is_asked_as_many_things_at_once_as_was_said(tmp_path: Path) -> None:
    runtime = Runtime(RUNTIME)
    if not runtime.state().usable:
        pytest.skip("the runtime is not prepared (python3 run.py test prepares it)")
    lock, now, most, refused = threading.Lock(), 0, 0, 0

    def counted(handler: Handler) -> None:
        nonlocal now, most, refused
        if handler.command == "GET":
            good(handler)
            return
        with lock:
            now += 1
            most = max(most, now)
            refused += 1
            first = refused == 1
        # Long enough for the others to come as well.
        time.sleep(0.3)
        with lock:
            now -= 1
        # A server that is still loading: it passes.
        handler.whole(b"", 503) if first else good(handler)

    sheet = tmp_path / "sheet.jsonl"
    rows = [{"file": f"line{i}", "script": f"Hello {i}. (She smiles.)"} for i in range(4)]
    sheet.write_text("\n".join(json.dumps(row) for row in rows))
    with serving(counted) as server:
        model = ModelOptions("server", MODEL, address=server.address + "/v1")
        chosen = crew(model, 2)
        batch = Batch(sheet, tmp_path / "out", Settings(model), chosen, starter(runtime, chosen), lambda work: iter(()))
        assert carry_out(batch) == 0
    assert most == 2
    for row in rows:
        [found] = jsonl.read_performances(tmp_path / "out" / f"{row['file']}.jsonl")
        assert found.brief.script == row["script"]
        assert found.keyframes[0].pose["jawOpen"] == 0.5
