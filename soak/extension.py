# SPDX-License-Identifier: GPL-3.0-or-later
"""The installed extension seen from inside: the only module here that knows names of its code."""

from __future__ import annotations

import sys
from typing import Any

import bpy as module

# Its stubs take what is there for optional, and know no add-on's properties.
bpy: Any = module

PACKAGE = "bl_ext.user_default.facescript"
THREADS = "facescript-"


def part(name: str) -> Any:
    """A module of the installed extension, not of the checkout."""
    return sys.modules[f"{PACKAGE}.{name}"]


def enabled() -> bool:
    """Whether the extension is registered."""
    return PACKAGE in bpy.context.preferences.addons


def preferences() -> Any:
    """The extension's preferences."""
    return bpy.context.preferences.addons[PACKAGE].preferences


def session() -> Any:
    """What goes on behind the window."""
    return part("operators.session").session()


def busy() -> bool:
    """Whether a generation or a set-up is running, something is being written, or a worker is about to end."""
    now = session()
    ending = any(thread.is_alive() for thread in now._closing)
    return bool(now.busy or now.writing or now.following is not None or now.setup is not None or ending)


def worker() -> Any:
    """The client of the worker process, if one runs."""
    client = session()._client
    return client if client is not None and client.alive else None


def said() -> str:
    """What the panel says: the error, else the note."""
    now = session()
    return str(now.error or now.note or "")


def was_made() -> bool:
    """Whether the request that has ended was written to the timeline."""
    now = session()
    return now.error is None and not str(now.note).startswith(("Cancelled", "Another file"))


def drive() -> None:
    """Do what timers do: with the module there is no event loop that calls them."""
    part("operators.session")._tick()


def look() -> bool:
    """Have what was done by hand followed at once, as the timer does a little later; whether all is at rest."""
    faces, following = part("operators.faces"), part("operators.following")
    found = faces.remembered(bpy.context)
    if found is None:
        faces._look()
        found = faces.remembered(bpy.context)
    follower = following._follower
    # Only a look that finds nothing to go on with, nor to begin, tells.
    idle = session().following is None
    follower.look()
    if not idle or session().following is not None:
        return False
    if found is None or found.target is None:
        return True
    try:
        face = faces.settings_of(found.target)
    except part("performance").FacescriptError:
        return True
    return not face.beats or follower.at_rest


def unfollowed() -> str | None:
    """What the list of the active face would still follow, as the extension sees it; empty if all agrees, and None if
    it cannot follow: where all F-curves are locked, a marker that was dragged waits for them, and the panel says so."""
    faces, desk = part("operators.faces"), part("operators.desk")
    try:
        target = faces.target_of(bpy.context.view_layer.objects.active)
        face = faces.settings_of(target)
        if not face.beats:
            return ""
        at = desk.Desk.of(target, face, bpy.context.scene)
        before = at.beats
        if not desk.follow(at) or before == at.beats:
            # Where F-curves are locked, what was done by hand is seen again and again, and the list agrees with it.
            return ""
        return f"{target.name}: {[(b.frame, a.frame, b == a) for b, a in zip(before, at.beats, strict=False)]}"
    except part("performance").FacescriptError:
        return None


def shown(name: str) -> tuple[Any, Any]:
    """A face and its settings, by the name of an object. Raises the extension's error if there is none."""
    faces = part("operators.faces")
    # Found once while nothing of it changes: searching the scene takes long.
    target = faces.target_of(bpy.data.objects[name])
    return target, faces.settings_of(target)


def animated(name: str) -> list[Any]:
    """The datablocks on which a face is keyed, by the name of an object of it."""
    try:
        return list(part("rig_mapping.tracks").datablocks(shown(name)[0]))
    except part("performance").FacescriptError:
        return []


def handlers() -> dict[str, int]:
    """How many of Blender's handlers are the extension's, by their list."""
    found: dict[str, int] = {}
    for name in dir(bpy.app.handlers):
        listed = getattr(bpy.app.handlers, name)
        if isinstance(listed, list):
            count = sum(str(getattr(one, "__module__", "")).startswith(PACKAGE) for one in listed)
            found |= {name: count} if count else {}
    return found
