import csv
import json
from pathlib import Path

import pytest
from support.shard_factory import encode_root

from runtime.errors import UserError
from training.evaluation.benchmarks import class_folders, kinetics, ssv2
from training.evaluation.benchmarks.annotation_files import VideoFiles
from training.evaluation.benchmarks.classification_registry import read_labelled
from training.evaluation.video.class_prompts import KINETICS, fill, templates_of
from training.evaluation.video.video_views import (
    Views,
    crops,
    dense_seconds,
    dense_window,
    dense_windows,
    drawn_span,
    plan_views,
    uniform_span,
)


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


# --- templates


def test_kinetics_has_the_28_templates_of_the_published_list_in_its_order():
    assert len(set(KINETICS)) == 28
    assert KINETICS[:2] == ("a photo of {}.", "a photo of a person {}.")
    assert KINETICS[13:15] == ("a video of a person practicing {}.", "a example of {}.")
    assert templates_of("kinetics400") == KINETICS
    assert templates_of("ssv2") == ("a video of {}.",)


def test_braces_in_a_class_name_are_put_in_as_they_stand():
    assert fill("folding {paper}", ("a video of {}.",)) == ["a video of folding {paper}."]


# --- views


def test_views_are_written_as_spans_times_squares():
    assert Views.parse("5x3") == Views(5, 3)


@pytest.mark.parametrize("text", ["5", "0x3", "5x2", "ax3", "x3", "5x3x1"])
def test_other_numbers_of_views_are_refused(text):
    with pytest.raises(UserError, match="--views"):
        Views.parse(text)


def test_dense_windows_go_from_the_first_to_the_last_that_fits():
    assert dense_windows(0.0, 10.0, 2.0, 5) == [(0.0, 2.0), (2.0, 4.0), (4.0, 6.0), (6.0, 8.0), (8.0, 10.0)]
    assert dense_windows(1.0, 11.0, 2.0, 1) == [(5.0, 7.0)]


def test_a_video_shorter_than_the_window_is_taken_whole():
    assert dense_window(3.0, 4.0, 2.0, 0.7) == (3.0, 4.0)


def test_a_dense_window_of_sixteen_frames_spans_64_frames_at_thirty_a_second():
    assert dense_seconds(16) == pytest.approx(64 / 30)


@pytest.mark.parametrize("u", [0.0, 0.3, 0.999])
def test_a_drawn_dense_window_lies_in_the_video(u):
    begin, end = drawn_span("dense", 2.0, 12.0, 16, u)
    assert 2.0 <= begin < end <= 12.0
    assert end - begin == pytest.approx(64 / 30)


def middles(span, frames):
    begin, end = span
    return [begin + (index + 0.5) * (end - begin) / frames for index in range(frames)]


def test_dense_views_are_decoded_span_by_span_and_uniform_ones_dealt_out_of_one():
    assert plan_views("dense", 0.0, 8.0, 15, 2) == ([(0.0, 2.0), (6.0, 8.0)], 15, 1)
    assert plan_views("uniform", 0.0, 8.0, 4, 2) == ([(0.0, 8.0)], 8, 2)


