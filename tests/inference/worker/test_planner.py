# SPDX-License-Identifier: GPL-3.0-or-later
"""What the planner picks, with a reader whose answer is planted."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch
from facescript.inference.worker.asks import Ask, Takes
from facescript.inference.worker.planner import Planner, Repertoire, beat_text
from facescript.inference.worker.slots import BINS, SLOTS, Reading, SlotReader, SlotsConfig
from safetensors.torch import save_file
from toys import HIDDEN, Tokenizer

CONFIG = SlotsConfig(layers=(0, 2), hidden=HIDDEN, width=16, depth=1, heads=4)


def moves(**steps: int) -> torch.Tensor:
    row = torch.zeros(len(SLOTS), dtype=torch.uint8)
    for name, step in steps.items():
        row[SLOTS.index(name)] = step
    return row


FOUND = Repertoire(
    ("Face at rest.", "Jaw drops.", "Jaw drops a little.", "Eyes wide, ä broad smile."),
    torch.stack(
        [moves(), moves(jawOpen=16), moves(jawOpen=6), moves(mouthSmileLeft=12, mouthSmileRight=12, eyeWideLeft=16)]
    ),
)


class Planted(SlotReader):
    """Says that slots are most likely at certain steps, keyframe by keyframe."""

    def __init__(self, *rows: torch.Tensor) -> None:
        super().__init__(CONFIG)
        self.rows = torch.stack(rows).long()

    def forward(self, states: object, rows: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        wanted = self.rows[: len(rows), :, None]
        return -(torch.arange(BINS) - wanted).abs().float()


def planner(*rows: torch.Tensor, found: Repertoire = FOUND) -> tuple[Planner, list[Reading]]:
    read: list[Reading] = []

    def states(text: Reading) -> list[torch.Tensor]:
        read.append(text)
        return [torch.zeros(1, len(text.ids), HIDDEN)] * 2

    return Planner(Tokenizer(), states, Planted(*rows), found), read


def test_a_beat_is_its_moments_words_and_its_place_among_the_moments_beats() -> None:
    assert beat_text("You lied.", 0, 1) == "You lied."
    assert beat_text("You lied.", 1, 3) == "2 of 3: You lied."
    assert len(beat_text("word " * 1000, 0, 1)) == 500


def test_each_beat_gets_the_description_of_the_likeliest_pose() -> None:
    found, _ = planner(moves(jawOpen=16), moves(mouthSmileLeft=12, mouthSmileRight=12, eyeWideLeft=16), moves())
    asks = [Ask("Oh."), Ask("You!"), Ask("Well.")]
    assert found.describe("", "", asks, 0) == ["Jaw drops.", "Eyes wide, ä broad smile.", "Face at rest."]


def test_a_smile_that_the_script_ends_is_not_picked() -> None:
    smile = moves(mouthSmileLeft=12, mouthSmileRight=12, eyeWideLeft=16)
    made, _ = planner(smile)
    assert made.describe("", "", [Ask("Get out.", told="Her smile stays.")], 0) == ["Eyes wide, ä broad smile."]
    [instead] = made.describe("", "", [Ask("Get out.", told="Her smile dies.")], 0)
    assert instead != "Eyes wide, ä broad smile."


def test_nothing_is_done_twice_in_one_performance() -> None:
    found, _ = planner(moves(jawOpen=16), moves(jawOpen=16))
    assert found.describe("", "", [Ask("Oh."), Ask("Oh.")], 0) == ["Jaw drops.", "Jaw drops a little."]


def test_all_beats_and_the_scene_are_read_at_once() -> None:
    tokenizer = Tokenizer()
    found, read = planner(moves(), moves(jawOpen=16))
    found._tokenizer = tokenizer
    found.describe("A door", "Joy", [Ask("You came.", 0, 2), Ask("You came.", 1, 2)], 0)
    [text] = read
    assert tokenizer.decode(text.ids) == (
        "Emotion: Joy\nBackground: A door\nKeyframe 1: 1 of 2: You came.\nKeyframe 2: 2 of 2: You came.\n"
    )


def test_a_seed_gives_the_same_take_and_another_seed_another() -> None:
    torch.manual_seed(0)
    many = Repertoire(tuple(f"Description {n}." for n in range(200)), torch.randint(0, 3, (200, 58), dtype=torch.uint8))
    found, _ = planner(moves(jawOpen=2), moves(), found=many)
    asks = [Ask("Oh."), Ask("No.")]
    assert found.describe("", "", asks, 5) == found.describe("", "", asks, 5)
    assert len({tuple(found.describe("", "", asks, seed)) for seed in range(6)}) >= 4


def test_half_of_the_other_takes_are_in_a_mirror_unless_a_side_is_named() -> None:
    both = Repertoire(("Left wink.", "Right wink."), torch.stack([moves(eyeBlinkLeft=20), moves(eyeBlinkRight=20)]))
    found, _ = planner(moves(eyeBlinkLeft=20), found=both)

    def takes(words: str) -> set[str]:
        return {found.describe("", "", [Ask(words)], seed)[0] for seed in range(1, 12)}

    assert found.describe("", "", [Ask("A wink")], 0) == ["Left wink."]
    assert takes("A wink") == {"Left wink.", "Right wink."}
    assert takes("A wink of the left eye") == {"Left wink."}


def test_other_takes_are_different_and_none_of_what_is_taken() -> None:
    found, read = planner(moves(), moves(jawOpen=16))
    asks = [Ask("Oh."), Ask("No!")]
    others = found.others("", "", asks, 1, Takes(3, 0, {"Jaw drops.", "not of the repertoire"}))
    assert sorted(others) == ["Eyes wide, ä broad smile.", "Face at rest.", "Jaw drops a little."]
    # All from one pass.
    assert len(read) == 1


def test_other_takes_are_like_the_beat_that_is_asked_for() -> None:
    found, _ = planner(moves(), moves(jawOpen=16))
    for seed in range(5):
        assert found.others("", "", [Ask("Oh."), Ask("No!")], 1, Takes(1, seed, {"Jaw drops."})) == [
            "Jaw drops a little."
        ]


def test_other_takes_follow_from_the_seed_and_more_of_them_begin_alike() -> None:
    torch.manual_seed(0)
    many = Repertoire(tuple(f"Description {n}." for n in range(200)), torch.randint(0, 3, (200, 58), dtype=torch.uint8))
    found, _ = planner(moves(jawOpen=2), found=many)
    some = found.others("", "", [Ask("Oh.")], 0, Takes(4, 7))
    assert found.others("", "", [Ask("Oh.")], 0, Takes(8, 7))[:4] == some
    assert len({tuple(found.others("", "", [Ask("Oh.")], 0, Takes(4, seed))) for seed in range(-2, 5)}) >= 5


def test_of_other_takes_too_some_are_in_a_mirror_unless_a_side_is_named() -> None:
    both = Repertoire(("Left wink.", "Right wink."), torch.stack([moves(eyeBlinkLeft=20), moves(eyeBlinkRight=20)]))
    expected = moves(eyeBlinkLeft=20).float() / 20
    found, _ = planner(moves(), found=both)
    assert {found.takes(expected, Takes(1, seed), mirror=True)[0] for seed in range(12)} == set(both.texts)
    assert {found.takes(expected, Takes(1, seed), mirror=False)[0] for seed in range(12)} == {"Left wink."}


def test_a_repertoire_that_is_used_up_gives_no_more() -> None:
    found, _ = planner(moves(jawOpen=16))
    assert len(found.others("", "", [Ask("Oh.")], 0, Takes(9, 0, {"Jaw drops."}))) == 3


def test_a_repertoire_is_read_as_it_was_written(tmp_path: Path) -> None:
    FOUND.save(tmp_path / "repertoire.safetensors")
    again = Repertoire.load(tmp_path / "repertoire.safetensors")
    assert again.texts == FOUND.texts
    assert torch.equal(again.moves, FOUND.moves)


def test_a_known_description_has_the_pose_that_it_was_written_for() -> None:
    known = FOUND.strengths("Jaw drops.")
    assert known is not None
    assert known.shape == (58, BINS)
    assert known.argmax(dim=-1).tolist() == moves(jawOpen=16).tolist()
    assert FOUND.strengths("Jaw drops!") is None


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(3, 58, dtype=torch.uint8),
        torch.zeros(4, 57, dtype=torch.uint8),
        torch.full((4, 58), 21, dtype=torch.uint8),
        torch.zeros(4, 58, dtype=torch.int64),
    ],
)
def test_a_repertoire_whose_parts_do_not_fit_is_refused(tmp_path: Path, wrong: torch.Tensor) -> None:
    path = tmp_path / "repertoire.safetensors"
    save_file({"texts": torch.frombuffer(bytearray(b"a\nb\nc\nd"), dtype=torch.uint8), "moves": wrong}, path)
    with pytest.raises(ValueError, match="fit"):
        Repertoire.load(path)
