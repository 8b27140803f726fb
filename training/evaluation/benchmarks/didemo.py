"""DiDeMo (Hendricks et al. 2017) as paragraph retrieval: all descriptions of a video, in file order, are one text.

Annotators saw the first 30 seconds, so seconds 0 to 31 count (as in CLIP4Clip). `{split}_data.json` holds more videos
than can be had: those on the customary list count (collaborative-experts: 8392, 1065 and 1004 videos).
"""

from __future__ import annotations

from pathlib import Path

from runtime.errors import UserError
from training.evaluation.benchmarks.annotation_files import (
    VideoFiles,
    field,
    find_file,
    pick,
    read_json,
    read_list,
    without_suffix,
)
from training.evaluation.benchmarks.retrieval_set import RetrievalSet, assemble

NAME = "didemo"
SPLITS = ("test", "val", "train")
SECONDS = (0.0, 31.0)


def read(annotations: Path, videos: VideoFiles, split: str = "test") -> RetrievalSet:
    """Read a split.

    Args:
        annotations: folder with `{split}_data.json` and `{split}_list.txt`.
        videos: by id, as in `10015567@N08_3655084291_d8b58466fa`, whatever the ending.
        split: one of `SPLITS`.

    Raises:
        UserError: a file or a field is missing, or a listed video has no description.
    """
    data_path = find_file(annotations, [f"{split}_data.json"], "descriptions")
    list_path = find_file(annotations, [f"{split}_list.txt"], "which videos count")
    descriptions: dict[str, list[str]] = {}
    found = read_json(data_path)
    if not isinstance(found, list):
        raise UserError(f"{data_path}: must be a list of descriptions, found {type(found).__name__}")
    for number, row in enumerate(found):
        video, text = (field(data_path, row, name, str, f"entry {number}") for name in ("video", "description"))
        descriptions.setdefault(without_suffix(video), []).append(" ".join(text.split()))
    ids = [without_suffix(line) for line in read_list(list_path)]
    chosen = pick(ids, descriptions, list_path, data_path)
    paragraphs = {video: [" ".join(own)] for video, own in chosen.items()}
    return assemble(NAME, split, paragraphs, videos, span=SECONDS)
