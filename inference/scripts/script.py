# SPDX-License-Identifier: GPL-3.0-or-later
"""The script reader: what the user typed, as a list of moments.

A script is one moment a line, or free prose and dialogue that is cut into sensible beats. How its marks read
is in `marks`, how its sentences are cut in `text`; here they become moments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice

from ...performance.errors import FacescriptError
from ...performance.model import MAX_SCRIPT, MAX_TEXT
from . import marks
from . import text as words
from .marks import Token, Turn

# Each moment costs the model a description and a pose. 600 are a quarter of an hour of acting.
MAX_MOMENTS = 600
# Past this many words a line is not one moment any more, even where the user wrote one a line.
LONG_LINE = 25.0
# How a silence within speech ("Well... yes") counts, in seconds.
ELLIPSIS = 0.5
# Fewer words than this are never a moment beside others of their kind ("Ow. Ow, ow.").
TINY = 2.0

_BULLET = re.compile(r"(?:[-*•–—]|\d{1,3}[.)])\s+(?=\S)")
_HEADING = re.compile(r"(?:INT|EXT|EST|I/E)[./ ]|(?:FADE (?:IN|OUT)|CUT TO|DISSOLVE TO)\b")
_CUE = re.compile(r"[A-Z][A-Z0-9.'’\- ]{1,30}(?:\s?\([^()]{1,30}\))?")
_ASIDE = re.compile(r"\([^()]{1,60}\)")
_LEADING_DOTS = re.compile(r"(?:\.\.+|…+)\s*")


@dataclass(frozen=True)
class Moment:
    """One moment of a script.

    `line` is its 1-based line in the user's text; `speech` the words spoken and `direction` what directions or
    action prose say (either may be ""); `at` its time in seconds if the user gave one; `pause` the seconds of
    silence before it; `described` is True if `direction` is the user's own description of the face.
    """

    line: int
    speech: str = ""
    direction: str = ""
    at: float | None = None
    pause: float = 0.0
    described: bool = False

    @property
    def words(self) -> str:
        """All of its words in one line, as the planner reads them: what is done in brackets if something is said."""
        direction = f"({self.direction})" if self.direction and self.speech else self.direction
        return " ".join(part for part in (direction, self.speech) if part)


@dataclass(frozen=True)
class _Atom:
    """The smallest piece that is not cut further: a moment, with how it holds to the atom before it."""

    moment: Moment
    breaks: bool = False  # a new speaker, or a pause that was asked for: never joined to the one before
    follows: bool = False  # the rest of a sentence that a quote began: always joined to the one before

    @cached_property
    def size(self) -> float:
        return words.word_count(self.moment.speech) + words.word_count(self.moment.direction)


def read_script(text: str) -> tuple[Moment, ...]:
    """Read a script into its moments, in order; at least one.

    Raises FacescriptError: `empty_script` without any word, `long_script` over MAX_SCRIPT characters or
    MAX_MOMENTS moments, `long_text` for one description over MAX_TEXT characters, `bad_time` for a time that
    is not one or does not come after the one before. Each names the line.
    """
    if len(text) > MAX_SCRIPT:
        raise FacescriptError(
            "long_script",
            f"The script has {len(text):,} characters; the limit is {MAX_SCRIPT:,}.",
            "Split it into several performances.",
        )
    text = words.clean(text)
    if not words.has_content(text):
        raise FacescriptError("empty_script", "The script has no words.", "Type what the character says or does.")
    lines = [(n, words.squeeze(line)) for n, line in enumerate(text.split("\n"), start=1)]
    # Read no further than the first moment past the limit: what is refused is refused at once.
    moments = tuple(islice(_carry(_read_lines(_spoken_lines(lines))), MAX_MOMENTS + 1))
    if not moments:
        # Nothing but marks, headings or names: better taken as plain words than refused.
        plain = (Moment(n, direction=line[:MAX_TEXT]) for n, line in lines if words.has_content(line))
        moments = tuple(islice(plain, MAX_MOMENTS + 1))
    _check(moments)
    return moments


def _spoken_lines(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Leave out blank lines, a screenplay's headings, and the names that stand alone above what they say."""
    kept: list[tuple[int, str]] = []
    after_name, aside = False, ""
    for (number, line), (_, following) in zip(lines, [*lines[1:], (0, "")], strict=True):
        if not line or _HEADING.match(line):
            continue
        if _CUE.fullmatch(line) and following and not following.isupper() and line[-1] != ".":
            after_name = True
        elif after_name and following and _ASIDE.fullmatch(line):
            aside = f"{line} "
        else:
            kept.append((number, aside + line))
            after_name, aside = False, ""
    return kept


