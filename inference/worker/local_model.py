# SPDX-License-Identifier: GPL-3.0-or-later
"""Loading a causal language model from a folder, quantized, and nothing but safetensors and JSON."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError, safe_open

from ...performance import FacescriptError

# "none" is the precision that the weights are stored in.
Quantization = Literal["nf4", "int8", "bf16", "fp32", "none"]
QUANTIZATIONS: tuple[Quantization, ...] = get_args(Quantization)

_CHOOSE = "Choose a folder with config.json, tokenizer.json and *.safetensors files, as Hugging Face models have."


@dataclass
class LocalModel:
    """A loaded model with its tokenizer (both from transformers) and how it is quantized."""

    model: Any
    tokenizer: Any
    quantization: Quantization
    folder: Path

    @property
    def device(self) -> torch.device:
        """Where the model's first layer takes its tokens."""
        return self.model.get_input_embeddings().weight.device

    @property
    def context(self) -> int:
        """How many tokens the model was made to read."""
        config = self.model.config.get_text_config()
        return int(getattr(config, "max_position_embeddings", None) or 4096)

    def chat_tokens(self, messages: list[dict[str, str]]) -> list[int]:
        """Token ids of a conversation in the model's own chat form, up to where its answer begins."""
        from jinja2 import TemplateError

        try:
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except TemplateError:
            # Some models' form knows no system turn: what it says then opens the first question.
            system, question, *rest = messages
            first = {"role": "user", "content": f"{system['content']}\n\n{question['content']}"}
            text = self.tokenizer.apply_chat_template([first, *rest], tokenize=False, add_generation_prompt=True)
        return self.tokens(text)

    def tokens(self, text: str) -> list[int]:
        """Token ids of a text, with no special tokens added."""
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])


def check_folder(folder: Path) -> None:
    """Refuse a folder that is not a whole, uncorrupted model in safetensors; FacescriptError says what is wrong."""
    if not folder.is_dir():
        raise FacescriptError("no_model", f"There is no model folder {folder}.", _CHOOSE)
    for name in ("config.json", "tokenizer.json"):
        _read_json(folder / name)
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        pickled = [*folder.glob("*.bin"), *folder.glob("*.pt"), *folder.glob("*.pth")]
        why = " Pickled weights (*.bin, *.pt) are never loaded." if pickled else ""
        raise FacescriptError("bad_model", f"{folder} holds no *.safetensors weights.{why}", _CHOOSE)
    for path in weights:
        try:
            with safe_open(path, "pt") as stream:
                list(stream.keys())
        except (SafetensorError, OSError) as error:
            raise FacescriptError(
                "bad_model", f"{path} is corrupt or cut short: {error}.", "Download or convert the model again."
            ) from error


def _read_json(path: Path) -> None:
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FacescriptError("bad_model", f"{path.parent} has no readable {path.name}.", _CHOOSE) from error
    except ValueError as error:
        raise FacescriptError(
            "bad_model", f"{path} is not valid JSON: {error}.", "Download or convert the model again."
        ) from error


def load(folder: Path, quantization: Quantization, adapter: Path | None = None) -> LocalModel:
    """Load the model in `folder`, with the LoRA in `adapter` (peft's form) if there is one.

    On a CUDA or Apple GPU if torch finds one, else on the CPU. Raises FacescriptError (`no_model`, `bad_model`,
    `no_memory`, `bad_adapter`).
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    check_folder(folder)
    _quiet()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            device_map="auto" if torch.cuda.is_available() else {"": _cpu_or_mps(quantization)},
            **_quantization_arguments(quantization),
        )
    # Whatever is wrong with a user's folder: tokenizers raises plain Exceptions, transformers nearly everything.
    except Exception as error:
        if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error):
            raise FacescriptError(
                "no_memory", f"There is not enough memory for the model in {folder}.", "Use nf4, or a smaller model."
            ) from error
        raise FacescriptError(
            "bad_model", f"The model in {folder} cannot be loaded: {_first_line(error)}", _CHOOSE
        ) from error
    if not tokenizer.chat_template:
        raise FacescriptError(
            "bad_model", f"The model in {folder} has no chat template.", "Choose a model that follows instructions."
        )
    model.eval()
    if adapter is not None:
        model = _with_adapter(model, adapter)
    return LocalModel(model, tokenizer, quantization, folder)


def _quantization_arguments(quantization: Quantization) -> dict[str, Any]:
    from transformers import BitsAndBytesConfig

    if quantization == "nf4":
        config = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
        return {"quantization_config": config, "dtype": torch.bfloat16}
    if quantization == "int8":
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True), "dtype": torch.bfloat16}
    return {"dtype": {"fp32": torch.float32, "bf16": torch.bfloat16}.get(quantization, "auto")}


def _cpu_or_mps(quantization: Quantization) -> str:
    # bitsandbytes has no kernels for Apple's GPUs.
    if quantization in ("bf16", "fp32", "none") and torch.backends.mps.is_available():
        return "mps"
    return "cpu"


def _with_adapter(model: Any, adapter: Path) -> Any:
    from peft import PeftModel

    if not (adapter / "adapter_model.safetensors").is_file():
        raise FacescriptError(
            "bad_adapter", f"{adapter} holds no adapter_model.safetensors.", "Choose a LoRA folder as peft saves it."
        )
    try:
        return PeftModel.from_pretrained(model, adapter, local_files_only=True).eval()
    except Exception as error:
        raise FacescriptError(
            "bad_adapter",
            f"The adapter in {adapter} does not fit the model: {_first_line(error)}",
            "Check its base model.",
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _quiet() -> None:
    # bitsandbytes warns at every single int8 product; transformers draws progress bars.
    from transformers.utils import logging as transformers_logging

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
