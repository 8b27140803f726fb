"""Kinetics-400, -600 and -700: tables of `label,youtube_id,time_start,time_end,split`. Classes are no captions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from curation.selection.decontamination.benchmark_items import BenchmarkItem, BenchmarkReader
from curation.selection.decontamination.youtube_ids import youtube_id
from runtime.annotation_files import read_csv
from runtime.errors import UserError


def read(path: Path) -> Iterator[BenchmarkItem]:
    """Yield the items of a table."""
    for row in read_csv(path, ("youtube_id", "time_start", "time_end")):
        video = row["youtube_id"]
        try:
            span = float(row["time_start"]), float(row["time_end"])
        except ValueError:
            raise UserError(f"{path}: times of {video} must be seconds") from None
        yield BenchmarkItem(video, (youtube_id(path, video),), span)


READERS: Final = tuple(
    BenchmarkReader(name, f"val.csv, {name}_val.csv, test.csv", read)
    for name in ("kinetics400", "kinetics600", "kinetics700")
)
