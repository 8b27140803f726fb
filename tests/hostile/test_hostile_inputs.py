"""Hostile inputs: each is read or refused as its row says, within the row's limits of time and of memory."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.hostile_rows import Row, try_row

from runtime.children.helper_process import HelperProcess

TABLES = (
    "list_rows",
    "url_rows",
    "media_rows",
    "subtitle_rows",
    "picture_rows",
    "settings_rows",
    "answer_rows",
    "stored_rows",
    "training_rows",
)
HANGS = 120.0
"""Seconds after which a row is ended, on a busy machine."""
MEMORY = 3 << 30
LEAST_ROWS = 450

ROWS: list[tuple[str, int, Row]] = [
    (table, number, row) for table in TABLES for number, row in enumerate(importlib.import_module(table).ROWS)
]


@pytest.fixture(scope="module")
def helper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HelperProcess]:
    """A process that can import the tables."""
    here = Path(__file__).parent
    process = HelperProcess(MEMORY)
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(here), str(here.parent), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("rows")))
        yield process
        process.close()


@pytest.mark.parametrize(
    ("table", "number", "row"), [pytest.param(*row, id=f"{row[0]}: {row[2].what}") for row in ROWS]
)
def test_a_hostile_input_has_its_outcome_within_its_limits(
    helper: HelperProcess, table: str, number: int, row: Row
) -> None:
    tried = helper.call(HANGS, try_row, table, number)
    assert re.match(row.outcome, tried.outcome), tried.outcome
    assert tried.seconds <= row.seconds, f"{tried.seconds:.1f} s of processor time"
    assert tried.megabytes <= row.megabytes, f"{tried.megabytes:.0f} MB"


def test_the_tables_are_large_and_name_each_input_once() -> None:
    names = [(table, row.what) for table, _, row in ROWS]
    assert len(set(names)) == len(names) >= LEAST_ROWS
