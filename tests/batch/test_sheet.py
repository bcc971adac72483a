# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheets: what is read, and what is refused by its row before any work."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from facescript.batch.sheet import COLUMNS, Row, read
from facescript.performance import FacescriptError
from hypothesis import given
from hypothesis import strategies as st


def sheet(folder: Path, text: str | bytes) -> Path:
    path = folder / "sheet.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_csv_has_its_columns_in_any_order_and_texts_of_several_lines(tmp_path: Path) -> None:
    text = (
        "\ufeffScript,file,seed,emotion\r\n"
        '"She said: ""No."", then left.\n(A pause.)",act1/anna_001,7,"cold, quiet"\r\n'
        ",,,\r\n"
        "Go away!,act1/anna_002,,\r\n"
    )
    assert read(sheet(tmp_path, text)) == [
        Row(2, "act1/anna_001", 'She said: "No.", then left.\n(A pause.)', emotion="cold, quiet", seed=7),
        Row(4, "act1/anna_002", "Go away!"),
    ]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_cells_are_parted_as_the_header_is(tmp_path: Path, separator: str) -> None:
    lines = [["file", "character", "script"], ["one", "Zoë", f"Well{separator} then; no, yes."]]
    stream = io.StringIO()
    csv.writer(stream, delimiter=separator).writerows(lines)
    assert read(sheet(tmp_path, stream.getvalue())) == [
        Row(2, "one", f"Well{separator} then; no, yes.", character="Zoë")
    ]


@pytest.mark.parametrize(
    "text",
    [
        # Excel leaves out the separators at the end of rows that are empty there.
        "file,script,emotion,seed\r\na,Hi.\r\nb,Ho.,joy\r\n",
        # Columns that were emptied, in the middle and at the end.
        "file,,script,emotion,,\r\na,,Hi.,,,\r\nb,,Ho.,joy,,\r\n",
        "file,script,emotion\r\na,Hi.,,,\r\nb,Ho.,joy\r\n",
        "sep=,\r\nfile,script,emotion\r\na,Hi.,\r\nb,Ho.,joy\r\n",
        "\ufeffSEP=;\nfile;script;emotion\na;Hi.\nb;Ho.;joy\n",
    ],
)
def test_what_spreadsheets_make_of_empty_cells_is_understood(tmp_path: Path, text: str) -> None:
    assert read(sheet(tmp_path, text)) == [Row(2, "a", "Hi."), Row(3, "b", "Ho.", emotion="joy")]


@pytest.mark.parametrize("seed", ["7", " 7 ", "7.0", "7.00", '"7,0"'])
def test_a_seed_may_have_a_spreadsheet_s_decimals(tmp_path: Path, seed: str) -> None:
    assert read(sheet(tmp_path, f"file,script,seed\na,Hi.,{seed}\n")) == [Row(2, "a", "Hi.", seed=7)]


def test_null_in_json_is_what_is_not_given(tmp_path: Path) -> None:
    text = '{"file": "a", "script": "Hi.", "character": null, "background": null, "emotion": null, "seed": null}\n'
    text += '{"file": "b", "script": "Hi.", "seed": 7.0}'
    assert read(sheet(tmp_path, text)) == [Row(1, "a", "Hi."), Row(2, "b", "Hi.", seed=7)]


def test_other_line_ends_make_no_other_row(tmp_path: Path) -> None:
    texts = [f'file,script{end}a,"Hi.{end}You."{end}' for end in ("\n", "\r\n", "\r")]
    rows = [read(sheet(tmp_path, text))[0] for text in texts]
    assert [row.script for row in rows] == ["Hi.\nYou."] * 3
    # As it is in journals that are there already.
    digest = "f379c7a3df822d109bf3856350f45014f3f9d52be91d593928f4a2578bb50300"
    assert {row.digest for row in rows} == {digest}


