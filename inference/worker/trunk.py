# SPDX-License-Identifier: GPL-3.0-or-later
"""The lower layers of a language model, for what is read from its hidden states."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class Trunk:
    """A causal language model's layers up to the last one that is read; shares its weights."""

    def __init__(self, model: Any, layers: tuple[int, ...]) -> None:
        """`layers` are indices of hidden states: 0 the embeddings', the last one after the model's final norm."""
        whole = model.get_base_model().model if hasattr(model, "get_base_model") else model.model
        self.layers = layers
        # A shallow copy: its modules are the model's own.
        self.module = copy.copy(whole)
        self.module._modules = dict(whole._modules)
        self.module.layers = nn.ModuleList(list(whole.layers)[: layers[-1]])
        self.module.config = copy.copy(whole.config)
        self.module.config.num_hidden_layers = layers[-1]

    @property
    def hidden(self) -> int:
        """How wide a hidden state is."""
        return int(self.module.config.hidden_size)

    def __call__(self, ids: torch.Tensor, padding: torch.Tensor | None = None) -> list[torch.Tensor]:
        """Hidden states (B, T, hidden) of each of the layers. `ids` (B, T), `padding` (B, T) True on the right."""
        found: dict[int, torch.Tensor] = {}

        def keep(layer: int) -> Any:
            return lambda module, inputs, output: found.__setitem__(layer, output)

        # transformers' own way (output_hidden_states) hooks itself into the layers for good.
        modules = [self.module.embed_tokens, *self.module.layers]
        hooks = [modules[layer].register_forward_hook(keep(layer)) for layer in self.layers[:-1]]
        try:
            mask = None if padding is None or not padding.any() else (~padding).long()
            with torch.inference_mode():
                out = self.module(input_ids=ids, attention_mask=mask, use_cache=False)
        finally:
            for hook in hooks:
                hook.remove()
        return [*(found[layer] for layer in self.layers[:-1]), out.last_hidden_state]
