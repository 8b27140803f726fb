"""LSMDC 2016: tables without a header, of clip, four times and a sentence. Its films are on no site."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from curation.selection.decontamination.benchmark_items import BenchmarkItem, BenchmarkReader
from runtime.annotation_files import read_list
from runtime.errors import UserError


def read(path: Path) -> Iterator[BenchmarkItem]:
    """Yield the items of a table; lines of another form are left out, as `eval-vidla` does."""
    rows = [line.split("\t") for line in read_list(path)]
    good = [row for row in rows if len(row) == 6 and row[0].strip() and row[-1].strip()]
    if not good:
        raise UserError(f"{path}: no line has 6 columns separated by tabs, the last a sentence")
    for row in good:
        yield BenchmarkItem(row[0].strip(), texts=(" ".join(row[-1].split()),))


READER: Final = BenchmarkReader("lsmdc", "LSMDC16_challenge_1000_publictect.csv, LSMDC16_annos_val.csv", read)
