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
from dataclasses import dataclass, replace

import numpy as np
import torch

from ...performance import NEUTRAL, FacescriptError, Pose
from .. import prompts
from .answer import Answer
from .holes import Hole, common_beginning, first_hole, holes_of
from .local_model import LocalModel, first_line
from .prefix_cache import PrefixCache, Rows, check_room

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
        try:
            self._keyframe_one = holes_of(local.spelled)
        except ValueError as error:
            what = f"The tokenizer of the model in {local.folder} cannot write numbers: {error}."
            raise FacescriptError("bad_model", what, "Choose another model, or run this one on a server.") from error
        self._columns = sorted({t for hole in self._keyframe_one for option in hole.options for t in option})
        # The most that an answer takes.
        self._answer = sum(len(hole.key) + max(map(len, hole.options)) for hole in self._keyframe_one)
        self._prefix = PrefixCache(local, self._answer)
        self._try()

    def _try(self) -> None:
        """Read a few tokens in two goes, as decoding does. Raises FacescriptError (`bad_model`) where that fails."""
        tokens = [self._columns[0], max(self._columns), *self._keyframe_one[1].key][:4]
        try:
            for count in (2, len(tokens)):
                self._prefix.prefill(tokens[:count])
            held = self._prefix.held
        except (FacescriptError, torch.OutOfMemoryError, MemoryError):
            raise
        # Kernels of quantized layers know not all sizes, and some models cannot be read in parts.
        except Exception as error:
            why = first_line(error)[:200]
            what = f"The model in {self._local.folder} cannot be run ({self._local.quantization}): {why}"
            hint = "Choose another quantization, such as bf16, or another model."
            raise FacescriptError("bad_model", what, hint) from error
        if held != len(tokens):
            what = f"The model in {self._local.folder} does not keep what it has read, as models with attention do."
            raise FacescriptError("bad_model", what, "Choose another model, or run this one on a server.")
        self.forget()

    def _holes(self, index: int) -> tuple[Hole, ...]:
        """The holes of the answer for a keyframe, which begins as answers do in the model's chat form."""
        hole = first_hole(self._local.spelled, index)
        opening, keys, _ = prompts.answer_parts(index)
        text = f"{opening}{keys[0]}0.0{keys[1]}"
        behind = len(self._local.tokens(text)) - len(hole.key)
        return (replace(hole, key=tuple(self._local.answer_tokens(text)[:-behind])), *self._keyframe_one[1:])

    def forget(self) -> None:
        """Drop the cache: what follows does not depend on what came before, to the last bit."""
        self._prefix.rewind(0)

    def has_room(self, messages: prompts.Messages) -> bool:
        """Whether the model can read a conversation and answer it."""
        return len(self._local.chat_tokens(messages)) + self._answer <= self._local.context

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
        known = self._local.model.get_input_embeddings().weight.shape[0]
        if (beyond := max(map(max, heads))) >= known:
            what = f"The tokenizer of the model in {self._local.folder} knows token {beyond}, and the model {known}."
            raise FacescriptError("bad_model", what, "Download or convert the model again.")
        for head in heads:
            check_room(self._local, len(head), self._answer)
        if self._local.reads_side_by_side(max(map(len, heads)) + self._answer):
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
