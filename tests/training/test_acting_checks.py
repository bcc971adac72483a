# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from facescript.performance import NEUTRAL, Brief, FacescriptError, Keyframe, Performance, Pose
from facescript.training import acting_checks
from facescript.training.acting_checks import (
    ChecksError,
    Quantity,
    Script,
    check,
    load_facts,
    load_scripts,
    parse_check,
    parse_facts,
    score,
)

ROOT = Path(__file__).resolve().parents[2]
CORPUS = tuple(sorted((ROOT / "inference/data/performances").glob("*.jsonl")))

NOTHING: dict[str, object] = {}
SMILE: dict[str, object] = {"mouthSmile": 0.4}


def perform(*poses: dict[str, object]) -> Performance:
    keyframes = tuple(Keyframe(float(i), "", Pose.from_dict(pose)) for i, pose in enumerate(poses))
    return Performance(Brief("Hello."), keyframes)


def holds(form: list[object], *poses: dict[str, object]) -> bool:
    [result] = check(perform(*poses), [form])
    return result


def shows(fact: str, pose: dict[str, object]) -> bool:
    return holds(["some", fact], pose)


@pytest.mark.parametrize(
    ("which", "yes", "no"),
    [
        ("some", [NOTHING, SMILE, NOTHING], [NOTHING, NOTHING]),
        ("none", [NOTHING, NOTHING], [NOTHING, SMILE]),
        ("all", [SMILE, SMILE], [SMILE, NOTHING, SMILE]),
        ("most", [SMILE, NOTHING, SMILE], [SMILE, NOTHING]),
        ("first", [SMILE, NOTHING], [NOTHING, SMILE]),
        ("last", [NOTHING, SMILE], [SMILE, NOTHING]),
        ("early", [NOTHING, SMILE, NOTHING, NOTHING], [NOTHING, NOTHING, SMILE, NOTHING]),
        ("late", [NOTHING, NOTHING, SMILE, NOTHING], [NOTHING, SMILE, NOTHING, NOTHING]),
    ],
)
def test_a_fact_is_asked_of_the_keyframes_that_are_named(
    which: str, yes: list[dict[str, object]], no: list[dict[str, object]]
) -> None:
    assert holds([which, "smile"], *yes)
    assert not holds([which, "smile"], *no)


@pytest.mark.parametrize("which", ["some", "all", "most", "first", "last", "early", "late"])
def test_a_single_keyframe_is_early_and_late_and_all_there_is(which: str) -> None:
    assert holds([which, "smile"], SMILE)
    assert not holds([which, "smile"], NOTHING)


def test_the_middle_keyframe_belongs_to_both_halves() -> None:
    middle = [NOTHING, SMILE, NOTHING]
    assert holds(["early", "smile"], *middle)
    assert holds(["late", "smile"], *middle)


def test_beats_are_counted() -> None:
    assert holds(["beats", "<=", 2], NOTHING, SMILE)
    assert not holds(["beats", "<=", 2], NOTHING, SMILE, NOTHING)
    assert holds(["beats", ">=", 2], NOTHING, SMILE)
    assert not holds(["beats", ">=", 2], SMILE)


def test_a_quantity_rises_or_falls_by_a_tenth_from_the_first_keyframe_to_the_last() -> None:
    up: list[dict[str, object]] = [{"jawOpen": 0.2}, {"jawOpen": 0.9}, {"jawOpen": 0.3}]
    assert holds(["rises", "jawOpen"], *up)
    assert not holds(["falls", "jawOpen"], *up)
    assert holds(["falls", "jawOpen"], *reversed(up))
    assert not holds(["rises", "jawOpen"], {"jawOpen": 0.2}, {"jawOpen": 0.9}, {"jawOpen": 0.25})
    assert not holds(["rises", "jawOpen"], {"jawOpen": 0.9})
    assert holds(["falls", "headPitch"], {"headPitch": 0.1}, {"headPitch": -0.2})
    assert holds(["rises", "mouthSmile"], NOTHING, {"mouthSmileLeft": 0.2})
    assert not holds(["rises", "mouthSmile"], NOTHING, {"mouthSmileLeft": 0.15})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("browDown", 0.4),
        ("browDown.max", 0.6),
        ("browDown.min", 0.2),
        ("browDown.gap", -0.4),
        ("browDownLeft", 0.2),
        ("gazeLeft", 0.3),
        ("gazeLeft.max", 0.5),
        ("headYaw", -0.7),
        ("peak", 0.6),
    ],
)
def test_quantities_are_read_off_a_pose(name: str, value: float) -> None:
    pose = Pose.from_dict(
        {
            "browDownLeft": 0.2,
            "browDownRight": 0.6,
            "eyeLookOutLeft": 0.5,
            "eyeLookInRight": 0.1,
            "eyeLookInLeft": 0.9,
            "eyeBlink": 0.8,
            "headYaw": -0.7,
        }
    )
    assert Quantity.parse(name).of(pose) == pytest.approx(value)


