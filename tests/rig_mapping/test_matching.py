# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import re

import pytest
from facescript.benchmarks import mangling
from facescript.benchmarks import matching as benchmark
from facescript.performance import BLEND_SHAPES
from facescript.rig_mapping import profiles
from facescript.rig_mapping.matching import CERTAIN, THRESHOLD, Match, match, match_character, recognise
from hypothesis import given, settings
from hypothesis import strategies as st

FAMILIES = sorted(path.stem for path in benchmark.FAMILIES.glob("*.json"))

VRM = ["A", "I", "U", "E", "O", "Blink_L", "Blink_R", "Joy", "Angry", "Sorrow", "Fun"]
MMD = ["まばたき", "ウィンク", "ウィンク右", "笑い", "あ", "い", "う", "え", "お", "怒り", "困る", "にやり"]


def published(family: str) -> list[str]:
    """The family's published list of names."""
    names = json.loads((benchmark.FAMILIES / f"{family}.json").read_text(encoding="utf-8"))["names"]
    return [str(name) for name in names]


def rows(found: Match) -> dict[str, tuple[str, float]]:
    """Channel -> key and confidence, of a match with one key for each channel."""
    assert len({row.channel for row in found.rows}) == len(found.rows)
    return {row.channel: (row.key, row.confidence) for row in found.rows}


def test_each_published_list_is_recognised() -> None:
    # What the same people write is one mapping under two names.
    same = {"polywink": "arkit", "audio2face_arkit": "live_link"}
    told = {name: recognise(published(name)) for name in FAMILIES}
    for name, recognition in told.items():
        data = json.loads((benchmark.FAMILIES / f"{name}.json").read_text(encoding="utf-8"))
        assert recognition.profile.id in (data["profile"], same.get(name)), (name, recognition)
        assert recognition.score > 0.7
        assert "published names" in recognition.why


def test_arkit_is_chosen_where_its_names_are_whatever_else_is_there() -> None:
    assert recognise(BLEND_SHAPES).profile.id == "arkit"
    assert recognise([*BLEND_SHAPES, *VRM]).profile.base in ("", "arkit")
    assert rows(match([*BLEND_SHAPES, *MMD])) == {name: (name, 1.0) for name in BLEND_SHAPES}
    # A name that another family has beside ARKit's turns no scale.
    half = [re.sub("(Left|Right)$", r"_\1", name).lower() for name in BLEND_SHAPES[::2]]
    assert recognise([*half, "eyeLookUpDownLeft"]).profile.id == "arkit"


def test_nothing_known_is_arkit_with_no_score() -> None:
    recognition = recognise(["Basis", "thin", "A"])
    assert (recognition.profile.id, recognition.score, recognition.runner_up) == ("arkit", 0.0, None)
    assert recognition.why == "None of the 3 names belongs to a known family."
    assert match(["Basis", "thin", "A"]).rows == ()
    assert match([]).rows == ()


def test_a_near_equal_is_said() -> None:
    recognition = recognise(published("mmd"))
    assert recognition.profile.id == "mmd"
    assert recognition.runner_up is not None
    assert recognition.runner_up.id.startswith("mmd")
    assert f"{recognition.runner_up.name} is nearly as close" in recognition.why


@pytest.mark.parametrize(
    ("names", "confidence"),
    [
        (["jawOpen"], 1.0),
        (["JawOpen"], 0.98),
        (["jaw_open"], 0.95),
        (["jaw_opn"], 0.85),
        (["Head.jawOpen"], 0.9),
        (["zork.jawOpen"], 0.75),
        (["jawOpen.001"], 0.98),
        (["jaw_open.001"], 0.931),
    ],
)
def test_confidence_says_how_a_name_is_written(names: list[str], confidence: float) -> None:
    found = match(names, profiles.get("arkit"))
    assert rows(found) == {"jawOpen": (names[0], confidence)}


def test_the_rigs_own_dress_costs_next_to_nothing() -> None:
    dressed = match([f"Hero:{name}_BS" for name in BLEND_SHAPES], profiles.get("arkit"))
    assert rows(dressed) == {name: (f"Hero:{name}_BS", 0.98) for name in BLEND_SHAPES}
    assert {row.why for row in dressed.rows} == {"published name in the rig's spelling"}


def test_gains_and_ranges_are_the_profiles() -> None:
    found = match(VRM)
    assert found.profile.id == "vrm_presets"
    profile = profiles.get("vrm_presets")
    by_channel = {(row.channel, row.key): row.gain for row in found.rows}
    assert by_channel["eyeBlinkLeft", "Blink_L"] == 1.0
    for channel, shapes in profile.channels.items():
        for shape in shapes:
            if shape.name in VRM:
                assert by_channel[channel, shape.name] == shape.gain * profile.full


