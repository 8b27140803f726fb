"""What an export leaves out: texts that are missing, removed videos, and clips that the selection drops."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.damaged_dirs import rewrite_table
from support.exported import scored_dir
from support.selections import marked_rows, select
from support.shard_factory import LAYER

from shards.errors import ShardError
from shards.export.export_counts import ExportCounts
from shards.export.export_record import RECORD_NAME
from shards.export.export_samples import export
from shards.export.export_selection import ExportSelection
from shards.removal.tombstones import Tombstone, add_tombstones
from shards.removal.traces import all_files
from shards.schema import VIDEOS
from shards.storage.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return scored_dir(tmp_path_factory.mktemp("left-out") / "dir", shards=1)


def lines(store: Store, output: Path, counts: ExportCounts | None = None, **options: Any) -> list[dict[str, Any]]:
    export(store, ExportSelection(LAYER, **options), format="jsonl", output=output, counts=counts)
    return [json.loads(line) for path in sorted(output.glob("*.jsonl")) for line in path.open()]


def test_a_clip_without_grounded_text_gets_no_speech_in_its_place_and_its_reason_is_counted(
    store: Store, tmp_path: Path
) -> None:
    counts = ExportCounts()
    rows = lines(store, tmp_path / "out", counts)
    assert counts.without_text == {"abstained": 1, "failed": 1}
    for row in rows[:2]:
        assert row["subtitle"] and row["text"] is None and row["text_column"] is None


def test_clips_without_the_text_can_be_left_out(store: Store, tmp_path: Path) -> None:
    counts = ExportCounts()
    everything = lines(store, tmp_path / "all")
    rows = lines(store, tmp_path / "out", counts, null_text="skip")
    assert [row["key"] for row in rows] == [row["key"] for row in everything if row["text"]]
    assert counts.skipped == {"abstained": 1, "failed": 1} and not counts.without_text


@pytest.mark.parametrize(("word", "column"), [("caption", "caption"), ("subtitle", "subtitle")])
def test_captions_and_speech_are_written_if_they_are_asked_for(
    store: Store, tmp_path: Path, word: str, column: str
) -> None:
    counts = ExportCounts()
    rows = lines(store, tmp_path / "out", counts, text=word)
    assert [row["text"] for row in rows] == [row[column] or None for row in rows]
    assert set(counts.without_text) <= {f"no {column}"}


def test_scores_are_carried_with_null_where_there_is_none(store: Store, tmp_path: Path) -> None:
    rows = lines(store, tmp_path / "out", keep_only=False)
    numbers = [row["scores"]["quick"]["number"] for row in rows]
    assert numbers == [*map(float, range(len(rows) - 1)), None]
    assert all(row["motion"] == pytest.approx(0.1) for row in rows)


def test_a_shard_without_scores_has_nulls(tmp_path: Path) -> None:
    made = scored_dir(tmp_path / "dir")
    made.delete("scores/quick/0000001.parquet")
    rows = lines(made, tmp_path / "out")
    assert {row["scores"]["quick"]["number"] is None for row in rows if row["shard"] == 1} == {True}
    assert rows[0]["scores"]["quick"]["number"] == 0.0


def test_a_removed_video_is_not_exported_even_if_its_rows_are_there(tmp_path: Path) -> None:
    made = scored_dir(tmp_path / "dir", shards=1)
    gone = lines(made, tmp_path / "before")[0]["video_id"]
    with TemporaryDirectory() as scratch:
        add_tombstones(made, Path(scratch), [Tombstone(gone, (), "asked", "2026-12-01T00:00:00Z", 1, 5)])
    counts = ExportCounts()
    rows = lines(made, tmp_path / "out", counts)
    assert rows and gone not in {row["video_id"] for row in rows}
    assert counts.removed == sum(row["keep"] and row["video_id"] == gone for row in marked_rows(made.root, LAYER)) > 0


def test_a_complete_export_is_reused_until_its_dir_changes(tmp_path: Path) -> None:
    made = scored_dir(tmp_path / "dir", shards=1)

    def again() -> int:
        return export(made, ExportSelection(LAYER), format="hf", output=tmp_path / "out", reuse=True)

    written = again()
    (file,) = (tmp_path / "out/data").iterdir()
    stamp = file.stat().st_mtime_ns
    assert again() == written and file.stat().st_mtime_ns == stamp
    select(made, LAYER, val_percent=0)
    with pytest.raises(ShardError, match="holds an export of another state of DIR"):
        again()
    (tmp_path / "out" / RECORD_NAME).unlink()
    with pytest.raises(ShardError, match="is not empty"):
        again()


def test_columns_of_the_list_of_sources_can_have_any_name(tmp_path: Path) -> None:
    made = scored_dir(tmp_path / "dir", shards=1)
    root = lines(made, tmp_path / "before")[0]["root_key"]
    odd = {"video": "mine", "text": "mine", "scores": 3, "key": None}
    facts = {"root_key": root, "video_license": "CC BY", "carried": json.dumps(odd)}
    (tmp_path / "dir/videos").mkdir()
    pq.write_table(pa.Table.from_pylist([facts], schema=VIDEOS), made.path("videos/0000000.parquet"))
    row = lines(made, tmp_path / "out")[0]
    assert row["carried"] == odd and row["text"] != "mine" and row["video_license"] == "CC BY"
    export(made, ExportSelection(LAYER), format="hf", output=tmp_path / "hf")
    (stored,) = (
        row
        for path in (tmp_path / "hf/data").iterdir()
        for row in pq.read_table(path, columns=["key", "carried", "video_license"]).to_pylist()
        if row["key"] == root
    )
    assert json.loads(stored["carried"]) == odd


def test_a_selection_without_a_split_is_refused_in_one_line(tmp_path: Path) -> None:
    made = scored_dir(tmp_path / "dir", shards=1)
    name = f"selections/{LAYER}.parquet"
    table = pq.read_table(made.path(name))
    pq.write_table(table.drop_columns(["split"]), made.path(name))
    with pytest.raises(ShardError, match=f"{name}.*split") as refusal:
        lines(made, tmp_path / "out")
    assert "\n" not in str(refusal.value)


def test_a_dir_in_an_object_store_is_exported_like_a_folder(store: Store, tmp_path: Path) -> None:
    remote = Store(f"memory://{tmp_path.name}/dir")
    for name in all_files(store):
        remote.commit_bytes(store.read_bytes(name), name)
    folders = {"0": store, "1": remote}
    for name, each in folders.items():
        assert export(each, ExportSelection(LAYER), format="hf", output=tmp_path / name) > 0
    here, there = ({path.name: path.read_bytes() for path in (tmp_path / name / "data").iterdir()} for name in folders)
    assert here == there


def test_a_tar_that_was_cut_short_costs_only_the_clips_whose_bytes_are_gone(tmp_path: Path) -> None:
    made = scored_dir(tmp_path / "dir", shards=1)
    spans = pq.read_table(made.path("media/0000000.parquet"), columns=["byte_offset"])["byte_offset"].to_pylist()
    tar = tmp_path / "dir/media/0000000.tar"
    tar.write_bytes(tar.read_bytes()[: max(spans) + 100])
    counts = ExportCounts()
    written = export(made, ExportSelection(LAYER), format="webdataset", output=tmp_path / "out", counts=counts)
    assert written > 0 and set(counts.failed) == {"the tar of its root was cut short"}
    assert written + counts.failed.total() == sum(row["keep"] for row in marked_rows(made.root, LAYER))


def test_a_text_without_media_is_left_out_and_counted(tmp_path: Path) -> None:
    made = scored_dir(tmp_path / "dir", shards=1)
    name = made.path("media/0000000.parquet")
    pq.write_table(pq.read_table(name).slice(1), name)
    counts = ExportCounts()
    rows = lines(made, tmp_path / "out", counts)
    assert counts.failed == {"not in the media": 1, "no video of its root": 4}
    assert len(rows) + 5 == sum(row["keep"] for row in marked_rows(made.root, LAYER))


def test_a_frame_rate_of_zero_costs_only_its_clip(tmp_path: Path) -> None:
    made = scored_dir(tmp_path / "dir", shards=1)
    rewrite_table(made, f"text/{LAYER}/0000000.parquet", lambda rows: rows[1].update(fps=0.0))
    counts = ExportCounts()
    export(made, ExportSelection(LAYER), format="webdataset", output=tmp_path / "out", counts=counts)
    assert counts.failed == {"its times or its frame rate are no usable numbers": 1}
