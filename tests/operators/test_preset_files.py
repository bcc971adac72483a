# SPDX-License-Identifier: GPL-3.0-or-later
"""Presets of style and emotion: saved, listed, applied and removed, in the user's folder of the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from scenes import keys  # noqa: E402


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


def test_a_preset_that_cannot_be_read_says_so(performed: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("import bpy\nface = bpy.context.window_manager.facescript_face\nface.style = 'wobbly'\n")
    before = keys()
    with pytest.raises(RuntimeError, match="Failed to execute the preset"):
        bpy.ops.facescript.apply_preset(filepath=str(broken), menu_idname="FACESCRIPT_PT_style_presets")
    assert keys() == before and performed.facescript.style == "natural"
