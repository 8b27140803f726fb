"""MSVD (Chen and Dolan 2011): 1200, 100 and 670 videos with about 40 captions each; every test caption is a query."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from runtime.annotation_files import (
    VideoFiles,
    find_file,
    find_optional,
    pick,
    read_list,
    read_object,
    strings,
)
from runtime.errors import UserError
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalBenchmark, RetrievalSet, assemble

NAME: Final = "msvd"
SPLITS: Final = ("test", "val", "train")

_CAPTIONS = ("captions_msvd.json", "raw-captions.json")
_FILES = {split: (_CAPTIONS, (f"{split}_list.txt",)) for split in SPLITS}


def read(annotations: Path, videos: VideoFiles, split: str = "test") -> RetrievalSet:
    """Read a split.

    Args:
        annotations: folder with the captions (an object: id to list of sentences, or of lists of words) and
            `{split}_list.txt`.
        videos: files, by id such as `eyhzdC936uk_15_27`.
        split: one of `SPLITS`.

    Raises:
        UserError: a file is missing, or a listed video has no captions.
    """
    path = _captions(annotations)
    by_video = read_object(path, "captions by video id")
    captions = {video: strings(path, value, f"captions of {video}") for video, value in by_video.items()}
    listed = find_file(annotations, _FILES[split][1], "list of the videos")
    return assemble(NAME, split, pick(read_list(listed), captions, listed, path), videos)


def _captions(annotations: Path) -> Path:
    if find_optional(annotations, _CAPTIONS) is None and find_optional(annotations, ["raw-captions.pkl"]):
        raise UserError(
            f"--annotations {annotations}: raw-captions.pkl is a pickle, which can run any code when it is read; "
            "convert it to raw-captions.json if you trust it"
        )
    return find_file(annotations, _CAPTIONS, "captions of all videos")


BENCHMARK: Final = RetrievalBenchmark(name=NAME, splits=SPLITS, files=_FILES, size=(670, 27_763), read=read)
