"""Lists of sources from other people: each is read, or refused at once in one line; none ends in a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.read_sources import read_all
from support.source_files import YOUTUBE

from curation.sources.inputs import Source
from curation.sources.table.planned_sources import plan_sources
from runtime.errors import UserError

SECONDS = 20
"""More than any of them takes on a busy machine; the worst took 40 s and more."""


def _nested(levels: int) -> str:
    return f'{{"url": "{YOUTUBE}", "a": {"[" * levels}{"]" * levels}}}'


REFUSED = {
    "a huge header": ("l.csv", "url," + "a" * 200_000 + "\n" + YOUTUBE + ",x\n", "is not CSV"),
    "a huge value": ("l.csv", f"url,a\n{YOUTUBE},{'x' * 200_000}\n", "is not CSV"),
    "a quote that is never closed": ("l.csv", 'url,a\n"' + "x\n" * 100_000, "is not CSV|url="),
    "many values": ("l.csv", "url\n" + YOUTUBE + "," * 100_000 + "\n", "more values than columns"),
    "json nested beyond the interpreter": ("l.jsonl", _nested(100_000), "nested|is not JSON"),
    "json nested beyond use": ("l.jsonl", _nested(200), "nested more than"),
    "json cut in the middle": ("l.jsonl", "[" * 100_000, "nested|is not JSON"),
    "an integer of 5,000 digits": ("l.jsonl", f'{{"url": "{YOUTUBE}", "n": {"9" * 5000}}}', "is not JSON"),
    "a start of 400 digits": ("l.jsonl", f'{{"url": "{YOUTUBE}", "start": {"9" * 400}}}', "start="),
    "a start of 400 digits as text": ("l.csv", f"url,start\n{YOUTUBE},{'9' * 400}\n", "start="),
    "a clock of 400 digits": ("l.csv", f"url,start\n{YOUTUBE},{'9' * 400}:00:00\n", "start="),
    "an infinite end": ("l.jsonl", f'{{"url": "{YOUTUBE}", "end": Infinity}}', "end="),
    "an end in the year 33000": ("l.jsonl", f'{{"url": "{YOUTUBE}", "end": 1e12}}', "end="),
    "a list as a start": ("l.jsonl", f'{{"url": "{YOUTUBE}", "start": [1]}}', "start="),
    "a url of a megabyte of digits": ("l.jsonl", f'{{"url": [{"1," * 500_000}1]}}', "url="),
    "a url with an escape": ("l.txt", "http://x.org/\x1b[2J\n", "is not a URL"),
    "a nul": ("l.txt", "a\x00b.mp4\n", "no such file"),
}


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("name", REFUSED)
def test_a_hostile_list_is_refused_in_one_line(tmp_path: Path, name: str) -> None:
    file, text, words = REFUSED[name]
    path = tmp_path / file
    path.write_text(text)
    with pytest.raises(UserError, match=words) as refused:
        read_all([str(path)])
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 1000
    assert str(path) in str(refused.value)


COLUMNS: dict[str, Callable[[], pa.Array]] = {
    "nanoseconds": lambda: pa.array([1_700_000_000_123_456_789], pa.timestamp("ns")),
    "the year 300000": lambda: pa.array([10**13], pa.timestamp("s")),
    "a date out of range": lambda: pa.array([10**8], pa.date32()),
    "nanoseconds of a day": lambda: pa.array([1], pa.time64("ns")),
    "a long duration": lambda: pa.array([2**62], pa.duration("ns")),
    "a decimal": lambda: pa.array([None], pa.decimal256(70, 2)),
    "a map": lambda: pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
    "a structure with a date": lambda: pa.array([{"at": date(2024, 1, 31)}]),
    "bytes": lambda: pa.array([b"\xff\xfe"]),
    "a dictionary": lambda: pa.array(["x"]).dictionary_encode(),
    "a half": lambda: pa.array([np.float16(0.5)], pa.float16()),
    "nulls": lambda: pa.nulls(1),
    "an unsigned integer": lambda: pa.array([2**64 - 1], pa.uint64()),
    "a large list": lambda: pa.array([[1.5, float("nan")]], pa.large_list(pa.float64())),
    "a view": lambda: pa.array(["x"], pa.string_view()),
}


@pytest.mark.timeout(SECONDS)
@pytest.mark.parametrize("name", COLUMNS)
def test_a_parquet_column_of_any_type_is_carried(tmp_path: Path, name: str) -> None:
    path = tmp_path / "l.parquet"
    pq.write_table(pa.table({"url": [YOUTUBE], "odd": COLUMNS[name]()}), path)
    (source,) = read_all([str(path)])
    (row,) = plan_sources(tuple, [source], videos_per_shard=1).rows
    assert set(json.loads(row.carried or "{}")) == {"odd"}


@pytest.mark.parametrize(
    "table",
    [
        pa.table({"url": [1]}),
        pa.table({"url": pa.array([b"\xff"])}),
        pa.table({"url": [YOUTUBE], "start": pa.array([b"\xff"])}),
        pa.table({"url": [YOUTUBE], "start": pa.array([2**63 - 1])}),
        pa.table({"url": [None]}, schema=pa.schema([("url", pa.string())])),
    ],
    ids=lambda table: str(table.schema).replace("\n", " "),
)
def test_a_parquet_list_with_values_that_are_no_urls_or_times_is_refused(tmp_path: Path, table: pa.Table) -> None:
    pq.write_table(table, tmp_path / "l.parquet")
    with pytest.raises(UserError, match=r"row 1: (url|start)="):
        read_all([str(tmp_path / "l.parquet")])


def test_text_in_parquet_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    text = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff!")]
    )
    pq.write_table(pa.table({"url": [YOUTUBE], "title": text}), tmp_path / "l.parquet")
    with pytest.raises(UserError, match=r"title|UTF-8"):
        read_all([str(tmp_path / "l.parquet")])


def test_times_that_are_long_and_real_are_read(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(f"url,start,end\n{YOUTUBE},100:00:00,{5e7}\n")
    (source,) = read_all([str(tmp_path / "l.csv")])
    assert isinstance(source, Source)
    assert (source.start, source.end) == (360_000.0, 5e7)
