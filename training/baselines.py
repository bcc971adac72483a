# SPDX-License-Identifier: GPL-3.0-or-later
"""What any trained poser has to beat: poses from descriptions by plain means.

All are fitted on the training part and its mirror images, and what there is to choose is chosen on the development
part by the mean absolute error over the 55 independent channels. None sees the test part before it is measured.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from torch import nn
from torch.nn import functional

from ..inference.examples import Examples
from ..inference.options import EMBEDDED_MODEL
from ..inference.worker.backends import Backend
from ..inference.worker.local_backend import LocalBackend
from ..inference.worker.local_model import load
from ..performance import CHANNELS, Performance, Pose
from ..performance.channels import COUNT, HIGH, LOW
from ..performance.mirroring import mirror
from ..performance.pose import Array
from .metrics import INDEPENDENT, figures
from .sentences import Embed

# What is tried. Zeroing small values costs nothing in fit and much in how a face looks, so each regressor may do it.
THRESHOLDS: tuple[float, ...] = tuple(round(0.01 * step, 2) for step in range(31))
TFIDF_ALPHAS = (0.1, 0.3, 1.0, 3.0, 10.0)
SENTENCE_ALPHAS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
NEIGHBOUR_GRAMS = (1, 2, 3)

_NAMES = tuple(channel.name for channel in CHANNELS[:INDEPENDENT])


@dataclass(frozen=True)
class Rows:
    """Keyframes, one a row: their descriptions, where and how they are played, and their poses (P, 61)."""

    texts: tuple[str, ...]
    backgrounds: tuple[str, ...]
    emotions: tuple[str, ...]
    poses: Array

    @classmethod
    def of(cls, performances: Sequence[Performance]) -> Rows:
        """All keyframes of `performances`, in their order."""
        pairs = [(performance.brief, keyframe) for performance in performances for keyframe in performance.keyframes]
        return cls(
            tuple(keyframe.text for _, keyframe in pairs),
            tuple(brief.background for brief, _ in pairs),
            tuple(brief.emotion for brief, _ in pairs),
            np.array([keyframe.pose.values for _, keyframe in pairs]).reshape(-1, COUNT),
        )


# From rows to their independent channels (P, 55), in no particular range.
Predict = Callable[[Rows], Array]


@dataclass(frozen=True)
class System:
    """Something that makes poses: `poses(performances)` is (keyframes, 61). `note` says what was chosen for it."""

    name: str
    note: str
    poses: Callable[[Sequence[Performance]], Array]


def make(train: Sequence[Performance], dev: Sequence[Performance], embed: Embed) -> Iterator[System]:
    """Fit the baselines one after the other and yield each."""
    rows = Rows.of([*train, *(mirror(performance) for performance in train)])
    held = Rows.of(dev)
    yield neutral()
    yield mean_pose(train)
    yield nearest_neighbour(rows, held)
    yield tfidf_ridge(rows, held)
    yield sentence_ridge(rows, held, embed)
    yield sentence_mlp(rows, held, embed)


def neutral() -> System:
    """A face at rest."""
    return System("neutral", "", lambda performances: np.zeros((_count(performances), COUNT)))


def mean_pose(train: Sequence[Performance]) -> System:
    """The mean of all training poses, whatever is described."""
    mean = Rows.of(train).poses.mean(axis=0)
    return System("mean pose", "", lambda performances: np.tile(mean, (_count(performances), 1)))


def nearest_neighbour(rows: Rows, held: Rows) -> System:
    """The pose of the training description that is most alike: the cosine of TF-IDF vectors."""
    found = [(f"up to {grams} words", _neighbour(rows, grams)) for grams in NEIGHBOUR_GRAMS]
    return chosen("nearest neighbour", found, held, thresholds=(0.0,))


def _neighbour(rows: Rows, grams: int) -> Predict:
    vectors = _tfidf(grams)
    known = vectors.fit_transform(rows.texts)
    targets = rows.poses[:, :INDEPENDENT]

    def predict(asked: Rows) -> Array:
        # The rows are of length 1 already.
        alike = (vectors.transform(asked.texts) @ known.T).toarray()
        return np.asarray(targets[alike.argmax(axis=1)])

    return predict


def tfidf_ridge(rows: Rows, held: Rows, alphas: Sequence[float] = TFIDF_ALPHAS) -> System:
    """Ridge regression (Hoerl and Kennard 1970) on TF-IDF vectors of one to three words."""
    vectors = _tfidf(3)
    known = vectors.fit_transform(rows.texts)
    targets = rows.poses[:, :INDEPENDENT]

    def predictor(alpha: float) -> Predict:
        ridge = Ridge(alpha=alpha, solver="sparse_cg", tol=1e-3).fit(known, targets)
        return lambda asked: np.asarray(ridge.predict(vectors.transform(asked.texts)))

    return chosen("TF-IDF ridge", ((f"alpha {alpha:g}", predictor(alpha)) for alpha in alphas), held)


def _tfidf(grams: int) -> TfidfVectorizer:
    return TfidfVectorizer(ngram_range=(1, grams), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")


def sentence_ridge(rows: Rows, held: Rows, embed: Embed, alphas: Sequence[float] = SENTENCE_ALPHAS) -> System:
    """Ridge regression on the description's sentence embedding, with or without the scene's."""
    targets = rows.poses[:, :INDEPENDENT]

    def candidates() -> Iterator[tuple[str, Predict]]:
        for label, features in _features(embed):
            known = features(rows)
            for alpha in alphas:
                yield f"{label}, alpha {alpha:g}", predictor(Ridge(alpha=alpha).fit(known, targets), features)

    def predictor(ridge: Ridge, features: Predict) -> Predict:
        return lambda asked: np.asarray(ridge.predict(features(asked)))

    return chosen("sentence ridge", candidates(), held)


def sentence_mlp(rows: Rows, held: Rows, embed: Embed, recipe: MlpRecipe | None = None) -> System:
    """A network with one hidden layer on the description's sentence embedding, with or without the scene's."""
    found = ((label, _mlp(features, rows, held, recipe or MlpRecipe())) for label, features in _features(embed))
    return chosen("sentence MLP", found, held)


def _features(embed: Embed) -> list[tuple[str, Predict]]:
    def alone(rows: Rows) -> Array:
        return embed(rows.texts)

    def in_scene(rows: Rows) -> Array:
        return np.hstack([embed(rows.texts), embed(rows.emotions), embed(rows.backgrounds)])

    return [("description", alone), ("description, emotion and background", in_scene)]


@dataclass(frozen=True)
class MlpRecipe:
    """How the network is trained; it stops when the development part's squared error has not fallen for `patience`."""

    width: int = 512
    dropout: float = 0.2
    rate: float = 1e-3
    decay: float = 0.01
    batch: int = 256
    epochs: int = 30
    patience: int = 4
    seed: int = 1


