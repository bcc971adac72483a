# SPDX-License-Identifier: GPL-3.0-or-later
"""A short run of the fuzzer over every parser, with another seed each time, and that it would notice what it is for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random, SystemRandom

import pytest
from facescript.fuzzing import engine, main
from facescript.fuzzing.mutator import Mutator
from facescript.fuzzing.parsers import BY_NAME, PARSERS, Parser
from facescript.performance import FacescriptError

# Seconds for each of some thirty parsers, and the most inputs.
SHARE, MOST = 0.4, 400


@pytest.mark.parametrize("name", list(BY_NAME))
def test_no_input_crashes_a_parser_or_gets_past_it_out_of_range(name: str) -> None:
    parser = BY_NAME[name]
    seeds = parser.seeds()
    for seed in seeds:
        assert engine.judge(parser, seed)[0] in ("", "slow")
    assert any(engine.judge(parser, seed)[2] for seed in seeds), "no seed is let in"
    seed_number = SystemRandom().randrange(2**31)
    print(f"run.py fuzz --parser {name} --seed {seed_number}")
    mutator, end = Mutator(seeds, Random(seed_number)), time.process_time() + SHARE
    for _ in range(MOST):
        data = mutator.next()
        kind, words, _, _ = engine.judge(parser, data)
        # A machine that is busy makes slow what is not; the command tells.
        assert kind in ("", "slow"), f"{words}: {data[:500]!r}"
        if time.process_time() > end:
            break


def a_parser(call: Callable[[bytes], object]) -> Parser:
    return Parser("json", call, lambda: [b"a"], (KeyError,))


def _slow(data: bytes) -> None:
    begin = time.process_time()
    while time.process_time() - begin < 1.2 * engine.SLOW:
        pass


def _refused(data: bytes) -> None:
    raise FacescriptError("bad", "It is bad.")


def _unsaid(data: bytes) -> None:
    raise FacescriptError("bad", "")


def _known(data: bytes) -> None:
    raise KeyError("a")


def _crash(data: bytes) -> None:
    raise IndexError("out of range")


def _out_of_range(data: bytes) -> None:
    assert data == b"in range"


def _huge(data: bytes) -> None:
    raise MemoryError


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (len, ""),
        (_refused, ""),
        (_known, ""),
        (_unsaid, "crash"),
        (_crash, "crash"),
        (_out_of_range, "crash"),
        (_huge, "memory"),
        (_slow, "slow"),
    ],
)
def test_what_is_a_finding(call: Callable[[bytes], object], kind: str) -> None:
    assert engine.judge(a_parser(call), b"data")[0] == kind


def test_the_same_seed_makes_the_same_inputs() -> None:
    seeds = BY_NAME["brief"].seeds()
    one, other = (Mutator(seeds, Random(7)) for _ in range(2))
    made = [one.next() for _ in range(200)]
    assert made == [other.next() for _ in range(200)]
    assert len(set(made)) > 150


def test_a_run_is_tallied_and_a_kept_input_is_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tally = engine.fuzz(BY_NAME["timecodes"], 1, 20_000, 60.0, tmp_path)
    assert tally.bytes >= 20_000 and tally.runs > 10 and tally.accepted > 0 and tally.findings == []
    assert main.row(tally).endswith("none")
    kept = engine.keep(tmp_path, "timecodes", "crash", "it crashed", b"00:00:01:02.5")
    assert main.repeat([Path(kept.path)]) == 0
    assert "let in" in capsys.readouterr().out


def test_every_way_in_has_a_parser_of_its_own_name() -> None:
    assert len(BY_NAME) == len(PARSERS) >= 29


def test_google_s_fuzzer_counts_what_it_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("atheris", reason="atheris is not installed")
    monkeypatch.setattr(main, "FINDINGS", tmp_path)
    tally = main.with_atheris("timecodes", 3, 20_000, 60.0)
    assert tally.findings == [] and tally.bytes >= 20_000 and 0 < tally.accepted < tally.runs
