# SPDX-License-Identifier: GPL-3.0-or-later
"""The skeleton decoder against plain constrained greedy decoding, one token at a time."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest
import torch
from facescript.inference import prompts
from facescript.inference.options import EMBEDDED_MODEL
from facescript.inference.worker.local_model import LocalModel, load
from facescript.inference.worker.skeleton import Request, SkeletonDecoder
from facescript.performance import CHANNELS, NEUTRAL, FacescriptError, Pose
from facescript.performance.channels import HIGH, LOW

pytestmark = pytest.mark.model

TEXTS = ["Both brows shoot up, the eyes widen and the jaw drops.", "Lids fall shut; the lips press thin."]
STARTLED = Pose.from_dict({"browInnerUp": 0.6, "eyeWide": 0.7, "jawOpen": 0.5, "headPitch": 0.2})
EXAMPLE = ("Brows fly up, eyes wide, jaw open.", "A cave.", "Fright", STARTLED)
DRAFTS = {"neutral": NEUTRAL, "all the way up": Pose(HIGH), "all the way down": Pose(LOW)}


def messages(index: int) -> prompts.Messages:
    return prompts.poser_messages(TEXTS, "A flat at night.", "Alarm", index, [EXAMPLE])


def one(
    decoder: SkeletonDecoder,
    index: int,
    draft: Pose = NEUTRAL,
    check: Callable[[], None] = lambda: None,
    angle_reach: float | None = None,
) -> Pose:
    [pose] = decoder.decode([Request(messages(index), index, draft, angle_reach)], check)
    return pose


def small(models: Path, seed: int) -> LocalModel:
    """A tiny model with random weights in float64, whose choices are as wild as can be."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    # Threads would only wait for each other.
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(models / EMBEDDED_MODEL, local_files_only=True)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=2048,
        initializer_range=1.0,
    )
    return LocalModel(LlamaForCausalLM(config).double().eval(), tokenizer, "fp32", Path("small"))


@pytest.fixture(scope="module")
def real(models: Path) -> LocalModel:
    """The real model's first layers: all thirty take minutes for whole answers."""
    torch.set_num_threads(os.cpu_count() or 1)
    local = load(models / EMBEDDED_MODEL, "fp32")
    local.model.model.layers = local.model.model.layers[:4]
    local.model.config.num_hidden_layers = 4
    return local


class Reference:
    """Greedy decoding restricted to well-formed answers, with nothing clever about it."""

    def __init__(self, local: LocalModel) -> None:
        self._local = local

    def values(self, conversation: prompts.Messages, index: int, count: int) -> list[float]:
        opening, keys, _ = prompts.answer_parts(index)
        cache = self._local.model(input_ids=torch.tensor([[0]]), use_cache=True).past_key_values
        cache.crop(-1)
        found = []
        scores = self._feed(cache, self._local.chat_tokens(conversation) + self._local.tokens(opening))
        for channel, key in list(zip(CHANNELS, keys, strict=True))[:count]:
            # What opens the answer and its first key are one text for the tokenizer.
            if not found:
                cache.crop(-len(self._local.tokens(opening)))
                scores = self._feed(cache, self._local.tokens(opening + key))
            else:
                scores = self._feed(cache, self._local.tokens(key))
            left = [(self._local.tokens(text), text) for text in prompts.written_texts(channel.is_angle)]
            for depth in range(5):
                allowed = {tokens[depth] for tokens, _ in left if len(tokens) > depth}
                if not allowed:
                    break
                best = max(allowed, key=lambda token: (scores[token].item(), -token))
                left = [(tokens, text) for tokens, text in left if tokens[depth] == best]
                scores = self._feed(cache, [best])
            [(_, text)] = left
            found.append(float(text))
        return found

    def _feed(self, cache: Any, tokens: list[int]) -> torch.Tensor:
        with torch.inference_mode():
            out = self._local.model(
                input_ids=torch.tensor([tokens]), past_key_values=cache, use_cache=True, logits_to_keep=1
            )
        return out.logits[0, -1]


