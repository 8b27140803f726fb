"""MSR-VTT (Xu et al. 2016), 1K-A split of JSFusion (Yu et al. 2018): 1000 test pairs, 995 of their sentences distinct.

The same 1000 pairs serve as test and validation set. The original `MSRVTT_data.json` holds the training captions,
about 20 for each video; `MSRVTT_train.9k.csv` (or `.7k.csv`) lists the training videos.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from runtime.annotation_files import VideoFiles, field, find_file, pick, read_csv, read_json
from runtime.errors import UserError
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalBenchmark, RetrievalSet, assemble

NAME: Final = "msrvtt"
SPLITS: Final = ("test", "train", "train_7k")

_CAPTIONS = ("MSRVTT_data.json", "MSRVTT_v2.json")
_FILES = {
    "test": (("MSRVTT_JSFUSION_test.csv",),),
    "train": (("MSRVTT_train.9k.csv",), _CAPTIONS),
    "train_7k": (("MSRVTT_train.7k.csv",), _CAPTIONS),
}


def read(annotations: Path, videos: VideoFiles, split: str = "test") -> RetrievalSet:
    """Read a split.

    Args:
        annotations: folder of the published files, or the CSV of the test split.
        videos: files, by id such as `video9770`.
        split: one of `SPLITS`; `train` has 9000 videos.

    Raises:
        UserError: a file or a column is missing.
    """
    return _test(annotations, videos) if split == "test" else _train(annotations, videos, split)


def _test(annotations: Path, videos: VideoFiles) -> RetrievalSet:
    names = [annotations.name] if annotations.suffix == ".csv" else []
    path = find_file(annotations, [*names, *_FILES["test"][0]], "the 1000 test pairs")
    captions: dict[str, list[str]] = {}
    for row in read_csv(path, ["video_id", "sentence"]):
        captions.setdefault(row["video_id"], []).append(row["sentence"])
    return assemble(NAME, "test", captions, videos)


def _train(annotations: Path, videos: VideoFiles, split: str) -> RetrievalSet:
    list_names, data_names = _FILES[split]
    list_path = find_file(annotations, list_names, "list of the training videos")
    data_path = find_file(annotations, data_names, "captions of all videos")
    data = read_json(data_path)
    captions: dict[str, list[str]] = {}
    for number, row in enumerate(field(data_path, data, "sentences", list, "the file")):
        video, caption = (field(data_path, row, name, str, f"sentence {number}") for name in ("video_id", "caption"))
        captions.setdefault(video, []).append(caption)
    ids = [row["video_id"] for row in read_csv(list_path, ["video_id"])]
    if len(set(ids)) != len(ids):
        raise UserError(f"{list_path}: lists some ids twice")
    return assemble(NAME, split, pick(ids, captions, list_path, data_path), videos)


BENCHMARK: Final = RetrievalBenchmark(
    name=NAME, splits=SPLITS, files=_FILES, size=(1000, 1000), read=read, distinct_texts=995
)
