# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

import families
from facescript.inference.worker.descriptions import MAX_TOKENS, LineWriter
from facescript.inference.worker.local_model import LocalModel
from facescript.inference.worker.prefix_cache import PrefixCache
from facescript.inference.worker.prompted import repeats_itself


@pytest.mark.parametrize(
    ("line", "stuck"),
    [
        ("Gaze down, down, down, down, down.", True),
        ("The lips press, the lids drop, the lips press.", True),
        ("Wide eyes, wide mouth, wide brows, wide lips.", True),
        ("The left brow lifts, the right brow stays low, and the lips part.", False),
        ("Smirk.", False),
        ("", False),
    ],
)
def test_a_line_that_repeats_itself_is_noticed(line: str, stuck: bool) -> None:
    assert repeats_itself(line) == stuck


@pytest.fixture
def local() -> LocalModel:
    return families.toy("qwen3", "digit by digit")


@pytest.fixture
def copies(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many copies of the prefix's cache were made at each time."""
    made: list[int] = []
    repeated = PrefixCache.repeated

    def counted(self: PrefixCache, times: int) -> Any:
        made.append(times)
        return repeated(self, times)

    monkeypatch.setattr(PrefixCache, "repeated", counted)
    return made


def test_no_more_lines_are_written_side_by_side_than_memory_was_found_for(local: LocalModel, copies: list[int]) -> None:
    prompts = [f"Moment {number}:" for number in range(4)]
    length = len(local.tokens("x" * 500)) + max(len(local.tokens(prompt)) for prompt in prompts) + MAX_TOKENS
    # Room for 2,048 tokens: the prefix's own and two copies of it.
    assert 3 * length <= 2048 < 4 * length
    local.rows = 1
    few = dict(LineWriter(local).write("x" * 500, prompts, seed=3))
    assert copies == [2, 2]
    copies.clear()
    local.rows = 8
    # A line does not depend on how many are written beside it.
    assert dict(LineWriter(local).write("x" * 500, prompts, seed=3)) == few
    assert copies == [4]


def test_a_long_scene_is_still_read_where_memory_is_short(local: LocalModel, copies: list[int]) -> None:
    local.rows = 1
    assert len(list(LineWriter(local).write("x" * 2500, ["A:", "B:"], seed=0))) == 2
    assert copies == [1, 1]
