# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from facescript.performance import BLEND_SHAPES, REGIONS, FacescriptError
from facescript.rig_mapping import profiles, spelling, styles


def test_arkit_names_every_blend_shape_once() -> None:
    profile = profiles.get("arkit")
    assert profile.shapes == BLEND_SHAPES
    assert all(rows == (profiles.Shape(channel, 1.0),) for channel, rows in profile.channels.items())
    assert dict(profile.full_angles) == {"head": 45.0, "eye": 35.0, "jaw": 25.0}
    assert "mixamorig:Head".rsplit(":", 1)[-1] in profile.bones["head"]
    assert len(profile.bones["left_eye"]) == len(profile.bones["right_eye"])


def test_an_unknown_profile_is_told() -> None:
    with pytest.raises(FacescriptError) as error:
        profiles.get("daz")
    assert error.value.code == "unknown_profile"
    assert "arkit" in error.value.hint


def _profile() -> dict[str, Any]:
    data = dict(json.loads((profiles.FOLDER / "arkit.json").read_text(encoding="utf-8")))
    return data | {"bones": {"head": ["Kopf"]}, "full_angles": {"head": 40.0}}


def test_a_channel_may_go_to_several_shapes(tmp_path: Path) -> None:
    data = _profile()
    data["channels"]["jawOpen"] = [{"shape": "jawOpen", "gain": 0.5}, {"shape": "mouthClose", "gain": -0.25}]
    (tmp_path / "p.json").write_text(json.dumps(data))
    rows = profiles.load(tmp_path / "p.json").channels["jawOpen"]
    assert rows == (profiles.Shape("jawOpen", 0.5), profiles.Shape("mouthClose", -0.25))


def test_a_profile_says_what_differs_from_its_base(tmp_path: Path) -> None:
    data = {
        "id": "percent",
        "name": "Percent",
        "source": "this test",
        "base": "arkit",
        "full": 100.0,
        "channels": {"jawOpen": [{"shape": "A", "gain": 0.7}], "cheekPuff": [], "mouthPucker": []},
        "aliases": {"A": ["aa", "Fcl_MTH_A"]},
        "exact": True,
        "evidence": ["viseme_sil"],
        "cannot": "Puffed cheeks.",
        "bones": {"head": ["Kopf"]},
        "full_angles": {"jaw": 20.0},
    }
    (tmp_path / "percent.json").write_text(json.dumps(data))
    profile, base = profiles.load(tmp_path / "percent.json"), profiles.get("arkit")
    assert profile.channels["jawOpen"] == (profiles.Shape("A", 0.7),)
    assert "cheekPuff" not in profile.channels
    assert set(base.channels) - set(profile.channels) == {"cheekPuff", "mouthPucker"}
    assert profile.spelled("A") == ("A", "aa", "Fcl_MTH_A")
    assert (profile.base, profile.full, profile.exact, profile.evidence) == ("arkit", 100.0, True, ("viseme_sil",))
    assert set(base.splits) - set(profile.splits) == {"cheekPuff", "mouthPucker"}
    assert profile.bones["head"] == ("Kopf", *base.bones["head"])
    assert profile.bones["jaw"] == base.bones["jaw"]
    assert dict(profile.full_angles) == {"head": 45.0, "eye": 35.0, "jaw": 20.0}


def test_every_profile_of_the_package_can_be_read_and_arkit_is_first() -> None:
    every = profiles.every()
    assert every[0] is profiles.get("arkit")
    assert {p.id for p in every} == {path.stem for path in profiles.FOLDER.glob("*.json")}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("id",), ""),
        (("extra",), 1),
        (("full_angles", "head"), 500),
        (("full_angles", "neck"), 5),
        (("bones", "head"), "head"),
        (("bones", "head"), ["head", "head"]),
        (("channels", "jawDrop"), [{"shape": "jawOpen", "gain": 1.0}]),
        (("channels", "jawOpen"), []),
        (("channels", "jawOpen"), [{"shape": "jawOpen"}]),
        (("channels", "jawOpen"), [{"shape": "jawOpen", "gain": 1.0}, {"shape": "jawOpen", "gain": 0.5}]),
        (("channels", "jawOpen"), [{"shape": "jawOpen", "gain": True}]),
        (("channels", "jawOpen"), [{"shape": "jawOpen", "gain": float("nan")}]),
        (("splits",), ["jawDrop"]),
        (("full",), 0.0),
        (("exact",), 1),
        (("cannot",), ""),
        (("base",), "arcit"),
        (("base",), "broken"),
        (("aliases",), {"jawDrop": ["Jaw"]}),
        (("aliases",), {"jawOpen": "Jaw"}),
        (("aliases",), {"jawOpen": ["mouthClose"]}),
        (("aliases",), {"jawOpen": ["A"], "mouthClose": ["A"]}),
        (("evidence",), ["jawOpen"]),
        (("rows",), [1]),
        (("channels",), {}),
    ],
)
def test_a_wrong_profile_is_refused_by_file_and_place(tmp_path: Path, path: tuple[str, ...], value: object) -> None:
    data = _profile()
    place: Any = data
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    (tmp_path / "broken.json").write_text(json.dumps(data))
    with pytest.raises(FacescriptError) as error:
        profiles.load(tmp_path / "broken.json")
    assert error.value.code == "bad_table"
    assert "broken.json" in error.value.message


