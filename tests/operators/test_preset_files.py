# SPDX-License-Identifier: GPL-3.0-or-later
"""Presets of style and emotion: saved, listed, applied and removed, in the user's folder of the tests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from scenes import keys  # noqa: E402

# Blender's own operator for presets looks for names where Python 3.13 keeps none (PEP 667); Blenders that are made for
# that Python do it otherwise. Debian's 4.3 is not.
saving = pytest.mark.skipif(
    bpy.app.version < (5, 0, 0) and sys.version_info >= (3, 13),
    reason="this Blender's own presets cannot be saved with this Python",
)


def listed(kind: str) -> list[str]:
    folders = bpy.utils.preset_paths(f"facescript/{kind}")
    return sorted(path.stem for folder in folders for path in Path(folder).glob("*.py"))


def apply(kind: str, name: str) -> set[str]:
    path = bpy.utils.preset_find(name, f"facescript/{kind}")
    return bpy.ops.facescript.apply_preset(filepath=path, menu_idname=f"FACESCRIPT_PT_{kind}_presets")


def test_presets_come_with_the_extension(performed: Any) -> None:
    assert listed("style") == ["Close-up", "Comedy", "Game_Barks"]
    assert listed("emotion") == ["Deadpan", "Hiding_a_Lie", "On_the_Edge_of_Tears"]
    face = performed.facescript
    for name in listed("style"):
        assert apply("style", name) == {"FINISHED"}
    assert (face.style, round(face.motion.attack, 3)) == ("snappy", 0.7)
    assert apply("emotion", "Deadpan") == {"FINISHED"}
    assert face.emotion == "Deadpan, with amusement just under it"


@saving
def test_a_style_is_saved_applied_and_removed(performed: Any) -> None:
    face = performed.facescript
    face.style, face.motion.attack, face.motion.own_hold, face.motion.hold = "soft", 2.0, True, 0.75
    slow = keys()
    assert bpy.ops.facescript.add_style_preset(name="My Slow One") == {"FINISHED"}
    path = Path(bpy.utils.user_resource("SCRIPTS", path="presets/facescript/style")) / "My_Slow_One.py"
    assert path.is_file() and "bl_ext" not in path.read_text()
    assert "My_Slow_One" in listed("style")
    face.style, face.motion.attack, face.motion.own_hold = "snappy", 1.0, False
    assert keys() != slow
    assert apply("style", "My_Slow_One") == {"FINISHED"}
    assert (face.style, face.motion.attack, face.motion.hold) == ("soft", 2.0, 0.75)
    assert keys() == slow
    assert bpy.ops.facescript.add_style_preset(name="My_Slow_One", remove_name=True) == {"FINISHED"}
    assert "My_Slow_One" not in listed("style") and not path.exists()


@saving
def test_an_emotion_is_saved_and_given_to_another_face(performed: Any) -> None:
    performed.facescript.emotion = 'A "quiet" joy, nearly hidden – ça va'
    assert bpy.ops.facescript.add_emotion_preset(name="Quiet") == {"FINISHED"}
    bpy.ops.facescript.add_face()
    other = bpy.context.view_layer.objects.active.facescript
    assert other.emotion == ""
    assert apply("emotion", "Quiet") == {"FINISHED"}
    assert other.emotion == 'A "quiet" joy, nearly hidden – ça va'
    assert bpy.ops.facescript.add_emotion_preset(name="Quiet", remove_name=True) == {"FINISHED"}


def test_presets_that_come_with_the_extension_stay(performed: Any) -> None:
    with pytest.raises(RuntimeError, match="comes with the extension"):
        bpy.ops.facescript.add_style_preset(name="Comedy", remove_name=True)
    assert "Comedy" in listed("style")


def test_without_a_face_nothing_is_saved(extension: Any) -> None:
    with pytest.raises(RuntimeError):
        bpy.ops.facescript.add_style_preset(name="Nothing")
    assert "Nothing" not in listed("style")


HEAD = "import bpy\nface = bpy.context.window_manager.facescript_face\n\n"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("face.style = 'wobbly'", "does not fit style"),
        ("face.style = 'soft'\nface.motion.attack = 'fast'", "does not fit attack"),
        ("face.script = 'other'", "sets script, which presets do not"),
        ("face.motion.name_of_nothing = 1", "sets motion.name_of_nothing"),
        ("face.id_data.name = 'x'", "sets id_data.name"),
        ("face.motion.__class__ = 1", "line 4: A preset only says what is set"),
        ("face.motion.attack = float('nan')", "line 4: A preset only says"),
        ("face.motion.attack = 1e999", "line 4: A preset only says"),
        ("import os", "line 4: A preset only says"),
        ("open({trap!r}, 'w')", "line 4: A preset only says"),
        ("face.style = open({trap!r}, 'w') and 'soft'", "line 4: A preset only says"),
        ("face.style = [open({trap!r}, 'w') for _ in 'a']", "line 4: A preset only says"),
        ("face.motion.attack = " + "(" * 5000 + "1" + ")" * 5000, "A preset only says"),
        ("face.emotion = " + "-" * 50_000 + "1", "A preset only says"),
        ("face.emotion = 'a\\x00'", "line 4: A preset only says"),
        ("face.emotion = '" + "x" * 70_000 + "'", "is larger than 64 KiB"),
        ("face.emotion =", "line 4: A preset only says"),
    ],
    ids=lambda part: part[:24],
)
def test_a_preset_from_elsewhere_is_data_and_never_run(performed: Any, tmp_path: Path, body: str, words: str) -> None:
    trap = tmp_path / "was_run"
    path = tmp_path / "preset.py"
    path.write_text(HEAD + body.replace("{trap!r}", repr(str(trap))))
    before, emotion = keys(), performed.facescript.emotion
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.facescript.apply_preset(filepath=str(path), menu_idname="FACESCRIPT_PT_style_presets")
    face = performed.facescript
    assert keys() == before and face.style == "natural" and face.motion.attack == 1.0 and face.emotion == emotion
    assert not trap.exists()
