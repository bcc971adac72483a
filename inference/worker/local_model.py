# SPDX-License-Identifier: GPL-3.0-or-later
"""Loading a causal language model from a folder, quantized, and nothing but safetensors and JSON."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from ...performance import FacescriptError
from . import hub_cache
from .model_folder import TEMPLATE_BYTES
from .placement import ROWS, Placement, measured, placed, this_machine
from .template_trial import THINKING_OFF, template_faults

# "none" is the precision that the weights are stored in.
Quantization = Literal["nf4", "int8", "bf16", "fp32", "none"]
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)

# What opens thoughts at the end of a prompt, in forms that always think (DeepSeek-R1, QwQ), and what ends them before
# any; and of forms with channels (gpt-oss), what leads to the answer's.
_CLOSINGS = {
    "<think>": "\n\n</think>\n\n",
    "<|start|>assistant": "<|channel|>final<|message|>",
}
# Tokens that hold any of these.
_TAIL = 16
# Characters of a turn by which it is found again in a conversation; they are ours, not the user's.
_SHOWN = 24
# Families that take a token's place from the cache's length, whatever `position_ids` say.
_COUNTS_GAPS = ("gpt_neo", "mpt")
# Tokens at an answer's beginning that may be others behind a question than alone.
_MARKED = 4

_OTHER = "Choose another model."
_CHOOSE = "Choose a folder with config.json, tokenizer.json and *.safetensors files, as Hugging Face models have."


@dataclass
class LocalModel:
    """A loaded model with its tokenizer (both from transformers), how it is quantized, and how many keyframes it may
    decode side by side."""

    model: Any
    tokenizer: Any
    quantization: Quantization
    folder: Path
    rows: int = ROWS
    _form_tried: bool = False

    @property
    def device(self) -> torch.device:
        """Where the model's first layer takes its tokens."""
        found = self.model.get_input_embeddings().weight.device
        # What accelerate has put aside is nowhere until it is used, and then on the first GPU.
        return torch.device("cuda", 0) if found.type == "meta" else found

    @property
    def name(self) -> str:
        """The model's name for people: its folder's, or its own where the folder is one of Hugging Face's cache."""
        return hub_cache.name(self.folder)

    @property
    def context(self) -> int:
        """How many tokens the model was made to read."""
        config = self.model.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or 4096)

    def new_cache(self) -> Any:
        """An empty key-value cache that can be cropped to any length.

        Raises FacescriptError (`bad_model`) for a model that cannot go back: one with a running state beside or instead
        of attention (Mamba, linear attention, convolutions).
        """
        from transformers import DynamicCache
        from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

        cache = DynamicCache(config=self.model.config)
        if not all(getattr(layer, "is_croppable", False) is True for layer in cache.layers):
            what = f"The model in {self.folder} keeps a running state, as Mamba and linear attention do."
            raise FacescriptError("bad_model", what, "Choose one with attention alone, or run this one on a server.")
        # transformers' own layers for sliding windows drop what has left the window, and cannot go back.
        cache.layers = [DynamicLayer() if type(layer) is DynamicSlidingWindowLayer else layer for layer in cache.layers]
        return cache

    def reads_side_by_side(self, length: int) -> bool:
        """Whether sequences of so many tokens can be read as rows with gaps: windows of attention are counted with the
        gaps, so none may be shorter, and so are places in some models."""
        from transformers import DynamicCache

        if self.model.config.model_type in _COUNTS_GAPS:
            return False
        layers = DynamicCache(config=self.model.config).layers
        # Twice: a gap is shorter than what another row has read.
        return all(layer.sliding_window >= 2 * length for layer in layers if getattr(layer, "is_sliding", False))

    @contextmanager
    def without_adapter(self) -> Iterator[None]:
        """The model as it is without its LoRA, for a while."""
        if not hasattr(self.model, "disable_adapter"):
            yield
            return
        with self.model.disable_adapter():
            yield

    def chat_tokens(self, messages: list[dict[str, str]], *, thinking: bool = False) -> list[int]:
        """Token ids of a conversation in the model's own chat form, up to where its answer begins.

        Thinking is turned off where the form can do so, and what it leaves open for thoughts is closed; `thinking`
        takes the form as it is. Control tokens are the form's alone: those that stand in the messages are read as text.
        Raises FacescriptError (`bad_model`) for a form that does not end, makes gigabytes, is no template, or reaches
        for what it may not.
        """
        found = self._formed(messages, thinking)
        return found if thinking else [*found, *self._closing(found)]

    def _closing(self, prompt: list[int]) -> list[int]:
        """What closes the thoughts that a prompt ends with the beginning of, and opens the answer."""
        end = self.tokenizer.decode(prompt[-_TAIL:])
        for opened, closing in _CLOSINGS.items():
            if end.rstrip().endswith(opened):
                return list(self.tokenizer(closing, add_special_tokens=False)["input_ids"])
        return []

    def _formed(self, messages: list[dict[str, str]], thinking: bool) -> list[int]:
        if not self._form_tried:
            _try_chat_form(_chat_form(self.tokenizer, self.folder), self.folder)
            self._form_tried = True
        why = "it leaves out what is asked"
        # Some models' form knows no system turn, or passes over it.
        for turns in (messages, _without_system(messages)):
            # A form may raise anything: it is the model's own code, in a sandbox.
            try:
                if self._says(turns, thinking):
                    return self._chat_tokens(turns, thinking)
            except Exception as error:
                why = type(error).__name__
        what = f"The chat template of the model in {self.folder} cannot be used ({why})."
        raise FacescriptError("bad_model", what, _OTHER)

    def _says(self, messages: list[dict[str, str]], thinking: bool) -> bool:
        """Whether the form shows the first turn and the last: what they begin with."""
        options = {} if thinking else THINKING_OFF
        text = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **options)
        return all(turn["content"].strip()[:_SHOWN] in text for turn in (messages[0], messages[-1]))

    def _chat_tokens(self, messages: list[dict[str, str]], thinking: bool, answered: bool = False) -> list[int]:
        options = {} if thinking else THINKING_OFF
        found = self.tokenizer.apply_chat_template(
            messages, add_generation_prompt=not answered, return_dict=False, sanitize_control_tokens=True, **options
        )
        return list(found)

    @property
    def beginning(self) -> list[int]:
        """What the tokenizer puts before any text that is no conversation: a token for that, or nothing."""
        return [token for token in self.tokenizer("")["input_ids"] if token != self.tokenizer.eos_token_id]

    def tokens(self, text: str) -> list[int]:
        """Token ids of a text as text: no special tokens are added, and none are read."""
        return self.spelled(text)[0]

    def spelled(self, text: str) -> tuple[list[int], list[int]]:
        """As `tokens`, and where each of them ends in the text, in characters."""
        found = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
        return list(found["input_ids"]), [end for _, end in found["offset_mapping"]]

    def answer_tokens(self, text: str) -> list[int]:
        """Token ids of a text as it stands where an answer begins in the model's chat form.

        Tokenizers that mark where words begin write a text of its own otherwise than one behind a line's end, and some
        forms put a space before each answer.
        """
        alone = self.tokens(text)
        asked = [{"role": "user", "content": "x"}]
        prompt = self.chat_tokens(asked)
        try:
            whole = self._chat_tokens([*asked, {"role": "assistant", "content": text}], False, answered=True)
        # A form that is for questions alone.
        except Exception:
            return alone
        behind = whole[len(prompt) :] if whole[: len(prompt)] == prompt else []
        for skipped in range(min(_MARKED, len(alone))):
            rest = alone[skipped:]
            at = next((at for at in range(len(behind)) if behind[at : at + len(rest)] == rest), None)
            if at is not None and self._reads(behind[:at]) == self._reads(alone[:skipped]):
                return behind[: at + len(rest)]
        return alone

    def _reads(self, tokens: list[int]) -> str:
        return str(self.tokenizer.decode(tokens)).strip()


