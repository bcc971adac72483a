# SPDX-License-Identifier: GPL-3.0-or-later
"""The 52 shapes of the demo face: what each moves, how far, and that combinations hold together.

Distances are metres. What a shape must do follows Apple's ARFaceAnchor.BlendShapeLocation, not this mesh.
"""

from __future__ import annotations

import numpy as np
import pytest
from facescript import demo_face
from facescript.demo_face import FaceMesh
from numpy.typing import NDArray

Array = NDArray[np.float64]
MM = 0.001

SIDED = (
    "eyeBlink eyeLookDown eyeLookIn eyeLookOut eyeLookUp eyeSquint eyeWide mouthSmile mouthFrown mouthDimple "
    "mouthStretch mouthPress mouthLowerDown mouthUpperUp browDown browOuterUp cheekSquint noseSneer"
).split()
CENTRAL = (
    "jawForward jawOpen mouthClose mouthFunnel mouthPucker mouthRollLower mouthRollUpper mouthShrugLower "
    "mouthShrugUpper browInnerUp cheekPuff tongueOut"
).split()


@pytest.fixture(scope="module")
def face() -> FaceMesh:
    return demo_face.build()


def posed(face: FaceMesh, **values: float) -> Array:
    """Vertices with shapes mixed as Blender mixes them; a name without a side means both."""
    out = face.vertices.copy()
    for name, value in values.items():
        names = [name] if name in face.shapes else [f"{name}Left", f"{name}Right"]
        for each in names:
            out += value * face.shapes[each]
    return out


def moved(face: FaceMesh, name: str, more_than: float = 0.5 * MM) -> NDArray[np.int64]:
    return np.flatnonzero(np.linalg.norm(face.shapes[name], axis=1) > more_than)


def part(face: FaceMesh, name: str, left: bool | None = None) -> NDArray[np.int64]:
    index = face.parts[name]
    if left is None:
        return index
    return index[face.vertices[index, 0] > 0] if left else index[face.vertices[index, 0] < 0]


def eyeball(face: FaceMesh) -> tuple[Array, float]:
    """Centre and radius of the left eye."""
    points = face.vertices[part(face, "eyeball", left=True)]
    radius = 0.5 * float(np.ptp(points[:, 2]))
    middle = 0.5 * (points.min(axis=0) + points.max(axis=0))
    return np.array([middle[0], points[:, 1].min() + radius, middle[2]]), radius  # it is open at the back


