"""Finished folders of scratch: whole, made from the same, or of no use."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from curation.media.in_flight.recorded_folder import RECORD, finish_folder, read_folder
from curation.media.in_flight.shard_scratch import ShardScratch, remove_shards_but
from curation.media.in_flight.shared_parts import SharedPlace


@dataclass(frozen=True)
class Note:
    """A record with a file."""

    path: Path
    words: tuple[tuple[float, str], ...]


_NOTE = TypeAdapter(Note)
_MADE_FROM: Mapping[str, Any] = {"row": {"source": "a", "start": 0.1}, "subtitles": None}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A finished folder with one file that its record names; another one was in its way."""
    work = tmp_path / "work"
    (work / "inside").mkdir(parents=True)
    (work / "inside" / "video.mp4").write_bytes(b"video")
    (work / "cookies.txt").write_text("secret")
    finish_folder(work, tmp_path / "kept", Note(work / "inside" / "video.mp4", ((0.1, "half \ud83d"),)), _MADE_FROM)
    return tmp_path / "kept"


def test_a_finished_folder_gives_its_record_back_and_holds_no_other_file(kept: Path) -> None:
    assert read_folder(kept, _NOTE, _MADE_FROM) == Note(Path("inside/video.mp4"), ((0.1, "half "),))
    assert {path.name for path in kept.rglob("*") if path.is_file()} == {"video.mp4", RECORD}
    assert not (kept.parent / "work").exists()


def test_a_folder_made_from_something_else_counts_as_missing(kept: Path) -> None:
    assert read_folder(kept, _NOTE, {**_MADE_FROM, "subtitles": "0123"}) is None


@pytest.mark.parametrize("damage", ["cut short", "gone", "no record", "half a record", "outside"])
def test_a_damaged_folder_counts_as_missing(kept: Path, damage: str) -> None:
    video, record = kept / "inside" / "video.mp4", kept / RECORD
    if damage == "cut short":
        video.write_bytes(b"vid")
    elif damage == "gone":
        video.unlink()
    elif damage == "no record":
        record.unlink()
    elif damage == "half a record":
        record.write_bytes(record.read_bytes()[:40])
    else:
        values = json.loads(record.read_text())
        record.write_text(json.dumps(replace_sizes(values, {"../work": 1})))
    assert read_folder(kept, _NOTE, _MADE_FROM) is None


def replace_sizes(values: dict[str, Any], sizes: dict[str, int]) -> dict[str, Any]:
    """Return the values of a record with other files."""
    return {**values, "sizes": sizes}


def test_only_the_folders_of_unfinished_shards_made_with_the_same_settings_are_left(tmp_path: Path) -> None:
    for hash_, shard in (("new", 1), ("new", 2), ("old", 1)):
        folder = ShardScratch.of(tmp_path, hash_, shard).folder
        for name in ("parts", "work"):
            (folder / name / "0000_v").mkdir(parents=True)
    remove_shards_but(tmp_path, "new", [2])
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("0000_v")} == {"media/new/0000002/parts/0000_v"}
    remove_shards_but(tmp_path, "new", [])
    assert list(tmp_path.iterdir()) == []


def test_the_shared_place_keeps_the_parts_of_unfinished_shards_only(tmp_path: Path, kept: Path) -> None:
    place = SharedPlace(str(tmp_path / "shared"), "/a/dir")
    for hash_, shard in (("new", 1), ("new", 2), ("old", 1)):
        place.parts(hash_, shard).put(kept)
    place.remove_shards_but("new", [2])
    assert [path.parent.name for path in (tmp_path / "shared").rglob("*.tar")] == ["0000002"]
    shutil.rmtree(kept)
    place.parts("new", 2).take(tmp_path / "kept")
    place.parts("new", 1).take(tmp_path / "nothing")
    assert read_folder(tmp_path / "kept", _NOTE, _MADE_FROM) is not None
    assert not (tmp_path / "nothing").exists()
    place.remove_shards_but("new", [])
    assert [path for path in (tmp_path / "shared").rglob("*") if path.is_file()] == []
