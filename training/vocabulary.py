# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptions composed from a vocabulary of facial actions, a region at a time.

`training/vocabulary` holds hand-written phrases, a file a region, each with the channels that it moves and how far.
Here they are put together: phrases of several regions, some of them with a word for their strength, some in a mirror,
in one of the manners in which people write descriptions.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..performance import Brief, Keyframe, Performance, Pose
from ..performance.channels import COUNT, HIGH, INDEX, LOW
from ..performance.mirroring import mirror_text
from ..performance.pose import Array

HERE = Path(__file__).parent / "vocabulary"

# What a sentence may speak of, and the files that have phrases for it.
_PARTS = {
    "brows": ("brows",),
    "eyes": ("lids", "gaze"),
    "nose and cheeks": ("nose_cheeks",),
    "mouth": ("mouth_corners", "lips", "jaw"),
    "head": ("head",),
}
# How often a part is spoken of in the corpus, roughly.
_OFTEN = {"brows": 0.7, "eyes": 0.75, "nose and cheeks": 0.25, "mouth": 0.85, "head": 0.35}

# Channels that cannot both be high on one face.
_AGAINST = tuple(
    tuple(pair.split())
    for pair in (
        "eyeWide eyeBlink",
        "eyeWide eyeSquint",
        "mouthSmile mouthFrown",
        "jawLeft jawRight",
        "mouthLeft mouthRight",
        "gazeLeft gazeRight",
        "gazeUp gazeDown",
        "mouthPress jawOpen",
        "browDown browOuterUp",
        "mouthPucker mouthStretch",
        "mouthPucker mouthSmile",
        "jawOpen mouthRollLower",
    )
)

# A word for the strength, and what it makes of a phrase's largest value.
_STRENGTHS: tuple[tuple[str, float], ...] = (
    ("{}, barely", 0.12),
    ("{}, just a hint", 0.15),
    ("{}, faintly", 0.2),
    ("{}, only slightly", 0.2),
    ("faint: {}", 0.2),
    ("{}, a little", 0.25),
    ("{}, moderately", 0.45),
    ("{}, plainly", 0.45),
    ("{}, strongly", 0.75),
    ("{}, hard", 0.75),
    ("strong: {}", 0.75),
    ("{}, intensely", 0.8),
    ("{}, as far as it goes", 1.0),
    ("{}, fully", 0.95),
    ("{}, to the extreme", 0.95),
    ("{} (trace)", 0.12),
    ("{} (slight)", 0.25),
    ("{} (marked)", 0.6),
    ("{} (severe)", 0.8),
    ("{} (maximum)", 1.0),
)
_HAS_STRENGTH = re.compile(
    r"faint|slight|hint|bare|trace|touch|bit\b|little|soft|gentl|subtl|strong|hard|wide|deep|full|extreme|intens|maxim|far|"
    r"complete|tight|high|low|half|third|quarter|shut|closed|fierce|huge|big|heav|AU\d|intensity|mild|modera|marked",
    re.I,
)
_SIDED_CODE = re.compile(r"AU(?:51|52|55|56|61|62)")


@dataclass(frozen=True)
class Phrase:
    """A few words and what they mean: `values` (61,)."""

    text: str
    values: Array


def load() -> dict[str, list[Phrase]]:
    """The phrases of each file. A head turned one way and the other is kept apart by sign, as everywhere."""
    found = {}
    for path in sorted(HERE.glob("*.jsonl")):
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        found[path.stem] = [Phrase(row["text"], Pose.from_dict(row["pose"]).values) for row in rows]
    return found


def compose(count: int, seed: int, settings: Sequence[tuple[str, str]] = (("", ""),)) -> list[Performance]:
    """`count` performances of one to three composed keyframes, each with a (background, emotion) of `settings`."""
    draw = random.Random(seed)
    phrases = load()
    found = []
    for number in range(count):
        background, emotion = draw.choice(settings) if draw.random() < 0.5 else ("", "")
        keyframes = []
        for time in range(draw.choice((1, 1, 2, 2, 3))):
            text, pose = sentence(phrases, draw)
            keyframes.append(Keyframe(float(time), text, pose))
        found.append(Performance(Brief("", background, emotion, f"vocabulary-{number}"), tuple(keyframes)))
    return found


