"""The videos that `curate remove` finds by id, URL and channel, and what it says of names that are none."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pytest
from support.curate_runs import curate
from support.removals import GONE, GONE_URL, STAYS, STAYS_URL, full_dir

from curation.selection.removal.removal_targets import RemovalRequest, find_targets
from shards.artifact import Artifact
from shards.keys import video_id
from shards.reader import read_table
from shards.removal.tombstones import Tombstone, add_tombstones
from shards.schema import SOURCES, VIDEOS
from shards.storage.store import Store
from shards.writer import commit_table

YOUTUBE = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"
SHORT = "https://go.example.org/x"
"""A URL that led to the page of `YOUTUBE`."""
FILE = "/videos/talk.mp4"
CHANNEL = "https://www.youtube.com/@Someone"
_IDS = {YOUTUBE: video_id("youtube:dQw4w9WgXcQ"), SHORT: video_id(SHORT), FILE: "00112233445566ff"}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A DIR with tables of sources and videos alone."""
    store = Store(tmp_path_factory.mktemp("named") / "dir")
    sources = [_source(source, video) for source, video in _IDS.items()] + [
        _source(f"{YOUTUBE}&t=9", _IDS[YOUTUBE], 5.0)
    ]
    videos = [
        _video(_IDS[YOUTUBE], video_uploader="Someone", video_uploader_url=CHANNEL, video_url=YOUTUBE),
        _video(
            _IDS[SHORT], video_uploader="Someone", video_site="Youtube", video_site_id="dQw4w9WgXcQ", video_url=YOUTUBE
        ),
        _video(_IDS[FILE], video_title="talk"),
    ]
    with TemporaryDirectory() as scratch:
        for name, rows, schema in (
            ("sources/0000000-0000000.parquet", sources, SOURCES),
            ("videos/0000000.parquet", videos, VIDEOS),
        ):
            commit_table(store, Path(scratch), name, pa.Table.from_pylist(rows, schema), Artifact("media", ""))
    return store


def _source(source: str, video: str, start: float | None = None) -> dict[str, Any]:
    row = {"source": source, "video_id": video, "start": start, "end": None, "shard": 0, "attempt": 1}
    return row | {"verdict": None, "carried": None, "overlap": 1}


def _video(video: str, **known: str) -> dict[str, Any]:
    return dict.fromkeys(VIDEOS.names) | {"root_key": f"{video}_000000000_000013000"} | known


def found(store: Store, **request: list[str]) -> list[str]:
    targets = find_targets(store, RemovalRequest(**request))
    assert not targets.unknown
    return [video.video_id for video in targets.videos]


@pytest.mark.parametrize(
    "name", [_IDS[FILE], f"{_IDS[FILE]}_000000000_000013000", f"{_IDS[FILE]}_000000000_000009000_2"]
)
def test_a_video_has_an_id_and_the_keys_of_its_clips(store: Store, name: str) -> None:
    assert found(store, ids=[name]) == [_IDS[FILE]]


@pytest.mark.parametrize(
    "request_",
    [
        {"ids": ["youtube:dQw4w9WgXcQ"]},
        {"ids": ["Youtube:dQw4w9WgXcQ"]},
        {"urls": [YOUTUBE]},
        {"urls": ["https://youtu.be/dQw4w9WgXcQ?t=40"]},
        {"urls": [SHORT]},
        {"channels": ["someone"]},
        {"channels": [f"{CHANNEL}/"]},
    ],
)
def test_all_urls_that_led_to_the_same_page_are_one_video(store: Store, request_: dict[str, list[str]]) -> None:
    assert found(store, **request_) == [_IDS[YOUTUBE], _IDS[SHORT]]


def test_all_sources_of_a_video_go_and_ids_of_its_page_are_kept(store: Store) -> None:
    first, second = find_targets(store, RemovalRequest(urls=[YOUTUBE])).videos
    assert [row.start for row in first.sources] == [None, 5.0]
    assert (first.known_as, second.known_as) == ((), (_IDS[YOUTUBE],))


def test_a_path_is_found_as_it_was_given_and_a_file_by_its_bytes(store: Store, tmp_path: Path) -> None:
    assert found(store, urls=[FILE]) == [_IDS[FILE]]
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(b"not the same")
    assert find_targets(store, RemovalRequest(urls=[str(copy)])).unknown == [str(copy)]


def test_unknown_names_are_told_from_those_that_were_removed_before(tmp_path: Path, store: Store) -> None:
    root = Path(store.root)
    other = Store(tmp_path / "dir")
    shutil.copytree(root / "sources", tmp_path / "dir/sources")
    add_tombstones(other, tmp_path, [Tombstone("f" * 16, (video_id("https://example.org/"),), "asked", "now", 1, 2)])
    targets = find_targets(other, RemovalRequest(ids=["f" * 16, "e" * 16], urls=["HTTPS://EXAMPLE.org"]))
    assert (targets.videos, targets.removed) == ([], ["f" * 16, "HTTPS://EXAMPLE.org"])
    assert targets.unknown == ["e" * 16]


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return full_dir(tmp_path_factory.mktemp("full") / "dir", 1, audited=0)


def test_unknown_names_are_named_and_nothing_is_removed(full: Store) -> None:
    ended = curate("remove", full.root, "--ids", GONE, "0" * 16, "--urls", "https://nowhere.example", "--reason", "x")
    assert ended.status == 2
    assert [line for line in ended.err.splitlines() if "holds no such video" in line and GONE not in line] == (
        ended.err.splitlines()
    )
    assert len(ended.err.splitlines()) == 2
    assert not full.exists("removed.parquet")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name the videos to remove"),
        (["--ids", GONE], "--reason: must say why"),
        (["--ids", "https://example.org/0-0", "--reason", "x"], "name URLs with --urls"),
        (["--ids", "word", "--reason", "x"], "--ids word: is neither"),
        (["--ids", "ids.txt", "--reason", "x"], "--ids ids.txt: can't be read"),
    ],
)
def test_mistakes_are_one_line_with_the_remedy(full: Store, arguments: list[str], said: str) -> None:
    ended = curate("remove", full.root, *arguments)
    assert ended.status == 2
    assert said in ended.err
    assert ended.err.count("\n") == 1


def test_ids_and_urls_are_read_from_files_and_a_second_time_is_said_to_be_one(full: Store, tmp_path: Path) -> None:
    ids, urls = tmp_path / "ids", tmp_path / "urls.txt"
    ids.write_text(f"# a request\n{GONE}\n\n")
    urls.write_text(f"{STAYS_URL}\n{GONE_URL}\n")
    arguments = ["remove", full.root, "--ids", str(ids), "--urls", str(urls), "--reason", "asked\nfor"]
    ended = curate(*arguments)
    assert ended.status == 0
    assert "removed 2 videos with" in ended.out
    rows = read_table(full, "removed.parquet").to_pylist()
    assert [(row["video_id"], row["reason"]) for row in rows] == [(GONE, "asked for"), (STAYS, "asked for")]
    again = curate(*arguments)
    assert again.status == 0
    assert again.out.splitlines() == [f"{name}: was removed before" for name in (GONE, STAYS_URL, GONE_URL)]