def _read_lines(lines: list[tuple[int, str]]) -> Iterator[Moment]:
    many = len(lines) > 1
    for number, line in lines:
        atoms = _line_atoms(number, _BULLET.sub("", line, count=1) if _BULLET.match(line) else line, many)
        total = sum(atom.size for atom in atoms)
        yield from _join(atoms, None) if many and total <= LONG_LINE else _paragraph(atoms, total)


def _carry(moments: Iterator[Moment]) -> Iterator[Moment]:
    """Give the time and the pause of a line that holds nothing else to the moment after it."""
    pause, at = 0.0, None
    for moment in moments:
        pause = min(marks.MAX_PAUSE, pause + moment.pause)
        if at is not None and moment.at is None and not moment.speech:
            # A time on a line of its own makes a description of the next line, as it would in front of it.
            moment = replace(moment, described=True)
        at = moment.at if moment.at is not None else at
        if moment.speech or moment.direction:
            yield replace(moment, pause=pause, at=at)
            pause, at = 0.0, None


# --- one line -----------------------------------------------------------------------------------------------


def _line_atoms(line: int, text: str, many: bool) -> list[_Atom]:
    found: list[_Atom] = []
    for turn in marks.turns(text):
        atoms = _turn_atoms(line, turn, many)
        if atoms and turn.speaker:
            atoms[0] = replace(atoms[0], breaks=True)
        found += atoms
    return found


def _turn_atoms(line: int, turn: Turn, many: bool) -> list[_Atom]:
    found: list[_Atom] = []
    segment: list[Token] = [Token("direction", turn.aside)] if turn.aside else []
    at: float | None = None
    for token in [*marks.tokens(turn.text, line), None]:
        if token is None or token.kind == "time":
            found += _segment_atoms(line, segment, at, turn, many)
            segment, at = [], token.seconds if token else None
        else:
            segment.append(token)
    return found


def _segment_atoms(line: int, segment: list[Token], at: float | None, turn: Turn, many: bool) -> list[_Atom]:
    """The atoms of what stands between two times."""
    if not segment:
        return [_Atom(Moment(line, at=at))] if at is not None else []
    plain = [token for token in segment if token.kind != "pause"]
    raw = " ".join(token.text if token.kind != "direction" else f"({token.text})" for token in plain)
    if _is_described(plain, raw, at, turn):
        pause = sum(token.seconds for token in segment if token.kind == "pause")
        if len(plain) == 1:
            raw = plain[0].text
        pieces = [raw] if at is not None or many else words.sentences(raw)
        first = _Atom(Moment(line, "", pieces[0], at, pause, True))
        return [first, *(_Atom(Moment(line, "", piece, None, 0.0, True)) for piece in pieces[1:])]
    atoms = _Builder(line, segment, acted=marks.is_directing(turn.speaker) if turn.speaker else None).atoms()
    if atoms and at is not None:
        atoms[0] = replace(atoms[0], moment=replace(atoms[0].moment, at=at))
    return atoms


def _is_described(plain: list[Token], raw: str, at: float | None, turn: Turn) -> bool:
    if not plain or any(token.kind == "quote" for token in plain):
        return False
    if turn.speaker:
        return marks.is_describing(turn.speaker)
    if at is not None:
        return not words.is_speech(raw)
    return words.is_face_description(raw)