@pytest.mark.parametrize("u", [0.0, 0.5, 0.999])
def test_each_frame_of_a_shifted_uniform_span_stays_in_its_segment(u):
    span = uniform_span(0.0, 8.0, 4, u)
    times = middles(span, 4)
    assert 0.0 <= span[0] < span[1] <= 8.0
    assert [int(time // 2) for time in times] == [0, 1, 2, 3]


def test_three_squares_lie_along_the_longer_side():
    assert [(crop.x, crop.y) for crop in crops(3, 640, 480)] == [(0.0, 0.5), (0.5, 0.5), (1.0, 0.5)]
    assert [(crop.x, crop.y) for crop in crops(3, 480, 640)] == [(0.5, 0.0), (0.5, 0.5), (0.5, 1.0)]
    assert [(crop.x, crop.y) for crop in crops(1, 640, 480)] == [(0.5, 0.5)]


# --- benchmarks


def test_kinetics_videos_are_found_by_id_and_by_id_and_times(tmp_path):
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


def test_a_kinetics_file_without_a_column_is_refused_by_name(tmp_path):
    video(tmp_path / "a.mp4")
    (tmp_path / "val.csv").write_text("name,youtube_id\nx,y\n")
    with pytest.raises(UserError, match=r"val\.csv: no column 'label' \(valid: name, youtube_id\)"):
        kinetics.read(tmp_path, VideoFiles(tmp_path))


def test_a_kinetics_time_that_is_no_number_is_refused(tmp_path):
    video(tmp_path / "a.mp4")
    path = kinetics_csv(tmp_path / "val.csv", [kinetics_row("a", start="soon")])
    with pytest.raises(UserError, match="column 'time_start' of a must be seconds, found 'soon'"):
        kinetics.read(path, VideoFiles(tmp_path))


def test_a_split_without_rows_is_refused_with_those_there_are(tmp_path):
    video(tmp_path / "a.mp4")
    path = kinetics_csv(tmp_path / "all.csv", [kinetics_row("a", split="train")])
    with pytest.raises(UserError, match="no row of split 'val'; its column 'split' holds train"):
        kinetics.read(path, VideoFiles(tmp_path))


def test_annotations_that_are_not_there_are_refused_with_the_names_looked_for(tmp_path):
    video(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=r"no val\.csv or kinetics400_val\.csv or validate\.csv"):
        kinetics.read(tmp_path, VideoFiles(tmp_path))


def write_ssv2(root: Path, entries: object, labels: object = None) -> Path:
    labels = {"Holding something": "1", "Dropping something into something": "0"} if labels is None else labels
    (root / "labels.json").write_text(json.dumps(labels))
    (root / "validation.json").write_text(json.dumps(entries))
    return root


def test_ssv2_templates_are_matched_without_their_brackets(tmp_path):
    path = video(tmp_path / "videos" / "7.webm")
    entries = [{"id": "7", "label": "holding a cup", "template": "Holding [something]", "placeholders": ["a cup"]}]
    read = ssv2.read(write_ssv2(tmp_path, entries), VideoFiles(tmp_path / "videos"))
    assert read.classes == ("Dropping something into something", "Holding something")
    assert [(item.id, item.path, item.label) for item in read.items] == [("7", path, 1)]
    assert ssv2.read(tmp_path / "validation.json", VideoFiles(tmp_path / "videos")) == read


def test_an_ssv2_entry_of_the_test_split_is_refused(tmp_path):
    video(tmp_path / "7.mp4")
    with pytest.raises(UserError, match=r"entry 0 \(the test split has none\) 'template'"):
        ssv2.read(write_ssv2(tmp_path, [{"id": "7"}]), VideoFiles(tmp_path))


def test_an_ssv2_class_that_labels_lack_is_refused_with_the_nearest(tmp_path):
    video(tmp_path / "7.mp4")
    entries = [{"id": "7", "template": "Holdin [something]"}]
    with pytest.raises(UserError, match="did you mean 'Holding something'"):
        ssv2.read(write_ssv2(tmp_path, entries), VideoFiles(tmp_path))


def test_ssv2_indices_with_a_gap_are_refused(tmp_path):
    video(tmp_path / "7.mp4")
    with pytest.raises(UserError, match="indices must be 0 to 1"):
        ssv2.read(write_ssv2(tmp_path, [], labels={"a": "0", "b": "2"}), VideoFiles(tmp_path))


def test_a_folder_of_folders_gives_a_class_a_folder(tmp_path):
    for name in ("val/riding_a_bike/1.mp4", "val/jumping/2.mkv", "val/jumping/3.mp4"):
        video(tmp_path / name)
    read = class_folders.read(tmp_path)
    assert read.classes == ("jumping", "riding a bike")
    assert [(item.id, item.label) for item in read.items] == [
        ("jumping/2.mkv", 0),
        ("jumping/3.mp4", 0),
        ("riding_a_bike/1.mp4", 1),
    ]


def test_a_folder_without_two_classes_is_refused(tmp_path):
    video(tmp_path / "only" / "1.mp4")
    with pytest.raises(UserError, match="has 1 class folders"):
        class_folders.read(tmp_path)


def test_a_benchmark_is_opened_by_name(tmp_path):
    for name in ("a/1.mp4", "b/2.mp4"):
        video(tmp_path / name)
    assert read_labelled("folder", None, tmp_path, "val") == class_folders.read(tmp_path)
    with pytest.raises(UserError, match="--annotations: must be given for ssv2"):
        read_labelled("ssv2", None, tmp_path, "val")


def test_labels_follow_the_order_of_a_heads_classes(tmp_path):
    for name in ("a/1.mp4", "b/2.mp4"):
        video(tmp_path / name)
    read = class_folders.read(tmp_path)
    turned = read.in_order_of(["b", "c", "a"])
    assert [item.label for item in turned.items] == [2, 0]
    with pytest.raises(UserError, match="the head lacks 1 of its 2 classes, such as 'a'"):
        read.in_order_of(["b", "c"])
