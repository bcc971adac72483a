# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface in German: nothing is left out, texts with values are found again, and a bad file stops nothing."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

bpy = pytest.importorskip("bpy")

import messages  # noqa: E402
import windowed  # noqa: E402
from facescript.commands import ROOT  # noqa: E402
from facescript.operators import language  # noqa: E402

# Names of data and of shader sockets, file endings, and pieces that are never shown or are whole elsewhere.
UNSEEN = re.compile(
    r"Tint|Basis|Armature|(Base|Emission) Color|Color|Roughness|(Subsurface|Coat|Sheen|Emission) .*|Standard|Error: "
    r"|Facescript Preview|Lettering|Left|Right|Take \{0\}|\{0\} \{1\} of \{2\}|face = .*|[a-z_.]+|"
    r"Own \{0\}|Set the \{0\} here, not by the style|\{0\}: frames .*"
)
# Blender's own, of every panel, menu and list.
_BLENDERS = re.compile(
    r".*\.(layout|text|custom_data|use_pin|is_popover|list_id|layout_type|use_filter.*|filter_.*|bitflag.*)"
)
GERMAN = language.languages()["de"]


@pytest.fixture
def german() -> Iterator[Any]:
    """Looks a message up as Blender does where German is chosen."""
    yield lambda message: GERMAN.get(message, message)


def test_every_message_of_the_source_has_a_translation() -> None:
    said = messages.said(ROOT)
    assert len(said) > 400
    assert {m: place for m, place in said.items() if m not in GERMAN and not UNSEEN.fullmatch(m)} == {}


def test_everything_that_is_registered_has_a_translation(extension: Any) -> None:
    shown = messages.registered(bpy)
    assert "Generate Performance" in shown and "How long each beat's pose is held in full" in shown
    missing = {
        text: place
        for text, place in shown.items()
        if text not in GERMAN and not _BLENDERS.fullmatch(place) and not place.endswith(".filepath")
    }
    assert missing == {}


def test_no_translation_is_empty_or_has_other_fields_than_its_message() -> None:
    written = json.loads((language.FOLDER / "de.json").read_text(encoding="utf-8"))
    assert set(written) - set(language.usable(written)) == set()


@pytest.mark.parametrize(
    ("text", "translation"),
    [
        ("Choose a face first.", "Zuerst ein Gesicht wählen."),
        ("4 beats, 87 keys on 21 F-curves.", "4 Beats, 87 Schlüsselbilder auf 21 F-Kurven."),
        (
            "4 beats, 87 keys on 21 F-curves. 1 locked beat stayed.",
            "4 Beats, 87 Schlüsselbilder auf 21 F-Kurven. 1 gesperrter Beat blieb.",
        ),
        (
            "Cannot write /tmp/a. b.csv: full. Choose another folder.",
            "/tmp/a. b.csv kann nicht geschrieben werden: full. Einen anderen Ordner wählen.",
        ),
        (
            "9 blinks; 40 keys on 6 F-curves of the NLA track 'Life'.",
            "9 Lidschläge; 40 Schlüsselbilder auf 6 F-Kurven der NLA-Spur 'Life'.",
        ),
        ("The mesh 'Head' has no shape keys.", "Das Mesh 'Head' hat keine Formschlüssel."),
        (
            "Head angles are left out: the armature 'Rig' has no head bone that can be turned, and the origin of 'Head'"
            " is not inside the head. A bone that is named 'head' and has no constraint or driver lets it turn.",
            "Kopfwinkel werden ausgelassen: das Skelett 'Rig' hat keinen Kopfknochen, der sich drehen lässt, und der "
            "Ursprung von 'Head' liegt nicht im Kopf. Ein Knochen namens 'head' ohne Zwangsbedingung und Treiber lässt "
            "ihn sich drehen.",
        ),
        (
            "Ann: jawOpen, browDown - muted, so nothing of them is seen.",
            "Ann: jawOpen, browDown - stumm, daher ist nichts davon zu sehen.",
        ),
        ("she smiles, eyes closed", "she smiles, eyes closed"),
        ("", ""),
    ],
)
def test_texts_with_values_and_several_sentences_are_found_again(german: Any, text: str, translation: str) -> None:
    assert language.translated(text, german) == translation


