"""HMDB51: a list for each class, of videos marked 0, 1 or 2. They are on no site, and have no captions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from curation.selection.decontamination.benchmark_items import BenchmarkItem, BenchmarkReader
from runtime.annotation_files import read_list, without_suffix
from runtime.errors import UserError


def read(path: Path) -> Iterator[BenchmarkItem]:
    """Yield the items of a list, whatever their mark."""
    for line in read_list(path):
        name, _, mark = line.rpartition(" ")
        if not name or "/" in name or mark not in ("0", "1", "2"):
            raise UserError(f"{path}: a line must be a file name and 0, 1 or 2, found {line[:60]!r}")
        yield BenchmarkItem(without_suffix(name.strip()))


READER: Final = BenchmarkReader("hmdb51", "the files <class>_test_split1.txt", read)
