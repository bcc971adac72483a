# SPDX-License-Identifier: GPL-3.0-or-later
"""A performance as in a mirror: left and right exchanged in the words and in the poses alike."""

from __future__ import annotations

import re
from dataclasses import replace

from .model import Performance

# "Right" and "left" that are not a side.
_NOT_A_SIDE = (
    r"all right|right (?:away|now(?! [;,])|here|there|then|thing|answer|words?|moment|time|up to the|about)"
    r"|(?:not|just|that's|it's|you're|your) right\b(?! (?:eye|brow|cheek|corner|side|lid|hand))"
    r"|(?:nothing|little|what's|has|have|had|he|she|they|is|are|was|were) left\b"
    r"(?! (?:eye|brow|cheek|corner|side|lid|of))"
    r"|left (?:him|her|them|it|me|us|you|behind|ajar|hanging|open|(?:slightly )?apart|slack|loose|standing|alone|unsaid"
    r"|out of|cold|swimming|on the face)"
)
_TOKEN = re.compile(rf"(?P<kept>\b(?:{_NOT_A_SIDE})\b)|\b(?P<side>left|right)(?P<rest>ward|wards|ie|most)?\b", re.I)
_LETTER = re.compile(
    r"(?<=\d[A-E])[LR]\b|\b[LR](?=(?:AU)?\d)|\b[LR](?= (?:side|only|AU))|\((?:L|R)\)|(?<=AU\d)[LR]\b|(?<=AU\d\d)[LR]\b"
)
_OTHER = {"left": "right", "right": "left", "Left": "Right", "Right": "Left", "LEFT": "RIGHT", "RIGHT": "LEFT"}


def mirror_text(text: str) -> str:
    """Exchange the sides that a text names; "right away" and "left ajar" stay."""

    def swap(match: re.Match[str]) -> str:
        if match["kept"]:
            return match[0]
        side = match["side"]
        return _OTHER.get(side, _OTHER[side.lower()]) + (match["rest"] or "")

    def swap_letter(match: re.Match[str]) -> str:
        return match[0].translate(str.maketrans("LR", "RL"))

    return _LETTER.sub(swap_letter, _TOKEN.sub(swap, text))


def mirror(performance: Performance) -> Performance:
    """The performance in a mirror, its words too."""
    brief = replace(
        performance.brief,
        script=mirror_text(performance.brief.script),
        background=mirror_text(performance.brief.background),
        emotion=mirror_text(performance.brief.emotion),
    )
    keyframes = [replace(k, text=mirror_text(k.text), pose=k.pose.mirrored()) for k in performance.keyframes]
    return Performance(brief, tuple(keyframes))
