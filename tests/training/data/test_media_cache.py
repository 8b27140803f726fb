"""The cache of tars: bounded, shared by processes, and not used for local folders."""

from __future__ import annotations

import multiprocessing
import uuid
from collections.abc import Sequence
from pathlib import Path

import fsspec
import pytest
import torch
from support.shard_factory import build_dir

from runtime.errors import UserError
from shards.storage.backend import ObjectInfo
from shards.storage.store import Store
from training.data.clip_failure import ClipFailed
from training.data.clip_loader import TrainBatches
from training.data.clip_tasks import MediaRef
from training.data.data_settings import DataSettings
from training.data.media_cache import MediaReader, TarCache
from training.data.sources.shard_source import ShardSource


@pytest.fixture
def remote() -> str:
    """A prefix of an object store with four files of 1,000 bytes."""
    prefix = f"memory://cache-{uuid.uuid4().hex}"
    for number in range(4):
        with fsspec.open(f"{prefix}/{number}.tar", "wb") as file:
            file.write(bytes([number]) * 1000)
    return prefix


def test_a_file_is_fetched_once_and_read_by_range(remote: str, tmp_path: Path) -> None:
    cache = TarCache(tmp_path, 10_000)
    assert cache.read(f"{remote}/1.tar", 10, 5) == bytes([1]) * 5
    fsspec.filesystem("memory").rm(f"{remote}/1.tar")
    assert cache.read(f"{remote}/1.tar", 0, None) == bytes([1]) * 1000


def test_the_bound_is_kept_and_the_least_recently_used_goes(remote: str, tmp_path: Path) -> None:
    cache = TarCache(tmp_path, 2_500)
    paths = [cache.fetch(f"{remote}/{number}.tar") for number in (0, 1)]
    cache.fetch(f"{remote}/0.tar")
    cache.fetch(f"{remote}/2.tar")
    assert paths[0].exists() and not paths[1].exists()
    assert cache.bytes_held() == 2_000


def test_a_download_that_fails_leaves_nothing_behind(remote: str, tmp_path: Path) -> None:
    cache = TarCache(tmp_path, 10_000)
    with pytest.raises(FileNotFoundError):
        cache.fetch(f"{remote}/none.tar")
    assert cache.bytes_held() == 0


def _fetch_all(folder: Path, bound: int, urls: list[str]) -> None:
    cache = TarCache(folder, bound)
    for _ in range(10):
        for url in urls:
            assert len(cache.read(url, 0, None)) == 1000


def test_processes_share_the_folder_and_keep_the_bound(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    for number in range(4):
        (tmp_path / "store" / f"{number}.tar").write_bytes(bytes([number]) * 1000)
    urls = [f"local://{tmp_path}/store/{number}.tar" for number in range(4)]
    context = multiprocessing.get_context("forkserver")  # threads of other tests do no harm there
    runs = [context.Process(target=_fetch_all, args=(tmp_path / "cache", 2_500, urls)) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0, 0, 0]
    assert TarCache(tmp_path / "cache", 2_500).bytes_held() <= 2_500


def test_a_local_file_is_read_in_place(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"0123456789")
    reader = MediaReader(TarCache(tmp_path / "cache", 10))
    assert reader.read(MediaRef(str(tmp_path / "a.tar"), 2, 3)) == b"234"
    assert reader.read(MediaRef(str(tmp_path / "a.tar"))) == tmp_path / "a.tar"
    assert not (tmp_path / "cache").exists()


def test_a_range_past_the_end_is_truncated_and_a_file_that_does_not_exist_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(b"0123")
    for ref, reason in (
        (MediaRef(str(tmp_path / "a.tar"), 2, 9), "truncated"),
        (MediaRef("memory://no/x", 0, 1), "missing"),
    ):
        with pytest.raises(ClipFailed) as failed:
            MediaReader().read(ref)
        assert failed.value.reason == reason


@pytest.mark.parametrize("cached", [True, False])
def test_training_reads_a_dir_in_an_object_store(tmp_path: Path, cached: bool) -> None:
    build_dir(tmp_path / "dir", shards=2, videos_per_shard=2)
    url = f"memory://dir-{uuid.uuid4().hex}"
    fsspec.filesystem("memory").put(f"{tmp_path}/dir/", url, recursive=True)
    assert Store(url).exists("manifest.json")
    changes = {"cache": tmp_path / "cache", "cache_gb": 0.1} if cached else {}
    found = []
    for place in (str(tmp_path / "dir"), url):
        settings = DataSettings.model_validate({"shards": (place,), "size": 48, "workers": 0} | changes)
        data = ShardSource(settings, {"caption": "caption"}, 0)
        plan = TrainBatches(
            data,
            global_batch=4,
            clips_per_root=2,
            ranks=_One(),
            tokenizer=_lengths,
            frames=2,
            settings=settings,
        )
        found.append(next(plan.start(0)))
    assert found[0].keys == found[1].keys and found[0].video_BTSSC.equal(found[1].video_BTSSC)
    assert bool(list((tmp_path / "cache").glob("*.tar"))) == cached


def test_a_cache_smaller_than_three_windows_is_refused(tmp_path: Path) -> None:
    build_dir(tmp_path / "dir", shards=2, videos_per_shard=2)
    url = f"memory://dir-{uuid.uuid4().hex}"
    fsspec.filesystem("memory").put(f"{tmp_path}/dir/", url, recursive=True)
    settings = DataSettings(shards=(url,), cache=tmp_path / "cache", cache_gb=1e-6)
    with pytest.raises(UserError, match=r"data.cache_gb=1e-06: less than 3 windows"):
        ShardSource(settings, {"caption": "caption"}, 0)


class _One:
    rank, world_size = 0, 1


def _lengths(texts: Sequence[str]) -> torch.Tensor:
    return torch.tensor([[len(text)] for text in texts])


def test_a_rewritten_file_under_the_same_url_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = ObjectInfo(4, "one"), ObjectInfo(4, "two")
    fs = fsspec.filesystem("memory")
    cache = TarCache(tmp_path, 1000)
    for entry, content in ((first, b"aaaa"), (second, b"bbbb")):
        fs.pipe("/anew/0.tar", content)
        monkeypatch.setattr("training.data.media_cache._object_info", lambda url, entry=entry: entry)
        assert cache.fetch("memory://anew/0.tar").read_bytes() == content


def test_an_incomplete_download_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fsspec.filesystem("memory").pipe("/short/0.tar", b"only this")
    monkeypatch.setattr("training.data.media_cache._object_info", lambda url: ObjectInfo(100, "t"))
    monkeypatch.setattr("training.data.media_cache.time.sleep", lambda seconds: None)
    with pytest.raises(OSError, match="received 9 of 100 bytes"):
        TarCache(tmp_path, 1000).fetch("memory://short/0.tar")
    assert not list(tmp_path.glob("*.tar"))
