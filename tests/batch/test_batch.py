# SPDX-License-Identifier: GPL-3.0-or-later
"""Batches with real worker processes that have no model: what is done, done again, tried again, and left."""

from __future__ import annotations

import csv
import errno
import functools
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from facescript.batch import outputs, parts, pool
from facescript.batch.carrying_out import Batch, carry_out
from facescript.batch.crew import Crew
from facescript.batch.journal import NAME
from facescript.batch.parts import Part, Work
from facescript.batch.settings import Settings
from facescript.batch.sheet import Row
from facescript.benchmarks.batch import kill_again_and_again, write_sheet
from facescript.benchmarks.simulated_worker import performed
from facescript.inference.client import WorkerClient, perform
from facescript.inference.options import ModelOptions
from facescript.inference.servers.addresses import parse_address
from facescript.inference.servers.chat import ChatServer, Wanted
from facescript.inference.servers.exchange import Exchange, Limits
from facescript.inference.setup.runtime import child_environment
from facescript.performance import CHANNELS, FacescriptError, Performance, jsonl, live_link
from model_servers import Handler, serving

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
    (setting.folder / "d.jsonl").write_bytes(b"")
    changed = [("act1/a", "Hi."), ("act1/b", "Ho."), ("c", "He!"), ("new", "Hey."), ("d", "Hu.")]
    assert setting.run(changed) == 0
    assert setting.states() == {
        ("act1/a", "done"): 1,
        ("act1/b", "done"): 2,
        ("c", "done"): 2,
        ("d", "done"): 2,
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


def test_what_is_in_the_way_of_one_line_s_files_stops_no_other(
    setting: Setting, capsys: pytest.CaptureFixture[str]
) -> None:
    setting.folder.mkdir()
    (setting.folder / "act1").write_text("in the way")
    (setting.folder / "c.csv").mkdir()
    assert setting.run([("act1/deep/a", "DIES"), *FOUR]) == 1
    assert setting.states() == {
        # Found out before a worker is asked: it would have died.
        ("act1/deep/a", "failed"): 1,
        ("act1/a", "failed"): 1,
        ("act1/b", "failed"): 1,
        ("c", "failed"): 1,
        ("d", "done"): 1,
    }
    errors = capsys.readouterr().err
    below = f"Nothing can be written below {setting.folder / 'act1'}, where the files of act1/a go."
    assert f"row 3, act1/a: {below} Give the row another file, or clear the way." in errors
    assert f"row 5, c: Cannot write {setting.folder / 'c.csv'}: " in errors


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_without_room_ends_the_batch(number: int, setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise FacescriptError("no_file", "Cannot write.") from OSError(number, os.strerror(number))

    monkeypatch.setattr(outputs.live_link, "write", full)
    assert setting.run(FOUR, crew=Crew(1, 1)) == 1
    assert not setting.states()


def test_a_folder_that_takes_no_files_any_more_ends_the_batch(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def barred(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise FacescriptError("no_file", f"Cannot write {path}.") from OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(outputs.tempfile, "TemporaryFile", barred)
    monkeypatch.setattr(outputs.live_link, "write", refuse)
    assert setting.run(FOUR, crew=Crew(1, 1)) == 1
    assert "The batch cannot go on" in capsys.readouterr().err
    assert not setting.states()


@pytest.mark.parametrize(
    ("sheet", "rows", "words"),
    [
        ("lines.csv", [("other", "Hi."), ("lines", "Ho.")], "Row 3, lines: its file would take the place of the sheet"),
        ("batch.jsonl", [("a", "Hi.")], "The journal batch.jsonl would take the place of the sheet"),
        ("batch.lock", [("a", "Hi.")], "The lock batch.lock would take the place of the sheet"),
    ],
)
@pytest.mark.parametrize("anew", [False, True])
def test_a_batch_does_not_write_over_its_own_sheet(
    setting: Setting, sheet: str, rows: Rows, words: str, anew: bool
) -> None:
    setting.folder.mkdir()
    setting.sheet = setting.folder / sheet
    setting.write(rows)
    before = setting.sheet.read_bytes()
    with pytest.raises(FacescriptError) as caught:
        setting.run(sheet=setting.sheet, anew=anew)
    assert caught.value.code == "bad_option"
    assert caught.value.message == f"{words} {setting.sheet}."
    assert setting.sheet.read_bytes() == before
    assert os.listdir(setting.folder) == [sheet]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets not everybody make links")
def test_a_sheet_that_a_link_leads_to_is_not_written_over_either(setting: Setting) -> None:
    setting.folder.mkdir()
    (setting.folder / "c.csv").symlink_to(setting.sheet)
    with pytest.raises(FacescriptError, match="Row 4, c: its file would take the place of the sheet"):
        setting.run(FOUR)


@pytest.mark.parametrize("name", ["actions_0001.blend", "actions_0007.blend", "ACTIONS_0001.partial.blend"])
def test_a_batch_does_not_write_over_the_faces_that_it_is_given(setting: Setting, name: str) -> None:
    setting.folder.mkdir()
    blend = setting.folder / name
    blend.write_text("faces")
    faces = replace(setting.batch.settings, write=("actions",), blend=str(blend))
    with pytest.raises(FacescriptError, match=f"would take the place of the faces of {blend}"):
        setting.run(FOUR, settings=faces)
    assert os.listdir(setting.folder) == [name]


def test_a_server_that_is_loading_is_waited_for_as_one_that_is_away(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = iter([503, 429, 502, 503, 503, 503, 503])

    def loading(handler: Handler) -> None:
        handler.whole(b"{}", next(answers, 200))

    def ask(client: WorkerClient, *arguments: Any) -> Performance:
        Exchange(address, limits=Limits(pauses=())).send("GET", "/models", b"", lambda: None)
        return perform(client, *arguments)

    monkeypatch.setattr(pool, "PAUSES", {"server_busy": (0.0,) * 7, "server_refused": (0.0, 0.0)})
    monkeypatch.setattr(pool, "perform", ask)
    with serving(loading) as server:
        address = parse_address(server.address)
        assert setting.run(FOUR[:1], crew=Crew(1, 1)) == 0
        assert len(server.requests) == 8
        answers = iter([503] * 100)
        assert setting.run([("b", "Hi."), ("c", "Ho.")], crew=Crew(1, 1)) == 1
    assert setting.states() == {("act1/a", "done"): 1}
    captured = capsys.readouterr()
    assert "The batch cannot go on" in captured.err
    assert "0 of 2 lines are done, 0 failed, 2 are left." in captured.out


def test_a_loading_server_is_waited_for_nine_minutes() -> None:
    assert sum(pool.PAUSES["server_busy"]) == sum(pool.PAUSES["server_unreachable"]) == 531.0


@pytest.mark.parametrize(("asked", "waited"), [(0.5, 1.0), (90.0, 90.0), (1e6, 3600.0)])
def test_a_server_that_says_how_long_to_wait_is_left_alone_so_long(
    monkeypatch: pytest.MonkeyPatch, asked: float, waited: float
) -> None:
    def start() -> WorkerClient:
        raise FacescriptError("server_busy", "Too many.", pause=asked)

    monkeypatch.setattr(pool, "PAUSES", {"server_busy": (1.0,)})
    found = pool.Pool(start, lambda row: None, lambda row, made: None, ModelOptions(), 0, 1)
    found.run([Row(2, "a", "Hi.")])
    waiting = found.next()
    found.stop()
    assert isinstance(waiting, pool.Waiting)
    assert waiting.seconds == waited


def test_a_server_that_answers_every_line_with_a_page_of_its_own_stops_the_batch_with_all_left_open(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ask(*arguments: Any) -> Performance:
        chat = ChatServer(ModelOptions("server", "qwen", address=server.address))
        chat.complete([{"role": "user", "content": "Hi."}], Wanted("x", {}, 9), lambda: None)
        raise AssertionError

    monkeypatch.setattr(pool, "perform", ask)
    with serving(lambda handler: handler.whole(b"<html>Back at 9</html>", kind="text/html")) as server:
        assert setting.run([(f"line{i:02}", "Hi.") for i in range(40)], crew=Crew(1, 1)) == 1
    assert "The batch cannot go on" in capsys.readouterr().err
    # The five that it took to see it are due again as well.
    monkeypatch.undo()
    assert setting.run() == 0
    assert sum(count for (_, state), count in setting.states().items() if state == "done") == 40


def test_a_worker_that_is_stuck_is_replaced(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    def start() -> WorkerClient:
        setting.started += 1
        slow = ["--seconds", "600"] if setting.started == 1 else []
        return WorkerClient(
            [sys.executable, "-m", "facescript.benchmarks.simulated_worker", *slow], child_environment()
        )

    monkeypatch.setattr(pool, "perform", functools.partial(perform, timeout=4.0))
    assert setting.run([("a", "Hi.")], crew=Crew(1, 1), start=start) == 0
    assert setting.started > 1


def test_a_server_that_is_stuck_costs_no_worker(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object) -> Performance:
        raise FacescriptError("timeout", "127.0.0.1 said nothing for 300 seconds.", "Look whether it is stuck.")

    monkeypatch.setattr(pool, "perform", silent)
    assert setting.run(FOUR[:2], crew=Crew(1, 1)) == 1
    assert setting.started == 1


@pytest.mark.parametrize("debug", [False, True])
def test_of_an_error_that_nobody_thought_of_only_kind_and_place_are_told(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], debug: bool
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("SECRET SCRIPT WORDS")

    monkeypatch.delenv("FACESCRIPT_DEBUG", raising=False)
    if debug:
        monkeypatch.setenv("FACESCRIPT_DEBUG", "1")
    monkeypatch.setattr(outputs, "write", fail)
    assert setting.run(FOUR[:1]) == 1
    errors = capsys.readouterr().err
    assert "row 2, act1/a: Facescript failed (KeyError, test_batch.py line " in errors
    assert ("SECRET" in errors) is debug
    journal = (setting.folder / NAME).read_text()
    assert '"code": "internal"' in journal
    assert "SECRET" not in journal


def test_actions_are_written_in_parts_when_their_lines_change(setting: Setting) -> None:
    actions = replace(setting.batch.settings, write=("actions",))
    rows = [(f"line{i:03}", f"Hi {i}.") for i in range(101)]
    rows[7] = ("line007", "REFUSED")
    assert setting.run(rows, settings=actions) == 1
    [work] = setting.works
    assert [(part.name, len(part.lines)) for part, _ in work.parts] == [("actions_0001", 99), ("actions_0002", 1)]
    assert blends(setting) == ["actions_0001.blend", "actions_0002.blend"]
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


def blends(setting: Setting) -> list[str]:
    """The files of actions in the folder, partial ones among them."""
    return sorted(path.name for path in setting.folder.glob("actions*"))


def lines_of(parts: Sequence[Part]) -> dict[str, list[str]]:
    """The names of the lines of each part."""
    return {part.name: [line.name for line in part.lines] for part in parts}


def test_a_line_stays_in_its_blend_and_only_what_changed_is_written_and_handed_over(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SIZE", 2)
    actions, farm = replace(setting.batch.settings, write=("actions",)), FakeFarm()

    def run(*files: str) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """The lines that a run has Blender write, and those that it hands to the farm."""
        setting.works.clear()
        farm.parts.clear()
        assert setting.run([(file, f"Hi {file}.") for file in files], settings=actions, farm=farm) == 0
        return lines_of([part for work in setting.works for part, _ in work.parts]), lines_of(farm.parts)

    assert run("a", "b", "c", "d", "e") == (
        {"actions_0001": ["a", "b"], "actions_0002": ["c", "d"], "actions_0003": ["e"]},
        {"previews_0001": ["a", "b"], "previews_0002": ["c", "d"], "previews_0003": ["e"]},
    )
    # Moved.
    assert run("e", "d", "c", "b", "a") == ({}, {})
    # Put in, which fills the last part and begins another.
    assert run("f", "a", "b", "g", "c", "d", "e") == (
        {"actions_0003": ["e", "f"], "actions_0004": ["g"]},
        {"previews_0004": ["f", "g"]},
    )
    # Taken out: of one part, and of another the whole.
    assert run("f", "b", "g", "e") == ({"actions_0001": ["b"]}, {})
    assert blends(setting) == ["actions_0001.blend", "actions_0003.blend", "actions_0004.blend"]
    assert run("f", "b", "g", "e") == ({}, {})
    # Put in again, which has been rendered.
    assert run("a", "b", "e", "f", "g") == ({"actions_0004": ["g", "a"]}, {})


@pytest.mark.parametrize("chosen", [{"blend": "/nowhere.blend"}, {"face": "Dora"}])
@pytest.mark.parametrize(("kind", "previews"), [("jsonl", True), ("actions", False), ("jsonl", False)])
def test_faces_that_are_not_there_are_found_out_before_any_work(
    setting: Setting, chosen: dict[str, Any], kind: Any, previews: bool
) -> None:
    def refuse(work: Work) -> Iterator[str]:
        raise FacescriptError("no_file", f"There is no {work.blend or work.face}.")
        yield

    settings, farm = replace(setting.batch.settings, write=(kind,), **chosen), FakeFarm()
    options = {"settings": settings, "blender": refuse, "farm": farm if previews else None}
    if kind == "jsonl" and not previews:
        # Nothing is made with them.
        assert setting.run(FOUR, **options) == 0
        return
    with pytest.raises(FacescriptError, match=r"There is no (/nowhere\.blend|Dora)"):
        setting.run(FOUR, **options)
    assert not setting.states()
    assert not farm.parts


def test_a_line_that_fails_for_a_while_keeps_its_place(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SIZE", 2)
    actions = replace(setting.batch.settings, write=("actions",))
    for script, status in (("Hi.", 0), ("REFUSED", 1), ("Hey.", 0)):
        assert setting.run([("a", script), ("b", "Ho."), ("c", "He.")], settings=actions) == status
    assert [lines_of([part for part, _ in work.parts]) for work in setting.works] == [
        {"actions_0001": ["a", "b"], "actions_0002": ["c"]},
        {"actions_0001": ["b"]},
        {"actions_0001": ["a", "b"]},
    ]


def test_a_journal_that_does_not_say_which_lines_a_part_has_goes_on(setting: Setting) -> None:
    actions, farm = replace(setting.batch.settings, write=("actions",)), FakeFarm()
    setting.run(FOUR, settings=actions, farm=farm)
    journal = setting.folder / NAME
    entries = [json.loads(line) for line in journal.read_text().splitlines()]
    for entry in entries:
        if entry.pop("lines", None):
            entry["of"] = "a digest of the whole part"
    journal.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    for _ in range(2):
        assert setting.run(FOUR, settings=actions, farm=farm) == 0
        assert setting.started == 0
        assert [part.name for work in setting.works for part, _ in work.parts] == ["actions_0001", "actions_0001"]
        assert [part.name for part in farm.parts] == ["previews_0001", "previews_0002"]


def test_actions_and_previews_follow_the_file_with_the_faces(setting: Setting, tmp_path: Path) -> None:
    faces, farm = tmp_path / "faces.blend", FakeFarm()
    settings = replace(setting.batch.settings, write=("actions",), blend=str(faces))

    def run(content: str) -> tuple[int, int]:
        """The parts that were written so far, and the jobs."""
        faces.write_text(content)
        assert setting.run(FOUR, settings=settings, farm=farm) == 0
        return sum(len(work.parts) for work in setting.works), len(farm.parts)

    assert run("Anna and Bob") == (1, 1)
    # Saved again, as it was.
    assert run("Anna and Bob") == (1, 1)
    assert run("Anna and Rob") == (2, 2)


def test_what_a_killed_blender_left_is_removed_and_met_by_no_other(setting: Setting) -> None:
    actions = replace(setting.batch.settings, write=("actions",))
    setting.folder.mkdir()
    for left in ("actions_0001.0a1b2c3d.partial.blend", "actions_0001.0a1b2c3d.partial.blend@"):
        (setting.folder / left).write_text("half")
    assert setting.run(FOUR, settings=actions) == 0
    (setting.folder / "actions_0001.blend").unlink()
    assert setting.run(FOUR, settings=actions) == 0
    [first], [again] = ([Path(path).name for _, path in work.parts] for work in setting.works)
    assert first != again
    assert blends(setting) == ["actions_0001.blend"]


class FakeFarm:
    """Takes jobs."""

    def __init__(self) -> None:
        self.parts: list[Part] = []

    def check(self) -> str:
        return "e7a6"

    def submit(self, part: Part, *_: object) -> str:
        self.parts.append(part)
        return str(len(self.parts))


def test_actions_and_previews_follow_a_line_that_comes_out_otherwise(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    actions, farm = replace(setting.batch.settings, write=("actions",)), FakeFarm()

    def otherwise(*arguments: Any) -> Performance:
        made = perform(*arguments)
        return replace(made, keyframes=tuple(replace(keyframe, text="second take") for keyframe in made.keyframes))

    def run() -> tuple[int, int]:
        assert setting.run(FOUR, settings=actions, farm=farm) == 0
        return len(setting.works), len(farm.parts)

    assert run() == (1, 1)
    (setting.folder / "c.jsonl").unlink()
    assert run() == (1, 1)
    monkeypatch.setattr(pool, "perform", otherwise)
    assert run() == (1, 1)
    (setting.folder / "c.jsonl").unlink()
    assert run() == (2, 2)
    assert run() == (2, 2)


def command(sheet: Path, out: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "facescript.benchmarks.batch", str(sheet), str(out), *options]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_batch_that_is_killed_goes_on_and_does_each_line_once(tmp_path: Path) -> None:
    sheet, out = tmp_path / "sheet.csv", tmp_path / "out"
    write_sheet(sheet, 30)
    found = kill_again_and_again(command(sheet, out, "--seconds", "0.1"), sheet, out, (7, 9))
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
