# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

from facescript.operators import motion  # noqa: E402
from facescript.rig_mapping import styles  # noqa: E402

FROM_STYLE = {"own_hold": False, "own_release": False, "own_overshoot": False, "own_leads": False}


@pytest.fixture
def settings(extension: Any) -> Any:
    """The settings as Blender keeps them, on the demo face."""
    bpy.ops.facescript.add_face()
    return bpy.context.view_layer.objects.active.facescript.motion


def face(style: str, motion: Any) -> Any:
    return SimpleNamespace(style=style, motion=motion)


@pytest.mark.parametrize("name", ["snappy", "natural", "soft", "linear"])
def test_settings_as_they_come_are_the_style(settings: Any, name: str) -> None:
    assert motion.chosen_style(face(name, settings)) == styles.get(name)


def test_own_settings_count_only_where_they_are_turned_on() -> None:
    own = SimpleNamespace(attack=2.0, leads=0.5, hold=1.0, release=0.5, overshoot=0.2, **FROM_STYLE)
    made = motion.chosen_style(face("natural", own))
    assert (made.hold, made.release, made.regions["mouth"].overshoot) == (0.25, 0.06, 0.0)
    assert (made.regions["mouth"].attack, made.regions["eyes"].lead) == (0.64, 0.05)
    own.own_hold = own.own_release = own.own_overshoot = True
    made = motion.chosen_style(face("natural", own))
    assert (made.hold, made.release, made.regions["mouth"].overshoot) == (1.0, 0.5, 0.2)


def test_own_leads_are_by_region(settings: Any) -> None:
    settings.own_leads = True
    settings.lead_mouth, settings.lead_head = 0.25, 0.5
    made = motion.chosen_style(face("snappy", settings)).regions
    assert (made["jaw"].lead, made["mouth"].lead, made["head"].lead) == (0.25, 0.25, 0.5)
    assert made["eyes"].lead == pytest.approx(0.1)


def test_a_wild_number_is_brought_within_the_limits(settings: Any) -> None:
    settings.own_hold = settings.own_overshoot = True
    settings.attack, settings.leads, settings.hold, settings.overshoot = 99.0, -1.0, 99.0, 99.0
    made = motion.chosen_style(face("natural", settings))
    assert (made.regions["mouth"].attack, made.regions["eyes"].lead, made.hold) == (pytest.approx(1.28), 0.0, 10.0)
    assert made.regions["mouth"].overshoot == 0.5
