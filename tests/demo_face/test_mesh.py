# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo face's neutral mesh: sound, symmetric, of a head's size, and the same every time."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from facescript import demo_face
from facescript.demo_face import FaceMesh
from facescript.performance import channels


@pytest.fixture(scope="module")
def face() -> FaceMesh:
    return demo_face.build()


def test_has_arkits_52_shapes_and_no_other(face: FaceMesh) -> None:
    assert len(face.shapes) == 52
    assert set(face.shapes) == set(channels.BLEND_SHAPES)


def test_is_a_head_of_natural_size_looking_along_minus_y(face: FaceMesh) -> None:
    head = face.vertices[face.vertices[:, 2] > 0.05]
    assert 0.20 < np.ptp(head[:, 2]) < 0.30
    assert 0.13 < np.ptp(head[:, 0]) < 0.20
    eyes = face.vertices[face.parts["eyeball"]]
    assert eyes[:, 1].mean() < -0.04, "eyes are on the -Y side"
    assert 4000 < len(face.vertices) < 14000


def test_arrays_agree_with_each_other(face: FaceMesh) -> None:
    count = len(face.vertices)
    assert face.colours.shape == (count, 4)
    assert face.mirror.shape == (count,)
    assert face.face_material.shape == face.smooth.shape == (len(face.faces),)
    assert face.face_material.min() >= 0 and face.face_material.max() < len(face.materials)
    assert {len(f) for f in face.faces} <= {3, 4}
    assert all(0 <= v < count for f in face.faces for v in f)
    assert all(offsets.shape == (count, 3) for offsets in face.shapes.values())
    assert sorted(np.concatenate(list(face.parts.values()))) == list(range(count))


def test_every_number_is_finite_and_colours_are_colours(face: FaceMesh) -> None:
    for array in (face.vertices, face.colours, *face.shapes.values(), *face.groups.values()):
        assert np.isfinite(array).all()
    assert face.colours.min() >= 0.0 and face.colours.max() <= 1.0


def test_mirrors_exactly(face: FaceMesh) -> None:
    hair = face.parts["hair"]  # parted on one side on purpose
    other = np.setdiff1d(np.arange(len(face.vertices)), hair)
    np.testing.assert_array_equal(face.mirror[face.mirror], np.arange(len(face.vertices)))
    flipped = face.vertices[face.mirror] * (-1.0, 1.0, 1.0)
    np.testing.assert_allclose(flipped[other], face.vertices[other], rtol=0, atol=1e-9)
    np.testing.assert_allclose(face.colours[face.mirror], face.colours, rtol=0, atol=1e-9)


def test_no_face_is_degenerate(face: FaceMesh) -> None:
    for corners in face.faces:
        assert len(set(corners)) == len(corners)
        p = face.vertices[list(corners)]
        area = np.linalg.norm(np.cross(p[1] - p[0], p[2] - p[0]))
        if len(corners) == 4:
            area += np.linalg.norm(np.cross(p[2] - p[0], p[3] - p[0]))
        assert area > 1e-10, f"face {corners} has no area"  # square metres: a hundredth of a square millimetre


def test_faces_agree_which_side_is_outside(face: FaceMesh) -> None:
    """An edge belongs to at most two faces, which run through it in opposite directions."""
    edges = Counter((f[i], f[(i + 1) % len(f)]) for f in face.faces for i in range(len(f)))
    assert max(edges.values()) == 1


@pytest.mark.parametrize("part", ["skin", "eyeball", "ear", "brow", "collar", "hair", "tongue", "lashes"])
def test_normals_point_outwards(face: FaceMesh, part: str) -> None:
    """The volume that a part's left half encloses, by the divergence theorem, is positive. Open ends do not matter."""
    inside = np.zeros(len(face.vertices), dtype=bool)
    inside[face.parts[part]] = True
    inside &= face.vertices[:, 0] >= 0
    middle = face.vertices[inside].mean(axis=0)
    volume = 0.0
    for corners in face.faces:
        if inside[list(corners)].all():
            p = face.vertices[list(corners)] - middle
            volume += sum(float(p[0] @ np.cross(p[k], p[k + 1])) for k in range(1, len(corners) - 1))
    assert volume > 0.0


def test_weights_of_the_bones_sum_to_one_and_the_face_follows_the_head(face: FaceMesh) -> None:
    assert set(face.groups) == {"neck", "head"}
    np.testing.assert_allclose(face.groups["neck"] + face.groups["head"], 1.0, atol=1e-9)
    for part in ("eyeball", "lashes", "brow", "hair", "upper teeth", "lower teeth", "tongue", "ear"):
        np.testing.assert_allclose(face.groups["head"][face.parts[part]], 1.0)
    low = face.vertices[:, 2] < 0.0
    assert (face.groups["neck"][low] > 0.95).all()


def test_lids_and_lips_lie_outside_what_they_cover(face: FaceMesh) -> None:
    eye = face.vertices[face.parts["eyeball"]]
    left = eye[eye[:, 0] > 0]
    radius = 0.5 * np.ptp(left[:, 2])
    middle = 0.5 * (left.min(axis=0) + left.max(axis=0))
    centre = np.array([middle[0], left[:, 1].min() + radius, middle[2]])  # the ball is open at the back
    away = np.linalg.norm(face.vertices[face.loops["lids"]] - centre, axis=1)
    assert away.min() > radius
    teeth = face.vertices[face.parts["upper teeth"]]
    assert face.vertices[face.loops["upper_lip"]][0, 1] < teeth[:, 1].min()


def test_is_the_same_every_time(face: FaceMesh) -> None:
    again = demo_face.build.__wrapped__()
    np.testing.assert_array_equal(again.vertices, face.vertices)
    assert again.faces == face.faces
    for name, offsets in face.shapes.items():
        np.testing.assert_array_equal(again.shapes[name], offsets)
