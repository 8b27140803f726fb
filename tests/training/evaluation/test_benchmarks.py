"""Published annotation files become videos, texts and owners; what is not as published is said in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.shard_factory import LAYER, build_dir

from runtime.errors import UserError
from shards.errors import ShardError
from training.evaluation.benchmarks import activitynet, didemo, msrvtt, msvd, shards_benchmark, vatex
from training.evaluation.benchmarks.annotation_files import VideoFiles, read_csv, without_suffix
from training.evaluation.benchmarks.classification_registry import CLASSIFICATION_BENCHMARKS
from training.evaluation.benchmarks.classification_set import ClassificationBenchmark
from training.evaluation.benchmarks.retrieval_registry import RETRIEVAL_BENCHMARKS, read_retrieval
from training.evaluation.benchmarks.retrieval_set import RetrievalBenchmark
from training.evaluation.published_scores import RETRIEVAL


def videos(folder: Path, *names: str) -> VideoFiles:
    """Empty files of these names: loaders look for files, they don't open them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return VideoFiles(folder)


def write(path: Path, value: Any) -> None:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")


def test_msr_vtt_test_has_its_1000_pairs_and_995_sentences(shared_fixtures: Path, tmp_path: Path) -> None:
    found = msrvtt.read(shared_fixtures / "anno" / "MSRVTT", videos(tmp_path, "video9770.mp4"))
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
    write(tmp_path / "MSRVTT_data.json", {"videos": [], "sentences": sentences})
    found = msrvtt.read(tmp_path, videos(tmp_path / "videos", "video0.mp4"), "train_7k")
    assert (len(found.items), len(found.texts)) == (7010, 14_020)
    assert found.texts[2:4] == (f"{ids[1]} 0", f"{ids[1]} 1")
    assert found.owner[2:4] == (1, 1)


def test_a_semicolon_separated_copy_of_msr_vtt_is_read_too(tmp_path: Path) -> None:
    write(tmp_path / "MSRVTT_JSFUSION_test.csv", "key;vid_key;video_id;sentence\nret0;msr1;video1;a man, running\n")
    assert msrvtt.read(tmp_path, videos(tmp_path / "v", "video1.mp4")).texts == ("a man, running",)


def test_a_missing_column_is_named_with_those_that_exist(tmp_path: Path) -> None:
    write(tmp_path / "MSRVTT_JSFUSION_test.csv", "key,video_id,sentense\nret0,video1,hello\n")
    with pytest.raises(
        UserError, match=r"MSRVTT_JSFUSION_test.csv: no column 'sentence' \(did you mean 'sentense'\?\)"
    ):
        msrvtt.read(tmp_path, videos(tmp_path / "v", "video1.mp4"))


def test_a_missing_file_is_named_with_the_existing_files(tmp_path: Path) -> None:
    write(tmp_path / "other.csv", "a\n")
    with pytest.raises(UserError, match=r"no MSRVTT_JSFUSION_test.csv .*found: other.csv"):
        msrvtt.read(tmp_path, videos(tmp_path / "v", "video1.mp4"))


def test_a_folder_of_annotations_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file or folder"):
        msrvtt.read(tmp_path / "nothing", videos(tmp_path / "v", "video1.mp4"))


def test_didemo_joins_the_descriptions_of_each_listed_video_in_file_order(
    shared_fixtures: Path, tmp_path: Path
) -> None:
    anno = tmp_path / "anno"
    anno.mkdir()
    shutil.copy(shared_fixtures / "anno" / "didemo" / "val_data.json", anno)
    shutil.copy(shared_fixtures / "anno" / "collaborative-experts" / "didemo" / "val_list.txt", anno)
    first = "10175347@N00_4841555141_4eeb6a515a"
    found = didemo.read(anno, videos(tmp_path / "v", f"{first}.mp4"), "val")
    rows = json.loads((anno / "val_data.json").read_text())
    assert len(found.items) == len(found.texts) == 1065
    assert found.texts[0] == " ".join(row["description"].strip() for row in rows if row["video"].startswith(first))
    assert (found.items[0].start, found.items[0].end) == (0.0, 31.0)
    assert found.missing == tuple(range(1, 1065))


def test_the_1004_of_didemo_leave_out_what_is_not_on_the_list(shared_fixtures: Path, tmp_path: Path) -> None:
    shutil.copy(shared_fixtures / "anno" / "collaborative-experts" / "didemo" / "test_list.txt", tmp_path)
    listed = (tmp_path / "test_list.txt").read_text().split()
    rows = [{"video": f"{without_suffix(name)}.avi", "description": "something"} for name in [*listed, "extra_1.mov"]]
    write(tmp_path / "test_data.json", rows)
    found = didemo.read(tmp_path, videos(tmp_path / "v", "x.mp4"))
    assert (len(found.items), len(found.texts)) == didemo.BENCHMARK.size


