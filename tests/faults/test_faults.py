# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of faults, and its quick part, injected into the built zip with a toy in place of the model."""

from __future__ import annotations

from collections import Counter

import pytest
from facescript.commands import faults as command
from facescript.commands.faults import chosen, run
from facescript.faults import page
from facescript.faults.fault import THEMES, Outcome, table
from facescript.faults.stage import left_over

QUICK = [fault.name for fault in chosen([], quick=True)]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """What came of the quick ones, all in one Blender."""
    pytest.importorskip("bpy")
    if not command.Runtime(command.RUNTIME).state().usable:
        pytest.skip("the language model is not prepared (python3 run.py test prepares it)")
    found = run(chosen([], quick=True), tmp_path_factory.mktemp("faults"), real=False, window=False, together=True)
    return {outcome.name: outcome for outcome in found}


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_a_fault_costs_no_key_and_leaves_nothing(outcomes: dict[str, Outcome], name: str) -> None:
    outcome = outcomes[name]
    if outcome.skipped:
        pytest.skip(outcome.skipped)
    assert outcome.misses == []
    assert outcome.keys in ("as before", "the user's as before")
    assert outcome.next.startswith("works")


def test_the_table_has_eighty_kinds_in_all_themes() -> None:
    faults = table()
    assert len(faults) >= 80
    assert {fault.theme for fault in faults} == set(THEMES)
    assert len({fault.how for fault in faults}) == len(faults)
    assert all(fault.how.endswith(".") and len(fault.how) < 130 for fault in faults)


def test_a_fault_or_a_theme_can_be_chosen() -> None:
    assert [fault.name for fault in chosen(["face is deleted"])] == ["face is deleted"]
    assert {fault.theme for fault in chosen(["worker-process"])} == {"worker_process"}
    assert chosen(["no such fault"]) == []


def test_what_is_left_over_is_named() -> None:
    before = {"thread": Counter(main=1), "process": Counter(worker=1)}
    after = {"thread": Counter(main=1, reader=2), "process": Counter[str]()}
    assert left_over(before, after) == ["2 thread left: reader"]


def test_the_page_tells_misses_and_what_was_not_tried() -> None:
    good = Outcome("one", "scene", "It is | broken.", "5.0.1", "odd", "No <b>.", "Do it.", 1.25, 0.01, keys="as before")
    good.next = "works (toy model, 0.4 s)"
    bad = Outcome("two", "scene", "Worse.", "5.0.1", keys="changed", held=2.0, misses=["keys changed: jawOpen"])
    bad.late = ["the window was held for 2.00 s"]
    none = Outcome("three", "disk", "A disk.", skipped="a disk cannot be mounted here")
    text = page.written([good, bad, none], 120.0)
    assert "**2 faults were tried, 1 of them with a miss; 1 changed a key" in " ".join(text.split())
    row = (
        "| one | It is \\| broken. | `odd` No &lt;b>. *Do it.* | 1.2 s | 10 ms | as before | works (toy model, 0.4 s) |"
    )
    assert row in text.splitlines()
    assert "- two: keys changed: jawOpen; the window was held for 2.00 s" in text.splitlines()
    assert "| three | A disk. | *not tried: a disk cannot be mounted here* | | | | |" in text.splitlines()


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Cannot write /tmp/faults-ab12/disk/0/5 x y/z.png: full.", "Cannot write …/5 x y/z.png: full."),
        (f"{command.ROOT}/.venv/bin/python: gone.", "…/.venv/bin/python: gone."),
        ("There is no folder /usr/lib/disk.", "There is no folder /usr/lib/disk."),
    ],
)
def test_places_of_this_machine_are_not_on_the_page(said: str, shown: str) -> None:
    text = page.written([Outcome("one", "disk", "It.", code="no_file", message=said)], 1.0)
    assert f"`no_file` {shown}" in text
