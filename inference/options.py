# SPDX-License-Identifier: GPL-3.0-or-later
"""Which model is asked, as both processes name it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from ..performance import FacescriptError

BACKENDS = ("embedded", "local", "server")
DECODINGS = ("greedy", "expected")
QUANTIZATION_CHOICES = ("auto", "nf4", "int8", "bf16", "fp32", "none")

# Longer than any path, address or key.
MAX_OPTION = 4096

# As the sidebar's Seed.
MAX_SEED = 2**31 - 1

# The folder of the embedded model among the runtime's models.
EMBEDDED_MODEL = "smollm2-135m-instruct"


@dataclass(frozen=True)
class ModelOptions:
    """The backend; for a local model its folder or its name in Hugging Face's cache, the same of a LoRA ("" for none),
    how it is quantized, and how it decodes values; for a server its address, the name of a model there ("" for its only
    one), and a key ("" for none), which no text shows.

    `quantization` is one of `QUANTIZATION_CHOICES`: `auto` is what a measurement on this machine chose at set-up,
    `none` keeps the weights' own precision. `decoding` is one of `DECODINGS`: the likeliest value, or the mean of all
    values by their probabilities. Raises FacescriptError (`bad_option`) for other words.
    """

    backend: str = "embedded"
    model: str = ""
    adapter: str = ""
    quantization: str = "auto"
    address: str = ""
    key: str = field(default="", repr=False)
    decoding: str = "greedy"

    def __post_init__(self) -> None:
        _one_of("backend", self.backend, BACKENDS)
        _one_of("quantization", self.quantization, QUANTIZATION_CHOICES)
        _one_of("decoding", self.decoding, DECODINGS)

    @classmethod
    def from_dict(cls, fields: Mapping[str, object]) -> ModelOptions:
        """Read what `to_dict` writes; unknown fields and other types are errors."""
        for key, value in fields.items():
            known = key in cls.__dataclass_fields__ and isinstance(value, str)
            if not known or len(str(value)) > MAX_OPTION or "\0" in str(value):
                raise FacescriptError("bad_option", f"The model option {key[:40]!r} is not understood.")
        return cls(**{key: str(value) for key, value in fields.items()})

    def to_dict(self) -> dict[str, str]:
        """The options as JSON."""
        return asdict(self)


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise FacescriptError("bad_option", f"There is no {name} {value!r}.", f"Choose one of: {', '.join(choices)}.")
