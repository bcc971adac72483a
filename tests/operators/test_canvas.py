# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures drawn by numpy: pixels, lines and letters are where they belong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from amounts import examples  # noqa: E402
from facescript.operators.canvas import Canvas, read_picture  # noqa: E402
from facescript.operators.lettering import ascent_rows, letters, wrap  # noqa: E402
from facescript.performance import FacescriptError  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

WHITE, BLACK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)


def test_a_picture_is_saved_and_read_with_the_colours_it_was_given(tmp_path: Path) -> None:
    canvas = Canvas(8, 4, (0.2, 0.4, 0.6))
    canvas.box(0, 0, 2, 1, WHITE)
    canvas.save(tmp_path / "picture.png")
    found = read_picture(tmp_path / "picture.png")
    assert found.shape == (4, 8, 3)
    assert found[0, :2].tolist() == [[1.0, 1.0, 1.0]] * 2
    np.testing.assert_allclose(found[3, 7], (0.2, 0.4, 0.6), atol=1 / 255)
    assert [image.name for image in bpy.data.images if image.name.startswith("picture")] == []


def test_a_picture_that_cannot_be_saved_says_so(tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("not a folder")
    with pytest.raises(FacescriptError, match="Cannot write"):
        Canvas(2, 2, BLACK).save(tmp_path / "folder" / "picture.png")


def test_a_level_line_covers_its_thickness() -> None:
    canvas = Canvas(10, 10, BLACK)
    canvas.line(np.array([0.0, 9.0]), np.array([5.0, 5.0]), 2.0, WHITE)
    np.testing.assert_allclose(canvas.pixels[:, 4, 0], [0, 0, 0, 0, 1, 1, 0, 0, 0, 0])


def test_a_step_is_joined_from_its_lower_to_its_upper_end() -> None:
    canvas = Canvas(10, 10, BLACK)
    canvas.line(np.array([0.0, 4.0, 5.0, 9.0]), np.array([8.0, 8.0, 2.0, 2.0]), 1.0, WHITE)
    assert (canvas.pixels[2:9, 4, 0] > 0.4).all()


@settings(max_examples=examples(60), deadline=None)
@given(
    st.lists(st.floats(-40.0, 60.0), min_size=2, max_size=20),
    st.floats(0.5, 6.0),
    st.floats(-30.0, 30.0),
    st.floats(1.0, 40.0),
)
def test_what_reaches_over_the_edge_is_cut_off(ys: list[float], thickness: float, left: float, width: float) -> None:
    canvas = Canvas(20, 16, BLACK)
    canvas.line(np.linspace(left, left + width, len(ys)), np.array(ys), thickness, WHITE)
    canvas.words(left, ys[0], "Over", 9.0, WHITE)
    canvas.box(left, ys[0], left + width, ys[1], WHITE)
    assert canvas.pixels.shape == (16, 20, 3)
    assert canvas.pixels.min() >= 0.0 and canvas.pixels.max() <= 1.0 + 1e-6


def test_letters_stand_on_their_line_and_only_some_reach_below() -> None:
    size = 40.0
    line = ascent_rows(size)
    upright, hanging = letters("Hx", size), letters("gp", size)
    assert upright[line + 1 :].sum() == 0.0
    assert hanging[line + 2 :].sum() > 20.0
    # The stem of an I is solid, and it is empty beside it.
    stem = letters("I", size)
    assert stem[line - 10].max() == pytest.approx(1.0)
    # A ring has a hole.
    ring = letters("O", size)
    assert ring[line - 14, ring.shape[1] // 2] == pytest.approx(0.0, abs=1e-6)
    assert letters("", size).shape[1] == 0


def test_twice_the_size_covers_four_times_the_area() -> None:
    small, large = letters("browDown", 20.0).sum(), letters("browDown", 40.0).sum()
    assert large / small == pytest.approx(4.0, rel=0.02)


def test_text_is_wrapped_at_words_and_what_does_not_fit_is_left_out() -> None:
    assert wrap("", 12.0, 100.0, 3) == []
    assert wrap("Brows knit", 12.0, 500.0, 3) == ["Brows knit"]
    lines = wrap("Brows knit, the jaw drops, and both eyes go wide at once", 12.0, 90.0, 2)
    assert len(lines) == 2 and lines[1].endswith("…")
    assert all(letters(line, 12.0).shape[1] <= 90.0 * 1.15 for line in lines)
    assert wrap("Unbelievablyunbreakable", 12.0, 10.0, 2) == ["Unbelievablyunbreakable"]


def test_a_disk_that_is_full_in_the_middle_leaves_the_older_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "picture.png"
    Canvas(8, 4, WHITE).save(path)
    before = path.read_bytes()
    whole = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: whole(self)[:40])
    with pytest.raises(FacescriptError, match="disk is full") as caught:
        Canvas(8, 4, BLACK).save(path)
    monkeypatch.undo()
    assert caught.value.code == "no_file"
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["picture.png"]