def test_a_report_of_many_warnings_is_read_without_trying_all_ways_to_part_it(german: Any) -> None:
    # It took longer than anybody waits, with the window standing still.
    warnings = " ".join(f"Face: shape {n} stands at 0.{n}, which is seen throughout." for n in range(10, 70))
    said = language.translated(f"4 beats, 87 keys on 21 F-curves. {warnings}", german)
    assert said.startswith("4 Beats, 87 Schlüsselbilder auf 21 F-Kurven. ") and "0.69" in said
    assert language.translated(f"{warnings} No template has this. {warnings}", german).count("0.69") == 2


def test_in_english_every_text_stays_as_it_is() -> None:
    for text in (
        "4 beats, 87 keys on 21 F-curves. 1 locked beat stayed.",
        "Preview, frame 3 of 9.  Esc stops",
        "A {b}",
    ):
        assert language.translated(text, lambda message: message) == text


def test_a_bad_translation_is_left_out_and_a_bad_file_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "de.json").write_text('{"{0} beats": "{1} Beats", "Face": "", "Line": 3, "Head": "Kopf"}')
    (tmp_path / "fr.json").write_text("{")
    (tmp_path / "it.json").write_text("[]")
    monkeypatch.setattr(language, "FOLDER", tmp_path)
    language.languages.cache_clear()
    try:
        assert language.languages() == {"de": {"Head": "Kopf"}}
    finally:
        language.languages.cache_clear()


_IN_BLENDER = """
import bpy, json, sys
sys.path.insert(0, {packages!r})
bpy.ops.extensions.package_install_files(filepath={zip!r}, repo="user_default", enable_on_install=True)
view = bpy.context.preferences.view
view.language = "de_DE"
view.use_translate_interface = view.use_translate_tooltips = view.use_translate_reports = True
language = sys.modules["bl_ext.user_default.facescript.operators.language"]
look_up = bpy.app.translations.pgettext_iface
bpy.ops.facescript.add_face()
try:
    bpy.ops.facescript.clear()
    bpy.ops.facescript.step_beat()
    report = bpy.ops.facescript.export_performance(filepath="/tmp/none.jsonl")
except RuntimeError as error:
    report = str(error)
found = [
    look_up("Motion"), look_up("Generate Performance", "Operator"), look_up("Face", "Facescript"), look_up("Strength"),
    language.tip_("No generation is running"), language.iface_("4 beats, 87 keys on 21 F-curves."), report,
]
bpy.ops.preferences.addon_disable(module="bl_ext.user_default.facescript")
print("FOUND" + json.dumps(found + [look_up("Generate Performance", "Operator")]))
"""


@pytest.mark.slow
def test_blender_in_german_speaks_german_and_english_again_without_the_extension(
    built_zip: Path, tmp_path: Path
) -> None:
    # The bpy module is built without languages.
    if reason := windowed.missing():
        pytest.skip(reason)
    packages = tmp_path / "packages"
    packages.mkdir()
    for source in Path("/var/cache/windowed-blender/venv/lib").glob("python3.*/site-packages/numpy*"):
        (packages / source.name).symlink_to(Path("/", *source.parts[4:]))
    script = tmp_path / "german.py"
    script.write_text(_IN_BLENDER.format(packages=str(packages), zip=str(built_zip)), encoding="utf-8")
    environment = os.environ | {"GUI": "0", "BLENDER_HOME": str(tmp_path), "BLENDER_USER_RESOURCES": str(tmp_path)}
    command = ["bash", str(windowed.LAUNCHER), "-b", "--factory-startup", "-P", str(script)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    line = next((row for row in done.stdout.splitlines() if row.startswith("FOUND")), None)
    assert line is not None, done.stdout[-2000:] + done.stderr[-2000:]
    *texts, report, afterwards = json.loads(line.removeprefix("FOUND"))
    assert texts == [
        "Bewegung",
        "Darstellung erzeugen",
        "Gesicht",
        "Stärke",
        "Es wird gerade nichts erzeugt",
        "4 Beats, 87 Schlüsselbilder auf 21 F-Kurven.",
    ]
    assert "Dieses Gesicht hat noch keine Darstellung. Zuerst Erzeugen drücken." in report
    assert afterwards == "Generate Performance"
