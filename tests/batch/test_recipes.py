# SPDX-License-Identifier: GPL-3.0-or-later
"""The recipes for vLLM: no secret where everybody can read it, and a model that the GPU holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml")

RECIPES = Path(__file__).parents[2] / "recipes" / "vllm"


def recipe(name: str) -> Any:
    return yaml.safe_load((RECIPES / name).read_text(encoding="utf-8"))


def test_the_key_is_in_the_environment_and_not_on_the_command_line() -> None:
    server = recipe("compose.yaml")["services"]["vllm"]
    assert "KEY" not in server["command"]
    assert server["environment"]["VLLM_API_KEY"].startswith("${KEY:?")


def test_the_cluster_s_model_fits_its_gpus_and_has_the_name_that_is_documented() -> None:
    [model] = recipe("ray_serve.yaml")["applications"][0]["args"]["llm_configs"]
    # 14.8 billion weights: 29.5 GB in bf16, 10 GB in 4 bits; an A10G has 24 GB.
    assert model["accelerator_type"] == "A10G"
    assert model["model_loading_config"] == {"model_id": "qwen3-14b", "model_source": "Qwen/Qwen3-14B-AWQ"}
    assert "`qwen3-14b`" in (RECIPES.parents[1] / "docs" / "batch.md").read_text(encoding="utf-8")
