# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders that look like models, as far as sizes go."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest


def model_folder(folder: Path, card: str = "", weights: int = 4096) -> Path:
    """A configuration and one matrix of `weights` numbers in 16 bits, which are zeros."""
    folder.mkdir(parents=True)
    config = {"vocab_size": 7, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    (folder / "config.json").write_text(json.dumps(config))
    shape = [64, weights // 64]
    header = json.dumps({"a.weight": {"dtype": "BF16", "shape": shape, "data_offsets": [0, 2 * weights]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(2 * weights))
    if card:
        (folder / "README.md").write_text(card)
    return folder


def lora_folder(folder: Path, card: str = "") -> Path:
    """What an adapter's folder has, as far as finding it goes."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (folder / "adapter_model.safetensors").write_bytes(bytes(1000))
    if card:
        (folder / "README.md").write_text(card)
    return folder


def forbid(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have files of that name not be readable, also by the administrator, who may read everything."""
    opened = os.open

    def refusing(path: Any, *arguments: Any, **named: Any) -> int:
        if Path(path).name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *arguments, **named)

    monkeypatch.setattr(os, "open", refusing)