def test_what_the_family_leaves_is_filled_by_names_that_cannot_be_mistaken() -> None:
    found = match([*VRM, "cheekPuff", "tongue_out", "Head.noseSneerLeft", "wet_jawForward", "jawOpen"])
    assert found.profile.id == "vrm_presets"
    filled = {row.channel: (row.key, row.confidence) for row in found.rows if row.key not in VRM}
    # A prefix on one name is known or it is not; both are too little here.
    assert filled == {
        "cheekPuff": ("cheekPuff", 0.9),
        "tongueOut": ("tongue_out", 0.855),
        "noseSneerLeft": ("Head.noseSneerLeft", 0.81),
    }
    assert {row.key for row in found.rows if row.channel == "jawOpen"} == {"A"}


def test_a_key_that_says_several_things_fills_all_or_nothing() -> None:
    # MMD's blink closes both eyes: it is no left one beside a rig's own right one.
    names = [name for name in BLEND_SHAPES if name.startswith(("eyeBlinkR", "mouth"))][:8]
    found = match([*names, "まばたき", "怒り", "困る", "あ", "う"], profiles.get("arkit"))
    assert "まばたき" not in {row.key for row in found.rows}
    assert ("browDownLeft", "怒り") in {(row.channel, row.key) for row in found.rows}


def test_common_words_are_guesses_and_go_by_pairs() -> None:
    found = match(["Snarl_L", "Snarl_R", "Close_Eye_L", "openJaw", "Puff_Cheeks"])
    assert rows(found) == {
        "noseSneerLeft": ("Snarl_L", 0.57),
        "noseSneerRight": ("Snarl_R", 0.57),
        "jawOpen": ("openJaw", 0.6),
        "cheekPuff": ("Puff_Cheeks", 0.57),
    }
    full = [name for name in BLEND_SHAPES if not name.startswith("noseSneer")]
    assert "noseSneerLeft" not in rows(match([*full, "Snarl_L", "Snarl_R"]))


def test_the_family_and_the_habits_are_the_characters_the_keys_each_meshs() -> None:
    head = [f"Hero_{name}_BS" for name in BLEND_SHAPES]
    lashes = ["Hero_eyeBlinkLeft_BS", "Hero_eyeBlinkRight_BS.001", "thin"]
    teeth = ["jawOpen_fix", "Hero_jawOpen_BS"]
    first, second, third = match_character([head, lashes, teeth])
    assert len(first.rows) == 52
    assert rows(second) == {
        "eyeBlinkLeft": ("Hero_eyeBlinkLeft_BS", 0.98),
        "eyeBlinkRight": ("Hero_eyeBlinkRight_BS.001", 0.9604),
    }
    assert rows(third) == {"jawOpen": ("Hero_jawOpen_BS", 0.98)}
    assert match_character([]) == ()
    # What the head shows by the family is not shown by another one's names on the lashes.
    assert match_character([VRM, ["eyeBlinkLeft", "jawForward"]])[1].keys == {"jawForward": ("jawForward",)}


def test_rows_are_in_the_order_of_channels_with_all_their_keys() -> None:
    found = match(["cheekPuff_R", "cheekPuff_L", "mouthSmile_L", "jawOpen", "mouthSmile_R"])
    assert [row.channel for row in found.rows] == [
        "jawOpen",
        "mouthSmileLeft",
        "mouthSmileRight",
        "cheekPuff",
        "cheekPuff",
    ]
    assert found.keys["cheekPuff"] == ("cheekPuff_L", "cheekPuff_R")


def test_names_in_doubt_are_listed_and_equal_ones_told() -> None:
    names = [name for name in BLEND_SHAPES if name not in ("jawOpen", "mouthPucker", "cheekPuff")]
    found = match([*names, "angry_jawOpen", "mouthPucker_L", "A.cheekPuff", "B.cheekPuff"])
    assert {row.channel for row in found.rows} == set(names)
    assert {"angry_jawOpen", "mouthPucker_L"} <= set(found.doubtful)
    twice = match(["A.cheekPuff", "B.cheekPuff"], profiles.get("arkit"))
    assert set(twice.ambiguous["cheekPuff"]) == {"A.cheekPuff", "B.cheekPuff"}
    assert twice.rows == ()


def _check_mangled(names: list[str] | tuple[str, ...], lists: int, letters: bool = True) -> benchmark.Figures:
    figures = benchmark.measure(names, mangling.lists(names, lists, letters))
    print(f"{figures.lists} lists: {figures.found} of {figures.wanted} rows, {figures.false} false")
    assert figures.mistakes == []
    return figures


