"""Exports for Hugging Face's `datasets`, opened by the library itself."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import av
import datasets
import pyarrow.parquet as pq
import pytest
from support.curate_runs import curate
from support.damaged_dirs import rewrite_table
from support.selections import marked_rows, select
from support.shard_factory import LAYER, build_dir, luma_of

from shards.errors import ShardError
from shards.export.export_counts import ExportCounts
from shards.export.export_samples import export
from shards.export.export_selection import ExportSelection
from shards.export.formats import parquet_parts
from shards.storage.store import Store

LAYOUTS = ("bytes", "reference")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return build_dir(tmp_path_factory.mktemp("hf") / "dir", shards=2, val_percent=50)


@pytest.fixture(scope="module")
def exported(store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One export in each layout."""
    folders = {layout: tmp_path_factory.mktemp("hf") / layout for layout in LAYOUTS}
    for layout, folder in folders.items():
        ended = curate("export", store.root, "--format", "hf", "--video", layout, "--output", folder)
        assert ended.status == 0, ended.err
    return folders


@pytest.fixture(scope="module")
def rows(store: Store) -> dict[str, Any]:
    return {row["key"]: row for row in marked_rows(store.root, LAYER) if row["keep"]}


def opened(folder: Path, cache: Path, *, streaming: bool) -> dict[str, Any]:
    """Return the splits of a dataset, with videos as bytes or paths: torchcodec needs the system's FFmpeg."""
    loaded = datasets.load_dataset(str(folder), streaming=streaming, cache_dir=str(cache))
    return {name: split.cast_column("video", datasets.Video(decode=False)) for name, split in loaded.items()}


def lumas(video: dict[str, Any]) -> list[float]:
    with av.open(io.BytesIO(video["bytes"]) if video["bytes"] else video["path"]) as container:
        return [float(frame.to_ndarray(format="gray").mean()) for frame in container.decode(video=0)]


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "whole"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_datasets_opens_the_splits_of_the_selection_with_their_videos(
    exported: dict[str, Path], rows: dict[str, Any], tmp_path: Path, layout: str, streaming: bool
) -> None:
    splits = opened(exported[layout], tmp_path, streaming=streaming)
    assert set(splits) == {"train", "validation"}
    for name, split in splits.items():
        samples = list(split)
        assert {sample["key"] for sample in samples} == {
            key for key, row in rows.items() if row["split"] == {"validation": "val"}.get(name, name)
        }
        sample = samples[0]
        assert sample["text"] == rows[sample["key"]]["grounded_text"]
        assert sample["claims"][0]["verdict"] == "supported"
        assert sample["image"].size == (96, 72)
        first = sample["root_first_frame"]
        expected = [luma_of(number) for number in range(first, first + sample["num_frames"])]
        assert lumas(sample["video"]) == pytest.approx(expected, abs=4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_video_column_is_the_feature_video(exported: dict[str, Path], tmp_path: Path, layout: str) -> None:
    loaded = datasets.load_dataset(str(exported[layout]), streaming=True, cache_dir=str(tmp_path))
    assert isinstance(loaded["train"].features["video"], datasets.Video)
    assert isinstance(loaded["train"].features["image"], datasets.Image)


def test_torchcodec_decodes_a_frame_where_it_is_usable(exported: dict[str, Path], tmp_path: Path) -> None:
    try:
        from torchcodec.decoders import VideoDecoder

        VideoDecoder(b"")
    except (ImportError, RuntimeError) as error:
        if "libtorchcodec" in str(error) or isinstance(error, ImportError):
            pytest.skip("torchcodec can't be used: it needs the shared libraries of FFmpeg")
    loaded = datasets.load_dataset(str(exported["bytes"]), streaming=True, cache_dir=str(tmp_path))
    assert next(iter(loaded["train"]))["video"].get_frame_at(0).data.shape == (3, 48, 64)


def test_row_groups_and_files_are_bounded_by_the_bytes_of_their_videos(
    store: Store, rows: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_parts, "GROUP_BYTES", 200_000)
    monkeypatch.setattr(parquet_parts, "FILE_BYTES", 400_000)
    export(store, ExportSelection(LAYER), format="hf", output=tmp_path / "out")
    files = sorted((tmp_path / "out/data").glob("*.parquet"))
    assert len(files) > 2
    kept = []
    for file in files:
        table = pq.ParquetFile(file)
        for group in range(table.num_row_groups):
            held = table.read_row_group(group, ["key", "video"]).to_pylist()
            assert len(held) == 1 or sum(len(row["video"]["bytes"]) for row in held) <= 200_000
            kept += [row["key"] for row in held]
        assert file.stat().st_size < 700_000
    assert sorted(kept) == sorted(rows)


def test_videos_are_stored_as_they_are_and_texts_are_compressed(exported: dict[str, Path]) -> None:
    group = pq.ParquetFile(next(exported["bytes"].glob("data/*.parquet"))).metadata.row_group(0)
    codecs = {group.column(number).path_in_schema: group.column(number).compression for number in range(20)}
    assert codecs["video.bytes"] == "UNCOMPRESSED"
    assert codecs["key"] == "ZSTD"


def test_a_split_that_is_no_name_is_refused(store: Store, tmp_path: Path) -> None:
    select(store, LAYER, name="odd")
    rewrite_table(store, "selections/odd.parquet", lambda marks: [mark.update(split="../up") for mark in marks])
    with pytest.raises(ShardError, match=r"split '../up'; make the selection again"):
        export(store, ExportSelection(LAYER, selection="odd"), format="hf", output=tmp_path / "out")
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_root_that_can_not_be_read_is_left_out_and_counted(tmp_path: Path) -> None:
    damaged = build_dir(tmp_path / "dir", shards=1)
    tar = tmp_path / "dir/media/0000000.tar"
    data = tar.read_bytes()
    first = data.index(b"ftyp")
    tar.write_bytes(data[:first] + b"\0" * 2000 + data[first + 2000 :])
    (tmp_path / "dir/keyframes/0000000.tar").unlink()
    counts = ExportCounts()
    written = export(damaged, ExportSelection(LAYER, unit="root"), format="hf", output=tmp_path / "o", counts=counts)
    assert (written, counts.failed.total(), counts.shards_without_stills) == (1, 1, 1)
    assert "can't be read" in next(iter(counts.failed))
    table = pq.read_table(next((tmp_path / "o/data").iterdir()))
    assert table["image"].null_count == 1 and len(table["tree"][0].as_py()) > 0
    assert json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]["video"] == {"_type": "Video"}
