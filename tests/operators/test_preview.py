# SPDX-License-Identifier: GPL-3.0-or-later
"""Contact sheets, movies and plots through the installed zip: what is made, and that nothing is left changed."""

from __future__ import annotations

import importlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from facescript.commands.installed import PACKAGE  # noqa: E402
from facescript.commands.stage import set_stage  # noqa: E402
from scenes import ENTRY, state  # noqa: E402

_COLLECTIONS = ("objects", "meshes", "curves", "cameras", "lights", "worlds", "materials", "images", "scenes")


def everything() -> dict[str, Any]:
    """What a picture must not change: what is in the file, the render settings, the frame, the selection."""
    scene = bpy.context.scene
    render = scene.render
    named = {name: sorted(block.name for block in getattr(bpy.data, name)) for name in _COLLECTIONS}
    values = {
        f"{owner.bl_rna.identifier}.{prop.identifier}": repr(getattr(owner, prop.identifier))
        for owner in (render, render.image_settings, render.ffmpeg, scene.view_settings, scene.cycles)
        for prop in owner.bl_rna.properties
        if prop.type in ("BOOLEAN", "INT", "FLOAT", "STRING", "ENUM") and not getattr(prop, "is_array", False)
    }
    chosen = {
        "camera": scene.camera and scene.camera.name,
        "world": scene.world and scene.world.name,
        "selected": [obj.name for obj in bpy.context.selected_objects],
        "active": bpy.context.view_layer.objects.active.name,
    }
    return state() | named | values | chosen


def pixels(path: Path) -> np.ndarray[Any, Any]:
    """A picture, (height, width, 3), top row first."""
    image = bpy.data.images.load(str(path))
    width, height = image.size
    flat = np.empty(width * height * 4, dtype=np.float32)
    image.pixels.foreach_get(flat)
    bpy.data.images.remove(image)
    return flat.reshape(height, width, 4)[::-1, :, :3]


def movie(path: Path) -> tuple[int, float, tuple[int, int]]:
    """A movie's frames, its frames a second, and its size."""
    clip = bpy.data.movieclips.load(str(path))
    found = clip.frame_duration, clip.fps, tuple(clip.size)
    bpy.data.movieclips.remove(clip)
    return found


@pytest.fixture
def plot(extension: Any) -> Iterator[None]:
    """The plot's operator, registered if the extension has not done it."""
    if hasattr(bpy.types, "FACESCRIPT_OT_plot"):
        yield
        return
    cls = importlib.import_module(f"{PACKAGE}.operators.plot").FACESCRIPT_OT_plot
    bpy.utils.register_class(cls)
    yield
    bpy.utils.unregister_class(cls)


@pytest.mark.slow
@pytest.mark.parametrize("look", ["VIEWPORT", "RENDER"])
def test_a_sheet_and_a_movie_are_made_without_a_camera_and_leave_all_as_it_was(
    performed: Any, tmp_path: Path, look: str
) -> None:
    scene = bpy.context.scene
    scene.cycles.samples, scene.cycles.use_denoising = 1, False
    scene.render.engine = "CYCLES"
    scene.render.image_settings.file_format, scene.render.image_settings.color_depth = "OPEN_EXR", "32"
    scene.frame_set(7)
    before = everything()
    sheet, film = tmp_path / "sheet.png", tmp_path / "movie.mp4"
    assert bpy.ops.facescript.contact_sheet(filepath=str(sheet), size=64, look=look) == {"FINISHED"}
    assert bpy.ops.facescript.preview(filepath=str(film), size=65, step=8, look=look) == {"FINISHED"}
    assert everything() == before
    shown = pixels(sheet)
    # Three tiles a row, with gaps of 4 % of a tile and captions of 34 % under them.
    assert shown.shape == (round(64 * (1.38 + 0.04)), round(64 * (3 * 1.04 + 0.04)), 3)
    tiles = [shown[3:67, left : left + 64] for left in (3, 69, 136)]
    # The face is in the middle of each, and is another one in each.
    for tile in tiles:
        assert tile[16:48, 16:48].std() > 0.05
    assert np.abs(tiles[0] - tiles[1]).max() > 0.1 and np.abs(tiles[1] - tiles[2]).max() > 0.1
    # Frames 1 to 49 and a second of rest, each 8th, in as many seconds as on the timeline.
    assert movie(film) == (10, 3.0, (64, 64))


