# SPDX-License-Identifier: GPL-3.0-or-later
"""From a brief to a performance, with a backend that says nothing clever."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from unittest.mock import patch

import pytest

pytest.importorskip("torch")

from facescript.inference.scripts.script import Moment, read_script
from facescript.inference.scripts.timing import SHORTEST, duration, schedule
from facescript.inference.worker import engine
from facescript.inference.worker.asks import Ask, Takes
from facescript.inference.worker.engine import alternatives, generate, plan, pose_each, pose_some
from facescript.performance import Beat, Brief, FacescriptError, Keyframe, Pose
from hypothesis import given, settings
from hypothesis import strategies as st

Check = Callable[[], None]


class Fake:
    """Describes beats by number, the last one first."""

    label = "fake"

    def __init__(self) -> None:
        self.asks: list[list[Ask]] = []
        self.seeds: list[int] = []
        self.posed: list[tuple[list[str], list[int]]] = []
        self.wanted: list[Takes] = []

    def describe(self, brief: Brief, asks: Sequence[Ask], seed: int, check: Check) -> Iterator[tuple[int, str]]:
        self.asks.append(list(asks))
        self.seeds.append(seed)
        for number in reversed(range(len(asks))):
            check()
            yield number, f"{asks[number].words} {asks[number].part + 1}/{asks[number].parts}"

    def pose(self, brief: Brief, descriptions: Sequence[str], check: Check) -> Iterator[Pose]:
        return self.pose_at(brief, descriptions, range(len(descriptions)), check)

    def pose_at(self, brief: Brief, descriptions: Sequence[str], at: Sequence[int], check: Check) -> Iterator[Pose]:
        self.posed.append((list(descriptions), list(at)))
        for number in at:
            check()
            yield Pose.from_dict({"jawOpen": number / 100})

    def others(self, brief: Brief, asks: Sequence[Ask], number: int, wanted: Takes, check: Check) -> list[str]:
        self.asks.append(list(asks))
        self.wanted.append(wanted)
        return [f"{asks[number].words} take {take}" for take in range(wanted.count)]

    def near(self, brief: Brief, text: str, wanted: Takes, check: Check) -> list[str]:
        self.wanted.append(wanted)
        return [f"like {text} {take}" for take in range(wanted.count)]


def cut(*parts: int) -> AbstractContextManager[object]:
    """Has every moment that is not described take as many beats as are given, in turns."""

    def counts(moments: Sequence[Moment]) -> list[int]:
        return [1 if moment.described else parts[number % len(parts)] for number, moment in enumerate(moments)]

    return patch.object(engine, "beat_counts", counts)


def planned(script: str, backend: Fake, *parts: int) -> list[Beat]:
    """The beats in order; every one comes exactly once, and all know how many there are."""
    with cut(*parts):
        found = list(plan(Brief(script), backend, 0))
    assert sorted(index for index, _, _ in found) == list(range(len(found)))
    assert {count for _, count, _ in found} == {len(found)}
    return [beat for _, _, beat in sorted(found, key=lambda row: row[0])]


def test_a_beat_a_moment_is_at_the_moments_time() -> None:
    script = "You lied. I said no to you before. She went on."
    beats = planned(script, Fake(), 1)
    assert [(beat.time, beat.text) for beat in beats] == [
        (0.0, "You lied. 1/1"),
        (0.85, "I said no to you before. 1/1"),
        (3.1, "She went on. 1/1"),
    ]
    assert [beat.time for beat in beats] == [round(time, 3) for time in schedule(read_script(script))]


def test_beats_of_a_moment_share_its_time_evenly() -> None:
    beats = planned("You lied to me. [3s] I said no.", Fake(), 3, 2)
    # 1.2 s of speech after the last moment's start.
    assert [beat.time for beat in beats] == pytest.approx([0.0, 1.0, 2.0, 3.0, 3.6], abs=1e-3)
    assert [beat.text[-3:] for beat in beats] == ["1/3", "2/3", "3/3", "1/2", "2/2"]


def test_a_short_moment_takes_no_more_beats_than_it_has_time_for() -> None:
    # 1 s and 0.85 s, of which a beat takes 0.4.
    assert [beat.text for beat in planned("Go. [1s] You lied.", Fake(), 4)] == [
        *("Go. 1/2", "Go. 2/2", "You lied. 1/2", "You lied. 2/2"),
    ]
    # Half a second.
    assert [beat.text for beat in planned("Go.", Fake(), 4)] == ["Go. 1/1"]


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(1, 4)), min_size=1, max_size=6))
@settings(max_examples=25, deadline=None)
def test_beats_rise_within_their_moment_and_are_not_too_close(sentences: list[tuple[int, int]]) -> None:
    script = " ".join(" ".join(["Word", *["word"] * (count - 1)]) + "." for count, _ in sentences)
    moments = read_script(script)
    backend, parts = Fake(), [count for _, count in sentences]
    beats = planned(script, backend, *parts)
    [asks] = backend.asks
    assert [ask.words for ask in asks if ask.part == 0] == [moment.words for moment in moments]
    places = [sum(ask.part == 0 for ask in asks[: number + 1]) - 1 for number in range(len(asks))]
    starts = [*schedule(moments), schedule(moments)[-1] + duration(moments[-1])]
    for beat, ask, place in zip(beats, asks, places, strict=True):
        assert starts[place] - 1e-3 <= beat.time < starts[place + 1]
        assert 1 <= ask.parts <= parts[place % len(parts)]
    for (one, ask), (other, following) in pairwise(zip(beats, asks, strict=True)):
        assert other.time > one.time
        if following.part:
            assert (following.part, following.parts, following.words) == (ask.part + 1, ask.parts, ask.words)
            assert other.time - one.time >= SHORTEST - 1.1e-3


def test_beats_are_asked_for_in_order_with_their_place_in_the_script() -> None:
    backend = Fake()
    with cut(2, 1):
        list(plan(Brief("You lied to me. [3s] I said no."), backend, 7))
    first, second = "You lied to me.", "I said no."
    assert backend.asks == [[Ask(first, 0, 2), Ask(first, 1, 2), Ask(second, 0, 1)]]
    assert backend.seeds == [7]


@pytest.mark.parametrize("script", ["\n  You lied to me.\n\n", "You lied to me.\r\n"])
def test_lines_without_words_do_not_count(script: str) -> None:
    assert [beat.text[-3:] for beat in planned(script, Fake(), 2)] == ["1/2", "2/2"]


def test_described_moments_stay_as_they_are_between_others() -> None:
    backend = Fake()
    beats = planned("[0.5s] Brows knit, lips press. [2s] You lied to me. [6s] Jaw drops, eyes widen.", backend, 2)
    assert [(beat.time, beat.text) for beat in beats] == [
        (0.5, "Brows knit, lips press."),
        (2.0, "You lied to me. 1/2"),
        (4.0, "You lied to me. 2/2"),
        (6.0, "Jaw drops, eyes widen."),
    ]
    assert backend.asks == [[Ask("You lied to me.", 0, 2), Ask("You lied to me.", 1, 2)]]


def test_what_the_user_says_of_the_face_stays_in_the_description() -> None:
    beats = planned("You came back. (smiling, eyes wet) I knew it. (She leaves.)", Fake(), 1)
    assert [beat.text for beat in beats] == [
        "You came back. 1/1",
        "Smiling, eyes wet. (smiling, eyes wet) I knew it. 1/1",
        "She leaves. 1/1",
    ]


def test_a_script_of_descriptions_needs_no_planner() -> None:
    backend = Fake()
    beats = planned("[0.0s] brows knit, lips press\n[1.5s] jaw drops, eyes widen", backend, 3)
    assert [(beat.time, beat.text) for beat in beats] == [
        (0.0, "brows knit, lips press"),
        (1.5, "jaw drops, eyes widen"),
    ]
    assert [ask for call in backend.asks for ask in call] == []


def test_beats_that_were_given_are_taken_as_they_stand() -> None:
    backend = Fake()
    given_ = (Beat(0.25, "Brows up."), Beat(0.3, ""), Beat(9.0, "Lips press."))
    brief = Brief("Something else is said here.", "A flat", "Anger", "x", given_)
    assert list(plan(brief, backend, 0)) == [(index, 3, beat) for index, beat in enumerate(given_)]
    assert backend.asks == []
    found = generate(brief, backend, 0)
    assert [(k.time, k.text) for k in found.keyframes] == [(beat.time, beat.text) for beat in given_]


def test_everything_is_streamed_once_and_the_performance_is_in_order() -> None:
    beats: dict[int, Beat] = {}
    keyframes: list[tuple[int, int, Keyframe]] = []

    def on_beat(index: int, count: int, beat: Beat) -> None:
        assert index not in beats
        assert count == 5
        beats[index] = beat

    brief = Brief("You lied to me. [2s] Brows knit, lips press. [4s] I said no.", "A flat", "Joy", "id")
    with cut(2):
        found = generate(
            brief, Fake(), 0, on_beat=on_beat, on_keyframe=lambda index, count, k: keyframes.append((index, count, k))
        )
    assert keyframes == [(index, 5, keyframe) for index, keyframe in enumerate(found.keyframes)]
    assert [(k.time, k.text) for k in found.keyframes] == [(beats[i].time, beats[i].text) for i in range(5)]
    assert [k.pose["jawOpen"] for k in found.keyframes] == [0.0, 0.01, 0.02, 0.03, 0.04]
    assert found.brief == brief


def test_a_cancel_goes_through_at_every_step() -> None:
    def run(steps: int) -> int:
        left = iter(range(steps))
        made: list[int] = []

        def check() -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt

        with cut(2):
            generate(Brief("You lied to me."), Fake(), 0, check, on_keyframe=lambda index, count, k: made.append(index))
        return len(made)

    # Twice for descriptions, twice for poses.
    for steps in range(4):
        with pytest.raises(KeyboardInterrupt):
            run(steps)
    assert run(4) == 2


@pytest.mark.parametrize("script", ["", "  \n\t", "...", "?!"])
def test_nothing_to_perform_is_said(script: str) -> None:
    with pytest.raises(FacescriptError) as caught:
        generate(Brief(script), Fake(), 0)
    assert caught.value.code == "empty_script"


BEATS = (Beat(0.0, "Lips press."), Beat(0.9, "Brows up."), Beat(3.3, "A smile."))
SAID = Brief("You lied. I said no to you before. She went on.", beats=BEATS)


def test_some_beats_are_posed_among_all() -> None:
    backend = Fake()
    made: list[tuple[int, int, Keyframe]] = []
    found = pose_some(SAID, (0, 2), backend, on_keyframe=lambda *event: made.append(event))
    assert [(k.time, k.text, k.pose["jawOpen"]) for k in found] == [(0.0, "Lips press.", 0.0), (3.3, "A smile.", 0.02)]
    assert made == [(0, 2, found[0]), (1, 2, found[1])]
    assert backend.posed == [(["Lips press.", "Brows up.", "A smile."], [0, 2])]


def test_phrases_are_posed_each_as_if_it_were_the_only_one() -> None:
    backend = Fake()
    found = pose_each(SAID, backend)
    assert [(k.time, k.text, k.pose["jawOpen"]) for k in found] == [(b.time, b.text, 0.0) for b in BEATS]
    assert backend.posed == [([b.text], [0]) for b in BEATS]


def test_alternatives_are_of_the_moment_that_is_nearest_and_posed_in_the_beats_place() -> None:
    backend = Fake()
    beats: list[tuple[int, int, Beat]] = []
    with cut(1):
        found = alternatives(SAID, 1, 2, backend, 5, on_beat=lambda *event: beats.append(event))
    texts = ["I said no to you before. take 0", "I said no to you before. take 1"]
    assert [(k.time, k.text, k.pose["jawOpen"]) for k in found] == [(0.9, texts[0], 0.01), (0.9, texts[1], 0.01)]
    assert beats == [(0, 2, Beat(0.9, texts[0])), (1, 2, Beat(0.9, texts[1]))]
    assert backend.wanted == [Takes(2, 5, {beat.text for beat in BEATS})]
    assert backend.posed == [(["Lips press.", text, "A smile."], [1]) for text in texts]


@pytest.mark.parametrize(
    ("time", "moment"),
    # The moments are at 0, 0.85 and 3.1 s.
    [(0.0, "You lied."), (0.4, "You lied."), (0.45, "I said no"), (1.9, "I said no"), (2.0, "She"), (90.0, "She")],
)
def test_a_beat_that_was_moved_or_put_in_is_of_the_nearest_moment(time: float, moment: str) -> None:
    with cut(1):
        [found] = alternatives(Brief(SAID.script, beats=(Beat(time, "By hand."),)), 0, 1, Fake(), 0)
    assert found.text.startswith(moment)


def test_the_same_words_said_twice_are_two_moments() -> None:
    backend = Fake()
    numbers: list[int] = []
    backend.others = lambda brief, asks, number, wanted, check: numbers.append(number) or ["A take."]  # type: ignore
    brief = Brief("I said no to you! I said no to you!", beats=(Beat(0.0, "a"), Beat(1.9, "b")))
    with cut(1):
        for place in range(2):
            alternatives(brief, place, 1, backend, 0)
    assert numbers == [0, 1]


def test_the_users_own_words_of_the_face_stay_in_every_alternative() -> None:
    backend = Fake()
    brief = Brief(
        "You came back. (smiling, eyes wet) I knew it.",
        beats=(Beat(0.0, "Lids soft."), Beat(1.2, "Smiling, eyes wet. Cheeks up.")),
    )
    with cut(1):
        [found] = alternatives(brief, 1, 1, backend, 0)
    assert found.text == "Smiling, eyes wet. (smiling, eyes wet) I knew it. take 0"
    # What follows the user's words is not found again either.
    assert backend.wanted[0].taken == {"Lids soft.", "Smiling, eyes wet. Cheeks up.", "Cheeks up."}


@pytest.mark.parametrize("script", ["", " \n\u200f ...", "[0.8s] brows knit, lips press"])
def test_without_a_script_or_where_the_user_described_the_face_alternatives_are_like_the_beat(script: str) -> None:
    backend = Fake()
    found = alternatives(Brief(script, beats=BEATS), 1, 2, backend, 3)
    assert [k.text for k in found] == ["like Brows up. 0", "like Brows up. 1"]
    assert backend.wanted == [Takes(2, 3, {beat.text for beat in BEATS})]


def test_a_model_that_finds_no_other_description_says_so() -> None:
    backend = Fake()
    backend.near = lambda brief, text, wanted, check: []  # type: ignore[method-assign]
    with pytest.raises(FacescriptError) as caught:
        alternatives(Brief("", beats=BEATS), 0, 4, backend, 0)
    assert (caught.value.code, bool(caught.value.hint)) == ("no_alternatives", True)