@pytest.mark.parametrize("seed", [0, 1])
def test_every_draft_gives_what_plain_decoding_gives(models: Path, seed: int) -> None:
    local = small(models, seed)
    decoder = SkeletonDecoder(local)
    for index in (0, 1):
        wanted = Reference(local).values(messages(index), index, len(CHANNELS))
        assert len(set(wanted)) > 3
        drafts = DRAFTS | {"right": Pose(np.array(wanted)), "startled": STARTLED}
        for name, draft in drafts.items():
            assert list(one(decoder, index, draft)) == wanted, (name, index)


def test_the_real_model_gives_side_by_side_what_plain_decoding_gives(real: LocalModel) -> None:
    asked = [Request(families.conversation(0), 0, STARTLED), Request(families.conversation(1), 1)]
    for index, pose in enumerate(SkeletonDecoder(real).decode(asked)):
        whole, values = families.Whole(real, index, pose), families.texts(pose)
        for channel in range(index, len(CHANNELS), 2):
            assert values[channel] == whole.greedy(channel), (index, channel)


def test_the_tokens_that_are_forced_are_those_of_the_whole_answer(models: Path) -> None:
    local = small(models, 0)
    for index, pose in ((0, NEUTRAL), (20, STARTLED), (99, Pose(HIGH)), (3, Pose(LOW))):
        opening, keys, closing = prompts.answer_parts(index)
        pieces = [opening + keys[0]]
        for key, value in zip([*keys[1:], closing], pose, strict=True):
            pieces += [f"{value:.1f}", key]
        tokens = [token for piece in pieces for token in local.tokens(piece)]
        assert tokens == local.tokens(prompts.answer(pose, index))


def test_a_kept_cache_gives_what_a_fresh_decoder_gives(models: Path) -> None:
    local = small(models, 2)
    kept = SkeletonDecoder(local)
    for index in (0, 1, 0, 1):
        assert one(kept, index) == one(SkeletonDecoder(local), index)


def test_a_cancelled_pose_leaves_the_decoder_usable(models: Path) -> None:
    local = small(models, 3)
    decoder = SkeletonDecoder(local)
    wanted = one(SkeletonDecoder(local), 1)
    for steps in (0, 1, 3, 6, 20):
        left = iter(range(steps))

        def check(left: Any = left) -> None:
            if next(left, None) is None:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            one(decoder, 0, check=check)
        assert one(decoder, 1) == wanted


def test_a_prompt_past_the_models_end_is_an_error(models: Path) -> None:
    local = small(models, 0)
    assert local.context == 2048
    long = prompts.poser_messages(["brow " * 2000], "", "", 0)
    with pytest.raises(FacescriptError, match=r"this model reads at most 14\d\d\.") as caught:
        SkeletonDecoder(local).decode([Request(long, 0)])
    assert caught.value.code == "long_text"


def test_a_chat_form_without_a_system_turn_is_served(models: Path) -> None:
    local = small(models, 0)
    local.tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "[{{ m.role }}]{{ m.content }}{% endfor %}"
    )
    text = local.tokenizer.decode(local.chat_tokens(prompts.poser_messages(TEXTS, "", "", 0)))
    assert text.startswith("[user]You are a professional facial animator.")
    assert text.count("[user]") == 1


def test_angles_stay_within_their_reach_of_the_guess_and_shapes_are_free(models: Path) -> None:
    decoder = SkeletonDecoder(small(models, 0))
    free = one(decoder, 0, STARTLED)
    held = one(decoder, 0, STARTLED, angle_reach=0.2)
    angles = np.array([channel.is_angle for channel in CHANNELS])
    # Random weights choose angles far from the guess, so the limit is seen to work.
    assert abs(free.values - STARTLED.values)[angles].max() > 0.2 + 1e-6
    assert abs(held.values - STARTLED.values)[angles].max() <= 0.2 + 1e-6
    assert (held.values == free.values)[~angles].all()
