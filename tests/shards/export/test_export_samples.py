import inspect
import io
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import webdataset
from PIL import Image
from support.selections import marked_rows
from support.shard_factory import FPS, LAYER, build_dir, luma_of

from shards.errors import ShardError
from shards.export.export_counts import ExportCounts
from shards.export.export_samples import export
from shards.export.export_selection import ExportSelection
from shards.storage.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return build_dir(tmp_path_factory.mktemp("export") / "dir", shards=2)


@pytest.fixture(scope="module")
def rows(store: Store) -> dict[str, Any]:
    return {row["key"]: row for row in marked_rows(store.root, LAYER)}


@pytest.fixture(scope="module")
def clips(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "clips"
    export(store, ExportSelection(LAYER, unit="clip"), format="webdataset", output=folder, max_per_tar=5)
    return folder


def _samples(folder: Path) -> list[dict[str, Any]]:
    urls = [str(path) for path in sorted(folder.glob("*.tar"))]
    return list(webdataset.WebDataset(urls, shardshuffle=False))


def _lumas(data: bytes) -> np.ndarray[Any, Any]:
    with av.open(io.BytesIO(data)) as container:
        return np.array([frame.to_ndarray(format="gray").mean() for frame in container.decode(video=0)])


def _numbers(lumas: np.ndarray[Any, Any], expected: Iterable[int]) -> bool:
    """Return True if the brightness of the frames is that of the frames with the `expected` numbers."""
    told = np.array([luma_of(number) for number in expected])
    return len(lumas) == len(told) and np.abs(lumas - told).max() < 4


def test_stock_webdataset_reads_one_sample_a_kept_clip(clips: Path, rows: dict[str, Any]) -> None:
    samples = _samples(clips)
    assert [sample["__key__"] for sample in samples] == [key for key, row in rows.items() if row["keep"]]
    for sample in samples:
        assert {"mp4", "json", "txt", "jpg"} <= set(sample)
        assert sample["txt"].decode() == rows[sample["__key__"]]["grounded_text"]
        assert Image.open(io.BytesIO(sample["jpg"])).size == (96, 72)


def test_a_clip_is_cut_to_the_frame_and_its_json_has_the_first_frame(clips: Path, rows: dict[str, Any]) -> None:
    for sample in _samples(clips):
        told, row = json.loads(sample["json"]), rows[sample["__key__"]]
        first = told["root_first_frame"]
        assert _numbers(_lumas(sample["mp4"]), range(first, first + told["num_frames"]))
        assert told["offset"] == pytest.approx(row["offset"] - first / FPS)
        assert 0 <= told["offset"] < 1 + 1 / FPS
        seconds = told["num_frames"] / FPS - told["offset"]
        assert 0 <= seconds - (row["end"] - row["start"]) < 1 / FPS + 1e-6


def test_the_still_is_the_one_nearest_to_the_clip(clips: Path, rows: dict[str, Any]) -> None:
    for sample in _samples(clips):
        row = rows[sample["__key__"]]
        if row["level"] == "short":
            level = round((row["start"] + row["end"]) / 2 * 7) % 256
            assert abs(np.asarray(Image.open(io.BytesIO(sample["jpg"]))).mean() - level) < 4


def test_tars_have_rows_and_figures_beside_them_under_names_that_are_numbers(clips: Path, rows: dict[str, Any]) -> None:
    kept = sum(row["keep"] for row in rows.values())
    tars = sorted(path.stem for path in clips.glob("*.tar"))
    assert tars == [f"{number:05d}" for number in range((kept + 4) // 5)]
    assert sorted(path.name for path in clips.glob("*.json")) == [f"{stem}_stats.json" for stem in tars]
    assert int((clips / "__len__").read_text()) == kept
    for stem in tars:
        table = pq.read_table(clips / f"{stem}.parquet")
        stats = json.loads((clips / f"{stem}_stats.json").read_text())
        assert stats["successes"] == stats["status_dict"]["success"] == table.num_rows
    stored = [row for stem in tars for row in pq.read_table(clips / f"{stem}.parquet").to_pylist()]
    assert stored == [json.loads(sample["json"]) for sample in _samples(clips)]


def test_open_clip_trains_from_the_tars_with_its_own_loader(
    clips: Path, rows: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import open_clip

    data = pytest.importorskip("open_clip_train.data", reason="this open_clip_torch ships no training code")
    if "eof_value" in inspect.signature(data.tar_file_expander).parameters:
        # open_clip's training code asks for webdataset 0.2.86 at most; newer ones mark the end of each tar,
        # which it does not expect (webdataset issue 384).
        monkeypatch.setattr(data, "tar_file_expander", partial(data.tar_file_expander, eof_value=None))
    kept = [row["grounded_text"] for row in rows.values() if row["keep"]]
    args = SimpleNamespace(
        train_data=str(clips / f"{{00000..{(len(kept) + 4) // 5 - 1:05d}}}.tar"),
        train_num_samples=None,
        train_data_upsampling_factors=None,
        dataset_resampled=False,
        seed=0,
        batch_size=2,
        workers=0,
        world_size=1,
    )
    tokenizer = open_clip.get_tokenizer("ViT-B-32")
    info = data.get_wds_dataset(args, open_clip.image_transform(32, is_train=False), True, tokenizer=tokenizer)
    assert info.dataloader.num_samples == len(kept)
    batches = list(info.dataloader)
    assert {tuple(images.shape) for images, _ in batches} == {(2, 3, 32, 32)}
    texts = [tokenizer.decode(text.tolist()) for _, tokens in batches for text in tokens]
    assert sorted(texts) == sorted(tokenizer.decode(tokenizer(text)[0].tolist()) for text in kept)


def test_a_root_is_written_whole_with_its_tree(store: Store, rows: dict[str, Any], tmp_path: Path) -> None:
    written = export(
        store, ExportSelection(LAYER, unit="root", keep_only=False), format="webdataset", output=tmp_path / "out"
    )
    samples = _samples(tmp_path / "out")
    assert written == len(samples) == sum(row["parent_key"] is None for row in rows.values())
    for sample in samples:
        told = json.loads(sample["json"])
        assert _numbers(_lumas(sample["mp4"]), range(told["num_frames"]))
        tree = [key for key, row in rows.items() if row["root_key"] == sample["__key__"]]
        assert [clip["key"] for clip in told["tree"]] == tree
        assert told["offset"] == rows[sample["__key__"]]["offset"]


def test_a_line_of_jsonl_leads_to_the_bytes_of_its_video_and_still(
    store: Store, rows: dict[str, Any], tmp_path: Path
) -> None:
    written = export(
        store, ExportSelection(LAYER, unit="clip", keep_only=False), format="jsonl", output=tmp_path / "out"
    )
    lines = [json.loads(line) for path in sorted((tmp_path / "out").glob("*.jsonl")) for line in path.open()]
    assert written == len(lines) == len(rows)
    for line in lines:
        place = line["media"]
        data = Path(place["path"]).read_bytes()[place["offset"] : place["offset"] + place["size"]]
        assert len(_lumas(data)) == line["num_frames"]
        still = line["keyframe"]
        data = Path(still["path"]).read_bytes()[still["offset"] : still["offset"] + still["size"]]
        assert Image.open(io.BytesIO(data)).size == (96, 72)


def test_a_condition_chooses_clips(store: Store, rows: dict[str, Any], tmp_path: Path) -> None:
    where = "level = 'medium' and \"end\" - start > 11.9"
    written = export(store, ExportSelection(LAYER, unit="clip", where=where), format="jsonl", output=tmp_path / "out")
    assert written == sum(row["level"] == "medium" and row["end"] - row["start"] > 11.9 for row in rows.values()) > 0


@pytest.mark.parametrize("column", ["subtitle_summary", "grounded_text", "subtitle"])
def test_the_text_that_was_asked_for_is_written_or_none_and_that_is_counted(
    store: Store, rows: dict[str, Any], tmp_path: Path, column: str
) -> None:
    counts = ExportCounts()
    selection = ExportSelection(LAYER, unit="clip", text=column)
    export(store, selection, format="jsonl", output=tmp_path / "out", counts=counts)
    lines = [json.loads(line) for path in (tmp_path / "out").glob("*.jsonl") for line in path.open()]
    assert [line["text"] for line in lines] == [rows[line["key"]][column] or None for line in lines]
    assert {line["text_column"] for line in lines} == {column if line["text"] else None for line in lines}
    assert counts.without_text.total() == sum(not line["text"] for line in lines)


def test_a_clip_in_which_nothing_could_be_seen_has_no_txt(store: Store, rows: dict[str, Any], tmp_path: Path) -> None:
    counts = ExportCounts()
    selection = ExportSelection(LAYER, unit="clip", text="subtitle_summary")
    export(store, selection, format="webdataset", output=tmp_path / "out", counts=counts)
    samples = {sample["__key__"]: sample for sample in _samples(tmp_path / "out")}
    assert {key for key, sample in samples.items() if "txt" not in sample} == {
        key for key in samples if not rows[key]["subtitle_summary"]
    }
    assert counts.without_text.total() == sum("txt" not in sample for sample in samples.values()) > 0


def test_export_to_an_object_store(store: Store, tmp_path: Path) -> None:
    target = Store(f"memory://{tmp_path.name}")
    assert export(store, ExportSelection(LAYER, unit="root"), format="webdataset", output=target.root) == 4
    assert {"00000.tar", "00000.parquet", "00000_stats.json", "__len__"} == set(target.list())


def test_progress_is_reported_shard_by_shard(store: Store, tmp_path: Path) -> None:
    calls = []
    told = {"progress": lambda done, total: calls.append((done, total))}
    export(store, ExportSelection(LAYER, unit="root"), format="jsonl", output=tmp_path / "a", **told)
    export(store, ExportSelection(LAYER, unit="root"), format="webdataset", output=tmp_path / "b", **told)
    assert calls == [(1, 2), (2, 2)] * 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layer": "gruonded"}, r"no such text layer \(there are: grounded\)"),
        ({"where": "levl = 'short'"}, "levl"),
        ({"where": "1) union select * from read_text('/etc/passwd') --"}, "--where"),
        ({"text": "claims"}, "no text column"),
    ],
)
def test_an_impossible_export_is_refused_in_one_line_before_anything_is_written(
    store: Store, tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    layer = options.pop("layer", LAYER)
    with pytest.raises(ShardError, match=words) as refusal:
        export(store, ExportSelection(layer, unit="clip", **options), format="jsonl", output=tmp_path / "out")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_not_empty_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ShardError, match="is not empty"):
        export(store, ExportSelection(LAYER, unit="clip"), format="jsonl", output=tmp_path)
