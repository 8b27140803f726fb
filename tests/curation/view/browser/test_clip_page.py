"""The page of a clip, and its media by byte ranges."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from support.shard_factory import build_dir
from support.viewers import clip_links, viewing

from shards.reader import read_table
from shards.storage.store import Store
from shards.storage.tar import read_span


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return build_dir(tmp_path_factory.mktemp("clip") / "out", shards=1)


@pytest.fixture(scope="module")
def client(store: Store) -> Iterator[TestClient]:
    with viewing(store) as client:
        yield client


def first_clip(client: TestClient, filters: str) -> str:
    return client.get(clip_links(client.get(f"/browse?{filters}").text)[0]).text


def player(page: str) -> dict[str, Any]:
    found = re.search(r'id="player-data">(.*?)</script>', page)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_the_player_is_bound_to_the_clip_inside_the_file_of_its_root(client: TestClient) -> None:
    page = first_clip(client, "level=medium")
    times = player(page)
    assert (times["start"], times["end"], times["rootStart"], times["rootEnd"]) == (0.5, 12.75, 0.5, 24.5)
    assert times["zero"] == pytest.approx(0.25)
    assert ".mp4#t=0.250,12.500" in page


def test_the_tree_is_a_timeline_whose_clips_are_links(client: TestClient) -> None:
    page = first_clip(client, "level=long")
    timeline = page[page.index('id="timeline"') :]
    spans = re.findall(r'class="item[^"]*"[^>]*data-start="([\d.]+)" data-end="([\d.]+)" href="/clip/', timeline)
    assert spans == [("0.5", "24.5"), ("0.5", "12.75"), ("12.75", "24.5"), ("0.5", "6.0"), ("6.0", "12.75")]


def test_shots_and_pauses_are_tracks_of_the_timeline(client: TestClient) -> None:
    page = first_clip(client, "level=long")
    tracks = dict(re.findall(r'class="track (shots|pauses)">(.*?)</div></div>', page, re.DOTALL))
    spans = re.findall(r'data-start="([\d.]+)" data-end="([\d.]+)"', tracks["shots"])
    assert spans == [("0.5", "2.5"), ("2.5", "24.5")]
    assert "pauses" not in tracks


def test_a_dir_without_shots_shows_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.view.browser.media.root_files.read_root_facts", lambda *_: {"shots": "none"})
    with viewing(build_dir(tmp_path / "out", shards=1)) as client:
        assert 'class="track shots"' not in first_clip(client, "level=long")


def test_each_claim_has_its_verdict_and_buttons_that_jump_to_its_evidence(client: TestClient) -> None:
    page = first_clip(client, "level=long")
    claims = page[page.index('class="claims"') :]
    assert '<b class="verdict">supported</b>' in claims
    assert re.search(r'class="jump" data-start="[\d.]+" data-end="[\d.]+"', claims)


def test_an_unknown_clip_is_not_found(client: TestClient) -> None:
    assert client.get("/clip/nope").status_code == 404
    assert client.get("/clip/%27%20or%20true--").status_code == 404


@pytest.mark.parametrize(
    ("asked", "first", "last"), [("bytes=10-19", 10, 20), ("bytes=5-", 5, None), ("bytes=-7", -7, None)]
)
def test_a_range_of_a_video_is_that_of_its_root(
    client: TestClient, store: Store, asked: str, first: int, last: int | None
) -> None:
    row = read_table(store, "media/0000000.parquet", ["root_key", "byte_offset", "byte_size"]).to_pylist()[-1]
    video = read_span(store, "media/0000000.tar", row["byte_offset"], row["byte_size"])
    address = f"/media/0/{row['root_key']}.mp4"
    assert client.get(address).content == video
    answer = client.get(address, headers={"range": asked})
    assert answer.status_code == 206 and answer.content == video[first:last]
    assert answer.headers["content-range"].endswith(f"/{len(video)}")


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=9-5", "bytes=0-1,4-5", "bytes=-", "lines=1-2"])
def test_a_range_that_a_video_lacks_is_refused(client: TestClient, store: Store, asked: str) -> None:
    key = read_table(store, "media/0000000.parquet", ["root_key"])["root_key"][0].as_py()
    assert client.get(f"/media/0/{key}.mp4", headers={"range": asked}).status_code == 416


@pytest.mark.parametrize(
    "path",
    [
        "/media/0/..%2f..%2fmanifest.mp4",
        "/media/9/0123456789abcdef_000000000_000001000.mp4",
        "/media/0/%2e%2e/%2e%2e/etc/passwd.mp4",
        "/stills/0/..%2f..%2f/0.jpg",
        "/stills/99999999999999/0123456789abcdef_000000000_000001000/0.jpg",
        "/static/..%2f..%2f..%2f..%2fpyproject.toml",
        "/static/%2e%2e/server.py",
        "/manifest.json",
    ],
)
def test_no_address_reaches_another_file(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404
