"""VATEX (Wang et al. 2019), English, in the split of HGR (Chen et al. 2020): 1500 test videos with 10 captions each.

HGR divides the official 3000 validation videos into 1500 for validation and 1500 for test.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from runtime.annotation_files import (
    VideoFiles,
    field,
    find_file,
    pick,
    read_json,
    read_list,
    strings,
)
from runtime.errors import UserError
from training.evaluation.benchmarks.retrieval.retrieval_set import RetrievalBenchmark, RetrievalSet, assemble

NAME: Final = "vatex"
SPLITS: Final = ("test", "val", "train")

_OFFICIAL = {
    "train": "vatex_training_v1.0.json",
    "val": "vatex_validation_v1.0.json",
    "test": "vatex_validation_v1.0.json",
}
_FILES = {split: (("vatex_data.json", _OFFICIAL[split]), (f"{split}_list.txt",)) for split in SPLITS}
_CAVEAT = (
    "the paper's VATEX scores look as if about 11 % of the test videos were missing while their captions were still "
    "used as queries (T2V R@10 saturates near 89, V2T reaches 100): its T2V R@5 and R@10 are not comparable"
)


def read(annotations: Path, videos: VideoFiles, split: str = "test") -> RetrievalSet:
    """Read a split.

    Args:
        annotations: folder with `vatex_data.json` (id to `enCap`) or the official files (a list of `videoID`, `enCap`),
            and `{split}_list.txt`.
        videos: files, by id such as `Ptf_2VRj-V0_000122_000132`.
        split: one of `SPLITS`.

    Raises:
        UserError: a file or a field is missing, or a listed video has no captions.
    """
    data_names, list_names = _FILES[split]
    path = find_file(annotations, data_names, "English captions")
    listed = find_file(annotations, list_names, "list of the videos (HGR's split)")
    captions = dict(_captions(path, read_json(path)))
    return assemble(NAME, split, pick(read_list(listed), captions, listed, path), videos)


def _captions(path: Path, data: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield id and English captions of each video of either published form."""
    if isinstance(data, list):
        rows = [(field(path, row, "videoID", str, f"entry {number}"), row) for number, row in enumerate(data)]
    elif isinstance(data, dict):
        rows = list(data.items())
    else:
        raise UserError(f"{path}: must be a list or an object of videos, found {type(data).__name__}")
    for video, row in rows:
        own = row if isinstance(row, list) else field(path, row, "enCap", list, video)
        yield video, strings(path, own, f"captions of {video}")


BENCHMARK: Final = RetrievalBenchmark(
    name=NAME, splits=SPLITS, files=_FILES, size=(1500, 15_000), read=read, caveat=_CAVEAT
)
