"""DiDeMo (Hendricks et al. 2017) as paragraph retrieval: all descriptions of a video, in file order, form one text.

Annotators saw the first 30 seconds, so seconds 0 to 31 are used (as in CLIP4Clip). `{split}_data.json` holds more
videos than can still be downloaded; those on the customary lists are used (collaborative-experts: 8392, 1065 and 1004
videos).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from runtime.annotation_files import (
    VideoFiles,
    field,
    find_file,
    pick,
    read_json,
    read_list,
    without_suffix,
)
from runtime.errors import UserError
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalBenchmark, RetrievalSet, assemble

NAME: Final = "didemo"
SPLITS: Final = ("test", "val", "train")
SECONDS: Final = (0.0, 31.0)
"""Part of each video that is used."""

_FILES = {split: ((f"{split}_data.json",), (f"{split}_list.txt",)) for split in SPLITS}


def read(annotations: Path, videos: VideoFiles, split: str = "test") -> RetrievalSet:
    """Read a split.

    Args:
        annotations: folder with `{split}_data.json` and `{split}_list.txt`.
        videos: files, by id such as `10015567@N08_3655084291_d8b58466fa`, with any ending.
        split: one of `SPLITS`.

    Raises:
        UserError: a file or a field is missing, or a listed video has no description.
    """
    data_names, list_names = _FILES[split]
    data_path = find_file(annotations, data_names, "descriptions")
    list_path = find_file(annotations, list_names, "list of the videos")
    descriptions: dict[str, list[str]] = {}
    rows = read_json(data_path)
    if not isinstance(rows, list):
        raise UserError(f"{data_path}: must be a list of descriptions, found {type(rows).__name__}")
    for number, row in enumerate(rows):
        video, text = (field(data_path, row, name, str, f"entry {number}") for name in ("video", "description"))
        descriptions.setdefault(without_suffix(video), []).append(" ".join(text.split()))
    ids = [without_suffix(line) for line in read_list(list_path)]
    chosen = pick(ids, descriptions, list_path, data_path)
    paragraphs = {video: [" ".join(own)] for video, own in chosen.items()}
    return assemble(NAME, split, paragraphs, videos, span=SECONDS)


BENCHMARK: Final = RetrievalBenchmark(name=NAME, splits=SPLITS, files=_FILES, size=(1004, 1004), read=read)
