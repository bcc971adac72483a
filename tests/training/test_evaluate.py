# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from facescript.performance import NEUTRAL, Brief, Keyframe, Performance, Pose
from facescript.performance.pose import Array
from facescript.training import corpus, evaluate, evaluator
from facescript.training.acting_checks import load_scripts
from facescript.training.baselines import Rows
from facescript.training.corpus import Corpus
from facescript.training.evaluator import Evaluator, Pairs, Recipe

SHAPES = ("jawOpen", "cheekPuff", "mouthSmile", "mouthFrown", "eyeBlinkLeft")


def performance(name: str, *shapes: str) -> Performance:
    keyframes = [Keyframe(float(t), s, Pose.from_dict({s: 0.5} if s else {})) for t, s in enumerate(shapes)]
    return Performance(Brief(f"script of {name}", id=name), tuple(keyframes))


PERFORMANCES = tuple(
    performance(f"{theme}-{number}", *SHAPES[number % 4 :]) for theme in ("asy", "rom") for number in range(8)
)


def lengths(texts: Sequence[str]) -> Array:
    return np.array([[float(len(text)), float("s" in text), float("o" in text)] for text in texts])


@pytest.fixture(scope="module")
def judge() -> Evaluator:
    pairs = Pairs.of(PERFORMANCES)
    return evaluator.train(pairs, pairs, lengths, Recipe(terms=4, width=16, shared=8, epochs=1))


@pytest.fixture
def made_corpus(monkeypatch: pytest.MonkeyPatch, judge: Evaluator) -> None:
    """A small corpus, and its evaluator, in place of the real ones."""
    parts = Corpus(PERFORMANCES, PERFORMANCES[:8], PERFORMANCES[8:], ())
    monkeypatch.setattr(corpus, "load", lambda: parts)
    monkeypatch.setattr(evaluator, "load", lambda *_: judge)
    monkeypatch.setattr(evaluate, "Sentences", lambda: lengths)


def test_the_baselines_are_shown_and_written(
    made_corpus: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "results.jsonl"
    assert evaluate.main(["evaluate", "--part", "dev", "--no-embedded", "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "The dev part: 8 performances, 28 keyframes" in shown
    entries = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    systems = {entry["system"]: entry for entry in entries if entry["kind"] == "poses"}
    assert list(systems)[:3] == ["true poses", "true, shuffled", "neutral"]
    assert systems["true poses"]["independent"] == {"mse": 0.0, "mae": 0.0, "f1": 1.0}
    # 28 descriptions fill no pool of 32, and no head turns.
    assert systems["neutral"]["r_precision"] == {}
    assert systems["neutral"]["directed"] is None
    assert systems["TF-IDF ridge"]["independent"]["mae"] < systems["neutral"]["independent"]["mae"]
    [theme] = [entry for entry in entries if entry["kind"] == "theme"]
    assert (theme["theme"], theme["keyframes"]) == ("asy", 28)


@pytest.mark.parametrize("arguments", [["--part", "train"], ["--prompted", "-1"], ["--out", "/no/such/folder/file"]])
def test_bad_arguments_are_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        evaluate.main(["evaluate", *arguments])
    assert stopped.value.code == 2


def test_a_missing_runtime_is_said(
    made_corpus: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "RUNTIME", tmp_path)
    assert evaluate.main(["evaluate", "--no-baselines"]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_a_system_is_compared_with_the_true_poses(judge: Evaluator) -> None:
    rows = Rows.of(PERFORMANCES)
    result = evaluate.compare("rest", "a note", np.zeros_like(rows.poses), rows, judge)
    assert result.keyframes == 56
    assert result.measures.independent.f1 == 0.0
    assert result.precision[1] == pytest.approx(1 / 32, abs=0.05)
    assert 0.0 <= result.distance <= 2.0


def test_a_samples_rows_are_found_among_all() -> None:
    places = evaluate._places(PERFORMANCES, [PERFORMANCES[2], PERFORMANCES[0]])
    rows = Rows.of(PERFORMANCES)
    assert [rows.texts[place] for place in places] == [*SHAPES[2:], *SHAPES]


def test_the_nearest_script_lends_its_whole_performance() -> None:
    scripts = load_scripts()[:2]
    near = Performance(scripts[1].brief, (Keyframe(0.0, "x", NEUTRAL), Keyframe(1.0, "y", NEUTRAL)))
    found = evaluate.nearest_scripts([PERFORMANCES[0], near], scripts)
    assert found[scripts[1].brief.id].keyframes == near.keyframes
    assert [performance.brief for performance in found.values()] == [script.brief for script in scripts]


def test_a_table_lines_up() -> None:
    shown = evaluate.table(["MAE", "a longer head"], {"one": ["0.1", "-"], "another": ["0.25", "1"]})
    assert shown.splitlines() == [
        "            MAE  a longer head",
        "one         0.1              -",
        "another    0.25              1",
    ]
