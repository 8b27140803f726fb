"""A DIR that is damaged, and one whose texts are hostile, as the commands `status`, `inspect` and `check` meet them."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from support.curate_runs import curate
from support.damaged_dirs import rewrite_table
from support.hostile_rows import Row
from support.shard_factory import LAYER, build_dir

from shards.storage.store import Store

MEDIA = "media/0000000.parquet"
TAR = "media/0000000.tar"
LEDGER = "ledger/0000000.parquet"
SOURCES = "sources/0000000-0000000.parquet"
TEXTS = f"text/{LAYER}/0000000.parquet"
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\U000e0041]")
Damage = Callable[[Path], object]


@cache
def _whole() -> Path:
    """Return a DIR of one shard that every row copies; pytest removes it with this process's folder."""
    folder = Path(tempfile.mkdtemp(prefix="hostile-dir-"))
    build_dir(folder / "dir", shards=1)
    return folder / "dir"


def _outcome(status: int, out: str, err: str) -> str:
    shown = out + err
    assert not STEERING.search(shown), ascii(shown)[:500]
    assert "Traceback" not in shown, shown
    if status == 2:
        assert err.count("\n") == 1 and len(err) < 1500, err
    return f"{status}: {(err if status == 2 else out).strip()}"


def _after(damage: Damage, *command: str) -> Callable[[Path], str]:
    def act(folder: Path) -> str:
        shutil.copytree(_whole(), folder / "dir")
        damage(folder / "dir")
        ended = curate(command[0], folder / "dir", *command[1:])
        return _outcome(ended.status, ended.out, ended.err)

    return act


def _bytes(name: str, data: bytes | Callable[[bytes], bytes]) -> Damage:
    def damage(dir_: Path) -> None:
        path = dir_ / name
        path.write_bytes(data(path.read_bytes()) if callable(data) else data)

    return damage


def _gone(name: str) -> Damage:
    return lambda dir_: (dir_ / name).unlink()


def _folder(name: str) -> Damage:
    def damage(dir_: Path) -> None:
        (dir_ / name).unlink()
        (dir_ / name).mkdir()

    return damage


def _table(name: str, **columns: list[Any]) -> Damage:
    return lambda dir_: pq.write_table(pa.table(columns), dir_ / name)


def _manifest(**changes: Any) -> Damage:
    return _bytes("manifest.json", lambda data: json.dumps(json.loads(data) | changes).encode())


def _texts(name: str, text: str, *columns: str, **others: Any) -> Damage:
    def change(rows: list[Any]) -> None:
        for row in rows:
            row.update(dict.fromkeys(columns, text) | others)

    return lambda dir_: rewrite_table(Store(dir_), name, change)


def _half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _noise(data: bytes) -> bytes:
    return data[:-40] + b"\x55" * 32 + data[-8:]


_WHAT: dict[str, bytes | Callable[[bytes], bytes]] = {
    "cut in half": _half,
    "empty": b"",
    "with a footer of noise": _noise,
    "of the magic bytes": b"PAR1PAR1",
    "of a megabyte of zeros": bytes(1 << 20),
}
_TABLES = {"media": MEDIA, "ledger": LEDGER, "texts": TEXTS, "sources": SOURCES, "index": "index.parquet"}
_ANY = r"[0-2]: "

