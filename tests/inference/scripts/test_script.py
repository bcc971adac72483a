# SPDX-License-Identifier: GPL-3.0-or-later
"""The script reader: its forms, its errors, and that nothing it is given makes it slow or wrong."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from facescript.inference.scripts.script import MAX_MOMENTS, Moment, read_script
from facescript.inference.scripts.text import clauses, is_face_description, sentences, word_count
from facescript.performance import FacescriptError
from facescript.performance.model import MAX_SCRIPT, MAX_TEXT
from hypothesis import given, settings
from hypothesis import strategies as st


def _said(text: str) -> list[tuple[str, str]]:
    return [(m.speech, m.direction) for m in read_script(text)]


@pytest.mark.parametrize("text", ["smirk", "Ow. Ow, ow.", "dead", "cheeky grin", "Ow!", "You're late. Again."])
def test_a_short_prompt_is_one_moment(text: str) -> None:
    assert len(read_script(text)) == 1


def test_one_moment_a_line() -> None:
    moments = read_script("Hello there. How are you?\r\n\n  \n(sighs)\nShe turns away.\n")
    assert [(m.line, m.speech, m.direction) for m in moments] == [
        (1, "Hello there. How are you?", ""),
        (4, "", "sighs"),
        (5, "", "She turns away."),
    ]


def test_a_long_line_among_lines_is_cut() -> None:
    long = "I never said that I would come, and you know it, " * 4
    moments = read_script(f"Hello.\n{long}\nGoodbye.")
    assert len(moments) > 4
    assert {m.line for m in moments} == {1, 2, 3}


def test_descriptions_with_times_stand_as_they_are() -> None:
    moments = read_script("[0s] brows knit, lips press\n[1.2s] jaw drops (wide)\n[0:02.5] eyes shut\n[3000 ms] a smile")
    assert [m.at for m in moments] == [0.0, 1.2, 2.5, 3.0]
    assert [m.direction for m in moments] == ["brows knit, lips press", "jaw drops (wide)", "eyes shut", "a smile"]
    assert all(m.described for m in moments)


def test_a_time_on_a_line_of_its_own_belongs_to_the_next() -> None:
    assert read_script("[1.5s]\nbrows up") == (Moment(2, "", "brows up", 1.5, 0.0, True),)


@pytest.mark.parametrize("line", ['[2s] "Get out."', "[2s] I never loved you.", "[2s] ANNA: Get out."])
def test_speech_may_have_a_time(line: str) -> None:
    (moment,) = read_script(line)
    assert moment.at == 2.0
    assert moment.speech
    assert not moment.described


def test_descriptions_need_no_times() -> None:
    moments = read_script("- Keyframe One: a smile.\n- Brows lowered, lips pressed thin\n3. Jaw drops, eyes wide")
    assert [m.described for m in moments] == [True, True, True]
    assert moments[1].direction == "Brows lowered, lips pressed thin"


@pytest.mark.parametrize("text", ["My eyes! My eyes!", "You've got your mother's nose.", "She smiles at him.", "smirk"])
def test_what_only_names_the_face_is_no_description(text: str) -> None:
    assert not any(m.described for m in read_script(text))


def test_speakers_are_kept_out_of_the_speech() -> None:
    assert _said("ANNA: Hello.\nBEN (off): Go away.\nAnna: Why?") == [("Hello.", ""), ("Go away.", "off"), ("Why?", "")]
    assert _said("RUTH: You said Tuesday. ALAN (off): I said Thursday.") == [
        ("You said Tuesday.", ""),
        ("I said Thursday.", "off"),
    ]


@pytest.mark.parametrize("text", ["Listen: I know.", "Green. No: blue-green.", "The clock says 2:51 now."])
def test_a_colon_does_not_make_a_speaker(text: str) -> None:
    assert " ".join(m.speech + m.direction for m in read_script(text)) == text


def test_a_screenplay() -> None:
    text = "INT. KITCHEN - NIGHT\n\nANNA\n(whispering)\nIs he there?\n\nBEN\nNo. [pause 0.5] Yes."
    moments = read_script(text)
    assert [(m.speech, m.direction, m.pause) for m in moments] == [
        ("Is he there?", "whispering", 0.0),
        ("No.", "", 0.0),
        ("Yes.", "", 0.5),
    ]
    assert [m.line for m in moments] == [5, 8, 8]


def test_directions_go_with_the_speech_after_them_or_stand_alone() -> None:
    assert _said("(smiling) Remember the goat?") == [("Remember the goat?", "smiling")]
    assert _said("(He cuts. Nothing happens.)") == [("", "He cuts. Nothing happens.")]
    assert _said("Fine, all is well. (sips coffee)") == [
        ("Fine, all is well.", ""),
        ("", "sips coffee"),
    ]
    assert _said("*sighs* I'm *fine*. *coughs* Really.") == [("I'm fine.", "sighs"), ("Really.", "coughs")]


def test_quotes_and_action_prose() -> None:
    assert _said('She taps the crust. It sounds hollow. "Finally," she tells the dog.') == [
        ("", "She taps the crust."),
        ("", "It sounds hollow."),
        ("Finally,", "she tells the dog."),
    ]
    assert _said("'Yes,' she says, and grins. 'Isn't it awful?'") == [
        ("Yes,", "she says, and grins."),
        ("Isn't it awful?", ""),
    ]
    assert _said('He whispers: "Go."') == [("Go.", "He whispers")]
    assert _said("彼は笑った。「ありがとう」") == [("", "彼は笑った。"), ("ありがとう", "")]


def test_a_quoted_word_is_not_a_speech() -> None:
    assert all(m.speech and not m.direction for m in read_script('It says "Kevin". Forever. On my skin.'))


@pytest.mark.parametrize(
    ("text", "pauses"),
    [
        ("No. (beat) Yes.", [0.0, 0.6]),
        ("No. [pause 2] Yes.", [0.0, 2.0]),
        ("No. [pause 300ms] Yes.", [0.0, 0.3]),
        ("Who ate it? ... Bao.", [0.0, 0.5]),
        ("(long pause)\nHello there.", [1.5]),
    ],
)
def test_pauses(text: str, pauses: list[float]) -> None:
    assert [m.pause for m in read_script(text)] == pauses


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Mr. Smith paid 3.5 euros, e.g. to J. R. Doe. He left.",
            ["Mr. Smith paid 3.5 euros, e.g. to J. R. Doe.", "He left."],
        ),
        ("Is it... It's glowing. Well... maybe.", ["Is it...", "It's glowing.", "Well... maybe."]),
        ('"Stop!" he cried. "Now."', ['"Stop!" he cried.', '"Now."']),
        ("本当に来るの？寒いですね。", ["本当に来るの？", "寒いですね。"]),
        ("كيف حالك؟ أنا بخير!", ["كيف حالك؟", "أنا بخير!"]),
        ("It was me. I did it.", ["It was me.", "I did it."]),
        ("......", ["......"]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_text_is_cleaned() -> None:
    (moment,) = read_script("\ufeffCafe\u0301\t\u202eisn't\x00\x1b  \u2066open\u2069\ud800.")
    assert moment.speech == "Café isn't open."


def test_emoji_and_joiners_stay() -> None:
    assert "👩‍🚀" in read_script("👩‍🚀 Go!")[0].speech
    assert read_script("😠")[0].speech + read_script("😠")[0].direction == "😠"


@pytest.mark.parametrize("text", ["He said (and I quote", "Stop] it", '"Unbalanced quote.', "((((( hello", "[[[ hi"])
def test_unbalanced_marks_are_plain_text(text: str) -> None:
    moments = read_script(text)
    assert "".join(m.speech + m.direction for m in moments).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("text", ["", "   \n\t ", "......", "(((((", '""', "\u202e\x00", "[] ()", "---\n***"])
def test_empty_scripts(text: str) -> None:
    with pytest.raises(FacescriptError) as caught:
        read_script(text)
    assert caught.value.code == "empty_script"


@pytest.mark.parametrize(
    "mark", ["-1s", "999999999s", "1.2.3s", "0:75", "1:2:3:4", "pause -2", "pause 99999", "1e9s", "-3", "1:75:00"]
)
def test_bad_times_name_their_line(mark: str) -> None:
    with pytest.raises(FacescriptError) as caught:
        read_script(f"hello\n\n[{mark}] there")
    assert caught.value.code == "bad_time"
    assert "Line 3" in caught.value.message


@pytest.mark.parametrize("text", ["[2s] a\n[1s] b", "[2s] a\n[2s] b", "a\n[0s] b"])
def test_times_rise(text: str) -> None:
    with pytest.raises(FacescriptError, match="Line 2") as caught:
        read_script(text)
    assert caught.value.code == "bad_time"


def test_long_scripts_are_refused_with_their_limit() -> None:
    with pytest.raises(FacescriptError, match="100,000") as caught:
        read_script("a" * (MAX_SCRIPT + 1))
    assert caught.value.code == "long_script"
    with pytest.raises(FacescriptError, match=f"{MAX_MOMENTS} moments.*line 601") as caught:
        read_script("Hello.\n" * 601)
    assert caught.value.code == "long_script"
    assert len(read_script("Hello.\n" * 600)) == 600


def test_a_long_description_is_refused_with_its_line() -> None:
    with pytest.raises(FacescriptError, match="Line 2") as caught:
        read_script("Hello.\n[1s] " + "brows up, " * 300)
    assert caught.value.code == "long_text"


HOSTILE = (
    "( [ ) ] \" ' . ... [[[1s (a) (a *a* *a a. A AB: — 漢 漢。 😀 \u0301 a\u0301\u0316 \u202e “ ” ‘a.’ 1. 1: [1: [+ "
    "\ud800 e\n (A.b.) -\n A: A( [pause1] [1s] ﷺ 、 a; \u0e01 - _ * #"
).split(" ")


@pytest.mark.parametrize(
    "unit", [*HOSTILE, " ", "\n", "a ", "a. ", '"a." ', "'a ", "[1s] ", "(beat) ", "A (a): ", "* a* "]
)
def test_a_hundred_thousand_characters_of_anything_are_read_or_refused_by_a_known_error(unit: str) -> None:
    text = (unit * (MAX_SCRIPT // max(1, len(unit)) + 1))[:MAX_SCRIPT] if unit else " " * MAX_SCRIPT
    try:
        read_script(text)
    except FacescriptError as error:
        assert error.code in ("empty_script", "long_script", "long_text", "bad_time")


_MARKS = st.sampled_from(
    "( ) [ ] \" ' “ ” .| ?| ... … ,| [1s]| [2.5s] [pause|1] (beat) ANNA:| * — brows|knit lips hello I she smiles 漢字 "
    "。 😀 Mr.| 3.5 \u202e | NEWLINE".split(" ")
).map(lambda mark: mark.replace("|", " ").replace("NEWLINE", "\n"))


@given(st.one_of(st.lists(_MARKS, max_size=40).map("".join), st.text(max_size=300)))
@settings(max_examples=400, deadline=None)
def test_any_text_gives_sound_moments_or_a_clear_error(text: str) -> None:
    try:
        moments = read_script(text)
    except FacescriptError as error:
        assert error.code in ("empty_script", "bad_time", "long_text")
        return
    assert moments
    lines = [m.line for m in moments]
    assert lines == sorted(lines)
    assert lines[0] >= 1
    times = [m.at for m in moments if m.at is not None]
    assert all(one < other for one, other in pairwise(times))
    for m in moments:
        assert m.speech or m.direction
        assert len(m.speech) <= MAX_TEXT and len(m.direction) <= MAX_TEXT
        assert m.pause >= 0.0
        assert m.speech == m.speech.strip() and m.direction == m.direction.strip()
        assert "\n" not in m.speech + m.direction
        assert not (m.described and m.speech)


@given(
    st.lists(
        st.sampled_from(
            "the a dog runs, walks; home: and but when slowly. 漢字漢字漢字 antidisestablishmentarianism".split()
        )
    )
)
@settings(max_examples=200, deadline=None)
def test_cutting_keeps_every_letter(words: list[str]) -> None:
    text = " ".join(words)
    assert "".join(clauses(text, 4.0)).replace(" ", "") == text.replace(" ", "")


@given(
    st.lists(
        st.sampled_from(["Hello there.", "Who is it?", "No!", "We wait, and we wait.", "It is late"]),
        min_size=1,
        max_size=30,
    )
)
@settings(deadline=None)
def test_plain_speech_loses_no_word(pieces: list[str]) -> None:
    text = " ".join(pieces)
    assert " ".join(m.speech for m in read_script(text)) == text


def test_words_are_counted_by_how_long_they_take() -> None:
    assert word_count("Don't you think so, J.?") == 5.0
    assert word_count("今日は寒い") == pytest.approx(2.5)
    assert word_count("... — !") == 0.0


def test_the_corpus_reads_as_it_was_played(shared: Path) -> None:
    counts: dict[str, list[int]] = {"short": [], "normal": [], "long": []}
    described = 0
    entries = [json.loads(line) for file in sorted((shared / "corpus").glob("*.jsonl")) for line in file.open()]
    for entry in entries:
        size = len(entry["script"].split())
        kind = "short" if size <= 3 else "normal" if size <= 45 else "long"
        moments = read_script(entry["script"])
        counts[kind].append(len(moments))
        described += any(m.described for m in moments)
    mean = {kind: sum(found) / len(found) for kind, found in counts.items()}
    assert mean["short"] < 1.2
    assert 2.0 < mean["normal"] < 4.0
    assert 6.0 < mean["long"] < 8.5
    # Scripts are seldom descriptions; the keyframes' own texts mostly are.
    assert described / len(entries) < 0.03
    texts = [row["text"] for entry in entries for row in entry["keyframes"]]
    assert sum(map(is_face_description, texts)) / len(texts) > 0.7


@pytest.mark.parametrize(
    "text", ["AU4 + AU7", "AU6 + AU12, intensity D", "AU43, held", "AU12, left side only", "LAU12"]
)
def test_action_units_describe_a_face(text: str) -> None:
    assert [(m.direction, m.described) for m in read_script(text)] == [(text, True)]


@pytest.mark.parametrize(
    "text", ["Both eyes are closed firmly on request.", "Gaze deviates to the right.", "The left brow has gone up."]
)
def test_a_sentence_that_begins_with_a_part_of_the_face_is_not_said(text: str) -> None:
    assert [m.speech for m in read_script(text)] == [""]


@pytest.mark.parametrize("text", ["Nice smile you have.", "Keep your eyes open!", "That face again, always that face."])
def test_what_is_said_of_a_face_is_said(text: str) -> None:
    assert all(m.speech for m in read_script(text))
