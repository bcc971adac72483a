# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of what the worker says: it prints, spews, lies, repeats itself, or speaks of what nobody asked."""

from __future__ import annotations

from .fault import STOPPED, UNHARMED, Moves, fault
from .stage import LONG, Stage, memory

_BAD = "bad_answer"


@fault(UNHARMED)
def library_prints(stage: Stage) -> Moves:
    """Python code of the worker prints to standard output at every step."""
    yield from stage.perform("Prints")
    yield from stage.rest()


@fault(UNHARMED)
def c_code_prints(stage: Stage) -> Moves:
    """C code writes text and binary data to file descriptor 1 of the worker at every step."""
    yield from stage.perform("PrintsFromC")
    yield from stage.rest()


@fault(_BAD, quick=True)
def binary_garbage(stage: Stage) -> Moves:
    """4 kB of all byte values come between two events."""
    yield from stage.perform("Garbage")
    yield from stage.rest()


@fault(_BAD)
def line_without_end(stage: Stage) -> Moves:
    """100 MB come without a line end."""
    before = memory()
    yield from stage.perform("NoLineEnd")
    yield from stage.rest()
    assert memory() - before < 50.0, "all of it was read"


@fault(UNHARMED, within=30.0)
def flood_of_warnings(stage: Stage) -> Moves:
    """50 MB of warnings on the worker's standard error."""
    yield from stage.perform("FloodsErrors")
    yield from stage.rest()


# It depends on how fast they are taken whether there are too many at once.
@fault(UNHARMED, _BAD, within=30.0)
def flood_of_progress(stage: Stage) -> Moves:
    """100,000 events of progress at once."""
    yield from stage.perform("FloodsProgress")
    yield from stage.rest()


@fault(_BAD)
def nested_answer(stage: Stage) -> Moves:
    """JSON that is nested 100,000 deep in place of a keyframe."""
    yield from stage.perform("Deep")
    yield from stage.rest()


@fault(_BAD)
def answer_is_not_utf_8(stage: Stage) -> Moves:
    """Bytes that are no UTF-8 in a keyframe's description."""
    yield from stage.perform("NotUtf8")
    yield from stage.rest()


@fault(_BAD)
def value_is_not_a_number(stage: Stage) -> Moves:
    """NaN for jawOpen."""
    yield from stage.perform("NotANumber")
    yield from stage.rest()


@fault(_BAD)
def value_out_of_range(stage: Stage) -> Moves:
    """7.0 for jawOpen."""
    yield from stage.perform("OutOfRange")
    yield from stage.rest()


@fault(_BAD)
def unknown_channel(stage: Stage) -> Moves:
    """A pose with a channel "jawOpne"."""
    yield from stage.perform("UnknownChannel")
    yield from stage.rest()


@fault(_BAD)
def text_in_place_of_a_number(stage: Stage) -> Moves:
    """The word "wide" for jawOpen."""
    yield from stage.perform("TextForANumber")
    yield from stage.rest()


@fault("bad_time")
def times_go_back(stage: Stage) -> Moves:
    """Each keyframe comes at an earlier time than the one before."""
    yield from stage.perform("TimesGoBack")
    yield from stage.rest()


@fault("bad_answer")
def time_beyond_all_frames(stage: Stage) -> Moves:
    """Keyframes at 1e300 s."""
    yield from stage.perform("FarFuture")
    yield from stage.rest()


@fault(_BAD)
def number_of_beats_changes(stage: Stage) -> Moves:
    """Each keyframe says that there is one more."""
    yield from stage.perform("CountChanges")
    yield from stage.rest()


@fault(_BAD)
def thousand_million_beats(stage: Stage) -> Moves:
    """A keyframe is said to be one of 1,000,000,000."""
    yield from stage.perform("HugeCount")
    yield from stage.rest()


@fault(_BAD, quick=True)
def keyframe_is_left_out(stage: Stage) -> Moves:
    """The second keyframe never comes, and then the end."""
    yield from stage.perform("LeavesOut")
    yield from stage.rest()


