# SPDX-License-Identifier: GPL-3.0-or-later
"""A language model and a tokenizer small enough for tests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

VOCABULARY, HIDDEN = 400, 32

_PIECE = re.compile(r" ?\w+|\n|[^\w\n]")


class Tokenizer:
    """Each word with the space before it, each mark and each newline is a token, numbered as they are met."""

    def __init__(self) -> None:
        self._pieces: list[str] = [""]

    def __call__(
        self, text: str, add_special_tokens: bool = True, split_special_tokens: bool = False
    ) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [self._number(piece) for piece in _PIECE.findall(text)]}

    def _number(self, piece: str) -> int:
        if piece not in self._pieces:
            self._pieces.append(piece)
            assert len(self._pieces) <= VOCABULARY
        return self._pieces.index(piece)

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self._pieces[number] for number in ids)


def language_model(layers: int = 4, seed: int = 0) -> Any:
    """A causal language model with random weights in float32, the same for the same seed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    # Threads would only wait for each other.
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=HIDDEN,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        # Wide enough for tokens to look at each other unevenly.
        initializer_range=0.3,
    )
    return LlamaForCausalLM(config).float().eval()
