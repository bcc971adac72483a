# SPDX-License-Identifier: GPL-3.0-or-later
"""What the slots poser reads, what each slot sees of it, and what becomes of its distributions."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from facescript.inference.worker import slots
from facescript.inference.worker.slots import (
    BINS,
    EARLIER,
    LATER,
    NEXT,
    OWN,
    PREVIOUS,
    SCENE,
    SLOT_MIRROR,
    SLOTS,
    Decoding,
    SlotReader,
    SlotsConfig,
)
from facescript.performance import Pose
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import HIDDEN, Tokenizer

CONFIG = SlotsConfig(layers=(0, 2, 4), hidden=HIDDEN, width=16, depth=2, heads=4)

# A text's hidden states (T, layers, hidden) and the segment of each of its tokens.
Text = tuple[torch.Tensor, list[int]]

_twentieths = st.integers(1, 20).map(lambda n: n / 20)
_shapes = st.dictionaries(st.sampled_from(SLOTS[: slots.SHAPES]), _twentieths, max_size=10)
_angles = st.dictionaries(
    st.sampled_from(["headYaw", "headPitch", "headRoll"]), st.integers(-20, 20).map(lambda n: n / 20)
)
# As the corpus is written: in twentieths, with eyes whose angles follow from where they look.
written_pose = st.builds(lambda one, other: Pose.from_dict({**one, **other}), _shapes, _angles)


def reader(seed: int = 0, config: SlotsConfig = CONFIG) -> SlotReader:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    found = SlotReader(config, torch.randn(len(SLOTS), HIDDEN)).eval()
    # New weights hardly tell one text from another.
    with torch.no_grad():
        found.out.weight *= 5.0
        for layer in found.layers:
            layer.heard.weight *= 5.0
    return found


def text(*segments: int) -> Text:
    return torch.randn(len(segments), len(CONFIG.layers), HIDDEN), list(segments)


def read(model: SlotReader, texts: list[Text]) -> list[torch.Tensor]:
    """The logits of each text's keyframes; what stands in the padding is noise."""
    longest = max(len(segments) for _, segments in texts)
    states = 100.0 * torch.randn(len(texts), longest, len(CONFIG.layers), HIDDEN)
    laid = torch.full((len(texts), longest), -1)
    counts = [max(segments) for _, segments in texts]
    for number, (state, segments) in enumerate(texts):
        states[number, : len(segments)] = state
        laid[number, : len(segments)] = torch.tensor(segments)
    rows = torch.tensor([number for number, count in enumerate(counts) for _ in range(count)])
    keyframes = torch.tensor([keyframe for count in counts for keyframe in range(1, count + 1)])
    with torch.inference_mode():
        logits = model(list(states.unbind(dim=2)), rows, slots.relations(laid[rows], keyframes))
    return list(logits.split(counts))


def test_slots_are_the_blend_shapes_and_the_heads_directions() -> None:
    assert len(SLOTS) == len(set(SLOTS)) == 58
    assert SLOTS[0] == "eyeBlinkLeft"
    assert SLOTS[51:] == (
        *("tongueOut", "headTurnLeft", "headTurnRight", "headUp", "headDown", "headTiltLeft", "headTiltRight"),
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("eyeLookInLeft", "left eye look in"),
        ("mouthUpperUpRight", "right mouth upper up"),
        ("browInnerUp", "brow inner up"),
        ("jawOpen", "jaw open"),
        ("headTurnLeft", "head turn left"),
        ("headDown", "head down"),
    ],
)
def test_a_slots_name_is_read_as_words(name: str, words: str) -> None:
    assert slots.slot_words(name) == words


def test_no_two_slots_have_the_same_words() -> None:
    assert len({slots.slot_words(name) for name in SLOTS}) == len(SLOTS)


def test_name_vectors_are_the_mean_of_the_names_tokens() -> None:
    torch.manual_seed(0)
    tokenizer, embedding = Tokenizer(), torch.randn(400, HIDDEN)
    found = slots.name_vectors(tokenizer, embedding)
    assert found.shape == (len(SLOTS), HIDDEN)
    assert torch.allclose(found.mean(dim=0), torch.zeros(HIDDEN), atol=1e-5)
    means = [
        embedding[tokenizer(words, add_special_tokens=False)["input_ids"]].mean(dim=0)
        for words in (" jaw open", " tongue out")
    ]
    apart = found[SLOTS.index("jawOpen")] - found[SLOTS.index("tongueOut")]
    assert torch.cosine_similarity(apart, means[0] - means[1], dim=0) > 0.9999


# --- what is read ---------------------------------------------------------------------------------------------------


