# SPDX-License-Identifier: GPL-3.0-or-later
"""`blender --command facescript`, called as Blender calls it, with the installed zip."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from facescript.commands.installed import PACKAGE  # noqa: E402
from facescript.performance import jsonl, live_link  # noqa: E402
from scenes import ENTRY, cube_with_keys  # noqa: E402

Run = Callable[..., int]


@pytest.fixture
def run(extension: Any) -> Iterator[Run]:
    """The command's function, with arguments of any kind."""
    module = importlib.import_module(f"{PACKAGE}.operators.command_line")
    plot = importlib.import_module(f"{PACKAGE}.operators.plot").FACESCRIPT_OT_plot
    missing = not hasattr(bpy.types, "FACESCRIPT_OT_plot")
    if missing:
        bpy.utils.register_class(plot)
    yield lambda *arguments: module.main([str(argument) for argument in arguments])
    if missing:
        bpy.utils.unregister_class(plot)


@pytest.fixture
def shot(performed: Any, tmp_path: Path) -> Path:
    """A saved file with the face and its performance."""
    path = tmp_path / "shot.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return path


def test_a_performance_is_exported_in_both_formats(run: Run, shot: Path, tmp_path: Path) -> None:
    assert run("export", shot, tmp_path / "out.jsonl") == 0
    assert run("export", shot, tmp_path / "out.csv", "--face", "ARKit Face") == 0
    [performance] = jsonl.read_performances(tmp_path / "out.jsonl")
    assert [keyframe.time for keyframe in performance.keyframes] == [0.0, 1.0, 2.0]
    assert len(live_link.read(tmp_path / "out.csv", 24.0).values) >= 49


@pytest.mark.slow
def test_every_picture_is_rendered(run: Run, shot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    film, sheet, plot = tmp_path / "film.mp4", tmp_path / "sheet.png", tmp_path / "plot.png"
    assert run("render", "preview", shot, film, "--size", 64, "--step", 8) == 0
    assert run("render", "contact-sheet", shot, sheet, "--size", 64) == 0
    assert run("render", "plot", shot, plot) == 0
    assert film.read_bytes()[4:8] == b"ftyp"
    assert sheet.read_bytes()[:4] == plot.read_bytes()[:4] == b"\x89PNG"
    assert capsys.readouterr().err.count("error") == 0


@pytest.mark.parametrize("character", [None, 5, ["Anna"], "Nobody", "Anna"])
def test_a_character_that_is_no_face_s_name_goes_to_the_face_that_is_named(
    run: Run, extension: Any, character: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place, name in enumerate(("Anna", "Bob")):
        cube_with_keys(["jawOpen", "mouthSmileLeft", "mouthSmileRight"], name).location.x = 5.0 * place
    faces, lines = tmp_path / "faces.blend", tmp_path / "line.jsonl"
    bpy.ops.wm.save_as_mainfile(filepath=str(faces))
    lines.write_text(json.dumps(ENTRY | {"character": character}))
    assert run("render", "plot", lines, tmp_path / "x.png", "--on", faces, "--face", "Bob") == 0
    count = [len(bpy.data.objects[name].facescript.beats) for name in ("Anna", "Bob")]
    assert count == ([3, 0] if character == "Anna" else [0, 3])


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ((), 2, "usage: blender --command facescript"),
        (("generate", "-o", "{folder}/x.blend"), 2, "--script --script-file --lines is required"),
        (("generate", "--script", "Hi.", "-o", "{folder}/x.mp4"), 2, "has to end with .blend or .jsonl or .csv"),
        (("generate", "--script", "Hi.", "-o", "{folder}/no/x.blend"), 1, "There is no folder {folder}/no."),
        (("generate", "--script-file", "{folder}/no.txt", "-o", "{folder}/x.blend"), 1, "no.txt: No such file or"),
        (("generate", "--script", "Hi.", "--seed", "-1", "-o", "{folder}/x.blend"), 2, "argument --seed"),
        (("generate", "--script", "Hi.", "--backend", "local", "-o", "{folder}/x.blend"), 2, "needs --model"),
        (("generate", "--lines", "{folder}/two.jsonl", "-o", "{folder}/x.blend"), 1, "holds 2 lines"),
        (("generate", "--lines", "{folder}/two.jsonl", "-o", "{folder}/x.jsonl", "--style", "soft"), 2, "--style"),
        (("export", "{folder}/none.blend", "{folder}/x.csv"), 1, "There is no file {folder}/none.blend."),
        (("export", "{folder}/two.jsonl", "{folder}/x.csv"), 1, "not supported"),
        (("export", "{folder}/shot.blend", "{folder}/x.png"), 2, "has to end with .jsonl or .csv"),
        (("export", "{folder}/shot.blend", "{folder}/x.csv", "--face", "Bob"), 1, "with --face: 'ARKit Face'."),
        (("export", "{folder}/shot.blend", "{folder}/x.csv", "--face", "ARKit Face Rig Nr"), 1, "no object"),
        (("render", "preview", "{folder}/shot.blend", "{folder}/x.png"), 2, "has to end with .mp4"),
        (("render", "plot", "{folder}/shot.blend", "{folder}/x.png", "--step", "2"), 2, "--step is not for a plot"),
        (("render", "preview", "{folder}/shot.blend", "{folder}/x.mp4", "--size", "9"), 2, "from 64 to 2048"),
        (("render", "plot", "{folder}/shot.blend", "{folder}/no/x.png"), 1, "There is no folder {folder}/no."),
        (("batch", "{folder}/two.jsonl", "{folder}/x.out", "--ane"), 2, "unrecognized arguments: --ane"),
    ],
)
def test_what_cannot_be_done_is_said_on_stderr_and_by_the_status(
    run: Run,
    shot: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    status: int,
    words: str,
) -> None:
    (tmp_path / "two.jsonl").write_text('{"script": "One."}\n{"script": "Two."}\n')
    capsys.readouterr()
    assert run(*(argument.format(folder=tmp_path) for argument in arguments)) == status
    errors = " ".join(capsys.readouterr().err.split())
    assert words.format(folder=tmp_path) in errors
    assert "Traceback" not in errors
    assert not list(tmp_path.glob("x.*"))


