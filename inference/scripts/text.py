# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain text as the script reader needs it: cleaned, cut into sentences, counted in words, and judged.

Every function is linear in the length of its text: regular expressions here are possessive or have no nested
or adjacent quantifiers over the same characters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path

from ..action_units import CODE

DATA = Path(__file__).parents[1] / "data"

# Line ends of every system and of Unicode.
_LINE_END = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# Unicode's stream-safe text has at most 30 combining marks in a row (UAX 15); more are not writing, and
# putting thousands of them in canonical order takes quadratic time.
_MAX_MARKS = 30
# Zero-width joiners stay: emoji, Persian and the scripts of India need them.
_KEPT_FORMAT = "\u200c\u200d"
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Cn", "Co"})

_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f"
_CJK_LETTER = re.compile(f"[{_CJK}]")
_WORD = re.compile(r"[^\W_]+(?:['’.\-][^\W_]+)*")
# Japanese runs at 7 to 8 morae a second, Mandarin at 5 syllables (Pellegrino et al. 2011), English at about
# 3 words: a character is about half a word long.
_WORDS_A_CJK_LETTER = 0.5
# A run of letters this much longer than a word (scripts without blanks, such as Thai) counts as several.
_LONG_WORD = 14
_LETTERS_A_WORD = 6

# Words after a smile within which its end is told.
_SOON = 3

_CLOSERS = "\"'”’»)]}」』】）*"
# Tried only where a run of stops begins: a run of thousands is then read once, not once for each of them.
_STOP = re.compile(
    f"(?<![.!?…؟।۔])[.!?…؟।۔]++[{re.escape(_CLOSERS)}]*+(?=\\s)|(?<![。！？])[。！？]++[{re.escape(_CLOSERS)}]*+"
)

_FIRST_SECOND = frozenset(
    [
        "i",
        "i'm",
        "i've",
        "i'll",
        "i'd",
        "me",
        "my",
        "mine",
        "myself",
        "you",
        "you're",
        "you've",
        "you'll",
        "you'd",
        "your",
        "yours",
        "yourself",
        "we",
        "we're",
        "we've",
        "we'll",
        "us",
        "our",
        "ours",
        "let's",
    ]
)
# People speak in these; prose uses them only after naming whom it tells of.
_SPOKEN = frozenset(
    [
        "don't",
        "can't",
        "won't",
        "isn't",
        "aren't",
        "wasn't",
        "didn't",
        "doesn't",
        "it's",
        "that's",
        "there's",
        "what's",
        "where's",
        "who's",
        "here's",
        "he's",
        "she's",
        "they're",
        "he'd",
        "she'd",
        "he'll",
        "she'll",
        "they'll",
        "they've",
        "how's",
        "ain't",
    ]
)
_THIRD = frozenset(["he", "she", "they", "his", "her", "hers", "him", "their", "them", "himself", "herself"])


@cache
def words_of(section: str, file: str = "face_words.txt") -> frozenset[str]:
    """The words of one `[section]` of a word list in `data`, in lower case."""
    found: list[str] = []
    inside = False
    for line in (DATA / file).read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("["):
            inside = line == f"[{section}]"
        elif inside:
            found += line.lower().split()
    return frozenset(found)


def clean(text: str) -> str:
    """NFC, one kind of line end, tabs and odd blanks as blanks, nothing invisible (controls, bidi overrides)."""
    text = _LINE_END.sub("\n", text)
    kept: list[str] = []
    marks = 0
    for char in text:
        if char == "\n":
            kept.append(char)
            continue
        marks = marks + 1 if unicodedata.combining(char) else 0
        if char.isspace():
            kept.append(" ")
        elif marks <= _MAX_MARKS and (char in _KEPT_FORMAT or unicodedata.category(char) not in _INVISIBLE):
            kept.append(char)
    return unicodedata.normalize("NFC", "".join(kept))


def squeeze(text: str) -> str:
    """Runs of blanks as one, none at the ends."""
    return " ".join(text.split())


def has_content(text: str) -> bool:
    """Whether the text holds a letter, a digit or a symbol (an emoji), not only punctuation and blanks."""
    return any(char.isalnum() or unicodedata.category(char) == "So" for char in text)


def word_count(text: str) -> float:
    """How many English words' worth of speech the text is; 0.0 without any letter or digit."""
    total = 0.0
    for match in _WORD.finditer(text):
        word = match.group()
        cjk = len(_CJK_LETTER.findall(word))
        rest = len(word) - cjk
        total += cjk * _WORDS_A_CJK_LETTER
        if rest > (_LONG_WORD if "-" not in word else 3 * _LONG_WORD):
            total += rest / _LETTERS_A_WORD
        elif rest:
            total += 1.0
    return total


def lower_words(text: str) -> list[str]:
    """The text's words in lower case, with straight apostrophes."""
    return [word.lower().replace("’", "'") for word in _WORD.findall(text)]


def sentences(text: str) -> list[str]:
    """Cut prose after its sentences, not after abbreviations, initials, decimals and mid-sentence ellipses."""
    found: list[str] = []
    start = 0
    for match in _STOP.finditer(text):
        end = match.end()
        if _ends_sentence(text, start, match):
            found.append(text[start:end].strip())
            start = end
    found.append(text[start:].strip())
    return [piece for piece in found if piece]


