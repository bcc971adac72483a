# SPDX-License-Identifier: GPL-3.0-or-later
"""The planner's training sequences: trees whose branches do not see each other."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("accelerate")

import torch
from facescript.inference import prompts
from facescript.inference.examples import Examples
from facescript.inference.plain_words import describe
from facescript.performance import Brief, Keyframe, Performance, Pose
from facescript.training import planner
from facescript.training.learning import pace
from facescript.training.planner import PlannerRecipe, Tree, attention, losses, tree
from safetensors.torch import load_file
from torch.nn import functional
from toys import Tokenizer, language_model


def performance(script: str, *moves: str, gap: float = 0.7, emotion: str = "Joy") -> Performance:
    """A keyframe for each channel that is named, `gap` seconds apart, at 0.5."""
    keyframes = tuple(
        Keyframe(gap * number, f"Left brow moves: {name}.", Pose.from_dict({name: 0.5} if name else {}))
        for number, name in enumerate(moves)
    )
    return Performance(Brief(script, "A door", emotion, script), keyframes)


TWO = performance("one two three four\nfive six seven eight", "browInnerUp", "jawOpen", "mouthSmile", "cheekPuff")
LIKE = performance("Hello.", "tongueOut", "")
# What the planner learns to write of them.
RAISED, OPEN, SMILE, PUFFED = (describe(keyframe.pose) for keyframe in TWO.keyframes)


def parts(item: Tree, tokenizer: Tokenizer) -> list[str]:
    """The text of each segment."""
    pairs = groupby(zip(item.segments, item.ids, strict=True), key=lambda pair: pair[0])
    return [tokenizer.decode([token for _, token in rows]) for _, rows in pairs]


def answers(item: Tree, tokenizer: Tokenizer) -> list[str]:
    """The labels of each segment as text."""
    found = [
        [label for label, segment in zip(item.labels, item.segments, strict=True) if segment == number and label >= 0]
        for number in range(len(item.sees))
    ]
    return [tokenizer.decode(labels) for labels in found]


def test_a_tree_is_the_scene_its_moments_and_their_beats() -> None:
    tokenizer = Tokenizer()
    item = tree(tokenizer, TWO, None)
    assert parts(item, tokenizer) == [
        "Script: one two three four\nfive six seven eight\nBackground: A door\nEmotion: Joy\n",
        "\nMoment 1 of 2: one two three four\nBeats:",
        f" two\nFace one of two: {RAISED}",
        f" two\nFace two of two: {OPEN}",
        "\nMoment 2 of 2: five six seven eight\nBeats:",
        f" two\nFace one of two: {SMILE}",
        f" two\nFace two of two: {PUFFED}",
    ]
    assert item.sees == ((0,), (0, 1), (0, 1, 2), (0, 1, 3), (0, 4), (0, 4, 5), (0, 4, 6))
    assert answers(item, tokenizer) == [
        *("", " two", f" {RAISED}\n", f" {OPEN}\n"),
        *(" two", f" {SMILE}\n", f" {PUFFED}\n"),
    ]
    assert len(item.ids) == len(item.positions) == len(item.segments) == len(item.labels)


def test_labels_follow_the_tokens_that_they_are_predicted_from() -> None:
    tokenizer = Tokenizer()
    item = tree(tokenizer, TWO, None)
    places = [place for place, segment in enumerate(item.segments) if segment == 2]
    wanted = tokenizer(f" {RAISED}\n", add_special_tokens=False)["input_ids"]
    labelled = [place for place in places if item.labels[place] >= 0]
    assert labelled == places[-len(wanted) :]
    assert [item.labels[place] for place in labelled] == wanted
    assert [item.ids[place] for place in labelled[1:]] == wanted[:-1]
    assert tokenizer.decode([item.ids[labelled[0]]]) == ":"


def test_positions_go_on_from_what_a_segment_sees() -> None:
    item = tree(Tokenizer(), TWO, LIKE)
    lengths = [item.segments.count(number) for number in range(len(item.sees))]
    for number, seen in enumerate(item.sees):
        start = sum(lengths[other] for other in seen[:-1])
        found = [p for p, segment in zip(item.positions, item.segments, strict=True) if segment == number]
        assert found == list(range(start, start + lengths[number]))


def test_a_similar_performance_is_shown_first() -> None:
    tokenizer = Tokenizer()
    scene = parts(tree(tokenizer, TWO, LIKE), tokenizer)[0]
    shown = "".join(f"- {describe(keyframe.pose)}\n" for keyframe in LIKE.keyframes)
    assert scene.startswith(f"Similar: Hello.\nEmotion: Joy\n{shown}\nScript: one two three four\n")


def test_no_more_beats_are_trained_than_can_be_asked_for() -> None:
    tokenizer = Tokenizer()
    many = performance("one two three four five six", *["jawOpen"] * 6)
    item = tree(tokenizer, many, None)
    assert len(item.sees) == 2 + prompts.MOST_BEATS
    assert answers(item, tokenizer)[1:] == [" four", *[f" {OPEN}\n"] * 4]


def test_the_sequence_is_what_the_planner_is_asked_when_it_is_used() -> None:
    tokenizer = Tokenizer()
    item = tree(tokenizer, TWO, LIKE)
    scene = prompts.plan_scene(TWO.brief, TWO.brief.script, LIKE)
    asked = prompts.plan_moment("five six seven eight", 1, 2) + prompts.plan_beat(1, 2)
    branch = [token for token, segment in zip(item.ids, item.segments, strict=True) if segment in item.sees[6]]
    assert tokenizer.decode(branch) == f"{scene}{asked} {PUFFED}"


def test_a_token_sees_its_branch_up_to_itself_and_nothing_else() -> None:
    item = tree(Tokenizer(), TWO, None)
    seen = attention(item)
    for one in range(len(item.ids)):
        for other in range(len(item.ids)):
            branch = item.segments[other] in item.sees[item.segments[one]]
            assert seen[one, other] == (branch and other <= one)


def test_neither_beats_nor_moments_see_each_other() -> None:
    item = tree(Tokenizer(), TWO, None)
    seen, segments = attention(item), torch.tensor(item.segments)
    moments, beats = {1: (2, 3), 4: (5, 6)}, (2, 3, 5, 6)
    for beat in beats:
        for other in {*beats, *moments} - {beat}:
            own = other in moments and beat in moments[other]
            assert seen[segments == beat][:, segments == other].all() == own
            assert seen[segments == beat][:, segments == other].any() == own
    assert not seen[segments == 4][:, segments == 1].any()
    assert not seen[segments == 0][:, segments > 0].any()


def test_losses_over_a_tree_are_those_of_each_branch_alone() -> None:
    tokenizer, model = Tokenizer(), language_model(3)
    model.set_attn_implementation("eager")
    plain = language_model(3)
    for item in (tree(tokenizer, TWO, LIKE), tree(tokenizer, LIKE, None)):
        with torch.inference_mode():
            found = losses(model, item)
        wanted = []
        for number, seen in enumerate(item.sees):
            rows = [i for i, segment in enumerate(item.segments) if segment in seen]
            ids, labels = torch.tensor(item.ids)[rows], torch.tensor(item.labels)[rows]
            own = (torch.tensor(item.segments)[rows] == number) & (labels >= 0)
            if own.any():
                with torch.inference_mode():
                    logits = plain(input_ids=ids[None]).logits[0]
                wanted.append(functional.cross_entropy(logits[own], labels[own], reduction="none"))
        assert torch.allclose(found, torch.cat(wanted), atol=1e-4)
        # Random weights are wrong by far, and not everywhere alike.
        assert found.std() > 0.5


def test_only_the_upper_layers_learn() -> None:
    model = planner.lora(language_model(4), PlannerRecipe(frozen=2, rank=2))
    learning = [name for name, p in model.named_parameters() if p.requires_grad]
    assert learning
    assert all("lora_" in name and ".planner." in name for name in learning)
    assert {name.split(".layers.")[1].split(".")[0] for name in learning} == {"2", "3"}


# --- training -------------------------------------------------------------------------------------------------------

SCRIPTS = (
    *("Go now, please.", "Come here and sit.", "one two three four\nfive six seven eight"),
    *("She left it.\nHe never knew.", "Well, then."),
)
PERFORMANCES = [performance(script, "browDownLeft", "jawOpen") for script in SCRIPTS]
# Five steps an epoch.
RECIPE = PlannerRecipe(epochs=3.0, rate=1e-2, rank=2, frozen=1, batch=1)


def trained(out: Path, recipe: PlannerRecipe = RECIPE) -> dict[str, torch.Tensor]:
    local: Any = SimpleNamespace(model=language_model(2), tokenizer=Tokenizer())
    # The same numbers for the same words, whatever is read first.
    for one in PERFORMANCES:
        tree(local.tokenizer, one, LIKE)
    planner.train(local, PERFORMANCES, [TWO], recipe, out)
    return load_file(out / "planner" / "adapter_model.safetensors")


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planner, "_SAVE_EVERY", 4)
    whole = trained(tmp_path / "whole")
    # Nine steps, with the development part seen after the fourth and the eighth.
    calls = iter(range(11))
    real = planner.losses

    def stopping(model: Any, item: Tree) -> torch.Tensor:
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return real(model, item)

    with monkeypatch.context() as patched:
        patched.setattr(planner, "losses", stopping)
        with pytest.raises(KeyboardInterrupt):
            trained(tmp_path / "stopped")
    assert json.loads((tmp_path / "stopped" / "step.json").read_text()) == {"step": 8}
    resumed = trained(tmp_path / "stopped")
    assert set(resumed) == set(whole)
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name
    assert any(value.any() for name, value in whole.items() if "lora_B" in name)


def test_training_lowers_the_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(planner, "_SAVE_EVERY", 5)
    trained(tmp_path, replace(RECIPE, epochs=15.0))
    lines = capsys.readouterr().out.splitlines()
    found = [float(line.split("loss ")[1].split(",")[0]) for line in lines if "loss " in line]
    assert len(found) == 15
    assert found[-1] < 0.8 * found[0]


def test_an_epoch_shows_every_performance_once_and_the_next_one_in_a_mirror() -> None:
    examples, recipe = Examples(PERFORMANCES), replace(RECIPE, batch=2)
    first, second = (
        [one for step in (0, 1) for one, _ in planner._pick(PERFORMANCES, examples, 2 * epoch + step, 2, recipe)]
        for epoch in (0, 1)
    )
    for found in (first, second):
        assert len({one.brief.id for one in found}) == 4
    for one in first + second:
        number = [performance.brief.id for performance in PERFORMANCES].index(one.brief.id)
        turned = (number + (one in second)) % 2 == 1
        assert one.keyframes[0].text.startswith("Right brow" if turned else "Left brow")
        assert one.keyframes[0].pose["browDownRight" if turned else "browDownLeft"] == 0.5
    assert planner._pick(PERFORMANCES, examples, 1, 2, recipe) == planner._pick(PERFORMANCES, examples, 1, 2, recipe)


def test_the_similar_performance_is_another_one() -> None:
    examples = Examples([*PERFORMANCES, performance(SCRIPTS[0], "jawOpen", emotion="Anger")])
    for one in PERFORMANCES:
        like = planner._like(examples, one)
        assert like is None or like.brief.script != one.brief.script


def test_the_pace_rises_and_then_falls_to_nothing() -> None:
    paces = [pace(done, 100, 0.1) for done in range(101)]
    assert paces[0] == pytest.approx(0.1)
    assert max(paces) == pytest.approx(paces[9])
    assert paces[50] == pytest.approx(0.5)
    assert paces[100] == pytest.approx(0.0)
