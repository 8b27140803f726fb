"""DiDeMo: `{split}_data.json` with descriptions and Flickr's ids, and lists of the videos."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from curation.selection.decontamination.benchmark_items import BenchmarkItem, BenchmarkReader
from runtime.annotation_files import field, read_json, read_list
from runtime.errors import UserError

_FLICKR: Final = re.compile(r"([^_]+@N\d+_(\d+)_[0-9a-f]+)(?:\.\w*)*")
"""Owner, id and secret of a video of Flickr, as DiDeMo names its files, with any endings."""


def read(path: Path) -> Iterator[BenchmarkItem]:
    """Yield the items of a file; a video with several descriptions comes several times."""
    if path.suffix.lower() == ".txt":
        for line in read_list(path):
            yield _item(path, line)
        return
    rows = read_json(path)
    if not isinstance(rows, list):
        raise UserError(f"{path}: must be a list of descriptions, found {type(rows).__name__}")
    for number, row in enumerate(rows):
        video, text = (field(path, row, name, str, f"entry {number}") for name in ("video", "description"))
        yield _item(path, video, text)


def _item(path: Path, video: str, *texts: str) -> BenchmarkItem:
    match = _FLICKR.fullmatch(video)
    if match is None:
        raise UserError(f"{path}: {video!r} is no video of DiDeMo (such as 10015567@N08_3655084291_d8b58466fa.mov)")
    return BenchmarkItem(match[1], (f"flickr:{match[2]}",), texts=texts)


READER: Final = BenchmarkReader("didemo", "test_data.json, test_list.txt", read)
