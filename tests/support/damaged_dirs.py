"""Damage to a DIR, as faulty disks, careless tools or faulty stages would do, and what `check` reports of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from support.shard_factory import CAPTION_SET, LAYER

from shards import writer
from shards.checks.check_dir import check
from shards.reader import read_artifact, read_table
from shards.schema import CAPTIONS, CLIPS, LEDGER, SELECTION, SOURCES, TEXT
from shards.storage.store import Store
from shards.storage.tar import TarWriter, members, read_span

MEDIA = "media/0000000.parquet"
ROOTS = "media/0000000.tar"
STILLS = "keyframes/0000000.tar"
LEDGER_NAME = "ledger/0000000.parquet"
CAPTIONS_NAME = f"captions/{CAPTION_SET}/0000000.parquet"
TEXT_NAME = f"text/{LAYER}/0000000.parquet"
SELECTION_NAME = f"selections/{LAYER}.parquet"
SOURCES_NAME = "sources/0000000-0000001.parquet"
SCHEMAS = {
    MEDIA: CLIPS,
    LEDGER_NAME: LEDGER,
    CAPTIONS_NAME: CAPTIONS,
    TEXT_NAME: TEXT,
    SELECTION_NAME: SELECTION,
    SOURCES_NAME: SOURCES,
}


Change = Callable[[list[Any]], object]
"""Changes rows, or members of a tar, in place."""


def problems_of(store: Store, **options: Any) -> set[tuple[str, str]]:
    return {(problem.where, problem.what) for problem in check(store, **options)}


def assert_reported(store: Store, where: str, words: str, **options: Any) -> None:
    found = problems_of(store, **options)
    assert any(place == where and words in what for place, what in found), found


def other_value(value: Any) -> Any:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return "written" if value == "failed" else "failed"
    if isinstance(value, list):
        return value[:-1]
    if isinstance(value, dict):
        return {**value, next(iter(value)): "other"}
    return None


def a_value(type_: pa.DataType) -> Any:
    """Return a value of a column's type, for a column in which no row has one."""
    if pa.types.is_string(type_):
        return "changed"
    if pa.types.is_list(type_):
        return []
    return pa.scalar(1).cast(type_).as_py()


def rewrite_table(store: Store, name: str, change: Change) -> None:
    """Write a table anew with changed rows and its old footer, as damage or a careless tool would."""
    table = read_table(store, name)
    rows = table.to_pylist()
    change(rows)
    changed = pa.Table.from_pylist(rows, schema=table.schema)
    pq.write_table(changed, store.path(name))


def recommit_table(store: Store, tmp_path: Path, name: str, change: Change) -> None:
    """Commit a table with changed rows as if a stage had made it so: its digest is right."""
    artifact = read_artifact(store, name)
    rows = read_table(store, name).to_pylist()
    change(rows)
    table = pa.Table.from_pylist(rows, schema=SCHEMAS[name])
    if name == MEDIA:
        digest = writer.media_digest(table, artifact.files)
        writer.commit_record(store, tmp_path, name, table, writer.replace(artifact, digest=digest))
    else:
        writer.commit_table(store, tmp_path, name, table, artifact)


def setting(column: str, value: Any, *, of: int = 0) -> Change:
    def change(rows: list[Any]) -> None:
        rows[of][column] = value

    return change


def rewrite_tar(store: Store, name: str, tmp_path: Path, change: Change) -> None:
    """Write a tar anew with other members and make its shard's record agree with it."""
    found = [(member.name, read_span(store, name, member.offset, member.size)) for member in members(store, name)]
    change(found)
    with TarWriter(tmp_path / "new.tar") as tar:
        spans = {member: tar.add(member, data) for member, data in found}
    artifact = read_artifact(store, MEDIA)
    rows = read_table(store, MEDIA).to_pylist()
    for row in rows if name == ROOTS else []:
        span = spans.get(f"{row['root_key']}.mp4")
        if span is not None:
            row.update(byte_offset=span.offset, byte_size=span.size)
    store.commit(tar.path, name)
    table = pa.Table.from_pylist(rows, schema=CLIPS)
    files = {**artifact.files, name: tar.fact}
    record = writer.replace(artifact, files=files, digest=writer.media_digest(table, files))
    writer.commit_record(store, tmp_path, MEDIA, table, record)