def test_of_several_faces_the_one_with_a_performance_is_meant_unless_it_is_named(
    run: Run, performed: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = cube_with_keys(["jawOpen", "mouthSmileLeft", "mouthSmileRight"], "Other")
    other.location.x = 5.0
    lamp = bpy.data.objects.new("Lamp", bpy.data.lights.new("Lamp", "POINT"))
    bpy.context.scene.collection.objects.link(lamp)
    bpy.context.view_layer.objects.active = lamp
    path = tmp_path / "two.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    assert run("export", path, tmp_path / "out.jsonl") == 0
    assert run("export", path, tmp_path / "other.jsonl", "--face", "Other") == 1
    assert "error: This face has no performance yet. Press Generate first." in capsys.readouterr().err
    bpy.context.view_layer.objects.active = bpy.data.objects["ARKit Face"]
    bpy.ops.facescript.clear()
    bpy.context.view_layer.objects.active = bpy.data.objects["Lamp"]
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    assert run("export", path, tmp_path / "none.jsonl") == 1
    errors = capsys.readouterr().err
    assert "several faces in the scene" in errors and "'Other'" in errors and "'ARKit Face'" in errors


@pytest.mark.model
@pytest.mark.slow
def test_a_script_becomes_a_file_with_keys_and_lines(
    run: Run, model: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "script.txt"
    script.write_text("[0s] eyes widen, brows shoot up\n[1.2s] a slow smile")
    out = tmp_path / "out.blend"
    options = ("--emotion", "joy", "--style", "soft", "--start-frame", 10, "--seed", 3)
    assert run("generate", "--script-file", script, *options, "-o", out, "-o", tmp_path / "out.jsonl") == 0
    said = capsys.readouterr().out
    assert "1.2 s  a slow smile" in said
    assert f"Saved {out}" in said
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(out))
    face = bpy.context.view_layer.objects.active.facescript
    assert [beat.frame for beat in face.beats] == [10, 39]
    assert (face.style, face.seed, face.emotion) == ("soft", 3, "joy")
    assert bpy.context.scene.frame_end == 39 + 24
    # The file's own face, acted again with what it holds, and other words.
    again = tmp_path / "again.blend"
    assert run("generate", "--script", "[0s] a wink", "--blend", out, "-o", again) == 0
    face = bpy.context.view_layer.objects.active.facescript
    assert [(beat.frame, beat.text) for beat in face.beats] == [(10, "a wink")]
    assert (face.style, face.seed) == ("soft", 3)


@pytest.mark.model
@pytest.mark.slow
def test_lines_become_lines(run: Run, model: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    rows = [{"id": "a", "script": "[0s] a wink"}, {"id": "b", "script": "..."}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run("generate", "--lines", source, "-o", target) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("[1/2] a: 1 keyframes in ")
    assert "[2/2] b: The script has no words." in captured.err
    assert [performance.brief.id for performance in jsonl.read_performances(target)] == ["a"]
    rows = [{"id": "p", "keyframes": [{"t": 0.5, "text": "Brows fly up"}]}]
    source.write_text(json.dumps(rows[0]) + "\n")
    assert run("pose", source, target) == 0
    [posed] = jsonl.read_performances(target)
    assert posed.keyframes[0].pose["browInnerUp"] > 0.2
