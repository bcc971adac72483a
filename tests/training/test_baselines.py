# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
from facescript.performance import NEUTRAL, Brief, Keyframe, Performance, Pose
from facescript.performance.channels import INDEX
from facescript.performance.pose import Array
from facescript.training import baselines
from facescript.training.baselines import MlpRecipe, Rows, System, best_threshold, chosen, posed, sample, whole

WORDS = {"grins": "mouthSmile", "gapes": "jawOpen", "winks": "eyeBlinkLeft", "puffs": "cheekPuff"}


def performance(*keyframes: tuple[str, Pose], name: str = "") -> Performance:
    found = tuple(Keyframe(float(time), text, pose) for time, (text, pose) in enumerate(keyframes))
    return Performance(Brief("", id=name), found)


def made(count: int, seed: int) -> list[Performance]:
    draw = random.Random(seed)
    found = []
    for _ in range(count):
        words = [word for word in WORDS if draw.random() < 0.5] or ["gapes"]
        pose = Pose.from_dict({WORDS[word]: 0.6 for word in words})
        found.append(performance((" ".join(["she", *words]), pose)))
    return found


def bags(texts: Sequence[str]) -> Array:
    return np.array([[float(word in text) for word in WORDS] for text in texts])


TRAIN, DEV = made(80, 1), made(20, 2)
FITTED: dict[str, Callable[[], System]] = {
    "nearest neighbour": lambda: baselines.nearest_neighbour(Rows.of(TRAIN), Rows.of(DEV)),
    "TF-IDF ridge": lambda: baselines.tfidf_ridge(Rows.of(TRAIN), Rows.of(DEV)),
    "sentence ridge": lambda: baselines.sentence_ridge(Rows.of(TRAIN), Rows.of(DEV), bags),
    "sentence MLP": lambda: baselines.sentence_mlp(Rows.of(TRAIN), Rows.of(DEV), bags, MlpRecipe(width=64, rate=0.01)),
}


@pytest.mark.parametrize("name", FITTED)
def test_a_planted_relation_is_found(name: str) -> None:
    system = FITTED[name]()
    assert system.name == name
    asked = performance(("she gapes puffs", NEUTRAL), ("she grins winks", NEUTRAL))
    wanted = [{"jawOpen": 0.6, "cheekPuff": 0.6}, {"mouthSmile": 0.6, "eyeBlinkLeft": 0.6}]
    found = system.poses([asked])
    assert found.shape == (2, 61)
    assert found == pytest.approx(np.stack([Pose.from_dict(w).values for w in wanted]), abs=0.1)


def test_neutral_and_mean_know_nothing_of_the_words() -> None:
    train = [performance(("a", Pose.from_dict({"jawOpen": 0.2})), ("b", Pose.from_dict({"jawOpen": 0.6})))]
    asked = [performance(("c", NEUTRAL), ("d", NEUTRAL), ("e", NEUTRAL))]
    assert not baselines.neutral().poses(asked).any()
    mean = baselines.mean_pose(train).poses(asked)
    assert mean.shape == (3, 61)
    assert mean[:, INDEX["jawOpen"]] == pytest.approx(0.4)
    assert np.count_nonzero(mean) == 3


@pytest.mark.parametrize(
    ("found", "true", "threshold"),
    [
        # Zeroing the 0.07 helps and zeroing the 0.3 would not; the first that does is 0.08.
        ([0.07, 0.3], [0.0, 0.3], 0.08),
        # Nothing is to be gained.
        ([0.07, 0.3], [0.07, 0.3], 0.0),
        # Magnitudes: an angle of -0.04.
        ([0.5, -0.04], [0.5, 0.0], 0.05),
    ],
)
def test_the_threshold_with_the_least_error(found: list[float], true: list[float], threshold: float) -> None:
    places = [INDEX["jawOpen"], INDEX["headYaw"]]
    if min(found) >= 0:
        places[1] = INDEX["cheekPuff"]
    one, other = np.zeros((1, 55)), np.zeros((1, 61))
    one[0, places], other[0, places] = found, true
    assert best_threshold(one, other) == threshold


def test_poses_are_made_whole() -> None:
    found = np.zeros((1, 55))
    found[0, INDEX["jawOpen"]], found[0, INDEX["headYaw"]] = 1.7, -2.0
    found[0, INDEX["cheekPuff"]], found[0, INDEX["tongueOut"]] = -0.5, 0.1
    found[0, INDEX["eyeLookOutLeft"]] = 0.4
    [pose] = whole(found, 0.2)
    expected = {"jawOpen": 1.0, "headYaw": -1.0, "eyeLookOutLeft": 0.4, "leftEyeYaw": 0.4}
    assert Pose(pose).active(0.01) == expected


def test_the_better_candidate_is_chosen() -> None:
    held = Rows.of([performance(("x", Pose.from_dict({"jawOpen": 0.5})))])

    def constant(value: float) -> Callable[[Rows], Array]:
        row = np.zeros(55)
        row[INDEX["jawOpen"]] = value
        return lambda rows: np.tile(row, (len(rows.texts), 1))

    system = chosen("made", [("far", constant(0.9)), ("near", constant(0.45)), ("rest", constant(0.0))], held)
    assert system.note == "near (MAE 0.0009 on dev)"
    assert system.poses([performance(("y", NEUTRAL))])[0, INDEX["jawOpen"]] == 0.45


def test_rows_hold_each_keyframe_with_its_scene() -> None:
    pose = Pose.from_dict({"jawOpen": 0.5})
    brief = Brief("Oh.", "a kitchen", "joy")
    rows = Rows.of([Performance(brief, (Keyframe(0.0, "one", NEUTRAL), Keyframe(1.0, "two", pose)))])
    assert rows.texts == ("one", "two")
    assert rows.backgrounds == ("a kitchen", "a kitchen")
    assert rows.emotions == ("joy", "joy")
    assert np.array_equal(rows.poses, [NEUTRAL.values, pose.values])
    assert Rows.of([]).poses.shape == (0, 61)


def test_a_sample_is_of_whole_performances_and_repeatable() -> None:
    all_of_them = [performance(*[("x", NEUTRAL)] * 3, name=str(number)) for number in range(10)]
    picked = sample(all_of_them, 7)
    assert len(picked) == 3
    assert picked == sample(all_of_them, 7)
    assert picked == sample(all_of_them, 9)
    assert picked != sample(all_of_them, 7, seed=1)
    assert len(sample(all_of_them, 1000)) == 10
    assert sample(all_of_them, 0) == []


def test_a_backend_is_asked_for_each_performance_in_order() -> None:
    asked: list[tuple[str, list[str]]] = []

    class Backend:
        label = "made"

        def describe(self, *_: object) -> Iterator[tuple[int, str]]:
            raise AssertionError

        def pose(self, brief: Brief, descriptions: Sequence[str], check: Callable[[], None]) -> Iterator[Pose]:
            asked.append((brief.id, list(descriptions)))
            for text in descriptions:
                yield Pose.from_dict({"jawOpen": float(text)})

    found = posed(
        Backend(), [performance(("0.1", NEUTRAL), ("0.2", NEUTRAL), name="a"), performance(("0.3", NEUTRAL), name="b")]
    )
    assert asked == [("a", ["0.1", "0.2"]), ("b", ["0.3"])]
    assert found[:, INDEX["jawOpen"]].tolist() == [0.1, 0.2, 0.3]
