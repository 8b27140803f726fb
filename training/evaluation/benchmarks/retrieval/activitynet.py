"""ActivityNet Captions (Krishna et al. 2017) as paragraph retrieval: all sentences of a video form one text.

The customary test split is val_1 with 4917 videos, published in one file (`val_1.json`) or in two halves
(`anet_entities_val_1.json` and `anet_entities_test_1.json`). The whole video is used; ids lose their prefix `v_`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from runtime.annotation_files import (
    VideoFiles,
    field,
    find_file,
    find_optional,
    pick,
    read_list,
    read_object,
    strings,
)
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalBenchmark, RetrievalSet, assemble

NAME: Final = "activitynet"
SPLITS: Final = ("val_1", "train")

_WHOLE = {"val_1": "val_1.json", "train": "train.json"}
_HALVES = ("anet_entities_val_1.json", "anet_entities_test_1.json")


def read(annotations: Path, videos: VideoFiles, split: str = "val_1") -> RetrievalSet:
    """Read a split.

    Args:
        annotations: folder of the published files, or one file to use as the whole split (sentences, or paragraphs by
            id as in `anet_entities_val_1_para.json`). If the folder also has `{split}_list.txt`, only the videos on
            that list are used.
        videos: files, by id with or without `v_`.
        split: one of `SPLITS`.

    Raises:
        UserError: a file or a field is missing, or a listed video has no sentences.
    """
    paths = _sources(annotations, split)
    paragraphs: dict[str, list[str]] = {}
    durations: dict[str, float] = {}
    for path in paths:
        for key, row in read_object(path, "videos by id").items():
            video = key.removeprefix("v_")
            if isinstance(row, str):  # a file of paragraphs, whose sentences are already joined
                paragraphs[video] = strings(path, [row], key)
                continue
            sentences = strings(path, field(path, row, "sentences", list, key), f"'sentences' of {key}")
            paragraphs[video] = [" ".join(part for part in sentences if part)]
            durations[video] = float(field(path, row, "duration", (int, float), key))
    listed = None if annotations.is_file() else find_optional(annotations, [f"{split}_list.txt"])
    if listed is not None:
        ids = [line.removeprefix("v_") for line in read_list(listed)]
        paragraphs = pick(ids, paragraphs, listed, paths[0])
    return assemble(NAME, split, paragraphs, videos, durations=durations)


def _sources(annotations: Path, split: str) -> Sequence[Path]:
    """Return the files that hold a split together: one, or both halves."""
    if annotations.is_file():
        return [annotations]
    whole = find_optional(annotations, [_WHOLE[split]])
    if whole is None and split == "val_1" and find_optional(annotations, [_HALVES[0]]):
        return [find_file(annotations, [half], "half of val_1") for half in _HALVES]
    return [whole or find_file(annotations, [_WHOLE[split]], f"sentences of {split}")]


BENCHMARK: Final = RetrievalBenchmark(
    name=NAME,
    splits=SPLITS,
    files={"val_1": ((_WHOLE["val_1"], *_HALVES),), "train": ((_WHOLE["train"],),)},
    size=(4917, 4917),
    read=read,
)