def test_mangled_lists_have_no_false_row() -> None:
    figures = _check_mangled(BLEND_SHAPES, 24)
    assert figures.wanted > 900
    assert figures.recall >= 0.98


@pytest.mark.slow
def test_two_hundred_mangled_lists_have_no_false_row() -> None:
    figures = _check_mangled(BLEND_SHAPES, 200)
    assert figures.wanted > 8000
    assert figures.recall >= 0.98


@pytest.mark.slow
def test_every_family_is_found_when_it_is_mangled() -> None:
    total = benchmark.Figures()
    for _, figures in benchmark.family_lists(4):
        total.add(figures)
    print(f"{total.lists} lists: {total.found} of {total.wanted} rows, {total.false} false")
    assert total.recall >= 0.98
    assert total.false <= 0.005 * total.wanted


def test_both_generators_make_decoys_of_over_thirty_kinds_and_lists_that_differ() -> None:
    assert len(mangling._DECOYS) + len(mangling._TWISTS) >= 30
    for make in mangling.GENERATORS:
        made = [make(BLEND_SHAPES, seed, True) for seed in range(40)]
        assert made[3] == make(BLEND_SHAPES, 3, True)
        assert len({one.names for one in made}) == 40
        assert len({one.how for one in made}) > 20
        assert any(len(one.truth) < 45 for one in made)
        for one in made:
            assert set(one.truth) < set(one.names)
            assert len(one.names) - len(one.truth) >= 6


ALL = sorted({name for family in FAMILIES for name in published(family)[:120]})
_names = st.lists(
    st.sampled_from(ALL)
    | st.text(max_size=24)
    | st.tuples(
        st.sampled_from(["", "Head.", "L_", "R_", "old_", "x_"]),
        st.sampled_from(BLEND_SHAPES),
        st.sampled_from(["", "_L", "_R", "_fix", "2", ".001", "Right", "_BS", "_mouthFrownLeft"]),
    ).map("".join),
    max_size=60,
    unique=True,
)


@settings(max_examples=80, deadline=None)
@given(_names)
def test_any_list_is_survived_and_no_key_shows_two_channels_but_by_one_table(names: list[str]) -> None:
    found = match(names)
    by_key: dict[str, list[str]] = {}
    for row in found.rows:
        assert row.key in names
        assert THRESHOLD <= row.confidence <= 1.0
        by_key.setdefault(row.key, []).append(row.channel)
    shared = [
        {c for c, shapes in p.channels.items() if s in [x.name for x in shapes]}
        for p in profiles.every()
        for s in p.shapes
    ]
    for channels in by_key.values():
        assert len(set(channels)) == len(channels)
        assert len(channels) == 1 or any(set(channels) <= table for table in shared)
    assert not set(found.doubtful) & by_key.keys()
    assert CERTAIN > THRESHOLD


@settings(max_examples=80, deadline=None)
@given(_names, st.randoms(use_true_random=False))
def test_left_is_never_right_and_the_order_says_nothing(names: list[str], order: object) -> None:
    arkit = profiles.get("arkit")
    found = match(names, arkit)
    for row in found.rows:
        if row.channel.endswith(("Left", "Right")) and row.channel not in arkit.directions and row.confidence > 0.81:
            wrong = "Right" if row.channel.endswith("Left") else "Left"
            assert not re.search(rf"{wrong}$|(?<=[a-z])_?{wrong[0]}$", row.key.removesuffix(".001")), row
    turned = list(names)
    order.shuffle(turned)  # type: ignore[attr-defined]
    assert {(r.channel, r.key) for r in match(turned, arkit).rows} == {(r.channel, r.key) for r in found.rows}


def test_each_mesh_may_have_a_prefix_of_its_own() -> None:
    teeth, lashes = ("jawOpen", "jawLeft", "jawRight", "tongueOut"), ("eyeBlinkLeft", "eyeBlinkRight", "eyeWideLeft")
    face, second, third = match_character(
        [[f"face_geo.{n}" for n in BLEND_SHAPES], [f"wolf_teeth.{n}" for n in teeth], [f"Lash_{n}" for n in lashes]]
    )
    assert len(face.rows) == 52
    assert second.keys == {n: (f"wolf_teeth.{n}",) for n in sorted(teeth, key=BLEND_SHAPES.index)}
    assert third.keys == {n: (f"Lash_{n}",) for n in sorted(lashes, key=BLEND_SHAPES.index)}
    # Not one that says that these are other shapes, and not without a face that is understood.
    assert not match_character([BLEND_SHAPES, [f"old_{n}" for n in teeth]])[1].rows
    assert not match_character([["viseme_aa", "viseme_PP", "viseme_sil_2"], ["zork_A", "zork_B", "zork_C"]])[1].rows
