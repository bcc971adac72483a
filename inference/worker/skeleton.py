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

from ...performance import CHANNELS, NEUTRAL, FacescriptError, Pose
from .. import prompts
from .answer import Answer
from .holes import Hole
from .local_model import LocalModel
from .prefix_cache import ANSWER_TOKENS, PrefixCache, Rows, check_room, common_beginning

# Tokens of each row's prompt read at once.
_BLOCK = 256

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

    def _holes(self, index: int) -> tuple[Hole, ...]:
        opening, keys, _ = prompts.answer_parts(index)
        return (self._hole("", opening + keys[0], CHANNELS[0].is_angle), *self._rest)

    def _hole(self, before: str, key: str, is_angle: bool) -> Hole:
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
        return Hole(tuple(rows[0][len(skipped) : forced]), options, tuple(float(text) for text in texts))

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
        answers = [Answer(self._holes(request.index), request.draft, request.angle_reach) for request in requests]
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

    def _fill(self, answers: list[Answer], heads: Sequence[list[int]], check: Check) -> None:
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

    def _read_branches(self, answers: Sequence[Answer], rows: Rows, check: Check) -> None:
        """Read what follows the beginnings of values that were not chosen, from the last channel to the first."""
        while any(branches := [answer.unread() for answer in answers]):
            check()
            lengths, tokens = rows.lengths, [branch.prefix if branch else () for branch in branches]
            rows.rewind([branch.at if branch else length for branch, length in zip(branches, lengths, strict=True)])
            scores = rows.extend(tokens, [[len(prefix) - 1] if prefix else [] for prefix in tokens])
            for answer, branch, found in zip(answers, branches, scores, strict=True):
                if branch:
                    answer.note(branch.channel, branch.prefix, rows, found[0])
