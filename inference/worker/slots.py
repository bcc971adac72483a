# SPDX-License-Identifier: GPL-3.0-or-later
"""The slots poser: every channel of every keyframe, read from a language model's hidden states in one pass.

The model reads the emotion, the background and all descriptions once. Each channel of each keyframe is a slot: a query
that starts from the tokens of the channel's own name, and that attends in a few small decoder layers over the hidden
states of several of the model's layers. Named slots are the "semantic" coefficients that KeyframeFace (arXiv
2512.11321, section 4) finds better than bare vectors.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ...performance import CHANNELS, Pose
from ...performance.channels import INDEX, MIRROR
from ...performance.pose import Array

SHAPES = 52
_ANGLES = ("headYaw", "headPitch", "headRoll")
# A slot is never negative: an angle of the head is two slots, one a direction.
SLOTS: tuple[str, ...] = (
    *(channel.name for channel in CHANNELS[:SHAPES]),
    *("headTurnLeft", "headTurnRight", "headUp", "headDown", "headTiltLeft", "headTiltRight"),
)
# The corpus is written in steps of 0.05: 21 classes from 0 to 1.
BINS = 21

# What a token is to the keyframe whose slots look at it.
SCENE, OWN, PREVIOUS, EARLIER, NEXT, LATER = range(6)
_OWN_ONLY = (0.0, 1.0, 0.0, 0.0, 0.0, 0.0)
_NEIGHBOURS = (0.0, 1.0, 1.0, 0.0, 1.0, 0.0)
_EVERYTHING = (1.0,) * 6


@dataclass(frozen=True)
class SlotsConfig:
    """What a reader is made of; `layers` are indices of hidden states, 0 the embeddings', the last one normed."""

    layers: tuple[int, ...] = (0, 6, 12, 20)
    hidden: int = 576
    width: int = 256
    depth: int = 2
    heads: int = 8
    dropout: float = 0.1
    named: bool = True
    names: tuple[str, ...] = field(default=SLOTS)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self) | {"layers": list(self.layers), "names": list(self.names)}

    @classmethod
    def from_dict(cls, found: dict[str, Any]) -> SlotsConfig:
        """As JSON holds it."""
        return cls(**(found | {"layers": tuple(found["layers"]), "names": tuple(found["names"])}))


@dataclass(frozen=True)
class Reading:
    """A performance's text as tokens: `ids`, and for each the `segment`, 0 the scene's and k the k-th keyframe's."""

    ids: tuple[int, ...]
    segments: tuple[int, ...]