def test_a_reading_is_the_scene_and_then_a_line_a_keyframe() -> None:
    tokenizer = Tokenizer()
    found = slots.reading(tokenizer, "A flat.", "Anger", ["Brows knit.", "", "Jaw drops,\nlids wide."])
    parts = [
        tokenizer.decode([token for token, segment in zip(found.ids, found.segments, strict=True) if segment == k])
        for k in range(4)
    ]
    assert parts == [
        "Emotion: Anger\nBackground: A flat.\n",
        "Keyframe 1: Brows knit.\n",
        "Keyframe 2: \n",
        "Keyframe 3: Jaw drops,\nlids wide.\n",
    ]
    assert tokenizer.decode(found.ids) == "".join(parts)
    assert list(found.segments) == sorted(found.segments)


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5))
@settings(max_examples=30, deadline=None)
def test_every_token_belongs_to_a_segment_and_every_segment_has_tokens(texts: list[str]) -> None:
    found = slots.reading(Tokenizer(), "", "", texts)
    assert len(found.ids) == len(found.segments)
    assert list(found.segments) == sorted(found.segments)
    assert set(found.segments) == set(range(len(texts) + 1))


def test_relations_say_what_a_token_is_to_a_keyframe() -> None:
    segments = torch.tensor([[0, 0, 1, 2, 3, 4, 5, -1]]).repeat(3, 1)
    found = slots.relations(segments, torch.tensor([3, 1, 5]))
    assert found.shape == (3, 8, 6)
    assert (found.sum(dim=-1) == torch.tensor([1, 1, 1, 1, 1, 1, 1, 0])).all()
    kinds = found.argmax(dim=-1)[:, :7].tolist()
    assert kinds == [
        [SCENE, SCENE, EARLIER, PREVIOUS, OWN, NEXT, LATER],
        [SCENE, SCENE, OWN, NEXT, LATER, LATER, LATER],
        [SCENE, SCENE, EARLIER, EARLIER, EARLIER, PREVIOUS, OWN],
    ]


def test_the_scene_is_not_the_first_keyframes_neighbour() -> None:
    found = slots.relations(torch.tensor([[0, 1, 2]]), torch.tensor([1]))
    assert found.argmax(dim=-1).tolist() == [[SCENE, OWN, NEXT]]


# --- poses and slots ------------------------------------------------------------------------------------------------


