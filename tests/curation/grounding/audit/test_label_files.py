"""Filled-in labels are read as people and programs write them; a bad row is counted and costs no other row."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.audits import audit_clip, claim, label

from curation.grounding.audit.label_files import has_labels, read_label_rows
from curation.grounding.audit.label_rows import CheckedRows, check_rows, form, merge
from runtime.errors import UserError

CLIP = audit_clip(
    1, claim("Ein Mädchen läuft, schnell."), claim("=1+1 is written on the wall."), claim('He says "no".')
)
NAMES = ["", *(each.text for each in CLIP.claims)]
HEADER = "labeller,key,claim,text,label,note\n"


def read(path: Path, data: bytes) -> CheckedRows:
    path.write_bytes(data)
    return check_rows(read_label_rows(path), [CLIP], "anonymous")


def filled(*said: str) -> str:
    """The form with labels of the clip and its claims, in order."""
    rows = list(csv.reader(io.StringIO(form([CLIP]))))
    for row, filled_in in zip(rows[1:], said, strict=True):
        row[0], row[4] = "Ana", filled_in
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue()


SAVED_AS = {
    "as it is": lambda text: text.encode(),
    "with a mark": lambda text: text.encode("utf-8-sig"),
    "by Excel": lambda text: text.encode("cp1252"),
    "as Unicode text": lambda text: text.encode("utf-16"),
    "with old line ends": lambda text: text.replace("\r\n", "\r").encode(),
}


@pytest.mark.parametrize("saved", SAVED_AS.values(), ids=SAVED_AS)
def test_the_form_can_be_saved_in_many_ways(tmp_path: Path, saved: Callable[[str], bytes]) -> None:
    checked = read(tmp_path / "labels.csv", saved(filled("complete", "supported", "Contradicted", "can't tell")))
    assert [each.label for each in checked.labels] == ["complete", "supported", "contradicted", "cant_tell"]
    assert [each.text for each in checked.labels] == NAMES
    assert not checked.refused


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_are_seen(tmp_path: Path, separator: str) -> None:
    rows = list(csv.reader(io.StringIO(filled("complete", "s", "c", "?"))))
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(rows)
    checked = read(tmp_path / "labels.csv", text.getvalue().encode())
    assert [each.label for each in checked.labels] == ["complete", "supported", "contradicted", "cant_tell"]


def test_parquet_is_read_with_numbers_that_became_fractions(tmp_path: Path) -> None:
    table = pa.table({"key": [CLIP.key] * 2, "claim": [1.0, 3.0], "label": ["supported", "contradicted"]})
    pq.write_table(table, tmp_path / "labels.parquet")
    checked = check_rows(read_label_rows(tmp_path / "labels.parquet"), [CLIP], "Bea")
    assert [(each.labeller, each.claim, each.label) for each in checked.labels] == [
        ("Bea", 1, "supported"),
        ("Bea", 3, "contradicted"),
    ]


def test_empty_columns_of_parquet_are_no_labels(tmp_path: Path) -> None:
    nothing = pa.array([math.nan, None], pa.float64())
    table = pa.table({"key": [CLIP.key] * 2, "claim": [1, 0], "label": nothing, "note": nothing, "labeller": nothing})
    pq.write_table(table, tmp_path / "labels.parquet")
    checked = check_rows(read_label_rows(tmp_path / "labels.parquet"), [CLIP], "Bea")
    assert (checked.labels, checked.empty, dict(checked.refused)) == ((), 2, {})


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (f"Ana,{CLIP.key},1,,perhaps,", "unknown_label"),
        (f"Ana,{CLIP.key},1,,complete,", "unknown_label"),
        (f"Ana,{CLIP.key},0,,supported,", "unknown_label"),
        (f"Ana,{CLIP.key},4,,supported,", "unknown_claim"),
        (f"Ana,{CLIP.key},-1,,supported,", "unknown_claim"),
        (f"Ana,{CLIP.key},1.5,,supported,", "unknown_claim"),
        (f"Ana,{CLIP.key},nan,,supported,", "unknown_claim"),
        (f"Ana,{CLIP.key},inf,,supported,", "unknown_claim"),
        ("Ana,0000,1,,supported,", "unknown_clip"),
        ("Ana,,1,,supported,", "unknown_clip"),
        (f"Ana,{CLIP.key},1,another text,supported,", "other_text"),
        (f"Ana,{CLIP.key},1,,supported,a note,with a comma", "too_many_values"),
        (f"Ana,{CLIP.key},1,{'x' * 200_000},supported,", "unreadable"),
    ],
)
def test_a_bad_row_is_counted_and_costs_no_other(tmp_path: Path, row: str, reason: str) -> None:
    good = f"Ana,{CLIP.key},2,,supported,\n"
    checked = read(tmp_path / "labels.csv", f"{HEADER}{row}\n{good}".encode())
    assert dict(checked.refused) == {reason: 1}
    assert [each.claim for each in checked.labels] == [2]


def test_the_last_label_of_a_claim_counts(tmp_path: Path) -> None:
    rows = f"Ana,{CLIP.key},1,,supported,\nAna,{CLIP.key},1,,contradicted,\nAna,{CLIP.key},2,,,\n"
    checked = read(tmp_path / "labels.csv", (HEADER + rows).encode())
    assert [each.label for each in checked.labels] == ["contradicted"]
    assert (checked.repeated, checked.empty) == (1, 1)


def test_a_note_without_a_label_says_that_something_is_missing(tmp_path: Path) -> None:
    checked = read(tmp_path / "labels.csv", f"{HEADER}Ana,{CLIP.key},0,,,a dog\n".encode())
    assert [(each.label, each.note) for each in checked.labels] == [("incomplete", "a dog")]


def test_hostile_names_and_notes_are_stored_as_plain_lines(tmp_path: Path) -> None:
    row = f'"A\x1b[2Jna\nBea",{CLIP.key},0,,incomplete,"x\u202ey\x00"\n'
    (checked,) = read(tmp_path / "labels.csv", (HEADER + row).encode()).labels
    assert checked.labeller.isprintable() and checked.note.isprintable()


@pytest.mark.parametrize(
    "data",
    [b"", b"a,b,c\n1,2,3\n", b"\x00\xff\x00", b"key,claim\nx,1\n"],
    ids=["empty", "others", "binary", "no label"],
)
def test_a_file_without_the_columns_is_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UserError, match=r"--labels .*labels\.csv: has no column '(key|label)'"):
        read(tmp_path / "labels.csv", data)


def test_what_is_no_parquet_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "labels.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match="is not Parquet"):
        list(read_label_rows(tmp_path / "labels.parquet"))


def test_no_file_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        list(read_label_rows(tmp_path / "labels.csv"))


def test_no_cell_of_the_form_is_a_formula() -> None:
    cells = [cell for row in csv.reader(io.StringIO(form([CLIP]))) for cell in row]
    assert "'=1+1 is written on the wall." in cells
    assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)


def test_a_form_knows_if_it_is_filled_in() -> None:
    assert not has_labels(form([CLIP]).encode("utf-8-sig"))
    assert has_labels(filled("", "supported", "", "").encode())


def test_a_new_label_of_a_person_replaces_the_old_and_leaves_those_of_others() -> None:
    old = [label(CLIP, 1, "supported"), label(CLIP, 1, "supported", "Bea")]
    merged, replaced = merge(old, [label(CLIP, 1, "contradicted")])
    assert [(each.labeller, each.label) for each in merged] == [("Ana", "contradicted"), ("Bea", "supported")]
    assert replaced == 1
