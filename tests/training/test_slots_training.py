# SPDX-License-Identifier: GPL-3.0-or-later
"""Training the slots poser, on a rule that is planted in toy states."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from facescript.inference.worker.slots import BINS, SLOTS, Reading, SlotReader, SlotsConfig
from facescript.inference.worker.trunk import Trunk
from facescript.performance import Brief, Keyframe, Performance, Pose
from facescript.training import slots as poser
from facescript.training import states as cached
from facescript.training.slots import Batch, Example, Recipe, Run, Source
from facescript.training.states import States
from toys import HIDDEN, VOCABULARY, Tokenizer, language_model

CONFIG = SlotsConfig(layers=(0, 2, 3), hidden=HIDDEN, width=16, depth=1, heads=4, dropout=0.2)
# What a word of a description does; "and" and "slowly" do nothing.
RULE = {"gape": {"jawOpen": 0.8}, "beam": {"mouthSmile": 0.6}, "stare": {"eyeWide": 1.0}, "slowly": {}, "and": {}}


def performances(count: int, seed: int = 0) -> list[Performance]:
    draw = random.Random(seed)
    found = []
    for number in range(count):
        keyframes = []
        for time in range(draw.randint(1, 3)):
            words = draw.sample(sorted(RULE), draw.randint(1, 4))
            pose = Pose.from_dict({name: value for word in words for name, value in RULE[word].items()})
            keyframes.append(Keyframe(float(time), " ".join(words), pose))
        found.append(Performance(Brief("", "", "", str(number)), tuple(keyframes)))
    return found


def source(count: int, seed: int = 0, share: float = 1.0) -> Source:
    """Examples whose states are random, but the same for the same token."""
    tokenizer = Tokenizer()
    # The same numbers for the same words, whatever is read first.
    tokenizer(" ".join(sorted(RULE)), add_special_tokens=False)
    found = poser.examples(tokenizer, performances(count, seed))
    table = torch.randn(VOCABULARY, 3, HIDDEN, generator=torch.Generator().manual_seed(5)).bfloat16()
    arrays = tuple(table[torch.tensor(example.reading.ids)] for example in found)
    return Source(found, States(arrays, tuple((n, 0, len(array)) for n, array in enumerate(arrays))), share)


def reader(seed: int = 0, **changes: Any) -> SlotReader:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    return SlotReader(replace(CONFIG, **changes), torch.randn(len(SLOTS), HIDDEN))


def weights(run: Run) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in run.named_parameters() if p.requires_grad}


# --- examples and batches -------------------------------------------------------------------------------------------


def test_examples_hold_what_is_read_and_what_each_slot_should_be() -> None:
    one = performances(1)[0]
    tokenizer = Tokenizer()
    [found] = poser.examples(tokenizer, [one])
    assert found.targets.shape == (len(one.keyframes), len(SLOTS))
    assert found.targets[0, SLOTS.index("jawOpen")] == pytest.approx(one.keyframes[0].pose["jawOpen"])
    assert all(keyframe.text in tokenizer.decode(found.reading.ids) for keyframe in one.keyframes)
    [bare] = poser.examples(tokenizer, [one], describe=False)
    assert torch.equal(bare.targets, found.targets)
    assert set(bare.reading.segments) == set(found.reading.segments)
    assert not any(word in tokenizer.decode(bare.reading.ids) for word in RULE)


def test_texts_are_padded_together_and_nothing_sees_the_padding() -> None:
    picked = [
        Example(Reading((5, 6, 7), (0, 1, 2)), torch.full((2, 58), 0.25)),
        Example(Reading((8, 9), (0, 1)), torch.full((1, 58), 0.75)),
    ]
    states = [torch.randn(3, 2, HIDDEN), torch.randn(2, 2, HIDDEN)]
    batch = poser.collate(picked, states)
    assert [tuple(state.shape) for state in batch.states] == [(2, 3, HIDDEN)] * 2
    assert torch.equal(batch.states[1][0], states[0][:, 1])
    assert torch.equal(batch.states[0][1, :2], states[1][:, 0])
    assert batch.padding.tolist() == [[False, False, False], [False, False, True]]
    assert batch.rows.tolist() == [0, 0, 1]
    assert batch.where.sum(dim=-1).tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 0]]
    assert batch.where.argmax(dim=-1)[:2].tolist() == [[0, 1, 4], [0, 2, 1]]
    assert batch.targets[:, 0].tolist() == [0.25, 0.25, 0.75]


def test_dropout_hides_tokens_and_never_shows_padding() -> None:
    torch.manual_seed(0)
    data = source(30)
    batch = poser.collate(data.examples, [data.states[i] for i in range(30)], dropout=0.3)
    whole = poser.collate(data.examples, [data.states[i] for i in range(30)])
    seen = batch.where.sum() / whole.where.sum()
    assert 0.65 < seen < 0.75
    assert (batch.where <= whole.where).all()


def test_batches_hold_every_example_once_and_are_alike_in_length() -> None:
    data = source(67).examples
    lengths = [len(example.reading.ids) for example in data]
    plain = poser.in_batches(data, 8, None)
    assert sorted(i for numbers in plain for i in numbers) == list(range(67))
    assert [lengths[i] for numbers in plain for i in numbers] == sorted(lengths)
    one, other = (poser.in_batches(data, 8, random.Random(seed)) for seed in (1, 2))
    assert one != other
    for found in (one, other):
        assert sorted(i for numbers in found for i in numbers) == list(range(67))
        assert sorted(map(len, found)) == [3] + [8] * 8


def test_an_epoch_sees_its_share_of_every_source() -> None:
    whole, half = source(20), source(24, 1, share=0.5)
    # 5 batches of 4, and 3 of the other's 6.
    steps = list(poser.epochs([whole, half], Recipe(epochs=3, batch=4)))
    assert [(step, total) for step, total, _, _ in steps] == [(step, 24) for step in range(24)]
    for epoch in range(3):
        part = steps[8 * epoch : 8 * epoch + 8]
        seen = Counter(i for _, _, found, numbers in part if found is whole for i in numbers)
        assert seen == Counter(range(20))
        others = [numbers for _, _, found, numbers in part if found is half]
        assert len(others) == 3
        assert len({i for numbers in others for i in numbers}) == 12
    drawn = [{i for _, _, s, numbers in steps[8 * e : 8 * e + 8] if s is half for i in numbers} for e in range(3)]
    assert drawn[0] != drawn[1] != drawn[2]


def test_an_epoch_may_be_cut_short_and_is_the_same_again() -> None:
    data = source(20)
    recipe = Recipe(epochs=1.6, batch=4)
    steps = [(step, numbers) for step, total, _, numbers in poser.epochs([data], recipe) if total == 8]
    assert [step for step, _ in steps] == list(range(8))
    assert steps == [(step, numbers) for step, _, _, numbers in poser.epochs([data], recipe)]
    other = poser.epochs([data], replace(recipe, seed=2))
    assert steps != [(step, numbers) for step, _, _, numbers in other]


# --- the loss -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "away"), [(0.5, 0.0), (0.0, 0.5), (1.0, 0.5), (0.25, 0.25)])
def test_a_reader_that_knows_nothing_loses_what_chance_loses(target: float, away: float) -> None:
    recipe = Recipe(epochs=1, absolute=3.0, square=2.0)
    found = poser.loss(torch.zeros(2, 58, BINS), torch.full((2, 58), target), recipe)
    assert float(found) == pytest.approx(math.log(21) + 3.0 * away + 2.0 * away * away, abs=1e-5)


def test_smoothing_shares_a_little_with_the_next_strengths() -> None:
    recipe = Recipe(epochs=1, absolute=0.0, smoothing=0.2)
    logits = torch.zeros(1, 1, BINS)
    logits[..., 10] = 3.0
    logs = torch.log_softmax(logits[0, 0], dim=0)
    found = poser.loss(logits, torch.tensor([[0.5]]), recipe)
    assert float(found) == pytest.approx(float(-0.8 * logs[10] - 0.1 * logs[9] - 0.1 * logs[11]), abs=1e-5)
    # At an end, what would fall off stays.
    found = poser.loss(logits, torch.tensor([[1.0]]), recipe)
    assert float(found) == pytest.approx(float(-0.9 * logs[20] - 0.1 * logs[19]), abs=1e-5)


def test_biases_start_from_how_often_a_strength_is_seen() -> None:
    model, data = reader(), source(40)
    poser.start(model, [data])
    targets = torch.cat([example.targets for example in data.examples])[:, SLOTS.index("jawOpen")]
    chances = torch.softmax(model.bias.detach()[SLOTS.index("jawOpen")], dim=0)
    assert float(chances[16]) == pytest.approx(float((targets == 0.8).float().mean()), abs=0.03)
    assert float(chances[0]) == pytest.approx(float((targets == 0.0).float().mean()), abs=0.03)


# --- training -------------------------------------------------------------------------------------------------------


def test_a_planted_rule_is_learned(tmp_path: Path) -> None:
    data, unseen = source(48), source(12, seed=9)
    model = reader(dropout=0.0)
    poser.start(model, [data])
    run = Run(model)

    def lost() -> float:
        batch = poser.collate(unseen.examples, [unseen.states[i] for i in range(12)])
        with torch.inference_mode():
            return float(poser.loss(run.eval()(batch), batch.targets, recipe))

    recipe = Recipe(epochs=16, rate=1e-2, batch=8, token_dropout=0.0, average=0.9)
    before = lost()
    poser.train(run, [data], recipe, tmp_path / "state.safetensors")
    assert lost() < 0.5 * before
    chances = poser.predict(run, unseen)
    true = torch.cat([example.targets for example in unseen.examples])
    place = SLOTS.index("jawOpen")
    assert ((chances[:, place].argmax(dim=-1) == 16) == (true[:, place] > 0)).float().mean() > 0.9


def stopped_and_not(folder: Path, make: Callable[[], Run], recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train twice, once with a stop between two saves, and compare everything that was learned."""
    monkeypatch.setattr(poser, "_MEASURE_EVERY", 3)
    sources = [source(12), source(16, 1, share=0.5)]

    def train(run: Run, name: str, stop: int = -1) -> list[int]:
        measured: list[int] = []

        def measure(run: Run, step: int) -> None:
            measured.append(step)
            poser.predict(run, sources[0])
            if step == stop:
                raise KeyboardInterrupt

        poser.train(run, sources, recipe, folder / f"{name}.safetensors", measure)
        return measured

    whole, resumed, again = make(), make(), make()
    assert train(whole, "whole") == [3, 6, 9, 10]
    with pytest.raises(KeyboardInterrupt):
        train(make(), "stopped", 9)
    # From what was saved at step 6.
    assert train(resumed, "stopped") == [9, 10]
    # A run that is at its end has nothing to do.
    assert train(again, "stopped") == []
    wanted, fresh = weights(whole), weights(make())
    assert any(not torch.equal(wanted[name], value) for name, value in fresh.items())
    for run in (resumed, again):
        found = weights(run)
        assert set(found) == set(wanted)
        for name, value in wanted.items():
            assert torch.equal(found[name], value), name


