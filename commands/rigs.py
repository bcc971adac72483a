# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m facescript.commands.rigs`: writes docs/rigs.md again, from the profiles of rig families."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable

from ..performance import BLEND_SHAPES
from ..rig_mapping.profiles import Profile, every
from . import ROOT

PAGE = ROOT / "docs" / "rigs.md"

_HEAD = """\
# Rigs

Facescript thinks in ARKit's 52 blend shapes. A profile says which shape keys of a rig family show them: one shape for
one, several together (the funnel of the lips as four quarters), or several of ARKit's in one key, each with its gain.
Which family a face is of is told from the names of its shape keys, on all its meshes: from those that a profile maps,
and from others of the family that it leaves alone (visemes, correctives). The Face panel names it. Where it is wrong,
choose another under Use Profile in the Mapping panel, or change single rows there.

What a family has no shapes for is left out of a performance, and the panel lists it. Heads, eyes and jaws that are
turned by bones are described in [faces](faces.md).

This page is made from the files in `rig_mapping/profiles`, a table a family, each with its source. A file of the same
form can be loaded there; [the mapping](mapping.md) says how.

| family | channels of 52 | one for one | the left corner's smile |
| --- | --- | --- | --- |
"""


def page() -> str:
    """The whole page, in Markdown."""
    profiles = every()
    rows = "\n".join(_row(profile) for profile in profiles)
    return _HEAD + rows + "\n" + "".join(_section(profile) for profile in profiles)


def _row(profile: Profile) -> str:
    smile = profile.channels.get("mouthSmileLeft", ())
    keys = " + ".join(f"`{row.name}`" + ("" if row.gain == 1.0 else f" x {row.gain:g}") for row in smile)
    anchor = "".join(c for c in profile.name.lower() if c.isalnum() or c in "- ").replace(" ", "-")
    cells = (f"[{profile.name}](#{anchor})", len(profile.channels), _one_for_one(profile), keys or "-")
    return f"| {' | '.join(map(str, cells))} |"


def _one_for_one(profile: Profile) -> int:
    """How many channels have a key of their own, at full gain."""
    names = [row.name for rows in profile.channels.values() for row in rows]
    return sum(
        len(rows) == 1 and rows[0].gain == 1.0 and names.count(rows[0].name) == 1 for rows in profile.channels.values()
    )


def _section(profile: Profile) -> str:
    points = [f"Told by {_told_by(profile)}."]
    without = [channel for channel in BLEND_SHAPES if channel not in profile.channels]
    if without:
        points.append(f"Without {', '.join(_both_sides(without))}.")
    if profile.full != 1.0:
        points.append(f"A key's full value is {profile.full:g}.")
    if profile.cannot:
        points.append(f"Cannot show: {profile.cannot[0].lower()}{profile.cannot[1:]}")
    points.append(f"Source: {profile.source.rstrip('.')}.")
    return f"\n## {profile.name}\n\n" + "\n".join(map(_wrapped, points)) + "\n"


def _wrapped(point: str) -> str:
    return textwrap.fill(
        f"- {point}", width=120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )


def _told_by(profile: Profile) -> str:
    how = "names as they are written" if profile.exact else "names in any spelling"
    # The aliases of a profile with a base are the family's own spelling.
    own = [profile.spelled(shape)[-1 if profile.base else 0] for shape in profile.shapes]
    sample = own[:: max(1, len(own) // 3)][:3]
    said = f"its {how}, such as {_listed(sample)}"
    return f"{said}, and by {_listed(profile.evidence[:4])}" if profile.evidence else said


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _both_sides(channels: list[str]) -> list[str]:
    """Channels, those of a left and a right side as one."""
    folded: list[str] = []
    for channel in channels:
        twin = channel.replace("Left", "Right")
        if twin != channel and twin in channels:
            folded.append(f"{channel}/Right")
        elif channel.replace("Right", "Left") not in channels or "Right" not in channel:
            folded.append(channel)
    return folded


def main() -> int:
    """Write the page; 0."""
    PAGE.write_text(page(), encoding="utf-8", newline="\n")
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
