# SPDX-License-Identifier: GPL-3.0-or-later
"""Inputs that are nearly right: seeds with bytes, numbers, brackets and fields changed, and now and then blown up."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

# What parsers trip over.
_WORDS = (
    "NaN Infinity -Infinity 1e400 -1e400 1e-400 0 -0.0 -1 2147483648 9223372036854775808 1e308 true null {} []"
    r' "" "\ud800" "\u0000" \u202e \n , ; : . .. ../ / \ { } [ ] ( ) * _ - | <|im_start|> </s> 00:00:00:00 1;5 0x10 1_0'
    " ١ ½ ﬁ İ 𝟘 é \u200b \u202e \ufeff \U0001f600"
)
_TOKENS: tuple[bytes, ...] = (
    *(word.encode() for word in _WORDS.split(" ")),
    *(b"\xff\xfe", b"\xed\xa0\x80", b"\xc0\x80", b"\x00", b"\x1a", b"\x7f", b" ", b"\n", b"\r\n", b"\t", b'"', b"'"),
    *(b"\xe2\x80\xa8", b"9" * 50, b"[" * 60, b'{"a":' * 40, b" " * 200, b"(" * 100, b"\n" * 100),
)
_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2,
        0.5,
        1.5,
        -0.5,
        1e308,
        10**30,
        "",
        "0.5",
        "NaN",
        "x" * 300,
        "\u202e",
        [],
        {},
        [[]],
    ),
    *({"": 0}, [0], ["a", "a"], "\ud800", "\x00", "a\nb"),
)
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE]-?\d+)?")
# Of so many inputs one is blown up to this many bytes at the most, to find what takes more than linear time.
_SELDOM, _LARGE = 500, 400_000
_USUAL = 20_000


class Mutator:
    """Makes inputs from seeds; the same for the same random numbers."""

    def __init__(self, seeds: Sequence[bytes], random: Random) -> None:
        self._seeds = list(seeds) or [b""]
        self._random = random
        self._ways: tuple[Callable[[bytes], bytes], ...] = (
            *(self._flip, self._insert, self._cut, self._repeat, self._splice, self._number, self._number),
            *(self._fields, self._fields, self._fields, self._swap),
        )

    def next(self) -> bytes:
        """The next input."""
        random = self._random
        data = random.choice(self._seeds)
        if random.randrange(_SELDOM) == 0:
            return self._blown_up(data)
        for _ in range(min(8, 1 + int(random.expovariate(0.7)))):
            data = random.choice(self._ways)(data)
        return data[:_USUAL]

    def _place(self, data: bytes) -> int:
        return self._random.randrange(len(data) + 1)

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return data
        changed = bytearray(data)
        for _ in range(self._random.randint(1, 4)):
            changed[self._random.randrange(len(changed))] ^= 1 << self._random.randrange(8)
        return bytes(changed)

    def _insert(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + self._random.choice(_TOKENS) + data[at:]

    def _cut(self, data: bytes) -> bytes:
        begin, end = sorted((self._place(data), self._place(data)))
        return data[:begin] + data[end:] if self._random.random() < 0.7 else data[:begin]

    def _repeat(self, data: bytes) -> bytes:
        begin, end = sorted((self._place(data), self._place(data)))
        return data[:end] + data[begin:end][:500] * self._random.randint(1, 5) + data[end:]

    def _splice(self, data: bytes) -> bytes:
        other = self._random.choice(self._seeds)
        return data[: self._place(data)] + other[self._place(other) :]

    def _swap(self, data: bytes) -> bytes:
        lines = data.split(b"\n")
        self._random.shuffle(lines)
        return b"\n".join(lines)

    def _number(self, data: bytes) -> bytes:
        found = list(_NUMBER.finditer(data[:_USUAL]))
        if not found:
            return self._insert(data)
        match = self._random.choice(found)
        return data[: match.start()] + self._random.choice(_TOKENS) + data[match.end() :]

    def _fields(self, data: bytes) -> bytes:
        """Change, take away or rename a field of JSON, which bytes alone seldom hit."""
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return self._insert(data)
        places: list[tuple[Any, Any]] = []
        parts = [value]
        while parts and len(places) < 2000:
            part = parts.pop()
            rows = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
            for key, inner in rows:
                places.append((part, key))
                parts.append(inner)
        if not places:
            return json.dumps(self._random.choice(_VALUES)).encode()
        part, key = self._random.choice(places)
        if isinstance(part, dict) and self._random.random() < 0.3:
            held = part.pop(key)
            if self._random.random() < 0.6:
                part[self._random.choice(("", "a", "id", "pose", "t", str(key).upper(), f"{key} "))] = held
        else:
            part[key] = self._random.choice(_VALUES)
        return json.dumps(value, ensure_ascii=self._random.random() < 0.7).encode("utf-8", "surrogatepass")

    def _blown_up(self, data: bytes) -> bytes:
        piece = self._random.choice((data, self._random.choice(_TOKENS), data[self._place(data) :][:40]))
        many = piece * (self._random.randint(_LARGE // 8, _LARGE) // max(1, len(piece)))
        at = self._place(data)
        return self._random.choice((many, data[:at] + many + data[at:], data + many))