@pytest.mark.parametrize(
    ("fact", "pose"),
    [
        ("smile", {"mouthSmile": 0.2}),
        ("smile", {"mouthSmileRight": 0.3}),
        ("broad_smile", {"mouthSmile": 0.6}),
        ("eyes_closed", {"eyeBlink": 0.9}),
        ("open_jaw", {"jawOpen": 0.4}),
        ("sad_brows", {"browInnerUp": 0.5, "browOuterUp": 0.1}),
        ("looking_down", {"gazeDown": 0.4}),
        ("looking_down", {"headPitch": -0.2}),
        ("angry_face", {"browDown": 0.6, "mouthPress": 0.5}),
        ("angry_face", {"browDown": 0.7, "eyeWide": 0.5, "jawOpen": 0.4}),
        ("fear_face", {"browInnerUp": 0.7, "browOuterUp": 0.5, "eyeWide": 0.7, "mouthStretch": 0.4}),
        ("sad_face", {"browInnerUp": 0.5, "mouthFrown": 0.4, "gazeDown": 0.4}),
        ("joy_face", {"mouthSmile": 0.7, "cheekSquint": 0.5, "eyeSquint": 0.3}),
        ("disgust_face", {"noseSneer": 0.6, "mouthUpperUp": 0.4, "browDown": 0.4}),
        ("contempt_face", {"mouthDimpleLeft": 0.4, "eyeBlink": 0.25}),
        ("pain_face", {"browDown": 0.6, "eyeSquint": 0.8, "mouthStretch": 0.5}),
        ("surprise_face", {"browInnerUp": 0.6, "browOuterUp": 0.6, "eyeWide": 0.5, "jawOpen": 0.3}),
        ("strained_smile", {"mouthSmile": 0.4, "browInnerUp": 0.4, "cheekSquint": 0.3}),
    ],
)
def test_faces_of_the_textbook_show_their_fact(fact: str, pose: dict[str, object]) -> None:
    assert shows(fact, pose)


@pytest.mark.parametrize(
    ("fact", "pose"),
    [
        ("smile", {"mouthSmile": 0.1}),
        ("eyes_closed", {"eyeBlinkLeft": 1.0}),
        ("open_jaw", {"jawOpen": 0.4, "mouthClose": 0.4}),
        ("sad_brows", {"browInnerUp": 0.6, "browOuterUp": 0.7}),
        ("angry_face", {"browDown": 0.6}),
        ("angry_face", {"browDown": 0.6, "mouthPress": 0.5, "mouthSmile": 0.6}),
        ("sad_face", {"browInnerUp": 0.5, "mouthSmile": 0.6, "mouthPress": 0.4}),
        ("joy_face", {"mouthSmile": 0.45}),
        ("fear_face", {"eyeWide": 0.8}),
        ("strained_smile", {"mouthSmile": 0.6, "cheekSquint": 0.5}),
        ("clearly_angry", {"browDown": 0.7, "eyeSquint": 0.8, "eyeBlink": 0.5, "mouthUpperUp": 0.4}),
        ("near_neutral", {"browInnerUp": 0.3}),
        ("strong", {"eyeBlink": 1.0, "gazeDown": 1.0}),
    ],
)
def test_a_fact_needs_all_of_its_parts(fact: str, pose: dict[str, object]) -> None:
    assert not shows(fact, pose)


@pytest.mark.parametrize(
    ("left", "right", "pose"),
    [
        ("wink_left", "wink_right", {"eyeBlinkLeft": 0.95, "eyeBlinkRight": 0.1}),
        ("smile_left_side", "smile_right_side", {"mouthSmileLeft": 0.5, "mouthSmileRight": 0.1}),
        ("left_brow_up", "right_brow_up", {"browOuterUpLeft": 0.6}),
        ("sneer_left_side", "sneer_right_side", {"noseSneerLeft": 0.5}),
        ("looking_left", "looking_right", {"gazeLeft": 0.5}),
        ("head_left", "head_right", {"headYaw": 0.3}),
        ("tilt_left", "tilt_right", {"headRoll": 0.2}),
    ],
)
def test_one_sided_facts_are_the_character_s_own_and_mirror(left: str, right: str, pose: dict[str, object]) -> None:
    mirrored = Pose.from_dict(pose).mirrored().to_dict()
    assert shows(left, pose)
    assert not shows(right, pose)
    assert shows(right, dict(mirrored))
    assert not shows(left, dict(mirrored))


