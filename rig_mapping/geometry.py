# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a face is and which way it looks, measured from what its shape keys move."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
# The lowest and the highest corner, each (3,).
Box = tuple[Array, Array]

# Channels that tell left from right and up from down; a few are enough, and reading every key of a dense mesh is slow.
_PAIRS = ("eyeBlink", "browDown", "mouthSmile", "noseSneer", "cheekSquint", "eyeLookUp")
_UPPER = ("browInnerUp", "browDownLeft", "browDownRight", "browOuterUpLeft", "browOuterUpRight")
_LOWER = ("jawOpen", "mouthFunnel", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthShrugLower")
_LANDMARKS = (*(n + s for n in _PAIRS for s in ("Left", "Right")), *_UPPER, *_LOWER)

# So many keys are read at least, of those that there are.
_FEWEST = 6
# A vertex belongs to a key if it moves by at least this much of the key's largest offset.
_MOVED = 0.02


@dataclass(frozen=True)
class Face:
    """One mesh's or one character's face, in world space, metres.

    `low`, `high` (3,): the box of what the keys move; `points` (N, 3): those vertices; `left` (3,): summed offsets
    from the right side's features to the left's; `upper` and `lower` (M, 3): centres of brow and of mouth keys;
    `handed`: -1 if the mesh is mirrored into the world by a negative scale, else 1.
    """

    low: Array
    high: Array
    points: Array
    left: Array
    upper: Array
    lower: Array
    handed: float


def _coordinates(data: Any, count: int) -> Array:
    flat = np.empty(count * 3, dtype=np.float32)
    data.foreach_get("co", flat)
    return flat.reshape(count, 3).astype(np.float64)


def measure(obj: Any, keys: Mapping[str, str]) -> Face:
    """Measure a mesh object with shape keys; `keys` maps channels (or, for keys that show no one channel, any other
    names) to key names, not empty."""
    blocks = obj.data.shape_keys.key_blocks
    count = len(obj.data.vertices)
    names = [n for n in _LANDMARKS if n in keys]
    # Where few keys tell where they are, such as on rigs with whole expressions, others tell how large the face is.
    names += [n for n in keys if n not in names][: max(0, _FEWEST - len(names))]
    world = np.array(obj.matrix_world)
    basis: dict[str, Array] = {}
    moved = np.zeros(count, dtype=bool)
    centres: dict[str, Array] = {}
    for name in names:
        block = blocks[keys[name]]
        rest_key = block.relative_key
        if rest_key.name not in basis:
            basis[rest_key.name] = _coordinates(rest_key.data, count)
        rest = basis[rest_key.name]
        offset = _coordinates(block.data, count) - rest
        length = np.sqrt(np.einsum("ij,ij->i", offset, offset))
        largest = float(length.max(initial=0.0))
        if largest > 1e-9:
            moved |= length >= _MOVED * largest
            centres[name] = _to_world(world, (length @ rest)[None] / length.sum())[0]
    rest = next(iter(basis.values()))
    points = _to_world(world, rest[moved] if moved.any() else rest)
    if not len(points):
        points = world[:3, 3][None, :]
    pairs = [(centres.get(n + "Left"), centres.get(n + "Right")) for n in _PAIRS]
    left = sum((a - b for a, b in pairs if a is not None and b is not None), np.zeros(3))
    return Face(
        points.min(axis=0),
        points.max(axis=0),
        points,
        np.asarray(left),
        np.array([centres[n] for n in _UPPER if n in centres]).reshape(-1, 3),
        np.array([centres[n] for n in _LOWER if n in centres]).reshape(-1, 3),
        -1.0 if np.linalg.det(world[:3, :3]) < 0.0 else 1.0,
    )


def _to_world(matrix: Array, points: Array) -> Array:
    return np.asarray(points @ matrix[:3, :3].T + matrix[:3, 3])


def join(faces: Iterable[Face]) -> Face:
    """The face that several meshes make together."""
    all_faces = list(faces)
    return Face(
        np.min([f.low for f in all_faces], axis=0),
        np.max([f.high for f in all_faces], axis=0),
        np.concatenate([f.points for f in all_faces]),
        np.sum([f.left for f in all_faces], axis=0),
        np.concatenate([f.upper for f in all_faces]),
        np.concatenate([f.lower for f in all_faces]),
        all_faces[0].handed,
    )


def unmarked(objects: Iterable[Any]) -> Face:
    """Where objects are that tell nothing of a face: not which way it looks, either."""
    boxes = [box(obj) for obj in objects]
    low, high = np.min([b[0] for b in boxes], axis=0), np.max([b[1] for b in boxes], axis=0)
    none = np.zeros((0, 3))
    return Face(low, high, np.stack([low, high]), np.zeros(3), none, none, 1.0)


def boxes(objects: Iterable[Any]) -> Box:
    """Objects' bounding boxes in world space: lowest and highest corners, each (N, 3)."""
    corners, places = [], []
    for obj in objects:
        bound = obj.bound_box
        corners.append((*bound[0], *bound[6]))
        places.append([tuple(row) for row in obj.matrix_world])
    ends = np.array(corners).reshape(-1, 2, 3)
    matrices = np.array(places).reshape(-1, 4, 4)
    middle = np.einsum("nij,nj->ni", matrices[:, :3, :3], ends.mean(axis=1)) + matrices[:, :3, 3]
    half = np.einsum("nij,nj->ni", np.abs(matrices[:, :3, :3]), (ends[:, 1] - ends[:, 0]) / 2.0)
    return middle - half, middle + half


def box(obj: Any) -> Box:
    """An object's bounding box in world space: lowest and highest corner, each (3,)."""
    low, high = boxes([obj])
    return low[0], high[0]


def touch(one: Box, other: Box, margin: float = 0.05) -> bool:
    """Whether two boxes touch, given room of `margin` of the smaller one's diagonal."""
    return bool(touching(one, (other[0][None], other[1][None]), margin)[0])


def touching(one: Box, others: Box, margin: float = 0.05) -> npt.NDArray[np.bool_]:
    """Which of many boxes (N, 3) touch one, given room of `margin` of the smaller one's diagonal: (N,)."""
    sizes = np.linalg.norm(others[1] - others[0], axis=1)
    room = margin * np.minimum(sizes, np.linalg.norm(one[1] - one[0]))
    apart = np.maximum(one[0] - others[1], others[0] - one[1]).max(axis=1)
    return np.asarray(apart <= room)


def holds(outer: Box, inner: Box, margin: float = 0.1) -> bool:
    """Whether the centre of `inner` lies in `outer`, given room of `margin` of the outer's diagonal."""
    centre = (inner[0] + inner[1]) / 2.0
    room = margin * float(np.linalg.norm(outer[1] - outer[0]))
    return bool((centre >= outer[0] - room).all() and (centre <= outer[1] + room).all())


def world_axes(face: Face, fallback: Array) -> Array:
    """The character's own left, up and forward in world space, as the columns of a (3, 3) array.

    Where the face does not tell, the columns of `fallback` are used. The result is orthonormal, and left-handed for
    a mirrored face, whose left is where its Left shapes are.
    """
    left, up = face.left, np.zeros(3)
    if len(face.upper) and len(face.lower):
        up = face.upper.mean(axis=0) - face.lower.mean(axis=0)
    size = float(np.linalg.norm(face.high - face.low))
    if np.linalg.norm(left) < 1e-3 * size:
        left = fallback[:, 0]
    left = left / np.linalg.norm(left)
    if np.linalg.norm(up) < 0.05 * size:
        up = fallback[:, 1]
    up = up - left * (up @ left)
    if np.linalg.norm(up) < 1e-6:
        return np.asarray(fallback)
    up = up / np.linalg.norm(up)
    return np.stack([left, up, np.cross(left, up) * face.handed], axis=1)


def snap(axes: Array, degrees: float = 35.0) -> Array:
    """Turn measured axes onto the space's own ones if each is within `degrees` of one; else leave them.

    Faces are not quite symmetric and foreheads slope; the rig's own axes are what its maker meant.
    """
    nearest = np.zeros((3, 3))
    for i in range(3):
        j = int(np.argmax(np.abs(axes[:, i])))
        nearest[j, i] = np.sign(axes[j, i])
        if abs(axes[j, i]) < np.cos(np.radians(degrees)):
            return axes
    return nearest if abs(np.linalg.det(nearest)) > 0.5 else axes


def local_axes(axes: Array, matrix_world: npt.ArrayLike) -> Array:
    """World axes in an object's own space, orthonormal and snapped; in a mirrored object they are left-handed."""
    local = np.linalg.inv(np.array(matrix_world)[:3, :3]) @ axes
    local = local / np.linalg.norm(local, axis=0)
    local = snap(local)
    left, up = local[:, 0], local[:, 1] - local[:, 0] * (local[:, 0] @ local[:, 1])
    up = up / np.linalg.norm(up)
    forward = np.cross(left, up)
    return np.stack([left, up, forward * (1.0 if forward @ local[:, 2] > 0.0 else -1.0)], axis=1)
