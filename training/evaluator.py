# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a pose fit its description? Texts and poses in one space, for R-Precision and the multimodal distance.

Two encoders are trained together so that a description and its pose come near each other and far from all others
(InfoNCE both ways: van den Oord et al. 2018, arXiv 1807.03748; Radford et al. 2021, arXiv 2103.00020). The measures
are those of Guo et al. 2022 ("Generating Diverse and Natural 3D Human Motions from Text", CVPR), which KeyframeFace
(arXiv 2512.11321) reports too. Neither encoder shares anything with the models that are measured.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save_file
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import nn
from torch.nn import functional

from ..performance import Performance
from ..performance.channels import COUNT, HIGH, LOW
from ..performance.mirroring import mirror
from ..performance.pose import Array
from .sentences import CACHE, Embed

# Descriptions in a pool, of which one is the pose's own; and how often all poses are dealt into pools.
POOL = 32
DEALS = 20
TOP = (1, 2, 3)


@dataclass(frozen=True)
class Recipe:
    """How the evaluator is made and trained. `noise` is the standard deviation of what is added to poses."""

    terms: int = 256
    width: int = 512
    shared: int = 128
    dropout: float = 0.3
    noise: float = 0.03
    rate: float = 1e-3
    decay: float = 0.05
    batch: int = 256
    epochs: int = 40
    patience: int = 8
    seed: int = 1


@dataclass(frozen=True)
class Pairs:
    """Descriptions with their poses (P, 61), and the same in a mirror."""

    texts: tuple[str, ...]
    poses: Array
    mirrored_texts: tuple[str, ...]
    mirrored_poses: Array

    @classmethod
    def of(cls, performances: Sequence[Performance]) -> Pairs:
        """All keyframes of `performances`, in their order."""
        return cls(*_flat(performances), *_flat([mirror(performance) for performance in performances]))


def _flat(performances: Sequence[Performance]) -> tuple[tuple[str, ...], Array]:
    texts = tuple(keyframe.text for performance in performances for keyframe in performance.keyframes)
    return texts, np.concatenate([performance.poses for performance in performances])


class Words:
    """What the text encoder reads: a sentence's embedding beside its weighted words, brought down to few numbers."""

    def __init__(self, texts: Sequence[str], embed: Embed, terms: int, seed: int) -> None:
        """Fit on `texts`: TF-IDF of one and two words, then the `terms` directions in which it varies most."""
        self._embed = embed
        # Words of one letter too, such as the shape of a mouth.
        self._tfidf = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
        counts = self._tfidf.fit_transform(texts)
        self._svd = TruncatedSVD(min(terms, counts.shape[1] - 1), random_state=seed).fit(counts)
        # Both halves have about unit variance.
        self._scale = 1.0 / self._svd.transform(counts).std(), 1.0 / embed(texts[:1000]).std()

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        """(texts, width) in float32."""
        words = self._svd.transform(self._tfidf.transform(texts)) * self._scale[0]
        return torch.tensor(np.hstack([words, self._embed(texts) * self._scale[1]]), dtype=torch.float32)


class Encoders(nn.Module):
    """A text's and a pose's encoder into one space, and how sharply distances there are judged."""

    def __init__(self, words: int, recipe: Recipe) -> None:
        super().__init__()
        width, shared, dropout = recipe.width, recipe.shared, recipe.dropout

        def block(inputs: int) -> nn.Module:
            return nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.LayerNorm(width), nn.Dropout(dropout))

        self.text = nn.Sequential(nn.Dropout(dropout), block(words), nn.Linear(width, shared))
        self.pose = nn.Sequential(block(COUNT), block(width), nn.Linear(width, shared))
        # As a logarithm; it starts where CLIP's does.
        self.sharpness = nn.Parameter(torch.tensor(float(np.log(1 / 0.07))))

    def forward(self, words: torch.Tensor, poses: torch.Tensor) -> torch.Tensor:
        """InfoNCE of matching rows, both ways."""
        texts, faces = (functional.normalize(found, dim=-1) for found in (self.text(words), self.pose(poses)))
        scores = texts @ faces.T * self.sharpness.clamp(max=float(np.log(100.0))).exp()
        own = torch.arange(len(scores))
        return (functional.cross_entropy(scores, own) + functional.cross_entropy(scores.T, own)) / 2


class Evaluator:
    """Puts texts and poses into one space, as rows of length 1."""

    def __init__(self, words: Words, encoders: Encoders) -> None:
        self._words = words
        self._encoders = encoders.eval()

    def of_texts(self, texts: Sequence[str]) -> Array:
        """The embeddings (texts, shared)."""
        with torch.inference_mode():
            return _unit(self._encoders.text(self._words(texts)))

    def of_poses(self, poses: Array) -> Array:
        """The embeddings (P, shared) of poses (P, 61)."""
        with torch.inference_mode():
            return _unit(self._encoders.pose(torch.tensor(poses, dtype=torch.float32)))


def _unit(rows: torch.Tensor) -> Array:
    return functional.normalize(rows, dim=-1).double().numpy()


def load(
    train: Sequence[Performance],
    dev: Sequence[Performance],
    embed: Embed,
    folder: Path = CACHE,
    recipe: Recipe | None = None,
) -> Evaluator:
    """The evaluator of these two parts of the corpus: from `folder` if it was trained before, else trained and kept."""
    recipe = recipe or Recipe()
    pairs, held = Pairs.of(train), Pairs.of(dev)
    words = _words(pairs, embed, recipe)
    path = folder / f"evaluator-{_digest(pairs, held, recipe)}.safetensors"
    if path.is_file():
        encoders = Encoders(_width(words), recipe)
        encoders.load_state_dict(load_file(path))
        return Evaluator(words, encoders)
    encoders = _trained(words, pairs, held, recipe)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(encoders.state_dict(), path)
    return Evaluator(words, encoders)


