"""`curate card` on folders that lack something, on an object store, and around a removal."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.curate_runs import curate
from support.removals import GONE, full_dir
from support.s3_server import clients_of, s3_server
from support.shard_factory import LAYER, build_dir
from support.viewers import change_rows

from shards.card_files import CARD_FILES
from shards.removal.traces import all_files
from shards.removal.unfinished import Removal, delete_unfinished, write_unfinished
from shards.storage.store import Store


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A DIR without videos, scores, findings, audit and selection."""
    store = build_dir(tmp_path_factory.mktemp("plain") / "dir", shards=1, videos_per_shard=1)
    store.delete(f"selections/{LAYER}.parquet")
    return store


def test_what_is_not_there_is_said_to_be_not_there(plain: Store) -> None:
    ended = curate("card", plain.root)
    assert (ended.status, ended.err) == (0, "")
    text = plain.read_bytes("README.md").decode()
    for said in (
        "No selection marks the clips: all of them count as kept",
        "No licence is known of any clip",
        "Nobody has looked for duplicates in this folder",
        "Nobody has looked for clips of benchmarks in this folder",
        "Nobody has labelled claims of this layer yet",
        "This folder holds no scores",
        "This folder holds no selection",
        "0 videos have been removed on request",
    ):
        assert said in text


def test_a_file_of_ones_own_is_not_overwritten(plain: Store, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    ended = curate("card", plain.root, "--output", str(tmp_path))
    assert ended.status == 2
    assert "was not written by `curate card`; move it away" in ended.err
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--layer", "grouded"], "--layer grouded: no such text layer (did you mean 'grounded'?)"),
        (["--select", "none"], "--select none: "),
        (["--output", "https://example.org/x"], "can only be read"),
    ],
)
def test_mistakes_end_in_one_line(plain: Store, arguments: list[str], said: str) -> None:
    ended = curate("card", plain.root, *arguments)
    assert ended.status == 2
    assert said in ended.err
    assert ended.err.count("\n") == 1


def test_an_empty_folder_and_one_without_texts_are_refused(tmp_path: Path) -> None:
    assert "no such folder, or nothing in it" in curate("card", str(tmp_path)).err
    (tmp_path / "media").mkdir()
    assert "holds no text layer yet" in curate("card", str(tmp_path)).err


def test_a_layer_whose_clips_are_all_left_out_has_a_card(plain: Store, tmp_path: Path) -> None:
    shutil.copytree(plain.root, tmp_path / "dir")
    store = Store(tmp_path / "dir")
    shutil.copy(
        build_dir(tmp_path / "other", shards=1, videos_per_shard=1).path(f"selections/{LAYER}.parquet"), tmp_path
    )
    store.commit(tmp_path / f"{LAYER}.parquet", f"selections/{LAYER}.parquet")
    change_rows(store, f"selections/{LAYER}.parquet", lambda row: row.update(keep=False, filter_reason="static"))
    assert curate("card", store.root).status == 0
    assert "No clip is kept, so there is none to show." in store.read_bytes("README.md").decode()


def test_no_password_of_an_address_and_no_folder_of_a_file_is_shown(plain: Store, tmp_path: Path) -> None:
    shutil.copytree(plain.root, tmp_path / "dir")
    store = Store(tmp_path / "dir")
    addresses = iter(["https://ana:sesame@example.org/x?sig=sesame", "/home/sesame/talk.mp4"] * 50)
    for name in (f"text/{LAYER}/0000000.parquet", "sources/0000000-0000000.parquet", "ledger/0000000.parquet"):
        change_rows(store, name, lambda row: row.update(source=next(addresses)))
    assert curate("card", store.root).status == 0
    texts = "".join(store.read_bytes(name).decode() for name in CARD_FILES)
    assert "sesame" not in texts
    assert "https://***@example.org/x" in texts or "https://example.org/x" in texts
    assert "talk.mp4" in texts


def test_a_damaged_table_and_an_interrupted_removal_end_in_one_line(plain: Store, tmp_path: Path) -> None:
    shutil.copytree(plain.root, tmp_path / "dir")
    store = Store(tmp_path / "dir")
    write_unfinished(store, Removal([], [], {}))
    ended = curate("card", store.root)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "a removal was interrupted" in ended.err
    delete_unfinished(store)
    store.commit_bytes(b"PAR1 no table", f"text/{LAYER}/0000000.parquet")
    ended = curate("card", store.root)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "text/grounded/0000000.parquet: not a readable Parquet file" in ended.err


def test_a_removal_deletes_the_card_and_the_next_one_has_nothing_of_the_video(tmp_path: Path) -> None:
    store = full_dir(tmp_path / "dir", shards=1, audited=0)
    assert curate("card", store.root).status == 0
    assert GONE in store.read_bytes("README.md").decode()
    assert curate("remove", store.root, "--ids", GONE, "--reason", "asked for").status == 0
    assert not any(store.exists(name) for name in CARD_FILES)
    assert curate("card", store.root).status == 0
    texts = "".join(store.read_bytes(name).decode() for name in CARD_FILES)
    assert GONE not in texts
    assert "The secret title" not in texts
    assert "1 video has been removed on request" in texts


def test_an_object_store_gets_byte_for_byte_the_card_that_a_folder_gets(plain: Store, tmp_path: Path) -> None:
    with s3_server(tmp_path / "log") as server, clients_of(server):
        store = Store(server.url("dir"))
        for name in all_files(plain):
            if name not in CARD_FILES:
                store.commit_bytes(plain.read_bytes(name), name)
        ended = curate("card", store.root)
        assert (ended.status, ended.err) == (0, "")
        assert curate("card", plain.root, "--output", str(tmp_path / "here")).status == 0
        for name in CARD_FILES:
            assert store.read_bytes(name) == (tmp_path / "here" / name).read_bytes()
