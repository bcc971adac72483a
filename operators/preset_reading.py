# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a preset's file as data. Blender runs presets as Python; those of faces only say what is set to what.

So they are parsed as Python and never run: lines `face.NAME = VALUE` and `face.NAME.NAME = VALUE` count, with plain
values, beside the two lines that Blender writes first. Anything else is an error, and nothing is set then.
"""

from __future__ import annotations

import ast
import math
from pathlib import Path
from typing import Any

from ..performance import FacescriptError
from ..performance.parsing import is_whole, read_text

_MAX_BYTES = 64 << 10
_MAX_LINES = 200
# What Blender's own preset system puts first, and the name of what is set.
_DEFINE, _FACE = "face = bpy.context.window_manager.facescript_face", "face"


def read(path: Path) -> dict[tuple[str, ...], Any]:
    """What a preset sets: names from the face on -> a text, a number or a truth value.

    Raises FacescriptError: `no_file`, `large_file`, `bad_text`, `bad_preset` by the line.
    """
    return parse(read_text(path, _MAX_BYTES), path.name)


def parse(text: str, name: str) -> dict[tuple[str, ...], Any]:
    """`read`, of a text; `name` is the file's, for errors."""
    try:
        lines = ast.parse(text).body
    # ValueError: NUL; the others: brackets within brackets without end.
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _wrong(name, getattr(error, "lineno", None) or 1) from error
    if len(lines) > _MAX_LINES:
        raise _wrong(name, lines[_MAX_LINES].lineno)
    found: dict[tuple[str, ...], Any] = {}
    for line in lines:
        if _is_first(line, text):
            continue
        names, value = _setting(line, name)
        found[names] = value
    return found


def _is_first(line: ast.stmt, text: str) -> bool:
    docstring = isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
    imports = isinstance(line, ast.Import) and [alias.name for alias in line.names] == ["bpy"]
    return docstring or imports or ast.get_source_segment(text, line) == _DEFINE


def _setting(line: ast.stmt, name: str) -> tuple[tuple[str, ...], Any]:
    if not isinstance(line, ast.Assign) or len(line.targets) != 1:
        raise _wrong(name, line.lineno)
    names: list[str] = []
    part: ast.expr = line.targets[0]
    while isinstance(part, ast.Attribute):
        names.insert(0, part.attr)
        part = part.value
    known = isinstance(part, ast.Name) and part.id == _FACE and 1 <= len(names) <= 2
    if not known or any(attribute.startswith("_") for attribute in names):
        raise _wrong(name, line.lineno)
    try:
        value = ast.literal_eval(line.value)
    except (ValueError, TypeError, RecursionError, MemoryError, SyntaxError) as error:
        raise _wrong(name, line.lineno) from error
    fits = is_whole(value) if isinstance(value, str) else isinstance(value, (int, float)) and math.isfinite(value)
    if not fits:
        raise _wrong(name, line.lineno)
    return tuple(names), value


def _wrong(name: str, line: int) -> FacescriptError:
    what = f"{name}, line {line}: A preset only says what is set, such as face.emotion = 'joy'."
    return FacescriptError("bad_preset", what, "Save the preset again, or take that line out.")


def use(found: dict[tuple[str, ...], Any], face: Any, allowed: tuple[str, ...]) -> None:
    """Set what a preset says on a face; `allowed` are the names of its own properties that presets have.

    All or nothing: raises FacescriptError (`bad_preset`) for another name or a value that does not fit.
    """
    places = [(_owner(face, names, allowed), names[-1], value) for names, value in found.items()]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    try:
        for owner, name, value in places:
            setattr(owner, name, value)
    except (TypeError, ValueError, OverflowError) as error:
        for owner, name, value in before:
            setattr(owner, name, value)
        what = f"A value in the preset does not fit {name}."
        raise FacescriptError("bad_preset", what, "Save the preset again.") from error


def _owner(face: Any, names: tuple[str, ...], allowed: tuple[str, ...]) -> Any:
    owner = face
    for name in names[:-1]:
        owner = getattr(owner, name, None) if name in allowed else None
    properties = getattr(getattr(owner, "bl_rna", None), "properties", {})
    if names[0] not in allowed or names[-1] not in properties or names[-1] == "rna_type":
        hint = "It was made for another version, or by hand."
        raise FacescriptError("bad_preset", f"The preset sets {'.'.join(names)[:60]}, which presets do not.", hint)
    return owner