# Three and two batches of four an epoch.
TEN_STEPS = Recipe(epochs=2, rate=1e-2, batch=4)


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dropout: float
) -> None:
    recipe = replace(TEN_STEPS, token_dropout=dropout)
    stopped_and_not(tmp_path, lambda: Run(reader(dropout=dropout)), recipe, monkeypatch)


def test_a_lora_that_was_stopped_ends_as_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def make() -> Run:
        model = language_model().bfloat16()
        torch.manual_seed(0)
        return Run(reader(), poser.lora(model, CONFIG.layers, rank=2))

    assert any(name.startswith("upper") for name in weights(make()))
    stopped_and_not(tmp_path, make, TEN_STEPS, monkeypatch)


def test_measuring_uses_the_averaged_weights_and_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poser, "_MEASURE_EVERY", 5)
    data = [source(12)]
    seen: list[dict[str, torch.Tensor]] = []
    one, other = Run(reader()), Run(reader())
    recipe = replace(TEN_STEPS, epochs=3)
    poser.train(one, data, recipe, tmp_path / "one.safetensors", lambda run, step: seen.append(weights(run)))
    poser.train(other, data, recipe, tmp_path / "other.safetensors")
    # At the end the average is what stays.
    assert all(torch.equal(seen[-1][name], value) for name, value in weights(one).items())
    assert all(torch.equal(weights(other)[name], value) for name, value in weights(one).items())


