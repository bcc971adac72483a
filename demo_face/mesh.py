# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of the demo face hand each other: half parts, and the mirrored mesh made of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .proportions import Array

Index = NDArray[np.int64]
Mask = NDArray[np.bool_]
Face = tuple[int, ...]


@dataclass(frozen=True)
class Material:
    """How a surface looks. `colour` is linear RGB; with `tinted`, vertex colours replace it where they are shown."""

    name: str
    colour: tuple[float, float, float]
    roughness: float
    subsurface: float = 0.0  # Principled BSDF: weight of subsurface scattering
    coat: float = 0.0
    sheen: float = 0.0
    emission: float = 0.0
    tinted: bool = False


@dataclass(frozen=True)
class FaceMesh:
    """The finished face. Everything indexes vertices in one order; see the package's docstring for units."""

    vertices: Array  # (V, 3) metres
    faces: tuple[Face, ...]  # 3 or 4 indices each, counter-clockwise from outside
    materials: tuple[Material, ...]
    face_material: Index  # (F,) into `materials`
    smooth: Mask  # (F,) smooth shading
    colours: Array  # (V, 4) linear RGBA
    shapes: dict[str, Array]  # the 52 ARKit names -> (V, 3) offsets in metres at 1.0
    groups: dict[str, Array]  # bone name -> (V,) weights in [0, 1]
    parts: dict[str, Index]  # part name -> its vertices, both sides
    loops: dict[str, Index]  # landmarks: left upper_lid/lower_lid and upper_lip/lower_lip edges, pairwise; lids, lips
    mirror: Index  # (V,) the vertex on the other side; itself on the mirror plane, and in the lopsided hair


@dataclass
class Part:
    """One piece of the left half (X >= 0), closed by its own mirror image, in design-frame centimetres.

    Vertices with X exactly 0 are shared with the mirror image.
    """

    name: str
    points: Array  # (N, 3)
    faces: list[Face]
    material: list[str]  # one a face
    colours: Array  # (N, 3) linear RGB
    lopsided: bool = False  # both sides already, without a mirror image; each vertex is then its own twin


def painted(name: str, points: Array, faces: list[Face], material: str, colour: Sequence[float]) -> Part:
    """A part of one material and one vertex colour."""
    return Part(name, points, faces, [material] * len(faces), np.tile(np.array(colour, dtype=float), (len(points), 1)))


def strip(upper: Sequence[int], lower: Sequence[int], closed: bool = False) -> list[Face]:
    """Quads between two rows of equal length; outwards if `upper` runs left to right above `lower`."""
    n = len(upper)
    pairs = range(n if closed else n - 1)
    return [(upper[i], lower[i], lower[(i + 1) % n], upper[(i + 1) % n]) for i in pairs]


@dataclass(frozen=True)
class Assembly:
    """All parts in one vertex order: every left half first, then the mirror images."""

    points: Array  # (V, 3) cm
    faces: tuple[Face, ...]
    face_part: Index
    face_material: tuple[str, ...]
    colours: Array
    mirror: Index
    start: dict[str, int]  # part name -> index of its first vertex; its half keeps its own order from there
    part: Index  # (V,) number of the part, in the order of `start`


def assemble(parts: Sequence[Part]) -> Assembly:
    """The parts and their mirror images as one mesh."""
    points = np.concatenate([p.points for p in parts])
    colours = np.concatenate([p.colours for p in parts])
    number = np.concatenate([np.full(len(p.points), i) for i, p in enumerate(parts)])
    start: dict[str, int] = {}
    faces: list[Face] = []
    face_part: list[int] = []
    material: list[str] = []
    for i, p in enumerate(parts):
        first = sum(len(q.points) for q in parts[:i])
        start[p.name] = first
        faces += [tuple(first + v for v in face) for face in p.faces]
        face_part += [i] * len(p.faces)
        material += p.material
    half = len(points)
    paired = np.concatenate([np.full(len(p.points), not p.lopsided) for p in parts])
    off_plane = np.flatnonzero(paired & (points[:, 0] != 0.0))
    twin = np.arange(half)
    twin[off_plane] = half + np.arange(len(off_plane))
    mirror = np.concatenate([twin, off_plane])
    copied = [i for i, part in enumerate(face_part) if not parts[part].lopsided]
    faces += [tuple(int(twin[v]) for v in reversed(faces[i])) for i in copied]
    return Assembly(
        points=np.concatenate([points, points[off_plane] * (-1.0, 1.0, 1.0)]),
        faces=tuple(faces),
        face_part=np.array(face_part + [face_part[i] for i in copied]),
        face_material=tuple(material + [material[i] for i in copied]),
        colours=np.concatenate([colours, colours[off_plane]]),
        mirror=mirror,
        start=start,
        part=np.concatenate([number, number[off_plane]]),
    )
