"""Lists of sources (`--input list.csv`): damaged, lying and oversized ones of each format."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from support.hostile_rows import Row, outcome_of
from support.read_sources import read_all

URL = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"
MANY = 200_000


def _read(path: Path) -> str:
    def call() -> str:
        sources = read_all([str(path)])
        return f"{len(sources)} sources, {json.dumps(sources[0].carried, default=str)[:200] if sources else ''}"

    return outcome_of(call)


def _bytes(name: str, data: Callable[[], bytes]) -> Callable[[Path], str]:
    def act(folder: Path) -> str:
        (folder / name).write_bytes(data())
        return _read(folder / name)

    return act


def _parquet(columns: Callable[[], dict[str, Any]], **options: Any) -> Callable[[Path], str]:
    def act(folder: Path) -> str:
        pq.write_table(pa.table(columns()), folder / "l.parquet", **options)
        return _read(folder / "l.parquet")

    return act


def _damaged_parquet(change: Callable[[bytes], bytes]) -> Callable[[Path], str]:
    def act(folder: Path) -> str:
        pq.write_table(pa.table({"url": [URL] * 1000}), folder / "l.parquet")
        (folder / "l.parquet").write_bytes(change((folder / "l.parquet").read_bytes()))
        return _read(folder / "l.parquet")

    return act


def _nested_type(levels: int) -> pa.Array:
    values: Any = 1
    type_: Any = pa.int64()
    for _ in range(levels):
        values, type_ = [values], pa.list_(type_)
    return pa.array([values], type_)


def _dictionary_bomb(folder: Path) -> str:
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["x" * 1_100_000]))
    pq.write_table(pa.table({"url": [URL] * 20_000, "a": texts}), folder / "l.parquet")
    return _read(folder / "l.parquet")


def _pipe(folder: Path) -> str:
    os.mkfifo(folder / "l.csv")
    return _read(folder / "l.csv")


def _device(folder: Path) -> str:
    (folder / "l.txt").symlink_to("/dev/zero")
    return _read(folder / "l.txt")


def _loop(folder: Path) -> str:
    (folder / "l.txt").symlink_to("l.txt")
    return _read(folder / "l.txt")


def _folder_as_list(folder: Path) -> str:
    (folder / "l.jsonl").mkdir()
    return _read(folder / "l.jsonl")


def _names_itself(folder: Path) -> str:
    (folder / "l.txt").write_text("l.txt\n")
    return _read(folder / "l.txt")


def _jsonl(rest: str) -> Callable[[Path], str]:
    """Read one object that has a url and then `rest`."""
    return _bytes("l.jsonl", lambda: f'{{"url": "{URL}", {rest}}}'.encode())


ROWS = [
    Row("csv in UTF-16", _bytes("l.csv", lambda: f"url\n{URL}\n".encode("utf-16")), r"refused: .*not UTF-8"),
    Row("csv of zero bytes", _bytes("l.csv", lambda: bytes(100_000)), r"refused: .*(no column 'url'|CSV|NUL)"),
    Row("csv with a NUL in a value", _bytes("l.csv", lambda: f"url,a\n{URL},a\0b\n".encode()), r"read: 1 |refused: "),
    Row("csv without a line", _bytes("l.csv", lambda: b""), r"refused: .*no column 'url'"),
    Row("csv with two columns url", _bytes("l.csv", lambda: f"url,url\n{URL},\n".encode()), r"refused: .*url"),
    Row("csv with 20,000 columns", _bytes("l.csv", lambda: f"url{',a' * 20_000}\n{URL}\n".encode()), r"read: 1 "),
    Row("csv of one quote", _bytes("l.csv", lambda: b'url\n"'), r"refused: "),
    Row("csv of gzip", _bytes("l.csv", lambda: gzip.compress(b"url\n" * MANY)), r"refused: .*not UTF-8"),
    Row("csv with carriage returns only", _bytes("l.csv", lambda: f"url\r{URL}\r".encode()), r"read: 1 "),
    Row("csv of quotes", _bytes("l.csv", lambda: b"url\n" + b'"' * 1_000_001), r"refused: "),
    Row("csv with a formula", _bytes("l.csv", lambda: f"url,a\n{URL},=cmd()\n".encode()), r"read: 1 .*=cmd"),
    Row("txt of one line of 20 MB", _bytes("l.txt", lambda: b"a" * (20 << 20)), r"refused: ", megabytes=300),
    Row("txt of 200,000 comments", _bytes("l.txt", lambda: b"#\n" * MANY), r"read: 0 |refused: "),
    Row("txt with line separators in a URL", _bytes("l.txt", lambda: "http://x.org/a\u2028b".encode()), r"refused: "),
    Row("txt that names itself", _names_itself, r"read: 1 |refused: "),
    Row("txt with a bidirectional override", _bytes("l.txt", lambda: "\u202egpj.mp4".encode()), r"refused: .*no such"),
    Row("jsonl of arrays", _bytes("l.jsonl", lambda: b"[]\n" * MANY), r"refused: .*line 1"),
    Row("jsonl with an object as url", _bytes("l.jsonl", lambda: b'{"url": {"url": {}}}'), r"refused: .*url="),
    Row(
        "jsonl with 100,000 keys",
        _bytes("l.jsonl", lambda: json.dumps({"url": URL, **{f"k{i}": i for i in range(100_000)}}).encode()),
        r"read: 1 ",
    ),
    Row("jsonl with the key url twice", _bytes("l.jsonl", lambda: b'{"url": "x.mp4", "url": 1}'), r"refused: .*url=1"),
    Row("jsonl with NaN", _jsonl('"a": NaN'), r"read: 1 .*null"),
    Row(
        "jsonl with 1e400",
        _jsonl('"start": 1e400'),
        r"refused: .*start",
    ),
    Row("jsonl with -0.0", _jsonl('"start": -0.0'), r"read: 1 "),
    Row(
        "jsonl with true as end",
        _jsonl('"end": true'),
        r"refused: .*end",
    ),
    Row(
        "jsonl with half a character",
        _jsonl('"a\\ud800": "\\udc00"'),
        r"read: 1 ",
    ),
    Row("jsonl of a byte order mark", _bytes("l.jsonl", lambda: b"\xef\xbb\xbf" * 100_000), r"refused: "),
    Row("jsonl of open braces", _bytes("l.jsonl", lambda: b'{"a":' * MANY), r"refused: .*(nested|JSON)"),
    Row("parquet of the magic bytes", _bytes("l.parquet", lambda: b"PAR1PAR1"), r"refused: .*not Parquet"),
    Row("parquet that is text", _bytes("l.parquet", lambda: b"url\n"), r"refused: .*not Parquet"),
    Row("parquet of nothing", _bytes("l.parquet", lambda: b""), r"refused: .*not Parquet"),
    Row("parquet cut in half", _damaged_parquet(lambda data: data[: len(data) // 2]), r"refused: .*not Parquet"),
    Row(
        "parquet whose footer is said to have 2 GB",
        _damaged_parquet(lambda data: data[:-8] + b"\xff\xff\xff\x7fPAR1"),
        r"refused: .*not Parquet",
    ),
    Row(
        "parquet with a damaged page",
        _damaged_parquet(lambda data: data[:10] + b"\xff" * 40 + data[50:]),
        r"refused: |read: ",
    ),
    Row(
        "parquet with a damaged footer",
        _damaged_parquet(lambda data: data[:-60] + b"\x55" * 40 + data[-20:]),
        r"refused: |read: ",
    ),
    Row(
        "parquet with 5,000 columns",
        _parquet(lambda: {"url": [URL], **{f"c{i}": [i] for i in range(5000)}}),
        r"read: 1 ",
    ),
    Row("parquet nested 60 deep", _parquet(lambda: {"url": [URL], "a": _nested_type(60)}), r"refused: .*nested"),
    Row(
        "parquet whose one text stands for 20 GB",
        _dictionary_bomb,
        r"refused: .*MiB",
        megabytes=800,
    ),
    Row(
        "parquet of 60 MB of zeros in a few kilobytes",
        _parquet(lambda: {"url": [URL] * 20, "a": [bytes(3 << 20)] * 20}, compression="zstd", use_dictionary=False),
        r"refused: .*MiB",
        megabytes=400,
    ),
    Row("list that is a pipe", _pipe, r"refused: .*not a file"),
    Row("list that is a device without an end", _device, r"refused: .*not a file"),
    Row("list that is a link to itself", _loop, r"refused: "),
    Row("list that is a folder", _folder_as_list, r"read: 0 |refused: "),
]
