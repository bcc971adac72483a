# SPDX-License-Identifier: GPL-3.0-or-later
"""Where values stand in an answer, as tokens: what is written before each, and which values it may take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...performance import CHANNELS
from .. import prompts

Tokens = tuple[int, ...]
# A text's tokens, and where each of them ends in it, in characters.
Spelled = tuple[list[int], list[int]]
Spell = Callable[[str], Spelled]

_CLOSING = prompts.answer_parts(0)[2]


@dataclass(frozen=True)
class Hole:
    """One channel's place: the tokens before its value, and the tokens of every value it may take."""

    key: Tokens
    options: tuple[Tokens, ...]
    values: tuple[float, ...]

    def nearest(self, value: float) -> Tokens:
        """The option whose value is nearest."""
        return self.options[int(np.argmin([abs(value - other) for other in self.values]))]

    def near(self, value: float, reach: float) -> Hole:
        """The hole with only the values that are at most `reach` from the nearest to `value`."""
        middle = self.values[self.options.index(self.nearest(value))]
        kept = [i for i, other in enumerate(self.values) if abs(other - middle) <= reach + 1e-9]
        return Hole(self.key, tuple(self.options[i] for i in kept), tuple(self.values[i] for i in kept))

    def value(self, option: Tokens) -> float:
        """What an option says."""
        return self.values[self.options.index(option)]

    def starting_with(self, prefix: Tokens) -> list[Tokens]:
        """The options that begin with `prefix`."""
        return [option for option in self.options if option[: len(prefix)] == prefix]

    def next_tokens(self, prefix: Tokens) -> list[int]:
        """The tokens that may follow the beginning `prefix` of a value."""
        return sorted({option[len(prefix)] for option in self.starting_with(prefix) if len(option) > len(prefix)})


def holes_of(spell: Spell) -> tuple[Hole, ...]:
    """The holes of an answer, as a tokenizer writes it for keyframe 0: what opens the answer is in the first one's key.

    A tokenizer may join what ends a key with what begins a value, or what ends a value with what begins the next key.
    So each value is read between its neighbours, and a hole ends where all of its values have an end of a token.
    Raises ValueError if there is no such place, or if two values are written alike.
    """
    keys = prompts.answer_parts(0)[1]
    hole, over = _hole(spell, *_first_parts(0), CHANNELS[0].is_angle, 0)
    found = [hole]
    # Before each key a value with its own key, as they stand in an answer.
    for before, key, after, channel in zip(keys, keys[1:], (*keys[2:], _CLOSING), CHANNELS[1:], strict=False):
        hole, over = _hole(spell, f"{before}0.0", key, after, channel.is_angle, over)
        found.append(hole)
    return tuple(found)


def first_hole(spell: Spell, index: int) -> Hole:
    """The first hole of the answer for keyframe `index` (0-based). Raises what `holes_of` raises."""
    return _hole(spell, *_first_parts(index), CHANNELS[0].is_angle, 0)[0]


def _first_parts(index: int) -> tuple[str, str, str]:
    opening, keys, _ = prompts.answer_parts(index)
    return "", opening + keys[0], keys[1]


def _hole(spell: Spell, before: str, key: str, after: str, is_angle: bool, taken: int) -> tuple[Hole, int]:
    """The hole whose value stands between `key` and `after`; the first `taken` characters of the key are of the hole
    before. Returns how many characters of `after` the hole takes in the same way."""
    texts = prompts.written_texts(is_angle)
    lead = before + key
    rows = [spell(lead + text + after) for text in texts]
    ends = [len(lead + text) for text in texts]
    # Of a key the end is not seen here; what closes the answer is all there.
    most = len(after) + (after == _CLOSING)
    over = next((more for more in range(most) if _end_alike(rows, [end + more for end in ends])), None)
    begun = _cut(rows[0], len(before) + taken) if before else ([], [])
    if over is None or begun is None:
        raise ValueError("its tokens do not end where values do")
    start, forced = len(begun[0]), common_beginning([tokens for tokens, _ in rows])
    written = [_cut(row, end + over) or ([], []) for row, end in zip(rows, ends, strict=True)]
    options = tuple(tuple(tokens[forced:]) for tokens, _ in written)
    if start > forced or len({*options, ()}) <= len(options):
        raise ValueError("it writes two numbers alike")
    return Hole(tuple(rows[0][0][start:forced]), options, tuple(map(float, texts))), over


def _end_alike(rows: Sequence[Spelled], ends: Sequence[int]) -> bool:
    """Whether each row has an end of a token at its place of `ends`, and all go on alike from there."""
    cuts = [_cut(row, end) for row, end in zip(rows, ends, strict=True)]
    return len({tuple(cut[1]) if cut else None for cut in cuts} - {None}) == 1 and None not in cuts


def _cut(row: Spelled, at: int) -> tuple[list[int], list[int]] | None:
    """A row's tokens up to a character and from there on; None if no token ends there."""
    tokens, ends = row
    if at not in ends:
        return None
    place = len(ends) - ends[::-1].index(at)
    return tokens[:place], tokens[place:]


def common_beginning(rows: Sequence[Sequence[int]]) -> int:
    """How many tokens all rows begin with alike."""
    shortest = min(map(len, rows))
    return next((place for place in range(shortest) if len({row[place] for row in rows}) > 1), shortest)
