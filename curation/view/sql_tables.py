"""SQL over the tables of a DIR, straight from Parquet; used by `status` and `inspect`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb

from runtime.errors import UserError, one_line
from shards.storage.store import Store


def connect(store: Store) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection that can read the files of `store`, on an object store too; it installs nothing."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    if not store.is_local:
        import fsspec

        connection.register_filesystem(fsspec.filesystem(store.root.split("://")[0]))
    return connection


def files(store: Store, folder: str) -> list[str]:
    """Return the paths of the committed Parquet files of a folder."""
    return [store.path(f"{folder}/{name}") for name in sorted(store.list(folder)) if name.endswith(".parquet")]


def select(connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[object] = ()) -> list[Any]:
    """Return the rows of a query, each a dictionary by column.

    Raises:
        UserError: DuckDB refuses the query (a misspelt column in ``--where``).
    """
    try:
        result = connection.execute(query, list(parameters))
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    except duckdb.Error as error:
        raise UserError(f"the query was refused: {one_line(error, limit=300)}") from None
