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
from itertools import islice
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
# Sentences that one message, with its values, has at most: none has more than three, and values are rarely sentences.
_MOST_SENTENCES = 8

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
    return _Reader(look_up).whole(text) or text if text and _patterns() else text


class _Reader:
    """Translates one text. Each part of it is read once: there are very many ways to part one of many sentences."""

    def __init__(self, look_up: Lookup) -> None:
        self._look_up = look_up
        self._whole: dict[str, str] = {}

    def whole(self, text: str) -> str:
        """The translation, or "" if there is none."""
        if text not in self._whole:
            self._whole[text] = self._known(text) or self._sentences(text) or self._filled(text)
        return self._whole[text]

    def _known(self, text: str) -> str:
        found = self._look_up(text)
        return found if found != text else ""

    def _sentences(self, text: str) -> str:
        """Its first sentences as one message, and the rest; a hint must not be taken for the end of a message's
        value."""
        for between in reversed(list(islice(_BETWEEN.finditer(text), _MOST_SENTENCES))):
            head, tail = text[: between.start()], text[between.end() :]
            first = self._known(head) or self._filled(head)
            rest = first and self.whole(tail)
            if rest:
                return f"{first}{between.group()}{rest}"
        return ""

    def _filled(self, text: str) -> str:
        template, values = _recognised(text)
        if not template:
            return ""
        # A value of one word is a name or a number.
        return self._look_up(template).format(*((self.whole(v) or v) if " " in v else v for v in values))


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
