# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from facescript.performance.jsonl import read_performances
from facescript.training import corpus
from facescript.training.corpus import ALIKE, Corpus, likeness, words


@pytest.fixture(scope="module")
def parts() -> Corpus:
    return corpus.load()


def test_parts_share_no_entry(parts: Corpus) -> None:
    ids = [{performance.brief.id for performance in part} for part in (parts.train, parts.dev, parts.test)]
    assert not ids[0] & ids[1] and not ids[0] & ids[2] and not ids[1] & ids[2]
    assert [len(found) for found in ids] == [len(parts.train), len(parts.dev), len(parts.test)]
    assert not ids[0] & set(parts.left_out)


def test_every_held_out_id_is_in_the_first_file(parts: Corpus) -> None:
    named = json.loads(corpus.SPLITS.read_text(encoding="utf-8"))
    first = {performance.brief.id for performance in read_performances(corpus.FIRST)}
    for part, found in (("dev", parts.dev), ("test", parts.test)):
        assert len(named[part]) == len(set(named[part]))
        assert set(named[part]) <= first
        assert {performance.brief.id for performance in found} == set(named[part])


def test_themes_are_held_out_alike(parts: Corpus) -> None:
    themes = [{p.brief.id.partition("-")[0] for p in part} for part in (parts.dev, parts.test)]
    assert themes[0] == themes[1] == {p.brief.id.partition("-")[0] for p in read_performances(corpus.FIRST)}


def test_no_training_script_is_nearly_a_held_out_one(parts: Corpus) -> None:
    held = [words(performance.brief.script) for performance in (*parts.dev, *parts.test)]
    for performance in parts.train:
        script = words(performance.brief.script)
        assert all(likeness(script, other) < ALIKE for other in held), performance.brief.id


def test_no_test_script_is_nearly_a_development_one(parts: Corpus) -> None:
    for performance in parts.test:
        script = words(performance.brief.script)
        assert all(likeness(script, words(other.brief.script)) < ALIKE for other in parts.dev), performance.brief.id


def test_all_that_was_read_is_in_a_part_or_left_out(parts: Corpus) -> None:
    count = sum(1 for path in corpus.DATA.glob("*.jsonl") for _ in read_performances(path))
    assert len(parts.train) + len(parts.dev) + len(parts.test) + len(parts.left_out) == count


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("I know.", "i KNOW", 1.0), ("I know it", "I know you", 0.5), ("yes", "no", 0.0), ("", "", 0.0), ("", "no", 0.0)],
)
def test_likeness(one: str, other: str, expected: float) -> None:
    assert likeness(words(one), words(other)) == expected
