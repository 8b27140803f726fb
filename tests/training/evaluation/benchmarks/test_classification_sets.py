"""Annotation files of classification benchmarks become labelled videos."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from support.shard_factory import encode_root

from runtime.annotation_files import VideoFiles
from runtime.errors import UserError
from training.evaluation.benchmarks import class_folders, kinetics, ssv2
from training.evaluation.benchmarks.classification_registry import read_labelled


def video(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_root(16, audio=False))
    return path


def kinetics_csv(path: Path, rows: list[dict[str, object]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["label", "youtube_id", "time_start", "time_end", "split"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def kinetics_row(id: str, label: str = "abseiling", split: str = "validate", start: object = 5) -> dict[str, object]:
    return {"label": label, "youtube_id": id, "time_start": start, "time_end": 15, "split": split}


def test_kinetics_videos_are_found_by_id_and_by_id_and_times(tmp_path: Path) -> None:
    rows = [
        kinetics_row("abc_-1"),
        kinetics_row("xyz", "zumba"),
        kinetics_row("gone"),
        kinetics_row("t", split="train"),
    ]
    path = kinetics_csv(tmp_path / "val.csv", rows)
    trimmed = video(tmp_path / "videos" / "abseiling" / "abc_-1_000005_000015.mp4")
    whole = video(tmp_path / "videos" / "xyz.mp4")
    read = kinetics.read(path, VideoFiles(tmp_path / "videos"))
    assert read.classes == ("abseiling", "zumba")
    assert [(item.path, item.label, item.start, item.end) for item in read.items] == [
        (trimmed, 0, None, None),
        (whole, 1, 5.0, 15.0),
        (None, 0, 5.0, 15.0),
    ]
    assert [item.id for item in read.missing] == ["gone"]


def test_a_kinetics_file_without_a_column_is_refused_by_name(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    (tmp_path / "val.csv").write_text("name,youtube_id\nx,y\n")
    with pytest.raises(UserError, match=r"val\.csv: no column 'label' \(valid: name, youtube_id\)"):
        kinetics.read(tmp_path, VideoFiles(tmp_path))


def test_a_kinetics_time_that_is_not_a_number_is_refused(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    path = kinetics_csv(tmp_path / "val.csv", [kinetics_row("a", start="soon")])
    with pytest.raises(UserError, match="column 'time_start' of a must be seconds, found 'soon'"):
        kinetics.read(path, VideoFiles(tmp_path))


def test_a_split_without_rows_is_refused_with_the_existing_splits(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    path = kinetics_csv(tmp_path / "all.csv", [kinetics_row("a", split="train")])
    with pytest.raises(UserError, match="no row of split 'val'; its column 'split' holds train"):
        kinetics.read(path, VideoFiles(tmp_path))


def test_missing_annotations_are_refused_with_the_expected_names(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=r"no val\.csv or kinetics400_val\.csv or validate\.csv"):
        kinetics.read(tmp_path, VideoFiles(tmp_path))


def write_ssv2(root: Path, entries: object, labels: object = None) -> Path:
    labels = {"Holding something": "1", "Dropping something into something": "0"} if labels is None else labels
    (root / "labels.json").write_text(json.dumps(labels))
    (root / "validation.json").write_text(json.dumps(entries))
    return root


def test_ssv2_templates_are_matched_without_their_brackets(tmp_path: Path) -> None:
    path = video(tmp_path / "videos" / "7.webm")
    entries = [{"id": "7", "label": "holding a cup", "template": "Holding [something]", "placeholders": ["a cup"]}]
    read = ssv2.read(write_ssv2(tmp_path, entries), VideoFiles(tmp_path / "videos"))
    assert read.classes == ("Dropping something into something", "Holding something")
    assert [(item.id, item.path, item.label) for item in read.items] == [("7", path, 1)]
    assert ssv2.read(tmp_path / "validation.json", VideoFiles(tmp_path / "videos")) == read


def test_an_ssv2_entry_of_the_test_split_is_refused(tmp_path: Path) -> None:
    video(tmp_path / "7.mp4")
    with pytest.raises(UserError, match=r"entry 0 \(the test split has none\) 'template'"):
        ssv2.read(write_ssv2(tmp_path, [{"id": "7"}]), VideoFiles(tmp_path))


def test_an_ssv2_class_that_labels_lack_is_refused_with_the_nearest(tmp_path: Path) -> None:
    video(tmp_path / "7.mp4")
    entries = [{"id": "7", "template": "Holdin [something]"}]
    with pytest.raises(UserError, match="did you mean 'Holding something'"):
        ssv2.read(write_ssv2(tmp_path, entries), VideoFiles(tmp_path))


def test_ssv2_indices_with_a_gap_are_refused(tmp_path: Path) -> None:
    video(tmp_path / "7.mp4")
    with pytest.raises(UserError, match="indices must be 0 to 1"):
        ssv2.read(write_ssv2(tmp_path, [], labels={"a": "0", "b": "2"}), VideoFiles(tmp_path))


def test_a_folder_of_folders_gives_a_class_a_folder(tmp_path: Path) -> None:
    for name in ("val/riding_a_bike/1.mp4", "val/jumping/2.mkv", "val/jumping/3.mp4"):
        video(tmp_path / name)
    read = class_folders.read(tmp_path)
    assert read.classes == ("jumping", "riding a bike")
    assert [(item.id, item.label) for item in read.items] == [
        ("jumping/2.mkv", 0),
        ("jumping/3.mp4", 0),
        ("riding_a_bike/1.mp4", 1),
    ]


def test_a_folder_without_two_classes_is_refused(tmp_path: Path) -> None:
    video(tmp_path / "only" / "1.mp4")
    with pytest.raises(UserError, match="has 1 class folders"):
        class_folders.read(tmp_path)


def test_a_benchmark_is_opened_by_name(tmp_path: Path) -> None:
    for name in ("a/1.mp4", "b/2.mp4"):
        video(tmp_path / name)
    assert read_labelled("folder", None, tmp_path, "val") == class_folders.read(tmp_path)
    with pytest.raises(UserError, match="--annotations: must be given for ssv2"):
        read_labelled("ssv2", None, tmp_path, "val")


def test_labels_follow_the_order_of_a_heads_classes(tmp_path: Path) -> None:
    for name in ("a/1.mp4", "b/2.mp4"):
        video(tmp_path / name)
    read = class_folders.read(tmp_path)
    turned = read.in_order_of(["b", "c", "a"])
    assert [item.label for item in turned.items] == [2, 0]
    with pytest.raises(UserError, match="the head lacks 1 of its 2 classes, such as 'a'"):
        read.in_order_of(["b", "c"])
