# SPDX-License-Identifier: GPL-3.0-or-later
"""The skeleton decoder: the JSON of an answer is forced, and only its values are decoded.

An answer is a fixed text with a hole for each channel's value. A guess of all the values is written into the
holes and read by the model in one go; the longest run of values that the model itself would have chosen is kept,
the first that differs is corrected, and the rest is read again (speculative decoding with a draft that costs
nothing: Leviathan et al. 2023, arXiv 2211.17192). The result is that of greedy decoding restricted to well-formed
answers, value by value, while most values cost no step of their own. All keyframes of a performance go on side by
side: what their prompts begin with alike is read once, and each step serves all of them.

In 16 bits or fewer, numbers are rounded differently when another number of tokens is read at once. So a value that the
model finds nearly as likely as its neighbour may come out as that neighbour; in 32 bits that was never seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...performance import CHANNELS, NEUTRAL, FacescriptError, Pose
from ...performance.channels import MIRROR
from .. import prompts
from .local_model import LocalModel
from .prefix_cache import ANSWER_TOKENS, PrefixCache, Rows, check_room, common_beginning

# Channels read at once: more after a run without a correction, fewer after one.
_FEWEST, _MOST = 1, 32
# Tokens of each row's prompt read at once.
_BLOCK = 256
# Of an expected value, what is less likely than this is left out: it moves the mean by less than it says.
_RARE = 1e-3

Tokens = tuple[int, ...]
Check = Callable[[], None]


@dataclass(frozen=True)
class Request:
    """A pose to decode: the conversation that asks for it, and for which keyframe (0-based).

    `draft` is a guess that only affects the speed, unless `angle_reach` is given: then the head and eye angles stay
    within it of the guess's. `thinking` leaves the chat form as it is, without an empty block of thoughts.
    """

    messages: prompts.Messages
    index: int
    draft: Pose = NEUTRAL
    angle_reach: float | None = None
    thinking: bool = False


@dataclass(frozen=True)
class _Hole:
    """One channel's place: the tokens before its value, and the tokens of every value it may take."""

    key: Tokens
    options: tuple[Tokens, ...]
    values: tuple[float, ...]

    def nearest(self, value: float) -> Tokens:
        return self.options[int(np.argmin([abs(value - other) for other in self.values]))]

    def near(self, value: float, reach: float) -> _Hole:
        """The hole with only the values that are at most `reach` from the nearest to `value`."""
        middle = self.values[self.options.index(self.nearest(value))]
        kept = [i for i, other in enumerate(self.values) if abs(other - middle) <= reach + 1e-9]
        return _Hole(self.key, tuple(self.options[i] for i in kept), tuple(self.values[i] for i in kept))

    def value(self, option: Tokens) -> float:
        return self.values[self.options.index(option)]

    def starting_with(self, prefix: Tokens) -> list[Tokens]:
        return [option for option in self.options if option[: len(prefix)] == prefix]

    def next_tokens(self, prefix: Tokens) -> list[int]:
        """The tokens that may follow the beginning `prefix` of a value."""
        return sorted({option[len(prefix)] for option in self.starting_with(prefix) if len(option) > len(prefix)})


