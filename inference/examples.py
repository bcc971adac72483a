# SPDX-License-Identifier: GPL-3.0-or-later
"""Worked examples for models that were not trained here, chosen by likeness of words.

Likeness is the cosine of TF-IDF vectors (Salton and Buckley 1988: term frequency dampened by the logarithm,
times the inverse document frequency).
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..performance import Keyframe, Performance, jsonl

_WORD = re.compile(r"[a-z']+")
DATA = Path(__file__).parent / "data" / "performances"


class Index:
    """Finds the texts that are most like another text."""

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [_words(text) for text in texts]
        seen = Counter(word for count in counts for word in count)
        self._idf = {word: math.log((1 + len(texts)) / (1 + n)) + 1.0 for word, n in seen.items()}
        self._postings: dict[str, list[tuple[int, float]]] = {}
        for number, count in enumerate(counts):
            for word, weight in self._vector(count).items():
                self._postings.setdefault(word, []).append((number, weight))

    def _vector(self, count: Counter[str]) -> dict[str, float]:
        raw = {word: (1.0 + math.log(n)) * self._idf[word] for word, n in count.items() if word in self._idf}
        length = math.sqrt(sum(weight * weight for weight in raw.values())) or 1.0
        return {word: weight / length for word, weight in raw.items()}

    def nearest(self, text: str, count: int) -> list[int]:
        """The numbers of up to `count` texts, the most alike first; ties by their order."""
        scores: dict[int, float] = {}
        for word, weight in self._vector(_words(text)).items():
            for number, other in self._postings[word]:
                scores[number] = scores.get(number, 0.0) + weight * other
        return [number for number, _ in sorted(scores.items(), key=lambda item: (-item[1], item[0]))[:count]]


def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.lower()))


class Examples:
    """The performances that examples are drawn from."""

    def __init__(self, performances: Sequence[Performance]) -> None:
        self._performances = tuple(performances)
        self._keyframes = tuple((p, k) for p in self._performances for k in p.keyframes)
        self._by_text = Index([keyframe.text for _, keyframe in self._keyframes])
        self._by_script = Index([f"{p.brief.script} {p.brief.emotion} {p.brief.emotion}" for p in self._performances])

    @classmethod
    def load(cls, folder: Path = DATA) -> Examples:
        """Read them from a folder's files of JSON lines; none if there is no such folder."""
        return cls([found for path in sorted(folder.glob("*.jsonl")) for found in jsonl.read_performances(path)])

    def keyframes_like(self, description: str, count: int) -> list[tuple[Performance, Keyframe]]:
        """Up to `count` keyframes whose description is most like `description`, the most alike first.

        None where no word is the same.
        """
        return [self._keyframes[number] for number in self._by_text.nearest(description, count)]

    def keyframes_for(self, description: str, count: int) -> list[tuple[Performance, Keyframe]]:
        """As `keyframes_like`, but the first ones where no word is the same, as with a description in another language.

        What an answer looks like can be seen from any.
        """
        return self.keyframes_like(description, count) or list(self._keyframes[:count])

    def performances_like(self, script: str, emotion: str, count: int) -> list[Performance]:
        """Up to `count` performances whose script and emotion are most alike, the most alike first.

        The first ones where no word is the same, as with a script in another language.
        """
        found = self._by_script.nearest(f"{script} {emotion} {emotion}", count)
        return [self._performances[number] for number in found] or list(self._performances[:count])