def _mlp(features: Predict, rows: Rows, held: Rows, recipe: MlpRecipe) -> Predict:
    known, targets = _tensor(features(rows)), _tensor(rows.poses[:, :INDEPENDENT])
    asked, wanted = _tensor(features(held)), _tensor(held.poses[:, :INDEPENDENT])
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        scale = float(known.std())
        net = nn.Sequential(
            nn.Linear(known.shape[1], recipe.width),
            nn.GELU(),
            nn.Dropout(recipe.dropout),
            nn.Linear(recipe.width, INDEPENDENT),
        )
        optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
        best: tuple[float, dict[str, Any]] = (float("inf"), {})
        since = 0
        for _ in range(recipe.epochs):
            net.train()
            for part in torch.randperm(len(known)).split(recipe.batch):
                loss = functional.mse_loss(net(known[part] / scale), targets[part])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            with torch.inference_mode():
                error = float(functional.mse_loss(net.eval()(asked / scale), wanted))
            since = 0 if error < best[0] else since + 1
            if since == 0:
                best = error, copy.deepcopy(net.state_dict())
            elif since >= recipe.patience:
                break
        net.load_state_dict(best[1])

    def predict(asked: Rows) -> Array:
        with torch.inference_mode():
            return net.eval()(_tensor(features(asked)) / scale).double().numpy()

    return predict


def _tensor(values: Array) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def chosen(
    name: str, candidates: Iterable[tuple[str, Predict]], held: Rows, thresholds: Sequence[float] = THRESHOLDS
) -> System:
    """The best of `candidates` on the development part, each with its best threshold; of equals the first."""
    tried = []
    for label, predict in candidates:
        found = predict(held)
        threshold = best_threshold(found, held.poses, thresholds)
        tried.append((figures(whole(found, threshold), held.poses).mae, label, predict, threshold))
    error, label, predict, threshold = min(tried, key=lambda row: row[0])
    cut = f", zero under {threshold:g}" if threshold else ""
    note = f"{label}{cut} (MAE {error:.4f} on dev)"
    return System(name, note, lambda performances: whole(predict(Rows.of(performances)), threshold))


def best_threshold(found: Array, true: Array, thresholds: Sequence[float] = THRESHOLDS) -> float:
    """Under which magnitude predictions (P, 55) are best made zero: the least mean absolute error, of equals the first.

    `true` is (P, 55 or more).
    """
    return min(thresholds, key=lambda threshold: figures(_in_range(found, threshold), true).mae)


def _in_range(found: Array, threshold: float) -> Array:
    values = np.clip(found, LOW[:INDEPENDENT], HIGH[:INDEPENDENT])
    return np.where(np.abs(values) < threshold, 0.0, values)


def whole(found: Array, threshold: float) -> Array:
    """Poses (P, 61) from independent channels (P, 55): in range, zero under `threshold`, the eyes' angles added."""
    rows = _in_range(found, threshold).tolist()
    poses = [Pose.from_dict(dict(zip(_NAMES, row, strict=True))).values for row in rows]
    return np.array(poses).reshape(-1, COUNT)


def prompted(train: Sequence[Performance], models: Path, quantization: str = "bf16") -> System:
    """The embedded language model as it is, shown a worked example of the training part (seconds a keyframe)."""
    local = load(models / EMBEDDED_MODEL, quantization)  # type: ignore[arg-type]
    backend = LocalBackend(local, Examples(train), trained=False)
    return System("prompted", backend.label, lambda performances: posed(backend, performances))


def posed(backend: Backend, performances: Sequence[Performance]) -> Array:
    """Poses (keyframes, 61) of the descriptions of `performances` by a backend of the product."""
    poses = []
    for performance in performances:
        texts = [keyframe.text for keyframe in performance.keyframes]
        poses += [pose.values for pose in backend.pose(performance.brief, texts, lambda: None)]
    return np.array(poses).reshape(-1, COUNT)


def sample(performances: Sequence[Performance], keyframes: int, seed: int = 0) -> list[Performance]:
    """Whole performances, drawn at random until they have `keyframes` keyframes or more: the same for the same seed."""
    order = list(performances)
    random.Random(seed).shuffle(order)
    picked: list[Performance] = []
    while order and _count(picked) < keyframes:
        picked.append(order.pop(0))
    return picked


def _count(performances: Sequence[Performance]) -> int:
    return sum(len(performance.keyframes) for performance in performances)