class SkeletonDecoder:
    """Decodes poses with one model; keeps the prompts' common beginning from one call to the next."""

    def __init__(self, local: LocalModel, decoding: str = "greedy") -> None:
        """`decoding` is one of `options.DECODINGS`.

        `greedy` takes the value that the model finds likeliest, digit by digit. `expected` takes the mean of all values
        that may stand there, weighted by the probability that the model gives them: finer than one decimal, always in
        the channel's range, without chance. What stands before each value is the greedy answer. (The probability of a
        value is the product of its tokens' probabilities among the tokens that may follow. As a score: Liu et al. 2023,
        "G-Eval", arXiv 2303.16634, section 2; that the mean has the least squared error: Lukasik et al. 2024,
        "Regression-aware Inference with LLMs", arXiv 2403.04182.)
        """
        self._local = local
        self._expected = decoding == "expected"
        self._prefix = PrefixCache(local)
        _, keys, _ = prompts.answer_parts(0)
        # A tokenizer may join what ends a key with what begins a value, or mark where a text begins: so keys are
        # read as they stand in an answer, after another value.
        rest = [self._hole("0.0", key, channel.is_angle) for key, channel in zip(keys, CHANNELS, strict=True)]
        self._rest = tuple(rest[1:])
        tokens = {token for hole in self._holes(0) for option in hole.options for token in option}
        self._columns = sorted(tokens)

    def _holes(self, index: int) -> tuple[_Hole, ...]:
        opening, keys, _ = prompts.answer_parts(index)
        return (self._hole("", opening + keys[0], CHANNELS[0].is_angle), *self._rest)

    def _hole(self, before: str, key: str, is_angle: bool) -> _Hole:
        texts = prompts.value_texts(is_angle)
        skipped = self._local.tokens(before)
        rows = [self._local.tokens(before + key + text) for text in texts]
        if any(row[: len(skipped)] != skipped for row in rows):
            skipped, rows = [], [self._local.tokens(key + text) for text in texts]
        forced = common_beginning(rows)
        options = tuple(tuple(row[forced:]) for row in rows)
        if len(set(options)) < len(options):
            what = f"The tokenizer of the model in {self._local.folder} cannot write numbers."
            raise FacescriptError("bad_model", what, "Choose another model.")
        return _Hole(tuple(rows[0][len(skipped) : forced]), options, tuple(float(text) for text in texts))

    def forget(self) -> None:
        """Drop the cache: what follows does not depend on what came before, to the last bit."""
        self._prefix.rewind(0)

    def answers_at_once(self, request: Request) -> bool:
        """Whether the model, left to itself, begins its answer without an empty block of thoughts before it.

        Models that may think are trained for short answers in either way. What is likelier as the next token decides.
        """
        free, closed = (self._local.chat_tokens(request.messages, thinking=thinking) for thinking in (True, False))
        shared = common_beginning([free, closed])
        if shared < len(free) or shared == len(closed):
            return False
        tokens = [self._holes(request.index)[0].key[0], closed[shared]]
        self._prefix.prefill(free[:-1])
        rows = Rows(self._local, self._prefix, 1, sorted(set(tokens)))
        [[scores]] = rows.extend([free[-1:]], [[0]])
        return bool(scores[rows.column(tokens[0])] > scores[rows.column(tokens[1])])

    def decode(self, requests: Sequence[Request], check: Check = lambda: None) -> list[Pose]:
        """The poses that answer `requests`, side by side where the model can read so.

        `check` is called between steps and may raise to cancel. Raises FacescriptError (`long_text`).
        """
        answers = [_Answer(self._holes(request.index), request) for request in requests]
        heads = [
            self._local.chat_tokens(request.messages, thinking=request.thinking) + list(answer.holes[0].key)
            for request, answer in zip(requests, answers, strict=True)
        ]
        for head in heads:
            check_room(self._local, len(head))
        if self._local.reads_side_by_side(max(map(len, heads)) + ANSWER_TOKENS):
            self._fill(answers, heads, check)
        else:
            for answer, head in zip(answers, heads, strict=True):
                self._fill([answer], [head], check)
        return [Pose(np.array(answer.means() if self._expected else answer.values())) for answer in answers]

    def _fill(self, answers: list[_Answer], heads: Sequence[list[int]], check: Check) -> None:
        rows = self._begun(heads, check)
        for answer, head in zip(answers, heads, strict=True):
            answer.settled = [head[-1]]
        left = list(answers)
        while left:
            check()
            starts = rows.lengths
            runs = [answer.run() for answer in left]
            scores = rows.extend([run.tokens for run in runs], [run.places for run in runs])
            used = [
                answer.take(run, start, rows, found)
                for answer, run, start, found in zip(left, runs, starts, scores, strict=True)
            ]
            rows.rewind([start + count for start, count in zip(starts, used, strict=True)])
            if self._expected:
                if all(answer.done for answer in left):
                    break
            elif any(answer.done for answer in left):
                kept = [number for number, answer in enumerate(left) if not answer.done]
                left = [left[number] for number in kept]
                if left:
                    rows.keep(kept)
        if self._expected:
            self._read_branches(answers, rows, check)

    def _begun(self, heads: Sequence[list[int]], check: Check) -> Rows:
        """Rows that hold the prompts but for their last token."""
        shared = min(common_beginning(heads), min(map(len, heads)) - 1)
        self._prefix.prefill(heads[0][:shared], check)
        rows = Rows(self._local, self._prefix, len(heads), self._columns)
        longest = max(map(len, heads)) - 1
        for start in range(shared, longest, _BLOCK):
            check()
            rows.extend([head[:-1][start : start + _BLOCK] for head in heads], [()] * len(heads))
        return rows

    def _read_branches(self, answers: Sequence[_Answer], rows: Rows, check: Check) -> None:
        """Read what follows the beginnings of values that were not chosen, from the last channel to the first."""
        while any(branches := [answer.unread() for answer in answers]):
            check()
            lengths, tokens = rows.lengths, [branch.prefix if branch else () for branch in branches]
            rows.rewind([branch.at if branch else length for branch, length in zip(branches, lengths, strict=True)])
            scores = rows.extend(tokens, [[len(prefix) - 1] if prefix else [] for prefix in tokens])
            for answer, branch, found in zip(answers, branches, scores, strict=True):
                if branch:
                    answer.note(branch.channel, branch.prefix, rows, found[0])


