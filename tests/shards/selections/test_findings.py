"""Tables of duplicates and of contamination are read by name, with the shards that they have looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from shards.artifact import Artifact
from shards.errors import ShardError
from shards.schema import CONTAMINATION, DUPLICATES, REMOVED
from shards.selections.findings import Findings, finding_names
from shards.storage.store import Store
from shards.writer import commit_table, schema_of

ROW: dict[str, Any] = {"key": "a", "shard": 3, "kind": "exact", "score": None}
DUPLICATE = ROW | {"group": "a", "keep": True}
MATCH = ROW | {"kind": "id", "benchmark": "msrvtt", "benchmark_id": "video7", "reason": None}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "dir")
    record = Artifact("dedup", "h", inputs={"media/0000003.parquet": "d", "scores/look/0000004.parquet": "e"})
    for name, row, schema in (("duplicates/all", DUPLICATE, DUPLICATES), ("contamination/tests", MATCH, CONTAMINATION)):
        commit_table(store, tmp_path, f"{name}.parquet", pa.Table.from_pylist([row], schema=schema), record)
    return store


def test_findings_are_read_by_kind_and_name(store: Store) -> None:
    assert Findings.open(store, "duplicates", "all").rows().to_pylist() == [DUPLICATE]
    assert Findings.open(store, "contamination", "tests").rows().to_pylist() == [MATCH]
    assert finding_names(store, "duplicates") == ["all"]
    assert Findings.open(store, "duplicates", "all").shards == {3, 4}


def test_findings_that_are_not_there_are_refused_with_those_that_are(store: Store) -> None:
    with pytest.raises(ShardError, match=r"has no duplicates/al\.parquet \(there are: all\)"):
        Findings.open(store, "duplicates", "al")


def test_the_contract_has_a_table_of_removed_videos() -> None:
    assert schema_of("removed.parquet") == REMOVED
