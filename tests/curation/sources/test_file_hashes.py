"""Hashes of local files, and the cache that keeps them."""

from __future__ import annotations

import os
from pathlib import Path

from support.read_sources import read_all
from support.source_files import write

from curation.sources.file_hashes import hash_files


def test_a_file_is_identified_by_its_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", "same"), write(tmp_path / "b.mp4", "same"), write(tmp_path / "c.mp4", "other")
    a, b, c = read_all([str(tmp_path)])
    assert a.video_id == b.video_id == "0967115f2813a3541eaef77de9d9d577"[:16]
    assert c.video_id != a.video_id


def test_a_hash_is_kept_until_the_file_changes(tmp_path: Path) -> None:
    path, store = write(tmp_path / "a.mp4", "one"), tmp_path / "cache" / "hashes"
    (first,) = hash_files([path], store)
    times = path.stat()
    path.write_text("two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert hash_files([path], store) == [first]
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    assert hash_files([path], store) != [first]


def test_a_cache_that_cannot_be_used_gives_the_same_hashes(tmp_path: Path) -> None:
    path, broken = write(tmp_path / "a.mp4"), write(tmp_path / "hashes", "this is no database" * 100)
    assert hash_files([path], broken) == hash_files([path], None)
