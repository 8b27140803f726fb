"""Something-Something v2: lists of videos, whose ids are bare numbers, with labels (JSON). They are on no site."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from curation.selection.decontamination.benchmark_items import BenchmarkItem, BenchmarkReader
from runtime.annotation_files import field, read_json
from runtime.errors import UserError


def read(path: Path) -> Iterator[BenchmarkItem]:
    """Yield the items of a file; the label is the caption."""
    entries = read_json(path)
    if not isinstance(entries, list):
        raise UserError(f"{path}: must be a list of videos, each with 'id' and 'template'")
    for number, entry in enumerate(entries):
        video = str(field(path, entry, "id", (str, int), f"entry {number}"))
        if not video.isdecimal():
            raise UserError(f"{path}: id {video!r} of entry {number} is no number, as ids of ssv2 are")
        label = entry.get("label")
        yield BenchmarkItem(video, texts=(label,) if isinstance(label, str) else ())


READER: Final = BenchmarkReader(
    "ssv2", "something-something-v2-validation.json, something-something-v2-test.json", read, hint="something"
)
