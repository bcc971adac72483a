# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches with real worker processes that have no model: what is done, done again, tried again, and left."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from facescript.batch import pool
from facescript.batch.carrying_out import Batch, carry_out
from facescript.batch.crew import Crew
from facescript.batch.journal import NAME
from facescript.batch.parts import Work
from facescript.batch.settings import Settings
from facescript.benchmarks.batch import kill_again_and_again, write_sheet
from facescript.benchmarks.simulated_worker import performed
from facescript.inference.client import WorkerClient
from facescript.inference.options import ModelOptions
from facescript.inference.setup.runtime import child_environment
from facescript.performance import CHANNELS, FacescriptError, jsonl, live_link

Rows = Sequence[tuple[str, str]]


class Setting:
    """A folder with a sheet, and batches of it."""

    def __init__(self, folder: Path) -> None:
        self.sheet, self.folder = folder / "sheet.csv", folder / "out"
        self.started = 0
        self._command = [sys.executable, "-m", "facescript.benchmarks.simulated_worker", "--marks", str(folder)]
        self.batch = Batch(
            self.sheet, self.folder, Settings(ModelOptions()), Crew(2, 1), self._start, self._blender, again="run it"
        )
        self.works: list[Work] = []

    def _start(self) -> WorkerClient:
        self.started += 1
        return WorkerClient(self._command, child_environment())

    def _blender(self, work: Work) -> Iterator[str]:
        self.works.append(work)
        for part, path in work.parts:
            Path(path).write_text("actions")
            yield part.name

    def write(self, rows: Rows) -> None:
        with self.sheet.open("w", newline="") as stream:
            csv.writer(stream).writerows([("file", "script"), *rows])

    def run(self, rows: Rows | None = None, **options: object) -> int:
        if rows is not None:
            self.write(rows)
        self.started = 0
        return carry_out(replace(self.batch, **options))  # type: ignore[arg-type]

    def states(self) -> Counter[tuple[str, str]]:
        """How often the journal says what of which file."""
        lines = [json.loads(line) for line in (self.folder / NAME).read_text().splitlines()[1:]]
        return Counter((line["file"], line["state"]) for line in lines if "file" in line)


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setting:
    """Nothing waits long here for what may pass."""
    monkeypatch.setattr(pool, "PAUSES", dict.fromkeys(pool.PAUSES, (0.0, 0.0)))
    return Setting(tmp_path)


FOUR = [("act1/a", "Hi."), ("act1/b", "Ho."), ("c", "He."), ("d", "Hu.")]


def test_every_line_has_its_files_and_nothing_is_done_twice(setting: Setting) -> None:
    assert setting.run(FOUR) == 0
    for file, script in FOUR:
        [found] = jsonl.read_performances(setting.folder / f"{file}.jsonl")
        assert (found.brief.id, found.brief.script) == (file, script)
        assert list(found.keyframes) == performed(script, 0)
        recording = live_link.read(setting.folder / f"{file}.csv", 60.0)
        assert recording.values.shape == (121, len(CHANNELS))
        assert recording.values[120] == pytest.approx(found.keyframes[2].pose.values, abs=1e-6)
    before = {path: path.stat().st_mtime_ns for path in setting.folder.rglob("*.*") if path.suffix != ".lock"}
    assert setting.run() == 0
    assert setting.started == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert set(setting.states().values()) == {1}


def test_only_what_changed_or_went_is_done_again(setting: Setting) -> None:
    setting.run(FOUR)
    (setting.folder / "act1" / "b.csv").unlink()
    changed = [("act1/a", "Hi."), ("act1/b", "Ho."), ("c", "He!"), ("new", "Hey."), ("d", "Hu.")]
    assert setting.run(changed) == 0
    assert setting.states() == {
        ("act1/a", "done"): 1,
        ("act1/b", "done"): 2,
        ("c", "done"): 2,
        ("d", "done"): 1,
        ("new", "done"): 1,
    }
    [found] = jsonl.read_performances(setting.folder / "c.jsonl")
    assert found.brief.script == "He!"


def test_other_settings_need_a_batch_anew(setting: Setting, capsys: pytest.CaptureFixture[str]) -> None:
    setting.run(FOUR)
    soft = replace(setting.batch.settings, style="soft", seed=1)
    with pytest.raises(FacescriptError, match="style was natural and is soft"):
        setting.run(settings=soft)
    assert setting.run(settings=soft, anew=True) == 0
    [found] = jsonl.read_performances(setting.folder / "c.jsonl")
    assert list(found.keyframes) == performed("He.", 1)
    assert set(setting.states().values()) == {1}


