# SPDX-License-Identifier: GPL-3.0-or-later
"""Which words each keyframe plays."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from facescript.inference.scripts.script import read_script
from facescript.performance import NEUTRAL, Brief, Keyframe, Performance
from facescript.training.alignment import Played, _cut, align
from hypothesis import given, settings
from hypothesis import strategies as st


def performance(script: str, *times: float) -> Performance:
    return Performance(Brief(script), tuple(Keyframe(time, "", NEUTRAL) for time in times))


def test_keyframes_go_to_the_moment_in_whose_time_they_fall() -> None:
    # Two lines of the same length, of which the first half of the keyframes plays the first.
    found = align(performance("one two three four\nfive six seven eight", 0.0, 0.7, 1.4, 2.1))
    assert found == [Played("one two three four", (0, 1)), Played("five six seven eight", (2, 3))]


def test_a_longer_moment_has_more_of_them() -> None:
    # A second of speech, and four.
    found = align(performance("Hello, you.\nI never said any of that to you, you know that.", 0.0, 1.0, 2.0, 3.0))
    assert found == [
        Played("Hello, you.", (0,)),
        Played("I never said any of that to you, you know that.", (1, 2, 3)),
    ]


def test_every_moment_has_one_even_if_none_is_in_its_time() -> None:
    found = align(performance("one two three four five six seven\neight\nnine", 0.0, 0.1, 0.2))
    assert [played.keyframes for played in found] == [(0,), (1,), (2,)]


def test_moments_are_joined_where_there_are_too_few_keyframes() -> None:
    # Four lines of the same length.
    lines = "Go on.\nGo up.\nGo in.\nGo out."
    assert align(performance(lines, 0.0)) == [Played("Go on. Go up. Go in. Go out.", (0,))]
    # The second one starts with the third line, half of the way.
    assert align(performance(lines, 0.0, 2.0)) == [Played("Go on. Go up.", (0,)), Played("Go in. Go out.", (1,))]
    assert align(performance(lines, 0.0, 1.0, 2.0, 3.0)) == [
        *(Played("Go on.", (0,)), Played("Go up.", (1,)), Played("Go in.", (2,)), Played("Go out.", (3,))),
    ]


def test_a_single_keyframe_plays_everything() -> None:
    assert align(performance("Smirk.", 0.0)) == [Played("Smirk.", (0,))]
    assert align(performance("Smirk.", 2.5)) == [Played("Smirk.", (0,))]


def test_a_script_without_words_is_one_moment() -> None:
    assert align(performance("", 0.0, 1.0)) == [Played("", (0, 1))]


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.lists(st.integers(0, 400), min_size=1, max_size=8, unique=True).map(sorted),
)
@settings(max_examples=25, deadline=None)
def test_every_keyframe_and_every_word_is_played_once_and_in_order(counts: list[int], hundredths: list[int]) -> None:
    script = "\n".join(" ".join(f"w{line}x{n}" for n in range(count)) for line, count in enumerate(counts))
    played = align(performance(script, *(time / 100 for time in hundredths)))
    assert [number for moment in played for number in moment.keyframes] == list(range(len(hundredths)))
    assert all(moment.keyframes for moment in played)
    assert " ".join(moment.words for moment in played).split() == script.split()
    assert len(played) == min(len(read_script(script)), len(hundredths))


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_a_cut_is_the_cheapest_there_is(rows: int) -> None:
    draw = np.random.default_rng(rows)
    for _ in range(30):
        columns = int(draw.integers(rows, 8))
        cost = draw.random((rows, columns))
        prices = []
        for cuts in combinations(range(1, columns), rows - 1):
            bounds = [0, *cuts, columns]
            prices.append(sum(cost[row, bounds[row] : bounds[row + 1]].sum() for row in range(rows)))
        groups = _cut(cost)
        assert [column for group in groups for column in group] == list(range(columns))
        assert all(groups)
        assert sum(cost[row, group].sum() for row, group in enumerate(groups)) == pytest.approx(min(prices))
