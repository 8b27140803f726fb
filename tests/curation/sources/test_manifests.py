"""Lists of sources in files: columns, times, and entries that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.read_sources import read_all
from support.source_files import YOUTUBE, write

from curation.sources.manifests import read_manifest, seconds
from curation.sources.table.planned_sources import plan_sources
from runtime.errors import UserError


def test_a_text_file_holds_one_source_per_line(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4")
    listing = write(tmp_path / "list.txt", f"\ufeff# films\n{YOUTUBE}\n\n a.mp4 \n")
    assert [s.source for s in read_all([str(listing)])] == [YOUTUBE, str(tmp_path / "a.mp4")]


def test_columns_are_carried_and_times_read_in_all_three_tables(tmp_path: Path) -> None:
    rows = [{"url": YOUTUBE, "start": "0:01:30", "end": "95.5", "tag": "x"}]
    csv_ = write(tmp_path / "l.csv", "url,start,end,tag\n" + ",".join(rows[0].values()) + "\n")
    jsonl = write(tmp_path / "l.jsonl", json.dumps(rows[0]) + "\n")
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "l.parquet")
    for path in (csv_, jsonl, tmp_path / "l.parquet"):
        (source,) = read_all([str(path)])
        assert (source.start, source.end, source.carried) == (90.0, 95.5, {"tag": "x"})


def test_parquet_values_of_any_type_can_be_carried(tmp_path: Path) -> None:
    table = pa.table({"url": [YOUTUBE], "start": [float("nan")], "at": pa.array([0], pa.timestamp("s")), "n": [3]})
    pq.write_table(table, tmp_path / "l.parquet")
    (source,) = read_all([str(tmp_path / "l.parquet")])
    assert source.start is None
    (row,) = plan_sources(tuple, [source], videos_per_shard=1).rows
    assert json.loads(row.carried or "") == {
        "at": "1970-01-01 00:00:00",
        "n": 3,
    }


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("l.csv", "url,start\nhttp://x.org/a,soon\n", r"l.csv, line 2: start='soon'"),
        ("l.csv", "url,start,end\nhttp://x.org/a,10,5\n", r"line 2: end='5': must be later than start='10'"),
        ("l.csv", "url,start\nhttp://x.org/a,-1\n", r"line 2: start='-1'"),
        ("l.csv", "url,a\n,1\n", r"line 2: url=''"),
        ("l.csv", "link,a\nx,1\n", r"no column 'url'"),
        ("l.csv", "url\nhttp://x.org/a,b\n", r"line 2: more values"),
        ("l.jsonl", '{"url": "http://x.org/a"}\n{"url": 3}\n', r"line 2: url=3"),
        ("l.jsonl", "{url}\n", r"line 1: is not JSON"),
        ("l.jsonl", "[1]\n", r"line 1: must be an object"),
        ("l.parquet", "no", r"is not Parquet"),
        ("l.txt", "http://x.org/a\nmissing.mp4\n", r"l.txt, line 2: .*missing.mp4: no such file"),
        ("l.txt", "gopher://x.org/a\n", r"l.txt, line 1: gopher:// is not allowed"),
    ],
)
def test_a_bad_entry_is_named_with_file_line_and_value(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        read_all([str(write(tmp_path / name, text))])


@pytest.mark.parametrize(
    ("text", "value"),
    [("90", 90), (" 1.5", 1.5), ("1:30", 90), ("01:02:03.5", 3723.5), (7, 7), (None, None), ("", None)],
)
def test_times_are_seconds_or_clock_times(text: object, value: float | None) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["1:75", "x", "-3", float("inf"), True, "1:2:3:4"])
def test_a_value_that_is_not_a_time_is_an_error(text: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        seconds(text)


def test_half_a_character_is_left_out_of_every_text(tmp_path: Path) -> None:
    path = tmp_path / "list.jsonl"
    path.write_text(r'{"url": "a\ud83d.mp4", "ti\ude00tle": "broken \ud83d emoji", "tags": ["\ud83d\ude00", "\ud83d"]}')
    (entry,) = read_manifest(path)
    assert (entry.url, entry.carried) == ("a.mp4", {"title": "broken  emoji", "tags": ["😀", ""]})
