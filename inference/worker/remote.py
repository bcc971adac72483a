# SPDX-License-Identifier: GPL-3.0-or-later
"""A model on a server that the user runs: structured output, then strict parsing, one repair attempt, a clear error.

Nothing of torch is needed here. What the server answers is text from outside: it becomes a pose, or a line that
describes a face, or an error that does not quote it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ...performance import Brief, FacescriptError, Pose
from ...performance.parsing import parse_object
from .. import prompts
from ..examples import Examples
from ..options import ModelOptions
from ..servers.chat import ChatServer, Wanted
from ..servers.exchange import Limits
from .asks import Ask
from .prompted import Check, PoseAsk, PromptedModel

Asked = TypeVar("Asked")
Found = TypeVar("Found")

# Poses of one performance that are asked for at once. A server that does not answer so many together has them wait.
AT_ONCE = 4
# Seconds that a server may take for the first pose if the others are to be asked for together: one that has them wait
# stays silent for the last of them this many times as long.
_PROMPT = 30.0
# How a server fails that does not stand several requests at once.
_OVERTAXED = ("server_answer", "server_busy", "server_trouble", "server_refused", "server_unreachable", "timeout")

# Tokens of an answer. A pose has 61 names and numbers, some 700 tokens; thoughts before it are paid for too.
_POSE_TOKENS = 2048
_LINE_TOKENS = 160
# As the local models' planner draws its words.
_TEMPERATURE = 0.6
# Characters of a description; longer ones are no line any more.
_LONGEST_LINE = 400
# JSON values in an answer: a pose has 61.
_MAX_VALUES = 200
# How xgrammar, in vLLM, has the tenths of a schema written: 0.10000000000000001, which makes answers thrice as long.
_LONG_NUMBER = re.compile(r"\.[0-9]{8}")
_TENTH = re.compile(r"-?[0-9](\.[0-9])?")
# Of an answer that cannot be used, what the model is shown again.
_SHOWN = 4000
# Why an answer cannot be used, by the code of what its reader raised, and what to do.
_LARGER = "Choose a larger model, or a server that keeps to a JSON schema."
_WHY = {
    "empty_answer": (
        "is empty",
        "Give it a context of 8,192 tokens or more, and turn thinking off if it thinks; or shorten the text.",
    ),
    "bad_json": ("is no JSON", _LARGER),
    "cut_answer": (
        "is cut off",
        "Give it a context of 8,192 tokens or more; or choose a larger model, or a server that keeps to a JSON schema.",
    ),
}
_ANOTHER_FORM = ("is JSON of another form, or has values out of range", _LARGER)
# What models that think write before their answer.
_THOUGHTS = re.compile(r"^\s*<think(?:ing)?>.*?</think(?:ing)?>", re.S)
_ENDLESS_THOUGHTS = re.compile(r"^\s*<think(?:ing)?>")


class ServerBackend(PromptedModel):
    """Asks one model of a server. Raises what `ChatServer` raises."""

    # A few moments together: each is written in the light of the others, and small models keep to the form.
    batch = 8

    def __init__(
        self, options: ModelOptions, examples: Examples, limits: Limits | None = None, at_once: int = AT_ONCE
    ) -> None:
        super().__init__(examples)
        self._server = ChatServer(options, limits)
        self._at_once = at_once
        self._quoted = False

    @property
    def label(self) -> str:
        """The model's name, without the server's: it is kept with the performance."""
        return f"{self._server.model} (server)"

    def write(self, scene: str, asks: Sequence[Ask], seed: int, check: Check) -> Iterator[tuple[int, str]]:
        """All lines in one answer; none of them says anything if the model gives no answer that can be used."""
        messages = prompts.planner_messages(scene, [_moment(ask) for ask in asks])
        count = len(asks)
        schema = prompts.planner_schema(count)
        wanted = Wanted("descriptions", schema, _LINE_TOKENS * (count + 1), _TEMPERATURE, seed % 2**31)
        try:
            lines = self._asked(messages, lambda: wanted, lambda text: read_lines(text, count), check)
        except FacescriptError as error:
            if error.code != "server_answer":
                raise
            # Small models go round in circles in a line; the corpus has others, and whether they can pose is seen next.
            lines = [""] * count
        yield from enumerate(lines)

    def answers(self, brief: Brief, asks: Sequence[PoseAsk], check: Check) -> Iterator[Pose]:
        """One answer a pose in KeyframeFace's form, after a worked example.

        The first tells whether the server is quick enough to be asked for the others together. If one of those fails,
        the rest is asked for one by one: some servers break an answer off when the next request comes.
        """

        def pose(ask: PoseAsk, check: Check) -> Pose:
            check()

            def wanted() -> Wanted:
                return Wanted("keyframe", prompts.poser_schema(ask.place, quoted=self._quoted), _POSE_TOKENS)

            return self._asked(ask.messages(brief), wanted, self._read_pose, check)

        begin = time.monotonic()
        yield from (pose(ask, check) for ask in asks[:1])
        left = asks[1:]
        if self._at_once > 1 and time.monotonic() - begin < _PROMPT:
            try:
                for found in side_by_side(pose, left, self._at_once, check):
                    yield found
                    left = left[1:]
            except FacescriptError as error:
                if error.code not in _OVERTAXED:
                    raise
                self._at_once = 1
        yield from (pose(ask, check) for ask in left)

    def _read_pose(self, text: str) -> Pose:
        """As `read_pose`; a server that writes long numbers is asked for texts from then on."""
        self._quoted = self._quoted or bool(_LONG_NUMBER.search(text))
        return read_pose(text)

    def _asked(
        self, messages: prompts.Messages, wanted: Callable[[], Wanted], read: Callable[[str], Found], check: Check
    ) -> Found:
        said = self._server.complete(messages, wanted(), check)
        try:
            return read(said)
        except FacescriptError as error:
            turns = [
                {"role": "assistant", "content": said[:_SHOWN] or "{}"},
                {"role": "user", "content": prompts.repair(error.message)},
            ]
        said = self._server.complete([*messages, *turns], wanted(), check)
        try:
            return read(said)
        except FacescriptError as error:
            raise _unusable(self._server, error) from None


def side_by_side(
    call: Callable[[Asked, Check], Found], asks: Sequence[Asked], count: int, check: Check
) -> Iterator[Found]:
    """Yield what `call` answers to each ask, in their order, with up to `count` calls at once.

    Raises what a call or `check` raises; then, and where nobody wants more answers, the other calls' checks raise too.
    """
    ended = threading.Event()

    def look() -> None:
        if ended.is_set():
            raise FacescriptError("cancelled", "Another request of this performance failed.")
        check()

    with ThreadPoolExecutor(count, "facescript-ask") as pool:
        waiting = [pool.submit(call, ask, look) for ask in asks]
        try:
            for future in waiting:
                yield future.result()
        finally:
            ended.set()
            for future in waiting:
                future.cancel()


def _unusable(server: ChatServer, error: FacescriptError) -> FacescriptError:
    why, hint = _WHY.get(error.code, _ANOTHER_FORM)
    what = f"{server.model} at {server.host} was asked twice, and its answer {why}."
    return FacescriptError("server_answer", what, hint)


def read_pose(text: str) -> Pose:
    """The pose of an answer, `{"Keyframe_one": {channel: value}}` or the channels alone.

    Raises FacescriptError: `empty_answer`, `cut_answer`, `bad_json`, and `bad_pose` for several keyframes, none,
    unknown or doubled channels, and values that are not numbers in range.
    """
    found = _object(text)
    parts = [value for value in found.values() if isinstance(value, Mapping)]
    if parts and len(found) > 1:
        raise FacescriptError("bad_pose", "The answer holds more than one keyframe.")
    channels = parts[0] if parts else found
    if not channels:
        raise FacescriptError("bad_pose", "The answer holds no channel.")
    return Pose.from_dict({name: _number(value) for name, value in channels.items()})


def read_lines(text: str, count: int) -> list[str]:
    """The descriptions of an answer to `prompts.planner_messages`, each as one plain line; "" for one that is too long.

    Raises FacescriptError: `empty_answer`, `cut_answer`, `bad_json`, and `bad_lines` if other moments are described
    than those asked for.
    """
    found = _object(text)
    names = prompts.moment_names(count)
    if set(found) != set(names) or not all(isinstance(value, str) for value in found.values()):
        raise FacescriptError("bad_lines", f"Expected the {count} texts {names[0]} to {names[-1]}, and nothing else.")
    return [_line(str(found[name])) for name in names]


def _number(value: object) -> object:
    """A tenth that stands in quotation marks, as a number; anything else as it is."""
    return float(value) if isinstance(value, str) and _TENTH.fullmatch(value) else value


def _line(text: str) -> str:
    line = "".join(char for char in " ".join(text.split()) if char.isprintable())
    return line if len(line) <= _LONGEST_LINE else ""


def _object(text: str) -> dict[str, object]:
    """The JSON object in an answer, whatever thoughts and words are around it."""
    text = _THOUGHTS.sub("", text)
    if not text.strip() or _ENDLESS_THOUGHTS.match(text):
        raise FacescriptError("empty_answer", "It is empty.")
    begin, end = text.find("{"), text.rfind("}")
    if begin >= 0 and end < begin:
        raise FacescriptError("cut_answer", "It ends in the middle of its JSON object.")
    if begin < 0:
        raise FacescriptError("bad_json", "There is no JSON object in it.")
    return parse_object(text[begin : end + 1], _MAX_VALUES)


def _moment(ask: Ask) -> str:
    return ask.words if ask.parts == 1 else f"{ask.words} ({ask.part + 1} of {ask.parts})"
