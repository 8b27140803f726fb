"""Removal from a DIR in a store that speaks S3, served on loopback."""

from __future__ import annotations

from pathlib import Path

import fsspec
from support.curate_runs import curate
from support.removals import GONE, GONE_URL, contents, files_with, full_dir
from support.s3_server import clients_of, s3_server

from shards.checks.check_dir import check
from shards.removal.traces import all_files
from shards.storage.store import Store


def test_nothing_of_it_is_left_in_the_store_and_a_second_time_says_so(tmp_path: Path) -> None:
    with s3_server(tmp_path / "log") as server, clients_of(server):
        made, store = full_dir(tmp_path / "made", 1, audited=0), Store(server.url("dir"))
        for name in all_files(made):
            store.commit_bytes(made.read_bytes(name), name)
        asked = ["--ids", GONE, "--reason", "asked for"]
        arguments = ["remove", store.root, *asked, "--scratch", str(tmp_path / "scratch")]
        ended = curate(*arguments)
        assert ended.status == 0, ended
        assert check(store, decode=False) == []
        copy = tmp_path / "copy"
        fsspec.filesystem("s3").get(f"{server.url('dir')}/", f"{copy}/", recursive=True)
        assert files_with(copy, GONE_URL.encode(), f"{GONE}_".encode(), b"The secret title") == []
        assert curate("remove", made.root, *asked).status == 0
        here = {name: rows for name, rows in contents(made).items() if not name.startswith(("features/.", "scores/."))}
        assert {name.partition(" ")[0] for name in here} == set(all_files(store))
        assert curate(*arguments).out.strip() == f"{GONE}: was removed before"
