# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory that is left, of the machine and of a container."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from facescript.inference.models import memory

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="control groups are Linux's")


def test_what_others_in_the_container_use_is_not_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_CONTROL_GROUP", tmp_path)
    unlimited = memory.available() or 0
    assert unlimited > 1 << 20
    (tmp_path / "memory.max").write_text("3000\n")
    (tmp_path / "memory.current").write_text("2500\n")
    assert memory.available() == 500
    (tmp_path / "memory.stat").write_text("active_file 300\ninactive_file 200\n")
    assert memory.available() == 700
    (tmp_path / "memory.current").write_text("3500\n")
    assert memory.available() == 0
    (tmp_path / "memory.max").write_text("max\n")
    assert (memory.available() or 0) > unlimited // 2
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.limit_in_bytes").write_text("3000\n")
    (tmp_path / "memory" / "memory.usage_in_bytes").write_text("2500\n")
    (tmp_path / "memory" / "memory.stat").write_text("inactive_file 1\ntotal_inactive_file 100\n")
    assert memory.available() == 600