_DAMAGED = [
    *(
        Row(f"check: table of {table} {what}", _after(_bytes(name, data), "check", "--quick"), r"[12]: .*readable|2: ")
        for table, name in _TABLES.items()
        for what, data in _WHAT.items()
    ),
    *(
        Row(f"{command}: table of {table} cut in half", _after(_bytes(name, _half), command), _ANY)
        for command in ("status", "inspect")
        for table, name in _TABLES.items()
    ),
    Row("status: no ledger", _after(_gone(LEDGER), "status"), _ANY),
    Row("check: no ledger", _after(_gone(LEDGER), "check", "--quick"), r"1: [\s\S]*missing"),
    Row("check: a ledger of other columns", _after(_table(LEDGER, a=[1]), "check", "--quick"), r"[12]: "),
    Row("status: a ledger of other columns", _after(_table(LEDGER, a=[1]), "status"), _ANY),
    Row("status: a ledger that is a folder", _after(_folder(LEDGER), "status"), _ANY),
    Row("check: no sources", _after(_gone(SOURCES), "check", "--quick"), r"[12]: "),
    Row("inspect: texts of other columns", _after(_table(TEXTS, key=["k"]), "inspect"), _ANY),
    Row("check: a tar cut in half", _after(_bytes(TAR, _half), "check"), r"1: ", seconds=10),
    Row("check: a tar of zeros", _after(_bytes(TAR, bytes(1 << 20)), "check"), r"1: ", seconds=10),
    Row("check: a tar of noise", _after(_bytes(TAR, b"\xff" * 10_240), "check"), r"1: ", seconds=10),
    Row("check: an empty tar", _after(_bytes(TAR, b""), "check"), r"1: ", seconds=10),
    Row("check: no tar", _after(_gone(TAR), "check", "--quick"), r"[12]: "),
    *(
        Row(
            f"check: manifest {what}", _after(_bytes("manifest.json", data), "check", "--quick"), r"1: .*manifest\.json"
        )
        for what, data in {
            "of an open brace": b"{",
            "that is a list": b"[1]",
            "that is null": b"null",
            "nested 100,000 deep": b"[" * 100_000,
            "of zeros": bytes(2),
            "of nothing": b"",
            "that is not UTF-8": b'{"pipeline": "\xff"}',
            "with an integer of 5,000 digits": b'{"videos_per_shard": ' + b"9" * 5000 + b"}",
            "of one key": b'{"pipeline": "demo"}',
        }.items()
    ),
    Row(
        "check: a manifest with a version that is a text",
        _after(_manifest(schema_version="1"), "check", "--quick"),
        r"1: ",
    ),
    Row(
        "check: a manifest of version 10^30",
        _after(_manifest(schema_version=10**30), "check", "--quick"),
        r"1: .*newer",
    ),
    Row(
        "check: a manifest without shards",
        _after(_manifest(videos_per_shard=None), "check", "--quick"),
        r"1: .*damaged",
    ),
    Row(
        "check: a manifest with settings of a list",
        _after(_manifest(settings=[1]), "check", "--quick"),
        r"1: .*damaged",
    ),
    Row("check: a manifest with an unknown key", _after(_manifest(surprise=1), "check", "--quick"), r"1: .*damaged"),
    Row("check: a stage record of noise", _after(_bytes("media/_stage.json", b"\xff"), "check", "--quick"), r"[12]: "),
    Row("check: a stage record nested", _after(_bytes("media/_stage.json", b"[" * 99_999), "check"), r"[12]: "),
    Row("status: a folder that is no DIR", _after(shutil.rmtree, "status"), r"2: "),
]
"""Damage to files of a DIR."""

_HOSTILE = {
    "a window title": "cat\x1b]0;owned\x07",
    "a cleared screen": "cat\x1b[2J\x1b[H",
    "a colour in one byte": "cat\x9b31m",
    "a link": "cat\x1b]8;;http://x.org\x07here\x1b]8;;\x07",
    "a pasted clipboard": "cat\x1b]52;c;cm0gLXJm\x07",
    "a device query": "cat\x1b[6n\x1bP+q544e\x1b\\",
    "a bidirectional override": "cat\u202egpj.exe",
    "isolates that do not end": "cat\u2066" * 50,
    "a NUL": "cat\0dog",
    "a carriage return over the line": "cat\rok: all is well",
    "a false line": "cat\n0 problems\u2028written 1000",
    "backspaces": "cat\b\b\bdog",
    "tags that are not drawn": "cat\U000e0041\U000e0042",
    "markup of the console": "cat [bold red]x[/] [link=http://x.org]y[/link] [/nothing]",
    "100,000 combining marks": "a" + "\u0301" * 100_000,
}

_SHOWN = [
    *(
        Row(
            f"inspect: texts with {what}",
            _after(_texts(TEXTS, text, "subtitle", "caption", "grounded_text", "source"), "inspect"),
            r"0: ",
        )
        for what, text in _HOSTILE.items()
    ),
    *(
        Row(
            f"status: failures with {what}",
            _after(
                _texts(LEDGER, text, "message", "source", **{"state": "failed", "class": "network"}),
                "status",
            ),
            r"0: ",
        )
        for what, text in _HOSTILE.items()
    ),
]
"""Texts from outside that a terminal would obey."""

ROWS = [*_DAMAGED, *_SHOWN]
