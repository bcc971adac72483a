# SPDX-License-Identifier: GPL-3.0-or-later
"""Import and export through the installed zip."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from facescript.performance import BLEND_SHAPES, HEAD_CHANNELS, INDEX, jsonl, live_link  # noqa: E402
from facescript.performance.channels import HIGH, LOW  # noqa: E402
from scenes import ENTRY, keys, state  # noqa: E402

SHOWN = [INDEX[name] for name in (*BLEND_SHAPES, *HEAD_CHANNELS)]


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


def _capture(path: Path, rate: float, count: int = 90, start: int = 12345, scale: float = 1.0) -> Any:
    """A recording in which all that the demo face shows moves, as the app writes it."""
    random = np.random.default_rng(7)
    values = np.zeros((count, 61))
    for i in SHOWN:
        for _ in range(3):
            middle, width = random.uniform(0, count), random.uniform(4, 15)
            size = random.uniform(0.1, 0.5) * (random.choice([-1, 1]) if LOW[i] < 0 else 1)
            values[:, i] += scale * size * np.exp(-(((np.arange(count) - middle) / width) ** 2))
    live_link.write(path, np.clip(values, LOW, HIGH), rate, start_frame=start)
    return live_link.read(path, rate)


def _face(fps: int = 24, base: float = 1.0) -> Any:
    bpy.ops.facescript.add_face()
    bpy.context.scene.render.fps, bpy.context.scene.render.fps_base = fps, base
    return bpy.context.view_layer.objects.active


@pytest.mark.parametrize(("fps", "base"), [(24, 1.0), (30, 1.001), (60, 1.0)])
@pytest.mark.parametrize("rate", [24.0, 25.0, 29.97, 30.0, 59.94, 60.0])
def test_a_recording_goes_in_and_out_the_same(
    extension: Any, tmp_path: Path, rate: float, fps: int, base: float
) -> None:
    recording = _capture(tmp_path / "take.csv", rate)
    _face(fps, base)
    given = {"rate": rate} if rate % 1.0 else {}
    assert bpy.ops.facescript.import_performance(filepath=str(tmp_path / "take.csv"), bound=0.0, **given) == {
        "FINISHED"
    }
    assert bpy.ops.facescript.export_live_link(filepath=str(tmp_path / "back.csv")) == {"FINISHED"}
    back = live_link.read(tmp_path / "back.csv", rate)
    np.testing.assert_allclose(back.times, recording.times, atol=1e-9)
    assert back.start == pytest.approx(recording.start, abs=1e-6)
    assert np.abs(back.values - recording.values)[:, SHOWN].max() < 1e-4


def test_a_recording_becomes_few_keys_within_the_bound_and_all_are_the_animators(
    extension: Any, tmp_path: Path
) -> None:
    recording = _capture(tmp_path / "take.csv", 60.0, count=240)
    face = _face(24)
    bpy.ops.facescript.import_performance(filepath=str(tmp_path / "take.csv"), bound=0.05, start_frame=11)
    assert not face.facescript.beats and face.facescript.start_frame == 11
    frames = {frame for _, path, _, frame, _ in keys() if "key_blocks" in path}
    assert min(frames) == 11.0 and max(frames) == pytest.approx(11.0 + 239 * 24 / 60, abs=1e-3)
    assert len(keys()) < 0.15 * 240 * len(SHOWN)
    bpy.ops.facescript.export_live_link(filepath=str(tmp_path / "back.csv"))
    back = live_link.read(tmp_path / "back.csv", 60.0)
    assert np.abs(back.values - recording.values)[:, SHOWN].max() <= 0.05 + 1e-4
    assert "none off by more than 0.050." in extension.session.note


def test_keys_on_whole_frames_follow_the_recording_there(extension: Any, tmp_path: Path) -> None:
    recording = _capture(tmp_path / "take.csv", 60.0)
    face = _face(24)
    bpy.ops.facescript.import_performance(filepath=str(tmp_path / "take.csv"), bound=0.0, whole_frames=True)
    assert all(frame == round(frame) for *_, frame, _ in keys())
    bpy.context.scene.frame_set(13)
    expected = recording.at(np.array([12 / 24]))[0, INDEX["jawOpen"]]
    assert face.data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(expected, abs=1e-4)


def test_frames_that_were_dropped_stay_away(extension: Any, tmp_path: Path) -> None:
    rows = [
        f"00:00:0{s}:{f:02d}.000,61,{v}" for s, f, v in ((0, 56, 0), (0, 58, 0.2), (1, 8, 0.9), (1, 10, 1), (1, 12, 1))
    ]
    (tmp_path / "take.csv").write_text("\n".join(["Timecode,BlendShapeCount,JawOpen", *rows]))
    face = _face(30)
    bpy.ops.facescript.import_performance(filepath=str(tmp_path / "take.csv"), bound=0.0)
    for frame, value in ((1, 0.0), (2, 0.2), (7, 0.9), (8, 1.0)):
        bpy.context.scene.frame_set(frame)
        assert face.data.shape_keys.key_blocks["jawOpen"].value == pytest.approx(value, abs=1e-5)


def test_the_head_turns_the_way_the_app_means(extension: Any, tmp_path: Path) -> None:
    # Looking to the person's right and down, in radians as the app writes it; the eyes say which way that is.
    header = "Timecode,BlendShapeCount,EyeLookOutRight,EyeLookInLeft,HeadYaw,HeadPitch,LeftEyeYaw,RightEyeYaw"
    rows = ["00:00:00:00.5,61,0,0,0,0,0,0", "00:00:00:30.5,61,0.5,0.5,0.3927,0.19635,0.3,0.3"]
    (tmp_path / "take.csv").write_text("\n".join([header, *rows]))
    face = _face(30)
    bpy.ops.facescript.import_performance(filepath=str(tmp_path / "take.csv"), bound=0.0)
    bpy.context.scene.frame_set(16)
    bone = face.parent.pose.bones["head"]
    turned = np.array(bone.matrix.to_3x3()) @ np.array(bone.bone.matrix_local.to_3x3()).T
    ahead = turned @ [0.0, -1.0, 0.0]
    # The face looks along -Y, its right is at -X.
    assert ahead[0] == pytest.approx(-np.sin(0.3927) * np.cos(0.19635), abs=2e-2)
    assert ahead[2] == pytest.approx(-np.sin(0.19635), abs=2e-2)


def test_a_neutral_recording_is_taken_off_and_one_beside_is_mentioned(extension: Any, tmp_path: Path) -> None:
    header = "Timecode,BlendshapeCount,JawOpen,MouthClose\n"
    (tmp_path / "a_raw.csv").write_text(header + "00:00:00:00,61,0.25,0.5\n00:00:00:12,61,0.75,0.125\n")
    (tmp_path / "a_neutral.csv").write_text(header + "00:00:00:00,61,0.25,0.125\n")
    face = _face(24)
    bpy.ops.facescript.import_performance(filepath=str(tmp_path / "a_raw.csv"), rate=24.0)
    assert "There is a neutral recording beside it: a_neutral.csv." in extension.session.note
    bpy.ops.facescript.import_performance(
        filepath=str(tmp_path / "a_raw.csv"), rate=24.0, neutral=str(tmp_path / "a_neutral.csv")
    )
    for frame, jaw, close in ((1, 0.0, 0.375), (13, 0.5, 0.0)):
        bpy.context.scene.frame_set(frame)
        blocks = face.data.shape_keys.key_blocks
        assert (blocks["jawOpen"].value, blocks["mouthClose"].value) == pytest.approx((jaw, close), abs=1e-5)


def test_a_recording_becomes_beats_with_words_and_its_error_is_told(extension: Any, tmp_path: Path) -> None:
    times = np.arange(241) / 60.0
    values = np.zeros((241, 61))
    # Neutral, a smile from the first second on, closed eyes from the third on.
    values[:, [INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"]]] = 0.8 * np.clip((times - 1.0) / 0.3, 0, 1)[:, None]
    values[:, [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]] = np.clip((times - 3.0) / 0.2, 0, 1)[:, None]
    live_link.write(tmp_path / "take.csv", values, 60.0)
    face = _face(24)
    face.facescript.style = "linear"
    bpy.ops.facescript.import_performance(filepath=str(tmp_path / "take.csv"), recording_as="BEATS", beat_bound=0.1)
    beats = face.facescript.beats
    assert 4 <= len(beats) <= 9
    assert all(beat.text for beat in beats)
    assert any("smile" in beat.text.lower() for beat in beats)
    for frame in (1, 25, 40, 60, 90, 97):
        bpy.context.scene.frame_set(frame)
        shown = face.data.shape_keys.key_blocks["mouthSmileLeft"].value
        assert shown == pytest.approx(np.interp((frame - 1) / 24, times, values[:, INDEX["mouthSmileLeft"]]), abs=0.11)
    assert "off the recording on average" in extension.session.note


KEYFRAMEFACE = (
    '{"response":"{\\"Keyframe_one\\":{\\"MouthPressLeft\\":0.4,\\"HeadPitch\\":-0.1}}"}\n'
    '{"response":"{\\"Keyframe_two\\":{\\"MouthSmileLeft\\":0.4,\\"MouthSmileRight\\":0.4}}"}\n'
    '{"response":"{\\"Keyframe_one\\":{\\"JawOpen\\":0.6}}"}\n'
)


def test_keyframefaces_answers_become_beats(extension: Any, tmp_path: Path) -> None:
    path = tmp_path / "example_result.jsonl"
    path.write_text(KEYFRAMEFACE)
    face = _face(24)
    bpy.ops.facescript.import_performance(filepath=str(path))
    assert [beat.frame for beat in face.facescript.beats] == [1, 25]
    assert all(beat.text for beat in face.facescript.beats)
    bpy.context.scene.frame_set(25)
    assert face.data.shape_keys.key_blocks["mouthSmileRight"].value == pytest.approx(0.4)
    bpy.ops.facescript.import_performance(filepath=str(path), number=2, start_frame=50)
    assert [beat.frame for beat in face.facescript.beats] == [50]
    bpy.ops.facescript.import_performance(filepath=str(path), gap=0.5, start_frame=1)
    assert [beat.frame for beat in face.facescript.beats] == [1, 13]
    with pytest.raises(RuntimeError, match="holds 2 performances, and no number 3"):
        bpy.ops.facescript.import_performance(filepath=str(path), number=3)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Timecode,BlendshapeCount,JawOpen\n", "has no frames"),
        ("Timecode,BlendshapeCount,JawOpen\n00:00:00:00,61,40\n", "line 2: Channel jawOpen is 40"),
        ("Timecode,BlendshapeCount,JawOpen\n00:00:00:00,61,0\n", "Every channel of the recording is 0"),
        ('{"Keyframe_one": {"JawOpen": 4}}', "line 1: Keyframe 1: Channel jawOpen is 4"),
        ('{"response": "Sorry, no."}\n{"Keyframe_one": {"JawOpen": 0}}', "The answer 'Sorry, no.' holds no keyframe"),
    ],
)
def test_a_bad_recording_or_answer_says_why_and_changes_nothing(
    performed: Any, tmp_path: Path, text: str, words: str
) -> None:
    path = tmp_path / "bad.dat"
    path.write_text(text)
    before, settings = state(), (performed.facescript.script, performed.facescript.start_frame)
    with pytest.raises(RuntimeError) as caught:
        bpy.ops.facescript.import_performance(filepath=str(path), start_frame=30)
    assert words in str(caught.value)
    assert (state(), (performed.facescript.script, performed.facescript.start_frame)) == (before, settings)
    assert len(performed.facescript.beats) == 3


def test_keys_of_a_recording_take_a_performance_away_but_not_what_is_locked(performed: Any, tmp_path: Path) -> None:
    _capture(tmp_path / "take.csv", 24.0)
    performed.facescript.beats[1].locked = True
    before = state()
    with pytest.raises(RuntimeError, match="Keys would replace beats that are locked"):
        bpy.ops.facescript.import_performance(filepath=str(tmp_path / "take.csv"))
    assert state() == before
    performed.facescript.beats[1].locked = False
    bpy.ops.facescript.import_performance(filepath=str(tmp_path / "take.csv"))
    assert not performed.facescript.beats and not bpy.context.scene.timeline_markers


def test_head_motion_that_is_off_stays_off(extension: Any, tmp_path: Path) -> None:
    _capture(tmp_path / "take.csv", 24.0)
    face = _face(24)
    face.facescript.move_head = False
    bpy.ops.facescript.import_performance(filepath=str(tmp_path / "take.csv"))
    assert keys() and not any("rotation" in path for _, path, *_ in keys())


def test_csv_goes_out_at_another_rate_and_in_both_forms_of_angles(performed: Any, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    bpy.ops.facescript.export_live_link(filepath=str(path), rate=60.0, angles="RADIANS")
    app = live_link.read(path)
    assert (len(app.values), app.fps) == (121, 60.0)
    cells = path.read_text().splitlines()[61].split(",")
    # 0.2 to the left is 0.2 x 45 degrees, and to the left is negative for the app.
    assert float(cells[2 + INDEX["headYaw"]]) == pytest.approx(-np.radians(9.0), abs=1e-5)
    # Without a recording that says how, as KeyframeFace's converter.
    bpy.ops.facescript.export_live_link(filepath=str(path))
    cells = path.read_text().splitlines()[25].split(",")
    assert float(cells[2 + INDEX["headYaw"]]) == pytest.approx(0.2, abs=1e-5)


def test_csv_of_the_timeline_has_the_animators_own_keys(performed: Any, tmp_path: Path) -> None:
    block = performed.data.shape_keys.key_blocks["cheekPuff"]
    for frame, value in ((1, 0.0), (25, 0.5), (49, 0.0)):
        block.value = value
        block.keyframe_insert("value", frame=frame)
    path = tmp_path / "out.csv"
    bpy.ops.facescript.export_live_link(filepath=str(path))
    assert live_link.read(path).values[24, INDEX["cheekPuff"]] == 0.0
    bpy.ops.facescript.export_live_link(filepath=str(path), source="TIMELINE")
    assert live_link.read(path).values[24, INDEX["cheekPuff"]] == pytest.approx(0.5, abs=1e-4)


def test_a_face_without_keys_has_nothing_to_save(extension: Any, tmp_path: Path) -> None:
    _face()
    with pytest.raises(RuntimeError, match="This face has no keys"):
        bpy.ops.facescript.export_live_link(filepath=str(tmp_path / "out.csv"))


def test_files_can_be_dropped_on_a_3d_view(extension: Any) -> None:
    handler = bpy.types.FACESCRIPT_FH_performance
    assert handler.bl_import_operator == "facescript.import_performance"
    assert handler.bl_file_extensions.split(";") == [".csv", ".jsonl", ".json"]


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
