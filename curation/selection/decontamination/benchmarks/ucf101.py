"""UCF101: lists of `Class/v_Class_g01_c01.avi`. Its videos are of sites that are not named, and have no captions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from curation.selection.decontamination.benchmark_items import BenchmarkItem, BenchmarkReader
from runtime.annotation_files import read_list, without_suffix
from runtime.errors import UserError


def read(path: Path) -> Iterator[BenchmarkItem]:
    """Yield the items of a list."""
    for line in read_list(path):
        name = line.split(" ")[0]
        folder, slash, file = name.partition("/")
        if not slash or not file.startswith(f"v_{folder}_"):
            raise UserError(f"{path}: a line must be 'Class/v_Class_g01_c01.avi', found {line[:60]!r}")
        yield BenchmarkItem(without_suffix(file))


READER: Final = BenchmarkReader("ucf101", "testlist01.txt, testlist02.txt, testlist03.txt", read)
