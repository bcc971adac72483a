# SPDX-License-Identifier: GPL-3.0-or-later
"""Strict reading of the package's JSON tables: a wrong table is told by file, place and what was expected."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..performance import FacescriptError
from ..performance.parsing import parse_object, read_object

# The longest profile takes 20 kB; one with a row for every number of a large rig, a megabyte.
MAX_BYTES = 4 << 20


class Table:
    """One JSON object with the place it came from, for error messages.

    Every reader raises FacescriptError (`bad_table`) for a missing field, a wrong type or a value out of range.
    """

    def __init__(self, data: object, place: str) -> None:
        self.place = place
        if not isinstance(data, dict):
            raise self.error("is not an object")
        self.data: dict[str, Any] = data

    @classmethod
    def load(cls, path: Path) -> Table:
        """Read a JSON file (UTF-8). Raises FacescriptError (`bad_table`) if it cannot be read or parsed."""
        try:
            return cls(read_object(path, MAX_BYTES), path.name)
        except FacescriptError as cause:
            raise FacescriptError("bad_table", cause.message, cause.hint or "Check the file.") from cause

    @classmethod
    def parse(cls, text: object, place: str) -> Table:
        """Read JSON that is kept as text in a property. Raises FacescriptError (`bad_table`)."""
        if not isinstance(text, str):
            raise FacescriptError("bad_table", f"{place} is not text.")
        try:
            return cls(parse_object(text), place)
        except FacescriptError as cause:
            raise FacescriptError("bad_table", f"{place}: {cause.message}", cause.hint) from cause

    def error(self, what: str) -> FacescriptError:
        """An error about this table."""
        return FacescriptError("bad_table", f"{self.place} {what}.", "Correct the file.")

    def only(self, *names: str, optional: Iterable[str] = ()) -> None:
        """Require exactly these fields, beside which those in `optional` may be there."""
        unknown = sorted(set(self.data) - set(names) - set(optional))
        if unknown:
            raise self.error(f"has an unknown field {unknown[0]!r}")
        missing = [name for name in names if name not in self.data]
        if missing:
            raise self.error(f"has no field {missing[0]!r}")

    def table(self, name: str) -> Table:
        """An object inside this one."""
        return Table(self.data.get(name), f"{self.place}: {name}")

    def rows(self, name: str) -> list[Table]:
        """A list of objects."""
        rows = self.data.get(name)
        if not isinstance(rows, list) or not rows:
            raise self.error(f"needs a list in {name!r}")
        return [Table(row, f"{self.place}: {name}[{i}]") for i, row in enumerate(rows)]

    def text(self, name: str) -> str:
        """A string that is not empty."""
        value = self.data.get(name)
        if not isinstance(value, str) or not value:
            raise self.error(f"needs text in {name!r}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of different strings."""
        value = self.data.get(name)
        if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
            raise self.error(f"needs a list of texts in {name!r}")
        if len(set(value)) != len(value):
            raise self.error(f"has a text twice in {name!r}")
        return tuple(value)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.data.get(name)
        if not isinstance(value, bool):
            raise self.error(f"needs true or false in {name!r}")
        return value

    def whole(self, name: str, low: int, high: int) -> int:
        """A whole number in [low, high]."""
        value = self.number(name, low, high)
        if value % 1.0:
            raise self.error(f"needs a whole number in {name!r}")
        return int(value)

    def number(self, name: str, low: float, high: float) -> float:
        """A finite number in [low, high]."""
        value = self.data.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self.error(f"needs a number in {name!r}")
        if not low <= value <= high:
            raise self.error(f"has {value:g} in {name!r}, outside [{low:g}, {high:g}]")
        return float(value)
