# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rig family by its published names: told apart, mapped as it should be, and seen on a face."""

from __future__ import annotations

import re

import family_rigs
import numpy as np
import pytest
from facescript.performance import BLEND_SHAPES
from facescript.rig_mapping import matching, profiles, styles, timeline
from facescript.rig_mapping.targets import find_target
from family_rigs import Family, families
from made_performances import performance

# Three expressions that move every channel. Lips close no further than the jaw opens, and what some families show by
# one key adds up to 1 at most.
SMILE = {
    "jawOpen": 0.6,
    "mouthClose": 0.2,
    "mouthSmileLeft": 0.7,
    "mouthSmileRight": 0.3,
    "mouthDimpleLeft": 0.4,
    "mouthDimpleRight": 0.2,
    "mouthUpperUpLeft": 0.3,
    "mouthUpperUpRight": 0.4,
    "cheekSquintLeft": 0.5,
    "cheekSquintRight": 0.4,
    "eyeSquintLeft": 0.4,
    "eyeSquintRight": 0.3,
    "eyeBlinkLeft": 0.3,
    "eyeBlinkRight": 0.6,
    "browInnerUp": 0.5,
    "browOuterUpLeft": 0.4,
    "browOuterUpRight": 0.2,
}
SNEER = {
    "browDownLeft": 0.8,
    "browDownRight": 0.6,
    "noseSneerLeft": 0.5,
    "noseSneerRight": 0.3,
    "mouthFrownLeft": 0.4,
    "mouthFrownRight": 0.6,
    "mouthPressLeft": 0.5,
    "mouthPressRight": 0.3,
    "mouthShrugLower": 0.5,
    "mouthShrugUpper": 0.3,
    "mouthLeft": 0.4,
    "jawForward": 0.3,
    "jawRight": 0.2,
    "eyeLookInLeft": 0.5,
    "eyeLookOutRight": 0.5,
    "eyeLookDownLeft": 0.2,
    "eyeLookDownRight": 0.2,
}
BLOW = {
    "jawOpen": 0.5,
    "mouthFunnel": 0.5,
    "mouthPucker": 0.4,
    "mouthRollUpper": 0.3,
    "mouthRollLower": 0.4,
    "mouthStretchLeft": 0.5,
    "mouthStretchRight": 0.3,
    "mouthLowerDownLeft": 0.4,
    "mouthLowerDownRight": 0.2,
    "mouthRight": 0.2,
    "cheekPuff": 0.4,
    "jawLeft": 0.2,
    "tongueOut": 0.3,
    "eyeWideLeft": 0.7,
    "eyeWideRight": 0.6,
    "eyeLookUpLeft": 0.4,
    "eyeLookUpRight": 0.4,
    "eyeLookOutLeft": 0.3,
    "eyeLookInRight": 0.3,
}
POSES = (SMILE, SNEER, BLOW)

# A side in a key's name: a word, or a letter that begins or ends no word (AU12_L, EyesClosedL, mouth_funnel_UL).
SIDES = re.compile(
    r"(?P<Left>[Ll]eft|LEFT|左|(?<![A-Z])[UD]?L(?![a-zA-Z])|(?<![A-Za-z])l(?![A-Za-z]))"
    r"|(?P<Right>[Rr]ight|RIGHT|右|(?<![A-Z])[UD]?R(?![a-zA-Z])|(?<![A-Za-z])r(?![A-Za-z]))"
)
OTHER = {"Left": "Right", "Right": "Left"}
# Keys that go two ways, from -1 to 1.
TWO_WAYS = ("Left-Right", "Side-Side")

every_family = pytest.mark.parametrize("family", families(), ids=lambda family: family.id)


def rows_of(match: matching.Match) -> dict[str, set[tuple[str, float]]]:
    """Channel -> its keys and gains."""
    rows: dict[str, set[tuple[str, float]]] = {}
    for row in match.rows:
        rows.setdefault(row.channel, set()).add((row.key, row.gain))
    return rows


def test_the_expressions_move_every_channel() -> None:
    assert {channel for pose in POSES for channel in pose} == set(BLEND_SHAPES)


def test_every_profile_has_a_published_list() -> None:
    assert {profile.id for profile in profiles.every()} == {family.profile for family in families()} | {"arkit"}


@every_family
def test_a_list_is_consistent(family: Family) -> None:
    assert len(set(family.names)) == len(family.names)
    keys = {key for rows in family.must.values() for key, _ in rows}
    assert len(family.must) >= 3
    assert keys | family.never | set(family.means) <= set(family.names)
    assert not keys & family.never
    assert not family.never & set(family.means)
    assert not family.missing & set(family.must)
    assert family.missing <= set(BLEND_SHAPES)


@every_family
def test_the_family_is_told_by_its_names(family: Family) -> None:
    told = matching.recognise(family.names).profile
    assert told.id == family.told
    assert told.channels == profiles.get(family.profile).channels


@every_family
def test_names_are_mapped_as_they_should_be(family: Family) -> None:
    rows = rows_of(matching.match(family.names))
    assert {channel: rows.get(channel, set()) for channel in family.must} == family.must
    assert set(BLEND_SHAPES) - set(rows) == family.missing


@every_family
def test_no_row_is_false(family: Family) -> None:
    profile = profiles.get(family.profile)
    for channel, rows in rows_of(matching.match(family.names)).items():
        own = {row.name: row.gain for row in profile.channels[channel]}
        for key, gain in rows:
            assert key not in family.never
            assert own[family_rigs.shape_of(key, profile)] == gain


@every_family
def test_left_is_never_right(family: Family) -> None:
    for channel, rows in rows_of(matching.match(family.names)).items():
        side = next((side for side in OTHER if channel.endswith(side)), "")
        for key, _ in rows if side else ():
            said = {str(found.lastgroup) for found in SIDES.finditer(key)}
            looks = re.match("eyeLook(In|Out)", channel)
            if looks and not re.search(r"(In|Out|_in|_out|IN|OUT)(?![a-z])", key):
                # The name says which way the eye looks, and mostly which eye: the left one looks in to the right.
                way = side if looks[1] == "Out" else OTHER[side]
                allowed = ({way}, {side, way})
            else:
                allowed = ({side},)
            assert not said or said in allowed or any(both in key for both in TWO_WAYS), (channel, key)


@every_family
def test_the_face_moves_as_arkits_does(family: Family) -> None:
    face = family_rigs.points()
    shown = [{c: v for c, v in pose.items() if c not in family.missing} for pose in POSES]
    wanted = [sum((v * face.offsets[c] for c, v in pose.items()), 0.0 * face.rest) for pose in shown]
    obj = family_rigs.rig("Face", family.names, family_rigs.offsets(family), family.range)
    script = performance(*((1.0 + i, pose) for i, pose in enumerate(shown)))
    style = styles.adjusted(styles.get("natural"), overshoot=0.0, leads=0.0)
    target = find_target(obj)
    assert target.profile == family.told
    assert set(BLEND_SHAPES) - set(target.covered) == family.missing
    report = timeline.write(target, script, style=style)
    assert report.clipped == ()
    assert report.left_out == ()
    for beat, offset in zip(report.beats, wanted, strict=True):
        moved = family_rigs.shown(obj, beat) - face.rest
        assert np.linalg.norm(moved - offset) <= (family.off + 1e-3) * np.linalg.norm(offset)
