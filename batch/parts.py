# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts in which a batch's lines go into .blend files and to a render farm: at most so many lines, so that a part
costs the same in a sheet of any length.

A part is made of lines that are done, from their files of JSON lines. The journal says which lines a part has, each
with a digest of what decides how it looks. By that, a line stays in its .blend wherever its row is moved to in the
sheet, a .blend is due again when its lines are others or look otherwise, and the farm gets only the lines that do.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..performance import FacescriptError
from ..performance.parsing import open_regular
from .journal import Journal
from .settings import Settings
from .sheet import Row

# Lines of a part, at most.
SIZE = 100
ACTIONS, PREVIEWS = "actions", "previews"


@dataclass(frozen=True)
class Line:
    """A line of a part: the file of its performance, its name, whose it is ("" where the sheet does not say), and a
    digest of its row, its performance and the faces."""

    path: str
    name: str
    character: str
    digest: str = ""


@dataclass(frozen=True)
class Part:
    """Some lines of a batch; `name` is what the journal calls it by. `kept` are lines that are not done now and keep
    their places in it."""

    name: str
    lines: tuple[Line, ...]
    kept: tuple[str, ...] = ()

    @property
    def said(self) -> dict[str, str]:
        """What the journal says of it: each line's digest, "" for one that is not done."""
        return dict.fromkeys(self.kept, "") | {line.name: line.digest for line in self.lines}


@dataclass(frozen=True)
class Work:
    """What a Blender is asked for: that there is a face for each of the `characters`, and the `parts`, each with the
    path of the .blend that is made of it. The other fields are those of `Settings`."""

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
                (Part(row["name"], tuple(Line(*line) for line in row["lines"])), row["blend"])
                for row in rows  # type: ignore[attr-defined]
            )
            blend, face, style = (str(entry[name]) for name in ("blend", "face", "style"))
            characters = tuple(str(name) for name in entry["characters"])  # type: ignore[attr-defined]
            return cls(blend, face, style, float(entry["fps"]), characters, parts)  # type: ignore[arg-type]
        except (KeyError, TypeError, ValueError) as error:
            raise FacescriptError("bad_json", "This is not the work of a batch.") from error


# Does the work, and yields the name of each part whose .blend is made. Raises FacescriptError.
Blender = Callable[[Work], Iterator[str]]


def due_actions(rows: Sequence[Row], journal: Journal, folder: Path, faces: str) -> list[Part]:
    """The parts of actions whose .blend is not there, or not as it would be now; `faces` is what `faces_digest` says.

    Raises FacescriptError (`no_file`) if the file of a line cannot be read.
    """
    told, lines = journal.parts(ACTIONS), _lines(rows, journal, folder, faces)
    found = {number: _part(number, some, lines) for number, some in _placed(rows, journal).items()}
    return [
        part
        for number, part in sorted(found.items())
        if part.lines and (part.said != told.get(number) or not blend_of(folder, part.name).is_file())
    ]


def empty_actions(rows: Sequence[Row], journal: Journal) -> list[str]:
    """The names of the parts of actions that had lines, of which none is in the sheet any more."""
    placed = _placed(rows, journal)
    return [
        _name(ACTIONS, number) for number, lines in journal.parts(ACTIONS).items() if lines and number not in placed
    ]


def due_previews(rows: Sequence[Row], journal: Journal, folder: Path, faces: str) -> list[Part]:
    """The lines that were not handed over as they are now, in parts of their own. Raises as `due_actions` does."""
    told = journal.parts(PREVIEWS)
    sent = {file: digest for lines in told.values() for file, digest in lines.items()}
    due = [line for line in _lines(rows, journal, folder, faces).values() if sent.get(line.name) != line.digest]
    starts = range(0, len(due), SIZE)
    return [
        Part(_name(PREVIEWS, number), tuple(due[start : start + SIZE]))
        for number, start in enumerate(starts, max(told, default=0) + 1)
    ]


def faces_digest(settings: Settings) -> str:
    """A digest of the file with the faces, "" for the demo face. Raises FacescriptError (`no_file`)."""
    return _sha256(Path(settings.blend)) if settings.blend else ""


def blend_of(folder: Path, name: str) -> Path:
    """Where the actions of a part go."""
    return folder / f"{name}.blend"


def partial_blend(folder: Path, name: str, run: str) -> Path:
    """Where a run of a batch has the actions of a part written: a Blender that outlives its run meets no other's."""
    return folder / f"{name}.{run}.partial.blend"


def blends(folder: Path) -> list[Path]:
    """All files of a folder that are named as actions are, partial ones among them."""
    names = os.listdir(folder) if folder.is_dir() else []
    return [folder / name for name in names if re.match(rf"{ACTIONS}_\d+\..*blend", name, re.IGNORECASE)]


def partial_blends(folder: Path) -> list[Path]:
    """What runs that were killed have left of actions."""
    return [path for path in blends(folder) if ".partial." in path.name]


def _placed(rows: Sequence[Row], journal: Journal) -> dict[int, list[Row]]:
    """The rows of each part of actions, by its number: a row stays where the journal has it, and new ones fill the
    last part, then further ones."""
    known = {file: number for number, lines in journal.parts(ACTIONS).items() for file in lines}
    found: dict[int, list[Row]] = {}
    for row in rows:
        if row.file in known:
            found.setdefault(known[row.file], []).append(row)
    last = max(found, default=1)
    for row in rows:
        if row.file not in known:
            if len(found.get(last, ())) >= SIZE:
                last += 1
            found.setdefault(last, []).append(row)
    return found


def _part(number: int, rows: Sequence[Row], lines: Mapping[str, Line]) -> Part:
    done = tuple(lines[row.file] for row in rows if row.file in lines)
    return Part(_name(ACTIONS, number), done, tuple(row.file for row in rows if row.file not in lines))


def _lines(rows: Sequence[Row], journal: Journal, folder: Path, faces: str) -> dict[str, Line]:
    """The lines that are done, by their names and in the sheet's order."""
    done = [row for row in rows if (entry := journal.entry(row)) and entry.done]
    return {row.file: _line(row, folder / f"{row.file}.jsonl", faces) for row in done}


def _line(row: Row, path: Path, faces: str) -> Line:
    # A row that is performed again may come out otherwise: from a server, or on another machine.
    looks = json.dumps([row.digest, _sha256(path), faces])
    return Line(str(path), row.file, row.character, hashlib.sha256(looks.encode()).hexdigest())


def _name(kind: str, number: int) -> str:
    """What the journal calls a part by."""
    return f"{kind}_{number:04}"


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open_regular(path) as stream:
        # A file with faces may be larger than the memory.
        while some := stream.read(1 << 20):
            digest.update(some)
    return digest.hexdigest()
