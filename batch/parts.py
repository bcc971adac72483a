# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts in which a batch's lines go into .blend files and to a render farm: always as many lines, so that a part
costs the same in a sheet of any length.

A part is made of lines that are done, from their files of JSON lines. It is due again when other lines are in it, or
when one of them was performed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..performance import FacescriptError
from ..performance.parsing import open_regular
from .journal import Journal
from .settings import Settings
from .sheet import Row

# Lines of a part.
SIZE = 100


@dataclass(frozen=True)
class Line:
    """A line of a part: the file of its performance, its name, and whose it is ("" where the sheet does not say)."""

    path: str
    name: str
    character: str


@dataclass(frozen=True)
class Part:
    """Some lines of a batch, with a digest of their rows and performances; `name` is what the journal calls it by."""

    name: str
    lines: tuple[Line, ...]
    digest: str


@dataclass(frozen=True)
class Work:
    """What a Blender is asked for: that there is a face for each of the `characters`, and the `parts`, each with the
    path of its .blend. The other fields are those of `Settings`."""

    blend: str
    face: str
    style: str
    fps: float
    characters: tuple[str, ...] = ()
    parts: tuple[tuple[Part, str], ...] = ()

    @classmethod
    def of(cls, settings: Settings, rows: Sequence[Row] = (), parts: Sequence[tuple[Part, Path]] = ()) -> Work:
        """The work of a batch: the characters of `rows` are looked for, the `parts` written."""
        characters = tuple(dict.fromkeys(row.character for row in rows))
        written = tuple((part, str(path)) for part, path in parts)
        return cls(settings.blend, settings.face, settings.style, settings.fps, characters, written)

    def to_dict(self) -> dict[str, object]:
        """The work as JSON, for a Blender in a process of its own."""
        how = {"blend": self.blend, "face": self.face, "style": self.style, "fps": self.fps}
        rows = [
            {"name": part.name, "blend": path, "lines": [[x.path, x.name, x.character] for x in part.lines]}
            for part, path in self.parts
        ]
        return how | {"characters": list(self.characters), "parts": rows}

    @classmethod
    def from_dict(cls, entry: Mapping[str, object]) -> Work:
        """Read what `to_dict` writes. Raises FacescriptError (`bad_json`)."""
        try:
            rows: object = entry["parts"]
            parts = tuple(
                (Part(row["name"], tuple(Line(*line) for line in row["lines"]), ""), row["blend"])
                for row in rows  # type: ignore[attr-defined]
            )
            blend, face, style = (str(entry[name]) for name in ("blend", "face", "style"))
            characters = tuple(str(name) for name in entry["characters"])  # type: ignore[attr-defined]
            return cls(blend, face, style, float(entry["fps"]), characters, parts)  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError) as error:
            raise FacescriptError("bad_json", "This is not the work of a batch.") from error


# Does the work, and yields the name of each part whose .blend is there. Raises FacescriptError.
Blender = Callable[[Work], Iterator[str]]


def parts(kind: str, rows: Sequence[Row], journal: Journal, folder: Path) -> Iterator[Part]:
    """The parts of a sheet in which a line is done; `kind` begins their names.

    Raises FacescriptError (`no_file`) if the file of a line cannot be read.
    """
    for start in range(0, len(rows), SIZE):
        done = [row for row in rows[start : start + SIZE] if (entry := journal.entry(row)) and entry.done]
        if done:
            files = [folder / f"{row.file}.jsonl" for row in done]
            lines = tuple(Line(str(path), row.file, row.character) for row, path in zip(done, files, strict=True))
            said = [[row.file, row.digest, _sha256(path)] for row, path in zip(done, files, strict=True)]
            yield Part(_name(kind, start), lines, hashlib.sha256(json.dumps(said).encode()).hexdigest())


def blends(count: int, folder: Path) -> list[Path]:
    """The .blend files that the actions of so many lines may be written to."""
    return [folder / f"{_name('actions', start)}.blend" for start in range(0, count, SIZE)]


def partial_blend(path: Path) -> Path:
    """Where a .blend is written before it is whole."""
    return path.with_name(f"{path.stem}.partial.blend")


def _name(kind: str, start: int) -> str:
    """What the part is called that begins with a line."""
    return f"{kind}_{start // SIZE + 1:04}"


def _sha256(path: Path) -> str:
    # A row that is performed again may come out otherwise: from a server, or on another machine.
    with open_regular(path) as stream:
        return hashlib.sha256(stream.read()).hexdigest()


def due_actions(rows: Sequence[Row], journal: Journal, folder: Path) -> list[tuple[Part, Path]]:
    """The parts of actions that are not there, or not as they would be now, with their .blend files."""
    found = [(part, folder / f"{part.name}.blend") for part in parts("actions", rows, journal, folder)]
    return [(part, path) for part, path in found if is_due(part, journal) or not path.is_file()]


def is_due(part: Part, journal: Journal) -> bool:
    """Whether a part was never dealt with, or with other lines or performances in it."""
    return journal.part(part.name).get("of") != part.digest
