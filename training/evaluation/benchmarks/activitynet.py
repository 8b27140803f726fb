"""ActivityNet Captions (Krishna et al. 2017) as paragraph retrieval: all sentences of a video are one text.

The customary test split is val_1 with 4917 videos, published whole (`val_1.json`) or in two halves
(`anet_entities_val_1.json` and `anet_entities_test_1.json`). The whole video counts; ids lose their `v_`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runtime.errors import UserError
from training.evaluation.benchmarks.annotation_files import (
    VideoFiles,
    field,
    find_file,
    find_optional,
    pick,
    read_json,
    read_list,
    strings,
)
from training.evaluation.benchmarks.retrieval_set import RetrievalSet, assemble

NAME = "activitynet"
SPLITS = ("val_1", "train")

_WHOLE = {"val_1": "val_1.json", "train": "train.json"}
_HALVES = ("anet_entities_val_1.json", "anet_entities_test_1.json")


def read(annotations: Path, videos: VideoFiles, split: str = "val_1") -> RetrievalSet:
    """Read a split.

    Args:
        annotations: folder of the published files, or one file to be taken for the whole split (also one of
            paragraphs by id, as `anet_entities_val_1_para.json`). Where `{split}_list.txt` lies in the folder too,
            exactly its videos count.
        videos: by id, with or without `v_`.
        split: one of `SPLITS`.

    Raises:
        UserError: a file or a field is missing, or a listed video has no sentences.
    """
    paths = _sources(annotations, split)
    paragraphs: dict[str, list[str]] = {}
    durations: dict[str, float] = {}
    for path in paths:
        found = read_json(path)
        if not isinstance(found, dict):
            raise UserError(f"{path}: must be an object of videos by id, found {type(found).__name__}")
        for key, row in found.items():
            video = key.removeprefix("v_")
            if isinstance(row, str):  # a file of paragraphs, joined already
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
    if annotations.is_file():
        return [annotations]
    whole = find_optional(annotations, [_WHOLE[split]])
    if whole is None and split == "val_1" and find_optional(annotations, [_HALVES[0]]):
        return [find_file(annotations, [half], "half of val_1") for half in _HALVES]
    return [whole or find_file(annotations, [_WHOLE[split]], f"sentences of {split}")]
