"""Tars in object stores and on web servers: listed, indexed again when they change, kept in a bounded cache."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
import torch
import webdataset
from support.file_server import file_server
from support.shard_factory import build_dir, encode_root
from support.waiting import until

from runtime.errors import UserError
from shards.errors import ShardError
from training.data.clip_batch import ClipBatch
from training.data.clip_failure import ClipFailed
from training.data.clip_loader import TrainBatches
from training.data.data_settings import DataSettings
from training.data.media_cache import MediaReader, TarCache
from training.data.sources.shard_source import ShardSource
from training.data.sources.tar_patterns import expand_tars
from training.data.sources.webdataset_source import WebdatasetSource


class Alone:
    rank, world_size = 0, 1


def lengths(texts: Sequence[str]) -> torch.Tensor:
    return torch.tensor([[len(text)] for text in texts])


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIPGROVE_CACHE", str(tmp_path / "cachefolder"))


@pytest.fixture
def tars(tmp_path: Path) -> Path:
    folder = tmp_path / "tars"
    folder.mkdir()
    for number in range(5):
        write_tar(folder / f"{number:03d}.tar", f"text of {number}")
    return folder


@pytest.fixture
def bucket(tars: Path) -> str:
    url = f"memory://tars-{uuid.uuid4().hex}"
    fsspec.filesystem("memory").put(f"{tars}/", url, recursive=True)
    return url


def write_tar(path: Path, text: str, **fields: object) -> None:
    """Six samples, counted from 0 in each tar."""
    with webdataset.TarWriter(str(path)) as sink:
        for number in range(6):
            sample = {"__key__": f"{number:05d}", "mp4": encode_root(16), "txt": text}
            sink.write(sample | ({"json": {"clip": number // 2, **fields}} if fields else {}))


def settings_of(*patterns: object, **changes: object) -> DataSettings:
    values = {"shards": tuple(map(str, patterns)), "source": "webdataset", "clips_per_root": 1, "size": 48}
    return DataSettings.model_validate(values | {"workers": 0, "window_shards": 1} | changes)


def source(*patterns: object, **changes: object) -> WebdatasetSource:
    return WebdatasetSource(settings_of(*patterns, **changes), {"caption": "txt"}, seed=1)


def first_batch(settings: DataSettings) -> ClipBatch:
    own = settings.source == "shards"
    kind, column = (ShardSource, "caption") if own else (WebdatasetSource, "txt")
    plan = TrainBatches(
        kind(settings, {"caption": column}, 1),
        global_batch=4,
        clips_per_root=settings.clips_per_root,
        ranks=Alone(),
        tokenizer=lengths,
        frames=2,
        settings=settings,
    )
    return next(plan.start(0))


def test_a_folder_and_a_glob_name_the_same_tars_in_every_store(tars: Path, bucket: str) -> None:
    (tars / "notes").write_text("no tar")
    for place in (str(tars), f"file://{tars}", bucket):
        names = [f"{number:03d}.tar" for number in range(5)]
        for pattern in (place, f"{place}/*.tar", f"{place}/{{000..004}}.tar"):
            assert [Path(url).name for url in expand_tars(pattern)] == names, pattern


@pytest.mark.parametrize("url", ["nosuch://bucket/{000..001}.tar", "nosuch://bucket/*.tar", "nosuch://bucket/a"])
def test_an_unsupported_protocol_is_named_in_one_line(url: str) -> None:
    with pytest.raises(ShardError, match=r"^nosuch://bucket/.*: Protocol not known: nosuch$"):
        source(url)


def test_a_large_tar_on_a_server_without_byte_ranges_is_refused_in_one_line(tmp_path: Path) -> None:
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as sink:
        for number in range(12):
            sink.write({"__key__": f"{number}", "mp4": bytes(1 << 20), "txt": "text"})
    with file_server(tmp_path, ranges=False) as url, pytest.raises(UserError, match=r"a\.tar: can't be read .*range"):
        source(f"{url}/a.tar")


def test_a_rewritten_tar_of_equal_size_is_indexed_again(tars: Path, bucket: str) -> None:
    before = source(f"{bucket}/000.tar")
    size = (tars / "000.tar").stat().st_size
    write_tar(tars / "000.tar", "TEXT of 0")
    assert (tars / "000.tar").stat().st_size == size
    fsspec.filesystem("memory").put(str(tars / "000.tar"), f"{bucket}/000.tar")
    after = source(f"{bucket}/000.tar")
    assert {task.clips[0].texts["caption"] for task in after.epoch(0)} == {"TEXT of 0"}
    assert before.identity != after.identity, "a run on other texts is another run"


def test_a_field_that_holds_numbers_names_the_video(tmp_path: Path) -> None:
    write_tar(tmp_path / "a.tar", "text", maker=7)
    videos = sorted(task.video_id for task in source(tmp_path / "a.tar", video_field="clip").epoch(0))
    assert videos == ["0", "0", "1", "1"]  # the third is held out
    with pytest.raises(UserError, match=r"data.video_field='clop': no sample has such a field.*clip"):
        source(tmp_path / "a.tar", video_field="clop")


def test_equal_keys_in_two_tars_are_two_videos(tars: Path) -> None:
    data = source(tars)
    assert len({task.video_id for task in data.epoch(0)}) == data.num_roots == len({t.key for t in data.epoch(0)})


def test_a_text_of_spaces_counts_as_missing(tmp_path: Path) -> None:
    with webdataset.TarWriter(str(tmp_path / "a.tar")) as sink:
        for number, caption in enumerate((" \n", "a dog")):
            said = json.dumps({"txt": caption}).encode()
            sink.write({"__key__": f"{number}", "mp4": encode_root(16), "json": said})
    found = {task.key: task.clips[0].texts["caption"] for task in source(tmp_path / "a.tar").epoch(0)}
    assert found == {"a/0": None, "a/1": "a dog"}


def test_a_cache_too_small_for_webdataset_tars_is_refused(bucket: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data.cache_gb=1e-05: less than 3 windows of 1 shards"):
        source(bucket, cache=tmp_path / "cache", cache_gb=1e-5)


def test_the_tars_of_the_next_window_are_fetched_while_this_one_is_read(bucket: str, tmp_path: Path) -> None:
    stream = source(bucket, cache=tmp_path / "cache").epoch(0)
    next(stream)
    until(lambda: len(list((tmp_path / "cache").glob("*.tar"))) == 2, "the tar of the next window")


def test_reading_a_tar_does_not_renew_its_time(bucket: str, tars: Path, tmp_path: Path) -> None:
    urls = [f"{bucket}/{number:03d}.tar" for number in range(3)]
    cache = TarCache(tmp_path / "cache", int(2.5 * (tars / "000.tar").stat().st_size))
    for url in urls[:2]:
        cache.prefetch(url)
    cache.read(urls[0], 0, 10)
    cache.prefetch(urls[2])
    fsspec.filesystem("memory").rm(bucket, recursive=True)
    assert [len(cache.read(url, 0, 10)) for url in urls[1:]] == [10, 10]


@pytest.mark.parametrize("cached", [True, False])
def test_training_reads_tars_on_a_web_server(tars: Path, tmp_path: Path, cached: bool) -> None:
    changes = {"cache": tmp_path / "cache"} if cached else {}
    with file_server(tars) as url:
        batch = first_batch(settings_of(f"{url}/{{000..004}}.tar", **changes))
    assert batch.usable == 4 and not batch.skips
    assert batch.video_BTSSC.equal(first_batch(settings_of(tars)).video_BTSSC)


def test_a_server_without_byte_ranges_is_named_in_the_error(tars: Path) -> None:
    (task, *_) = source(tars / "000.tar").epoch(0)
    with file_server(tars, ranges=False) as url, pytest.raises(ClipFailed, match=r"set data\.cache") as failed:
        MediaReader().read(replace(task.media, url=f"{url}/000.tar"))
    assert failed.value.reason == "unreadable"


def test_training_reads_a_dir_on_a_web_server_with_listings(tmp_path: Path) -> None:
    build_dir(tmp_path / "dir", shards=2, videos_per_shard=2)
    with file_server(tmp_path) as url:
        found = [
            first_batch(DataSettings(shards=(at,), size=48, workers=0)) for at in (f"{tmp_path}/dir", f"{url}/dir")
        ]
    assert found[0].keys == found[1].keys and found[0].video_BTSSC.equal(found[1].video_BTSSC)
