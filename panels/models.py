# SPDX-License-Identifier: GPL-3.0-or-later
"""The models on this machine, in the preferences."""

from __future__ import annotations

from typing import Any

import bpy

from ..inference.models.library import Model
from ..operators import preferences
from ..operators.language import iface_
from ..operators.models import shelf
from .layout import draw_bar, paragraph

# More would not be looked through.
_MOST = 30


def draw_models(layout: bpy.types.UILayout, context: bpy.types.Context, width: int) -> None:
    """What there is, folders to look in, and a download."""
    chosen = preferences.get(context)
    row = layout.row(align=True)
    row.label(text="Models on this machine")
    row.operator("facescript.find_models", text="", icon="FILE_REFRESH")
    row.operator("facescript.add_model_folder", text="", icon="NEWFOLDER")
    for index, folder in enumerate(chosen.model_folders):
        row = layout.row(align=True)
        row.label(text=folder.path, translate=False, icon="FILE_FOLDER")
        row.operator("facescript.drop_model_folder", text="", icon="X", emboss=False).index = index
    models = shelf.remembered(context)
    if models is None:
        layout.label(text="Looking for models ...")
    elif not models:
        paragraph(layout, "None yet. Download one, or add a folder that holds some.", width)
    for model in (models or ())[:_MOST]:
        draw = _draw_part if model.kind == "part" else _draw_model
        draw(layout.box(), model, chosen, width)
    _draw_download(layout, chosen, width)


def _draw_part(box: bpy.types.UILayout, model: Model, _: Any, width: int) -> None:
    row = box.row(align=True)
    row.label(text=model.name, translate=False, icon="SORTTIME")
    row.operator("facescript.download_model", text="Download").name = model.name
    row.operator("facescript.remove_model", text="", icon="TRASH").folder = str(model.folder)
    paragraph(box, said(model), width)


def _draw_model(box: bpy.types.UILayout, model: Model, chosen: Any, width: int) -> None:
    row = box.row(align=True)
    field = chosen.adapter_folder if model.kind == "adapter" else chosen.model_folder
    shown = str(model.folder) == field.rstrip("/\\")
    row.label(text=model.name, translate=False, icon="RADIOBUT_ON" if shown else "RADIOBUT_OFF")
    row.operator("facescript.choose_model", text="Choose").folder = str(model.folder)
    if model.ours:
        row.operator("facescript.remove_model", text="", icon="TRASH").folder = str(model.folder)
    paragraph(box, said(model), width)
    if model.kind == "adapter":
        return
    fits = shelf.free is None or model.needed <= shelf.free
    paragraph(box, memory_said(model, fits), width, "CHECKMARK" if fits else "ERROR")


def said(model: Model) -> str:
    """A model's sizes and licence, for people."""
    if model.kind == "part":
        return f"Partly downloaded, {_gb(model.size)}"
    licence = model.licence or iface_("no licence named")
    if model.kind == "adapter":
        return iface_(f"Adapter (LoRA) for a model, {_gb(model.size)} on the disk, {licence}")
    return iface_(f"{_count(model.parameters)} weights, {_gb(model.size)} on the disk, {licence}")


def memory_said(model: Model, fits: bool) -> str:
    """Whether a model fits, for people."""
    size = _gb(model.needed)
    if fits:
        return f"In 4 bit it takes about {size} of memory."
    return f"In 4 bit it takes about {size} of memory, more than is free here; a GPU with that much can run it."


def _draw_download(layout: bpy.types.UILayout, chosen: Any, width: int) -> None:
    if shelf.job is not None:
        row = layout.row(align=True)
        draw_bar(row, shelf.progress.fraction, f"{shelf.progress.fraction:.0%}")
        row.operator("facescript.cancel_download", text="", icon="X")
        paragraph(layout, shelf.progress.message, width)
        return
    layout.prop(chosen, "hub_name")
    layout.operator("facescript.download_model", icon="IMPORT")
    if not bpy.app.online_access:
        paragraph(layout, "A download needs online access: allow it under System > Network.", width, "INFO")


def _count(number: int) -> str:
    return f"{number / 1e9:.1f} B" if number >= 10**9 else f"{number / 1e6:.0f} M"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 10**9 else f"{size / 1e6:.0f} MB"
