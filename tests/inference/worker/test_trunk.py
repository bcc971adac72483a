# SPDX-License-Identifier: GPL-3.0-or-later
"""The lower layers of a language model against the whole model."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from facescript.inference.worker.trunk import Trunk
from toys import HIDDEN, VOCABULARY, language_model


def tokens(*lengths: int) -> list[torch.Tensor]:
    torch.manual_seed(1)
    return [torch.randint(1, VOCABULARY, (length,)) for length in lengths]


def states(model: Any, ids: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """transformers' own: before each layer, and what comes out after the norm."""
    with torch.inference_mode():
        return tuple(model.model(input_ids=ids, output_hidden_states=True).hidden_states)


def hooks(model: Any) -> int:
    return sum(len(module._forward_hooks) for module in model.modules())


def test_states_are_the_models_own_and_the_last_one_is_normed() -> None:
    [ids] = tokens(9)
    found = Trunk(language_model(), (0, 2, 3))(ids[None])
    # Of a twin: transformers' own way leaves hooks in the layers.
    twin = language_model()
    wanted = states(twin, ids[None])
    assert [part.shape for part in found] == [(1, 9, HIDDEN)] * 3
    assert torch.allclose(found[0], wanted[0], atol=1e-6)
    assert torch.allclose(found[1], wanted[2], atol=1e-5)
    size = wanted[3].square().mean(dim=-1, keepdim=True) + twin.config.rms_norm_eps
    assert torch.allclose(found[2], wanted[3] / size.sqrt() * twin.model.norm.weight, atol=1e-5)


def test_all_layers_give_the_models_last_state() -> None:
    [ids] = tokens(5)
    found = Trunk(language_model(), (1, 4))(ids[None])
    wanted = states(language_model(), ids[None])
    assert torch.allclose(found[0], wanted[1], atol=1e-5)
    assert torch.allclose(found[1], wanted[4], atol=1e-5)


def test_padding_on_the_right_changes_nothing() -> None:
    trunk = Trunk(language_model(), (0, 2, 3))
    rows = tokens(4, 9, 7)
    ids = torch.zeros(3, 9, dtype=torch.long)
    padding = torch.ones(3, 9, dtype=torch.bool)
    for number, row in enumerate(rows):
        ids[number, : len(row)], padding[number, : len(row)] = row, False
    found = trunk(ids, padding)
    for number, row in enumerate(rows):
        for part, alone in zip(found, trunk(row[None]), strict=True):
            assert torch.allclose(part[number, : len(row)], alone[0], atol=1e-5)


def test_no_padding_is_the_same_as_none_given() -> None:
    trunk = Trunk(language_model(), (0, 3))
    [ids] = tokens(6)
    for one, other in zip(trunk(ids[None]), trunk(ids[None], torch.zeros(1, 6, dtype=torch.bool)), strict=True):
        assert torch.equal(one, other)


def test_the_whole_model_works_as_before() -> None:
    model = language_model()
    [ids] = tokens(6)
    with torch.inference_mode():
        before = model(input_ids=ids[None]).logits
        Trunk(model, (0, 2))(ids[None])
        after = model(input_ids=ids[None]).logits
    assert torch.equal(before, after)
    assert (len(model.model.layers), model.config.num_hidden_layers) == (4, 4)
    assert hooks(model) == 0


def test_hooks_go_even_if_the_model_fails() -> None:
    model = language_model()
    with pytest.raises(IndexError):
        Trunk(model, (0, 2))(torch.tensor([[VOCABULARY]]))
    assert hooks(model) == 0


def test_weights_are_shared_and_no_more_layers_are_run_than_are_read() -> None:
    model = language_model()
    trunk = Trunk(model, (0, 2))
    own = {id(parameter) for parameter in model.parameters()}
    assert {id(parameter) for parameter in trunk.module.parameters()} <= own
    assert (trunk.hidden, len(trunk.module.layers)) == (HIDDEN, 2)
    with torch.no_grad():
        model.model.layers[2].mlp.down_proj.weight.fill_(float("nan"))
    [ids] = tokens(3)
    assert all(part.isfinite().all() for part in trunk(ids[None]))


def test_the_adapter_that_is_set_is_read() -> None:
    from peft import LoraConfig, get_peft_model

    [ids] = tokens(6)
    plain = Trunk(language_model(), (0, 2, 3))(ids[None])
    config = LoraConfig(r=2, target_modules=["q_proj", "up_proj"], layers_to_transform=[2], init_lora_weights=False)
    model = get_peft_model(language_model(), config, adapter_name="poser")
    model.add_adapter("planner", LoraConfig(r=2, target_modules=["q_proj"], layers_to_transform=[3]))
    trunk = Trunk(model.eval(), (0, 2, 3))
    posing = trunk(ids[None])
    assert torch.allclose(posing[1], plain[1], atol=1e-5)
    assert (posing[2] - plain[2]).abs().max() > 0.01
    model.set_adapter("planner")
    assert torch.allclose(trunk(ids[None])[2], plain[2], atol=1e-5)
