# SPDX-License-Identifier: GPL-3.0-or-later
"""Import and export through the installed zip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from facescript.performance import INDEX, jsonl, live_link  # noqa: E402
from scenes import ENTRY, keys, state  # noqa: E402


def test_an_imported_performance_is_on_the_timeline(performed: Any) -> None:
    assert [beat.frame for beat in performed.facescript.beats] == [1, 25, 49]
    assert performed.facescript.script == "Oh, really?"
    bpy.context.scene.frame_set(25)
    assert performed.data.shape_keys.key_blocks["mouthSmileLeft"].value == pytest.approx(0.6)
    bpy.context.scene.frame_set(49)
    assert performed.data.shape_keys.key_blocks["mouthSmileLeft"].value == pytest.approx(0.0)
    assert performed.data.shape_keys.key_blocks["eyeBlinkRight"].value == pytest.approx(1.0)


def test_what_is_exported_reads_back_the_same(performed: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    assert bpy.ops.facescript.export_performance(filepath=str(path)) == {"FINISHED"}
    (found,) = jsonl.read_performances(path)
    expected = jsonl.performance_from_dict(ENTRY)
    assert found.times.tolist() == [0.0, 1.0, 2.0]
    np.testing.assert_allclose(found.poses, expected.poses, atol=1e-6)
    assert (found.brief.script, found.brief.emotion) == ("Oh, really?", "Smug")


def test_live_link_csv_has_a_row_a_frame_with_the_beats_in_place(performed: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    assert bpy.ops.facescript.export_live_link(filepath=str(path)) == {"FINISHED"}
    recording = live_link.read(path, 24.0)
    assert len(recording.values) == 49
    assert recording.values[24, INDEX["mouthSmileLeft"]] == pytest.approx(0.6)
    assert recording.values[48, INDEX["eyeBlinkLeft"]] == pytest.approx(1.0)
    # The timeline and the file agree between the beats as well.
    for frame in range(1, 50, 6):
        bpy.context.scene.frame_set(frame)
        shown = performed.data.shape_keys.key_blocks["mouthSmileLeft"].value
        assert recording.values[frame - 1, INDEX["mouthSmileLeft"]] == pytest.approx(shown, abs=2e-3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no performance"),
        ("{", "line 1: This is not JSON"),
        ('{"script": "x"}', "'keyframes' is not a list"),
        (json.dumps(ENTRY).replace("0.6", "7.0"), "mouthSmileLeft is 7"),
        (json.dumps(ENTRY).replace("0.6", "NaN"), "NaN is not a finite number"),
        (json.dumps(ENTRY).replace("eyeBlink", "eyeBlonk"), "Did you mean eyeBlink"),
    ],
)
def test_a_bad_file_says_why_and_changes_nothing(performed: Any, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(text)
    before = state()
    with pytest.raises(RuntimeError) as caught:
        bpy.ops.facescript.import_performance(filepath=str(path))
    assert words in str(caught.value)
    assert state() == before


def test_beats_live_through_saving_and_opening(performed: Any, extension: Any, tmp_path: Path) -> None:
    before = keys()
    path = tmp_path / "scene.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_homefile(use_empty=True)
    bpy.ops.wm.open_mainfile(filepath=str(path))
    obj = bpy.data.objects["ARKit Face"]
    assert keys() == before
    assert [beat.text for beat in obj.facescript.beats] == [row["text"] for row in ENTRY["keyframes"]]
    bpy.context.view_layer.objects.active = obj
    bpy.ops.facescript.clear()
    assert keys() == []


@pytest.fixture
def library(extension: Any, tmp_path: Path) -> Path:
    """A file with the demo face in it, and an empty file opened."""
    bpy.ops.facescript.add_face()
    path = tmp_path / "library.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(path))
    bpy.ops.wm.read_homefile(use_empty=True)
    return path


def test_a_face_that_is_a_library_override_is_performed_and_keeps_its_keys(library: Path, tmp_path: Path) -> None:
    with bpy.data.libraries.load(str(library), link=True) as (_, wanted):
        wanted.objects = ["ARKit Face"]
    made = wanted.objects[0].override_create()
    bpy.context.scene.collection.objects.link(made)
    # The shape keys come with their mesh.
    made.data = made.data.override_create()
    bpy.context.view_layer.objects.active = made
    path = tmp_path / "smirk.jsonl"
    path.write_text(json.dumps(ENTRY))
    bpy.context.scene.render.fps = 24
    assert bpy.ops.facescript.import_performance(filepath=str(path)) == {"FINISHED"}
    assert [beat.frame for beat in made.facescript.beats] == [1, 25, 49]
    scene = tmp_path / "scene.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(scene))
    bpy.ops.wm.open_mainfile(filepath=str(scene))
    found = next(obj for obj in bpy.data.objects if obj.override_library and obj.type == "MESH")
    bpy.context.scene.frame_set(49)
    assert found.data.shape_keys.key_blocks["eyeBlinkLeft"].value == pytest.approx(1.0)


def test_keys_are_not_written_where_undo_does_not_cover_them(performed: Any, tmp_path: Path) -> None:
    bpy.ops.object.mode_set(mode="EDIT")
    with pytest.raises(RuntimeError, match="Switch to Object or Pose Mode"):
        bpy.ops.facescript.clear()
    with pytest.raises(RuntimeError, match="Switch to Object or Pose Mode"):
        bpy.ops.facescript.generate(script="Hi.", wait=True)
