# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of files that are read: they are cut, huge, endless, of another kind, or meant to do harm."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .fault import UNHARMED, Moves, fault
from .stage import Stage

ROW = {"t": 0.5, "text": "a smile", "pose": {"mouthSmileLeft": 0.5}}


def _import(stage: Stage, data: bytes | str | None, name: str = "performance.jsonl") -> Moves:
    """Import a file with this content."""
    path = stage.folder / name
    if data is not None:
        path.write_bytes(data.encode() if isinstance(data, str) else data)
    stage.strike()
    stage.wrote = stage.attempt(stage.bpy.ops.facescript.import_performance, filepath=str(path)) == {"FINISHED"}
    yield from stage.rest()


def _entry(**row: Any) -> str:
    return json.dumps({"script": "Hi.", "keyframes": [ROW | row]})


@fault("bad_json")
def file_is_cut(stage: Stage) -> Moves:
    """A JSON line that ends in the middle of a pose."""
    yield from _import(stage, _entry()[:-12])


@fault("no_keyframes")
def file_is_empty(stage: Stage) -> Moves:
    """A file of no bytes."""
    yield from _import(stage, b"")


@fault("bad_json")
def file_is_of_zeros(stage: Stage) -> Moves:
    """A file of 4 kB of zeros, as a power cut leaves it."""
    yield from _import(stage, bytes(4096))


@fault("bad_json")
def file_is_a_picture(stage: Stage) -> Moves:
    """A PNG's first kilobyte under the name of a performance."""
    yield from _import(stage, b"\x89PNG\r\n\x1a\n" + os.urandom(1000))


@fault("bad_json")
def file_is_utf_16(stage: Stage) -> Moves:
    """A performance that was saved as UTF-16 with a byte order mark."""
    yield from _import(stage, _entry().encode("utf-16"))


@fault("bad_json", quick=True)
def file_is_nested(stage: Stage) -> Moves:
    """JSON that is nested 200,000 deep."""
    yield from _import(stage, '{"keyframes":' + "[" * 200_000 + "]" * 200_000 + "}")


@fault("bad_json")
def file_is_larger_than_memory(stage: Stage) -> Moves:
    """A sparse file of 60 GB."""
    path = stage.folder / "performance.jsonl"
    with path.open("wb") as file:
        file.truncate(60 << 30)
    yield from _import(stage, None)


@fault("no_file", quick=True)
def file_is_a_pipe_that_nobody_writes_to(stage: Stage) -> Moves:
    """A named pipe in place of a file."""
    os.mkfifo(stage.folder / "performance.jsonl")
    yield from _import(stage, None)


@fault("no_file")
def file_never_ends(stage: Stage) -> Moves:
    """A link to /dev/zero in place of a file."""
    (stage.folder / "performance.jsonl").symlink_to("/dev/zero")
    yield from _import(stage, None)


@fault("no_file")
def file_is_a_folder(stage: Stage) -> Moves:
    """A folder in place of a file."""
    (stage.folder / "performance.jsonl").mkdir()
    yield from _import(stage, None)


@fault("no_file")
def file_is_gone(stage: Stage) -> Moves:
    """The file is deleted between the file browser and the button."""
    yield from _import(stage, None)


@fault("bad_json")
def file_has_numbers_that_are_none(stage: Stage) -> Moves:
    """NaN, Infinity and 1e999 as values of channels."""
    yield from _import(stage, _entry().replace("0.5}", "1e999}").replace('"t": 0.5', '"t": NaN'))


@fault("bad_json")
def file_has_a_name_twice(stage: Stage) -> Moves:
    """The same channel twice in one pose, with two values."""
    yield from _import(stage, _entry().replace('"mouthSmileLeft": 0.5', '"jawOpen": 0.1, "jawOpen": 0.9'))


@fault("bad_json")
def file_has_half_a_character(stage: Stage) -> Moves:
    """A description with half of an emoji, \\ud83d, and a NUL."""
    yield from _import(stage, _entry().replace("a smile", "a smile \\ud83d \\u0000"))


@fault("bad_pose")
def file_has_values_out_of_range(stage: Stage) -> Moves:
    """A channel at 40, as a file in percent has it."""
    yield from _import(stage, _entry(pose={"mouthSmileLeft": 40}))


@fault("bad_pose")
def file_has_a_misspelt_channel(stage: Stage) -> Moves:
    """A pose with "mouthSmielLeft"."""
    yield from _import(stage, _entry(pose={"mouthSmielLeft": 0.5}))


@fault("bad_json", within=20.0)
def file_has_a_million_keyframes(stage: Stage) -> Moves:
    """One performance of a million keyframes without poses, 15 MB."""
    rows = ",".join(f'{{"t":{number}}}' for number in range(1_000_000))
    yield from _import(stage, f'{{"keyframes":[{rows}]}}')


