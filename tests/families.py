# SPDX-License-Identifier: GPL-3.0-or-later
"""Models of several families at toy sizes, with random weights and tokenizers that split numbers differently.

What is wanted of the skeleton decoder is checked here in one forward pass over the whole answer, without a cache, from
the tokens of the answer as a whole.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from facescript.inference import prompts
from facescript.inference.worker.local_model import LocalModel
from facescript.performance import CHANNELS, Pose
from facescript.performance.channels import HIGH, LOW
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

# How the families' published tokenizers cut text before they join it again, as far as numbers and marks go.
_WORDS = r" ?[^\s\p{L}\p{N}]+|[^\r\n\p{L}\p{N}]?\p{L}+|\s+"
NUMBERS = {
    "digit by digit": rf"\p{{N}}|{_WORDS}",
    "in threes": rf"\p{{N}}{{1,3}}|{_WORDS}",
    "whole numbers": rf"-?\p{{N}}+\.\p{{N}}+|{_WORDS}|\p{{N}}+",
    # With a mark where a text begins, as SentencePiece has it.
    "begun with a mark": "",
    # Cut at spaces alone: keys and numbers join with what is beside them.
    "cut at spaces": "",
    # "0," is one token.
    "joined with commas": "",
}

# What the forms do with a conversation, in few words: Qwen3's has an empty block of thoughts where thinking is off;
# Gemma's and Mistral's first know no system turn; DeepSeek-R1's opens thoughts by itself.
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
)
FORMS = {
    "qwen3": CHATML
    + "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}",
    "llama": "{% for m in messages %}<|start|>{{ m.role }}<|end|>\n\n{{ m.content }}<|eot|>{% endfor %}"
    "<|start|>assistant<|end|>{{ '\n\n' }}",
    "gemma": "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content }}<end_of_turn>\n{% endfor %}<start_of_turn>model\n",
    "mistral": "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% elif m.role == 'assistant' %} {{ m.content }}</s>{% else %}{{ raise_exception('roles') }}{% endif %}"
    "{% endfor %}",
    "thinking": CHATML + "<think>\n{% endif %}",
    # No control token stands before an answer, as in TinyLlama's and Zephyr's.
    "zephyr": "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}",
}
_CONTROL = ["<|im_start|>", "<|im_end|>", "<think>", "</think>", "<|start|>", "<|end|>", "<|eot|>", "</s>", "[INST]"]
_CONTROL += ["[/INST]", "<start_of_turn>", "<end_of_turn>"]

TEXTS = ("Both brows shoot up, the eyes widen.", "Lids fall shut; the lips press thin, and the head turns.", "A smirk.")


@cache
def tokenizer(numbers: str, form: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE of 600 tokens, learned from requests and answers."""
    made = Tokenizer(models.BPE())
    if pattern := NUMBERS[numbers]:
        cut = pre_tokenizers.Split(Regex(pattern), "isolated")
        made.pre_tokenizer = pre_tokenizers.Sequence(
            [cut, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
        )
        made.decoder = decoders.ByteLevel()
    else:
        first: Any = "first" if numbers == "begun with a mark" else "never"
        cuts: dict[str, list[Any]] = {
            "begun with a mark": [pre_tokenizers.Digits(individual_digits=True)],
            "joined with commas": [pre_tokenizers.Punctuation("merged_with_previous")],
        }
        spaces = pre_tokenizers.Metaspace(prepend_scheme=first)
        made.pre_tokenizer = pre_tokenizers.Sequence([spaces, *cuts.get(numbers, [])])
        made.decoder = decoders.Metaspace(prepend_scheme=first)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=_CONTROL, initial_alphabet=alphabet, show_progress=False
    )
    generator = np.random.default_rng(0)
    learned = [prompts.answer(Pose(generator.uniform(LOW, HIGH)), index) for index in range(12)]
    learned += [message["content"] for message in conversation(0)] * 4
    made.train_from_iterator(learned, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=FORMS[form], eos_token="<|im_end|>")


def conversation(index: int) -> prompts.Messages:
    """KeyframeFace's request for one keyframe of three."""
    return prompts.poser_messages(TEXTS, "A flat at night.", "Alarm", index)


