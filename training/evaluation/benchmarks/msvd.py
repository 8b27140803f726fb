"""MSVD (Chen and Dolan 2011): 1200, 100 and 670 videos with about 40 captions each; every test caption is a query."""

from __future__ import annotations

from pathlib import Path

from runtime.errors import UserError
from training.evaluation.benchmarks.annotation_files import (
    VideoFiles,
    find_file,
    find_optional,
    pick,
    read_json,
    read_list,
    strings,
)
from training.evaluation.benchmarks.retrieval_set import RetrievalSet, assemble

NAME = "msvd"
SPLITS = ("test", "val", "train")

_CAPTIONS = ("captions_msvd.json", "raw-captions.json")


def read(annotations: Path, videos: VideoFiles, split: str = "test") -> RetrievalSet:
    """Read a split.

    Args:
        annotations: folder with the captions (an object: id to list of sentences, or of lists of words) and
            `{split}_list.txt`.
        videos: by id, as in `eyhzdC936uk_15_27`.
        split: one of `SPLITS`.

    Raises:
        UserError: a file is missing, or a listed video has no captions.
    """
    path = _captions(annotations)
    found = read_json(path)
    if not isinstance(found, dict):
        raise UserError(f"{path}: must be an object of captions by video id, found {type(found).__name__}")
    captions = {video: strings(path, value, f"captions of {video}") for video, value in found.items()}
    listed = find_file(annotations, [f"{split}_list.txt"], "which videos count")
    return assemble(NAME, split, pick(read_list(listed), captions, listed, path), videos)


def _captions(annotations: Path) -> Path:
    if find_optional(annotations, _CAPTIONS) is None and find_optional(annotations, ["raw-captions.pkl"]):
        raise UserError(
            f"--annotations {annotations}: raw-captions.pkl is a pickle, which can run anything when it is read; "
            "convert it to raw-captions.json where you trust it"
        )
    return find_file(annotations, _CAPTIONS, "captions of all videos")
