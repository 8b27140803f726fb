"""Annotation files of classification benchmarks become labelled videos."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from support.shard_factory import encode_root

from runtime.annotation_files import VideoFiles
from runtime.errors import UserError
from training.evaluation.benchmarks.classification import class_folders, hmdb51, kinetics, ssv2, ucf101
from training.evaluation.benchmarks.classification.classification_registry import read_labelled


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
    read = kinetics.read("kinetics400", path, VideoFiles(tmp_path / "videos"))
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
        kinetics.read("kinetics400", tmp_path, VideoFiles(tmp_path))


def test_a_kinetics_time_that_is_not_a_number_is_refused(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    path = kinetics_csv(tmp_path / "val.csv", [kinetics_row("a", start="soon")])
    with pytest.raises(UserError, match="column 'time_start' of a must be seconds, found 'soon'"):
        kinetics.read("kinetics400", path, VideoFiles(tmp_path))


def test_a_split_without_rows_is_refused_with_the_existing_splits(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    path = kinetics_csv(tmp_path / "all.csv", [kinetics_row("a", split="train")])
    with pytest.raises(UserError, match="no row of split 'val'; its column 'split' holds train"):
        kinetics.read("kinetics400", path, VideoFiles(tmp_path))


def test_missing_annotations_are_refused_with_the_expected_names(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=r"no val\.csv or kinetics400_val\.csv or validate\.csv"):
        kinetics.read("kinetics400", tmp_path, VideoFiles(tmp_path))


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


@pytest.mark.parametrize(
    ("name", "table"), [("kinetics600", "kinetics600_validate.csv"), ("kinetics700", "kinetics700_2020_val.csv")]
)
def test_the_larger_kinetics_are_read_from_tables_of_their_own_names(tmp_path: Path, name: str, table: str) -> None:
    video(tmp_path / "videos" / "abc.mp4")
    kinetics_csv(tmp_path / table, [kinetics_row("abc")])
    read = read_labelled(name, tmp_path, tmp_path / "videos")
    assert (read.name, read.split, read.classes, len(read.missing)) == (name, "val", ("abseiling",), 0)


def ucf101_files(root: Path, line: str = "YoYo/v_YoYo_g01_c02.avi") -> Path:
    (root / "classInd.txt").write_text("1 ApplyEyeMakeup\n2 YoYo\n")
    (root / "testlist01.txt").write_text(f"ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01.avi\n{line}\n")
    (root / "trainlist02.txt").write_text("YoYo/v_YoYo_g09_c01.avi 2\n")
    return root


def test_ucf101_classes_are_words_and_its_videos_are_found_by_name(tmp_path: Path) -> None:
    path = video(tmp_path / "videos" / "ApplyEyeMakeup" / "v_ApplyEyeMakeup_g01_c01.avi")
    read = read_labelled("ucf101", ucf101_files(tmp_path), tmp_path / "videos")
    assert read.classes == ("Apply Eye Makeup", "Yo Yo")
    assert [(item.id, item.path, item.label) for item in read.items] == [
        ("v_ApplyEyeMakeup_g01_c01.avi", path, 0),
        ("v_YoYo_g01_c02.avi", None, 1),
    ]
    (other,) = read_labelled("ucf101", tmp_path, tmp_path / "videos", "train2").items
    assert (other.id, other.label) == ("v_YoYo_g09_c01.avi", 1)


def test_a_ucf101_class_that_is_not_numbered_is_refused_with_the_nearest(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=r"class 'Yoyo' of v\.avi is not in classInd\.txt \(did you mean 'YoYo'"):
        ucf101.read(ucf101_files(tmp_path, "Yoyo/v.avi"), VideoFiles(tmp_path))


def hmdb51_files(root: Path, last: str = "kick_2.avi 1 ") -> Path:
    (root / "brush_hair_test_split1.txt").write_text("hair 1.avi 2 \nhair_2.avi 1 \nhair_3.avi 0 \n")
    (root / "kick_test_split1.txt").write_text(f"kick_1.avi 2 \n{last}\n")
    return root


def test_hmdb51_takes_the_videos_that_its_lists_mark(tmp_path: Path) -> None:
    path = video(tmp_path / "videos" / "hair 1.avi")
    read = read_labelled("hmdb51", hmdb51_files(tmp_path), tmp_path / "videos")
    assert read.classes == ("brush hair", "kick")
    assert [(item.id, item.path, item.label) for item in read.items] == [
        ("hair 1.avi", path, 0),
        ("kick_1.avi", None, 1),
    ]
    trained = read_labelled("hmdb51", tmp_path, tmp_path / "videos", "train")
    assert [item.id for item in trained.items] == ["hair_2.avi", "kick_2.avi"]


@pytest.mark.parametrize("last", ["kick_2.avi 3", "kick_2.avi", "1"])
def test_an_hmdb51_line_without_a_mark_is_refused(tmp_path: Path, last: str) -> None:
    video(tmp_path / "a.avi")
    with pytest.raises(UserError, match="line 2 must be a file name and 0, 1 or 2"):
        hmdb51.read(hmdb51_files(tmp_path, last), VideoFiles(tmp_path))


def test_a_split_that_a_benchmark_lacks_is_refused_with_those_it_has(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--split val: ucf101 has test, test2, test3, train, train2, train3"):
        read_labelled("ucf101", tmp_path, tmp_path, "val")
