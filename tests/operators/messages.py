# SPDX-License-Identifier: GPL-3.0-or-later
"""Finds what the extension says: in the source, as templates whose fields are numbered, and in what is registered."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Errors come from all of these; everything else that is read is said by the first two.
PACKAGES = ("operators", "panels", "rig_mapping", "performance", "inference", "demo_face")
_SPOKEN = ("operators", "panels")
# What speaks on a terminal, in the worker, or by another's command.
_SKIPPED = (
    "operators/batch_actions.py",
    "operators/command_line.py",
    "operators/language.py",
    "operators/presets/",
    "inference/worker",
    "inference/json_lines.py",
    "inference/start.py",
    # What is wrong inside a file, with packages or in what the worker says stays in English, as it is searched for.
    "inference/setup/child_process.py",
    "inference/client.py",
    "inference/options.py",
    "inference/setup/pip_progress.py",
    "inference/protocol.py",
    "inference/setup/runtime.py",
    "inference/setup/package_index.py",
    "inference/setup/setting_up.py",
    "inference/setup/steps.py",
    "inference/setup/wheels.py",
    "inference/setup/work.py",
    "inference/setup/locks.py",
    "inference/setup/fetching.py",
    "inference/setup/offline.py",
    "performance/jsonl.py",
    "performance/keyframeface.py",
    "performance/live_link.py",
    "performance/model.py",
    "performance/pose.py",
)

_DRAWN = ("text", "heading", "placeholder", "name", "description")


def said(root: Path) -> dict[str, str]:
    """Every message of the source under `root` -> the file that it is in."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if not name.startswith(_SKIPPED):
                for message in _messages(ast.parse(path.read_text(encoding="utf-8")), package in _SPOKEN):
                    found.setdefault(message, name)
    return found


def _messages(tree: ast.Module, spoken: bool) -> Iterator[str]:
    for scope in ast.walk(tree):
        if isinstance(scope, ast.Call) and _name(scope.func) in ("FacescriptError", "Refused"):
            for argument in scope.args[1:3]:
                yield from filter(_worded, _texts(argument, _assigned(tree, argument)))
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if ast.unparse(call.func) == "warnings.append":
            yield from filter(_worded, _texts(call.args[0], []))
    if not spoken:
        return
    skipped = {id(node) for node in _silent(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg in _DRAWN:
                    yield from filter(_worded, _texts(keyword.value, []))
        if isinstance(node, (ast.Constant, ast.JoinedStr)) and id(node) not in skipped:
            yield from filter(_sentence, _texts(node, []))


def _name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _assigned(tree: ast.Module, argument: ast.expr) -> list[ast.expr]:
    """What a name stands for: all that is assigned to it in the module."""
    if not isinstance(argument, ast.Name):
        return []
    assigns = (node for node in ast.walk(tree) if isinstance(node, ast.Assign))
    return [node.value for node in assigns if any(_name(target) == argument.id for target in node.targets)]


def _texts(node: ast.expr, assigned: list[ast.expr]) -> Iterator[str]:
    """The templates that an expression can give; a choice of words inside one gives one template for each."""
    if isinstance(node, ast.Name):
        for value in assigned:
            yield from _texts(value, [])
    elif isinstance(node, ast.IfExp):
        yield from _texts(node.body, assigned)
        yield from _texts(node.orelse, assigned)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _texts(value, assigned)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        for left, right in itertools.product(_texts(node.left, assigned), _texts(node.right, assigned) or [""]):
            yield left + right
    elif isinstance(node, ast.JoinedStr):
        for parts in itertools.product(*(list(_part(part)) for part in node.values)):
            yield _numbered(parts)


def _part(node: ast.expr) -> Iterator[str | None]:
    if isinstance(node, ast.Constant):
        yield str(node.value)
    elif isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.IfExp):
        yield from _texts(node.value, [])
    else:
        yield None


def _numbered(parts: tuple[str | None, ...]) -> str:
    count = itertools.count()
    return "".join(part if part is not None else f"{{{next(count)}}}" for part in parts).strip()


def _silent(tree: ast.Module) -> Iterator[ast.AST]:
    """Docstrings, and the parts of f-strings."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            statement = node.body[0]
            assert isinstance(statement, ast.Expr)
            yield statement.value
        if isinstance(node, ast.JoinedStr):
            yield from (part for part in ast.walk(node) if part is not node)


def _worded(text: str) -> bool:
    return bool(re.search(r"[A-Za-z]{2}", re.sub(r"\{\d+\}", "", text)))


def _sentence(text: str) -> bool:
    plain = re.sub(r"\{\d+\}", "", text)
    return bool(re.search(r"[A-Za-z]{2,}.* |^[A-Z][a-z]+$| [a-z]{2,}", plain)) and "\n" not in text and _worded(text)


def registered(bpy: Any) -> dict[str, str]:
    """Every label, name and description of what is registered, as Blender looks it up -> what it is of."""
    found: dict[str, str] = {}
    classes = {name: getattr(bpy.types, name) for name in dir(bpy.types) if name.startswith("FACESCRIPT_")}
    groups = [cls for cls in bpy.types.PropertyGroup.__subclasses__() if cls.is_registered]
    classes |= {cls.__name__: cls for cls in groups if cls.__name__.startswith("FACESCRIPT_")}
    for name, cls in classes.items():
        rna = cls.bl_rna
        if "_OT_" in name:
            rna = getattr(bpy.ops.facescript, name.partition("_OT_")[2]).get_rna_type()
        if "_PG_" not in name:
            for text in (getattr(cls, "bl_label", ""), rna.description or cls.__doc__ or ""):
                found.setdefault(text, name)
        for prop in rna.properties:
            if prop.is_hidden or prop.identifier in ("rna_type", "name") or prop.identifier.startswith("bl_"):
                continue
            if prop.name == prop.identifier:
                # A group or a list, which has no label of its own.
                continue
            for part in (prop, *(prop.enum_items if prop.type == "ENUM" else ())):
                found.setdefault(part.name, f"{name}.{prop.identifier}")
                found.setdefault(part.description, f"{name}.{prop.identifier}")
    return {text: place for text, place in found.items() if _worded(text)}