def _ends_sentence(text: str, start: int, match: re.Match[str]) -> bool:
    mark = match.group()
    if mark[0] in "。！？":
        return True
    # A window is enough, and keeps long runs without a break linear.
    after = text[match.end() : match.end() + 40].lstrip()
    following = next((char for char in after if char.isalnum()), "")
    if following.islower():
        return False
    if not has_content(text[max(start, match.start() - 200) : match.start()]):
        return False
    if mark[0] != "." or mark.startswith(".."):
        return True
    before = text[max(start, match.start() - 24) : match.start()].rsplit(None, 1)
    last = before[-1].lstrip("(\"'“‘[") if before else ""
    initial = len(last) == 1 and last.isupper() and last != "I"
    return not (initial or last.lower() in words_of("abbreviations"))


def tells_of_face(text: str) -> bool:
    """Whether the text says something that the face does (her smile dies), beside whatever else it says."""
    return bool(CODE.search(text)) or any(word.startswith(_stems()) for word in lower_words(text))


def ends_a_smile(text: str) -> bool:
    """Whether the text says that a smile is over (her smile dies)."""
    words, smiles, ends = lower_words(text), tuple(words_of("smile_stems")), tuple(words_of("end_stems"))
    return any(
        word.startswith(smiles) and any(later.startswith(ends) for later in words[place + 1 : place + 1 + _SOON])
        for place, word in enumerate(words)
    )


def pieces(text: str) -> list[str]:
    """A text's clauses, as its marks cut them."""
    return [piece for sentence in sentences(text) for piece in _split_after(sentence, _CLAUSE)]


@cache
def _stems() -> tuple[str, ...]:
    return tuple(sorted(words_of("face_stems")))


def is_face_description(text: str) -> bool:
    """Whether the text describes a face itself: brows knit, lips press, or AU1 + AU4.

    By the word list's parts and motions, and FACS's codes of action units (Ekman and Friesen 1978).
    """
    if CODE.match(text.strip()):
        return True
    words = lower_words(text)
    if not words or len(words) > 80 or "?" in text or "!" in text or _FIRST_SECOND & set(words):
        return False
    parts = {_singular(word) for word in words if word in words_of("parts")}
    motions = {word for word in words if word in words_of("motions")}
    share = sum(word in words_of("parts") or word in words_of("motions") for word in words) / len(words)
    if len(parts) >= 2 and motions:
        return share >= 0.3
    return bool(parts and motions) and share >= 0.6 and len(words) >= 2


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") else word


def is_speech(text: str) -> bool:
    """Whether text at a time of its own is said rather than a description: somebody is addressed or asked."""
    words = set(lower_words(text))
    return not words & words_of("parts") and bool(_FIRST_SECOND & words or "?" in text or "!" in text)


def is_action(text: str) -> bool:
    """Whether unquoted text tells what happens (She reads the letter) rather than what is said."""
    words = lower_words(text)
    if not words:
        return not has_content(text)
    prompt = text[0].islower() and text[-1] not in ".…,-—?!" and len(words) <= 6
    if prompt and words_of("parts") & set(words):
        return True
    if _FIRST_SECOND & set(words) or "?" in text or "!" in text:
        return False
    if words[0] in ("he", "she", "they") or is_face_description(text):
        return True
    # "Both eyes stay closed": what is said seldom begins with a part of a face, and "Nice smile." is.
    if len(words) > 3 and words_of("parts") & set(words[:3]) - {"face", "head", "smile", "stare"}:
        return True
    if _SPOKEN & set(words):
        return False
    if _THIRD & set(words) or (words[0].endswith("ing") and len(words) > 1):
        return True
    stage = words[0] in ("the", "a", "an") and len(words) > 3 and "..." not in text
    return prompt or stage


def clauses(text: str, limit: float) -> list[str]:
    """Cut a long sentence into pieces of about `limit` words: near clause marks, else conjunctions, else blanks."""
    pieces: list[str] = []
    for piece in _merge(_split_after(text, _CLAUSE), limit, _LEAST):
        if word_count(piece) <= 1.5 * limit:
            pieces.append(piece)
            continue
        for smaller in _merge(_split_after(piece, _CONJUNCTION), limit, _LEAST):
            whole = word_count(smaller) <= max(16.0, 2.0 * limit)
            pieces += [smaller] if whole else _chunks(smaller, max(10.0, limit))
    return pieces


_LEAST = 2.5
_CLAUSE = re.compile(r"[,;:][\"'”’]*(?=\s)|[—–](?=.)|\s-(?=\s)|[、，；：]")
_CONJUNCTION = re.compile(
    r"(?<=\s)(?=(?:and|but|because|so|when|while|then|until|till|like|who|which|if|as|that)\s)", re.I
)


def _split_after(text: str, pattern: re.Pattern[str]) -> list[str]:
    ends = [match.end() for match in pattern.finditer(text)]
    return [piece for a, b in zip([0, *ends], [*ends, len(text)], strict=True) if (piece := text[a:b].strip())]


def _merge(pieces: list[str], limit: float, least: float) -> list[str]:
    """Join neighbours up to `limit` words, and always what has fewer than `least`."""
    merged: list[list[str]] = []
    total = 0.0
    for piece in pieces:
        size = word_count(piece)
        if merged and (total + size <= limit or size < least or total < least):
            merged[-1].append(piece)
            total += size
        else:
            merged.append([piece])
            total = size
    return [" ".join(group) for group in merged]


def _chunks(text: str, limit: float) -> list[str]:
    """Cut at blanks into pieces of at most about `limit` words; a run without blanks is cut by its letters."""
    letters = max(8, int(limit * _LETTERS_A_WORD))
    tokens: list[str] = []
    for token in text.split():
        step = max(4, letters // 3) if _CJK_LETTER.search(token) else letters
        tokens += [token] if len(token) <= max(step, 40) else [token[i : i + step] for i in range(0, len(token), step)]
    return _merge(tokens, limit, 1.0)
