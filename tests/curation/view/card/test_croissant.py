"""The Croissant metadata: the format's own library validates it, and loads the records of every table by it."""

from __future__ import annotations

from pathlib import Path

import mlcroissant
import pytest
from support.dir_contents import all_rows

from shards.storage.store import Store


@pytest.fixture(scope="module")
def dataset(folder: Path) -> mlcroissant.Dataset:
    """The data set, as the library reads it."""
    return mlcroissant.Dataset(folder / "croissant.json")


def test_it_is_valid(dataset: mlcroissant.Dataset) -> None:
    assert not dataset.metadata.ctx.issues.errors
    assert dataset.metadata.license == ["https://choosealicense.com/licenses/cc-by-3.0/"]


def test_the_records_of_the_texts_are_their_rows(whole: Store, dataset: mlcroissant.Dataset) -> None:
    rows = {row["key"]: row for row in all_rows(whole, "text/grounded")}
    records = list(dataset.records("clips"))
    assert len(records) == len(rows)
    for record in records:
        row = rows[record["clips/key"].decode()]
        assert record["clips/level"].decode() == row["level"]
        claims = [claim["clips/claims/text"].decode() for claim in record["clips/claims"]]
        assert claims == [claim["text"] for claim in row["claims"]]
        assert record["clips/models"]["clips/models/asr"] == b"asr"


@pytest.mark.parametrize(("table", "rows"), [("selection", 22), ("videos", 6), ("scores_basic", 22)])
def test_every_other_table_loads(dataset: mlcroissant.Dataset, table: str, rows: int) -> None:
    assert len(list(dataset.records(table))) == rows
