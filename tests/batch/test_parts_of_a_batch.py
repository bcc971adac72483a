# SPDX-License-Identifier: GPL-3.0-or-later
"""Progress in words, workers by the machine, the command that goes on, and the options that contradict each other."""

from __future__ import annotations

import argparse
import io

import pytest
from facescript.batch import crew as crews
from facescript.batch import options as batch_options
from facescript.batch.crew import Crew, crew
from facescript.batch.parts import Work
from facescript.batch.progress import Progress, duration
from facescript.inference import json_lines
from facescript.inference.options import ModelOptions
from facescript.performance import FacescriptError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_has_the_rate_and_what_is_left() -> None:
    now = 0.0
    progress = Progress(1200, 1, io.StringIO(), lambda: now)
    assert progress.text == "0 of 1,200 lines"
    for failed in (False, True, False, False):
        now += 2.0
        progress.step(failed)
    assert progress.text == "4 of 1,200 lines, 30.0 a minute, 40 min left, 1 failed"


def test_the_rate_begins_when_every_worker_has_had_a_line() -> None:
    now = 15.0
    progress = Progress(124, 4, io.StringIO(), lambda: now)
    # Four workers load for 15 s, and then take 2 s for each line, all at the same times.
    said = []
    for _ in range(3):
        now += 2.0
        for _ in range(4):
            progress.step(False)
        said.append(progress.text)
    assert said == [
        "4 of 124 lines",
        "8 of 124 lines, 120.0 a minute, 58 s left",
        "12 of 124 lines, 120.0 a minute, 56 s left",
    ]


def test_what_is_waited_for_is_no_part_of_the_rate() -> None:
    now = 0.0
    progress = Progress(1000, 2, io.StringIO(), lambda: now)
    for _ in range(300):
        now += 0.5
        progress.step(False)
    assert progress.text == "300 of 1,000 lines, 120.0 a minute, 6 min left"
    for seconds in (1.0, 5.0, 300.0):
        progress.wait()
        now += seconds
    progress.step(False)
    assert progress.text == "301 of 1,000 lines, 120.0 a minute, 6 min left"


def test_a_log_gets_a_line_now_and_then_and_a_terminal_one_line() -> None:
    for stream, lines in ((io.StringIO(), 5), (Terminal(), 1)):
        now = 0.0
        progress = Progress(60, 1, stream, lambda: now)  # noqa: B023
        for _ in range(60):
            now += 1.0
            progress.step(False)
        progress.end()
        assert stream.getvalue().count("\n") == lines
        assert "60 of 60 lines, 60.0 a minute" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89.0, "89 s"), (90.0, "2 min"), (3600.0, "60 min"), (11100.0, "3 h 05 min")],
)
def test_durations_are_short(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_workers_are_as_many_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    embedded, server = ModelOptions(), ModelOptions("server", address="http://a:1/v1")
    monkeypatch.setattr(crews, "cores", lambda: 8)
    for gigabytes, count in ((64, 8), (5, 3), (0.5, 1)):
        monkeypatch.setattr(crews.memory, "available", lambda size=gigabytes: int(size * (1 << 30)))
        assert crew(embedded).count == count
    monkeypatch.setattr(crews.memory, "available", lambda: None)
    assert crew(embedded) == Crew(4, 2)
    assert crew(embedded, 3) == Crew(3, 2)
    # One has the machine for itself.
    assert crew(embedded, 1) == Crew(1, 0)
    assert crew(ModelOptions("local", "/models/qwen")) == Crew(1, 0)
    assert crew(server) == Crew(8, 1)
    assert crew(server, 32) == Crew(32, 1)
    assert Crew(4, 2).environment["OMP_NUM_THREADS"] == "2"
    assert "OMP_NUM_THREADS" not in {k for k, v in Crew(1, 0).environment.items() if v != "1"}


def test_the_command_that_goes_on_is_the_one_that_was_typed_without_what_counts_once() -> None:
    command = ["python3", "run.py", "batch", "my lines.csv", "out", "--anew", "--seed", "3", "--retry-failed"]
    assert batch_options.again(command) == "python3 run.py batch 'my lines.csv' out --seed 3"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--write", "fbx"], "one or more of livelink,jsonl,actions"),
        (["--workers", "0"], "from 1 to 64"),
        (["--workers", "2", "--address", "http://a:1"], "--workers is not for --backend server"),
        (["--concurrency", "2"], "--concurrency is for --backend server"),
        (["--previews", "flamenco"], "--previews flamenco and --flamenco URL go together"),
        (["--flamenco", "http://a:8080"], "--previews flamenco and --flamenco URL go together"),
        (["--write", "livelink", "--previews", "flamenco", "--flamenco", "http://a:8080"], "write jsonl too"),
        (["--blend", "faces.blend"], "--blend and --face are for --write actions"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    batch_options.add_arguments(parser)
    with pytest.raises(SystemExit) as caught:
        options = parser.parse_args(["sheet.csv", "out", *arguments])
        batch_options.check(options, parser, json_lines.model_options(options, parser))
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


def test_a_frame_rate_out_of_range_and_a_work_of_another_form_are_refused() -> None:
    parser = argparse.ArgumentParser()
    batch_options.add_arguments(parser)
    options = parser.parse_args(["sheet.csv", "out", "--fps", "0.5"])
    with pytest.raises(FacescriptError, match=r"The frame rate is 0\.5"):
        batch_options.settings(options, ModelOptions())
    for entry in ({}, {"blend": "", "face": "", "style": "", "fps": "x", "characters": [], "parts": []}):
        with pytest.raises(FacescriptError, match="not the work of a batch"):
            Work.from_dict(entry)