def _without_system(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The conversation with what a system turn says at the head of the first question."""
    if messages[0]["role"] != "system":
        return messages
    system, question, *rest = messages
    return [{"role": "user", "content": f"{system['content']}\n\n{question['content']}"}, *rest]


def load(folder: Path, quantization: Quantization, adapter: Path | None = None) -> LocalModel:
    """Load the model in `folder`, with the LoRA in `adapter` (peft's form) if there is one.

    On a CUDA or Apple GPU if torch finds one, with parts in the machine's memory where an NVIDIA GPU is too small, else
    on the CPU. Weights that bitsandbytes has quantized already stay as they are, whatever `quantization` says.

    Raises FacescriptError (`no_model`, `bad_model`, `no_memory`, `bad_adapter`); `no_memory` before any weights are
    read, if an estimate says so.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    size = measured(folder, adapter)
    # What is quantized already stays so.
    quantization = next((name for name in QUANTIZATIONS if name == size.packed), quantization)
    _quiet()
    try:
        place = placed(folder, size, quantization, this_machine())
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model, told = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
            **_where(quantization, place),
            **_quantization_arguments(quantization, place.offloads, bool(size.packed)),
        )
    except FacescriptError:
        raise
    # Whatever is wrong with a user's folder: tokenizers raises plain Exceptions, transformers nearly everything.
    except Exception as error:
        if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error):
            raise FacescriptError(
                "no_memory", f"There is not enough memory for the model in {folder}.", "Use nf4, or a smaller model."
            ) from error
        raise FacescriptError(
            "bad_model", f"The model in {folder} cannot be loaded: {first_line(error)}", _CHOOSE
        ) from error
    _chat_form(tokenizer, folder)
    if told["missing_keys"]:
        # transformers would make up what is missing.
        what = f"The model in {folder} lacks weights, such as {min(told['missing_keys'])[:80]}."
        raise FacescriptError("bad_model", what, "Download or convert the model again.")
    model.eval()
    if adapter is not None:
        model = _with_adapter(model, adapter)
    return LocalModel(model, tokenizer, quantization, folder, place.rows)


