# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import re

import pytest
from facescript.performance import BLEND_SHAPES
from facescript.rig_mapping.names import match_names
from hypothesis import given, settings
from hypothesis import strategies as st

DECOYS = (
    "mouthSmileLeft_fix",
    "Smile_HalfLeft",
    "mouthSmileLeft_corrective",
    "jawOpen_old",
    "eyeBlink_target",
    "noJawOpen",
    "old_jawOpen",
    "mouthSmile",
    "mouthSmileLeftRight",
    "Basis",
    "viseme_aa",
    "Blink",
    "L_browInnerUp",
    "smile",
    "half-eyeBlinkLeft",
)


def words(name: str) -> list[str]:
    return re.findall(r"[A-Z]?[a-z]+", name)


def spell(name: str, joined: str, case: str, side: str) -> str:
    parts = words(name)
    if side != "Left/Right" and parts[-1] in ("Left", "Right"):
        letter = parts.pop()[0]
        tail = {"_L": "_" + letter, ".L": "." + letter, ".l": "." + letter.lower(), "L": letter}[side]
    else:
        tail = ""
    parts = [p.lower() for p in parts]
    if case == "camel":
        parts = [parts[0], *(p.capitalize() for p in parts[1:])]
    elif case == "pascal":
        parts = [p.capitalize() for p in parts]
    elif case == "upper":
        parts = [p.upper() for p in parts]
    return joined.join(parts) + tail


