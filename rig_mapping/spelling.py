# SPDX-License-Identifier: GPL-3.0-or-later
"""How a shape's name may be written: its words, abbreviated or not, and where its side stands. Pure Python.

The words are in `spelling.json`, each with its abbreviations beside its first letter and its other consonants.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from .profiles import Profile
from .tables import Table

FILE = Path(__file__).with_name("spelling.json")
SIDES = ("left", "right")

_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+")
_LETTERS = {"l": "left", "r": "right"}


class Token(NamedTuple):
    """A word of a name: lower case, where it is, what it can mean (itself first, then what it abbreviates), and the
    side that it names, or ""."""

    text: str
    start: int
    end: int
    meanings: tuple[str, ...]
    side: str


class Spelling(NamedTuple):
    """What a run of letters spells.

    `shape`: "" for a name that is only evidence of the family; `half` are its letters then, else "left" or "right" of
    a shape without a side that a rig may split. `place`: where the side stands: "own" as
    published, else "end", "front" or "middle"; "" if there is none. `short`: the side is one letter.
    """

    shape: str
    half: str
    place: str
    short: bool


@dataclass(frozen=True)
class Words:
    """`spelling.json`: harmless and telling words around a name, middles and abbreviations."""

    prefixes: frozenset[str]
    decoys: frozenset[str]
    middle: frozenset[str]
    meanings: Mapping[str, tuple[str, ...]]


@cache
def words() -> Words:
    """The common words. Raises FacescriptError (`bad_table`)."""
    table = Table.load(FILE)
    table.only("prefixes", "decoys", "middle", "words")
    full = table.table("words")
    meanings: dict[str, list[str]] = {}
    for word in full.data:
        for text in dict.fromkeys((*full.texts(word), word[0] + re.sub("[aeiou]", "", word[1:]))):
            if text != word:
                meanings.setdefault(text, []).append(word)
    return Words(
        prefixes=frozenset(word.lower() for word in table.texts("prefixes")),
        decoys=frozenset(table.texts("decoys")),
        middle=frozenset(table.texts("middle")),
        meanings=MappingProxyType({text: tuple(found) for text, found in meanings.items()}),
    )


def normal(name: str) -> str:
    """The name in Unicode's form NFKC, so that full-width and half-width letters are the same."""
    return unicodedata.normalize("NFKC", name)


@lru_cache(maxsize=4096)
def tokens(text: str) -> tuple[Token, ...]:
    """A text's words: split at separators, at digits and where lower case meets upper case."""
    meanings = words().meanings
    found = []
    for match in _TOKEN.finditer(text):
        word = match[0].lower()
        means = (word, *meanings.get(word, ()))
        found.append(Token(word, match.start(), match.end(), means, next((m for m in means if m in SIDES), "")))
    return tuple(found)


def _places(parts: list[str], at: int) -> dict[str, list[str]]:
    """The words without a side (which stood at `at`) and where a side may be put in: place -> words with a gap ""."""
    rest = parts[:at] + parts[at + 1 :]
    places = {"own": at, "end": len(rest), "front": 0}
    places.update({f"middle{n}": n for n in range(1, len(rest))})
    return {place: [*rest[:n], "", *rest[n:]] for place, n in places.items()}


def _ways(parts: list[str], at: int, which: str) -> dict[str, tuple[str, bool]]:
    """Letters -> (place, short) for words whose side stands at `at`."""
    ways: dict[str, tuple[str, bool]] = {}
    for place, gapped in _places(parts, at).items():
        for text, short in ((which, False), (which[0], True)):
            ways.setdefault("".join(word or text for word in gapped), (place.rstrip("0123456789"), short))
    return ways


@lru_cache(maxsize=128)
def spellings(profile: Profile) -> Mapping[str, Spelling]:
    """Letters in lower case -> what they spell. What two shapes could both be is left out, the published form stays."""
    table: dict[str, Spelling] = {}
    published: dict[str, Spelling] = {}
    clashes: set[str] = set()

    def add(letters: str, spelling: Spelling) -> None:
        other = table.setdefault(letters, spelling)
        if (other.shape, other.half) != (spelling.shape, spelling.half):
            clashes.add(letters)

    for shape in profile.shapes:
        for name in profile.spelled(shape):
            parts = [token.text for token in tokens(normal(name))]
            sided = [i for i, part in enumerate(parts) if _LETTERS.get(part, part) in SIDES]
            published.setdefault("".join(parts), Spelling(shape, "", "own" if sided else "", False))
            if len(sided) == 1:
                which = _LETTERS.get(parts[sided[0]], parts[sided[0]])
                for letters, (place, short) in _ways(parts, sided[0], which).items():
                    add(letters, Spelling(shape, "", place, short))
            elif sided:
                # Two sides (the left eye looks left): only as published, in full or by letters.
                for full in (_LETTERS.get, lambda part, _: part[0] if part in SIDES else part):
                    add("".join(full(part, part) for part in parts), Spelling(shape, "", "own", False))
            elif shape in profile.splits:
                for which in SIDES:
                    for letters, (place, short) in _ways([*parts, which], len(parts), which).items():
                        add(letters, Spelling(shape, which, "end" if place == "own" else place, short))
    for letters in clashes:
        del table[letters]
    for name in profile.evidence:
        letters = "".join(token.text for token in tokens(normal(name)))
        table.setdefault(letters, Spelling("", letters, "", False))
    for letters, spelling in published.items():
        table.setdefault(letters, spelling)
        if (table[letters].shape, table[letters].half) != (spelling.shape, spelling.half):
            table[letters] = spelling
    return MappingProxyType(table)