# --- the layers that learn with the reader --------------------------------------------------------------------------


def lora(seed: int) -> Any:
    """A base model with a LoRA that does something."""
    model = poser.lora(language_model(), CONFIG.layers, rank=2)
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:
                p.normal_(std=0.3)
    return model.eval()


def test_the_upper_layers_are_the_trunks_own() -> None:
    rows = [torch.arange(1, 1 + length) for length in (4, 9, 6)]
    ids, padding = cached.padded(rows)
    model = lora(1)
    low, wanted = Trunk(model, CONFIG.layers)(ids, padding)[1:]
    with torch.inference_mode():
        found = poser.Upper(model, CONFIG.layers[-2:])(low, padding)
        plain = Trunk(language_model(), CONFIG.layers)(ids, padding)
    assert torch.allclose(found[~padding], wanted[~padding], atol=1e-5)
    # What it starts from is the same with the LoRA and without, so it may be cached; what it gives is not.
    assert torch.allclose(low[~padding], plain[1][~padding], atol=1e-5)
    assert (found - plain[2])[~padding].abs().max() > 0.01


def test_only_the_layers_that_are_run_learn() -> None:
    run = Run(reader(), poser.lora(language_model(), CONFIG.layers, rank=2))
    upper = [name for name in weights(run) if name.startswith("upper")]
    assert upper
    assert all("lora_" in name for name in upper)
    batch = _batch(source(4), range(4))
    poser.loss(run(batch), batch.targets, Recipe(epochs=1)).backward()
    assert all(p.grad is not None for name, p in run.named_parameters() if p.requires_grad and "lora_B" in name)


