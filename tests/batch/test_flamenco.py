# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs for a render farm: a stub of Flamenco's Manager that takes what the documented schema allows, and no more."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from facescript.batch.flamenco import JOB_TYPE, Farm, submitted_job
from facescript.batch.parts import Line, Part
from facescript.batch.settings import Settings
from facescript.commands import ROOT
from facescript.inference.options import ModelOptions
from facescript.performance import FacescriptError
from model_servers import Handler, serving

RECIPE = ROOT / "recipes" / "flamenco" / "facescript-previews.js"
PART = Part("previews_0001", tuple(Line(f"/x/act1/line_{i}.jsonl", f"act1/line_{i}", "Anna") for i in range(25)))
FOLDER = Path("/mnt/shared/night")

# `SubmittedJob` of flamenco-openapi.yaml 3: each field's type, and whether it is required.
SUBMITTED_JOB = {
    "name": (str, True),
    "type": (str, True),
    "type_etag": (str, False),
    "priority": (int, True),
    "settings": (dict, False),
    "metadata": (dict, False),
    "submitter_platform": (str, True),
    "storage": (dict, False),
    "worker_tag": (str, False),
    "initial_status": (str, False),
}
# What a job type's settings may be (`AvailableJobSettingType`).
SETTING_TYPES = {"string": str, "int32": int, "float": float, "bool": bool}


def check(job: dict[str, Any]) -> None:
    """Raise AssertionError for what the Manager would refuse."""
    assert not job.keys() - SUBMITTED_JOB.keys()
    assert {name for name, (_, required) in SUBMITTED_JOB.items() if required} <= job.keys()
    assert all(isinstance(value, SUBMITTED_JOB[name][0]) for name, value in job.items())
    assert all(isinstance(value, str) for value in job["metadata"].values())
    assert all(isinstance(value, (str, int, float, bool)) for value in job["settings"].values())


def manager(handler: Handler) -> None:
    """A Manager with the job type."""
    if handler.command == "GET":
        assert handler.path == f"/api/v3/jobs/type/{JOB_TYPE}"
        entry = {"name": JOB_TYPE, "label": "Facescript Previews", "settings": [], "etag": "e7a6"}
        handler.whole(json.dumps(entry).encode())
    else:
        assert handler.path == "/api/v3/jobs"
        check(handler.body)
        handler.whole(json.dumps(handler.body | {"id": "2d1c-77", "status": "queued"}).encode())


def test_a_part_becomes_a_job_that_the_manager_takes() -> None:
    settings = Settings(ModelOptions(), blend="/mnt/shared/faces.blend", face="Anna")
    with serving(manager) as server:
        assert Farm.at(server.address).submit(PART, FOLDER, settings) == "2d1c-77"
        [job] = server.bodies
    assert (job["name"], job["type"], job["type_etag"]) == ("night previews_0001", JOB_TYPE, "e7a6")
    assert job["settings"]["folder"] == "/mnt/shared/night"
    assert job["settings"]["lines"].split("\n")[24] == "act1/line_24"
    assert (job["settings"]["blend"], job["settings"]["face"]) == ("/mnt/shared/faces.blend", "Anna")


def test_a_job_is_handed_over_once_where_the_connection_is_cut() -> None:
    def cut(handler: Handler) -> None:
        if handler.command == "GET":
            manager(handler)
        else:
            handler.reset()

    with serving(cut) as server, pytest.raises(FacescriptError) as caught:
        Farm.at(server.address).submit(PART, FOLDER, Settings(ModelOptions()))
    assert caught.value.code == "server_unreachable"
    assert [handler.command for handler in server.requests] == ["GET", "POST"]


def missing(handler: Handler) -> None:
    handler.whole(b'{"code": 404, "message": "no such job type"}', 404)


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (missing, "has no job type facescript-previews. Copy recipes/flamenco/facescript-previews.js"),
        (lambda handler: handler.whole(b"<html>"), "is no Flamenco Manager of version 3"),
        (lambda handler: handler.whole(b'{"name": "other"}'), "is no Flamenco Manager of version 3"),
    ],
)
def test_a_manager_without_the_job_type_and_other_servers_are_told_apart(behave: Any, words: str) -> None:
    with serving(behave) as server, pytest.raises(FacescriptError) as caught:
        Farm.at(server.address).submit(PART, FOLDER, Settings(ModelOptions()))
    assert (caught.value.code, words in str(caught.value)) == ("farm", True)


def compiled(settings: dict[str, object]) -> dict[str, Any]:
    """What the job type's script says of itself, and the tasks that it makes, by its own two entry points."""
    if shutil.which("node") is None:
        pytest.skip("there is no node to run the job type's script")
    script = f"""
const tasks = [];
const author = {{
    Task: (name, type) => ({{ name, type, commands: [], addCommand(c) {{ this.commands.push(c); }} }}),
    Command: (name, parameters) => ({{ name, parameters }}),
}};
{RECIPE.read_text(encoding="utf-8")}
compileJob({{ settings: {json.dumps(settings)}, addTask(task) {{ tasks.push(task); }} }});
console.log(JSON.stringify({{ type: JOB_TYPE, tasks }}));
"""
    done = subprocess.run(["node", "-e", script], capture_output=True, text=True, check=True, timeout=120)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_job_type_s_script_makes_a_task_of_every_few_lines() -> None:
    job: Any = submitted_job(PART, FOLDER, Settings(ModelOptions(), blend="/mnt/faces.blend", style="soft"), "e7a6")
    found = compiled(job["settings"])
    known = {entry["key"]: entry["type"] for entry in found["type"]["settings"]}
    assert known.keys() == job["settings"].keys()
    assert all(isinstance(job["settings"][key], SETTING_TYPES[kind]) for key, kind in known.items())
    assert RECIPE.stem == JOB_TYPE
    tasks = found["tasks"]
    assert [(task["name"], task["type"], len(task["commands"])) for task in tasks] == [
        ("preview-1-10", "blender", 10),
        ("preview-11-20", "blender", 10),
        ("preview-21-25", "blender", 5),
    ]
    last = tasks[2]["commands"][4]
    assert last["name"] == "exec"
    assert last["parameters"]["exe"] == "{blender}"
    assert last["parameters"]["args"] == [
        *("--command", "facescript", "render", "preview"),
        *("/mnt/shared/night/act1/line_24.jsonl", "/mnt/shared/night/act1/line_24.mp4"),
        *("--style", "soft", "--on", "/mnt/faces.blend"),
    ]
