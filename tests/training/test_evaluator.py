# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from facescript.performance import Brief, Keyframe, Performance, Pose
from facescript.performance.pose import Array
from facescript.training import evaluator, sentences
from facescript.training.evaluator import Pairs, Recipe, multimodal_distance, r_precision, shuffled
from facescript.training.sentences import Sentences

# A word of the made language moves a channel.
WORDS = {
    "smile": "mouthSmile", "frown": "mouthFrown", "blink": "eyeBlink", "pucker": "mouthPucker", "puff": "cheekPuff",
    "sneer": "noseSneer", "gape": "jawOpen", "stare": "eyeWide", "knit": "browDown", "peak": "browInnerUp",
}  # fmt: skip
SMALL = Recipe(terms=16, width=32, shared=16, dropout=0.0, batch=64, epochs=20)


def made(count: int, seed: int) -> list[Performance]:
    draw = random.Random(seed)
    found = []
    for number in range(count):
        words = draw.sample(sorted(WORDS), 3)
        pose = Pose.from_dict({WORDS[word]: 0.6 for word in words})
        found.append(Performance(Brief("", id=str(number)), (Keyframe(0.0, " ".join(words), pose),)))
    return found


def letters(texts: Sequence[str]) -> Array:
    return np.array([[text.count(letter) for letter in "abcdefgh"] for text in texts]) / 3.0


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return Pairs.of(made(300, 1))


@pytest.fixture(scope="module")
def held() -> Pairs:
    return Pairs.of(made(64, 2))


def units(count: int, seed: int) -> Array:
    rows = np.random.default_rng(seed).normal(size=(count, 16))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def test_r_precision_of_the_same_embeddings_is_one() -> None:
    rows = units(100, 1)
    assert r_precision(rows, rows) == {1: 1.0, 2: 1.0, 3: 1.0}


def test_r_precision_of_unrelated_embeddings_is_chance() -> None:
    found = r_precision(units(2000, 1), units(2000, 2), deals=5)
    for top in (1, 2, 3):
        assert found[top] == pytest.approx(top / 32, abs=0.015)


def test_poses_that_are_all_alike_gain_nothing() -> None:
    found = r_precision(units(320, 1), np.tile(units(1, 2), (320, 1)))
    # One description of each pool is the nearest to them all.
    assert found == {1: pytest.approx(1 / 32), 2: pytest.approx(2 / 32), 3: pytest.approx(3 / 32)}


def test_descriptions_that_are_all_alike_gain_nothing() -> None:
    assert r_precision(np.tile(units(1, 2), (64, 1)), units(64, 1))[3] == 0.0


def test_the_own_description_may_be_second() -> None:
    # On a line: each pose is nearer to the next one's text than to its own, and to that nearer than to the others'.
    texts = np.stack([np.arange(32.0), np.zeros(32)], axis=1)
    poses = texts + np.array([0.6, 0.0])
    # The last one has no next.
    assert r_precision(texts, poses) == {1: pytest.approx(1 / 32), 2: 1.0, 3: 1.0}


def test_pools_are_the_same_for_the_same_seed() -> None:
    texts, poses = units(100, 1), units(100, 1) + units(100, 2)
    assert r_precision(texts, poses, seed=3) == r_precision(texts, poses, seed=3)
    assert r_precision(texts, poses, seed=3) != r_precision(texts, poses, seed=4)


def test_a_pool_that_cannot_be_filled_is_refused() -> None:
    with pytest.raises(ValueError, match="31 texts"):
        r_precision(units(31, 1), units(31, 1))
    with pytest.raises(ValueError, match="40 texts and 41 poses"):
        r_precision(units(40, 1), units(41, 1))


def test_the_distance_is_the_mean_of_the_pairs() -> None:
    texts = np.array([[1.0, 0.0], [0.0, 1.0]])
    poses = np.array([[1.0, 0.0], [0.0, -1.0]])
    assert multimodal_distance(texts, poses) == pytest.approx(1.0)


@pytest.mark.parametrize("count", [2, 3, 50])
def test_shuffling_moves_every_row(count: int) -> None:
    order = shuffled(count, seed=5)
    assert sorted(order) == list(range(count))
    assert not (order == np.arange(count)).any()


def test_training_finds_which_words_move_what(pairs: Pairs, held: Pairs) -> None:
    judge = evaluator.train(pairs, held, letters, SMALL)
    texts, poses = judge.of_texts(held.texts), judge.of_poses(held.poses)
    assert texts.shape == poses.shape == (64, 16)
    assert np.linalg.norm(texts, axis=1) == pytest.approx(1.0)
    assert r_precision(texts, poses)[1] > 0.8
    others = poses[shuffled(64)]
    assert r_precision(texts, others)[1] < 0.1
    assert multimodal_distance(texts, others) > multimodal_distance(texts, poses) + 0.3


def test_training_is_repeatable(pairs: Pairs, held: Pairs) -> None:
    short = replace(SMALL, epochs=2)
    one, two = (evaluator.train(pairs, held, letters, short).of_poses(held.poses) for _ in range(2))
    assert np.array_equal(one, two)


def test_the_evaluator_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train, dev, short = made(100, 1), made(40, 2), replace(SMALL, epochs=2)
    first = evaluator.load(train, dev, letters, tmp_path, short)
    monkeypatch.setattr(evaluator, "_trained", None)
    again = evaluator.load(train, dev, letters, tmp_path, short)
    poses = Pairs.of(dev).poses
    assert np.array_equal(first.of_poses(poses), again.of_poses(poses))
    texts = [keyframe.text for performance in dev for keyframe in performance.keyframes]
    assert np.allclose(first.of_texts(texts), again.of_texts(texts))
    # Another corpus asks for another evaluator.
    with pytest.raises(TypeError):
        evaluator.load(train[1:], dev, letters, tmp_path, short)


def test_mirrored_pairs_say_and_show_the_other_side() -> None:
    pose = Pose.from_dict({"eyeBlinkLeft": 1.0})
    pairs = Pairs.of([Performance(Brief(""), (Keyframe(0.0, "The left eye winks.", pose),))])
    assert pairs.mirrored_texts == ("The right eye winks.",)
    assert np.array_equal(pairs.mirrored_poses, [pose.mirrored().values])


def test_sentences_are_embedded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Model:
        def encode(self, texts: list[str], **_: object) -> Array:
            asked.extend(texts)
            return np.array([[float(len(text))] * sentences.WIDTH for text in texts])

    monkeypatch.setattr(sentences, "_load", Model)
    path = tmp_path / "new" / "sentences.safetensors"
    assert Sentences(path)(["a", "bbb", "a"])[:, 0].tolist() == [1.0, 3.0, 1.0]
    assert Sentences(path)(["bbb", "cc"])[:, 0].tolist() == [3.0, 2.0]
    assert asked == ["a", "bbb", "cc"]
    assert Sentences(path)([]).shape == (0, 384)
