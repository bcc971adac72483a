# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal: what it remembers, and what is left of it when its process or the machine ends."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from facescript.batch import journal as journals
from facescript.batch.journal import LOCK, MAX_RUNS, NAME, Journal, begin_anew, locked
from facescript.batch.parts import SIZE
from facescript.batch.settings import Settings
from facescript.batch.sheet import MAX_FILE, Row
from facescript.inference.options import ModelOptions
from facescript.performance import FacescriptError

SETTINGS = Settings(ModelOptions(), version="1.0")
ONE, TWO = Row(2, "one", "Hi."), Row(3, "two", "Ho.")
REFUSED = FacescriptError("empty_script", "No words.", "Type some.")
DIED = FacescriptError("worker_died", "The worker died.")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal in which one row is done and the other failed."""
    path = tmp_path / NAME
    with Journal(path, SETTINGS) as journal:
        journal.done(ONE, "a model", 3, 0.25)
        journal.failed(TWO, REFUSED, False)
        journal.say("actions_0001", lines={"one": "abc", "two": ""})
    return path


def test_what_was_said_is_known_when_it_is_opened_again(path: Path) -> None:
    with Journal(path, SETTINGS) as journal:
        one, two = journal.entry(ONE), journal.entry(TWO)
        assert one and one.done
        assert two and (two.done, two.due, two.runs) == (False, False, 1)
        assert journal.entry(replace(ONE, script="Hi!")) is None
        assert journal.entry(replace(ONE, number=9)) == one
        assert journal.parts("actions") == {1: {"one": "abc", "two": ""}}
        assert journal.parts("previews") == {}
        # The file holds the other words then.
        journal.done(replace(ONE, script="Hi!"), "a model", 3, 0.25)
        assert journal.entry(ONE) is None
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[1] == {
        "file": "one",
        "row": ONE.digest,
        "state": "done",
        "model": "a model",
        "keyframes": 3,
        "seconds": 0.25,
    }
    assert (lines[2]["code"], lines[2]["error"]) == ("empty_script", "No words. Type some.")


def test_a_part_may_have_the_longest_names(path: Path) -> None:
    lines = {f"{number:03}" + (MAX_FILE - 3) * "\N{GRINNING FACE}": 64 * "0" for number in range(SIZE)}
    with Journal(path, SETTINGS) as journal:
        journal.say("previews_0001", lines=lines, job="2d1c-77")
    with Journal(path, SETTINGS) as journal:
        assert journal.parts("previews") == {1: lines}


def test_a_last_line_that_was_cut_off_anywhere_is_taken_away(path: Path) -> None:
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, len(whole) - 1) + 1
    for end in range(last, len(whole)):
        for tail in (b"", b"\0\0\0"):
            path.write_bytes(whole[:end] + tail)
            with Journal(path, SETTINGS) as journal:
                assert journal.entry(TWO)
                assert journal.parts("actions") == {}
                journal.say("actions_0001", lines={"one": "abc", "two": ""})
            assert path.read_bytes() == whole


def test_a_line_that_is_damaged_further_up_is_an_error(path: Path) -> None:
    whole = path.read_bytes().splitlines(keepends=True)
    for number, line in (
        (1, b"{}\n"),
        (1, whole[0].replace(b"natural", b"snappy")),
        (2, b"{\n"),
        (2, b'{"file": 3}\n'),
        (2, b'{"part": "actions_0001", "lines": ["one"]}\n'),
        (2, b'{"part": "actions_0001", "lines": {"one": 1}}\n'),
    ):
        path.write_bytes(b"".join([*whole[: number - 1], line, *whole[number:]]))
        with pytest.raises(FacescriptError, match=f"line {number}: this is no line of a batch's journal") as caught:
            Journal(path, SETTINGS)
        assert caught.value.code == "bad_journal"


def test_an_empty_file_is_a_journal_that_was_not_begun(path: Path) -> None:
    path.write_bytes(b"")
    for _ in range(2):
        with Journal(path, SETTINGS) as journal:
            assert journal.entry(ONE) is None
    assert json.loads(path.read_text())["settings"]["style"] == "natural"


def test_other_settings_are_refused_with_what_is_another(path: Path) -> None:
    other = replace(SETTINGS, style="soft", seed=3, model=ModelOptions("server", "qwen", address="http://a:1/v1"))
    before = path.read_bytes()
    with pytest.raises(FacescriptError) as caught:
        Journal(path, other)
    assert caught.value.code == "other_settings"
    for words in ("style was natural and is soft", "seed was 0 and is 3", "model was not given and is qwen"):
        assert words in caught.value.message
    assert "--anew" in caught.value.hint
    assert path.read_bytes() == before


def test_where_a_server_is_and_its_key_are_no_settings() -> None:
    models = [ModelOptions("server", "qwen", address=f"http://{host}:1/v1", key=host) for host in ("a", "b")]
    one, other = (Settings(model) for model in models)
    assert one.digest == other.digest
    assert "http" not in json.dumps(one.to_dict())


@pytest.mark.parametrize(
    ("model", "other", "words"),
    [
        (ModelOptions("local", "/m\udcff"), {}, r"The name of the model is not UTF-8: '/m\udcff'. Rename it."),
        (ModelOptions(adapter="/a\udcff"), {}, r"The name of the adapter is not UTF-8: '/a\udcff'. Rename it."),
        (ModelOptions(), {"blend": "/b\udcff"}, r"The name of the file is not UTF-8: '/b\udcff'. Rename it."),
        (ModelOptions(), {"face": "f\udcff"}, r"The name of the face is not UTF-8: 'f\udcff'. Rename it."),
    ],
)
def test_names_that_no_journal_can_hold_are_refused(model: ModelOptions, other: dict[str, str], words: str) -> None:
    with pytest.raises(FacescriptError) as caught:
        Settings(model, **other)  # type: ignore[arg-type]
    assert (caught.value.code, str(caught.value)) == ("bad_option", words)


def test_a_batch_begins_anew_unless_its_journal_cannot_be_removed(path: Path, tmp_path: Path) -> None:
    begin_anew(path)
    assert not path.exists()
    begin_anew(path)
    path.mkdir()
    with pytest.raises(FacescriptError, match=f"Cannot remove {path}: ") as caught:
        begin_anew(path)
    assert caught.value.code == "no_file"


def test_what_may_pass_is_due_again_a_few_times(path: Path) -> None:
    for run in range(1, MAX_RUNS + 1):
        with Journal(path, SETTINGS) as journal:
            journal.failed(ONE, DIED, True)
            found = journal.entry(ONE)
            assert found and (found.runs, found.due) == (run, run < MAX_RUNS)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on a file's size")
def test_a_line_for_which_there_is_no_room_leaves_nothing_of_itself(path: Path) -> None:
    import resource

    whole = path.read_bytes()
    limits, heard = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with Journal(path, SETTINGS) as journal:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 20, limits[1]))
        try:
            with pytest.raises(FacescriptError, match="Cannot write"):
                journal.done(TWO, "a model", 3, 0.25)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, heard)
        assert path.read_bytes() == whole
        journal.done(TWO, "a model", 3, 0.25)
    with Journal(path, SETTINGS) as journal:
        found = journal.entry(TWO)
        assert found and found.done


def test_a_folder_is_held_by_one_batch_until_its_process_ends(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    code = (
        "import sys, pathlib\nfrom facescript.batch.journal import locked\n"
        "with locked(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout and holder.stdin
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(FacescriptError, match="Another batch is at work") as caught, locked(folder):
        pass
    assert caught.value.code == "busy"
    holder.kill()
    holder.wait()
    holder.stdin.close()
    holder.stdout.close()
    with locked(folder):
        assert (folder / LOCK).is_file()


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (errno.EAGAIN, "busy", "Another batch is at work in "),
        (errno.EACCES, "busy", "Another batch is at work in "),
        (errno.ENOLCK, "no_file", " has no locks (No locks available), which keep two batches apart."),
        (errno.EOPNOTSUPP, "no_file", " has no locks ("),
    ],
)
def test_a_disk_without_locks_is_no_other_batch(
    number: int, code: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(journals, "_lock", refuse)
    with pytest.raises(FacescriptError) as caught, locked(tmp_path):
        pass
    assert (caught.value.code, words in caught.value.message) == (code, True)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(FacescriptError, match="Cannot write"), locked(tmp_path / "out"):
        pass
    tmp_path.chmod(0o700)
