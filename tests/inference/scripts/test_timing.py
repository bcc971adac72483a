# SPDX-License-Identifier: GPL-3.0-or-later
"""When moments are played."""

from __future__ import annotations

import json
import statistics
from itertools import pairwise
from pathlib import Path

import pytest
from facescript.inference.scripts.script import Moment, read_script
from facescript.inference.scripts.timing import LEAST, action_seconds, duration, schedule
from facescript.performance import FacescriptError
from hypothesis import given, settings
from hypothesis import strategies as st


def test_speech_takes_a_third_of_a_second_a_word() -> None:
    assert duration(Moment(1, speech="one two three four")) == pytest.approx(1.4)
    assert 1.4 < duration(Moment(1, speech="One, two, three, four!")) < 2.1


def test_actions_take_their_verbs_time_and_their_adverbs_pace() -> None:
    assert action_seconds("blinks") == (0.3, True)
    assert action_seconds("glances aside")[0] == pytest.approx(0.6)
    assert action_seconds("slowly blinks")[0] == pytest.approx(0.48)
    assert action_seconds("sighs")[0] > action_seconds("sighs quickly")[0]
    assert action_seconds("does it") == (pytest.approx(1.0), False)


def test_a_manner_costs_no_time_and_an_act_does() -> None:
    plain = duration(Moment(1, speech="Come in, please."))
    assert duration(Moment(1, speech="Come in, please.", direction="hoarse")) == plain
    assert duration(Moment(1, speech="Come in, please.", direction="sighs")) > plain


def test_pauses_add() -> None:
    one = schedule([Moment(1, "Yes."), Moment(2, "No.")])
    other = schedule([Moment(1, "Yes."), Moment(2, "No.", pause=1.5)])
    assert other[1] - one[1] == pytest.approx(1.5)


def test_given_times_hold_and_the_rest_stretches_between_them() -> None:
    words = [Moment(1, "one two"), Moment(2, "one two"), Moment(3, "one two", at=10.0), Moment(4, "one two")]
    assert schedule(words) == pytest.approx((0.0, 5.0, 10.0, 10.7))
    assert schedule([Moment(1, "a", at=3.0), Moment(2, "b")])[0] == 3.0
    assert schedule([]) == ()


def test_no_room_between_times_names_the_line() -> None:
    moments = [Moment(1, "a", at=1.0), Moment(2, "b"), Moment(7, "c", at=1.0)]
    with pytest.raises(FacescriptError, match="Line 7") as caught:
        schedule(moments)
    assert caught.value.code == "bad_time"


def test_a_performance_of_more_than_a_day_is_refused() -> None:
    with pytest.raises(FacescriptError, match="lasts"):
        schedule([Moment(i, "a", pause=600.0) for i in range(1, 400)])


_MOMENT = st.builds(
    Moment,
    line=st.integers(1, 9),
    speech=st.text(max_size=40),
    direction=st.sampled_from(["", "sighs", "slowly, very slowly turns", "x"]),
    pause=st.floats(0, 5),
    described=st.booleans(),
)


@given(st.lists(_MOMENT, min_size=1, max_size=30), st.floats(0, 100), st.floats(0.1, 1000))
@settings(deadline=None)
def test_times_rise_strictly_whatever_is_said(moments: list[Moment], first: float, gap: float) -> None:
    free = schedule(moments)
    assert free[0] == 0.0
    assert all(other - one >= LEAST * 0.99 for one, other in pairwise(free))
    if len(moments) > 1:
        pinned = [Moment(1, "a", at=first), *moments[1:-1], Moment(2, "b", at=first + gap)]
        times = schedule(pinned)
        assert (times[0], times[-1]) == (first, first + gap)
        assert all(one < other for one, other in pairwise(times))


def test_gaps_agree_with_the_corpus(shared: Path) -> None:
    ours: list[float] = []
    theirs: list[float] = []
    for file in sorted((shared / "corpus").glob("*.jsonl")):
        for line in file.open(encoding="utf-8"):
            entry = json.loads(line)
            times = schedule(read_script(entry["script"]))
            ours += [b - a for a, b in pairwise(times)]
            theirs += [b["t"] - a["t"] for a, b in pairwise(entry["keyframes"])]
    print(
        f"gaps: ours {statistics.mean(ours):.2f} (median {statistics.median(ours):.2f}) s, "
        f"corpus {statistics.mean(theirs):.2f} (median {statistics.median(theirs):.2f}) s"
    )
    assert statistics.median(ours) == pytest.approx(statistics.median(theirs), abs=0.15)
    assert statistics.mean(ours) == pytest.approx(statistics.mean(theirs), abs=0.35)
