"""MSVD: lists of videos such as `eyhzdC936uk_15_27`, and captions by video (JSON)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from curation.selection.decontamination.benchmark_items import BenchmarkItem, BenchmarkReader
from curation.selection.decontamination.youtube_ids import youtube_span
from runtime.annotation_files import read_list, read_object, strings, without_suffix


def read(path: Path) -> Iterator[BenchmarkItem]:
    """Yield the items of a file."""
    if path.suffix.lower() == ".txt":
        for line in read_list(path):
            yield _item(path, without_suffix(line))
        return
    for video, captions in read_object(path, "captions by video id").items():
        yield _item(path, video, *strings(path, captions, f"captions of {video}"))


def _item(path: Path, video: str, *texts: str) -> BenchmarkItem:
    site, span = youtube_span(path, video)
    return BenchmarkItem(video, (site,), span, texts)


READER: Final = BenchmarkReader("msvd", "test_list.txt, captions_msvd.json, raw-captions.json", read)
