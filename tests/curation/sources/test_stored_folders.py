"""Folders and globs in an object store are searched for videos as those on disk are."""

from __future__ import annotations

import uuid
from collections import Counter

import pytest
from support.read_sources import read_all

from curation.sources.inputs import NO_URL
from runtime.errors import UserError
from shards.storage.store import Store

NAMES = (
    "b.mp4",
    "a talk.MKV",
    "a talk.en.vtt",
    "more/c.webm",
    "more/deep/d.mp4",
    "more/.hidden.mp4",
    "odd\x07.mp4",
    "e[1].mp4",
)


@pytest.fixture
def store() -> Store:
    store = Store(f"memory://{uuid.uuid4().hex}/in")
    for name in NAMES:
        store.commit_bytes(name.encode(), name)
    return store


def _names(store: Store, url: str, **options: object) -> list[str]:
    found = read_all([url], allow_schemes=("memory",), **options)
    assert all(source.is_url and source.source.startswith(f"{store.root}/") for source in found)
    return [source.source.removeprefix(f"{store.root}/") for source in found]


def test_a_folder_gives_its_videos_at_any_depth_and_counts_the_rest(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curation.sources.inputs.STORE_SCHEMES", ("memory",))
    ignored = Counter[str]()
    assert _names(store, f"{store.root}/", ignored=ignored) == [
        "a talk.MKV", "b.mp4", "e[1].mp4", "more/c.webm", "more/deep/d.mp4",
    ]  # fmt: skip
    assert ignored == {".vtt": 1, NO_URL: 1}


def test_a_glob_gives_what_it_matches_and_a_name_that_looks_like_one_itself(store: Store) -> None:
    assert _names(store, f"{store.root}/*.mp4") == ["b.mp4", "e[1].mp4"]
    assert _names(store, f"{store.root}/more/**/*.mp4") == ["more/.hidden.mp4", "more/deep/d.mp4"]
    assert _names(store, f"{store.root}/e[1].mp4") == ["e[1].mp4"]


def test_a_folder_of_s3_needs_no_slash_at_its_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.sources.stored_folders.STORE_SCHEMES", ("memory",))
    assert _names(store, f"{store.root}/more") == ["more/c.webm", "more/deep/d.mp4"]


def test_a_scheme_that_is_not_allowed_and_a_folder_that_is_not_there_are_told_in_a_line(store: Store) -> None:
    with pytest.raises(UserError, match=r"memory:// is not allowed; set media.download.allow_schemes"):
        read_all([f"{store.root}/"])
    with pytest.raises(UserError, match="there is no file"):
        read_all([f"{store.root}/none/"], allow_schemes=("memory",))