def test_json_lines_are_read_too(tmp_path: Path) -> None:
    text = '{"file": "b", "script": "Hi.\\nYou.", "background": "A flat", "seed": 3}\n\n{"script": "Ho.", "file": "c"}'
    assert read(sheet(tmp_path, text)) == [Row(1, "b", "Hi.\nYou.", "A flat", seed=3), Row(3, "c", "Ho.")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no lines"),
        ("file,script\n", "holds no lines"),
        ("file,script,mood\na,Hi.,bad\n", "row 1: there is no column 'mood'"),
        ("file,script,file\na,Hi.,b\n", "row 1: the column 'file' is there twice"),
        ("file,emotion\na,joy\n", "row 1: the column 'script' is missing"),
        ("file,script\na,Hi.\nb\n", "row 3: the row ends after 1 of 2 cells, before its 'script'"),
        ("script,file,emotion\nHi.\n", "row 2: the row ends after 1 of 3 cells, before its 'file'"),
        ("file,script\na,Hi., you.\n", "row 2: the cell 'you.' is in a column without a name"),
        ("file,script,\na,Hi.,\nb,Ho.,note\n", "row 3: the cell 'note' is in a column without a name"),
        ("sep=;\nfile;script\na;\n", "row 2: the script is empty"),
        ('file,script\na,"Hi."x\n', "row 2: this is not CSV"),
        ('file,script\na,Hi.\nb,"Ho.\n', "row 3: this is not CSV"),
        ("file,script\na, \n", "row 2: the script is empty"),
        ("file,script\n,Hi.\n", "row 2: the file '' is empty"),
        ("file,script\n../a,Hi.\n", "row 2: the file '../a' is no path below a folder"),
        ("file,script\na/../../b,Hi.\n", "row 2: the file 'a/../../b' is no path below a folder"),
        ("file,script\n/etc/a,Hi.\n", "row 2: the file '/etc/a' is no path below a folder"),
        ("file,script\na//b,Hi.\n", "row 2: the file 'a//b' is no path below a folder"),
        ("file,script\nC:\\a,Hi.\n", "holds a character that not every system has in names"),
        ("file,script\na\\b,Hi.\n", "holds a character that not every system has in names"),
        ("file,script\nwhat?,Hi.\n", "holds a character that not every system has in names"),
        ("file,script\na\u202eb,Hi.\n", "holds a character that not every system has in names"),
        ("file,script\nact/NUL,Hi.\n", "has a name that Windows keeps for itself"),
        ("file,script\ncom1.take,Hi.\n", "has a name that Windows keeps for itself"),
        ("file,script\na.,Hi.\n", "begins or ends with a point or a blank"),
        ("file,script\n.a,Hi.\n", "begins or ends with a point or a blank"),
        ("file,script\na /b,Hi.\n", "begins or ends with a point or a blank"),
        ("file,script\nnul .x,Hi.\n", "has a name that Windows keeps for itself"),
        ("file,script\ncon  .b/c,Hi.\n", "has a name that Windows keeps for itself"),
        ("file,script\na.csv,Hi.\n", "has an ending of the batch's own files"),
        ("file,script\na.CSV/b,Hi.\n", "has an ending of the batch's own files"),
        ("file,script\nbatch.lock/x,Hi.\n", "has an ending of the batch's own files"),
        ("file,script\nBatch,Hi.\n", "would be the batch's own journal"),
        (f"file,script\n{'ü' * 130},Hi.\n", "has a name that is too long"),
        (f"file,script\n{'a' * 181},Hi.\n", "'file' has 181 characters; the limit is 180"),
        ("file,script\na,Hi.\nA,Ho.\n", "row 3: the file 'A' is that of row 2 already"),
        ("file,script\ne\u0301,Hi.\n\u00e9,Ho.\n", "row 3: the file 'é' is that of row 2 already"),
        ("file,script,seed\na,Hi.,-1\n", "row 2: the seed '-1' is no whole number"),
        ("file,script,seed\na,Hi.,2147483648\n", "row 2: the seed '2147483648' is no whole number"),
        ("file,script,seed\na,Hi.,1.5\n", "row 2: the seed '1.5' is no whole number"),
        (f"file,script\na,{'x' * 100_001}\n", "row 2: 'script' has 100001 characters; the limit is 100000"),
        ('{"file": "a", "script": "Hi."}\n{"file": "a"', "row 2: This is not JSON"),
        ("file,script,seed\na,Hi.,1e3\n", "row 2: the seed '1e3' is no whole number"),
        ('{"file": "a", "script": 3}', "row 1: 'script' is a number, not a text"),
        ('{"file": "a", "script": null}', "row 1: 'script' is null, not a text"),
        ('{"file": "a", "script": "Hi.", "emotion": ["joy"]}', "row 1: 'emotion' is a list, not a text"),
        ('{"file": "a", "script": "Hi.", "emotion": {"joy": 1}}', "row 1: 'emotion' is an object, not a text"),
        ('{"file": "a", "script": "Hi.", "emotion": false}', "row 1: 'emotion' is false, not a text"),
        ('{"file": "a", "script": "Hi.", "seed": true}', "row 1: the seed true is no whole number"),
        ('{"file": "a", "script": "Hi.", "seed": 1.5}', "row 1: the seed 1.5 is no whole number"),
        ('{"file": "a", "script": "Hi.", "seed": -1.0}', "row 1: the seed -1.0 is no whole number"),
        ('{"file": "a", "script": "Hi.", "keyframes": []}', "row 1: there is no column 'keyframes'"),
        ('{"file": "a", "script": "Hi.", "file": "b"}', "row 1: The name 'file' is given twice"),
        ('{"file": "a", "script": "\\ud800"}', "half a character"),
    ],
)
def test_what_cannot_be_read_is_named_by_its_row(tmp_path: Path, text: str, words: str) -> None:
    path = sheet(tmp_path, text)
    with pytest.raises(FacescriptError) as caught:
        read(path)
    assert words in caught.value.message
    assert str(path) in caught.value.message


