"""Look-up of annotation and video files, and messages about files that are not as published."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.benchmark_files import video_files, write_annotations

from runtime.annotation_files import VideoFiles, read_csv
from runtime.errors import UserError
from training.evaluation.benchmarks.retrieval import msrvtt, msvd


def test_a_missing_column_is_named_with_those_that_exist(tmp_path: Path) -> None:
    write_annotations(tmp_path / "MSRVTT_JSFUSION_test.csv", "key,video_id,sentense\nret0,video1,hello\n")
    with pytest.raises(
        UserError, match=r"MSRVTT_JSFUSION_test.csv: no column 'sentence' \(did you mean 'sentense'\?\)"
    ):
        msrvtt.read(tmp_path, video_files(tmp_path / "v", "video1.mp4"))


def test_a_missing_file_is_named_with_the_existing_files(tmp_path: Path) -> None:
    write_annotations(tmp_path / "other.csv", "a\n")
    with pytest.raises(UserError, match=r"no MSRVTT_JSFUSION_test.csv .*found: other.csv"):
        msrvtt.read(tmp_path, video_files(tmp_path / "v", "video1.mp4"))


def test_a_folder_of_annotations_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file or folder"):
        msrvtt.read(tmp_path / "nothing", video_files(tmp_path / "v", "video1.mp4"))


def test_videos_are_found_nested_with_any_ending_and_prefix(tmp_path: Path) -> None:
    found = video_files(tmp_path, "a/b/x.MKV", "v_y.webm", "z.mov.mp4", "notes.txt", "w.avi", "w.mp4")
    assert len(found) >= 4
    assert [path and path.name for path in map(found.find, ("x", "y", "z.mov", "z", "w", "notes"))] == [
        "x.MKV",
        "v_y.webm",
        "z.mov.mp4",
        "z.mov.mp4",
        "w.mp4",
        None,
    ]


def test_links_to_folders_above_are_skipped_and_other_links_are_followed(tmp_path: Path) -> None:
    video_files(tmp_path / "elsewhere", "far.mp4")
    video_files(tmp_path / "v", "a/near.mp4", "b/other.mp4")
    for name in ("a", "b"):
        (tmp_path / "v" / name / "up").symlink_to(tmp_path / "v")
    (tmp_path / "v" / "linked").symlink_to(tmp_path / "elsewhere")
    assert len(VideoFiles(tmp_path / "v")) == 3


def test_a_folder_without_videos_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no videos in it"):
        VideoFiles(tmp_path)


def test_several_lists_of_one_name_are_refused(tmp_path: Path) -> None:
    for folder in ("didemo", "msvd"):
        (tmp_path / folder).mkdir()
        write_annotations(tmp_path / folder / "test_list.txt", "a\n")
    write_annotations(tmp_path / "captions_msvd.json", {"a": ["x"]})
    with pytest.raises(UserError, match=r"test_list.txt exists 2 times"):
        msvd.read(tmp_path, video_files(tmp_path / "v", "a.mp4"))


def test_a_row_without_its_sentence_is_named_by_line(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("key,sentence\na,a dog\nb\n")
    with pytest.raises(UserError, match="line 3: column 'sentence' is empty"):
        read_csv(table, ["key", "sentence"])