SPELLINGS = {
    "camelCase": ("", "camel", "Left/Right"),
    "PascalCase": ("", "pascal", "Left/Right"),
    "snake_case": ("_", "lower", "Left/Right"),
    "kebab-case": ("-", "lower", "Left/Right"),
    "words": (" ", "pascal", "Left/Right"),
    "lowercase": ("", "lower", "Left/Right"),
    "UPPER_CASE": ("_", "upper", "Left/Right"),
    "Apple's own": ("", "camel", "_L"),
    "dots": ("", "camel", ".L"),
    "small dots": ("_", "lower", ".l"),
    "trailing letter": ("", "camel", "L"),
    "Pascal_L": ("_", "pascal", "_L"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("prefix", ["", "Head.", "blendShape1.", "Face_", "ARKit_", "CC_Base:", "x-", "Anna|"])
def test_every_spelling_is_matched(spelling: str, prefix: str) -> None:
    names = {prefix + spell(shape, *SPELLINGS[spelling]): shape for shape in BLEND_SHAPES}
    assert len(names) == 52
    match = match_names([*names, *DECOYS])
    assert dict(match.keys.items()) == {v: (k,) for k, v in names.items()}
    assert not match.ambiguous


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_random_spellings_are_all_found_and_decoys_never(data: st.DataObject) -> None:
    draw = data.draw
    prefixes = st.sampled_from(["", "Head.", "blendShape1.", "Face_", "ARKit_", "CC_Base:"])
    one_prefix = draw(
        st.none() | st.from_regex(r"\A[A-Za-z]{1,8}[0-9]{0,2}[._:|-]\Z") | st.just("Face") | st.just("zork")
    )
    one_style = draw(st.none() | st.sampled_from(list(SPELLINGS)))
    names: dict[str, str] = {}
    for shape in BLEND_SHAPES:
        style = one_style or draw(st.sampled_from(list(SPELLINGS)))
        if shape in ("jawLeft", "jawRight", "mouthLeft", "mouthRight") and one_style is None:
            style = "camelCase"  # Mouth_L is only sure where the whole rig writes so
        names[(draw(prefixes) if one_prefix is None else one_prefix) + spell(shape, *SPELLINGS[style])] = shape
    decoys = draw(st.lists(st.sampled_from(DECOYS), unique=True))
    decoys += [n + draw(st.sampled_from(["_fix", "_old", ".002", "Half", "_target", "2"])) for n in list(names)[:5]]
    order = draw(st.permutations([*names, *decoys]))
    match = match_names(order)
    assert dict(match.keys) == {shape: (name,) for name, shape in names.items()}


@given(st.lists(st.sampled_from(DECOYS), unique=True))
def test_decoys_alone_are_nothing(names: list[str]) -> None:
    assert not match_names(names).keys


@given(st.lists(st.text(max_size=20)))
def test_any_text_is_survived(names: list[str]) -> None:
    match_names(names)


def test_an_exact_name_wins_over_a_prefixed_one() -> None:
    match = match_names(["Head.jawOpen", "jaw_open", "JawOpen", "jawOpen", "Head.mouthPucker"])
    assert match.keys["jawOpen"] == ("jawOpen",)
    assert match.keys["mouthPucker"] == ("Head.mouthPucker",)


def test_blenders_number_after_a_name_is_not_a_part_of_it() -> None:
    every = match_names([f"{n}.001" for n in BLEND_SHAPES])
    assert every.keys == {n: (f"{n}.001",) for n in BLEND_SHAPES}
    assert every.ambiguous == {}
    some = match_names(["jawOpen.001", "mouthSmile_L", "mouthSmile_R.012", "Head.cheekPuff.001", "Head.tongueOut"])
    assert some.keys == {
        "jawOpen": ("jawOpen.001",),
        "mouthSmileLeft": ("mouthSmile_L",),
        "mouthSmileRight": ("mouthSmile_R.012",),
        "cheekPuff": ("Head.cheekPuff.001",),
        "tongueOut": ("Head.tongueOut",),
    }


def test_the_plain_name_wins_and_then_the_lowest_number() -> None:
    match = match_names(["jawOpen.001", "jawOpen", "tongueOut.010", "tongueOut.002", "jaw_forward", "jawForward.001"])
    assert match.keys == {"jawOpen": ("jawOpen",), "tongueOut": ("tongueOut.002",), "jawForward": ("jaw_forward",)}
    assert match.ambiguous == {}
    halves = match_names(["cheekPuff.001", "cheekPuffLeft", "cheekPuffRight"])
    assert halves.keys == {"cheekPuff": ("cheekPuffLeft", "cheekPuffRight")}


@given(st.lists(st.sampled_from(DECOYS), unique=True))
def test_a_number_makes_no_decoy_a_shape(names: list[str]) -> None:
    assert not match_names([f"{n}.001" for n in names]).keys


def test_what_only_looks_like_blenders_number_is_another_shape() -> None:
    assert not match_names(["jawOpen.01", "jawOpen_001", "jawOpen.001.002", "jawOpen_fix.001", "jawOpen.001_old"]).keys
    # A few copies of a shape under a strange prefix are not its habit.
    names = [n for n in BLEND_SHAPES if n != "jawOpen"]
    assert "jawOpen" not in match_names([*names, *(f"angry_jawOpen{n}" for n in ("", ".001", ".002"))]).keys


def test_no_key_shows_two_channels_and_left_is_never_right() -> None:
    match = match_names(["eyeBlink_R", "eyeBlink_L", "mouth_smile_right", "browOuterUpLeft"])
    assert match.keys == {
        "eyeBlinkRight": ("eyeBlink_R",),
        "eyeBlinkLeft": ("eyeBlink_L",),
        "mouthSmileRight": ("mouth_smile_right",),
        "browOuterUpLeft": ("browOuterUpLeft",),
    }


def test_split_channels_go_to_both_keys_left_first() -> None:
    match = match_names(["cheekPuff_R", "cheekPuff_L", "browInnerUpRight", "browInnerUpLeft", "mouthPuckerLeft"])
    assert match.keys == {
        "cheekPuff": ("cheekPuff_L", "cheekPuff_R"),
        "browInnerUp": ("browInnerUpLeft", "browInnerUpRight"),
    }
    assert match.doubtful == ("mouthPuckerLeft",)  # half a pucker is no pucker


def test_a_whole_key_wins_over_its_halves() -> None:
    match = match_names(["cheekPuffLeft", "cheekPuffRight", "cheekPuff"])
    assert match.keys == {"cheekPuff": ("cheekPuff",)}


def test_equal_names_are_reported_and_the_rigs_habit_decides() -> None:
    match = match_names(["mouth_smile_left", "mouthSmile_L", "mouth_smile_right", "eye_blink_left"])
    assert match.keys["mouthSmileLeft"] == ("mouth_smile_left",)
    assert set(match.ambiguous["mouthSmileLeft"]) == {"mouth_smile_left", "mouthSmile_L"}
    match = match_names(["A.jawOpen", "B.jawOpen"])
    assert not match.keys
    assert set(match.ambiguous["jawOpen"]) == {"A.jawOpen", "B.jawOpen"}


def test_a_strange_prefix_on_one_name_is_doubted() -> None:
    names = [n for n in BLEND_SHAPES if n != "jawOpen"]
    match = match_names([*names, "angry_jawOpen"])
    assert "jawOpen" not in match.keys
    assert match.doubtful == ("angry_jawOpen",)
    assert match_names([*names, "Head.jawOpen"]).keys["jawOpen"] == ("Head.jawOpen",)


def test_a_word_that_all_names_begin_with_is_the_characters() -> None:
    assert len(match_names([f"Old_Man:{n}" for n in BLEND_SHAPES]).keys) == 52
    # But beside the names themselves it means another shape, all the more if something is missing.
    both = [*BLEND_SHAPES[1:], *(f"old_{n}" for n in BLEND_SHAPES)]
    match = match_names(both)
    assert match.keys == {n: (n,) for n in BLEND_SHAPES[1:]}


def test_a_side_in_front_is_not_a_prefix() -> None:
    assert not match_names(["R_mouthSmileLeft", "left_jawOpen", "L.browInnerUp"]).keys


def test_a_corner_of_the_mouth_is_not_a_direction() -> None:
    names = [n for n in BLEND_SHAPES if n not in ("mouthLeft", "mouthRight")]
    assert "mouthLeft" not in match_names([*names, "mouth_L"]).keys
    short = [spell(n, "_", "pascal", "_L") for n in BLEND_SHAPES]
    assert match_names(short).keys["mouthLeft"] == ("Mouth_L",)


def test_nothing_matches_nothing() -> None:
    assert not match_names([]).keys
    assert not match_names(["", " ", "_", "Left", "İJAWOPEN"]).keys


def sides_in_front(name: str, left: str = "L_", right: str = "R_") -> str:
    base = re.sub("(Left|Right)$", "", name)
    return (left if name.endswith("Left") else right if name.endswith("Right") else "") + base


DRESSES = {
    "a suffix": lambda name, i: f"{name}_BS",
    "a suffix that is glued": lambda name, i: f"{name}Shape",
    "a suffix between shape and side": lambda name, i: re.sub("_?(Left|Right)$", "", name) + "_geo" + side(name),
    "numbers in front": lambda name, i: f"{i + 3:02}_{name}",
    "numbers behind": lambda name, i: f"{name}{i + 3}",
    "numbers in a prefix": lambda name, i: f"AK_{i + 1:02}_{name[0].upper()}{name[1:]}",
    "prefix, number and suffix": lambda name, i: f"Hero:{i}_{name}_BS",
    "a prefix that is glued": lambda name, i: f"zork{name.lower()}",
    "other letters": lambda name, i: f"顔_{name}",
    "brackets": lambda name, i: f"[BS] {name}",
    "a side in front": lambda name, i: sides_in_front(name),
    "a word in front": lambda name, i: sides_in_front(name, "left", "right"),
    "a side in front of a prefix": lambda name, i: sides_in_front("face_" + name),
    "a side in the middle": lambda name, i: re.sub(r"^([a-z]+)([A-Z].*)(Left|Right)$", r"\1_\3_\2", name),
    "a middle that is marked": lambda name, i: re.sub("(Left|Right)$", r"_\1", name) if side(name) else f"{name}_M",
    "Maya's sides": lambda name, i: re.sub("Left$", "_lf", re.sub("Right$", "_rt", name)),
    "telling words that all have": lambda name, i: f"old_{name}_fix",
}


def side(name: str) -> str:
    return "_L" if name.endswith("Left") else "_R" if name.endswith("Right") else ""


@pytest.mark.parametrize("dress", DRESSES)
@pytest.mark.parametrize("missing", [0, 12])
def test_what_the_whole_rig_puts_around_its_names_is_none_of_them(dress: str, missing: int) -> None:
    shapes = BLEND_SHAPES[missing:]
    names = {shape: DRESSES[dress](shape, i) for i, shape in enumerate(shapes)}
    assert len(set(names.values())) == len(shapes)
    match = match_names([*names.values(), "Basis", "thin"])
    assert {shape: keys[0] for shape, keys in match.keys.items()} == names
    assert min(match.confidence.values()) >= 0.83


SHORT = {
    "mth_sml_lft": "mouthSmileLeft",
    "BrwInnUp": "browInnerUp",
    "mouth_lwr_dn_rt": "mouthLowerDownRight",
    "MTH_UPR_UP_L": "mouthUpperUpLeft",
    "browOutUp_R": "browOuterUpRight",
    "mouthRollLow": "mouthRollLower",
    "eyebrowDown_L": "browDownLeft",
    "jawFwd": "jawForward",
    "chk_puff": "cheekPuff",
    "tng_out": "tongueOut",
    "eyeSqnt_L": "eyeSquintLeft",
    "mouthShrgUppr": "mouthShrugUpper",
}


def test_abbreviations_are_read_where_they_cannot_be_mistaken() -> None:
    match = match_names(SHORT)
    assert {keys[0]: shape for shape, keys in match.keys.items()} == SHORT
    # The full name is better, and cut off words are none.
    both = match_names(["mouthSmileLeft", "mth_sml_lft", "jaw_ope", "mouthSmil", "Mou", "m_s_l"])
    assert both.keys == {"mouthSmileLeft": ("mouthSmileLeft",)}


FALSE_FRIENDS = (
    *(
        "{0}_fix",
        "{0}Fix",
        "{0}_half",
        "{0}_old",
        "{0}_corrective",
        "{0}_combo_jawOpen",
        "{0}_50",
        "{0}50",
        "{0}_mirror",
    ),
    *("{0}_copy", "{0} (1)", "{0}2", "{0}_v2", "{0}.old", "{0}_target", "{0}_ctrl", "{0}~", "{0}%", "{0}_wet", "{0}+"),
    *("no{0}", "un{0}", "old_{0}", "half-{0}", "anti.{0}", "50_{0}", "30%{0}", "wet_{0}", "combo_{0}", "my{0}"),
    *("{0}_{0}", "{0}_cheekPuff", "cheekPuff_{0}", "{0}Upper", "{0}_L_R", "{0}_jnt", "({0})_off", "{0}_to_rest"),
)


@pytest.mark.parametrize("shape", ["mouthSmileLeft", "jawOpen", "eyeLookInRight", "browInnerUp"])
@pytest.mark.parametrize("friend", FALSE_FRIENDS)
def test_names_that_look_like_a_shape_are_none(shape: str, friend: str) -> None:
    others = [name for name in BLEND_SHAPES if name != shape]
    assert shape not in match_names([*others, friend.format(shape)]).keys
    dressed = [f"Face_{name}_BS" for name in others]
    assert shape not in match_names([*dressed, f"Face_{friend.format(shape)}_BS"]).keys


@pytest.mark.parametrize(
    "friend",
    [
        *("mouthSmileLeft_R", "R_mouthSmileLeft", "mouthSmileLeftRight", "mouthSmile_L_R", "right_mouthSmileLeft"),
        *("mouthSmile_HalfLeft", "Smile_HalfLeft", "mouthSmileSharpLeft", "mouthSmile", "mouthSmileLeftEye"),
    ],
)
def test_a_side_that_is_said_twice_or_not_at_all_is_none(friend: str) -> None:
    others = [name for name in BLEND_SHAPES if not name.startswith("mouthSmile")]
    assert not {"mouthSmileLeft", "mouthSmileRight"} & match_names([*others, friend]).keys.keys()


def test_a_set_of_variations_is_not_the_shapes() -> None:
    for dress in ("{}_50", "{}_wet", "wet_{}", "wet{}", "{}Half"):
        variations = [dress.format(name) for name in BLEND_SHAPES]
        found = match_names([*BLEND_SHAPES[20:], *variations])
        assert found.keys == {name: (name,) for name in BLEND_SHAPES[20:]}, dress


def test_a_direction_in_front_needs_the_other_one() -> None:
    # From a rig on the web, whose R_mouth is no mouth to the right.
    names = [
        "L_mouthSmile",
        "R_mouthSmile",
        "L_eyeSquint",
        "R_eyeSquint",
        "R_mouthStretch",
        "L_jaw",
        "R_jaw",
        "R_mouth",
    ]
    found = match_names([*names, "L_mouthUp", "L_mouth_Dn", "R_nose", "mouth_OO", "L_eyeLook"])
    assert {shape: keys[0] for shape, keys in found.keys.items()} == {
        "mouthSmileLeft": "L_mouthSmile",
        "mouthSmileRight": "R_mouthSmile",
        "eyeSquintLeft": "L_eyeSquint",
        "eyeSquintRight": "R_eyeSquint",
        "mouthStretchRight": "R_mouthStretch",
        "jawLeft": "L_jaw",
        "jawRight": "R_jaw",
    }