@given(st.lists(written_pose, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_slots_and_poses_are_each_others_inverse(poses: list[Pose]) -> None:
    found = slots.slots_of(np.stack([pose.values for pose in poses]))
    assert found.shape == (len(poses), len(SLOTS))
    assert ((found >= 0.0) & (found <= 1.0)).all()
    assert slots.poses_of(found) == poses


@given(written_pose)
@settings(max_examples=60, deadline=None)
def test_a_mirrored_pose_has_mirrored_slots(pose: Pose) -> None:
    plain, mirrored = slots.slots_of(np.stack([pose.values, pose.mirrored().values]))
    assert (mirrored == plain[SLOT_MIRROR]).all()


def test_mirroring_slots_twice_changes_nothing_and_names_say_the_other_side() -> None:
    assert (SLOT_MIRROR[SLOT_MIRROR] == np.arange(len(SLOTS))).all()
    for name, other in zip(SLOTS, SLOT_MIRROR, strict=True):
        sides = {"Left": "Right", "Right": "Left"}
        end = next((side for side in sides if name.endswith(side)), "")
        assert SLOTS[other] == name.removesuffix(end) + sides.get(end, "")


def test_a_heads_two_directions_are_one_angle() -> None:
    row = np.zeros((1, len(SLOTS)))
    row[0, [SLOTS.index("headTurnLeft"), SLOTS.index("headTurnRight")]] = 0.25, 0.75
    row[0, [SLOTS.index("headDown"), SLOTS.index("headTiltLeft"), SLOTS.index("eyeLookUpLeft")]] = 0.5, 0.125, 0.75
    [pose] = slots.poses_of(row)
    assert pose.active() == {
        **{"headYaw": -0.5, "headPitch": -0.5, "headRoll": 0.125},
        **{"eyeLookUpLeft": 0.75, "leftEyePitch": 0.75},
    }


# --- distributions --------------------------------------------------------------------------------------------------


def chances(**parts: float) -> torch.Tensor:
    """A distribution of one slot, from `b10=0.5`: half of it on bin 10."""
    found = torch.zeros(1, 1, BINS)
    for name, part in parts.items():
        found[0, 0, int(name[1:])] = part
    return found


@pytest.mark.parametrize(
    ("given_", "value"),
    [
        ({"b10": 1.0}, 0.5),
        ({"b20": 1.0}, 1.0),
        ({"b0": 1.0}, 0.0),
        # Half of the median, which is the lower of two, and half of the mean.
        ({"b0": 0.5, "b20": 0.5}, 0.5 * 0.0 + 0.5 * 0.5),
        ({"b8": 0.4, "b10": 0.3, "b20": 0.3}, 0.5 * 0.5 + 0.5 * (0.16 + 0.15 + 0.3)),
        # Hardly shown.
        ({"b0": 0.9, "b10": 0.1}, 0.0),
        # A twentieth does not count as shown.
        ({"b0": 0.2, "b1": 0.5, "b20": 0.3}, 0.0),
        # At the threshold it is shown.
        ({"b1": 0.5, "b4": 0.25, "b20": 0.25}, 0.5 * 0.05 + 0.5 * (0.025 + 0.05 + 0.25)),
        # What is shown is seen.
        ({"b0": 0.55, "b2": 0.45}, 0.1),
    ],
)
def test_values_are_between_the_median_and_the_mean(given_: dict[str, float], value: float) -> None:
    found = slots.values(chances(**given_), Decoding(threshold=0.4, median=0.5, least=0.1))
    assert found.shape == (1, 1)
    assert found.item() == pytest.approx(value, abs=1e-6)


def test_values_of_any_logits_are_strengths() -> None:
    torch.manual_seed(0)
    logits = torch.randn(20_000, 1, BINS) * torch.linspace(0.0, 3.0, 20_000)[:, None, None]
    # Nearly all of it on the last bin: what is lost in the softmax's sum still counts in the mean.
    logits[..., -1] = torch.linspace(12.0, 22.0, 20_000)[:, None]
    for decoding in (Decoding(), Decoding(threshold=0.0, median=0.0)):
        found = slots.values(torch.softmax(logits, dim=-1), decoding)
        assert 0.0 <= float(found.min()) <= float(found.max()) <= 1.0


# --- the reader -----------------------------------------------------------------------------------------------------


def test_texts_read_together_give_what_each_gives_alone() -> None:
    model = reader()
    texts = [text(0, 0, 1, 1, 2), text(0, 1), text(0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 5), text(0, 1, 2, 2)]
    together = read(model, texts)
    assert [part.shape for part in together] == [(count, len(SLOTS), BINS) for count in (2, 1, 5, 2)]
    for part, alone in zip(together, texts, strict=True):
        assert torch.allclose(part, read(model, [alone])[0], atol=1e-5)


def test_the_order_of_keyframes_does_not_matter() -> None:
    model = reader()
    states, segments = text(0, 1, 1, 2, 3, 3)
    laid = torch.tensor([segments]).repeat(3, 1)
    state, rows = [part[None] for part in states.unbind(dim=1)], torch.zeros(3, dtype=torch.long)
    with torch.inference_mode():
        plain = model(state, rows, slots.relations(laid, torch.tensor([1, 2, 3])))
        turned = model(state, rows, slots.relations(laid, torch.tensor([3, 1, 2])))
    assert torch.allclose(turned, plain[[2, 0, 1]], atol=1e-5)
    assert (plain[0] - plain[1]).abs().max() > 0.01


@pytest.mark.parametrize(
    ("heads", "seen"),
    [((0, 1), {OWN}), ((2,), {OWN, PREVIOUS, NEXT}), ((3,), {SCENE, OWN, PREVIOUS, EARLIER, NEXT, LATER})],
)
def test_heads_read_what_is_theirs_and_nothing_else(heads: tuple[int, ...], seen: set[int]) -> None:
    model = reader()
    size = CONFIG.width // CONFIG.heads
    with torch.no_grad():
        for layer in model.layers:
            for head in set(range(CONFIG.heads)) - set(heads):
                layer.heard.weight[:, head * size : (head + 1) * size] = 0.0
    states, segments = text(0, 0, 1, 2, 2, 3, 3, 4, 5)
    plain = read(model, [(states, segments)])[0][2]
    for relation, segment in zip((SCENE, EARLIER, PREVIOUS, OWN, NEXT, LATER), range(6), strict=True):
        other = states.clone()
        other[[place for place, found in enumerate(segments) if found == segment]] *= -1.0
        changed = (read(model, [(other, segments)])[0][2] - plain).abs().max()
        assert (changed > 1e-3) == (relation in seen), (relation, changed)
        assert relation in seen or changed == 0.0


def test_half_of_the_heads_read_their_own_words_and_a_quarter_the_neighbours_too() -> None:
    seen = slots.SlotLayer(32, 8, 0.0).seen
    assert seen.tolist() == [[0, 1, 0, 0, 0, 0]] * 4 + [[0, 1, 1, 0, 1, 0]] * 2 + [[1] * 6] * 2


def test_a_reader_that_is_loaded_reads_the_same() -> None:
    model, other = reader(0), SlotReader(CONFIG).eval()
    other.load_state_dict({name: value.clone() for name, value in model.state_dict().items()})
    one = text(0, 1, 1, 2)
    assert torch.equal(read(model, [one])[0], read(other, [one])[0])


def test_names_are_read_only_if_they_are_asked_for() -> None:
    one = text(0, 1)
    for named in (True, False):
        model = reader(0, SlotsConfig(**{**vars(CONFIG), "named": named}))
        before = read(model, [one])[0]
        model.names.mul_(-1.0)
        assert torch.equal(before, read(model, [one])[0]) != named


def test_a_configuration_survives_json() -> None:
    for config in (SlotsConfig(), CONFIG, SlotsConfig(layers=(0, 3), named=False, dropout=0.0)):
        assert SlotsConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