def test_a_line_that_fails_stops_no_other_and_is_tried_again_when_asked(
    setting: Setting, capsys: pytest.CaptureFixture[str]
) -> None:
    assert setting.run([*FOUR, ("bad", "REFUSED")]) == 1
    captured = capsys.readouterr()
    assert "row 6, bad: The script was refused. Mend it." in captured.err
    assert captured.err.endswith("run it --retry-failed\n")
    assert captured.out.endswith("4 of 5 lines are done, 1 failed, 0 are left.\n")
    assert not list(setting.folder.glob("bad*"))
    assert setting.run() == 1
    assert setting.started == 0
    assert setting.run(retry_failed=True) == 1
    assert setting.states()["bad", "failed"] == 2
    # It is another row then.
    assert setting.run([*FOUR, ("bad", "Better.")]) == 0


def test_a_worker_that_dies_once_costs_nothing_and_one_that_always_dies_costs_its_line(setting: Setting) -> None:
    assert setting.run([*FOUR, ("once", "DIES-ONCE"), ("always", "DIES")]) == 1
    assert setting.states() == {
        **{(file, "done"): 1 for file, _ in FOUR},
        ("once", "done"): 1,
        ("always", "failed"): 1,
    }
    # It may pass: two more runs try it without being asked to.
    for runs in (2, 3, 3):
        setting.run()
        assert setting.states()["always", "failed"] == runs


def test_a_server_that_stays_away_ends_the_batch_and_leaves_the_rest_open(
    setting: Setting, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [("a", "Hi."), *((f"b{i}", "AWAY") for i in range(20))]
    assert setting.run(rows) == 1
    assert setting.states() == {("a", "done"): 1}
    captured = capsys.readouterr()
    assert "The batch cannot go on: " in captured.err
    assert "1 of 21 lines are done, 0 failed, 20 are left." in captured.out
    assert "To go on:\n  run it" in captured.err


def test_when_every_line_kills_its_worker_the_batch_ends(setting: Setting) -> None:
    assert setting.run([(f"a{i}", "DIES") for i in range(40)]) == 1
    # Five in succession, and what the other worker had in hand.
    assert 4 <= sum(setting.states().values()) <= 6


def test_what_cannot_be_written_ends_the_batch(setting: Setting, capsys: pytest.CaptureFixture[str]) -> None:
    setting.folder.mkdir()
    (setting.folder / "act1").write_text("in the way")
    assert setting.run(FOUR, crew=Crew(1, 1)) == 1
    assert "Cannot make the folder of act1/a" in capsys.readouterr().err
    assert not setting.states()


def test_actions_are_written_in_parts_when_their_lines_change(setting: Setting) -> None:
    actions = replace(setting.batch.settings, write=("actions",))
    rows = [(f"line{i:03}", f"Hi {i}.") for i in range(101)]
    rows[7] = ("line007", "REFUSED")
    assert setting.run(rows, settings=actions) == 1
    [work] = setting.works
    assert [(part.name, len(part.lines), Path(path).name) for part, path in work.parts] == [
        ("actions_0001", 99, "actions_0001.blend"),
        ("actions_0002", 1, "actions_0002.blend"),
    ]
    assert Path(work.parts[1][0].lines[0].path) == setting.folder / "line100.jsonl"
    assert not list(setting.folder.glob("*.csv"))
    assert Work.from_dict(json.loads(json.dumps(work.to_dict()))).to_dict() == work.to_dict()
    setting.run(settings=actions)
    assert len(setting.works) == 1
    rows[7] = ("line007", "Ho.")
    assert setting.run(rows, settings=actions) == 0
    assert [part.name for part, _ in setting.works[1].parts] == ["actions_0001"]
    (setting.folder / "actions_0002.blend").unlink()
    setting.run(settings=actions)
    assert [part.name for part, _ in setting.works[2].parts] == ["actions_0002"]


def command(sheet: Path, out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "facescript.benchmarks.batch", str(sheet), str(out), *options]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_batch_that_is_killed_goes_on_and_does_each_line_once(tmp_path: Path) -> None:
    sheet, out = tmp_path / "sheet.csv", tmp_path / "out"
    write_sheet(sheet, 30)
    found = kill_again_and_again(command(sheet, out, "--seconds", "0.05"), sheet, out, (7, 9))
    assert found.kills >= 3
    assert found.sound
    assert found.once == 30
    # What was begun and not finished leaves nothing beside the files.
    assert len(list(out.rglob("*.csv"))) == len(list((out / "act1").glob("*.jsonl"))) == 30


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals between processes")
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_stops_after_the_lines_in_hand_and_a_second_one_at_once(tmp_path: Path, times: int) -> None:
    sheet, out = tmp_path / "sheet.csv", tmp_path / "out"
    write_sheet(sheet, 500)
    seconds = "0.2" if times == 1 else "600"
    process = subprocess.Popen(
        command(sheet, out, "--seconds", seconds), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stderr
    assert process.stdout.readline().startswith("500 lines; 500 to do on 2 workers")
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith("Stopping after the lines in hand")
    if times == 2:
        process.send_signal(signal.SIGINT)
    said, errors = process.communicate(timeout=300)
    if times == 1:
        assert process.returncode == 130
        assert "lines are done, 0 failed" in said
        assert errors.endswith("To go on:\n  the same command\n")
    else:
        assert "KeyboardInterrupt" in errors
        assert process.returncode != 0
