# SPDX-License-Identifier: GPL-3.0-or-later
"""Rig families for the tests: their published lists of shape keys, and faces built with those names.

A file `families/ID.json` says of one published list:

- `profile`, `source`, and `names`: every shape key, mapped or not, spelled as published;
- `must`: channel -> [key, gain] of a sample, chosen by thought; `never`: names that show no channel;
- `missing`: the channels that no key of the list shows;
- `means`: key -> what it is in ARKit's shapes, at its full value: {"mouthFunnel/UL": 1.0} is the upper left quarter of
  the funnel (L and R are the character's sides, U and D above and below the mouth's line). Keys that are not listed
  are what the profile's own inverse makes them;
- `told`: the profile that the names are taken for, where another says the same of them; else it is `profile`;
- `off`: how far the face may be from ARKit's, as a share of its movement; none says that it is the same;
- `range`: of the keys' values, [0, the profile's full value] if it is not there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import bpy
import numpy as np
import numpy.typing as npt
from facescript import demo_face
from facescript.performance import BLEND_SHAPES
from facescript.rig_mapping.profiles import Profile, get

Array = npt.NDArray[np.float64]

FOLDER = Path(__file__).with_name("families")
_ALL = {"profile", "source", "names", "must", "never", "missing"}


@dataclass(frozen=True)
class Family:
    """One published list, as its file has it."""

    id: str
    profile: str
    told: str
    names: tuple[str, ...]
    must: Mapping[str, frozenset[tuple[str, float]]]
    never: frozenset[str]
    missing: frozenset[str]
    means: Mapping[str, Mapping[str, float]]
    off: float
    range: tuple[float, float]


@cache
def families() -> tuple[Family, ...]:
    """Every published list, by id."""
    return tuple(_read(path) for path in sorted(FOLDER.glob("*.json")))


def _read(path: Path) -> Family:
    data = json.loads(path.read_text(encoding="utf-8"))
    assert data.keys() >= _ALL, path.name
    assert data["source"], path.name
    low, high = data.get("range", (0.0, get(data["profile"]).full))
    return Family(
        path.stem,
        data["profile"],
        data.get("told", data["profile"]),
        tuple(data["names"]),
        {channel: frozenset((str(k), float(g)) for k, g in rows) for channel, rows in data["must"].items()},
        frozenset(data["never"]),
        frozenset(data["missing"]),
        data.get("means", {}),
        data.get("off", 0.0),
        (low, high),
    )


@dataclass(frozen=True)
class Points:
    """The moving vertices of the demo face: rest positions and, of ARKit's shapes, offsets, each (V, 3) in metres."""

    rest: Array
    offsets: Mapping[str, Array]
    left: Array
    up: Array

    def of(self, shape: str) -> Array:
        """A shape's offsets, or those of a part of it: mouthFunnel/UL."""
        name, _, part = shape.partition("/")
        weight = np.ones(len(self.rest))
        for letter in part:
            weight = weight * {"L": self.left, "R": 1.0 - self.left, "U": self.up, "D": 1.0 - self.up}[letter]
        return self.offsets[name] * weight[:, None]


@cache
def points() -> Points:
    """Every third of the vertices that a shape of the demo face moves by more than 0.1 mm."""
    face = demo_face.build()
    far = np.max([np.linalg.norm(offsets, axis=1) for offsets in face.shapes.values()], axis=0)
    kept = np.flatnonzero(far > 1e-4)[::3]
    rest = face.vertices[kept]
    line = face.vertices[face.loops["upper_lip"], 2].mean()
    return Points(
        rest,
        {name: offsets[kept] for name, offsets in face.shapes.items()},
        np.clip(0.5 + rest[:, 0] / 0.02, 0.0, 1.0),
        np.clip(0.5 + (rest[:, 2] - line) / 0.01, 0.0, 1.0),
    )


def shape_of(name: str, profile: Profile) -> str:
    """The profile's shape that a published name is, with or without a prefix; "" if it is none."""
    published = {spelled: shape for shape in profile.shapes for spelled in profile.spelled(shape)}
    if name in published:
        return published[name]
    ends = [s for s in published if name.endswith(s) and not name[-len(s) - 1].isalnum()]
    return published[max(ends, key=len)] if ends else ""


def offsets(family: Family) -> dict[str, Array]:
    """What each key that is mapped moves at its full value: name -> (V, 3) in metres.

    The keys that the file says nothing of are the least that makes every channel of the profile what ARKit's is.
    """
    profile, face = get(family.profile), points()
    shapes = {name: shape_of(name, profile) for name in family.names if name not in family.never}
    made = {
        key: sum((w * face.of(s) for s, w in means.items()), 0.0 * face.rest) for key, means in family.means.items()
    }
    known = {shapes[key]: offset for key, offset in made.items()}
    open_ = {shape: key for key, shape in shapes.items() if shape and shape not in known}
    gains = np.zeros((len(BLEND_SHAPES), len(open_)))
    wanted = np.zeros((len(BLEND_SHAPES), face.rest.size))
    for i, channel in enumerate(BLEND_SHAPES):
        rows = [row for row in profile.channels.get(channel, ()) if row.name in shapes.values()]
        if not rows:
            continue
        wanted[i] = face.offsets[channel].ravel()
        for row in rows:
            if row.name in known:
                wanted[i] -= row.gain * known[row.name].ravel()
            else:
                gains[i, list(open_).index(row.name)] = row.gain
    solved = np.linalg.pinv(gains) @ wanted
    return made | {key: solved[i].reshape(-1, 3) for i, key in enumerate(open_.values())}


def rig(name: str, names: tuple[str, ...], moves: Mapping[str, Array], limits: tuple[float, float]) -> Any:
    """A mesh object of the demo face's vertices with shape keys; `moves`: offsets at the value `limits[1]`."""
    face = points()
    mesh = bpy.data.meshes.new(name)
    mesh.from_pydata(face.rest.tolist(), [], [])
    obj = bpy.data.objects.new(name, mesh)
    bpy.context.scene.collection.objects.link(obj)
    obj.shape_key_add(name="Basis", from_mix=False)
    for key in names:
        block = obj.shape_key_add(name=key, from_mix=False)
        block.slider_max = limits[1]
        block.slider_min = limits[0]
        block.value = 0.0
        if key in moves:
            block.data.foreach_set("co", (face.rest + moves[key] / limits[1]).astype(np.float32).ravel())
    bpy.context.view_layer.update()
    return obj


def shown(obj: Any, frame: int) -> Array:
    """Where the vertices are at a frame, in the object's space: (V, 3) metres."""
    bpy.context.scene.frame_set(frame)
    mesh = obj.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    flat = np.empty(len(mesh.vertices) * 3, dtype=np.float32)
    mesh.vertices.foreach_get("co", flat)
    return flat.reshape(-1, 3).astype(np.float64)
