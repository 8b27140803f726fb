"""Where a DIR holds rows, tar members or text of certain videos: hidden folders and unknown files included.

Every key begins with the id of its video, so a row belongs to a video if one of its key columns begins with the id.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shards.errors import ShardError, one_line
from shards.reader import read_table
from shards.removal.tombstones import REMOVED_CLASS, REMOVED_NAME, is_alias
from shards.storage.store import Store
from shards.storage.tar import members

KEY_COLUMNS: Final = ("video_id", "key", "root_key", "group")
"""Columns of any table that begin with the id of a video."""
LOG: Final = "log"
SCRATCH: Final = ".scratch"
"""Beginning of the names of folders for work in progress."""
ID_LENGTH: Final = 16
_BOOKS: Final = ("sources", "ledger")
_PIECE: Final = 1 << 20


def rows_of_videos(table: pa.Table, ids: Collection[str], columns: Collection[str] = KEY_COLUMNS) -> NDArray[np.bool_]:
    """Return True for each row of a table that belongs to one of the videos, [rows]."""
    wanted = pa.array(sorted(ids), pa.string())
    found = np.zeros(table.num_rows, bool)
    for name in columns:
        if name in table.column_names and pa.types.is_string(table.schema.field(name).type):
            starts = pc.utf8_slice_codeunits(table[name], 0, ID_LENGTH)
            found |= pc.fill_null(pc.is_in(starts, value_set=wanted), False).to_numpy()
    return found


def all_folders(store: Store, folder: str = "") -> Iterator[str]:
    """Yield every folder of a DIR, hidden ones too; without its log and without folders for work in progress."""
    yield folder
    for name in store.folders(folder, hidden=True):
        path = f"{folder}/{name}" if folder else name
        if path != LOG and not name.startswith(SCRATCH):
            yield from all_folders(store, path)


def all_files(store: Store) -> list[str]:
    """Return the names of all files of a DIR, without those that begin with a dot, sorted."""
    return sorted(
        f"{folder}/{name}" if folder else name for folder in all_folders(store) for name in store.list(folder)
    )


def traces(store: Store, ids: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield (file, problem) for each file of a DIR that holds something of the videos, or can't be read."""
    if not ids:
        return
    for name in all_files(store):
        try:
            found = _trace(store, name, ids)
        except FileNotFoundError:
            continue
        except (ShardError, pa.ArrowException) as error:
            found = f"can't be searched for removed videos ({one_line(error)})"
        if found is not None:
            yield name, found


def _trace(store: Store, name: str, ids: Collection[str]) -> str | None:
    suffix = PurePosixPath(name).suffix
    if name == REMOVED_NAME or suffix == ".npy":
        return None
    if suffix == ".tar":
        found = {member.name[:ID_LENGTH] for member in members(store, name)} & set(ids)
        return f"holds the bytes of the removed video {min(found)}" if found else None
    if suffix == ".parquet":
        return _in_books(store, name, ids) if name.startswith(_BOOKS) else _in_table(store, name, ids)
    found = _in_text(store, name, ids)
    return f"names the removed video {min(found)}; delete it" if found else None


def _in_table(store: Store, name: str, ids: Collection[str]) -> str | None:
    with store.open(name) as opened:
        file = pq.ParquetFile(opened)
        columns = [column for column in KEY_COLUMNS if column in file.schema_arrow.names]
        rows = 0
        for group in range(file.num_row_groups if columns else 0):
            rows += int(rows_of_videos(file.read_row_group(group, columns, use_threads=False), ids).sum())
    return f"holds {rows} rows of removed videos" if rows else None


def _in_books(store: Store, name: str, ids: Collection[str]) -> str | None:
    """Look through sources or a ledger, which keep the rows of removed videos without URL or message."""
    state = "verdict" if name.startswith(_BOOKS[0]) else "class"
    table = read_table(store, name, ["source", "video_id", state])
    rows = table.filter(pa.array(rows_of_videos(table, ids))).to_pylist()
    named = [row for row in rows if not is_alias(row["video_id"], row["source"]) or row[state] != REMOVED_CLASS]
    return f"names {len(named)} sources of removed videos" if named else None


def _in_text(store: Store, name: str, ids: Collection[str]) -> set[str]:
    """Return the ids that a file of an unknown kind holds as text."""
    found: set[str] = set()
    wanted = [id_.encode() for id_ in ids]
    rest = b""
    with store.open(name) as file:
        while piece := file.read(_PIECE):
            data = rest + piece
            found |= {id_.decode() for id_ in wanted if id_ in data}
            rest = data[1 - ID_LENGTH :]
    return found