def test_without_a_gpu_only_cycles_renders_and_the_error_says_so(
    performed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filming = importlib.import_module(f"{PACKAGE}.operators.filming")
    monkeypatch.setattr(filming.blender_api, "can_draw", lambda: False)
    bpy.context.scene.render.engine = "BLENDER_WORKBENCH"
    before = everything()
    with pytest.raises(RuntimeError, match="can render by Cycles only"):
        bpy.ops.facescript.contact_sheet(filepath=str(tmp_path / "sheet.png"), look="RENDER")
    assert bpy.ops.facescript.contact_sheet(filepath=str(tmp_path / "sheet.png"), size=64) == {"FINISHED"}
    assert everything() == before
    assert pixels(tmp_path / "sheet.png")[19:51, 19:51].std() > 0.05


@pytest.mark.slow
def test_the_scenes_own_camera_and_shape_are_used(performed: Any, tmp_path: Path) -> None:
    set_stage(bpy, samples=1)
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y = 192, 96
    # Away from the face: nothing but the backdrop's side is seen.
    scene.camera.rotation_euler.x += 3.0
    film = tmp_path / "movie.mp4"
    assert bpy.ops.facescript.preview(filepath=str(film), size=64, step=8) == {"FINISHED"}
    assert movie(film)[2] == (128, 64)
    assert scene.camera.name == "Portrait"


@pytest.mark.slow
def test_a_movie_that_is_cut_short_is_known(extension: Any, tmp_path: Path) -> None:
    is_whole = extension.module("operators.filming")._is_whole
    path = tmp_path / "movie.mp4"
    boxes = b"".join(struct.pack(">I4s", 8 + size, kind) + bytes(size) for kind, size in ((b"ftyp", 12), (b"moov", 90)))
    large = struct.pack(">I4sQ", 1, b"mdat", 20) + bytes(4)
    for data, whole in (
        (boxes + large, True),
        (boxes[:-1], False),
        (boxes[:20], False),
        (boxes + b"x", False),
        (b"", False),
    ):
        path.write_bytes(data)
        assert is_whole(path) == whole


def test_many_beats_go_on_several_pages_of_the_same_size(performed: Any, tmp_path: Path) -> None:
    rows = [{"t": float(number), "text": f"beat {number}", "pose": {"jawOpen": number / 10}} for number in range(7)]
    path = tmp_path / "seven.jsonl"
    path.write_text(json.dumps(ENTRY | {"keyframes": rows}))
    assert bpy.ops.facescript.import_performance(filepath=str(path)) == {"FINISHED"}
    sheet = tmp_path / "sheet.png"
    assert bpy.ops.facescript.contact_sheet(filepath=str(sheet), size=64, per_page=3, columns=2) == {"FINISHED"}
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["sheet.png", "sheet_2.png", "sheet_3.png"]
    # Seven beats: 3, 3 and 1.
    assert pixels(sheet).shape == pixels(tmp_path / "sheet_2.png").shape
    assert pixels(tmp_path / "sheet_3.png").shape[0] < pixels(sheet).shape[0]


@pytest.mark.parametrize("name", ["contact_sheet", "preview", "plot"])
@pytest.mark.parametrize(
    ("given", "words"),
    [("//sheet.png", "not saved yet"), ("/nowhere/at/all/sheet.png", "no folder"), ("{folder}", "is a folder")],
)
def test_a_file_that_cannot_be_is_refused_before_anything_is_made(
    performed: Any, plot: None, tmp_path: Path, name: str, given: str, words: str
) -> None:
    before = everything()
    with pytest.raises(RuntimeError, match=words):
        getattr(bpy.ops.facescript, name)(filepath=given.format(folder=tmp_path))
    assert everything() == before


@pytest.mark.parametrize("name", ["contact_sheet", "preview", "plot"])
def test_a_face_without_a_performance_says_so(extension: Any, plot: None, tmp_path: Path, name: str) -> None:
    bpy.ops.facescript.add_face()
    with pytest.raises(RuntimeError, match="no performance yet"):
        getattr(bpy.ops.facescript, name)(filepath=str(tmp_path / "picture.png"))


def test_without_a_name_the_file_is_beside_the_blend_and_named_after_it_and_the_face(
    performed: Any, plot: None, tmp_path: Path
) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "shot.blend"))
    bpy.context.view_layer.objects.active = bpy.data.objects["ARKit Face"]
    assert bpy.ops.facescript.plot() == {"FINISHED"}
    assert (tmp_path / "shot_ARKit_Face_Rig_plot.png").is_file()


def test_the_plot_shows_what_the_hand_made_keys_changed(performed: Any, plot: None, tmp_path: Path) -> None:
    one, other = tmp_path / "one.png", tmp_path / "other.png"
    before = everything()
    assert bpy.ops.facescript.plot(filepath=str(one)) == {"FINISHED"}
    assert everything() == before
    block = performed.data.shape_keys.key_blocks["cheekPuff"]
    for frame, value in ((1, 0.0), (30, 0.9)):
        block.value = value
        block.keyframe_insert("value", frame=frame)
    assert bpy.ops.facescript.plot(filepath=str(other)) == {"FINISHED"}
    # One row more: cheekPuff, whose region had none.
    assert pixels(other).shape[0] - pixels(one).shape[0] == 46 + 16


def test_rows_are_the_channels_that_move_two_sides_in_one() -> None:
    plotting = importlib.import_module("facescript.operators.plot")
    channels = importlib.import_module("facescript.performance.channels")
    poses = np.zeros((10, 61))
    for name, value in {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.25, "mouthLeft": 0.5, "headYaw": -0.2}.items():
        poses[5:, channels.INDEX[name]] = value
    poses[:, channels.INDEX["jawOpen"]] = 0.8
    poses[5:, channels.INDEX["eyeBlinkRight"]] = 0.001
    rows = plotting.moving_rows(poses, channels.INDEX)
    assert [row.names for row in rows] == [("mouthLeft",), ("mouthSmileLeft", "mouthSmileRight"), ("headYaw",)]
    assert rows[0].scale == (0.0, 1.0)
    assert rows[2].scale == (-0.25, 0.25)
    # What the face cannot show is not plotted.
    assert [row.names for row in plotting.moving_rows(poses, ["mouthSmileRight"])] == [("mouthSmileRight",)]
