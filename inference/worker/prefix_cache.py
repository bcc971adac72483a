# SPDX-License-Identifier: GPL-3.0-or-later
"""A model's key-value cache: kept from one prompt to the next as far as they begin alike, and shared by rows."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ...performance import FacescriptError
from .holes import common_beginning
from .local_model import LocalModel

_BLOCK = 256


class PrefixCache:
    """Runs one sequence through the model, and reuses what it has in common with the sequence before."""

    def __init__(self, local: LocalModel, answer: int) -> None:
        """`answer` is how many tokens are written after what it holds, at most."""
        self._local = local
        self._answer = answer
        self._cache = local.new_cache()
        self._tokens: list[int] = []

    @property
    def length(self) -> int:
        """How many tokens the cache holds."""
        return len(self._tokens)

    @property
    def held(self) -> int:
        """How many tokens the model itself says that it keeps."""
        return int(self._cache.get_seq_length())

    def rewind(self, length: int) -> None:
        """Forget all but the first `length` tokens."""
        if length < len(self._tokens):
            self._cache.crop(length - len(self._tokens))
            del self._tokens[length:]

    def prefill(self, tokens: Sequence[int], check: Callable[[], None] = lambda: None, block: int = _BLOCK) -> None:
        """Make the cache hold exactly `tokens`, running only what follows their common beginning.

        `block` tokens are run at once; `check` is called before each block and may raise to cancel. Raises
        FacescriptError (`long_text`) if they leave the model no room for an answer.
        """
        check_room(self._local, len(tokens), self._answer)
        common = common_beginning([self._tokens, tokens])
        self.rewind(common)
        for start in range(common, len(tokens), block):
            check()
            ids = torch.tensor([list(tokens[start : start + block])], device=self._local.device)
            with torch.inference_mode():
                self._local.model(input_ids=ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
            self._tokens.extend(tokens[start : start + block])

    def repeated(self, times: int) -> Any:
        """A copy of the key-value cache for a batch of `times` rows that all begin with what it holds."""
        cache = copy.deepcopy(self._cache)
        cache.batch_repeat_interleave(times)
        return cache


class Rows:
    """Several sequences that go on side by side after one beginning, each at its own pace.

    What one row holds and another has not reached is a gap in the other's part of the cache, which its attention mask
    leaves out; positions are counted without gaps. So each row is read as it would be alone, but for rounding.
    """

    def __init__(self, local: LocalModel, prefix: PrefixCache, count: int, columns: Sequence[int]) -> None:
        """`count` rows that begin with what `prefix` holds; of the logits, `columns` are wanted: token ids."""
        self._local = local
        self._cache = prefix.repeated(count)
        self._held = torch.ones((count, prefix.length), dtype=torch.bool)
        self._columns = torch.tensor(list(columns))
        self._column = {token: place for place, token in enumerate(columns)}
        self._head = local.model.get_output_embeddings()

    @property
    def lengths(self) -> list[int]:
        """How many tokens each row holds."""
        return [int(length) for length in self._held.sum(dim=1)]

    def column(self, token: int) -> int:
        """Where a token of `columns` is found among the logits that `extend` returns."""
        return self._column[token]

    def extend(self, rows: Sequence[Sequence[int]], places: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """Run each row's next tokens, none for some; `places` are where among them logits are wanted.

        Returns the logits of each row, shape (its places, columns), in float32 on the CPU.
        """
        width = max(map(len, rows))
        ids = torch.zeros((len(rows), width), dtype=torch.long)
        new = torch.zeros((len(rows), width), dtype=torch.bool)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row, dtype=torch.long)
            new[number, : len(row)] = True
        positions = self._held.sum(dim=1, keepdim=True) + torch.arange(width)
        self._held = torch.cat([self._held, new], dim=1)
        where = [(number, place) for number, wanted in enumerate(places) for place in wanted]
        found = self._run(ids, positions, where or [(0, 0)])
        return list(found[: len(where)].split([len(wanted) for wanted in places]))

    def _run(self, ids: torch.Tensor, positions: torch.Tensor, where: Sequence[tuple[int, int]]) -> torch.Tensor:
        """The logits at (row, place), shape (where, columns)."""
        device = self._local.device
        at = torch.tensor(where).T

        # Before the output layer, not after it: logits of every token would take gigabytes with a large vocabulary.
        def only_wanted(module: Any, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            return (inputs[0][at[0], at[1]][None], *inputs[1:])

        # Without a gap no mask is needed, and attention is faster without one.
        mask = None if bool(self._held.all()) else self._held.long().to(device)
        hook = self._head.register_forward_pre_hook(only_wanted)
        try:
            with torch.inference_mode():
                out = self._local.model(
                    input_ids=ids.to(device),
                    attention_mask=mask,
                    position_ids=positions.to(device),
                    past_key_values=self._cache,
                    use_cache=True,
                )
        finally:
            hook.remove()
        found = out.logits[0][:, self._columns.to(out.logits.device)].float().cpu()
        if found.isnan().any():
            what = f"The model in {self._local.folder} computes no numbers ({self._local.quantization})."
            hint = "Its weights may be broken: download it again; or choose another quantization, such as bf16."
            raise FacescriptError("bad_model", what, hint)
        return found

    def rewind(self, lengths: Sequence[int]) -> None:
        """Forget all but the first so many tokens of each row."""
        self._held &= self._held.cumsum(dim=1) <= torch.tensor(lengths)[:, None]
        # What no row holds at the end is taken off the cache.
        reached = torch.nonzero(self._held.any(dim=0))
        end = int(reached[-1]) + 1 if len(reached) else 0
        if end < self._held.shape[1]:
            self._cache.crop(end - self._held.shape[1])
            self._held = self._held[:, :end]

    def keep(self, numbers: Sequence[int]) -> None:
        """Go on with only these rows, in this order."""
        self._cache.batch_select_indices(torch.tensor(list(numbers), device=self._local.device))
        self._held = self._held[list(numbers)]


def check_room(local: LocalModel, tokens: int, answer: int) -> None:
    """Raise FacescriptError (`long_text`) if so many tokens leave the model no room for an answer of `answer`."""
    room = max(0, local.context - answer)
    if tokens > room:
        raise FacescriptError(
            "long_text",
            f"The texts are {tokens} tokens long; this model reads at most {room}.",
            "Shorten the descriptions, the background or the emotion.",
        )
