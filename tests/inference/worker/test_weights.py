# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights are written for whoever may read other files of the same process."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from facescript.inference.worker.weights import save_weights
from safetensors import safe_open


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o002, 0o664), (0o077, 0o600)])
def test_weights_have_the_mode_that_the_umask_says(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        save_weights({"w": torch.ones(2)}, tmp_path / "a.safetensors", {"format": "pt"})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.safetensors").stat().st_mode) == mode
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]
    with safe_open(tmp_path / "a.safetensors", "pt") as stream:
        assert stream.metadata() == {"format": "pt"} and stream.get_tensor("w").tolist() == [1.0, 1.0]