def test_a_sheet_in_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FacescriptError, match=r"not UTF-8 text \(byte 12\)"):
        read(sheet(tmp_path, "file,script\né,Hi.\n".encode("latin-1")))


def test_a_row_is_known_by_what_it_says_and_not_by_its_place() -> None:
    row = Row(2, "a", "Hi.", seed=0)
    assert row.digest == Row(9, "a", "Hi.", seed=0).digest
    others = [
        Row(2, "b", "Hi.", seed=0),
        Row(2, "a", "Ho.", seed=0),
        Row(2, "a", "Hi."),
        Row(2, "a", "Hi.", "x", seed=0),
    ]
    # What moves from one column to the next is another row as well.
    others += [Row(2, "a", "Hi.", emotion="x", seed=0), Row(2, "a", "Hi.", character="x", seed=0)]
    assert len({row.digest, *(other.digest for other in others)}) == 7


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=30)


@given(st.lists(st.tuples(TEXTS.filter(str.strip), TEXTS, TEXTS), min_size=1, max_size=5), st.sampled_from(",;\t"))
def test_what_a_spreadsheet_writes_reads_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list, separator: str
) -> None:
    folder = tmp_path_factory.mktemp("sheets")
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=separator)
    writer.writerow(["file", "script", "background", "emotion"])
    for number, row in enumerate(rows):
        writer.writerow([f"line{number}", *row])
    found = read(sheet(folder, stream.getvalue()))
    assert [(row.script, row.background, row.emotion) for row in found] == rows
    lines = [{"file": row.file, "script": row.script, "background": row.background} for row in found]
    again = read(sheet(folder, "\n".join(json.dumps(line) for line in lines)))
    assert [row.script for row in again] == [row[0] for row in rows]


@given(st.binary(max_size=200))
def test_any_bytes_are_a_sheet_or_an_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = sheet(tmp_path_factory.mktemp("sheets"), b"file,script\n" + data)
    try:
        rows = read(path)
    except FacescriptError:
        return
    assert all(row.file and row.script.strip() for row in rows)
    assert set(COLUMNS) == {"file", "character", "script", "background", "emotion", "seed"}