class _Builder:
    """Turns the tokens between two times into atoms: directions wait for the speech that follows them."""

    def __init__(self, line: int, segment: list[Token], acted: bool | None) -> None:
        self._line = line
        self._segment = segment
        unquoted = " ".join(token.text for token in segment if token.kind == "text")
        quoted = any(token.kind == "quote" for token in segment)
        self._acted = quoted or words.is_action(unquoted) if acted is None else acted
        self._found: list[_Atom] = []
        self._waiting = ""
        self._pause = 0.0
        self._asked = False

    def atoms(self) -> list[_Atom]:
        """All atoms, in order; a pause at the end is an atom without words."""
        previous = None
        for token, following in zip(self._segment, [*self._segment[1:], None], strict=True):
            if token.kind == "pause":
                self._flush()
                self._pause += token.seconds
                self._asked = True
            elif token.kind == "direction":
                self._direction(token.text)
            elif token.kind == "quote" or not self._acted:
                self._speech(token.text)
            else:
                self._prose(token.text, previous, following)
            previous = token
        self._flush()
        if self._pause:
            self._add("", "")
        return self._found

    def _add(self, speech: str, direction: str, follows: bool = False) -> None:
        moment = Moment(self._line, speech, direction, None, self._pause)
        self._found.append(_Atom(moment, breaks=self._asked, follows=follows))
        self._pause, self._asked = 0.0, False

    def _flush(self) -> None:
        if self._waiting:
            self._add("", self._waiting)
            self._waiting = ""

    def _direction(self, text: str) -> None:
        self._flush()
        own = (text[0].isupper() and text[-1] in ".!?…") or words.word_count(text) > 8
        if own:
            for piece in words.sentences(text) if words.word_count(text) > 10 else [text]:
                self._add("", piece)
        else:
            self._waiting = text

    def _speech(self, text: str) -> None:
        for sentence in words.sentences(text):
            if dots := _LEADING_DOTS.match(sentence):
                self._flush_if_silent(sentence[dots.end() :])
                sentence = sentence[dots.end() :]
            sentence = words.squeeze(sentence.replace("*", ""))
            if words.has_content(sentence):
                self._add(sentence, self._waiting)
                self._waiting = ""
            elif sentence and self._found and not self._waiting and not self._pause:
                self._append(sentence)

    def _flush_if_silent(self, rest: str) -> None:
        if self._found or self._waiting:
            self._flush()
            self._pause += ELLIPSIS if words.has_content(rest) or self._pause < ELLIPSIS else 0.0

    def _append(self, marks_only: str) -> None:
        """Give punctuation that stands alone ("What" "?!") back to the words before it."""
        last = self._found[-1]
        if last.moment.speech and len(marks_only) <= 3:
            speech = f"{last.moment.speech} {marks_only}"
            self._found[-1] = replace(last, moment=replace(last.moment, speech=speech))

    def _prose(self, text: str, previous: Token | None, following: Token | None) -> None:
        """Action prose; what leads into a quote (She says:) waits for it, what ends its sentence holds to it."""
        pieces = [piece for piece in words.sentences(text) if words.has_content(piece)]
        for index, piece in enumerate(pieces):
            last = index == len(pieces) - 1
            if index == 0 and previous and previous.kind == "quote" and piece[0].islower():
                self._add("", piece, follows=True)
            elif last and following and following.kind == "quote" and piece[-1] in ",:，：—":
                self._flush()
                self._waiting = piece.rstrip(",:，：— ")
            else:
                self._flush()
                self._add("", piece)


# --- joining ------------------------------------------------------------------------------------------------


def _words_a_moment(total: float) -> float:
    """How many words a moment takes in a text of `total` words: short ones are played more closely.

    Fitted to the project's corpus: 3 to 4 keyframes for 10 to 20 words, 7 for 55.
    """
    return min(11.0, 2.6 + total / 12.0 + 0.07 * max(0.0, total - 30.0))