def _batch(data: Source, numbers: Sequence[int]) -> Batch:
    picked = poser.collate([data.examples[i] for i in numbers], [data.states[i] for i in numbers])
    return replace(picked, states=[state.float() for state in picked.states])


# --- predicting -----------------------------------------------------------------------------------------------------


def test_predictions_are_in_the_examples_order() -> None:
    model, data = reader(), source(11)
    with torch.no_grad():
        model.out.weight *= 10.0
    run = Run(model)
    together = poser.predict(run, data, size=4)
    assert together.shape == (sum(len(example.targets) for example in data.examples), len(SLOTS), BINS)
    parts = together.split([len(example.targets) for example in data.examples])
    for number, part in enumerate(parts):
        example = data.examples[number]
        alone = poser.predict(
            run, Source([example], States((data.states[number],), ((0, 0, len(example.reading.ids)),)))
        )
        # In 16 bits.
        assert torch.allclose(part, alone, atol=0.03)
        others = [other for other in range(11) if data.examples[other].reading.ids != example.reading.ids]
        assert all((part[0] - parts[other][0]).abs().max() > 0.03 for other in others[:2])


# --- cached states --------------------------------------------------------------------------------------------------


def test_cached_states_are_the_trunks_and_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cached, "_BATCH_TOKENS", 30)
    trunk = Trunk(language_model(), CONFIG.layers)
    readings = [example.reading for example in source(7).examples]
    found = cached.compute(trunk, readings, tmp_path, "toy", block=3)
    for number, reading in enumerate(readings):
        alone = torch.stack(trunk(torch.tensor([reading.ids])), dim=2)[0]
        assert found[number].shape == (len(reading.ids), 3, HIDDEN)
        assert torch.allclose(found[number].float(), alone, atol=0.02, rtol=0.02)
    assert len(list(tmp_path.iterdir())) == 3

    def never(*_: object) -> Any:
        raise AssertionError("computed again")

    monkeypatch.setattr(Trunk, "__call__", never)
    again = cached.compute(trunk, readings, tmp_path, "toy", block=3)
    assert all(torch.equal(again[number], found[number]) for number in range(7))


def test_batches_of_tokens_keep_to_their_size() -> None:
    lengths = [5, 3, 9, 1, 30, 7, 7, 2]
    found = list(cached.batches(lengths, 20))
    assert sorted(i for numbers in found for i in numbers) == list(range(8))
    assert all(len(numbers) == 1 or max(lengths[i] for i in numbers) * len(numbers) <= 20 for numbers in found)
    assert [4] in found
