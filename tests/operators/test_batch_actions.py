# SPDX-License-Identifier: GPL-3.0-or-later
"""The actions of a batch: in one .blend, each of its own line and face, on a face that is left as it was."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from facescript.commands.installed import PACKAGE  # noqa: E402
from model_servers import serving  # noqa: E402
from scenes import ENTRY, cube_with_keys  # noqa: E402

NEUTRAL = {"jawOpen": 0.0}


def line(folder: Path, name: str, pose: dict[str, float], seconds: float = 1.0) -> list[str]:
    path = folder / f"{name}.jsonl"
    frames = [{"t": 0.0, "text": "rest", "pose": NEUTRAL}, {"t": seconds, "text": "there", "pose": pose}]
    path.write_text(json.dumps({"id": name, "script": "Hi.", "keyframes": frames}))
    return [str(path), name, ""]


def work(extension: Any, path: Path, *lines: list[str], **other: Any) -> Any:
    """The work of one part, or of none where there are no lines, as a process of its own gets it."""
    parts = [{"name": "actions_0001", "blend": str(path), "lines": list(lines)}] if lines else []
    how = {"blend": "", "face": "", "style": "linear", "fps": 30.0, "characters": [], "parts": parts}
    return extension.module("batch.parts").Work.from_dict(how | other)


def carry_out(extension: Any, given: Any) -> list[str]:
    return list(extension.module("operators.batch_actions").carry_out(given))


def test_each_line_has_actions_under_its_name(extension: Any, tmp_path: Path) -> None:
    path = tmp_path / "actions_0001.blend"
    jaw = line(tmp_path, "one", {"jawOpen": 0.5})
    nod = line(tmp_path, "two", {"jawOpen": 0.25, "headPitch": -0.5})
    assert carry_out(extension, work(extension, path, jaw, nod)) == ["actions_0001"]
    assert sorted(found.name for found in tmp_path.iterdir()) == ["actions_0001.blend", "one.jsonl", "two.jsonl"]
    bpy.ops.wm.open_mainfile(filepath=str(path))
    actions = bpy.data.actions
    assert sorted(action.name for action in actions) == ["one", "two", "two (ARKit Face Rig)"]
    # Of the fake user, and of the face that plays the first line.
    assert {action.name: (action.use_fake_user, action.users) for action in actions} == {
        "one": (True, 2),
        "two": (True, 1),
        "two (ARKit Face Rig)": (True, 1),
    }
    assert [action["facescript_line"] for action in sorted(actions, key=lambda a: a.name)] == ["one", "two", "two"]
    assert tuple(actions["one"].frame_range) == (1.0, 31.0)
    assert bpy.context.scene.render.fps == 30
    keys = bpy.data.objects["ARKit Face"].data.shape_keys
    assert all(key.value == 0.0 for key in keys.key_blocks[1:])
    # One of them plays on the face as any action does.
    api = extension.module("rig_mapping.blender_api")
    path_of = 'key_blocks["jawOpen"].value'
    assert api.find_fcurve(api.place_of(actions["one"]), path_of, 0).evaluate(31.0) == pytest.approx(0.5)
    assert api.find_fcurve(api.place_of(actions["two"]), path_of, 0).evaluate(31.0) == pytest.approx(0.25)


def test_the_action_the_csv_and_the_json_line_agree_on_times(extension: Any, tmp_path: Path) -> None:
    poses = [{"jawOpen": 0.75}, {"jawOpen": 0.25}]
    frames = [{"t": t, "text": "jaw", "pose": pose} for t, pose in zip((1.5, 2.5), poses, strict=True)]
    performance = extension.module("performance.jsonl").performance_from_dict({"script": "Jaw.", "keyframes": frames})
    row = extension.module("batch.sheet").Row(2, "late", "Jaw.")
    model = extension.module("inference.options").ModelOptions()
    settings = extension.module("batch.settings").Settings(model, style="natural", fps=60.0)
    extension.module("batch.outputs").write(tmp_path, row, performance, settings)
    written = json.loads((tmp_path / "late.jsonl").read_text())
    assert [frame["t"] for frame in written["keyframes"]] == [1.5, 2.5]
    late = [str(tmp_path / "late.jsonl"), "late", ""]
    path = tmp_path / "actions_0001.blend"
    carry_out(extension, work(extension, path, late, style="natural", fps=60.0))
    bpy.ops.wm.open_mainfile(filepath=str(path))
    api = extension.module("rig_mapping.blender_api")
    curve = api.find_fcurve(api.place_of(bpy.data.actions["late"]), 'key_blocks["jawOpen"].value', 0)
    with (tmp_path / "late.csv").open(newline="") as stream:
        values = [float(row["JawOpen"]) for row in csv.DictReader(stream)]
    # Frame 1 is where a take begins on the timeline.
    assert [curve.evaluate(1.0 + i) for i in range(len(values))] == pytest.approx(values, abs=1e-4)
    assert curve.evaluate(91.0) == pytest.approx(0.75)
    assert curve.evaluate(151.0) == pytest.approx(0.25)


@pytest.fixture
def two_faces(extension: Any, tmp_path: Path) -> Path:
    """A file with two characters, of which one has keys already."""
    for place, name in enumerate(("Anna", "Bob")):
        face = cube_with_keys(["jawOpen", "mouthSmileLeft", "mouthSmileRight"], name)
        face.location.x = 5.0 * place
    keys = bpy.data.objects["Anna"].data.shape_keys
    keys.key_blocks["jawOpen"].value = 0.9
    keys.key_blocks["jawOpen"].keyframe_insert("value", frame=1)
    path = tmp_path / "faces.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    return path


def test_a_line_goes_to_the_face_of_its_character(extension: Any, two_faces: Path, tmp_path: Path) -> None:
    path = tmp_path / "actions_0001.blend"
    one, two = (line(tmp_path, name, {"jawOpen": 0.5}) for name in ("one", "two"))
    one[2], two[2] = "Bob", "A bystander"
    before = two_faces.read_bytes()
    carry_out(extension, work(extension, path, one, two, blend=str(two_faces), face="Anna"))
    assert two_faces.read_bytes() == before
    bpy.ops.wm.open_mainfile(filepath=str(path))
    # The file's own action has no user any more, and is not kept.
    assert sorted(action.name for action in bpy.data.actions) == ["one", "two"]
    api = extension.module("rig_mapping.blender_api")
    curve = api.find_fcurve(api.place_of(bpy.data.actions["two"]), 'key_blocks["jawOpen"].value', 0)
    assert [point.co.y for point in curve.keyframe_points] == [0.0, 0.5]


def test_what_is_opened_plays_the_first_line_of_each_face(extension: Any, two_faces: Path, tmp_path: Path) -> None:
    path = tmp_path / "actions_0001.blend"
    scene = bpy.context.scene
    scene.use_preview_range, scene.frame_preview_end = True, 5
    bpy.ops.wm.save_as_mainfile(filepath=str(two_faces))
    lines = [line(tmp_path, "one", {"jawOpen": 0.5}), line(tmp_path, "two", {"jawOpen": 0.2}, 20.5)]
    lines += [line(tmp_path, "three", {"jawOpen": 0.75})]
    for given, character in zip(lines, ("Anna", "Anna", "Bob"), strict=True):
        given[2] = character
    carry_out(extension, work(extension, path, *lines, blend=str(two_faces)))
    bpy.ops.wm.open_mainfile(filepath=str(path))
    scene = bpy.context.scene
    # 20.5 s at 24 frames a second.
    assert (scene.frame_start, scene.frame_end, scene.frame_current, scene.use_preview_range) == (1, 493, 1, False)
    scene.frame_set(25)
    shown = {name: bpy.data.objects[name].data.shape_keys for name in ("Anna", "Bob")}
    assert {name: keys.animation_data.action.name for name, keys in shown.items()} == {"Anna": "one", "Bob": "three"}
    assert shown["Anna"].key_blocks["jawOpen"].value == pytest.approx(0.5)
    assert shown["Bob"].key_blocks["jawOpen"].value == pytest.approx(0.75)


def test_a_head_that_turns_in_the_first_line_is_shown_as_well(extension: Any, tmp_path: Path) -> None:
    path = tmp_path / "actions_0001.blend"
    nod = line(tmp_path, "nod", {"jawOpen": 0.25, "headPitch": -0.5})
    carry_out(extension, work(extension, path, nod, line(tmp_path, "jaw", {"jawOpen": 0.5})))
    bpy.ops.wm.open_mainfile(filepath=str(path))
    found = {block.name: block.animation_data for block in (*bpy.data.shape_keys, *bpy.data.objects)}
    playing = {animation.action.name for animation in found.values() if animation and animation.action}
    assert playing == {"nod", "nod (ARKit Face Rig)"}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"characters": ["Anna", "Carl"]}, "has several faces, and none is called 'Carl'. Choose one with --face"),
        ({"characters": [""]}, "and a line does not say whose it is"),
        ({"characters": ["Carl"], "face": "Dora"}, "has no face 'Dora'"),
        ({"characters": ["Anna"], "blend": "/nowhere.blend"}, "There is no file /nowhere.blend"),
        ({"characters": [""], "blend": "", "face": "Dora"}, "A new file with the demo face has no face 'Dora'. Choose"),
    ],
)
def test_a_character_without_a_face_is_found_out_first(
    extension: Any, two_faces: Path, tmp_path: Path, other: dict[str, Any], words: str
) -> None:
    error = extension.module("performance").FacescriptError
    with pytest.raises(error) as caught:
        carry_out(extension, work(extension, tmp_path / "x.blend", **({"blend": str(two_faces)} | other)))
    assert words in str(caught.value)
    carry_out(extension, work(extension, tmp_path / "x.blend", blend=str(two_faces), characters=["Bob", "Anna"]))


def test_a_performance_from_a_file_is_rendered_on_its_character_s_face(
    extension: Any, two_faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text(json.dumps(ENTRY | {"character": "Bob"}))
    main = extension.module("operators.command_line").main
    assert (
        main(["render", "contact-sheet", str(path), str(tmp_path / "x.png"), "--on", str(two_faces), "--size", "64"])
        == 0
    )
    assert (tmp_path / "x.png").is_file()
    assert [len(bpy.data.objects[name].facescript.beats) for name in ("Anna", "Bob")] == [0, 3]
    assert main(["render", "plot", str(two_faces), str(tmp_path / "y.png"), "--style", "soft"]) == 2


@pytest.mark.model
def test_a_sheet_becomes_files_and_actions_by_blender_s_own_command(
    extension: Any, model: Any, two_faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet, out = tmp_path / "sheet.csv", tmp_path / "out"
    sheet.write_text("file,character,script\nact1/one,Bob,Hello there.\nact1/two,Anna,...\n")
    main = extension.module("operators.command_line").main
    with serving() as server:
        command = ["batch", str(sheet), str(out), "--write", "livelink,actions", "--blend", str(two_faces)]
        arguments = [*command, "--address", server.address, "--concurrency", "1"]
        assert main(arguments) == 1
        captured = capsys.readouterr()
        assert "row 3, act1/two: The script has no words." in captured.err
        assert "1 of 2 lines are done, 1 failed, 0 are left." in captured.out
        asked = len(server.bodies)
        # The same again asks nobody.
        assert main(arguments) == 1
        assert len(server.bodies) == asked
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(extension.module("operators.preferences"), "check_online", refuse)
            assert main([*arguments, "--previews", "flamenco", "--flamenco", "http://farm:8080"]) == 1
    assert "error: Not online." in capsys.readouterr().err
    assert sorted(path.name for path in out.rglob("*.*")) == [
        "actions_0001.blend",
        "batch.jsonl",
        "batch.lock",
        "one.csv",
        "one.jsonl",
    ]
    bpy.ops.wm.open_mainfile(filepath=str(out / "actions_0001.blend"))
    assert [action["facescript_line"] for action in bpy.data.actions] == ["act1/one"]
    assert main(["batch", str(sheet), str(out), "--workers", "x"]) == 2


def refuse(address: Any) -> None:
    """What an address that is not this machine's meets where Blender is not online."""
    if not address.is_local:
        raise sys.modules[f"{PACKAGE}.performance"].FacescriptError("offline", "Not online.")