@pytest.mark.parametrize("name", SIDED)
def test_right_is_the_mirror_image_of_left(face: FaceMesh, name: str) -> None:
    left, right = face.shapes[f"{name}Left"], face.shapes[f"{name}Right"]
    np.testing.assert_allclose(left[face.mirror] * (-1.0, 1.0, 1.0), right, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", CENTRAL)
def test_central_shapes_are_symmetric(face: FaceMesh, name: str) -> None:
    offsets = face.shapes[name]
    np.testing.assert_allclose(offsets[face.mirror] * (-1.0, 1.0, 1.0), offsets, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["jaw", "mouth"])
def test_sideways_shapes_mirror_each_other(face: FaceMesh, name: str) -> None:
    left, right = face.shapes[f"{name}Left"], face.shapes[f"{name}Right"]
    np.testing.assert_allclose(left[face.mirror] * (-1.0, 1.0, 1.0), right, rtol=0, atol=1e-9)
    lip = face.loops["lower_lip"]
    assert left[lip, 0].mean() > 3 * MM, "to the character's left, which is +X"


@pytest.mark.parametrize("name", sorted(demo_face.build().shapes))
def test_moves_something_by_a_sensible_distance(face: FaceMesh, name: str) -> None:
    farthest = np.linalg.norm(face.shapes[name], axis=1).max()
    assert 1 * MM < farthest < 55 * MM


@pytest.mark.parametrize("name", sorted(n for n in demo_face.build().shapes if n.startswith("eye")))
def test_eye_shapes_leave_mouth_nose_and_jaw_alone(face: FaceMesh, name: str) -> None:
    index = moved(face, name)
    assert (face.vertices[index, 2] > face.vertices[face.loops["upper_lip"], 2].max() + 20 * MM).all()
    side = 1.0 if name.endswith("Left") else -1.0
    assert (side * face.vertices[index, 0] > 0).all(), "an eye's shape stays on its side"


@pytest.mark.parametrize(
    "name", sorted(n for n in demo_face.build().shapes if n.startswith(("mouth", "jaw", "tongue")))
)
def test_mouth_and_jaw_shapes_leave_eyes_and_brows_alone(face: FaceMesh, name: str) -> None:
    quiet = np.concatenate(
        [face.loops["lids"], face.mirror[face.loops["lids"]], part(face, "eyeball"), part(face, "brow")]
    )
    assert np.linalg.norm(face.shapes[name][quiet], axis=1).max() < 0.5 * MM


@pytest.mark.parametrize("name", sorted(n for n in demo_face.build().shapes if n.startswith("brow")))
def test_brow_shapes_move_brows_and_not_the_mouth(face: FaceMesh, name: str) -> None:
    offsets = face.shapes[name]
    brow = part(face, "brow")
    assert np.abs(offsets[brow, 2]).max() > 4 * MM
    assert np.linalg.norm(offsets[face.loops["lips"]], axis=1).max() == 0.0
    assert np.linalg.norm(offsets[part(face, "eyeball")], axis=1).max() == 0.0


@pytest.mark.parametrize("name", [n for n in SIDED if not n.startswith("eye")])
def test_sided_shapes_stay_on_their_side(face: FaceMesh, name: str) -> None:
    size = np.linalg.norm(face.shapes[f"{name}Left"], axis=1)
    far = face.vertices[:, 0] < -10 * MM
    assert size[far].max() < 0.25 * size.max()


def test_hair_and_upper_teeth_never_move(face: FaceMesh) -> None:
    still = np.concatenate([part(face, "hair"), part(face, "upper teeth"), part(face, "ear"), part(face, "collar")])
    for offsets in face.shapes.values():
        assert np.abs(offsets[still]).max() < 1e-12


# Eyes


@pytest.mark.parametrize("others", [{}, {"eyeSquint": 1.0}, {"eyeLookDown": 0.6}, {"cheekSquint": 1.0}])
def test_blink_closes_the_eye(face: FaceMesh, others: dict[str, float]) -> None:
    """Lid edges meet; with a squint or a look down the upper lid may lie over the lower, never above it."""
    points = posed(face, eyeBlink=1.0, **others)
    upper, lower = points[face.loops["upper_lid"]], points[face.loops["lower_lid"]]
    if not others:
        assert np.linalg.norm(upper - lower, axis=1).max() < 1 * MM
    assert (upper[:, 2] - lower[:, 2]).max() < 1 * MM


@pytest.mark.parametrize("blink", [0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize(
    "others",
    [{}, {"eyeSquint": 1.0}, {"eyeLookDown": 1.0}, {"cheekSquint": 1.0}, {"eyeSquint": 0.5, "eyeLookDown": 0.5},
     {"eyeLookUp": 1.0}, {"eyeWide": 0.5}, {"browDown": 1.0}],
)  # fmt: skip
def test_the_eyeball_never_pokes_through_a_lid(face: FaceMesh, blink: float, others: dict[str, float]) -> None:
    points = posed(face, eyeBlink=blink, **others)
    centre, _ = eyeball(face)
    lids = points[face.loops["lids"]] - centre
    ball = points[part(face, "eyeball", left=True)] - centre
    # The eyeball's own surface, where it is under the lid: a turned eyeball is no longer a perfect sphere.
    cosine = (lids / np.linalg.norm(lids, axis=1)[:, None]) @ (ball / np.linalg.norm(ball, axis=1)[:, None]).T
    under = np.linalg.norm(ball, axis=1)[cosine.argmax(axis=1)]
    assert (np.linalg.norm(lids, axis=1) - under).min() > 0.0


def test_a_half_blink_half_closes(face: FaceMesh) -> None:
    upper, lower = face.loops["upper_lid"], face.loops["lower_lid"]
    open_ = np.linalg.norm(face.vertices[upper] - face.vertices[lower], axis=1).max()
    points = posed(face, eyeBlink=0.5)
    half = np.linalg.norm(points[upper] - points[lower], axis=1).max()
    assert 0.35 * open_ < half < 0.65 * open_


@pytest.mark.parametrize(
    ("name", "axis", "sign"),
    [("eyeLookUpLeft", 2, 1), ("eyeLookDownLeft", 2, -1), ("eyeLookInLeft", 0, -1), ("eyeLookOutLeft", 0, 1),
     ("eyeLookInRight", 0, 1), ("eyeLookOutRight", 0, -1)],
)  # fmt: skip
def test_gaze_turns_the_pupil_about_thirty_degrees(face: FaceMesh, name: str, axis: int, sign: int) -> None:
    index = part(face, "eyeball", left=name.endswith("Left"))
    pupil = index[face.vertices[index, 1].argmin()]
    centre, _ = eyeball(face)
    centre = centre * (1.0 if name.endswith("Left") else -1.0, 1.0, 1.0)
    before, after = face.vertices[pupil] - centre, face.vertices[pupil] + face.shapes[name][pupil] - centre
    angle = np.degrees(np.arccos(before @ after / np.linalg.norm(before) / np.linalg.norm(after)))
    assert 20 < angle < 40
    assert sign * (after - before)[axis] > 0


def test_the_upper_lid_follows_the_gaze_and_wide_shows_more_eye(face: FaceMesh) -> None:
    upper = face.loops["upper_lid"]
    middle = upper[len(upper) // 2]
    assert face.shapes["eyeLookDownLeft"][middle, 2] < -1.5 * MM
    assert face.shapes["eyeLookUpLeft"][middle, 2] > 1 * MM
    assert face.shapes["eyeWideLeft"][middle, 2] > 2 * MM
    lower = face.loops["lower_lid"]
    assert face.shapes["eyeSquintLeft"][lower[len(lower) // 2], 2] > 2 * MM


# Jaw and mouth


def lip_gap(face: FaceMesh, points: Array) -> Array:
    """Upwards distance of the lips' touching edges, left half of the mouth, middle first."""
    gap = points[face.loops["upper_lip"]] - points[face.loops["lower_lip"]]
    return np.asarray(gap[:, 2])


def test_lips_touch_in_neutral(face: FaceMesh) -> None:
    assert np.abs(lip_gap(face, face.vertices)).max() < 0.1 * MM


def test_jaw_open_drops_lower_teeth_tongue_and_lip(face: FaceMesh) -> None:
    offsets = face.shapes["jawOpen"]
    assert offsets[part(face, "lower teeth"), 2].max() < -10 * MM
    assert offsets[part(face, "tongue"), 2].mean() < -5 * MM
    gap = lip_gap(face, posed(face, jawOpen=1.0))
    assert 15 * MM < gap.max() < 45 * MM
    assert gap[0] == gap.max(), "widest in the middle"


@pytest.mark.parametrize("value", [0.25, 0.5, 1.0])
def test_mouth_close_undoes_jaw_open_at_the_lips_only(face: FaceMesh, value: float) -> None:
    points = posed(face, jawOpen=value, mouthClose=value)
    upper, lower = points[face.loops["upper_lip"]], points[face.loops["lower_lip"]]
    assert np.linalg.norm(upper - lower, axis=1).max() < 1.5 * MM
    assert np.abs(face.shapes["mouthClose"][part(face, "lower teeth")]).max() < 1e-12


def test_directions_of_the_mouth(face: FaceMesh) -> None:
    corner = face.loops["lips"][face.vertices[face.loops["lips"], 0].argmax()]
    middle = face.loops["upper_lip"][0]
    low = face.loops["lower_lip"][0]
    shapes = face.shapes
    assert (shapes["mouthSmileLeft"][corner] * (1, 1, 1) > (3 * MM, 0, 4 * MM)).all(), "up, out and back"
    assert shapes["mouthFrownLeft"][corner, 2] < -4 * MM
    assert shapes["mouthStretchLeft"][corner, 0] > 3 * MM
    assert shapes["mouthPucker"][corner, 0] < -6 * MM and shapes["mouthPucker"][middle, 1] < -4 * MM
    assert shapes["mouthFunnel"][middle, 1] < -3 * MM
    assert lip_gap(face, posed(face, mouthFunnel=1.0))[0] > 2 * MM
    assert shapes["mouthUpperUpLeft"][middle, 2] > 1 * MM
    assert shapes["mouthLowerDownLeft"][low, 2] < -1 * MM
    assert shapes["mouthShrugLower"][low, 2] > 2 * MM
    assert shapes["jawForward"][part(face, "lower teeth"), 1].max() < -4 * MM
    assert shapes["mouthRollLower"][face.loops["lips"], 1].max() > 1 * MM, "rolls inwards"
    tip = part(face, "tongue")[face.vertices[part(face, "tongue"), 1].argmin()]
    out = face.vertices[tip] + shapes["tongueOut"][tip]
    assert out[1] < posed(face, tongueOut=1.0)[low, 1] - 8 * MM, "the tip is well before the lip"


def test_cheek_puff_widens_the_face(face: FaceMesh) -> None:
    skin = part(face, "skin")
    at = skin[np.abs(face.vertices[skin] - (0.045, -0.06, 0.11)).max(axis=1) < 0.02]
    assert face.shapes["cheekPuff"][at, 0].max() > 5 * MM


COMBINATIONS: dict[str, dict[str, float]] = {
    "laugh": {"jawOpen": 0.5, "mouthSmile": 1.0, "cheekSquint": 1.0},
    "smile": {"mouthSmile": 1.0},
    "smile pressed": {"mouthSmile": 1.0, "mouthPress": 1.0},
    "dimples": {"mouthSmile": 0.7, "mouthDimple": 1.0},
    "stretch": {"mouthStretch": 1.0, "mouthDimple": 0.5},
    "snarl": {"noseSneer": 1.0, "mouthUpperUp": 1.0, "browDown": 1.0},
    "o": {"mouthFunnel": 0.8, "jawOpen": 0.35},
    "kiss": {"mouthPucker": 1.0},
    "rolled in": {"mouthRollLower": 1.0, "mouthRollUpper": 1.0},
    "closed over an open jaw": {"jawOpen": 1.0, "mouthClose": 1.0},
    "shout": {"jawOpen": 1.0, "mouthUpperUp": 0.5, "mouthLowerDown": 0.5},
    "to the left": {"mouthLeft": 1.0},
}


@pytest.mark.parametrize("name", COMBINATIONS)
@pytest.mark.parametrize("row", ["upper teeth", "lower teeth"])
def test_no_tooth_comes_through_the_lips(face: FaceMesh, name: str, row: str) -> None:
    """Wherever a lip is before a tooth, seen from the front, it is the lip that is farther forward (less Y)."""
    points = posed(face, **COMBINATIONS[name])
    teeth = points[part(face, row)]
    lips = points[face.loops["lips"]]
    for tooth in teeth:
        near = np.hypot(lips[:, 0] - tooth[0], lips[:, 2] - tooth[2]) < 1.5 * MM
        if near.any():
            assert lips[near, 1].min() < tooth[1]


@pytest.mark.parametrize("name", COMBINATIONS)
def test_the_lips_never_cross(face: FaceMesh, name: str) -> None:
    assert lip_gap(face, posed(face, **COMBINATIONS[name])).min() > -1.5 * MM
