# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from facescript.inference.options import BACKENDS, QUANTIZATION_CHOICES, ModelOptions
from facescript.performance import FacescriptError
from hypothesis import given
from hypothesis import strategies as st

texts = st.text(st.characters(exclude_characters="\0"))


@given(st.sampled_from(BACKENDS), st.sampled_from(QUANTIZATION_CHOICES), st.lists(texts, min_size=4, max_size=4))
def test_options_read_back_as_they_were_written(backend: str, quantization: str, texts: list[str]) -> None:
    options = ModelOptions(backend, texts[0], texts[1], quantization, texts[2], texts[3])
    assert ModelOptions.from_dict(options.to_dict()) == options


def test_a_key_is_not_shown() -> None:
    options = ModelOptions("server", address="localhost:1", key="very-secret")
    assert "very-secret" not in f"{options} {options!r} {[options]}"
    assert options != ModelOptions("server", address="localhost:1", key="another")


def test_the_default_is_the_embedded_model_as_it_was_measured() -> None:
    assert ModelOptions().to_dict() == {
        "backend": "embedded",
        "model": "",
        "adapter": "",
        "quantization": "auto",
        "address": "",
        "key": "",
        "decoding": "greedy",
    }


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"backend": "cloud"}, "There is no backend 'cloud'. Choose one of: embedded, local, server."),
        (
            {"quantization": "int2"},
            "There is no quantization 'int2'. Choose one of: auto, nf4, int8, bf16, fp32, none.",
        ),
        ({"decoding": "beam"}, "There is no decoding 'beam'. Choose one of: greedy, expected."),
        ({"model": 3}, "The model option 'model' is not understood."),
        ({"model": None}, "The model option 'model' is not understood."),
        ({"trust_remote_code": "yes"}, "The model option 'trust_remote_code' is not understood."),
    ],
)
def test_other_options_are_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(FacescriptError) as caught:
        ModelOptions.from_dict(fields)
    assert (caught.value.code, str(caught.value)) == ("bad_option", words)


@pytest.mark.parametrize("value", ["/a\0b", "x" * 4097, 3, None])
def test_what_can_be_no_path_is_refused(value: object) -> None:
    with pytest.raises(FacescriptError, match="'model' is not understood"):
        ModelOptions.from_dict({"backend": "local", "model": value})
