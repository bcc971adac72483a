# SPDX-License-Identifier: GPL-3.0-or-later
"""The assembled face as the shape modules see it: who is where, and how to extend a motion over the skin."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import lids, lips, skin
from .mesh import Assembly, Index
from .proportions import Array
from .skin import MOUTH_LOOSE, Skin


@dataclass(frozen=True)
class Model:
    """Neutral points and the index arrays into them. Offsets are always (V, 3) in centimetres."""

    whole: Assembly
    surface: Skin

    @property
    def points(self) -> Array:
        """Neutral points (V, 3), cm."""
        return self.whole.points

    def zeros(self) -> Array:
        """No motion."""
        return np.zeros_like(self.whole.points)

    def part(self, name: str) -> Index:
        """All vertices of a part, left half (in the part's order) first."""
        return np.flatnonzero(self.whole.part == list(self.whole.start).index(name))

    def left(self, name: str, count: int) -> Index:
        """The first `count` vertices of a part's left half, in the part's own order."""
        return self.whole.start[name] + np.arange(count)

    def flip(self, offsets: Array) -> Array:
        """The same motion on the other side."""
        flipped = offsets[self.whole.mirror] * (-1.0, 1.0, 1.0)
        return np.asarray(flipped)

    def both(self, offsets: Array) -> Array:
        """A left motion, made on both sides at once; vertices of the mirror plane get both halves' share."""
        return offsets + self.flip(offsets)

    def carry_brows(self, offsets: Array) -> None:
        """Lets the brows ride on the skin beneath them: writes their rows of `offsets`."""
        brow, near, weight = self._brow_ground
        offsets[brow] = np.einsum("ij,ijk->ik", weight, offsets[near])

    @cached_property
    def _brow_ground(self) -> tuple[Index, Index, Array]:
        brow, ground = self.part("brow"), self.part("skin")
        ground = ground[np.abs(self.points[ground, 2] - 2.5) < 2.5]
        ground = ground[self.points[ground, 1] < -3.0]
        away = np.linalg.norm(self.points[brow][:, None] - self.points[ground][None], axis=2)
        near = np.argsort(away, axis=1, kind="stable")[:, :6]
        weight = 1.0 / (np.take_along_axis(away, near, axis=1) ** 2 + 1e-4)
        return brow, ground[near], weight / weight.sum(axis=1, keepdims=True)

    @cached_property
    def lip_distance(self) -> Array:
        """Distance (V,) in cm to the lips' border, 0 for the lips and the mouth's inside; 9 where that is far."""
        away = np.full(len(self.points), 9.0)
        index = self.part("skin")
        index = index[np.linalg.norm(self.points[index] - (0.0, -7.5, -6.3), axis=1) < 7.0]
        rim = self.points[self.mouth[1]]
        away[index] = np.linalg.norm(self.points[index][:, None] - rim[None], axis=2).min(axis=1)
        away[self.mouth] = 0.0
        return away

    @cached_property
    def eye(self) -> Index:
        """Rings round the left eye: see `skin.Skin.eye`."""
        return self.surface.eye  # the skin is the first part, so its indices are the model's

    @cached_property
    def mouth(self) -> Index:
        """Lip rings (len(lips.NAMES), 2 * lips.COLUMNS) of both sides: the left half's columns, then the right's."""
        rings = self.surface.mouth[1 + MOUTH_LOOSE :]
        return np.concatenate([rings, self.whole.mirror[rings]], axis=1)

    @cached_property
    def mouth_along(self) -> Array:
        """Signed place (2 * lips.COLUMNS,) along the mouth: -1 the right corner, 0 the middle, 1 the left corner."""
        t = lips.along()
        return np.concatenate([t, -t])

    @cached_property
    def mouth_upper(self) -> Array:
        """1 for columns of the upper lip, 0 for the lower, a half in the corners."""
        return np.tile(lips.is_upper(), 2)

    def loops(self) -> dict[str, Index]:
        """The edges of the left lids and of the left half of the lips, in matching order."""
        rim = self.eye[lids.MARGIN]
        touch = self.mouth[lips.TOUCH, : lips.COLUMNS]
        return {
            "upper_lid": rim[1 : lids.OUTER],
            "lower_lid": rim[: lids.OUTER : -1],
            "upper_lip": touch[: lips.CORNER],
            "lower_lip": touch[: lips.CORNER : -1],
            "lids": self.eye[lids.MARGIN : lids.MARGIN + 6].ravel(),
            "lips": np.unique(self.mouth[: lips.TOUCH + 1]),
        }

    @cached_property
    def spread(self) -> Spread:
        """Extends lip motions over the skin round the mouth."""
        return Spread(self)


class Spread:
    """Smooth extension of given offsets over the free skin round the mouth.

    Minimises the squared uniform Laplacian of the offset field (a thin plate in the mesh's own coordinates; Botsch and
    Sorkine, "On Linear Variational Surface Deformation Methods", 2008). As a field splits into parts that are even and
    odd about the mirror plane, two solves on the half mesh do for both sides.
    """

    def __init__(self, model: Model) -> None:
        p = model.surface.points
        self._mirror = model.whole.mirror
        self._half = len(p)
        near = (p - np.array([0.0, -7.0, -6.0])) / np.array([6.4, 6.5, 3.8])
        free = np.einsum("ij,ij->i", near, near) < 1.0
        free[model.surface.mouth[1 + MOUTH_LOOSE :]] = False
        plane = p[:, 0] == 0.0
        a, b = skin.neighbours(model.surface.faces, len(p))
        weight = np.ones(len(a))
        weight[plane[a] & ~plane[b]] = 2.0
        total = np.bincount(a, weight, len(p))
        self.free = np.flatnonzero(free)
        column = np.full(len(p), -1)
        column[self.free] = np.arange(len(self.free))
        rows = np.unique(np.concatenate([self.free, a[free[b]]]))
        rows = rows[~np.isin(rows, model.surface.mouth[1 + MOUTH_LOOSE + 1 :])]
        line = np.full(len(p), -1)
        line[rows] = np.arange(len(rows))
        used = line[a] >= 0
        self._a, self._b, self._w = line[a[used]], b[used], (weight / total[a])[used]
        self._rows = rows
        inverse = []
        for odd in (False, True):
            matrix = np.zeros((len(rows), len(self.free)))
            inner = column[self._b] >= 0
            np.add.at(matrix, (self._a[inner], column[self._b[inner]]), self._w[inner])
            own = column[rows] >= 0
            matrix[np.flatnonzero(own), column[rows[own]]] -= 1.0
            if odd:  # an odd field is zero on the plane
                matrix[:, plane[self.free]] = 0.0
            normal = matrix.T @ matrix + 1e-10 * np.eye(len(self.free))
            inverse.append((matrix, normal))
        self._systems = inverse
        self._plane = plane

    def _laplacian(self, known: Array) -> Array:
        out = -known[self._rows]
        for k in range(known.shape[1]):
            out[:, k] += np.bincount(self._a, self._w * known[self._b, k], len(self._rows))
        return out

    def __call__(self, offsets: Array) -> Array:
        """Offsets (V, K), K a multiple of 3, with the free skin filled in from all the rest."""
        flat = offsets.reshape(len(offsets), -1, 3)
        sign = np.array([-1.0, 1.0, 1.0])
        flipped = flat[self._mirror] * sign
        same, other = 0.5 * (flat + flipped), 0.5 * (flat - flipped)
        out = flat.copy()
        solved: list[Array] = []
        for field, odd_axes in ((same, (True, False, False)), (other, (False, True, True))):
            half = field[: self._half].copy()
            half[self.free] = 0.0
            for odd in (False, True):
                axes = [i for i in range(3) if odd_axes[i] is odd]
                known = half[:, :, axes].reshape(self._half, -1)
                matrix, normal = self._systems[int(odd)]
                x = np.linalg.solve(normal, -matrix.T @ self._laplacian(known))
                if odd:
                    x[self._plane[self.free]] = 0.0
                filled = half[:, :, axes]
                filled[self.free] = x.reshape(len(self.free), flat.shape[1], len(axes))
                half[:, :, axes] = filled
            solved.append(half)
        out[: self._half] = solved[0] + solved[1]
        right = self._mirror[self.free]
        out[right] = (solved[0][self.free] - solved[1][self.free]) * sign
        on_plane = self.free[self._plane[self.free]]
        out[on_plane] = solved[0][on_plane] + solved[1][on_plane]
        return out.reshape(offsets.shape)
