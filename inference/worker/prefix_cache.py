# SPDX-License-Identifier: GPL-3.0-or-later
"""A model's key-value cache that is kept from one prompt to the next as far as they begin alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from ...performance import FacescriptError
from .local_model import LocalModel

# What a pose's answer takes: 61 channels of some ten tokens each, with room for tokenizers that need more.
ANSWER_TOKENS = 1024


class PrefixCache:
    """Runs one sequence through the model, and reuses what it has in common with the sequence before."""

    def __init__(self, local: LocalModel) -> None:
        from transformers import DynamicCache

        self._local = local
        self._cache: Any = DynamicCache(config=local.model.config)
        self._tokens: list[int] = []

    @property
    def length(self) -> int:
        """How many tokens the cache holds."""
        return len(self._tokens)

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        if length < len(self._tokens):
            self._cache.crop(length - len(self._tokens))
            del self._tokens[length:]

    def extend(self, tokens: Sequence[int], places: Sequence[int]) -> torch.Tensor:
        """Run `tokens` after what the cache holds.

        Returns the logits at `places` among them, shape (places, vocabulary), in float32.
        """
        ids = torch.tensor([list(tokens)], device=self._local.device)
        keep = torch.tensor(list(places), device=self._local.device)
        with torch.inference_mode():
            out = self._local.model(input_ids=ids, past_key_values=self._cache, use_cache=True, logits_to_keep=keep)
        self._tokens.extend(tokens)
        return out.logits[0].float()

    def prefill(self, tokens: Sequence[int], check: Callable[[], None] = lambda: None, block: int = 256) -> None:
        """Make the cache hold exactly `tokens`, running only what follows their common beginning.

        `block` tokens are run at once; `check` is called before each block and may raise to cancel. Raises
        FacescriptError (`long_text`) if they leave the model no room for an answer.
        """
        room = self._local.context - ANSWER_TOKENS
        if len(tokens) > room:
            raise FacescriptError(
                "long_text",
                f"The texts are {len(tokens)} tokens long; this model reads at most {room}.",
                "Shorten the descriptions, the background or the emotion.",
            )
        common = 0
        for one, other in zip(self._tokens, tokens, strict=False):
            if one != other:
                break
            common += 1
        self.rewind(common)
        for start in range(common, len(tokens), block):
            check()
            ids = torch.tensor([list(tokens[start : start + block])], device=self._local.device)
            with torch.inference_mode():
                self._local.model(input_ids=ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
            self._tokens.extend(tokens[start : start + block])

    def repeated(self, times: int) -> Any:
        """A copy of the key-value cache for a batch of `times` rows that all begin with what it holds."""
        import copy

        cache = copy.deepcopy(self._cache)
        cache.batch_repeat_interleave(times)
        return cache
