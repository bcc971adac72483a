# SPDX-License-Identifier: GPL-3.0-or-later
"""The menus, and what can be found by F3: every operator says what it is, what it does, and why it is grey."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from facescript.commands.installed import PACKAGE  # noqa: E402


class Layout:
    """Notes down what is drawn."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def separator(self) -> None:
        """A rule."""
        self.lines.append("---")

    def menu(self, name: str) -> None:
        """A menu in the menu."""
        self.lines.append(f"> {getattr(bpy.types, name).bl_label}")

    def operator(self, name: str, text: str = "", icon: str = "NONE") -> Any:
        """A button; what is set on it has to be one of the operator's properties."""
        kind = getattr(bpy.ops.facescript, name.partition(".")[2]).get_rna_type()
        assert icon in bpy.types.UILayout.bl_rna.functions["operator"].parameters["icon"].enum_items
        self.lines.append(text or kind.name)

        class Button:
            def __setattr__(self, key: str, value: Any) -> None:
                assert key in kind.properties, (name, key)

        return Button()


@pytest.fixture
def menus(extension: Any) -> Iterator[Any]:
    """The module, registered if the extension has not done it."""
    module = importlib.import_module(f"{PACKAGE}.operators.menus")
    if hasattr(bpy.types, "FACESCRIPT_MT_face"):
        yield module
        return
    module.register()
    yield module
    module.unregister()


def drawn(entries: Any, menus: Any) -> list[str]:
    """The lines of a menu."""
    layout = Layout()
    menus.draw(layout, entries)
    return layout.lines


def test_the_object_menu_has_what_is_done_with_a_face(menus: Any) -> None:
    lines = drawn(menus.FACE, menus)
    assert lines[0] == "Generate Performance"
    assert {"Clear Performance", "Preview Movie", "Contact Sheet", "Preview Movie to File..."} <= set(lines)
    assert lines[-1] == "> Facescript Beats"


def test_the_beats_menu_goes_along_the_beats(menus: Any) -> None:
    assert drawn(menus.BEATS, menus)[:2] == ["Previous Beat", "Next Beat"]


def test_operators_that_are_not_there_leave_no_gap(menus: Any) -> None:
    gone = menus.Entry("facescript.nothing_like_this")
    rule, step, clear = menus.Entry(), menus.Entry("facescript.step_beat"), menus.Entry("facescript.clear")
    assert drawn((gone, rule, step, rule, gone, rule, clear, rule, gone), menus) == [
        "Step to Beat",
        "---",
        "Clear Performance",
    ]
    assert drawn((gone, rule, gone), menus) == []


def test_menus_come_and_go_without_a_trace(menus: Any) -> None:
    def ours() -> list[str]:
        found = []
        for name, _ in menus.PLACES:
            functions = getattr(getattr(bpy.types, name, None), "_dyn_ui_initialize", list)()
            found += [name for function in functions if function.__module__ == menus.__name__]
        return sorted(found)

    there = sorted(name for name, _ in menus.PLACES if hasattr(bpy.types, name))
    assert {"VIEW3D_MT_object", "DOPESHEET_MT_key", "DOPESHEET_MT_marker", "GRAPH_MT_key"} <= set(there)
    assert ours() == there
    menus.unregister()
    assert ours() == []
    assert not hasattr(bpy.types, "FACESCRIPT_MT_face")
    menus.register()
    assert ours() == there


def test_every_operator_has_a_name_of_its_own_and_says_what_it_does(menus: Any) -> None:
    labels: dict[str, str] = {}
    for name in dir(bpy.ops.facescript):
        kind = getattr(bpy.ops.facescript, name).get_rna_type()
        assert kind.name and kind.name[0].isupper() and kind.name not in labels.values(), name
        assert len(kind.description) > 15 and not kind.description.endswith("."), (name, kind.description)
        labels[name] = kind.name
    assert labels["preview"] == "Preview Movie"
    assert len(labels) >= 20


def test_every_grey_operator_says_why(menus: Any) -> None:
    grey = []
    for name in dir(bpy.ops.facescript):
        operator = getattr(bpy.ops.facescript, name)
        if not operator.poll():
            grey.append(name)
            with pytest.raises(RuntimeError) as caught:
                operator()
            assert "context is incorrect" not in str(caught.value), name
            assert len(str(caught.value).partition(".poll() ")[2]) > 10, name
    # Nothing runs in this empty file.
    assert "cancel" in grey
