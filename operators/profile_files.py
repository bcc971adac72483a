# SPDX-License-Identifier: GPL-3.0-or-later
"""Mappings as profile files: saved from a character, used on others, shared. They are data: nothing in them runs."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy
from bpy.props import StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from ..performance import FacescriptError
from ..performance.saving import saved
from ..rig_mapping import profiles
from ..rig_mapping.mapping_edits import ordered
from ..rig_mapping.profile_rows import on_character, slug, to_profile
from ..rig_mapping.profiles import Profile
from . import faces
from .language import rpt_
from .mapping import Bench, MappingOperator
from .preferences import PACKAGE
from .session import session

# Blender's stubs do not know what they return.
_Import: Any = ImportHelper
_Export: Any = ExportHelper


def user_folder() -> Path:
    """Where the user's own profiles are. Raises FacescriptError (`no_folder`) if it cannot be made."""
    try:
        return Path(bpy.utils.extension_path_user(PACKAGE, path="profiles", create=True))
    except (OSError, ValueError) as error:
        raise FacescriptError(
            "no_folder", f"The extension's own folder cannot be used: {error}.", "Choose another file."
        ) from error


def user_files() -> list[Path]:
    """The user's own profiles, by name; cheap enough for a menu, so they are not read."""
    try:
        return sorted(user_folder().glob("*.json"))
    except (FacescriptError, OSError):
        return []


def use(bench: Bench, profile: Profile, place: str) -> str:
    """Fill a table from a profile, whose file is at `place`; what to tell the user. Raises FacescriptError."""
    mapping, lost = on_character(profile, bench.members, list(bpy.context.scene.objects), place)
    if not any(row.kind == "TURN" for row in mapping.rows):
        # Most profiles leave head and eyes to their bones' names.
        with suppress(FacescriptError):
            shown = {row.channel for row in mapping.rows}
            turns = [row for row in faces.find_automatic(bench.owner).mapping.rows if row.kind == "TURN"]
            more = [row for row in turns if row.channel not in shown]
            mapping = replace(mapping, rows=ordered((*mapping.rows, *more)))
    bench.fill(mapping)
    count, missing = len({row.channel for row in mapping.rows}), len(bench.table.missing())
    note = f"{profile.name}: {count} channels have targets, {missing} have none."
    return f"{note} Not on this character: {', '.join(lost)}." if lost else note


class FACESCRIPT_OT_use_profile(MappingOperator, bpy.types.Operator):
    """Map the face by this profile; the table is filled anew"""

    bl_idname = "facescript.use_profile"
    bl_label = "Use Profile"
    needs_table = False

    profile: StringProperty(name="Profile", description="The id of a profile of the extension", options={"SKIP_SAVE"})
    filepath: StringProperty(
        name="File", description="A profile's file, instead of one of the extension's", options={"SKIP_SAVE"}
    )

    def change(self, bench: Bench) -> str | None:
        if self.filepath:
            path = Path(bpy.path.abspath(self.filepath))
            return use(bench, profiles.load(path), path.name)
        return use(bench, profiles.get(self.profile), self.profile)


class FACESCRIPT_OT_load_profile(MappingOperator, bpy.types.Operator, _Import):
    """Map the face by a profile's file; the table is filled anew"""

    bl_idname = "facescript.load_profile"
    bl_label = "Load Profile"
    needs_table = False

    filename_ext = ".json"
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[Any]:
        given: Any = self
        if given.properties.is_property_set("filepath") and given.filepath:
            # Dropped into the view.
            return self.execute(context)
        self.filepath = f"{user_folder()}/"
        result: set[Any] = _Import.invoke(self, context, event)
        return result

    def change(self, bench: Bench) -> str | None:
        path = Path(bpy.path.abspath(self.filepath))
        return use(bench, profiles.load(path), path.name)


class FACESCRIPT_OT_save_profile(MappingOperator, bpy.types.Operator, _Export):
    """Save the mapping as a profile's file, for other characters and other people"""

    bl_idname = "facescript.save_profile"
    bl_label = "Save Profile"
    bl_options = {"REGISTER"}  # type: ignore[assignment]
    needs_table = False

    filename_ext = ".json"
    filter_glob: StringProperty(default="*.json", options={"HIDDEN"})
    name: StringProperty(name="Name", description="The profile's name; if not given, the file's", options={"SKIP_SAVE"})

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[Any]:
        try:
            target = faces.active_face(context)[0]
            self.filepath = str(user_folder() / f"{slug(target.name)}.json")
        except FacescriptError as error:
            self.report({"ERROR"}, rpt_(str(error)))
            return {"CANCELLED"}
        result: set[Any] = _Export.invoke(self, context, event)
        return result

    def execute(self, context: bpy.types.Context) -> set[Any]:
        try:
            target = faces.active_face(context)[0]
            path = Path(bpy.path.abspath(self.filepath))
            source = f"The mapping of {target.name!r}, saved by Facescript"
            made = to_profile(target.mapping, self.name or path.stem, source)
            save(path, made)
        except FacescriptError as error:
            session().fail(error)
            self.report({"ERROR"}, rpt_(str(error)))
            return {"CANCELLED"}
        session().error = None
        session().note = f"The mapping is saved in {path}."
        return {"FINISHED"}


def save(path: Path, made: dict[str, Any]) -> None:
    """Write a profile's file. Raises FacescriptError (`no_file`)."""
    with saved(path) as stream:
        stream.write(json.dumps(made, ensure_ascii=False, indent=1) + "\n")


class FACESCRIPT_FH_profile(bpy.types.FileHandler):
    """Profiles that are dropped into the 3D View"""

    bl_idname = "FACESCRIPT_FH_profile"
    bl_label = "Facescript Profile"
    bl_import_operator = FACESCRIPT_OT_load_profile.bl_idname
    bl_file_extensions = ".json"

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        """Where the face is."""
        return context.area is not None and context.area.type == "VIEW_3D"


CLASSES = (
    FACESCRIPT_OT_use_profile,
    FACESCRIPT_OT_load_profile,
    FACESCRIPT_OT_save_profile,
    FACESCRIPT_FH_profile,
)
