# SPDX-License-Identifier: GPL-3.0-or-later
"""How a face moves from beat to beat: its style, with the animator's own settings on top."""

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, FloatProperty

from ..rig_mapping.styles import ATTACK_FACTORS, LEAD_FACTORS, MAX_HOLD, MAX_LEAD, MAX_OVERSHOOT, Style, adjusted, get
from .language import CONTEXT

_OURS = {"LIBRARY_OVERRIDABLE"}

# Properties, and the regions whose lead they are; the jaw goes with the mouth.
LEADS = {
    "lead_eyes": "eyes",
    "lead_brows": "brows",
    "lead_cheeks": "nose and cheeks",
    "lead_mouth": "mouth",
    "lead_head": "head",
}


def restyled(owner: Any, context: bpy.types.Context) -> None:
    """Write the beats anew after a setting of how the face moves was changed. For update callbacks."""
    # Not imported above: the desk needs the style that is chosen here.
    from . import desk

    desk.restyled(owner, context)


def _seconds(name: str, description: str, default: float, most: float) -> Any:
    return FloatProperty(
        name=name,
        description=description,
        unit="TIME_ABSOLUTE",
        translation_context=CONTEXT,
        default=default,
        min=0.0,
        max=most,
        soft_max=most / 4.0,
        step=1,
        precision=2,
        update=restyled,
        override=_OURS,
    )


def _share(name: str, description: str, default: float, most: float) -> Any:
    # Blender's percentages are 0 to 100; a factor is drawn as a slider.
    return FloatProperty(
        name=name,
        description=description,
        subtype="FACTOR",
        translation_context=CONTEXT,
        default=default,
        min=0.0,
        max=most,
        update=restyled,
        override=_OURS,
    )


def _own(name: str) -> Any:
    return BoolProperty(
        name=f"Own {name}",
        description=f"Set the {name.lower()} here, not by the style",
        update=restyled,
        override=_OURS,
    )


class FACESCRIPT_PG_motion(bpy.types.PropertyGroup):
    """A face's own settings on top of its style; as they come, they change nothing."""

    attack: FloatProperty(
        name="Attack",
        description="How long changes take, as a factor on the style's times: 2 is twice as slow",
        default=1.0,
        min=ATTACK_FACTORS[0],
        max=ATTACK_FACTORS[1],
        step=5,
        update=restyled,
        override=_OURS,
    )
    leads: FloatProperty(
        name="Leads",
        description="How far eyes, brows and head go ahead of the mouth, as a factor on the style's times",
        default=1.0,
        min=LEAD_FACTORS[0],
        max=LEAD_FACTORS[1],
        step=5,
        update=restyled,
        override=_OURS,
    )
    own_hold: _own("Hold")
    hold: _seconds("Hold", "How long each beat's pose is held in full", 0.25, MAX_HOLD)
    own_release: _own("Release")
    release: _share("Release", "How far a pose relaxes in a second of rest after its hold", 0.1, 1.0)
    own_overshoot: _own("Overshoot")
    overshoot: _share("Overshoot", "How far a change goes past its pose before it settles", 0.1, MAX_OVERSHOOT)
    own_leads: _own("Leads")
    lead_eyes: _seconds("Eyes", "How long before the beat the eyes have arrived", 0.1, MAX_LEAD)
    lead_brows: _seconds("Brows", "How long before the beat the brows have arrived", 0.05, MAX_LEAD)
    lead_cheeks: _seconds("Nose and Cheeks", "How long before the beat nose and cheeks have arrived", 0.02, MAX_LEAD)
    lead_mouth: _seconds("Mouth and Jaw", "How long before the beat mouth and jaw have arrived", 0.0, MAX_LEAD)
    lead_head: _seconds("Head", "How long before the beat the head has arrived", 0.05, MAX_LEAD)


def chosen_style(face: Any) -> Style:
    """The style that a face moves by: `face.style` (an id) with the settings of `face.motion` on top.

    Raises FacescriptError (`unknown_style`, `bad_setting`).
    """
    motion = face.motion
    return adjusted(
        get(face.style),
        attack=motion.attack,
        hold=motion.hold if motion.own_hold else None,
        release=motion.release if motion.own_release else None,
        overshoot=motion.overshoot if motion.own_overshoot else None,
        leads={region: getattr(motion, name) for name, region in LEADS.items()} if motion.own_leads else motion.leads,
    )


CLASSES = (FACESCRIPT_PG_motion,)
