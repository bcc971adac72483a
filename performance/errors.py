# SPDX-License-Identifier: GPL-3.0-or-later
"""The one error type that reaches a user: what went wrong, where, and what to do next."""

from __future__ import annotations


class FacescriptError(Exception):
    """An error that is shown to the user as it stands.

    `code` is a short, stable, machine-readable word (`"empty_script"`), `message` says what is wrong and
    where, `hint` says what to do next (may be empty). `line` is the 1-based line of the script that it is about, or 0.
    `pause` is how many seconds a server asked to wait before the next try, or 0.
    """

    def __init__(self, code: str, message: str, hint: str = "", *, line: int = 0, pause: float = 0.0) -> None:
        super().__init__(f"{message} {hint}".strip())
        self.code = code
        self.message = message
        self.hint = hint
        self.line = line
        self.pause = pause
