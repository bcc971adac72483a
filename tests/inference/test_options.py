# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from facescript.inference.options import BACKENDS, QUANTIZATION_CHOICES, ModelOptions
from facescript.performance import FacescriptError
from hypothesis import given
from hypothesis import strategies as st


@given(st.sampled_from(BACKENDS), st.text(), st.text(), st.sampled_from(QUANTIZATION_CHOICES))
def test_options_read_back_as_they_were_written(backend: str, model: str, adapter: str, quantization: str) -> None:
    options = ModelOptions(backend, model, adapter, quantization)
    assert ModelOptions.from_dict(options.to_dict()) == options


def test_the_default_is_the_embedded_model_as_it_was_measured() -> None:
    assert ModelOptions().to_dict() == {"backend": "embedded", "model": "", "adapter": "", "quantization": "auto"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"backend": "cloud"}, "There is no backend 'cloud'. Choose one of: embedded, local."),
        (
            {"quantization": "int2"},
            "There is no quantization 'int2'. Choose one of: auto, nf4, int8, bf16, fp32, none.",
        ),
        ({"model": 3}, "The model option 'model' is not understood."),
        ({"model": None}, "The model option 'model' is not understood."),
        ({"trust_remote_code": "yes"}, "The model option 'trust_remote_code' is not understood."),
    ],
)
def test_other_options_are_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(FacescriptError) as caught:
        ModelOptions.from_dict(fields)
    assert (caught.value.code, str(caught.value)) == ("bad_option", words)