@pytest.mark.parametrize("text", ["", "[]", "{", "\ud800"])
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "p.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(FacescriptError) as error:
        profiles.load(tmp_path / "p.json")
    assert error.value.code == "bad_table"


def test_the_styles_are_the_four_of_the_menu() -> None:
    known = styles.styles()
    assert list(known) == ["snappy", "natural", "soft", "linear"]
    for style in known.values():
        assert tuple(style.regions) == REGIONS
        # Closed lips are mouthClose with jawOpen: they must move as one.
        assert style.regions["jaw"] == style.regions["mouth"]
    natural = known["natural"].regions
    assert natural["eyes"].lead > natural["brows"].lead > natural["mouth"].lead == 0.0
    assert all(t == styles.Timing(None, 0.0, 0.0) for t in known["linear"].regions.values())
    assert (known["linear"].hold, known["linear"].release) == (0.0, 0.0)
    mouths = [known[name].regions["mouth"] for name in ("snappy", "natural", "soft")]
    assert [m.attack for m in mouths] == [0.15, 0.32, 0.7]
    assert mouths[0].overshoot > mouths[1].overshoot == mouths[2].overshoot == 0.0
    assert known["snappy"].hold > known["natural"].hold > known["soft"].hold
    assert known["snappy"].release < known["natural"].release < known["soft"].release
    # Eyes that dart past what they look at would look at something else.
    assert all(style.regions["eyes"].overshoot == 0.0 for style in known.values())


def test_an_unknown_style_is_told() -> None:
    with pytest.raises(FacescriptError, match="snappy, natural, soft, linear"):
        styles.get("bouncy")


def test_a_style_that_parts_jaw_and_lips_is_refused(tmp_path: Path) -> None:
    data = json.loads(styles.FILE.read_text(encoding="utf-8"))
    data["soft"]["regions"]["jaw"]["lead"] = 0.1
    (tmp_path / "s.json").write_text(json.dumps(data))
    with pytest.raises(FacescriptError, match="'jaw'"):
        styles.load(tmp_path / "s.json")


def test_an_animators_settings_go_on_top_of_a_style() -> None:
    style = styles.get("snappy")
    assert styles.adjusted(style) == style
    own = styles.adjusted(style, attack=2.0, hold=1.5, release=0.3, overshoot=0.25, leads=3.0)
    assert (own.hold, own.release, own.settle, own.id) == (1.5, 0.3, style.settle, "snappy")
    assert own.regions["head"] == styles.Timing(0.44, 0.09, 0.25)
    # The whole way from beat to beat is that in every style of it.
    assert styles.adjusted(styles.get("linear"), attack=4.0).regions["mouth"].attack is None


@pytest.mark.parametrize("named", ["mouth", "jaw"])
def test_the_jaw_leads_with_the_mouth(named: str) -> None:
    own = styles.adjusted(styles.get("natural"), leads={named: 0.2}).regions
    assert (own["mouth"].lead, own["jaw"].lead, own["eyes"].lead) == (0.2, 0.2, 0.1)


@pytest.mark.parametrize(
    "setting",
    [
        {"attack": 0.2},
        {"attack": float("nan")},
        {"hold": -1.0},
        {"release": 1.1},
        {"overshoot": 0.6},
        {"leads": 3.5},
        {"leads": {"eyes": 2.5}},
        {"leads": {"ears": 0.1}},
    ],
)
def test_a_setting_out_of_its_limits_is_refused(setting: dict[str, Any]) -> None:
    with pytest.raises(FacescriptError) as error:
        styles.adjusted(styles.get(), **setting)
    assert error.value.code == "bad_setting"


def test_the_common_words_say_one_thing_each() -> None:
    known = spelling.words()
    assert not known.prefixes & known.decoys
    assert not known.middle & set(spelling.SIDES)
    for text, meanings in known.meanings.items():
        assert len(set(meanings)) == len(meanings)
        assert len(set(meanings) & set(spelling.SIDES)) * len(meanings) in (0, 1), text  # a side is nothing else
    assert known.meanings["l"] == ("left",)
    assert known.meanings["in"] == ("inner",)
    assert known.meanings["fwd"] == ("forward",)
    # Every word of ARKit's names but the shortest has abbreviations.
    words = {w.lower() for name in BLEND_SHAPES for w in re.findall("[A-Z]?[a-z]+", name)}
    assert words - {w for found in known.meanings.values() for w in found} <= {"in", "out", "up", "eye"}


@pytest.mark.parametrize("profile", [p for p in profiles.every() if not p.exact], ids=lambda p: p.id)
def test_no_two_shapes_of_a_family_are_spelled_alike(profile: profiles.Profile) -> None:
    table = spelling.spellings(profile)
    for shape in profile.shapes:
        for name in profile.spelled(shape):
            letters = "".join(token.text for token in spelling.tokens(spelling.normal(name)))
            assert table[letters].shape == shape, name
