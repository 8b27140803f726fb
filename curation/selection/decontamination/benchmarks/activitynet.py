"""ActivityNet Captions: sentences or paragraphs by video id (JSON), and lists of the videos."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from curation.selection.decontamination.benchmark_items import BenchmarkItem, BenchmarkReader
from curation.selection.decontamination.youtube_ids import youtube_id
from runtime.annotation_files import field, read_list, read_object, strings, without_suffix


def read(path: Path) -> Iterator[BenchmarkItem]:
    """Yield the items of a file; ids lose their prefix ``v_``."""
    if path.suffix.lower() == ".txt":
        for line in read_list(path):
            yield _item(path, without_suffix(line))
        return
    for key, row in read_object(path, "videos by id").items():
        sentences = [row] if isinstance(row, str) else field(path, row, "sentences", list, key)
        texts = strings(path, sentences, f"'sentences' of {key}")
        yield _item(path, key, *texts, *([" ".join(texts)] if len(texts) > 1 else []))


def _item(path: Path, key: str, *texts: str) -> BenchmarkItem:
    video = key.removeprefix("v_")
    return BenchmarkItem(video, (youtube_id(path, video),), texts=texts)


READER: Final = BenchmarkReader("activitynet", "val_1.json, anet_entities_val_1.json, anet_entities_test_1.json", read)
