# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest
from facescript.inference.examples import Examples, Index
from facescript.performance import NEUTRAL, Brief, FacescriptError, Keyframe, Performance


def performance(script: str, emotion: str, *texts: str) -> Performance:
    return Performance(Brief(script, "", emotion), tuple(Keyframe(float(i), t, NEUTRAL) for i, t in enumerate(texts)))


ANGRY = performance("Get out of my house.", "anger", "Brows lower, jaw clenches.", "Nostrils flare.")
SAD = performance("She reads the letter.", "grief", "Inner brows rise, lips tremble.", "A tear; the lids close.")


def test_the_text_with_the_same_words_is_nearest() -> None:
    index = Index(["the jaw drops", "the brows rise", "the brows and the lids rise"])
    assert index.nearest("brows rise", 3) == [1, 2]
    assert index.nearest("jaw", 3) == [0]


def test_rare_words_weigh_more_than_common_ones() -> None:
    index = Index(["the the smirk", "the face", "the eyes", "the nose"])
    assert index.nearest("the smirk", 1) == [0]


def test_ties_go_to_the_first() -> None:
    assert Index(["lids close", "lids close", "lids close"]).nearest("lids", 2) == [0, 1]


def test_words_are_found_in_any_case_and_unknown_words_find_nothing() -> None:
    index = Index(["Jaw drops."])
    assert index.nearest("JAW!", 1) == [0]
    assert index.nearest("\u05e9\u05dc\u05d5\u05dd 123", 1) == []
    assert index.nearest("", 1) == []


def test_examples_are_chosen_by_description_and_by_script_and_emotion() -> None:
    examples = Examples([ANGRY, SAD])
    [(found, keyframe)] = examples.keyframes_like("Both lids close slowly.", 1)
    assert (found, keyframe.text) == (SAD, "A tear; the lids close.")
    assert examples.performances_like("He shouts.", "cold anger", 2) == [ANGRY]


@pytest.mark.parametrize("text", ["眉をひそめ、唇を結ぶ。", "眉头紧锁", "Брови сдвинуты", "", "..."])
def test_a_description_without_a_word_in_common_is_shown_an_example_as_well(text: str) -> None:
    examples = Examples([ANGRY, SAD])
    assert examples.keyframes_for(text, 1) == [(ANGRY, ANGRY.keyframes[0])]
    # Where likeness itself is asked for, nothing is like it.
    assert examples.keyframes_like(text, 1) == []
    assert examples.keyframes_for("Both lids close slowly.", 1) == [(SAD, SAD.keyframes[1])]


def test_without_a_folder_there_are_no_examples(tmp_path: Path) -> None:
    examples = Examples.load(tmp_path / "nothing")
    assert examples.keyframes_like("Jaw drops.", 2) == []
    assert examples.performances_like("Hi.", "joy", 2) == []


def test_a_damaged_file_of_examples_is_named(tmp_path: Path) -> None:
    path = tmp_path / "performances.jsonl"
    path.write_text("{")
    with pytest.raises(FacescriptError, match=r"performances\.jsonl, line 1: This is not JSON"):
        Examples.load(tmp_path)


def test_the_examples_of_the_package_fit_what_they_are_asked_for() -> None:
    [(_, keyframe)] = Examples.load().keyframes_like("Both brows shoot up, the eyes widen and the jaw drops.", 1)
    assert keyframe.pose["jawOpen"] >= 0.3
    assert keyframe.pose["eyeWideLeft"] >= 0.3
