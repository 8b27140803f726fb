"""A worker that ends in the middle of a shard loses the videos that it was at work on, and nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.broken_videos import path_of
from support.curate_runs import CHEAP, config_in, curate
from support.media_shards import MEDIA_SETTINGS, curate_shard, ledger, source_row
from support.video_server import VideoServer, make_videos, video_server

from curation.media import video_to_clips
from curation.media.download.download_settings import DownloadSettings
from curation.media.in_flight import kept_download, part_making
from curation.media.media_settings import MediaSettings
from curation.sources.source_rows import SourceRow
from shards.checks.check_dir import check
from shards.reader import read_table
from shards.storage.store import Store
from shards.storage.tar import members

pytestmark = pytest.mark.slow

SETTINGS = MediaSettings(
    download=DownloadSettings(allow_private_addresses=True, host_interval=0.0, retries=0),
    video=MEDIA_SETTINGS.video.model_copy(update={"min_seconds": 0.5}),
    downloads_ahead=1,
)


class Killed(BaseException):
    """Ends a worker as SIGKILL does: no part of the stage catches it."""


class Counted:
    """The encodes and downloads of this process, by the source; the encode of some source may end its worker."""

    def __init__(self) -> None:
        self.encoded: Counter[str] = Counter()
        self.downloaded: Counter[str] = Counter()
        self.probed: Counter[str] = Counter()
        self.kills = ""
        self.ending: type[BaseException] = Killed

    def make_clips(self, row: SourceRow, *args: Any) -> Any:
        """Count an encode, and make it unless it is the one that kills."""
        if self.kills and row.source.endswith(self.kills):
            self.kills = ""
            raise self.ending
        self.encoded[row.source] += 1
        return video_to_clips.make_clips(row, *args)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Counted:
    """Counts of the work done from now on."""
    counts = Counted()
    monkeypatch.setenv("CLIPGROVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(part_making, "make_clips", counts.make_clips)
    monkeypatch.setattr(kept_download, "download", _counting(kept_download.download, counts.downloaded))
    monkeypatch.setattr(part_making, "guarded_probe", _counting(part_making.guarded_probe, counts.probed))
    return counts


def _counting(function: Callable[..., Any], counts: Counter[str]) -> Callable[..., Any]:
    def called(first: object, *args: Any) -> Any:
        counts[str(first)] += 1
        return function(first, *args)

    return called


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VideoServer]:
    """A server of videos of two seconds."""
    with video_server(make_videos(tmp_path_factory.mktemp("served"))) as server:
        yield server


def files(folder: Path) -> list[str]:
    """Return the names of all files below a folder."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def contents(store: Store) -> list[Any]:
    """Return the clips, the ledger without its times, and the members of a shard."""
    rows = [dict(row, elapsed=None) for row in read_table(store, "ledger/0000000.parquet").to_pylist()]
    tars = [list(members(store, f"{folder}/0000000.tar")) for folder in ("media", "keyframes")]
    return [read_table(store, "media/0000000.parquet").to_pylist(), rows, *tars]


def test_the_next_worker_makes_only_what_was_not_finished_and_the_shard_is_as_if_undisturbed(
    tmp_path: Path, counted: Counted
) -> None:
    videos = [tmp_path / f"{name}.mp4" for name in ("first", "damaged", "third", "fourth")]
    for video in videos:
        video.write_bytes(path_of("text" if video.stem == "damaged" else "good").read_bytes())
    rows = [source_row(video) for video in videos]
    (tmp_path / "undisturbed").mkdir()
    undisturbed, _ = curate_shard(tmp_path / "undisturbed", rows)
    counted.encoded.clear()
    counted.kills = "third.mp4"
    with pytest.raises(Killed):
        curate_shard(tmp_path, rows)
    assert list(counted.encoded) == [str(videos[0])]
    store, result = curate_shard(tmp_path, rows)
    assert counted.encoded == {str(video): 1 for video in videos if video.stem != "damaged"}
    assert counted.probed[str(videos[1])] == 2, "once in each of the two undisturbed passes"
    assert (result.counts["written"], result.counts["failed"]) == (3, 1)
    assert contents(store) == contents(undisturbed)
    assert [p for p in check(store) if "0000000" in p.where] == []
    assert files(tmp_path / "scratch") == []