def reading(tokenizer: Any, background: str, emotion: str, descriptions: Sequence[str]) -> Reading:
    """The text that the poser's language model reads, cut at the keyframes."""
    parts = [f"Emotion: {emotion}\nBackground: {background}\n"]
    parts += [f"Keyframe {number}: {text}\n" for number, text in enumerate(descriptions, start=1)]
    ids: list[int] = []
    segments: list[int] = []
    for segment, part in enumerate(parts):
        # What looks like a special token in the user's words is text.
        found = tokenizer(part, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        ids += found
        segments += [segment] * len(found)
    return Reading(tuple(ids), tuple(segments))


def slot_words(name: str) -> str:
    """A slot's name as words: `eyeLookInLeft` -> `left eye look in`."""
    words = re.findall(r"[A-Z]?[a-z]+", name)
    words = [word.lower() for word in words]
    if words[0] != "head" and words[-1] in ("left", "right"):
        words = [words[-1], *words[:-1]]
    return " ".join(words)


def relations(segments: torch.Tensor, keyframes: torch.Tensor) -> torch.Tensor:
    """What each token is to each keyframe, one-hot, (P, T, 6); all zero for padding.

    `segments` (P, T) with -1 for padding, `keyframes` (P,) from 1.
    """
    away = segments - keyframes[:, None]
    found = torch.full_like(segments, LATER)
    found[away == 1] = NEXT
    found[away == 0] = OWN
    found[away == -1] = PREVIOUS
    found[away < -1] = EARLIER
    found[segments == 0] = SCENE
    return functional.one_hot(found, 6) * (segments >= 0)[..., None]


class SlotLayer(nn.Module):
    """One decoder layer, normed before each part: slots attend to each other, to the text, and to themselves."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.mix = nn.Linear(width, 3 * width)
        self.mixed = nn.Linear(width, width)
        self.ask = nn.Linear(width, width)
        self.offer = nn.Linear(width, 2 * width)
        self.heard = nn.Linear(width, width)
        # Half of the heads read the keyframe's own words only, a quarter the neighbours' too, the rest everything.
        seen = [_OWN_ONLY] * (heads // 2) + [_NEIGHBOURS] * (heads // 4)
        seen += [_EVERYTHING] * (heads - len(seen))
        self.seen = nn.Buffer(torch.tensor(seen), persistent=False)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, slots: torch.Tensor, memory: torch.Tensor, rows: torch.Tensor, where: torch.Tensor
    ) -> torch.Tensor:
        """`slots` (P, slots, width), `memory` (B, T, width), `rows` (P,) each one's text, `where` (P, T, 6) one-hot.

        Tokens for which `where` is all zero are not seen.
        """
        q, k, v = self._split(self.mix(self.norms[0](slots)), 3)
        slots = slots + self.mixed(self._join(_attend(q, k, v)))
        (q,) = self._split(self.ask(self.norms[1](slots)), 1)
        k, v = self._split(self.offer(memory), 2)
        bias = (torch.einsum("ptr,hr->pht", where.to(q.dtype), self.seen.to(q.dtype)) - 1.0)[:, :, None] * 1e4
        heard = _attend(q, k[rows], v[rows], bias)
        slots = slots + self.heard(self._join(heard))
        return slots + self.dropout(self.down(functional.gelu(self.up(self.norms[2](slots)))))

    def _split(self, values: torch.Tensor, parts: int) -> list[torch.Tensor]:
        batch, length, width = values.shape
        shaped = values.view(batch, length, parts, self.heads, width // parts // self.heads)
        return list(shaped.permute(2, 0, 3, 1, 4).unbind(0))

    def _join(self, values: torch.Tensor) -> torch.Tensor:
        return values.transpose(1, 2).flatten(2)


def _attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    # Written out: torch's own is twice as slow here on the way back, in 16 bits on a CPU.
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return torch.softmax(scores if bias is None else scores + bias, dim=-1) @ v


class SlotReader(nn.Module):
    """Decoder layers from hidden states to a distribution over strengths for every slot."""

    def __init__(self, config: SlotsConfig, name_vectors: torch.Tensor | None = None) -> None:
        """`name_vectors` (slots, hidden): the embeddings of each slot's name, averaged; zeros until loaded."""
        super().__init__()
        self.config = config
        slots, width = len(config.names), config.width
        self.names = nn.Buffer(torch.zeros(slots, config.hidden) if name_vectors is None else name_vectors.clone())
        self.from_name = nn.Linear(config.hidden, width)
        self.query = nn.Parameter(torch.randn(slots, width) * (0.02 if config.named else 1.0))
        self.norms = nn.ModuleList(nn.LayerNorm(config.hidden) for _ in config.layers)
        self.memory = nn.Linear(config.hidden * len(config.layers), width)
        self.layers = nn.ModuleList(SlotLayer(width, config.heads, config.dropout) for _ in range(config.depth))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, BINS)
        self.bias = nn.Parameter(torch.zeros(slots, BINS))

    def forward(self, states: Sequence[torch.Tensor], rows: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        """Logits (P, slots, BINS) of P keyframes.

        `states` are the hidden states (B, T, hidden) of `config.layers`; `rows` (P,) the text of each keyframe, and
        `where` (P, T, 6) what each token is to it, one-hot, all zero for padding.
        """
        memory = self.memory(torch.cat([norm(state) for norm, state in zip(self.norms, states, strict=True)], dim=-1))
        slots = self.query
        if self.config.named:
            slots = slots + self.from_name(self.names)
        slots = slots.expand(len(rows), -1, -1)
        for layer in self.layers:
            slots = layer(slots, memory, rows, where)
        return self.out(self.norm(slots)) + self.bias


def read(reader: SlotReader, states: Sequence[torch.Tensor], text: Reading, at: Sequence[int]) -> torch.Tensor:
    """How likely each strength of each slot is, (len(at), slots, BINS) on the CPU, at the keyframes `at`, from 0.

    `states` are the hidden states (1, T, hidden) of the layers that the reader reads.
    """
    device = states[0].device
    segments = torch.tensor(text.segments, device=device).expand(len(at), -1)
    where = relations(segments, torch.tensor(at, device=device) + 1)
    rows = torch.zeros(len(at), dtype=torch.long, device=device)
    with torch.inference_mode():
        logits = reader([state.float() for state in states], rows, where)
    return torch.softmax(logits.float(), dim=-1).cpu()


def name_vectors(tokenizer: Any, embedding: torch.Tensor) -> torch.Tensor:
    """(slots, hidden): the mean embedding of each slot's name, scaled to unit variance."""
    rows = [tokenizer(" " + slot_words(name), add_special_tokens=False)["input_ids"] for name in SLOTS]
    vectors = torch.stack([embedding[row].float().mean(dim=0) for row in rows])
    return (vectors - vectors.mean(dim=0)) / vectors.std()


_POSITIVE = np.array([INDEX[name] for name in _ANGLES])


# The slot that shows the same on the other side of the face.
SLOT_MIRROR = np.array([*MIRROR[:SHAPES], 53, 52, 54, 55, 57, 56])


@dataclass(frozen=True)
class Decoding:
    """How a distribution over strengths becomes one value; chosen on the development part of the corpus.

    Where the chance of more than 0.05 is under `threshold`, the value is 0; elsewhere it is `median` parts of the
    median (the least absolute error) and the rest of the mean (the least squared error), and at least `least`. The
    head's slots are `certain` parts of the mean as if they certainly moved: heads move seldom and little, and the plain
    mean leaves of that half.
    """

    threshold: float = 0.35
    median: float = 0.25
    least: float = 0.08
    certain: float = 0.5


def values(chances: torch.Tensor, decoding: Decoding) -> torch.Tensor:
    """Slots' values in [0, 1], (P, slots), from their distributions (P, slots, BINS)."""
    grid = torch.linspace(0.0, 1.0, BINS)
    mean = chances @ grid
    median = grid[(chances.cumsum(dim=-1) < 0.5).sum(dim=-1).clamp(max=BINS - 1)]
    moving = 1.0 - chances[..., 0] - chances[..., 1]
    shown = moving >= decoding.threshold
    value = decoding.median * median + (1.0 - decoding.median) * mean
    certain = (chances[..., 2:] @ grid[2:]) / moving.clamp(min=1e-6)
    value[..., SHAPES:].lerp_(certain[..., SHAPES:], decoding.certain)
    value = value.clamp(decoding.least, 1.0)
    return torch.where(shown, value, 0.0)


def poses_of(found: Array) -> list[Pose]:
    """Poses from slots' values (P, 58): angles of the eyes follow from where they look."""
    poses = []
    for row in found:
        named = {name: float(value) for name, value in zip(SLOTS[:SHAPES], row, strict=False)}
        angles = row[SHAPES::2] - row[SHAPES + 1 :: 2]
        poses.append(Pose.from_dict(named | dict(zip(_ANGLES, map(float, angles), strict=True))))
    return poses


def slots_of(poses: Array) -> Array:
    """Slots' targets in [0, 1], shape (P, 58), from poses of shape (P, 61)."""
    angles = poses[:, _POSITIVE]
    pairs = np.stack([np.clip(angles, 0.0, 1.0), np.clip(-angles, 0.0, 1.0)], axis=2).reshape(len(poses), -1)
    return np.concatenate([poses[:, :SHAPES], pairs], axis=1)
