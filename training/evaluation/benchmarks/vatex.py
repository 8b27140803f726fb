"""VATEX (Wang et al. 2019), English, in the split of HGR (Chen et al. 2020): 1500 test videos with 10 captions each.

HGR halves the official 3000 validation videos into 1500 for validation and 1500 for test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runtime.errors import UserError
from training.evaluation.benchmarks.annotation_files import (
    VideoFiles,
    field,
    find_file,
    pick,
    read_json,
    read_list,
    strings,
)
from training.evaluation.benchmarks.retrieval_set import RetrievalSet, assemble

NAME = "vatex"
SPLITS = ("test", "val", "train")

_OFFICIAL = {
    "train": "vatex_training_v1.0.json",
    "val": "vatex_validation_v1.0.json",
    "test": "vatex_validation_v1.0.json",
}


def read(annotations: Path, videos: VideoFiles, split: str = "test") -> RetrievalSet:
    """Read a split.

    Args:
        annotations: folder with `vatex_data.json` (id to `enCap`) or the official files (a list of `videoID`, `enCap`),
            and `{split}_list.txt`.
        videos: by id, as in `Ptf_2VRj-V0_000122_000132`.
        split: one of `SPLITS`.

    Raises:
        UserError: a file or a field is missing, or a listed video has no captions.
    """
    path = find_file(annotations, ["vatex_data.json", _OFFICIAL[split]], "English captions")
    listed = find_file(annotations, [f"{split}_list.txt"], "which videos count (HGR's split)")
    captions = dict(_captions(path, read_json(path)))
    return assemble(NAME, split, pick(read_list(listed), captions, listed, path), videos)


def _captions(path: Path, found: Any) -> Iterator[tuple[str, list[str]]]:
    if isinstance(found, list):
        rows = [(field(path, row, "videoID", str, f"entry {number}"), row) for number, row in enumerate(found)]
    elif isinstance(found, dict):
        rows = list(found.items())
    else:
        raise UserError(f"{path}: must be a list or an object of videos, found {type(found).__name__}")
    for video, row in rows:
        own = row if isinstance(row, list) else field(path, row, "enCap", list, video)
        yield video, strings(path, own, f"captions of {video}")