def _where(quantization: Quantization, place: Placement) -> dict[str, Any]:
    if place.offloads:
        return {"device_map": place.devices}
    return {"device_map": "auto" if torch.cuda.is_available() else {"": _cpu_or_mps(quantization)}}


def _chat_form(tokenizer: Any, folder: Path) -> str:
    """The template of plain conversations. Raises FacescriptError (`bad_model`) where there is none."""
    if not tokenizer.chat_template:
        what = f"The model in {folder} has no chat template."
        raise FacescriptError("bad_model", what, "Choose a model that follows instructions.")
    try:
        form = tokenizer.get_chat_template()
    # Of several, each with a name, none is the default.
    except ValueError:
        form = None
    if not isinstance(form, str):
        what = f"The model in {folder} has chat templates for other purposes, and none for plain conversations."
        raise FacescriptError("bad_model", what, _OTHER)
    return form


def _try_chat_form(form: str, folder: Path) -> None:
    turns = [{"role": role, "content": "x"} for role in ("system", "user", "assistant", "user")]
    asked = [turns, turns[1:], turns[:2], turns[1:2], turns[1:3]]
    wrong = template_faults(form, asked) if len(form) <= TEMPLATE_BYTES else "is too long"
    if wrong:
        raise FacescriptError("bad_model", f"The chat template of the model in {folder} {wrong}.", _OTHER)


def _quantization_arguments(quantization: Quantization, offloads: bool, packed: bool) -> dict[str, Any]:
    from transformers import BitsAndBytesConfig

    if packed:
        # The folder's configuration says how.
        return {"dtype": torch.bfloat16}
    if quantization == "nf4":
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
            llm_int8_enable_fp32_cpu_offload=offloads,
        )
        return {"quantization_config": config, "dtype": torch.bfloat16}
    if quantization == "int8":
        config = BitsAndBytesConfig(load_in_8bit=True, llm_int8_enable_fp32_cpu_offload=offloads)
        return {"quantization_config": config, "dtype": torch.bfloat16}
    return {"dtype": {"fp32": torch.float32, "bf16": torch.bfloat16}.get(quantization, "auto")}


def _cpu_or_mps(quantization: Quantization) -> str:
    # bitsandbytes has no kernels for Apple's GPUs.
    if quantization in ("bf16", "fp32", "none") and torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def _with_adapter(model: Any, adapter: Path) -> Any:
    from peft import PeftModel

    try:
        adapted = PeftModel.from_pretrained(model, adapter, local_files_only=True).eval()
        wrong = _unmatched(adapted, adapter)
    # Whatever is wrong with a user's file: peft and torch raise nearly everything.
    except Exception as error:
        raise _misfit(adapter, first_line(error)) from error
    if wrong:
        raise _misfit(adapter, wrong)
    return adapted


def _unmatched(adapted: Any, adapter: Path) -> str:
    """What of a LoRA's file has no place in the model, or which place has nothing in the file; "" if all is matched.

    peft leaves the former out and fills the latter with zeros, in silence. Only its own loading knows how names in
    files become names in models (experts in one tensor, older files), so what that leaves over is asked for.
    """
    from peft import set_peft_model_state_dict
    from peft.utils import load_peft_weights

    told = set_peft_model_state_dict(adapted, load_peft_weights(str(adapter), device="cpu"))
    if told.unexpected_keys:
        return f"the model has no place for its {min(told.unexpected_keys)[:160]}."
    # The base's own weights are missing in any adapter.
    missing = [name for name in told.missing_keys if "lora_" in name]
    return f"it has nothing for the model's {min(missing)[:160]}." if missing else ""


def _misfit(adapter: Path, why: str) -> FacescriptError:
    what = f"The adapter in {adapter} does not fit the model: {why}"
    return FacescriptError("bad_adapter", what, "Choose the model that the adapter was trained for.")


def first_line(error: BaseException) -> str:
    """The first line of what a library says of an error, or its name."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _quiet() -> None:
    # bitsandbytes warns at every single int8 product; transformers draws progress bars.
    from transformers.utils import logging as transformers_logging

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
