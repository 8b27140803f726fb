"""VATEX: English captions of videos such as `Ptf_2VRj-V0_000122_000132` (JSON), and lists of the videos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from curation.selection.decontamination.benchmark_items import BenchmarkItem, BenchmarkReader
from curation.selection.decontamination.youtube_ids import youtube_span
from runtime.annotation_files import field, read_json, read_list, strings, without_suffix
from runtime.errors import UserError


def read(path: Path) -> Iterator[BenchmarkItem]:
    """Yield the items of a file, of either published form."""
    if path.suffix.lower() == ".txt":
        for line in read_list(path):
            yield _item(path, without_suffix(line), [])
        return
    data = read_json(path)
    if isinstance(data, list):
        rows = [(field(path, row, "videoID", str, f"entry {number}"), row) for number, row in enumerate(data)]
    elif isinstance(data, dict):
        rows = list(data.items())
    else:
        raise UserError(f"{path}: must be a list or an object of videos, found {type(data).__name__}")
    for video, row in rows:
        own = row if isinstance(row, list) else field(path, row, "enCap", list, video)
        yield _item(path, video, strings(path, own, f"captions of {video}"))


def _item(path: Path, video: str, texts: list[str]) -> BenchmarkItem:
    site, span = youtube_span(path, video)
    return BenchmarkItem(video, (site,), span, tuple(texts))


READER: Final = BenchmarkReader("vatex", "test_list.txt, vatex_data.json, vatex_validation_v1.0.json", read)
