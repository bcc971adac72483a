# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of what the random user does: how often each action is done, and what it may do to the user's keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .user import Effect, User, Work

Do = Callable[[User], Work | None]


@dataclass(frozen=True)
class Action:
    """`needs` are words for all that has to be there: beats (of the active face), face, window, extension, model."""

    name: str
    weight: float
    effect: Effect
    needs: str
    do: Do

    def fits(self, user: User, has: set[str]) -> bool:
        """Whether the user can do it now."""
        return set(self.needs.split()) <= has


ACTIONS: list[Action] = []


def action(weight: float, effect: Effect = Effect.KEPT, needs: str = "extension") -> Callable[[Do], Do]:
    """Put a function into the table, under its own name."""

    def listed(do: Do) -> Do:
        ACTIONS.append(Action(getattr(do, "__name__", ""), weight, effect, needs, do))
        return do

    return listed


def operators(weight: float, names: str, effect: Effect = Effect.KEPT, needs: str = "beats", **values: object) -> None:
    """Put operators that are called as they are into the table, each under its own name."""
    for name in names.split():

        def do(user: User, name: str = name) -> None:
            user.call(name, **values)

        do.__name__ = name
        ACTIONS.append(Action(name, weight, effect, needs, do))
