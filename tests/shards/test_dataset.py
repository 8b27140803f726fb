import io
import pickle
from dataclasses import replace
from pathlib import Path

import av
import duckdb
import pandas
import pytest
import webdataset
from support.shard_factory import LAYER, build_dir

from shards.dataset import Dataset
from shards.errors import ShardError
from shards.manifest import read_manifest, write_manifest
from shards.reader import read_artifact, read_table
from shards.schema import TEXT
from shards.storage.store import Store
from shards.writer import commit_table


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return build_dir(tmp_path_factory.mktemp("dataset") / "dir", shards=3)


def test_a_trainer_finds_texts_and_their_videos(store: Store) -> None:
    dataset = Dataset(store.root, LAYER)
    assert dataset.shards == [0, 1, 2]
    for shard in dataset.shards:
        texts, clips = dataset.texts(shard, ["key", "grounded_text", "num_frames"]), dataset.clips(shard)
        assert texts["key"].to_pylist() == clips["key"].to_pylist()
        row = clips.slice(1, 1).to_pylist()[0]
        data = dataset.root_bytes(shard, row["byte_offset"], row["byte_size"])
        with av.open(io.BytesIO(data)) as container:
            assert sum(1 for _ in container.decode(video=0)) == row["num_frames"]


def test_a_shard_without_texts_is_left_out(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=2)
    store.delete(f"text/{LAYER}/0000000.parquet")
    assert Dataset(store.root, LAYER).shards == [1]


def test_a_layer_that_is_replaced_while_it_is_read_is_never_read_as_a_mixture(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=2)
    dataset = Dataset(store.root, LAYER)
    dataset.texts(0)
    name = f"text/{LAYER}/0000001.parquet"
    made = replace(read_artifact(store, name), content_hash="of other settings")
    commit_table(store, tmp_path, name, read_table(store, name), made)
    with pytest.raises(ShardError, match="is being replaced, or was since it was opened"):
        dataset.texts(1)
    with pytest.raises(ShardError, match="open it again"):
        pickle.loads(pickle.dumps(dataset)).texts(1, ["key"])


def test_a_missing_layer_is_refused_with_those_that_exist(store: Store) -> None:
    with pytest.raises(ShardError, match=r"no text layer 'vidla' \(there are: grounded\)"):
        Dataset(store.root, "vidla")


def test_a_folder_that_is_no_dir_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="curate run"):
        Dataset(tmp_path, LAYER)


def test_another_schema_version_is_refused(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    write_manifest(store, replace(read_manifest(store), schema_version=7))
    with pytest.raises(ShardError, match="schema version 7"):
        Dataset(store.root, LAYER)


def test_a_dataset_survives_pickling(store: Store) -> None:
    dataset = Dataset(store.root, LAYER)
    assert dataset.shards == pickle.loads(pickle.dumps(dataset)).shards


def test_stock_webdataset_iterates_the_media(store: Store) -> None:
    urls = [store.path(f"media/{name}") for name in store.list("media") if name.endswith(".tar")]
    samples = list(webdataset.WebDataset(urls, shardshuffle=False).decode())
    assert len(samples) == 9
    for sample in samples:
        assert sample["json"]["key"] == sample["__key__"]
        assert sample["mp4"][4:8] == b"ftyp"


def test_duckdb_reads_the_texts_with_categories_lists_and_structs(store: Store) -> None:
    paths = str(Path(store.root) / "text/*/*.parquet")
    query = """select level, count(*), any_value(models.captioner), max(len(frame_captions)), any_value(claims[1].text)
               from read_parquet(?) where rewrite_status = 'ok' group by level order by level"""
    found = duckdb.execute(query, [paths]).fetchall()
    assert [(level, count) for level, count, *_ in found] == [("long", 6), ("medium", 12), ("short", 15)]
    for _, _, captioner, most, claim in found:
        assert captioner == "tagger"
        assert most >= 1
        assert claim.startswith("A grey wall")


def test_pandas_reads_the_texts_with_categories_lists_and_structs(store: Store) -> None:
    frame = pandas.read_parquet(Path(store.root) / "text" / LAYER)
    assert list(frame.columns) == TEXT.names
    assert frame["level"].value_counts().to_dict() == {"short": 15, "medium": 12, "long": 6}
    assert frame.loc[0, "models"]["captioner"] == "tagger"
    assert frame.loc[0, "frame_captions"][0]["text"].startswith("a grey wall")
