# SPDX-License-Identifier: GPL-3.0-or-later
"""What the planner learns from and picks from."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch
from facescript.inference.worker.slots import SLOTS
from facescript.performance import Brief, Keyframe, Performance, Pose
from facescript.performance.mirroring import mirror
from facescript.training import planner
from toys import Tokenizer


def performance(script: str, *moves: str) -> Performance:
    """A keyframe for each channel that is named, 0.7 seconds apart, at 0.5."""
    keyframes = tuple(
        Keyframe(0.7 * number, f"Left side moves: {name}.", Pose.from_dict({name: 0.5}))
        for number, name in enumerate(moves)
    )
    return Performance(Brief(script, "A door", "Joy", script), keyframes)


def test_an_example_is_the_script_cut_into_beats_with_their_poses() -> None:
    tokenizer = Tokenizer()
    two = performance("one two three four\nfive six seven eight", "browInnerUp", "jawOpen", "cheekPuff")
    [found] = planner.examples(tokenizer, [two])
    assert tokenizer.decode(found.reading.ids) == (
        "Emotion: Joy\nBackground: A door\nKeyframe 1: 1 of 2: one two three four\n"
        "Keyframe 2: 2 of 2: one two three four\nKeyframe 3: five six seven eight\n"
    )
    assert found.targets.shape == (3, 58)
    shown = [[SLOTS[place] for place in row.nonzero()[:, 0]] for row in found.targets]
    assert shown == [["browInnerUp"], ["jawOpen"], ["cheekPuff"]]


def test_of_a_pair_the_one_is_kept_that_does_more_on_the_left() -> None:
    left, right, even = (performance("Well.", name) for name in ("mouthSmileLeft", "mouthSmileRight", "jawOpen"))
    named = performance("Her left eye twitches.", "eyeBlinkLeft")
    pairs = [left, right, even, named]
    assert planner.one_way(pairs, [mirror(p) for p in pairs]) == [0, 5, 2, 3, 7]


def test_a_repertoire_holds_every_keyframe_and_its_mirror_image_once() -> None:
    one, other = performance("a", "mouthSmileLeft", "mouthSmileLeft"), performance("b", "jawLeft")
    found = planner.repertoire([one, other])
    assert found.texts == (
        "Left side moves: mouthSmileLeft.",
        "Left side moves: jawLeft.",
        "Right side moves: mouthSmileLeft.",
        "Right side moves: jawLeft.",
    )
    assert found.moves.dtype == torch.uint8
    assert [(SLOTS[int(row.argmax())], int(row.max())) for row in found.moves] == [
        *(("mouthSmileLeft", 10), ("jawLeft", 10), ("mouthSmileRight", 10), ("jawRight", 10)),
    ]
