"""Exports as Lance tables, searched by the library itself."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import datasets
import lance
import numpy as np
import pytest
from support.exported import WIDTH, scored_dir, vectors_of
from support.selections import marked_rows
from support.shard_factory import LAYER

from shards.errors import ShardError
from shards.export.export_samples import export
from shards.export.export_selection import ExportSelection
from shards.export.formats import lance_table
from shards.reader import read_table
from shards.storage.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return scored_dir(tmp_path_factory.mktemp("lance") / "dir")


@pytest.fixture(scope="module")
def folder(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("lance") / "out"
    export(store, ExportSelection(LAYER), format="lance", output=output)
    return output


@pytest.fixture(scope="module")
def table(folder: Path) -> Any:
    return lance.dataset(folder / "data.lance")


def test_the_table_has_every_kept_clip_with_its_scores_and_claims(store: Store, table: Any) -> None:
    kept = {row["key"]: row for row in marked_rows(store.root, LAYER) if row["keep"]}
    rows = table.to_table(columns=["key", "text", "claims", "scores", "split"]).to_pylist()
    assert {row["key"] for row in rows} == set(kept)
    for row in rows:
        assert row["text"] == kept[row["key"]]["grounded_text"]
        assert row["split"] == kept[row["key"]]["split"]
    assert {row["claims"][0]["verdict"] for row in rows if row["claims"]} == {"supported"}
    assert max(row["scores"]["quick"]["number"] or 0 for row in rows) > 1


def test_words_find_the_clip_whose_text_has_them(table: Any) -> None:
    (found,) = table.to_table(full_text_query="balloon", columns=["key", "text", "_score"]).to_pylist()
    assert found["text"] == "A red balloon rises over the wall."


def test_a_vector_finds_its_clip_and_clips_without_a_vector_have_none(store: Store, table: Any) -> None:
    keys = read_table(store, "media/0000001.parquet")["key"].to_pylist()
    vectors = vectors_of(1, len(keys))
    query = {"column": "vector_quick_look", "q": vectors[2], "k": 1, "metric": "cosine"}
    assert table.to_table(nearest=query, columns=["key", "_distance"])["key"].to_pylist() == [keys[2]]
    (missing,) = table.to_table(filter=f"key = '{keys[1]}'", columns=["vector_quick_look"]).to_pylist()
    assert missing["vector_quick_look"] is None
    (stored,) = table.to_table(filter=f"key = '{keys[3]}'", columns=["vector_quick_look"]).to_pylist()
    assert np.array_equal(np.array(stored["vector_quick_look"], np.float16), vectors[3])
    assert len(stored["vector_quick_look"]) == WIDTH


def test_a_video_is_read_on_demand(table: Any) -> None:
    (row,) = table.to_table(columns=["num_frames"], limit=1).to_pylist()
    (blob,) = table.take_blobs("video", indices=[0])
    with av.open(io.BytesIO(blob.readall())) as container:
        assert sum(1 for _ in container.decode(video=0)) == row["num_frames"]


def test_datasets_opens_the_table_too(folder: Path, tmp_path: Path) -> None:
    (split,) = datasets.load_dataset(str(folder), streaming=True, cache_dir=str(tmp_path)).values()
    assert isinstance(split.features["video"], datasets.Video)
    sample = next(iter(split.cast_column("video", datasets.Video(decode=False))))
    assert sample["video"]["bytes"][4:8] == b"ftyp"


def test_videos_can_be_files_beside_the_table(store: Store, tmp_path: Path) -> None:
    selection = ExportSelection(LAYER, where="level = 'long'")
    written = export(store, selection, format="lance", video="reference", output=tmp_path / "out")
    rows = lance.dataset(tmp_path / "out/data.lance").to_table(columns=["key", "video_path"]).to_pylist()
    assert written == len(rows) > 0
    for row in rows:
        with av.open(str(tmp_path / "out" / row["video_path"])) as container:
            assert container.streams.video


def test_a_missing_library_is_named_with_its_remedy(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lance_table, "find_spec", lambda name: None)
    with pytest.raises(ShardError, match="install it with `pip install pylance`"):
        export(store, ExportSelection(LAYER), format="lance", output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_object_store_is_refused(store: Store) -> None:
    with pytest.raises(ShardError, match="is written to a local folder"):
        export(store, ExportSelection(LAYER), format="lance", output="memory://lance-out")