def test_facts_nest_and_may_be_named_before_they_are_written() -> None:
    facts = parse_facts(
        {
            "either": {
                "says": "One of two.",
                "any": ["open", {"all": [["mouthSmile", ">=", 0.3], ["peak", "<=", 0.5]]}],
            },
            "open": {"says": "The jaw is down.", "any": [["jawOpen", ">=", 0.2]]},
        }
    )
    assert facts["either"].holds(Pose.from_dict({"jawOpen": 0.2}))
    assert facts["either"].holds(Pose.from_dict({"mouthSmile": 0.5}))
    assert not facts["either"].holds(Pose.from_dict({"mouthSmile": 0.55}))
    assert facts["either"].says == "One of two."


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"any": [["jawOpen", ">=", 0.2]]}, "no sentence"),
        ({"says": "It."}, "one list of conditions"),
        ({"says": "It.", "any": []}, "one list of conditions"),
        ({"says": "It.", "any": ["that"], "all": ["that"]}, "one list of conditions"),
        ({"says": "It.", "some": ["that"]}, "one list of conditions"),
        ({"says": "It.", "any": ["elsewhere"]}, 'no fact "elsewhere"'),
        ({"says": "It.", "any": ["it"]}, "rests on itself"),
        ({"says": "It.", "any": ["that"]}, "rests on itself"),
        ({"says": "It.", "any": [["jawOpened", ">=", 0.2]]}, 'no quantity "jawOpened"'),
        ({"says": "It.", "any": [["jawOpen.max", ">=", 0.2]]}, r'no quantity "jawOpen\.max"'),
        ({"says": "It.", "any": [["gazeUp.gap", ">=", 0.2]]}, r'no quantity "gazeUp\.gap"'),
        ({"says": "It.", "any": [["jawOpen", ">", 0.2]]}, '">" does not compare'),
        ({"says": "It.", "any": [["jawOpen", ">=", 1.2]]}, r"1\.2 is not a bound for jawOpen"),
        ({"says": "It.", "any": [["jawOpen", ">=", -0.2]]}, r"-0\.2 is not a bound"),
        ({"says": "It.", "any": [["jawOpen", ">=", float("nan")]]}, "NaN is not a bound"),
        ({"says": "It.", "any": [["jawOpen", ">=", True]]}, "true is not a bound"),
        ({"says": "It.", "any": [["jawOpen", 0.2]]}, "is not a condition"),
        ("smile", "no sentence"),
    ],
)
def test_a_bad_table_of_facts_is_refused_by_name(row: object, error: str) -> None:
    with pytest.raises(ChecksError, match=rf'fact "(it|that)": .*{error}'):
        parse_facts({"it": row, "that": {"says": "That.", "any": ["it"]}})


@pytest.mark.parametrize(
    "form",
    [
        ["some", "simle"],
        ["sometimes", "smile"],
        ["some"],
        ["some", "smile", 2],
        ["beats", "<", 2],
        ["beats", "<=", 2.5],
        ["beats", "<=", True],
        ["beats", "<=", 0],
        ["rises", "smile"],
        ["rises"],
        [["some"], "smile"],
        [],
        "some smile",
        None,
    ],
)
def test_a_bad_check_is_refused(form: object) -> None:
    with pytest.raises(ChecksError):
        check(perform(NOTHING), [form])


def test_errors_are_value_errors_that_a_user_can_read() -> None:
    with pytest.raises(ValueError, match='There is no fact "simle"') as caught:
        check(perform(NOTHING), [["some", "simle"]])
    assert isinstance(caught.value, FacescriptError)
    assert caught.value.hint


def script(number: str, *forms: list[object]) -> Script:
    return Script(Brief("Hi.", "", "joy", number), tuple(parse_check(form, load_facts()) for form in forms))


