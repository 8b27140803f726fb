"""`curate dedup` on Ray: the same table as in one process."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.duplicates import SET, VECTORS, dedup, score, score_all, some_hashes, some_vectors
from support.shard_factory import build_dir

from curation.selection.deduplication.dedup_run import DedupRequest, deduplicate
from curation.selection.deduplication.dedup_settings import DedupSettings
from shards.reader import read_artifact, read_table

pytestmark = pytest.mark.ray


def test_ray_makes_the_table_that_one_process_makes(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=2, videos_per_shard=1)
    score_all(store)
    clips = read_table(store, "media/0000001.parquet").num_rows
    score(store, 1, vectors=some_vectors(clips, 0), hashes={0: some_hashes(0)})
    kinds = {"perceptual": {"scores": SET}, "semantic": {"vectors": VECTORS}}
    dedup(store, "alone", **kinds)
    result = deduplicate(DedupRequest(store, DedupSettings(name="ray", **kinds), quiet=True))  # type: ignore[arg-type]
    assert result.removed["perceptual"] and sum(result.removed.values()) == clips
    digests = [read_artifact(store, f"duplicates/{name}.parquet").digest for name in ("alone", "ray")]
    assert digests[0] == digests[1]