def test_a_listed_video_without_description_is_named(tmp_path: Path) -> None:
    write(tmp_path / "test_list.txt", "a_1.mov\nb_2.mov\n")
    write(tmp_path / "test_data.json", [{"video": "a_1.mov", "description": "x"}])
    with pytest.raises(UserError, match=r"no captions for 1 of 2 videos .*such as b_2"):
        didemo.read(tmp_path, videos(tmp_path / "v", "x.mp4"))


@pytest.mark.parametrize("value", [5, {"a_1.mov": ["x"]}])
def test_descriptions_of_another_form_are_refused(tmp_path: Path, value: Any) -> None:
    write(tmp_path / "test_list.txt", "a_1.mov\n")
    write(tmp_path / "test_data.json", value)
    with pytest.raises(UserError, match=r"test_data\.json: must be a list of descriptions, found (int|dict)"):
        didemo.read(tmp_path, videos(tmp_path / "v", "x.mp4"))


def test_a_missing_field_is_named_with_the_entry(tmp_path: Path) -> None:
    write(tmp_path / "test_list.txt", "a_1.mov\n")
    write(tmp_path / "test_data.json", [{"video": "a_1.mov", "text": "x"}])
    with pytest.raises(UserError, match="no field of entry 0 'description'"):
        didemo.read(tmp_path, videos(tmp_path / "v", "x.mp4"))


def test_activitynet_paragraphs_are_the_published_joined_sentences(shared_fixtures: Path, tmp_path: Path) -> None:
    folder = shared_fixtures / "anno" / "activitynet"
    found = activitynet.read(folder / "anet_entities_val_1.json", videos(tmp_path, "v_uqiMw7tQ1Cc.mp4"))
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
    files = videos(tmp_path, "v_uqiMw7tQ1Cc.mp4")
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
        activitynet.read(tmp_path, videos(tmp_path / "v", "x.mp4"))
    half = json.loads((tmp_path / "anet_entities_val_1.json").read_text())
    listed = (tmp_path / "val_1_list.txt").read_text().split()
    rest = {key: {"duration": 9.0, "sentences": ["a", " b"]} for key in listed if key not in half}
    write(tmp_path / "anet_entities_test_1.json", rest)
    found = activitynet.read(tmp_path, videos(tmp_path / "v", "x.mp4"))
    assert (len(found.items), len(found.texts)) == activitynet.BENCHMARK.size
    assert [f"v_{item.id}" for item in found.items] == listed


def test_msvd_asks_with_every_caption_of_the_listed_videos(shared_fixtures: Path, tmp_path: Path) -> None:
    shutil.copy(shared_fixtures / "anno" / "MSVD" / "test_list.txt", tmp_path)
    ids = (tmp_path / "test_list.txt").read_text().split()
    captions = {video: [f"caption {n}" for n in range(1 + at % 3)] for at, video in enumerate([*ids, "not_listed"])}
    write(tmp_path / "captions_msvd.json", captions)
    found = msvd.read(tmp_path, videos(tmp_path / "v", f"{ids[0]}.avi"))
    assert len(found.items) == 670
    assert found.owner[:6] == (0, 1, 1, 2, 2, 2)
    assert found.items[0].media is not None


def test_captions_as_lists_of_words_are_joined(tmp_path: Path) -> None:
    write(tmp_path / "test_list.txt", "a\n")
    write(tmp_path / "raw-captions.json", {"a": [["a", "man", "runs"]]})
    assert msvd.read(tmp_path, videos(tmp_path / "v", "a.mp4")).texts == ("a man runs",)


def test_a_pickle_of_captions_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "raw-captions.pkl").write_bytes(b"cos\nsystem\n")
    with pytest.raises(UserError, match=r"convert it to raw-captions.json"):
        msvd.read(tmp_path, videos(tmp_path / "v", "a.mp4"))


@pytest.mark.parametrize(
    "data",
    [
        [{"videoID": "a_1_2", "enCap": ["one", "two"], "chCap": ["x"]}, {"videoID": "b_1_2", "enCap": ["three"]}],
        {"a_1_2": {"enCap": ["one", "two"]}, "b_1_2": {"enCap": ["three"]}},
    ],
)
def test_vatex_reads_both_published_forms(data: Any, tmp_path: Path) -> None:
    write(tmp_path / "vatex_data.json", data)
    write(tmp_path / "test_list.txt", "b_1_2\na_1_2\n")
    found = vatex.read(tmp_path, videos(tmp_path / "v", "a_1_2.mp4"))
    assert (found.texts, found.owner) == (("three", "one", "two"), (0, 1, 1))
    assert found.missing == (0,)