@fault("bad_answer")
def keyframes_come_twice(stage: Stage) -> Moves:
    """Every keyframe comes again with another pose."""
    yield from stage.perform("Twice")
    yield from stage.rest()


@fault(UNHARMED)
def keyframes_come_backwards(stage: Stage) -> Moves:
    """The last keyframe comes first."""
    yield from stage.perform("Backwards")
    yield from stage.rest()


@fault(_BAD)
def end_comes_first(stage: Stage) -> Moves:
    """The end of the request comes in place of its first beat."""
    yield from stage.perform("DoneFirst")
    yield from stage.rest()


@fault(UNHARMED)
def goes_on_after_the_end(stage: Stage) -> Moves:
    """Keyframes with this request's number and the next one's come after the end; then Generate again."""
    yield from stage.perform("AfterDone")
    yield from stage.rest()
    stage.generate()
    yield from stage.rest()
    _has_no_puffed_cheeks(stage)


@fault("bad_answer")
def speaks_of_another_request(stage: Stage) -> Moves:
    """Keyframes of a request that nobody made come between those that were asked for."""
    yield from stage.perform("AnotherRequest")
    yield from stage.rest()
    _has_no_puffed_cheeks(stage)


@fault(STOPPED, within=20.0)
def never_says_that_it_is_done(stage: Stage) -> Moves:
    """All keyframes come, and the end does not; after 3 s, Cancel."""
    yield from stage.perform("NeverDone")
    yield from stage.idle(3.0)
    if stage.busy:
        stage.strike()
        stage.attempt(stage.bpy.ops.facescript.cancel)
    yield from stage.rest()


@fault(UNHARMED)
def answers_late_after_a_cancel(stage: Stage) -> Moves:
    """Keyframes and the end of a cancelled request come after its cancel was confirmed, while the next one runs."""
    yield from stage.perform("AnswersLate", LONG)
    yield from stage.at_work("keyframes")
    stage.attempt(stage.bpy.ops.facescript.cancel)
    yield from stage.until(lambda: not stage.busy)
    stage.strike()
    stage.generate()
    yield from stage.rest()
    _has_no_puffed_cheeks(stage)


@fault(STOPPED, within=8.0)
def does_not_hear_a_cancel(stage: Stage) -> Moves:
    """The worker goes on in small steps without looking whether it was cancelled; then Cancel."""
    yield from stage.perform("IgnoresCancel")
    stage.strike()
    stage.attempt(stage.bpy.ops.facescript.cancel)
    yield from stage.rest()


@fault("updated")
def speaks_another_protocol(stage: Stage) -> Moves:
    """The worker's handshake has another protocol's number."""
    yield from stage.perform("OtherProtocol")
    yield from stage.rest()


@fault("updated")
def is_of_another_version(stage: Stage) -> Moves:
    """The worker's handshake has the version 99.0.0 of the extension."""
    yield from stage.perform("OtherVersion")
    yield from stage.rest()


@fault("bad_answer")
def has_no_handshake(stage: Stage) -> Moves:
    """The worker's first line, its handshake, does not come."""
    yield from stage.perform("NoHandshake")
    yield from stage.rest()


@fault("bad_answer")
def error_of_a_megabyte(stage: Stage) -> Moves:
    """An error with a megabyte of text, terminal colours and marks that turn text around."""
    yield from stage.perform("HugeError")
    yield from stage.rest()
    assert stage.told is not None and len(stage.told.message) < 5000, "all of it is shown"


@fault("bad_answer")
def description_of_a_megabyte(stage: Stage) -> Moves:
    """Descriptions with line ends, control characters and 500,000 letters."""
    yield from stage.perform("Injects")
    yield from stage.rest()
    texts = [beat.text for beat in stage.face.facescript.beats]
    assert all(len(text) < 5000 and text.isprintable() for text in texts), "it reached the list of beats"


def _has_no_puffed_cheeks(stage: Stage) -> None:
    """What a stray keyframe would have brought."""
    rows = [row for name, found in stage.keys().items() if "cheekPuff" in name for row in found]
    assert all(float.fromhex(row[0]) > 1000.0 for row in rows), "a stray keyframe was written"
