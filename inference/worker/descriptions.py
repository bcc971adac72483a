# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing one line of text for each of several prompts that begin alike, as many side by side as memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from ...performance.parsing import printable
from ..footprint import TOKENS
from .local_model import LocalModel
from .prefix_cache import PrefixCache

MAX_TOKENS = 56
# With the moment that is asked for before it, which may be long.
_LINE_TOKENS = 512
TEMPERATURE = 0.6
TOP_P = 0.9


class LineWriter:
    """Continues prompts up to the end of a line; keeps the shared beginning's cache for the next call."""

    def __init__(self, local: LocalModel) -> None:
        self._local = local
        self._cache = PrefixCache(local, _LINE_TOKENS)
        newline = [i for i in range(len(local.tokenizer)) if "\n" in local.tokenizer.decode([i])]
        self._ends = torch.tensor(sorted({*newline, *local.tokenizer.all_special_ids}))

    def forget(self) -> None:
        """Drop the cache: what follows does not depend on what came before, to the last bit."""
        self._cache.rewind(0)

    def write(
        self, prefix: str, prompts: Sequence[str], seed: int, check: Callable[[], None] = lambda: None
    ) -> Iterator[tuple[int, str]]:
        """Yield (number of the prompt, its line) as lines are finished.

        Each row draws from its own generator, seeded with `seed` and its number, so that a line does not depend on
        what else is in the batch, but where a model's attention has a window that is shorter than the text: there a
        longer row's neighbours see a few words less. Nucleus sampling (Holtzman et al. 2020). `check` is called between
        tokens and may raise to cancel.
        """
        if not prompts:
            return
        # Some families make no sense of a text without its beginning.
        self._cache.prefill(self._local.beginning + self._local.tokens(prefix))
        rows = [self._local.tokens(prompt) for prompt in prompts]
        draws = [torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63) for number in range(len(rows))]
        count = self._side_by_side(rows)
        for start in range(0, len(rows), count):
            for number, line in self._batch(rows[start : start + count], draws[start : start + count], check):
                yield start + number, line

    def _side_by_side(self, rows: Sequence[Sequence[int]]) -> int:
        """How many rows the memory that was found for keyframes has room for: each holds a copy of the prefix."""
        length = self._cache.length + max(map(len, rows)) + MAX_TOKENS
        # One is the prefix's own.
        return max(1, self._local.rows * TOKENS // length - 1)

    def _batch(
        self, rows: list[list[int]], draws: Sequence[torch.Generator], check: Callable[[], None]
    ) -> Iterator[tuple[int, str]]:
        cache = self._cache.repeated(len(rows))
        logits, mask = self._first(rows, cache)
        written: list[list[int]] = [[] for _ in rows]
        alive = list(range(len(rows)))
        while alive:
            check()
            scores = logits.float().cpu()
            chosen = [int(_draw(scores[place], draws[number])) for place, number in enumerate(alive)]
            keep = []
            for place, number in enumerate(alive):
                ended = bool((self._ends == chosen[place]).any())
                if not ended:
                    written[number].append(chosen[place])
                if ended or len(written[number]) >= MAX_TOKENS:
                    yield number, self._text(written[number])
                else:
                    keep.append(place)
            if not keep:
                return
            if len(keep) < len(alive):
                cache.batch_select_indices(torch.tensor(keep, device=self._local.device))
                mask = mask[keep]
                alive = [alive[place] for place in keep]
            mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
            ids = torch.tensor([[chosen[place]] for place in keep], device=self._local.device)
            logits = self._step(ids, mask, cache)

    def _first(self, rows: list[list[int]], cache: object) -> tuple[torch.Tensor, torch.Tensor]:
        # Padded on the left, so that every row's last token is its prompt's last.
        longest = max(map(len, rows))
        ids = torch.zeros((len(rows), longest), dtype=torch.long)
        mask = torch.ones((len(rows), self._cache.length + longest), dtype=torch.long)
        for number, row in enumerate(rows):
            ids[number, longest - len(row) :] = torch.tensor(row)
            mask[number, self._cache.length : self._cache.length + longest - len(row)] = 0
        mask = mask.to(self._local.device)
        return self._step(ids.to(self._local.device), mask, cache), mask

    def _step(self, ids: torch.Tensor, mask: torch.Tensor, cache: object) -> torch.Tensor:
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        with torch.inference_mode():
            out = self._local.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        return out.logits[:, -1]

    def _text(self, tokens: list[int]) -> str:
        return " ".join(printable(self._local.tokenizer.decode(tokens, skip_special_tokens=True)).split())


def _draw(scores: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    chances, order = torch.softmax(scores / TEMPERATURE, dim=-1).sort(descending=True)
    chances[chances.cumsum(dim=-1) - chances > TOP_P] = 0.0
    return order[torch.multinomial(chances, 1, generator=generator)]
