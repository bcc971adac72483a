# SPDX-License-Identifier: GPL-3.0-or-later
"""Editing beats, before any timeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from facescript.performance import FacescriptError, Pose, beat_list
from facescript.performance.beat_list import Beats, ShapedBeat
from hypothesis import given
from hypothesis import strategies as st
from strategies import any_pose

SMILE = Pose.from_dict({"mouthSmile": 0.6})
OPEN = Pose.from_dict({"jawOpen": 0.4})


def beats(*frames: int) -> Beats:
    return beat_list.numbered(tuple(ShapedBeat(f, f"at {f}", SMILE, posed=f"at {f}") for f in frames))


def frames(found: Beats) -> list[int]:
    return [beat.frame for beat in found]


def test_strength_scales_what_is_shown_and_not_the_pose() -> None:
    beat = ShapedBeat(1, "smiles", SMILE, strength=0.5)
    assert beat.shown["mouthSmileLeft"] == pytest.approx(0.3)
    assert beat.pose == SMILE


def test_a_region_is_scaled_alone_and_values_stay_in_range() -> None:
    pose = Pose.from_dict({"mouthSmile": 0.6, "browInnerUp": 0.7, "headPitch": -0.8})
    # Brows, eyes, nose and cheeks, mouth, jaw, head.
    beat = ShapedBeat(1, "", pose, regions=(2.0, 1.0, 1.0, 0.5, 1.0, 2.0))
    assert beat.shown["browInnerUp"] == 1.0
    assert beat.shown["mouthSmileRight"] == pytest.approx(0.3)
    assert beat.shown["headPitch"] == -1.0


def test_closed_lips_stay_closed_however_strong_the_jaw_is() -> None:
    chewing = Pose.from_dict({"jawOpen": 0.3, "mouthClose": 0.3})
    for mouth, jaw in ((0.2, 1.0), (1.0, 0.2), (2.0, 0.5)):
        shown = ShapedBeat(1, "", chewing, regions=(1.0, 1.0, 1.0, mouth, jaw, 1.0)).shown
        assert shown["mouthClose"] == pytest.approx(shown["jawOpen"])


def test_a_wrong_strength_is_refused() -> None:
    with pytest.raises(FacescriptError, match="outside"):
        ShapedBeat(1, "", strength=2.5)
    with pytest.raises(FacescriptError, match="6 regions"):
        ShapedBeat(1, "", regions=(1.0,))


def test_an_inserted_beat_takes_the_next_free_frame() -> None:
    found = beat_list.numbered(beat_list.insert(beats(1, 10, 11), 10, ShapedBeat(0, "new")))
    assert frames(found) == [1, 10, 11, 12]
    assert [b.key for b in found] == [1, 2, 3, 4]


def test_splitting_shares_the_description_out() -> None:
    one = (ShapedBeat(1, "Brows lift, eyes wide. The mouth falls open", OPEN, key=1), *beats(41)[:1])
    found = beat_list.split(one, 0, 20)
    assert frames(found) == [1, 20, 41]
    assert [found[0].text, found[1].text] == ["Brows lift, eyes wide.", "The mouth falls open"]
    assert found[1].pose == OPEN and found[1].key == 0


def test_splitting_elsewhere_takes_the_middle() -> None:
    assert frames(beat_list.split(beats(1, 41), 0, 500)) == [1, 21, 41]


def test_there_is_no_room_between_neighbours() -> None:
    with pytest.raises(FacescriptError, match="no frame free"):
        beat_list.split(beats(1, 2), 0, 2)
    with pytest.raises(FacescriptError, match="no frame free"):
        beat_list.duplicate(beats(1, 2), 0, 10)


def test_merging_takes_half_of_each_and_both_descriptions() -> None:
    one, other = beats(1, 10)
    found = beat_list.merge((one, replace(other, pose=OPEN, text="The jaw drops.")), 0)
    assert frames(found) == [1]
    assert found[0].shown.active() == {"jawOpen": 0.2, "mouthSmileLeft": 0.3, "mouthSmileRight": 0.3}
    assert found[0].text == "at 1; the jaw drops."


def test_a_locked_pose_survives_merging() -> None:
    one, other = beats(1, 10)
    found = beat_list.merge((one, replace(other, pose=OPEN, locked=True, by_hand=True)), 0)
    assert found[0].pose == OPEN and found[0].locked and found[0].by_hand


def test_the_only_beat_is_not_deleted_and_the_last_not_merged() -> None:
    with pytest.raises(FacescriptError, match="only beat"):
        beat_list.delete(beats(1), 0)
    with pytest.raises(FacescriptError, match="no beat after"):
        beat_list.merge(beats(1, 2), 1)


def test_a_moved_beat_stays_between_its_neighbours() -> None:
    assert frames(beat_list.retime(beats(1, 10, 20), 1, 50)) == [1, 19, 20]
    assert frames(beat_list.retime(beats(1, 10, 20), 1, -7)) == [1, 2, 20]
    assert frames(beat_list.retime(beats(1, 10, 20), 2, 300)) == [1, 10, 300]


def test_a_beat_that_is_dragged_past_another_changes_the_order() -> None:
    found = beat_list.moved(beats(1, 10, 20), {1: 15})
    assert [(b.frame, b.text) for b in found] == [(10, "at 10"), (15, "at 1"), (20, "at 20")]


def test_of_two_beats_on_a_frame_the_second_gives_way() -> None:
    assert frames(beat_list.moved(beats(1, 10, 11), {1: 10})) == [10, 11, 12]


def test_another_pose_is_at_its_plain_strength() -> None:
    beat = ShapedBeat(1, "", SMILE, strength=0.5, regions=(1.0, 1.0, 1.0, 0.2, 1.0, 1.0))
    assert beat_list.set_pose(beat, OPEN).shown == OPEN


def test_an_edited_description_is_known() -> None:
    beat = beats(1)[0]
    assert not beat.edited
    assert replace(beat, text="Something else").edited


Edit = Callable[[Beats, int, int], Beats]
EDITS: list[Edit] = [
    lambda b, i, f: beat_list.insert(b, f, ShapedBeat(f, "new")),
    lambda b, i, f: beat_list.split(b, i, f),
    lambda b, i, f: beat_list.merge(b, i),
    lambda b, i, f: beat_list.duplicate(b, i, max(1, f % 40)),
    lambda b, i, f: beat_list.delete(b, i),
    lambda b, i, f: beat_list.retime(b, i, f),
    lambda b, i, f: beat_list.moved(b, {b[i].key: f}),
    lambda b, i, f: beat_list.shifted(b, f),
]


@given(
    st.lists(st.tuples(st.integers(1, 200), any_pose), min_size=1, max_size=6, unique_by=lambda pair: pair[0]),
    st.lists(st.tuples(st.sampled_from(EDITS), st.integers(0, 9), st.integers(-20, 250)), max_size=8),
)
def test_beats_are_always_in_order_each_with_a_frame_and_a_number_of_its_own(
    start: list[tuple[int, Pose]], edits: list[tuple[Edit, int, int]]
) -> None:
    found = beat_list.numbered(tuple(ShapedBeat(f, f"at {f}", p) for f, p in sorted(start, key=lambda pair: pair[0])))
    for edit, index, frame in edits:
        before = found
        try:
            found = beat_list.numbered(edit(found, index % len(found), frame))
        except FacescriptError:
            found = before
        assert frames(found) == sorted(set(frames(found)))
        assert len({b.key for b in found}) == len(found) > 0
        # A beat that is still there has its pose, unless another was merged into it.
        kept = {b.key: b for b in before}
        if len(found) >= len(before):
            assert all(kept[b.key].shown == b.shown for b in found if b.key in kept)