@fault("bad_time")
def file_lasts_for_years(stage: Stage) -> Moves:
    """A keyframe at 1e15 s."""
    yield from _import(stage, _entry(t=1e15))


_HEAD = "Timecode,BlendshapeCount,EyeBlinkLeft,JawOpen\n00:00:00:00.000,61,0.1,0.2\n"


@fault("bad_csv")
def recording_lacks_columns(stage: Stage) -> Moves:
    """A Live Link Face CSV in whose middle a row has three columns of four."""
    yield from _import(stage, f"{_HEAD}00:00:00:01.000,61,0.1\n00:00:00:02.000,61,0.1,0.3\n", "recording.csv")


@fault(UNHARMED)
def recording_is_cut_in_its_last_row(stage: Stage) -> Moves:
    """A Live Link Face CSV whose last row ends in the middle, as of a phone that ran out of power."""
    yield from _import(stage, f"{_HEAD}00:00:00:01.000,61,0.1,0.3\n00:00:00:02.000,61,0.", "recording.csv")


@fault("bad_csv")
def recording_has_no_times(stage: Stage) -> Moves:
    """A Live Link Face CSV with "soon" for a timecode."""
    yield from _import(stage, "Timecode,BlendshapeCount,JawOpen\nsoon,61,0.2\nlater,61,0.3\n", "recording.csv")


@fault("bad_csv")
def recording_has_a_cell_of_a_megabyte(stage: Stage) -> Moves:
    """A CSV cell with a million digits."""
    cell = "0." + "1" * 1_000_000
    text = f"Timecode,BlendshapeCount,JawOpen\n00:00:00:00.000,61,{cell}\n00:00:00:01.000,61,0.3\n"
    yield from _import(stage, text, "recording.csv")


@fault("bad_csv")
def recording_goes_back_in_time(stage: Stage) -> Moves:
    """A CSV in which the second row is an hour before the first."""
    rows = "01:00:00:00.000,61,0.1\n00:00:00:01.000,61,0.3\n00:00:00:02.000,61,0.3\n"
    yield from _import(stage, f"Timecode,BlendshapeCount,JawOpen\n{rows}", "recording.csv")


def _load_profile(stage: Stage, entry: object) -> Moves:
    path = stage.folder / "profile.json"
    path.write_text(json.dumps(entry), encoding="utf-8")
    stage.strike()
    stage.attempt(stage.bpy.ops.facescript.load_profile, filepath=str(path))
    yield from stage.rest()


@fault("bad_table")
def profile_is_of_something_else(stage: Stage) -> Moves:
    """A mapping's file that is a list of numbers."""
    yield from _load_profile(stage, [1, 2, 3])


@fault("bad_table")
def profile_has_absurd_gains(stage: Stage) -> Moves:
    """A mapping's file with a gain of 1e300 and a channel that is a list."""
    source = Path(stage.module("rig_mapping.profiles").__file__ or "").with_name("profiles") / "arkit.json"
    text = source.read_text(encoding="utf-8")
    entry = json.loads(text)
    for value in entry.values():
        if isinstance(value, list) and value:
            value[0] = {"channel": ["jawOpen"], "gain": 1e300, "name": "jawOpen"}
    yield from _load_profile(stage, entry | {"gain": 1e300})


@fault(UNHARMED)
def blend_from_elsewhere(stage: Stage) -> Moves:
    """Every text and number that the extension keeps on objects and actions of the file is replaced by garbage."""
    bpy = stage.bpy
    for block in (*bpy.data.objects, *bpy.data.shape_keys, *bpy.data.actions):
        for name in list(block.keys()):
            if "facescript" in name.lower() and isinstance(block[name], (str, int, float)):
                block[name] = '{"keys": [[1e999, "x"' if isinstance(block[name], str) else 2**31 - 1
    face = stage.face.facescript
    for prop in face.bl_rna.properties:
        if prop.type == "STRING" and not prop.is_readonly and prop.identifier not in ("name", "script"):
            setattr(face, prop.identifier, "\x00\x1b[2J" + "{" * 1000)
    stage.reload = True
    stage.strike()
    stage.generate()
    yield from stage.rest()
    for name in ("clear", "check_script"):
        stage.attempt(getattr(bpy.ops.facescript, name))


@fault("bad_preset")
def preset_that_was_cut(stage: Stage) -> Moves:
    """A preset of emotions, saved by the user, that ends in the middle of a line."""
    folder = Path(stage.bpy.utils.user_resource("SCRIPTS", path="presets/facescript/emotion", create=True))
    path = folder / "Cut.py"
    path.write_text("import bpy\nface = bpy.context.object.facescr", encoding="utf-8")
    stage.undo.append(lambda: path.unlink(missing_ok=True))
    stage.strike()
    operators: Any = stage.bpy.ops.facescript
    stage.attempt(operators.apply_preset, filepath=str(path), menu_idname="FACESCRIPT_MT_emotion_presets")
    yield from stage.rest()
