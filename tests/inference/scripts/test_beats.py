# SPDX-License-Identifier: GPL-3.0-or-later
"""How many beats a moment takes."""

from __future__ import annotations

import pytest
from facescript.inference.scripts.beats import MOST, beat_counts, told_of_face
from facescript.inference.scripts.script import Moment, read_script
from facescript.inference.scripts.text import ends_a_smile
from facescript.inference.scripts.timing import SHORTEST, duration
from hypothesis import given, settings
from hypothesis import strategies as st

moments = st.lists(
    st.builds(
        Moment,
        line=st.just(1),
        speech=st.lists(st.sampled_from("you came back again".split()), max_size=30).map(" ".join),
        direction=st.sampled_from(["", "smirks", "He turns to the window and waits."]),
        described=st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("script", ["smirk", "Yawn.", "left eye winks", "A long slow smile"])
def test_a_bare_prompt_takes_one_or_two(script: str) -> None:
    [count] = beat_counts(read_script(script))
    assert count <= 2


def test_a_line_of_speech_takes_as_many_as_the_corpus_gives_it() -> None:
    # 7 words in 2.6 s: 1.38 + 0.18 * 0.96 + 0.70 * 1.95 = 2.9.
    assert beat_counts(read_script("You never told me she was here.")) == [3]


def test_the_longest_moment_takes_those_that_are_left() -> None:
    script = read_script("No. I waited for you on that platform the whole of the night, do you hear me?")
    counts = beat_counts(script)
    assert len(counts) == len(script) >= 2
    seconds = [duration(moment) for moment in script]
    assert counts.index(max(counts)) == seconds.index(max(seconds))


def test_one_moment_a_line_is_one_beat_a_line() -> None:
    assert beat_counts(read_script("You lied to me about all of it, every word.\nI said no.")) == [1, 1]


def test_a_described_face_is_one_beat() -> None:
    described = Moment(1, direction="brows knit, lips press", described=True)
    assert beat_counts([described, Moment(1, speech="You lied to me about all of it, every word.")])[0] == 1


@given(moments)
@settings(max_examples=100)
def test_every_moment_has_a_beat_and_none_is_too_short(found: list[Moment]) -> None:
    counts = beat_counts(found)
    assert len(counts) == len(found)
    for count, moment in zip(counts, found, strict=True):
        assert 1 <= count <= MOST
        assert count == 1 or duration(moment) / count >= SHORTEST
        assert count == 1 or not moment.described


@pytest.mark.parametrize(
    ("direction", "parts", "told"),
    [
        ("She turns to the window.", 2, ["", ""]),
        ("smirk", 1, ["smirk"]),
        ("She winks at him with her right eye.", 2, ["She winks at him with her right eye."] * 2),
        # Clauses are shared out, so that the smile is there before it dies.
        (
            "A hopeful smile at the envelope, then the smile goes out.",
            2,
            ["A hopeful smile at the envelope,", "then the smile goes out."],
        ),
        # A clause alone says nothing of the face: the whole does.
        (
            "Her eyes follow the ball: left, right.",
            3,
            ["Her eyes follow the ball:", *["Her eyes follow the ball: left, right."] * 2],
        ),
    ],
)
def test_what_a_direction_tells_of_the_face_goes_to_its_beats(direction: str, parts: int, told: list[str]) -> None:
    assert told_of_face(Moment(1, direction=direction), parts) == told


@pytest.mark.parametrize(
    ("text", "over"),
    [
        ("Her smile dies.", True),
        ("and the grin slowly fades from his lips", True),
        ("The laugh he had ready is gone.", False),
        ("He laughs until he drops.", True),
        ("Her hope dies; she smiles all the same.", False),
        ("A smile at the dying fire and at what is left of it.", True),
        ("She smiles.", False),
        ("", False),
    ],
)
def test_the_end_of_a_smile_is_told_soon_after_it(text: str, over: bool) -> None:
    """By its words alone: a fire may die beside a smile."""
    assert ends_a_smile(text) is over


def test_words_that_are_said_tell_nothing_of_the_face() -> None:
    assert told_of_face(Moment(1, speech="Nice smile, big nose."), 1) == [""]


@given(moments, st.integers(1, 4))
@settings(max_examples=50)
def test_every_beat_is_told_what_its_direction_says_or_nothing(found: list[Moment], parts: int) -> None:
    for moment in found:
        told = told_of_face(moment, parts)
        assert len(told) == parts
        assert all(text == "" or text in moment.direction for text in told)