def train(pairs: Pairs, held: Pairs, embed: Embed, recipe: Recipe | None = None) -> Evaluator:
    """Train on `pairs`, and keep what ranks best among `held`. The same inputs give the same evaluator."""
    recipe = recipe or Recipe()
    words = _words(pairs, embed, recipe)
    return Evaluator(words, _trained(words, pairs, held, recipe))


def _words(pairs: Pairs, embed: Embed, recipe: Recipe) -> Words:
    return Words([*pairs.texts, *pairs.mirrored_texts], embed, recipe.terms, recipe.seed)


def _width(words: Words) -> int:
    return int(words([""]).shape[1])


def _digest(pairs: Pairs, held: Pairs, recipe: Recipe) -> str:
    found = hashlib.sha256(repr((recipe, pairs.texts, pairs.mirrored_texts, held.texts)).encode())
    for poses in (pairs.poses, held.poses):
        found.update(poses.tobytes())
    # What this module does with them counts too.
    found.update(Path(__file__).read_bytes())
    return found.hexdigest()[:16]


def _trained(words: Words, pairs: Pairs, held: Pairs, recipe: Recipe) -> Encoders:
    generator = torch.Generator().manual_seed(recipe.seed)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        return _fit(words, pairs, held, recipe, generator)


def _fit(words: Words, pairs: Pairs, held: Pairs, recipe: Recipe, generator: torch.Generator) -> Encoders:
    # Each pair and its mirror image, side by side: an epoch sees one of the two, never both in one batch.
    texts = torch.stack([words(pairs.texts), words(pairs.mirrored_texts)])
    poses = torch.tensor(np.stack([pairs.poses, pairs.mirrored_poses]), dtype=torch.float32)
    low, high = (torch.tensor(limit, dtype=torch.float32) for limit in (LOW, HIGH))
    encoders = Encoders(texts.shape[-1], recipe)
    optimizer = torch.optim.AdamW(encoders.parameters(), lr=recipe.rate, weight_decay=recipe.decay)
    best: tuple[float, dict[str, Any]] = (-1.0, {})
    since = 0
    for _ in range(recipe.epochs):
        encoders.train()
        order = torch.randperm(texts.shape[1], generator=generator)
        side = torch.randint(2, order.shape, generator=generator)
        for rows, sides in zip(order.split(recipe.batch), side.split(recipe.batch), strict=True):
            noisy = poses[sides, rows] + recipe.noise * torch.randn(len(rows), COUNT, generator=generator)
            loss = encoders(texts[sides, rows], noisy.clamp(low, high))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        found = _rank(Evaluator(words, encoders), held)
        since = 0 if found > best[0] else since + 1
        if since == 0:
            best = found, {name: value.clone() for name, value in encoders.state_dict().items()}
        elif since >= recipe.patience:
            break
    encoders.load_state_dict(best[1])
    return encoders.eval()


def _rank(evaluator: Evaluator, held: Pairs) -> float:
    # Among all that is held out: one number that does not hang on how pools are dealt.
    ranks = _ranks(evaluator.of_texts(held.texts), evaluator.of_poses(held.poses))
    return float((1.0 / ranks).mean())


def r_precision(texts: Array, poses: Array, seed: int = 0, deals: int = DEALS, pool: int = POOL) -> dict[int, float]:
    """How often a pose's own description is among the nearest 1, 2 and 3 of a pool of `pool`, in [0, 1].

    `texts` and `poses` are paired embeddings (P, shared). All pairs are shuffled and dealt into pools `deals` times
    and the shares averaged; a deal leaves the remainder of P / `pool` out. A description that is exactly as near as the
    pose's own counts as nearer, so a system whose poses are all alike gains nothing. Raises ValueError for fewer pairs
    than a pool has.
    """
    if texts.shape != poses.shape or len(texts) < pool:
        raise ValueError(f"{len(texts)} texts and {len(poses)} poses do not fill a pool of {pool} pairs.")
    draw = np.random.default_rng(seed)
    ranks = []
    for _ in range(deals):
        order = draw.permutation(len(texts))
        for start in range(0, len(order) - pool + 1, pool):
            rows = order[start : start + pool]
            ranks.append(_ranks(texts[rows], poses[rows]))
    found = np.concatenate(ranks)
    return {top: float((found <= top).mean()) for top in TOP}


def _ranks(texts: Array, poses: Array) -> npt.NDArray[np.int64]:
    """The place of each pose's own description among all, from 1."""
    away = _distances(poses, texts)
    return (away <= np.diagonal(away)[:, None]).sum(axis=1)


def _distances(rows: Array, others: Array) -> Array:
    squares = (rows**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2.0 * rows @ others.T
    return np.sqrt(np.maximum(squares, 0.0))


def multimodal_distance(texts: Array, poses: Array) -> float:
    """The mean Euclidean distance between paired embeddings (P, shared), from 0 to 2 for rows of length 1."""
    return float(np.linalg.norm(texts - poses, axis=1).mean())


def shuffled(count: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """An order of `count` rows, at least 2, in which none keeps its place: for pairs that do not belong together."""
    order = np.random.default_rng(seed).permutation(count)
    # Each takes the next one's of a random round.
    found = np.empty(count, dtype=np.int64)
    found[order] = np.roll(order, 1)
    return found
