# SPDX-License-Identifier: GPL-3.0-or-later
"""Composed descriptions say what their poses do."""

from __future__ import annotations

import random

import numpy as np
import pytest
from facescript.performance import Pose
from facescript.performance.channels import INDEX
from facescript.training import vocabulary
from facescript.training.vocabulary import Phrase, compose, sentence


@pytest.fixture(scope="module")
def phrases() -> dict[str, list[Phrase]]:
    return vocabulary.load()


def phrase(text: str, **channels: float) -> Phrase:
    return Phrase(text, Pose.from_dict(channels).values)


# Words for strength keep a phrase as it is written; none of these names a side.
PLAIN = {
    "brows": [phrase("brows high", browInnerUp=0.8)],
    "lids": [phrase("lids fully shut", eyeBlink=1.0)],
    "gaze": [phrase("gaze far up", gazeUp=0.7)],
    "nose_cheeks": [phrase("cheeks puffed hard", cheekPuff=0.9)],
    "mouth_corners": [phrase("a big smile", mouthSmile=0.75)],
    "lips": [phrase("lips rolled in tight", mouthRollUpper=0.6)],
    "jaw": [phrase("jaw slightly forward", jawForward=0.2)],
    "head": [phrase("head high", headPitch=0.4)],
}


def moved(pose: Pose) -> set[str]:
    return set(pose.active(0.01))


def test_every_region_has_phrases_of_its_own(phrases: dict[str, list[Phrase]]) -> None:
    assert set(phrases) == {file for files in vocabulary._PARTS.values() for file in files}
    assert all(len(rows) >= 200 for rows in phrases.values())
    for rows in phrases.values():
        for row in rows:
            assert row.text == row.text.strip() != ""
            assert "{" not in row.text
            assert np.allclose(row.values * 20, np.round(row.values * 20), atol=1e-9), row.text


def test_it_is_the_same_for_the_same_seed() -> None:
    settings = [("A flat", "Anger"), ("A door", "Joy")]
    assert compose(20, 3, settings) == compose(20, 3, settings)
    assert compose(20, 3, settings) != compose(20, 4, settings)
    # More of them begin with the same.
    assert compose(30, 3, settings)[:20] == compose(20, 3, settings)


def test_what_is_composed_is_well_formed() -> None:
    settings = [("A flat", "Anger"), ("A door", "Joy")]
    found = compose(300, 1, settings)
    assert len({performance.brief.id for performance in found}) == 300
    assert {(p.brief.background, p.brief.emotion) for p in found} == {("", ""), *settings}
    assert {len(p.keyframes) for p in found} == {1, 2, 3}
    for performance in found:
        for keyframe in performance.keyframes:
            assert keyframe.text == keyframe.text.strip() != ""
            assert "{" not in keyframe.text
            assert ",," not in keyframe.text
            assert np.allclose(keyframe.pose.values * 20, np.round(keyframe.pose.values * 20), atol=1e-9)


def test_a_sentence_moves_what_it_names_and_nothing_else() -> None:
    draw = random.Random(0)
    seen: set[str] = set()
    for _ in range(200):
        text, pose = sentence(PLAIN, draw)
        named = [row for rows in PLAIN.values() for row in rows if row.text in text.lower()]
        assert named
        wanted = sum(row.values for row in named)
        assert (pose.values == wanted).all(), text
        seen |= moved(pose)
    assert seen == {name for rows in PLAIN.values() for row in rows for name in moved(Pose(row.values))}


def test_what_cannot_be_on_one_face_is_never_said_together() -> None:
    both = PLAIN | {
        "lids": [phrase("lids fully shut", eyeBlink=1.0), phrase("eyes wide", eyeWide=0.8)],
        "mouth_corners": [phrase("a big smile", mouthSmile=0.75), phrase("a deep frown", mouthFrown=0.7)],
        "head": [phrase("head turned far off", headYaw=0.6), phrase("head high", headPitch=0.4)],
    }
    draw = random.Random(1)
    for _ in range(300):
        text, pose = sentence(both, draw)
        assert not ("shut" in text.lower() and "wide" in text.lower())
        assert not ("smile" in text.lower() and "frown" in text.lower())
        assert min(pose["eyeBlinkLeft"], pose["eyeWideLeft"]) == 0.0


def test_a_mirrored_phrase_is_mirrored_in_words_and_values() -> None:
    row = phrase("left brow raised high, gaze far right", browOuterUpLeft=0.7, gazeRight=0.6)
    texts = set()
    for seed in range(20):
        found = vocabulary._varied(row, random.Random(seed))
        texts.add(found.text)
        mirrored = found.text == "right brow raised high, gaze far left"
        assert Pose(found.values) == (Pose(row.values).mirrored() if mirrored else Pose(row.values))
    assert texts == {row.text, "right brow raised high, gaze far left"}


def test_a_word_for_the_strength_sets_the_largest_value() -> None:
    row = phrase("brows up", browInnerUp=0.6, browOuterUp=0.3)
    strengths = dict(vocabulary._STRENGTHS)
    seen = set()
    for seed in range(400):
        found = vocabulary._varied(row, random.Random(seed))
        if found.text == row.text:
            assert (found.values == row.values).all()
            continue
        [words] = [words for words in strengths if words.format(row.text) == found.text]
        seen.add(words)
        assert abs(found.values).max() == pytest.approx(strengths[words], abs=0.0251)
        assert found.values[INDEX["browOuterUpLeft"]] == pytest.approx(strengths[words] / 2, abs=0.0251)
    assert len(seen) > 15


def test_nothing_that_is_named_vanishes_however_faint() -> None:
    row = phrase("brows up and together", browInnerUp=1.0, browDown=0.1)
    for seed in range(200):
        assert moved(Pose(vocabulary._varied(row, random.Random(seed)).values)) == moved(Pose(row.values))


def test_codes_with_a_side_are_left_alone() -> None:
    row = phrase("AU51 head turned far left", headYaw=0.5)
    for seed in range(20):
        found = vocabulary._varied(row, random.Random(seed))
        assert (found.text, found.values.tolist()) == (row.text, row.values.tolist())