def sentence(phrases: dict[str, list[Phrase]], draw: random.Random) -> tuple[str, Pose]:
    """One composed description with its pose."""
    parts = [part for part, often in _OFTEN.items() if draw.random() < often] or ["mouth"]
    draw.shuffle(parts)
    picked: list[Phrase] = []
    values = np.zeros(COUNT)
    for part in parts:
        for _ in range(2 if draw.random() < 0.2 else 1):
            phrase = _varied(draw.choice(phrases[draw.choice(_PARTS[part])]), draw)
            if not _clash(values, phrase.values):
                picked.append(phrase)
                values = np.where(np.abs(phrase.values) > np.abs(values), phrase.values, values)
    return _joined([phrase.text for phrase in picked], draw), Pose(np.clip(values, LOW, HIGH))


def _varied(phrase: Phrase, draw: random.Random) -> Phrase:
    text, values = phrase.text, phrase.values
    if draw.random() < 0.5 and not _SIDED_CODE.search(text):
        text, values = mirror_text(text), Pose(values).mirrored().values
    if values.any() and draw.random() < 0.25 and not _HAS_STRENGTH.search(text):
        words, strength = draw.choice(_STRENGTHS)
        text = words.format(text)
        # On the corpus's grid of 0.05, where nothing that is named vanishes.
        steps = np.round(np.abs(values) * strength / np.abs(values).max() * 20.0)
        scaled = np.sign(values) * np.maximum(steps, values != 0.0) / 20.0
        values = np.clip(scaled, LOW, HIGH)
    return Phrase(text, values)


def _clash(one: Array, other: Array) -> bool:
    def most(values: Array, name: str) -> float:
        return max(abs(value) for key, value in _by_stem(values) if key == name)

    for a, b in _AGAINST:
        if min(most(one, a), most(other, b)) > 0.3 or min(most(one, b), most(other, a)) > 0.3:
            return True
    return any(one[INDEX[name]] * other[INDEX[name]] < 0 for name in ("headYaw", "headPitch", "headRoll"))


_PAIRED = "eyeWide eyeBlink eyeSquint mouthSmile mouthFrown mouthPress browDown browOuterUp mouthStretch".split()
_SINGLE = "jawLeft jawRight mouthLeft mouthRight jawOpen mouthPucker mouthRollLower".split()
_STEMS = {
    **{stem: (f"{stem}Left", f"{stem}Right") for stem in _PAIRED},
    **{stem: (stem,) for stem in _SINGLE},
    "gazeLeft": ("eyeLookOutLeft",),
    "gazeRight": ("eyeLookInLeft",),
    "gazeUp": ("eyeLookUpLeft",),
    "gazeDown": ("eyeLookDownLeft",),
}


def _by_stem(values: Array) -> list[tuple[str, float]]:
    return [(stem, float(values[INDEX[name]])) for stem, names in _STEMS.items() for name in names]


def _joined(texts: list[str], draw: random.Random) -> str:
    style = draw.random()
    if style < 0.35:
        text = (
            ", ".join(texts[:-1]) + (draw.choice((", and ", ", ", " and ", " while ")) if texts[1:] else "") + texts[-1]
        )
    elif style < 0.6:
        text = draw.choice(("; ", ", ")).join(texts)
    elif style < 0.75:
        text = ". ".join(part[0].upper() + part[1:] for part in texts)
    elif style < 0.85:
        text = texts[0] + (": " if texts[1:] else "") + ", ".join(texts[1:])
    else:
        text = ", ".join(texts)
        return draw.choice(
            (
                "The character's face: {}.",
                "She holds still, {}.",
                "At this moment {}.",
                "{}",
                "Now {}.",
                "He lets it show: {}.",
            )
        ).format(text)
    return text[0].upper() + text[1:] + draw.choice((".", ".", ".", ""))