def test_another_node_takes_finished_videos_from_the_shared_scratch_and_leaves_nothing_there(
    tmp_path: Path, counted: Counted
) -> None:
    videos = [tmp_path / f"{name}.mp4" for name in ("first", "second")]
    for video in videos:
        video.write_bytes(path_of("good").read_bytes())
    rows = [source_row(video) for video in videos]
    settings = SETTINGS.model_copy(update={"shared_scratch": str(tmp_path / "shared")})
    counted.kills = "second.mp4"
    with pytest.raises(Killed):
        curate_shard(tmp_path, rows, settings)
    (tmp_path / "scratch").rename(tmp_path / "scratch of a lost node")
    store, _ = curate_shard(tmp_path, rows, settings)
    assert counted.encoded == {str(video): 1 for video in videos}
    assert [p for p in check(store) if "0000000" in p.where] == []
    assert files(tmp_path / "shared") == []


def test_a_download_whose_encoder_was_killed_is_not_downloaded_again(
    tmp_path: Path, counted: Counted, site: VideoServer
) -> None:
    rows = [source_row(site.url("plain.mp4?n=1"))]
    counted.kills = "n=1"
    with pytest.raises(Killed):
        curate_shard(tmp_path, rows, SETTINGS)
    assert not [name for name in files(tmp_path / "scratch") if "cookies" in name or "request" in name]
    store, result = curate_shard(tmp_path, rows, SETTINGS)
    assert {row["state"] for row in ledger(store).values()} == {"written"}
    assert counted.downloaded == {row.source: 1 for row in rows}
    assert counted.encoded == {row.source: 1 for row in rows}
    assert result.counts["videos"] == 1


def test_spans_of_one_video_share_one_download_and_one_probe(
    tmp_path: Path, counted: Counted, site: VideoServer
) -> None:
    spans = [(0.0, 1.0), (0.5, 1.5), (1.0, 2.0), (0.0, 2.0)]
    urls = [site.url(f"plain.mp4?video={number}") for number in range(3)]
    rows = [source_row(url, start=start, end=end) for start, end in spans for url in urls]
    store, result = curate_shard(tmp_path, rows, SETTINGS)
    assert result.counts["written"] == len(rows) == 12
    assert counted.downloaded == dict.fromkeys(urls, 1)
    assert counted.probed.total() == len(urls)
    written = read_table(store, "ledger/0000000.parquet").to_pylist()
    assert [(row["source"], row["start"]) for row in written] == [(row.source, row.start) for row in rows]
    assert [p for p in check(store) if "0000000" in p.where] == []


def test_the_next_run_takes_what_a_stopped_run_has_finished_and_leaves_no_scratch(
    tmp_path: Path, counted: Counted
) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        video = tmp_path / "in" / f"{number}.mp4"
        video.write_bytes(path_of("good").read_bytes() + bytes([number]))
    arguments: list[str | Path] = ["run", CHEAP, "--config", config_in(tmp_path), "--input", tmp_path / "in"]
    arguments += ["--output", tmp_path / "out", "--address", "local", "--stages", "media"]
    arguments += ["--set", "videos_per_shard=3", "--set", "media.downloads_ahead=1"]
    counted.kills, counted.ending = "1.mp4", KeyboardInterrupt
    assert curate(*arguments).status == 130
    assert [name for name in files(tmp_path / "out" / ".scratch") if name.endswith("record.json")]
    ended = curate(*arguments)
    assert ended.status == 0, ended.err
    assert set(counted.encoded.values()) == {1} and len(counted.encoded) == 3
    assert not (tmp_path / "out" / ".scratch").exists()
    assert curate("check", tmp_path / "out").status == 0
