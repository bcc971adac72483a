# SPDX-License-Identifier: GPL-3.0-or-later
"""Where values stand in an answer, as tokens: what is written before each, and which values it may take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Tokens = tuple[int, ...]


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