def test_a_script_is_met_when_all_its_checks_hold() -> None:
    scripts = [script("a", ["some", "smile"], ["none", "open_jaw"]), script("b", ["some", "smile"], ["beats", "<=", 2])]
    found = score({"a": perform(SMILE), "b": perform(NOTHING)}, scripts)
    assert (found.scripts, found.met, found.checks, found.held) == (2, 1, 4, 3)
    assert (found.share_met, found.share_held) == (0.5, 0.75)
    assert str(found) == (
        "1 of 2 scripts met (50.0%); 3 of 4 checks hold (75.0%)\n"  #
        "  b 'Hi.' (joy): not some smile"
    )


def test_performances_and_scripts_must_fit() -> None:
    scripts = [script("a", ["some", "smile"])]
    with pytest.raises(ChecksError, match="1 scripts have no performance, the first of them a"):
        score({}, scripts)
    with pytest.raises(ChecksError, match='1 performances have no script, the first of them "z"'):
        score({"a": perform(SMILE), "z": perform(SMILE)}, scripts)
    with pytest.raises(ChecksError, match="no scripts"):
        score({}, [])


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (["{"], "line 1: This is not JSON"),
        (['{"id":"a","script":"Hi."}'], "line 1: There are no checks"),
        (['{"id":"a","script":"Hi.","checks":[]}'], "line 1: There are no checks"),
        (['{"script":"Hi.","checks":[["some","smile"]]}'], "line 1: The id or the script is missing"),
        (['{"id":"a","script":"Hi.","mood":"","checks":[["some","smile"]]}'], 'line 1: There is nothing called "mood"'),
        (['{"id":"a","script":"Hi.","checks":[["some","simle"]]}'], 'line 1: There is no fact "simle"'),
        (['{"id":"a","script":"Hi.","checks":[["some","smile"]]}'] * 2, 'line 2: The id "a" is given twice'),
    ],
)
def test_a_bad_file_of_scripts_is_refused_by_line(tmp_path: Path, lines: list[str], error: str) -> None:
    path = tmp_path / "acting.jsonl"
    path.write_text("\n".join(lines))
    with pytest.raises(ChecksError, match=re.escape(error)):
        load_scripts(path)


def test_missing_and_damaged_tables_are_named(tmp_path: Path) -> None:
    with pytest.raises(ChecksError, match=r"Cannot read .*facts\.json"):
        load_facts(tmp_path / "facts.json")
    (tmp_path / "broken.json").write_text('{"smile": 1, "smile": 2}')
    with pytest.raises(ChecksError, match=r"broken\.json: The name 'smile' is given twice"):
        load_facts(tmp_path / "broken.json")


sets = pytest.mark.parametrize("path", acting_checks.SETS.values(), ids=acting_checks.SETS)


@sets
def test_the_scripts_load_with_their_own_ids_and_one_to_five_checks(path: Path) -> None:
    scripts = load_scripts(path)
    assert len(scripts) == len(path.read_text(encoding="utf-8").splitlines()) >= 120
    assert len({s.brief.id for s in scripts}) == len({s.brief.script for s in scripts}) == len(scripts)
    assert {len(s.checks) for s in scripts} <= {1, 2, 3, 4, 5}


def test_no_script_is_in_both_sets() -> None:
    one, other = ({words(s.brief.script) for s in load_scripts(path)} for path in acting_checks.SETS.values())
    assert one & other == set()


def test_every_fact_is_used_by_a_check_or_by_another_fact() -> None:
    table = json.loads((acting_checks.FOLDER / "facts.json").read_text(encoding="utf-8"))
    texts = [json.dumps(table[name][mode]) for name in table for mode in ("any", "all") if mode in table[name]]
    texts.append((acting_checks.FOLDER / "acting.jsonl").read_text(encoding="utf-8"))
    assert [name for name in load_facts() if not any(f'"{name}"' in text for text in texts)] == []


@sets
def test_a_neutral_face_meets_few_scripts(path: Path) -> None:
    keyframes = (Keyframe(0.0, "", NEUTRAL),)
    scripts = load_scripts(path)
    found = score({s.brief.id: Performance(s.brief, keyframes) for s in scripts}, scripts)
    assert found.share_met < 0.15


def words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def corpus_scripts() -> Iterator[str]:
    for path in CORPUS:
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                yield json.loads(line)["script"]


@sets
def test_no_script_is_one_of_the_corpus(path: Path) -> None:
    known = {words(text) for text in corpus_scripts()}
    assert len(known) > 1000
    assert [s.brief.id for s in load_scripts(path) if words(s.brief.script) in known] == []