@dataclass(frozen=True)
class _Branch:
    """The beginning of a value that was not chosen: which channel's, after how many tokens of the row, and its own."""

    channel: int
    at: int
    prefix: Tokens


class _Answer:
    """One keyframe's answer as it grows."""

    def __init__(self, holes: tuple[_Hole, ...], request: Request) -> None:
        self.holes = holes
        if request.angle_reach is not None:
            self.holes = tuple(
                hole.near(value, request.angle_reach) if channel.is_angle else hole
                for hole, channel, value in zip(holes, CHANNELS, request.draft, strict=True)
            )
        # Tokens that are settled but not yet run, and how much of the next channel's value is among them.
        self.settled: list[int] = []
        self._begun: Tokens | None = None
        self._chosen: list[Tokens] = []
        self._guesses = [hole.nearest(value) for hole, value in zip(self.holes, request.draft, strict=True)]
        self._width = _FEWEST
        # For each channel, the probabilities of the next tokens after each beginning of a value that was read, and how
        # many tokens of the row stand before the value.
        self._chances: list[dict[Tokens, np.ndarray]] = [{} for _ in self.holes]
        self._places = [0] * len(self.holes)

    @property
    def done(self) -> bool:
        return len(self._chosen) == len(self.holes)

    def values(self) -> list[float]:
        return [hole.value(option) for hole, option in zip(self.holes, self._chosen, strict=True)]

    def means(self) -> list[float]:
        return [self._mean(channel, ()) for channel in range(len(self.holes))]

    def _mean(self, channel: int, prefix: Tokens) -> float:
        hole = self.holes[channel]
        options = hole.starting_with(prefix)
        if len(options) == 1:
            return hole.value(options[0])
        following = hole.next_tokens(prefix)
        chances = self._chances[channel].get(prefix, np.ones(1))
        kept = [i for i in range(len(following)) if len(following) == 1 or self._counts(channel, prefix, i)]
        means = [self._mean(channel, (*prefix, following[i])) for i in kept]
        return float(np.average(means, weights=[chances[i] for i in kept]))

    def _counts(self, channel: int, prefix: Tokens, number: int) -> bool:
        """Whether the next token `number` is likely enough to be followed, or needs no following."""
        following = self.holes[channel].next_tokens(prefix)
        ends = len(self.holes[channel].starting_with((*prefix, following[number]))) == 1
        chance = self._likelihood(channel, prefix) * self._chances[channel][prefix][number]
        return ends or self._begins_chosen(channel, (*prefix, following[number])) or bool(chance >= _RARE)

    def _begins_chosen(self, channel: int, prefix: Tokens) -> bool:
        return self._chosen[channel][: len(prefix)] == prefix

    def _likelihood(self, channel: int, prefix: Tokens) -> float:
        chance = 1.0
        for depth, token in enumerate(prefix):
            found = self._chances[channel].get(prefix[:depth])
            if found is not None:
                chance *= float(found[self.holes[channel].next_tokens(prefix[:depth]).index(token)])
        return chance

    def unread(self) -> _Branch | None:
        """The last beginning of a value that counts for the mean and was not read yet."""
        for channel in range(len(self.holes) - 1, -1, -1):
            prefix = self._unread(channel, ())
            if prefix is not None:
                return _Branch(channel, self._places[channel], prefix)
        return None

    def _unread(self, channel: int, prefix: Tokens) -> Tokens | None:
        hole = self.holes[channel]
        if len(hole.starting_with(prefix)) == 1:
            return None
        following = hole.next_tokens(prefix)
        if len(following) > 1 and prefix not in self._chances[channel]:
            return prefix
        for number, token in enumerate(following):
            if len(following) == 1 or self._counts(channel, prefix, number):
                found = self._unread(channel, (*prefix, token))
                if found is not None:
                    return found
        return None

    def note(self, channel: int, prefix: Tokens, rows: Rows, scores: torch.Tensor) -> None:
        """Keep the probabilities of what may follow `prefix`; `scores` has shape (columns)."""
        following = [rows.column(token) for token in self.holes[channel].next_tokens(prefix)]
        self._chances[channel][prefix] = torch.softmax(scores[following].double(), dim=0).numpy()

    def run(self) -> _Run:
        """What to read next: what is settled, and guessed values after it."""
        run = _Run(list(self.settled))
        first = len(self._chosen)
        for number in range(first, min(first + self._width, len(self.holes))):
            run.add(number, self.holes[number], self._guesses[number], self._begun if number == first else None)
        return run

    def take(self, run: _Run, start: int, rows: Rows, scores: torch.Tensor) -> int:
        """Compare a run's guesses with the model's own choices; how many of its tokens the row keeps.

        `start` is how many tokens the row held before the run; `scores` has shape (the run's places, columns).
        """
        for number, place in run.begins.items():
            self._places[number] = start + place
        for choice, found in zip(run.choices, scores, strict=True):
            self._accept(choice.channel)
            guess = self._guesses[choice.channel]
            prefix = guess[: choice.depth]
            self.note(choice.channel, prefix, rows, found)
            following = self.holes[choice.channel].next_tokens(prefix)
            best = following[int(found[[rows.column(token) for token in following]].argmax())]
            if best != guess[choice.depth]:
                self._correct(choice.channel, (*prefix, best))
                return choice.at
        self._accept(run.end)
        # The last token has not been followed by anything yet; it is run again with the next chunk.
        self.settled, self._begun, self._width = [run.tokens[-1]], None, min(self._width * 2, _MOST)
        return len(run.tokens) - 1

    def _accept(self, until: int) -> None:
        while len(self._chosen) < until:
            self._chosen.append(self._guesses[len(self._chosen)])

    def _correct(self, channel: int, begun: Tokens) -> None:
        options = self.holes[channel].starting_with(begun)
        self._width = max(_FEWEST, self._width // 2)
        if len(options) > 1:
            self._guesses[channel] = options[0]
            self.settled, self._begun = [begun[-1]], begun
            return
        partner = int(MIRROR[channel])
        if options[0] in self.holes[partner].options:
            # A face that differs from the guess on one side mostly does so on the other.
            self._guesses[partner] = options[0]
        self._guesses[channel] = options[0]
        self._accept(channel + 1)
        self.settled, self._begun = list(options[0][len(begun) - 1 :]), None


@dataclass(frozen=True)
class _Choice:
    """One token of a guessed value that the model may decide otherwise: its place in the value and in the run."""

    channel: int
    depth: int
    at: int


class _Run:
    """Tokens to read in one go, and where in them the model's choices are checked."""

    def __init__(self, settled: list[int]) -> None:
        self.tokens = settled
        self.choices: list[_Choice] = []
        # Where each channel's value begins, and the channel after the last.
        self.begins: dict[int, int] = {}
        self.end = 0

    @property
    def places(self) -> list[int]:
        """The tokens whose logits are needed, in order; what else is read needs no logits."""
        return [choice.at - 1 for choice in self.choices]

    def add(self, channel: int, hole: _Hole, guess: Tokens, begun: Tokens | None) -> None:
        """Append one channel with its guessed value; `begun` is what of the value is settled already."""
        if begun is None:
            # The first channel's key ends the prompt.
            self.tokens.extend(hole.key if channel else ())
            self.begins[channel] = len(self.tokens)
        for depth in range(len(begun or ()), len(guess)):
            if len(hole.next_tokens(guess[:depth])) > 1:
                self.choices.append(_Choice(channel, depth, len(self.tokens)))
            self.tokens.append(guess[depth])
        self.end = channel + 1
