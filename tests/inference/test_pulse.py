# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from facescript.inference.protocol import Alive
from facescript.inference.pulse import Pulse

NOTHING_FOR_10 = "has said nothing for 10 seconds"
NOTHING_FOR_20 = "has said nothing for 20 seconds"
STUCK = "has done nothing for 30 seconds"


def first(pulse: Pulse, seconds: int, asked: bool = True) -> tuple[int, str]:
    """The second in which it is said that the worker hangs, and what is said."""
    for second in range(1, seconds + 1):
        if why := pulse.wait(1.0, asked):
            return second, why
    return 0, ""


def test_before_anything_is_loaded_silence_may_be_longer() -> None:
    assert first(Pulse(), 60) == (20, NOTHING_FOR_20)
    loaded = Pulse()
    loaded.feel(Alive(1, 4.0))
    assert first(loaded, 60) == (10, NOTHING_FOR_10)


def test_a_worker_that_says_anything_is_not_silent() -> None:
    pulse = Pulse()
    for _ in range(100):
        pulse.hear()
        assert first(pulse, 9, asked=False) == (0, "")


def test_a_slow_step_works_and_a_stuck_one_does_not() -> None:
    slow, stuck, stepping = Pulse(), Pulse(), Pulse()
    for second in range(1, 100):
        slow.feel(Alive(5, second * 0.1))
        stepping.feel(Alive(second, 1.0))
        assert slow.wait(1.0, asked=True) == stepping.wait(1.0, asked=True) == ""
    told = []
    for second in range(1, 100):
        stuck.feel(Alive(5, 1.0 + second * 1e-4))
        told.append(stuck.wait(1.0, asked=True))
    # From its first sign of life on.
    assert told.index(STUCK) == 29


def test_an_idle_worker_is_not_stuck_and_gets_the_whole_time_once_it_is_asked() -> None:
    pulse = Pulse()
    for _ in range(1000):
        pulse.feel(Alive(5, 1.0))
        assert pulse.wait(1.0, asked=False) == ""
    for _ in range(29):
        pulse.feel(Alive(5, 1.0))
        assert pulse.wait(1.0, asked=True) == ""
    pulse.feel(Alive(5, 1.0))
    assert pulse.wait(1.0, asked=True) == STUCK