def _paragraph(atoms: list[_Atom], total: float) -> Iterator[Moment]:
    limit = _words_a_moment(total)
    return _join([piece for atom in atoms for piece in _cut(atom, limit)], limit)


def _cut(atom: _Atom, limit: float) -> list[_Atom]:
    """Cut a long spoken or acted sentence at its clauses; a description stays whole."""
    moment = atom.moment
    if moment.described or atom.size <= 1.6 * limit:
        return [atom]
    if not moment.speech:
        first, *rest = words.clauses(moment.direction, limit)
        more = [_Atom(Moment(moment.line, direction=piece)) for piece in rest]
        return [replace(atom, moment=replace(moment, direction=first)), *more]
    first, *rest = words.clauses(moment.speech, limit)
    return [
        replace(atom, moment=replace(moment, speech=first)),
        *(_Atom(Moment(moment.line, speech=piece)) for piece in rest),
    ]


def _join(atoms: list[_Atom], limit: float | None) -> Iterator[Moment]:
    """Join neighbours into moments of about `limit` words; None joins a whole line but for what is timed."""
    group: list[_Atom] = []
    size = 0.0
    for atom in atoms:
        if group and _holds(group, size, atom, limit):
            group.append(atom)
            size += atom.size
            continue
        if group:
            yield _moment(group)
        group, size = [atom], atom.size
    if group:
        yield _moment(group)


def _holds(group: list[_Atom], size: float, atom: _Atom, limit: float | None) -> bool:
    """Whether an atom belongs to the moment before it."""
    first, last, new = group[0].moment, group[-1].moment, atom.moment
    if new.at is not None or first.described != new.described or not (last.speech or last.direction):
        return False
    if limit is None:
        return not atom.breaks and not new.described
    if atom.breaks or new.pause > 0.0:
        return False
    if atom.follows:
        return True
    # A direction is played before its speech, so one after speech begins a moment; so does speech after an action.
    if bool(last.speech) != bool(new.speech) or (last.speech and new.direction):
        return False
    fits = size + atom.size <= 1.2 * limit
    return fits or size < TINY or (atom.size < TINY and size <= 1.5 * limit)


def _moment(group: list[_Atom]) -> Moment:
    first = group[0].moment
    if len(group) == 1:
        return first
    speech = " ".join(atom.moment.speech for atom in group if atom.moment.speech)
    directions = [atom.moment.direction for atom in group if atom.moment.direction]
    ended = [text if text[-1] in ".!?…。！？;," else f"{text};" for text in directions[:-1]]
    return replace(first, speech=speech, direction=" ".join([*ended, *directions[-1:]]))


# --- limits -------------------------------------------------------------------------------------------------


def _check(moments: tuple[Moment, ...]) -> None:
    if len(moments) > MAX_MOMENTS:
        raise FacescriptError(
            "long_script",
            f"The script makes more than {MAX_MOMENTS} moments, which is the limit; line "
            f"{moments[MAX_MOMENTS].line} is the first past it.",
            "Split it there into two performances.",
            line=moments[MAX_MOMENTS].line,
        )
    before = -1.0
    for index, moment in enumerate(moments):
        length = max(len(moment.speech), len(moment.direction))
        if length > MAX_TEXT:
            raise FacescriptError(
                "long_text",
                f"Line {moment.line}: one moment has {length:,} characters; the limit is {MAX_TEXT:,}.",
                "Cut it into several lines.",
                line=moment.line,
            )
        if moment.at is None:
            continue
        # Moments without a time before the first one that has one need room to play.
        if moment.at <= before or (moment.at == 0.0 and index):
            last = f"{before:g} s" if before >= 0.0 else "the start"
            raise FacescriptError(
                "bad_time",
                f"Line {moment.line}: the time {moment.at:g} s does not come after {last}, where the one before is.",
                "Put the lines in order of time.",
                line=moment.line,
            )
        before = moment.at
