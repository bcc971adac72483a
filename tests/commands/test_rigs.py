# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from facescript.commands import rigs
from facescript.rig_mapping.profiles import every


def test_the_page_is_made_from_the_profiles() -> None:
    # Otherwise: python -m facescript.commands.rigs
    assert rigs.PAGE.read_text(encoding="utf-8") == rigs.page()


def test_every_family_has_a_row_and_a_section() -> None:
    page = rigs.page()
    words = " ".join(page.split())
    for profile in every():
        assert f"| [{profile.name}](#" in page
        assert f"\n## {profile.name}\n" in page
        assert " ".join(profile.cannot[1:].split()) in words
        assert profile.source.rstrip(".") in words


def test_channels_of_both_sides_are_named_once() -> None:
    channels = ["jawForward", "jawLeft", "jawRight", "mouthPressLeft", "mouthPressRight", "mouthRight", "cheekPuff"]
    assert rigs._both_sides(channels) == [
        "jawForward",
        "jawLeft/Right",
        "mouthPressLeft/Right",
        "mouthRight",
        "cheekPuff",
    ]
