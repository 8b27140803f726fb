"""`curate clean-of` over whole DIRs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.duplicates import SET, VECTORS, score, score_all, some_hashes, some_vectors
from support.shard_factory import build_dir
from support.small_videos import small_video

from curation.cli import main
from curation.selection.decontamination import benchmark_videos
from shards.checks.check_dir import check
from shards.manifest import StageMark, write_stage
from shards.reader import read_artifact, read_table
from shards.schema import CONTAMINATION
from shards.storage.store import Store

NAME = "abcdefghijk_1_9"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A DIR with one shard of two videos, and its scores."""
    made = build_dir(tmp_path / "dir", shards=1, videos_per_shard=2)
    score_all(made)
    return made


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    """A list with one video."""
    path = tmp_path / "test_list.txt"
    path.write_text(f"{NAME}\n")
    return path


def clean_of(store: Store, annotations: Path, *arguments: str) -> int:
    command = ["clean-of", store.root, "--benchmark", "msvd", "--annotations", str(annotations)]
    return main([*command, *arguments])


def rows(store: Store) -> list[dict[str, Any]]:
    return read_table(store, "contamination/msvd.parquet").to_pylist()


def test_nothing_that_matches_is_a_table_without_rows(
    store: Store, annotations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert clean_of(store, annotations) == 0
    assert rows(store) == []
    assert read_table(store, "contamination/msvd.parquet").schema.remove_metadata().equals(CONTAMINATION)
    out = capsys.readouterr().out
    assert "msvd: 0 of 1 videos match 0 clips" in out
    assert "no --videos: pictures were not compared" in out
    assert check(store, decode=False) == []


def test_the_table_names_all_that_was_looked_at(store: Store, annotations: Path) -> None:
    clean_of(store, annotations)
    record = read_artifact(store, "contamination/msvd.parquet")
    assert {"media/0000000.parquet", "text/grounded/0000000.parquet"} <= record.inputs.keys()


def with_video(folder: Path, monkeypatch: pytest.MonkeyPatch, hashes: np.ndarray) -> Path:
    """Write a video of the benchmark whose frames have these hashes."""
    folder.mkdir()
    (folder / f"{NAME}.avi").touch()
    found = (np.arange(len(hashes)) / 2, hashes)
    monkeypatch.setattr(benchmark_videos, "hash_videos", lambda paths: ({0: found}, 0))
    return folder


def test_clips_that_show_a_video_of_the_benchmark_match(
    store: Store, annotations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = with_video(tmp_path / "videos", monkeypatch, some_hashes(0)[4:14] ^ np.uint64(7))
    assert clean_of(store, annotations, "--videos", str(videos)) == 0
    found = rows(store)
    clips = read_table(store, "media/0000000.parquet").to_pylist()
    (root,) = [clip for clip in clips if clip["key"] == found[0]["key"]]
    shown = [clip["key"] for clip in clips if clip["root_key"] == root["key"] and clip["start"] - root["start"] < 5.5]
    assert [row["key"] for row in found] == shown  # seconds 2 to 7 of the root
    assert {(row["kind"], row["benchmark"], row["benchmark_id"]) for row in found} == {("perceptual", "msvd", NAME)}
    assert found[0]["reason"].startswith("shows 5.0 s of it (from 0.0 s, speed 1.00)")
    assert "perceptual: 1 videos, 3 clips" in capsys.readouterr().out


def test_a_real_file_is_decoded_and_an_unreadable_one_is_counted(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / f"{NAME}.mp4").write_bytes(small_video("mp4"))
    (videos / "bbbbbbbbbbb_1_9.avi").write_text("#EXTM3U\nfile:///etc/passwd")
    (tmp_path / "list.txt").write_text(f"{NAME}\nbbbbbbbbbbb_1_9\nccccccccccc_1_9\n")
    assert clean_of(store, tmp_path / "list.txt", "--videos", str(videos)) == 0
    out = capsys.readouterr().out
    assert "1 videos are unreadable" in out
    assert "1 of 3 videos are not in" in out


def curated_benchmark(folder: Path, **scores: Any) -> Store:
    """A DIR made of the benchmark's video, with scores."""
    made = build_dir(folder, shards=1, videos_per_shard=1)
    score(made, 0, **scores)
    return made


def test_clips_near_the_vectors_of_a_curated_benchmark_match(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows_there = read_table(store, "media/0000000.parquet").num_rows
    theirs = curated_benchmark(
        tmp_path / "benchmark", vectors=some_vectors(rows_there, 0)[:6], hashes={0: some_hashes(9)}
    )
    name = Path(read_table(theirs, "media/0000000.parquet")["source"][0].as_py()).stem
    (tmp_path / "test.csv").write_text(f"video_id,sentence\n{name},x\n")
    command = ["clean-of", store.root, "--benchmark", "msrvtt", "--annotations", str(tmp_path / "test.csv")]
    assert main([*command, "--name", "msvd", "--videos", theirs.root, "--vectors", VECTORS]) == 0
    near = [row for row in rows(store) if row["kind"] == "semantic"]
    assert len(near) == 6 and all(row["score"] > 0.99 for row in near)
    assert "semantic: 1 videos, 6 clips" in capsys.readouterr().out
    write_stage(theirs, f"scores/{SET}", StageMark("score", "h", {"vectors": {"look": "path:///other"}}))
    assert main([*command, "--name", "msvd", "--videos", theirs.root, "--vectors", VECTORS]) == 2
    assert "made by path:///m (16 numbers)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vectors", "mine.look"], "--vectors mine.look: needs --videos"),
        (["--videos", "/nowhere"], "--videos /nowhere: there is no such folder"),
        (["--layer", "groundde"], "--layer groundde"),
        (["--name", "a/b"], "clean_of.name='a/b'"),
    ],
)
def test_a_mistake_is_named_in_one_line(
    store: Store, annotations: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert clean_of(store, annotations, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_raw_videos_have_no_vectors(
    store: Store, annotations: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    videos = with_video(tmp_path / "videos", monkeypatch, some_hashes(5))
    assert clean_of(store, annotations, "--videos", str(videos), "--vectors", VECTORS) == 2
    assert "curate them into a DIR of their own" in capsys.readouterr().err


def test_videos_that_are_not_those_of_the_benchmark_are_refused(
    store: Store, annotations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "holiday.mp4").touch()
    assert clean_of(store, annotations, "--videos", str(tmp_path / "videos")) == 2
    assert f"none of the 1 videos in it is named like one of 1 videos of the benchmark, such as {NAME}" in (
        capsys.readouterr().err
    )
