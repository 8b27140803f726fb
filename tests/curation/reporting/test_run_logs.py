"""The logs of runs: in the DIR from the start, or committed to an object store at the end."""

from __future__ import annotations

from pathlib import Path

from curation.reporting.run_logs import commit_logs, log_folder, run_logs
from shards.storage.store import Store


def test_the_logs_in_scratch_are_moved_to_an_object_store(tmp_path: Path) -> None:
    store = Store("memory://dir-with-logs")
    folder = log_folder(store, tmp_path)
    folder.mkdir()
    for name in ("20260101T000000Z.jsonl", "20260101T000000Z.trace.json"):
        (folder / name).write_text(name)
    commit_logs(store, tmp_path)
    assert run_logs(store) == ["log/20260101T000000Z.jsonl"]
    assert store.read_bytes("log/20260101T000000Z.trace.json") == b"20260101T000000Z.trace.json"
    assert not list(folder.iterdir())


def test_a_dir_on_disk_has_its_logs_from_the_start(tmp_path: Path) -> None:
    store = Store(tmp_path / "dir")
    assert log_folder(store, tmp_path / "scratch") == tmp_path / "dir" / "log"
    commit_logs(store, tmp_path / "scratch")
    assert run_logs(store) == []
