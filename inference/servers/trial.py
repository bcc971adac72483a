# SPDX-License-Identifier: GPL-3.0-or-later
"""The last test of a connection to a server, on a thread of its own; what it found is for this session only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from ...performance import FacescriptError
from ..options import ModelOptions
from .addresses import parse_address
from .chat import Abilities, ChatServer
from .exchange import Limits

# A test is waited for, so it gives up sooner than a performance does; still, a model may have to be loaded.
_LIMITS = Limits(silence=120.0, whole=180.0, pauses=(0.5, 1.0))


class Trial:
    """One test of one server; `abilities` or `error` once it is not `running`."""

    def __init__(self, options: ModelOptions) -> None:
        """Start at once. Raises FacescriptError for an address or a key that cannot be used."""
        self.address = options.address
        self.abilities: Abilities | None = None
        self.error: FacescriptError | None = None
        self._cancel = threading.Event()
        test = ChatServer(options, _LIMITS).test
        self._thread = threading.Thread(target=self._run, args=(test,), daemon=True, name="facescript-server-test")
        self._thread.start()

    @property
    def running(self) -> bool:
        """Whether it is not done yet."""
        return self._thread.is_alive()

    def cancel(self) -> None:
        """Stop it, and wait until it has; a moment."""
        self._cancel.set()
        self._thread.join(2.0)

    def _check(self) -> None:
        if self._cancel.is_set():
            raise FacescriptError("cancelled", "The test was stopped.")

    def _run(self, test: Callable[[Callable[[], None]], Abilities]) -> None:
        try:
            self.abilities = test(self._check)
        except FacescriptError as error:
            self.error = error
        except Exception as error:  # The thread has nobody else to tell.
            self.error = FacescriptError("internal", f"The test failed: {type(error).__name__}.", "Please report this.")


_last: Trial | None = None


def start(options: ModelOptions) -> Trial:
    """Test a server, and forget the test before. Raises what `Trial` raises."""
    global _last
    stop()
    _last = Trial(options)
    return _last


def last(address: str) -> Trial | None:
    """The last test, if it was of this address, however that is written."""
    with suppress(FacescriptError):
        if _last is not None and _last.address == str(parse_address(address)):
            return _last
    return None


def current() -> Trial | None:
    """The last test, of whatever address."""
    return _last


def stop() -> None:
    """Stop a test that is running, and forget it."""
    global _last
    if _last is not None:
        _last.cancel()
    _last = None


def models(address: str) -> tuple[str, ...]:
    """The models that the last test found at an address."""
    trial = last(address)
    return trial.abilities.models if trial and trial.abilities else ()


def summary(found: Abilities) -> str:
    """What a test found, for people."""
    count = len(found.models)
    if not found.model:
        return f"The server answers and has {count} models. Choose one and test again."
    schema = "It keeps to a JSON schema." if found.schema else "It does not keep to a JSON schema: more answers fail."
    streams = "It streams its answers." if found.streams else "It gives its answers in one piece."
    return f"The server answers with {found.model}. {schema} {streams}"
