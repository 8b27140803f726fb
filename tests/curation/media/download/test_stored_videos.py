"""Videos in an object store are copied to scratch with the subtitle files beside them."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from curation.media.download.download_settings import DownloadSettings
from curation.media.download.stored_videos import fetch_stored, is_stored
from curation.sources.ledger import SourceFailed, SourceFiltered
from runtime.errors import MachineError
from shards.storage.store import Store

_ALLOWED = DownloadSettings(allow_schemes=("memory",))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr("shards.storage.patience.STORE_PAUSE", 0.0)
    return Store(f"memory://{uuid.uuid4().hex}/in")


def test_a_video_comes_with_its_subtitles_under_names_of_ours(store: Store, tmp_path: Path) -> None:
    for name in ("my talk.MP4", "my talk.en.vtt", "my talk.de.auto.srt", "my talk 2.vtt", "my talk.;rm.vtt", "x.vtt"):
        store.commit_bytes(name.encode(), name)
    video = fetch_stored(store.path("my talk.MP4"), _ALLOWED, tmp_path)
    assert video.path.read_bytes() == b"my talk.MP4"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["video.de.auto.srt", "video.en.vtt", "video.mp4"]
    assert sorted((track.language, track.kind) for track in video.tracks) == [("de", "auto"), ("en", "manual")]
    assert (video.metadata.title, video.metadata.id) == ("my talk", "my talk.MP4")


def test_a_scheme_that_was_not_permitted_is_not_read(store: Store, tmp_path: Path) -> None:
    store.commit_bytes(b"x", "a.mp4")
    with pytest.raises(SourceFailed, match="allow_schemes") as failed:
        fetch_stored(store.path("a.mp4"), DownloadSettings(), tmp_path)
    assert failed.value.class_ == "not_video"


def test_an_object_that_is_not_there_is_removed(store: Store, tmp_path: Path) -> None:
    with pytest.raises(SourceFailed) as failed:
        fetch_stored(store.path("a.mp4"), _ALLOWED, tmp_path)
    assert failed.value.class_ == "removed"


def test_an_object_over_the_limit_is_not_copied(store: Store, tmp_path: Path) -> None:
    store.commit_bytes(bytes(100), "a.mp4")
    settings = DownloadSettings(allow_schemes=("memory",), max_bytes=99)
    with pytest.raises(SourceFiltered, match="100 bytes"):
        fetch_stored(store.path("a.mp4"), settings, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("fault", "class_"), [(OSError(16, "SlowDown"), "network"), (PermissionError("Forbidden"), "private")]
)
def test_a_store_that_fails_or_refuses_is_not_an_object_that_is_gone(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: OSError, class_: str
) -> None:
    def fails(*_: object, **__: object) -> object:
        raise fault

    store.commit_bytes(b"x", "a.mp4")
    monkeypatch.setattr(MemoryFileSystem, "get_file", fails)
    with pytest.raises(SourceFailed) as failed:
        fetch_stored(store.path("a.mp4"), _ALLOWED, tmp_path)
    assert failed.value.class_ == class_


def test_a_full_disk_is_a_fault_of_the_machine(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    store.commit_bytes(b"x", "a.mp4")
    monkeypatch.setattr(MemoryFileSystem, "get_file", full)
    with pytest.raises(MachineError, match="No space left"):
        fetch_stored(store.path("a.mp4"), _ALLOWED, tmp_path)


def test_urls_of_stores_are_told_from_those_of_sites() -> None:
    assert is_stored("s3://bucket/a.mp4") and is_stored("gs://bucket/a.mp4")
    assert not is_stored("https://example.org/a.mp4") and not is_stored("s3/a.mp4")
