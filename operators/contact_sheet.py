# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts pictures and captions together: pages of rows of squares, each with its words under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .canvas import Array, Canvas, Colour, read_picture
from .lettering import wrap

# In units of a picture's width.
_CAPTION, _GAP, _LETTER, _LINE = 0.34, 0.04, 0.056, 0.064
_LINES = 5
_COLUMNS = 5
_BACKGROUND: Colour = (0.17, 0.175, 0.19)
_INK: Colour = (0.93, 0.935, 0.945)


@dataclass(frozen=True)
class Tile:
    """A picture, of which a square in the middle is shown, and its caption."""

    picture: Path
    caption: str


def page_paths(path: Path, count: int, per_page: int) -> list[Path]:
    """The pages that `count` tiles need: `path` itself, then its name with _2, _3 and so on."""
    pages = -(-count // per_page)
    return [path, *(path.with_stem(f"{path.stem}_{number}") for number in range(2, pages + 1))]


def share(tiles: Sequence[Tile], pages: int) -> list[Sequence[Tile]]:
    """The tiles of each page, as many on each as on the others."""
    count = -(-len(tiles) // pages)
    return [tiles[first : first + count] for first in range(0, len(tiles), count)]


def compose(tiles: Sequence[Tile], path: Path, size: int, columns: int = 0) -> None:
    """Write one page as a PNG: `size` pixels a tile, `columns` tiles a row (0: at most five, rows of alike length).

    Raises FacescriptError (`no_file`).
    """
    if columns <= 0:
        rows = -(-len(tiles) // _COLUMNS)
        columns = -(-len(tiles) // rows)
    rows = -(-len(tiles) // columns)
    width, height = columns * (1 + _GAP) + _GAP, rows * (1 + _CAPTION + _GAP) + _GAP
    canvas = Canvas(round(width * size), round(height * size), _BACKGROUND)
    for number, tile in enumerate(tiles):
        left = (_GAP + number % columns * (1 + _GAP)) * size
        top = (_GAP + number // columns * (1 + _CAPTION + _GAP)) * size
        canvas.picture(left, top, _middle(read_picture(tile.picture), size))
        for line, text in enumerate(wrap(tile.caption, _LETTER * size, size, _LINES)):
            canvas.words(left, top + (1 + _LETTER * 1.2 + line * _LINE) * size, text, _LETTER * size, _INK)
    canvas.save(path)


def _middle(pixels: Array, size: int) -> Array:
    top, left = ((side - size) // 2 for side in pixels.shape[:2])
    return pixels[max(0, top) : max(0, top) + size, max(0, left) : max(0, left) + size]