def model(family: str, vocabulary: int, seed: int = 0) -> Any:
    """A model of a family with random weights in float64, whose choices are as wild as can be."""
    import transformers as t

    # Threads would only wait for each other.
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 4096,
        "initializer_range": 1.0,
        "pad_token_id": 0,
        "attn_implementation": "eager",
    }
    few = {name: size for name, size in sizes.items() if name != "num_key_value_heads"}
    made: Any = {
        "qwen3": lambda: t.Qwen3ForCausalLM(t.Qwen3Config(**sizes, head_dim=8)),
        "llama": lambda: t.LlamaForCausalLM(t.LlamaConfig(**sizes)),
        # A window that is shorter than the prompt, in every other layer.
        "gemma": lambda: t.Gemma2ForCausalLM(t.Gemma2Config(**sizes, head_dim=8, sliding_window=64)),
        "phi": lambda: t.PhiForCausalLM(t.PhiConfig(**few)),
        "mistral": lambda: t.MistralForCausalLM(t.MistralConfig(**sizes, sliding_window=None)),
    }[family]()
    # What was read long ago counts as much as the last token.
    made.get_input_embeddings().weight.data *= 0.2
    return made.double().eval()


def toy(family: str, numbers: str, form: str = "", seed: int = 0) -> LocalModel:
    """A model of a family with a tokenizer, in the family's chat form if none is named."""
    pieces = tokenizer(numbers, form or ("llama" if family == "phi" else family))
    return LocalModel(model(family, len(pieces), seed), pieces, "none", Path(family))


def texts(pose: Pose) -> list[str]:
    """A pose's values as an answer has them."""
    return [f"{value:.1f}" for value in pose]


class Whole:
    """One answer read as a whole, and what the model finds likely at each place of it."""

    def __init__(self, local: LocalModel, index: int, pose: Pose, prompt: list[int] | None = None) -> None:
        self._local = local
        self._prompt = local.chat_tokens(conversation(index)) if prompt is None else prompt
        self.opening, self.keys, _ = prompts.answer_parts(index)
        self._texts = texts(pose)
        begun = "".join(key + text for key, text in zip(self.keys, self._texts, strict=True))
        self.answer = local.answer_tokens(self.opening + begun)
        self._scores = self._read(self.answer)

    def _read(self, answer: list[int]) -> torch.Tensor:
        with torch.inference_mode():
            scores = self._local.model(input_ids=torch.tensor([self._prompt + answer])).logits[0]
        return scores[len(self._prompt) - 1 :]

    def options(self, channel: int) -> dict[str, list[int]]:
        """The answer's tokens up to a channel's value, for each value."""
        begun = self.opening + "".join(key + text for key, text in zip(self.keys[:channel], self._texts, strict=False))
        texts = prompts.written_texts(CHANNELS[channel].is_angle)
        return {text: self._local.answer_tokens(begun + self.keys[channel] + text) for text in texts}

    def greedy(self, channel: int) -> str:
        """The value that greedy decoding restricted to well-formed answers takes, token by token."""
        left, depth = self.options(channel), 0
        while len(left) > 1:
            allowed = sorted({row[depth] for row in left.values()})
            best = allowed[int(self._scores[depth][allowed].argmax())]
            left, depth = {text: row for text, row in left.items() if row[depth] == best}, depth + 1
        return next(iter(left))

    def freely(self) -> list[int]:
        """The answer that greedy decoding takes with nothing forced, if it is this one: the likeliest at each place."""
        return [int(token) for token in self._scores[:-1].argmax(dim=-1)]

    def mean(self, channel: int) -> float:
        """The mean of a channel's values by their probabilities, each value read for itself."""
        options = self.options(channel)
        total = 0.0
        for text, row in options.items():
            scores, chance = self._read(row), 1.0
            for depth, token in enumerate(row):
                allowed = sorted({other[depth] for other in options.values() if other[:depth] == row[:depth]})
                chance *= float(torch.softmax(scores[depth][allowed], dim=0)[allowed.index(token)])
            total += float(text) * chance
        return total