def test_videos_are_found_nested_with_any_ending_and_prefix(tmp_path: Path) -> None:
    found = videos(tmp_path, "a/b/x.MKV", "v_y.webm", "z.mov.mp4", "notes.txt", "w.avi", "w.mp4")
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
    videos(tmp_path / "elsewhere", "far.mp4")
    videos(tmp_path / "v", "a/near.mp4", "b/other.mp4")
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
        write(tmp_path / folder / "test_list.txt", "a\n")
    write(tmp_path / "captions_msvd.json", {"a": ["x"]})
    with pytest.raises(UserError, match=r"test_list.txt exists 2 times"):
        msvd.read(tmp_path, videos(tmp_path / "v", "a.mp4"))


def test_a_benchmark_or_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'msrvtt'"):
        read_retrieval("msrvt", tmp_path, tmp_path)
    with pytest.raises(UserError, match="msvd has test, val, train"):
        read_retrieval("msvd", tmp_path, tmp_path, "dev")


def test_a_limit_keeps_videos_with_all_their_texts(tmp_path: Path) -> None:
    write(tmp_path / "test_list.txt", "a\nb\nc\n")
    write(tmp_path / "captions_msvd.json", {"a": ["1", "2"], "b": ["3"], "c": ["4"]})
    found = msvd.read(tmp_path, videos(tmp_path / "v", "a.mp4")).first(2)
    assert (found.texts, found.owner, len(found.items)) == (("1", "2", "3"), (0, 0, 1), 2)
    assert "--limit" in found.notes[0]


def test_held_out_clips_are_kept_roots_with_their_byte_range_in_the_tar(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=2, videos_per_shard=2)
    found = shards_benchmark.read([store.root], ["grounded_text"], split="train")
    rows = [
        row for shard in range(2) for row in pq.read_table(f"{store.root}/text/{LAYER}/{shard:07d}.parquet").to_pylist()
    ]
    expected = [row for row in rows if row["parent_key"] is None and row["keep"]]
    assert [item.id for item in found.items] == [row["key"] for row in expected]
    assert list(found.texts) == [row["grounded_text"] for row in expected]
    media = found.items[0].media
    assert media is not None
    assert Path(media.url).read_bytes()[media.offset + 4 : media.offset + 8] == b"ftyp"
    assert (found.items[0].start, found.items[0].end) == (0.25, 24.25)


def test_clips_of_one_level_can_be_selected(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    found = shards_benchmark.read([store.root], ["grounded_text"], split="train", clips="medium")
    assert len(found.items) == 4
    assert found.items[0].start == 0.25


def test_the_first_column_that_is_not_empty_gives_the_text(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    found = shards_benchmark.read([store.root], ["subtitle_summary", "caption"], split="train")
    assert found.texts[0].startswith("word")
    assert found.texts[1].startswith("a grey wall")


def test_an_empty_split_is_refused_with_the_flags_to_change(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    with pytest.raises(UserError, match="no kept root clip of split 'val'"):
        shards_benchmark.read([store.root], ["caption"])


@pytest.mark.parametrize(
    ("columns", "layer", "said"),
    [
        (["captoin"], None, "no column 'captoin'"),
        (["start"], None, "holds no text"),
        (["caption"], "nope", "no text layer"),
    ],
)
def test_a_column_or_layer_that_is_not_there_is_named(
    columns: list[str], layer: str | None, said: str, tmp_path: Path
) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    with pytest.raises((UserError, ShardError), match=said):
        shards_benchmark.read([store.root], columns, layer=layer)


def test_published_recalls_grow_with_their_k() -> None:
    for directions in RETRIEVAL.values():
        for scores in (row.scores for rows in directions.values() for row in rows):
            recalls = [scores[name] for name in ("r1", "r5", "r10") if name in scores]
            assert recalls == sorted(set(recalls))
            assert recalls[0] > 0 and recalls[-1] <= 100


@pytest.mark.parametrize("benchmark", [*RETRIEVAL_BENCHMARKS.values(), *CLASSIFICATION_BENCHMARKS.values()])
def test_the_guide_lists_the_annotation_files_of_each_benchmark(
    benchmark: RetrievalBenchmark | ClassificationBenchmark,
) -> None:
    guide = Path(__file__).parents[3] / "docs" / "vidla.md"
    lines = guide.read_text(encoding="utf-8").splitlines()
    row = next(line for line in lines if line.startswith(f"| `{benchmark.name}` |"))
    for files in benchmark.files.values():
        for names in files:
            assert f"`{names[0]}`" in row


def test_a_row_without_its_sentence_is_named_by_line(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("key,sentence\na,a dog\nb\n")
    with pytest.raises(UserError, match="line 3: column 'sentence' is empty"):
        read_csv(table, ["key", "sentence"])
