"""Annotation files of retrieval benchmarks become videos, texts and owners."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from support.benchmark_files import video_files, write_annotations

from runtime.annotation_files import without_suffix
from runtime.errors import UserError
from training.evaluation.benchmarks.retrieval import activitynet, didemo, lsmdc, msrvtt, msvd, vatex


def test_msr_vtt_test_has_its_1000_pairs_and_995_sentences(shared_fixtures: Path, tmp_path: Path) -> None:
    found = msrvtt.read(shared_fixtures / "anno" / "MSRVTT", video_files(tmp_path, "video9770.mp4"))
    assert (len(found.items), len(found.texts)) == msrvtt.BENCHMARK.size
    assert len(set(found.texts)) == msrvtt.BENCHMARK.distinct_texts
    assert found.owner == tuple(range(1000))
    assert (found.items[0].id, found.texts[0]) == ("video9770", "a person is connecting something to system")
    assert found.items[0].media is not None
    assert len(found.missing) == 999


def test_msr_vtt_train_has_the_captions_of_the_listed_videos(shared_fixtures: Path, tmp_path: Path) -> None:
    shutil.copy(shared_fixtures / "anno" / "MSRVTT" / "MSRVTT_train.7k.csv", tmp_path)
    ids = (tmp_path / "MSRVTT_train.7k.csv").read_text().split()[1:]
    sentences = [{"video_id": video, "caption": f"{video} {n}", "sen_id": n} for n in range(2) for video in ids]
    write_annotations(tmp_path / "MSRVTT_data.json", {"videos": [], "sentences": sentences})
    found = msrvtt.read(tmp_path, video_files(tmp_path / "videos", "video0.mp4"), "train_7k")
    assert (len(found.items), len(found.texts)) == (7010, 14_020)
    assert found.texts[2:4] == (f"{ids[1]} 0", f"{ids[1]} 1")
    assert found.owner[2:4] == (1, 1)


def test_a_semicolon_separated_copy_of_msr_vtt_is_read_too(tmp_path: Path) -> None:
    write_annotations(
        tmp_path / "MSRVTT_JSFUSION_test.csv", "key;vid_key;video_id;sentence\nret0;msr1;video1;a man, running\n"
    )
    assert msrvtt.read(tmp_path, video_files(tmp_path / "v", "video1.mp4")).texts == ("a man, running",)


def test_didemo_joins_the_descriptions_of_each_listed_video_in_file_order(
    shared_fixtures: Path, tmp_path: Path
) -> None:
    anno = tmp_path / "anno"
    anno.mkdir()
    shutil.copy(shared_fixtures / "anno" / "didemo" / "val_data.json", anno)
    shutil.copy(shared_fixtures / "anno" / "collaborative-experts" / "didemo" / "val_list.txt", anno)
    first = "10175347@N00_4841555141_4eeb6a515a"
    found = didemo.read(anno, video_files(tmp_path / "v", f"{first}.mp4"), "val")
    rows = json.loads((anno / "val_data.json").read_text())
    assert len(found.items) == len(found.texts) == 1065
    assert found.texts[0] == " ".join(row["description"].strip() for row in rows if row["video"].startswith(first))
    assert (found.items[0].start, found.items[0].end) == (0.0, 31.0)
    assert found.missing == tuple(range(1, 1065))


def test_the_1004_of_didemo_leave_out_what_is_not_on_the_list(shared_fixtures: Path, tmp_path: Path) -> None:
    shutil.copy(shared_fixtures / "anno" / "collaborative-experts" / "didemo" / "test_list.txt", tmp_path)
    listed = (tmp_path / "test_list.txt").read_text().split()
    rows = [{"video": f"{without_suffix(name)}.avi", "description": "something"} for name in [*listed, "extra_1.mov"]]
    write_annotations(tmp_path / "test_data.json", rows)
    found = didemo.read(tmp_path, video_files(tmp_path / "v", "x.mp4"))
    assert (len(found.items), len(found.texts)) == didemo.BENCHMARK.size


def test_a_listed_video_without_description_is_named(tmp_path: Path) -> None:
    write_annotations(tmp_path / "test_list.txt", "a_1.mov\nb_2.mov\n")
    write_annotations(tmp_path / "test_data.json", [{"video": "a_1.mov", "description": "x"}])
    with pytest.raises(UserError, match=r"no captions for 1 of 2 videos .*such as b_2"):
        didemo.read(tmp_path, video_files(tmp_path / "v", "x.mp4"))


@pytest.mark.parametrize("value", [5, {"a_1.mov": ["x"]}])
def test_descriptions_of_another_form_are_refused(tmp_path: Path, value: Any) -> None:
    write_annotations(tmp_path / "test_list.txt", "a_1.mov\n")
    write_annotations(tmp_path / "test_data.json", value)
    with pytest.raises(UserError, match=r"test_data\.json: must be a list of descriptions, found (int|dict)"):
        didemo.read(tmp_path, video_files(tmp_path / "v", "x.mp4"))


def test_a_missing_field_is_named_with_the_entry(tmp_path: Path) -> None:
    write_annotations(tmp_path / "test_list.txt", "a_1.mov\n")
    write_annotations(tmp_path / "test_data.json", [{"video": "a_1.mov", "text": "x"}])
    with pytest.raises(UserError, match="no field of entry 0 'description'"):
        didemo.read(tmp_path, video_files(tmp_path / "v", "x.mp4"))


def test_activitynet_paragraphs_are_the_published_joined_sentences(shared_fixtures: Path, tmp_path: Path) -> None:
    folder = shared_fixtures / "anno" / "activitynet"
    found = activitynet.read(folder / "anet_entities_val_1.json", video_files(tmp_path, "v_uqiMw7tQ1Cc.mp4"))
    published = json.loads((folder / "anet_entities_val_1_para.json").read_text())
    assert len(found.items) == 2460
    for item, text in zip(found.items, found.texts, strict=True):
        assert text == " ".join(published[f"v_{item.id}"].split())
    assert found.items[0].media is not None
    assert found.items[0].duration == 55.15


def test_a_file_of_activitynet_paragraphs_is_the_same_as_one_of_sentences(
    shared_fixtures: Path, tmp_path: Path
) -> None:
    folder = shared_fixtures / "anno" / "activitynet"
    files = video_files(tmp_path, "v_uqiMw7tQ1Cc.mp4")
    joined = activitynet.read(folder / "anet_entities_val_1_para.json", files)
    apart = activitynet.read(folder / "anet_entities_val_1.json", files)
    assert dict(zip((item.id for item in joined.items), joined.texts, strict=True)) == dict(
        zip((item.id for item in apart.items), apart.texts, strict=True)
    )


def test_the_two_halves_of_activitynet_are_joined_by_the_list(shared_fixtures: Path, tmp_path: Path) -> None:
    anno = shared_fixtures / "anno"
    shutil.copy(anno / "activitynet" / "anet_entities_val_1.json", tmp_path)
    shutil.copy(anno / "collaborative-experts" / "activity-net" / "val_1_list.txt", tmp_path)
    with pytest.raises(UserError, match=r"no anet_entities_test_1.json"):
        activitynet.read(tmp_path, video_files(tmp_path / "v", "x.mp4"))
    half = json.loads((tmp_path / "anet_entities_val_1.json").read_text())
    listed = (tmp_path / "val_1_list.txt").read_text().split()
    rest = {key: {"duration": 9.0, "sentences": ["a", " b"]} for key in listed if key not in half}
    write_annotations(tmp_path / "anet_entities_test_1.json", rest)
    found = activitynet.read(tmp_path, video_files(tmp_path / "v", "x.mp4"))
    assert (len(found.items), len(found.texts)) == activitynet.BENCHMARK.size
    assert [f"v_{item.id}" for item in found.items] == listed


def test_msvd_asks_with_every_caption_of_the_listed_videos(shared_fixtures: Path, tmp_path: Path) -> None:
    shutil.copy(shared_fixtures / "anno" / "MSVD" / "test_list.txt", tmp_path)
    ids = (tmp_path / "test_list.txt").read_text().split()
    captions = {video: [f"caption {n}" for n in range(1 + at % 3)] for at, video in enumerate([*ids, "not_listed"])}
    write_annotations(tmp_path / "captions_msvd.json", captions)
    found = msvd.read(tmp_path, video_files(tmp_path / "v", f"{ids[0]}.avi"))
    assert len(found.items) == 670
    assert found.owner[:6] == (0, 1, 1, 2, 2, 2)
    assert found.items[0].media is not None


def test_captions_as_lists_of_words_are_joined(tmp_path: Path) -> None:
    write_annotations(tmp_path / "test_list.txt", "a\n")
    write_annotations(tmp_path / "raw-captions.json", {"a": [["a", "man", "runs"]]})
    assert msvd.read(tmp_path, video_files(tmp_path / "v", "a.mp4")).texts == ("a man runs",)


def test_a_pickle_of_captions_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "raw-captions.pkl").write_bytes(b"cos\nsystem\n")
    with pytest.raises(UserError, match=r"convert it to raw-captions.json"):
        msvd.read(tmp_path, video_files(tmp_path / "v", "a.mp4"))


@pytest.mark.parametrize(
    "data",
    [
        [{"videoID": "a_1_2", "enCap": ["one", "two"], "chCap": ["x"]}, {"videoID": "b_1_2", "enCap": ["three"]}],
        {"a_1_2": {"enCap": ["one", "two"]}, "b_1_2": {"enCap": ["three"]}},
    ],
)
def test_vatex_reads_both_published_forms(data: Any, tmp_path: Path) -> None:
    write_annotations(tmp_path / "vatex_data.json", data)
    write_annotations(tmp_path / "test_list.txt", "b_1_2\na_1_2\n")
    found = vatex.read(tmp_path, video_files(tmp_path / "v", "a_1_2.mp4"))
    assert (found.texts, found.owner) == (("three", "one", "two"), (0, 1, 1))
    assert found.missing == (0,)


def test_a_limit_keeps_videos_with_all_their_texts(tmp_path: Path) -> None:
    write_annotations(tmp_path / "test_list.txt", "a\nb\nc\n")
    write_annotations(tmp_path / "captions_msvd.json", {"a": ["1", "2"], "b": ["3"], "c": ["4"]})
    found = msvd.read(tmp_path, video_files(tmp_path / "v", "a.mp4")).first(2)
    assert (found.texts, found.owner, len(found.items)) == (("1", "2", "3"), (0, 0, 1), 2)
    assert "--limit" in found.notes[0]


def test_lsmdc_pairs_films_clips_with_their_sentences_and_counts_bad_lines(tmp_path: Path) -> None:
    clips = [f"1004_Juno_00.00.3{n}.022-00.00.3{n}.825" for n in range(2)]
    lines = [f"{clip}\t0\t1\t0\t1\tSOMEONE  looks {n}." for n, clip in enumerate(clips)]
    (tmp_path / "LSMDC16_challenge_1000_publictect.csv").write_text("\n".join([*lines, "no tabs here", ""]))
    found = lsmdc.read(tmp_path, video_files(tmp_path / "videos" / "1004_Juno", f"{clips[0]}.avi"))
    assert [item.id for item in found.items] == clips and found.missing == (1,)
    assert found.texts == ("SOMEONE looks 0.", "SOMEONE looks 1.")
    assert found.notes == (
        "1 of 3 lines of LSMDC16_challenge_1000_publictect.csv have no clip, no sentence or other columns",
    )


def test_an_lsmdc_table_of_another_form_is_refused(tmp_path: Path) -> None:
    (tmp_path / "LSMDC16_annos_val.csv").write_text("video_id,sentence\na,b\n")
    with pytest.raises(
        UserError, match=r"no line has 6 columns separated by tabs.*the first line is 'video_id,sentence'"
    ):
        lsmdc.read(tmp_path, video_files(tmp_path / "videos", "a.avi"), "val")
