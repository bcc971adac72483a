# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface in other languages, from `languages/*.json`: English message -> translation.

Blender looks up by itself what it draws as it stands. Texts with values in them, errors and notes are found again by
their templates ("{0} beats, {1} keys on {2} F-curves."), so that who says something need not know of languages; the
functions below are for the places where such texts reach the user, and are named as Blender's own scripts name them.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import bpy

FOLDER = Path(__file__).with_name("languages")

# For words that mean something else elsewhere in Blender: a face there is a part of a mesh, a line is drawn.
CONTEXT = "Facescript"
# Where Blender looks: for texts, for names of operators, and for what has our own context.
_CONTEXTS = ("*", "Operator", CONTEXT)

_NAME = __package__.rpartition(".")[0]
_FIELD = re.compile(r"\{\d+\}")
# Where a sentence ends and another begins.
_BETWEEN = re.compile(r"(?<=[.!?]) +")

Lookup = Callable[[str], str]

# Blender's stubs take its functions for ones that return nothing.
_translations: Any = bpy.app.translations


def iface_(text: str) -> str:
    """A text of the interface, if it is to be translated."""
    return translated(text, lambda message: _translations.pgettext_iface(message, CONTEXT))


def tip_(text: str) -> str:
    """A text of a tooltip, if those are to be translated."""
    return translated(text, lambda message: _translations.pgettext_tip(message, CONTEXT))


def rpt_(text: str) -> str:
    """A report, if those are to be translated."""
    return translated(text, lambda message: _translations.pgettext_rpt(message, CONTEXT))


def translated(text: str, look_up: Lookup) -> str:
    """A text of one or several messages; what `look_up` does not know stays as it is."""
    if not text or not _patterns():
        return text
    return _known(text, look_up) or _sentences(text, look_up) or _filled(text, look_up) or text


def _known(text: str, look_up: Lookup) -> str:
    found = look_up(text)
    return found if found != text else ""


def _sentences(text: str, look_up: Lookup) -> str:
    """Its first sentences as one message, and the rest; a hint must not be taken for the end of a message's value."""
    for between in reversed(list(_BETWEEN.finditer(text))):
        head, tail = text[: between.start()], text[between.end() :]
        first = _known(head, look_up) or _filled(head, look_up)
        rest = first and (_known(tail, look_up) or _sentences(tail, look_up) or _filled(tail, look_up))
        if rest:
            return f"{first}{between.group()}{rest}"
    return ""


def _filled(text: str, look_up: Lookup) -> str:
    template, values = _recognised(text)
    if not template:
        return ""
    # A value of one word is a name or a number.
    return look_up(template).format(*(translated(value, look_up) if " " in value else value for value in values))


@lru_cache(maxsize=1024)
def _recognised(text: str) -> tuple[str, tuple[str, ...]]:
    """The template that a text was made with, and its values; ("", ()) if none is known."""
    for template, pattern in _patterns():
        match = pattern.fullmatch(text)
        if match:
            return template, match.groups()
    return "", ()


@lru_cache(maxsize=1)
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    """Every template as a pattern, those with the most letters of their own first."""
    templates = {message for messages in languages().values() for message in messages if _FIELD.search(message)}
    ordered = sorted(templates, key=lambda t: (-len(_FIELD.sub("", t)), t))
    return tuple((t, re.compile("(.+?)".join(map(re.escape, _FIELD.split(t))), re.DOTALL)) for t in ordered)


@lru_cache(maxsize=1)
def languages() -> dict[str, dict[str, str]]:
    """Every language's messages by its code. A file that cannot be read is said on the console and left out."""
    found = {}
    for path in sorted(FOLDER.glob("*.json")):
        try:
            found[path.stem] = usable(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            traceback.print_exc()
    return found


def usable(messages: Mapping[str, Any]) -> dict[str, str]:
    """Those that are texts with the same fields as their messages. Raises ValueError if it is no table at all."""
    if not isinstance(messages, Mapping):
        raise ValueError("a language is an object of messages and translations")
    return {
        message: text
        for message, text in messages.items()
        if isinstance(text, str) and text and sorted(_FIELD.findall(text)) == sorted(_FIELD.findall(message))
    }


def register() -> None:
    """Give Blender the translations. What goes wrong with them never stops the extension: it speaks English then."""
    try:
        tables = {
            code: {(context, message): text for message, text in messages.items() for context in _CONTEXTS}
            for code, messages in languages().items()
        }
        _translations.register(_NAME, tables)
    except Exception:
        traceback.print_exc()


def unregister() -> None:
    """Undo `register`."""
    _translations.unregister(_NAME)
