# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from facescript.inference.scripts.lines import part, read_lines
from facescript.performance import FacescriptError
from hypothesis import given
from hypothesis import strategies as st

SCENE = """ANNA
I waited for you all night, you know that?

(She sighs.)
[12s] You could have called.
Never mind. Sit down."""


def test_lines_have_their_numbers_times_and_words() -> None:
    rows = read_lines(SCENE)
    assert [row.number for row in rows] == [2, 4, 5, 6]
    assert rows[0].words == "I waited for you all night, you know that?"
    assert (rows[0].start, rows[2].start) == (0.0, 12.0)
    assert [row.start for row in rows] == sorted(row.start for row in rows)
    assert rows[0].end == pytest.approx(rows[1].start)
    assert rows[3].seconds > 1.0


def test_a_line_alone_is_one_moment_where_it_was_one() -> None:
    alone = part(SCENE, 6, alone=True)
    assert len(read_lines(alone.script)) == 1
    assert alone.end is None
    assert alone.time(0.0) == pytest.approx(read_lines(SCENE)[3].start)


def test_a_line_with_a_time_of_its_own_starts_there() -> None:
    timed = part(SCENE, 5, alone=True)
    assert timed.time(12.0) == pytest.approx(12.0)
    assert timed.end == pytest.approx(read_lines(SCENE)[3].start)


def test_the_rest_of_a_script_keeps_its_times() -> None:
    rest = part(SCENE, 4, alone=False)
    assert "(She sighs.)" in rest.script and "waited" not in rest.script and "Sit down" in rest.script
    assert rest.end is None
    assert rest.time(12.0) == pytest.approx(12.0)
    assert rest.time(0.0) == pytest.approx(read_lines(SCENE)[1].start)


def test_a_line_that_has_less_room_than_it_needs_is_faster() -> None:
    hurried = part("I waited for you all night, and where were you?\n[1s] Well?", 1, alone=True)
    assert read_lines(hurried.script)[0].seconds > 2.0
    assert hurried.time(2.0) < 1.0 and hurried.end == pytest.approx(1.0)


def test_a_line_without_words_is_refused_by_its_number() -> None:
    with pytest.raises(FacescriptError, match="Nothing is performed on line 3") as raised:
        part(SCENE, 3, alone=True)
    assert raised.value.line == 3


@pytest.mark.parametrize(("script", "line"), [("Hi.\n[5s] One.\n[2s] Two.", 3), ("Hi.\n[1:99] Two.", 2)])
def test_errors_know_their_line(script: str, line: int) -> None:
    with pytest.raises(FacescriptError) as raised:
        read_lines(script)
    assert raised.value.line == line and f"Line {line}" in raised.value.message


@given(st.lists(st.sampled_from(["Hello there.", "(She nods.)", "", "[pause 1] Well?", "BEN: No!"]), min_size=1))
def test_every_line_can_be_performed_by_itself_in_its_own_time(lines: list[str]) -> None:
    script = "\n".join(["Begin.", *lines])
    rows = read_lines(script)
    for row in rows:
        alone = part(script, row.number, alone=True)
        inner = read_lines(alone.script)
        assert row.start <= alone.time(inner[0].start) < row.end + 1e-6
        assert alone.time(inner[-1].end) <= row.end + 1e-6
