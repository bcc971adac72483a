# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo face: a stylised head that code builds, with all 52 ARKit shape keys.

`build()` gives everything a mesh needs: metres, Z up, the face looks along -Y, its left is +X, the base of the neck
is the origin. No bpy here, only numpy; `operators.add_face` makes Blender objects of it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from . import eyes, features, hair, paint, shapes, skin, teeth
from .mesh import Assembly, FaceMesh, Material, Part, assemble
from .model import Model
from .proportions import Array, to_metres

__all__ = ["FaceMesh", "Material", "build"]


@lru_cache(maxsize=1)
def build() -> FaceMesh:
    """The face, the same every time; about a second the first time, then remembered. Treat it as read-only."""
    surface = skin.build()
    parts = [
        Part("skin", surface.points, surface.faces, paint.skin_materials(surface), paint.skin_colours(surface)),
        eyes.eyeball(),
        eyes.catchlight(),
        eyes.lashes(),
        features.brow(),
        features.ear(),
        features.collar(),
        hair.hair(),
        teeth.teeth(teeth.UPPER),
        teeth.teeth(teeth.LOWER),
        teeth.tongue(),
    ]
    whole = assemble(parts)
    names = [m.name for m in paint.MATERIALS]
    offsets = shapes.build(whole, surface)
    used = np.array([names.index(m) for m in whole.face_material])
    return FaceMesh(
        vertices=to_metres(whole.points),
        faces=whole.faces,
        materials=paint.MATERIALS,
        face_material=used,
        smooth=np.ones(len(whole.faces), dtype=bool),
        colours=np.concatenate([whole.colours, np.ones((len(whole.points), 1))], axis=1),
        shapes={name: offset * 0.01 for name, offset in offsets.items()},
        groups=_groups(whole),
        parts={name: np.flatnonzero(whole.part == i) for i, name in enumerate(whole.start)},
        loops=Model(whole, surface).loops(),
        mirror=whole.mirror,
    )


def _groups(whole: Assembly) -> dict[str, Array]:
    """Bone weights: the head takes over from the neck between the collar and the jaw."""
    z, y = whole.points[:, 2], whole.points[:, 1]
    share = np.clip((z + 0.35 * y + 14.2) / 4.6, 0.0, 1.0)
    share = share * share * (3.0 - 2.0 * share)
    names = list(whole.start)
    share[~np.isin(whole.part, [names.index("skin"), names.index("collar")])] = 1.0
    return {"head": share, "neck": 1.0 - share}
