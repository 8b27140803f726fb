"""The records of artifacts are read from one table, and from footers where the table is behind."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.shard_factory import LAYER, add_shard, build_dir

from shards import records
from shards.reader import artifacts, committed_media
from shards.records.known_artifacts import KNOWN_TABLE, KnownArtifacts
from shards.storage.store import Store

FOLDERS = ("media", "ledger", f"text/{LAYER}")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A DIR of two shards whose records are kept."""
    store = build_dir(tmp_path / "dir", shards=2, videos_per_shard=1)
    save(store)
    return store


def save(store: Store) -> None:
    known = KnownArtifacts(store)
    assert {folder: known.of(folder) for folder in FOLDERS} == {folder: artifacts(store, folder) for folder in FOLDERS}
    assert known.media() == committed_media(store)
    known.save()


def opened(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the artifacts whose footers are read, after checking that all records are those of the footers."""
    names: list[str] = []
    reads = records.known_artifacts.read_artifact

    def read(store: Store, name: str) -> object:
        names.append(name)
        return reads(store, name)

    with monkeypatch.context() as patched:
        patched.setattr(records.known_artifacts, "read_artifact", read)
        save(store)
    return sorted(names)


def test_of_an_unchanged_dir_no_artifact_is_opened(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = store.entry(KNOWN_TABLE)
    assert opened(store, monkeypatch) == []
    assert store.entry(KNOWN_TABLE) == before


def test_only_artifacts_that_were_made_again_are_opened(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_shard(store, tmp_path, 1, videos=2)
    assert opened(store, monkeypatch) == [f"{folder}/0000001.parquet" for folder in sorted(FOLDERS)]
    assert opened(store, monkeypatch) == []


@pytest.mark.parametrize("damage", [None, b"PAR1 no"])
def test_a_table_that_is_gone_or_damaged_is_made_again(
    store: Store, monkeypatch: pytest.MonkeyPatch, damage: bytes | None
) -> None:
    store.delete(KNOWN_TABLE) if damage is None else store.commit_bytes(damage, KNOWN_TABLE)
    assert len(opened(store, monkeypatch)) == 6
    assert opened(store, monkeypatch) == []


def test_media_without_its_tar_is_not_committed(store: Store) -> None:
    store.delete("media/0000001.tar")
    assert set(KnownArtifacts(store).media()) == {0} == set(committed_media(store))
