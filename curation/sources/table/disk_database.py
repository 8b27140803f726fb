"""A DuckDB database in a temporary folder: tables of any size in bounded memory, deleted with the object."""

from __future__ import annotations

import shutil
import weakref
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Final

import duckdb
import pyarrow as pa

_LIMITS: Final = {"memory_limit": "128MB", "threads": "2", "autoinstall_known_extensions": "false"}


class DiskDatabase:
    """A connection to a database of its own, and a folder for files beside it."""

    def __init__(self, tables: str) -> None:
        """Create the database with these tables (SQL)."""
        self.folder = Path(mkdtemp(prefix="clipgrove-"))
        self._remove_files = weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        config = _LIMITS | {"temp_directory": str(self.folder / "spilled")}
        self.connection = duckdb.connect(str(self.folder / "tables.duckdb"), config=config)
        self.connection.execute(tables)

    def close(self) -> None:
        """Delete the database and its folder."""
        self.connection.close()
        self._remove_files()

    def insert(self, statement: str, batch: pa.Table) -> None:
        """Run an ``insert`` that reads the rows of `batch` from the table ``batch``."""
        self.connection.register("batch", batch)
        self.connection.execute(statement)
        self.connection.unregister("batch")

    def rows(self, query: str, values: list[Any] | None = None) -> list[tuple[Any, ...]]:
        """Return all rows of a query; its parameters are ``?``."""
        return list(self.connection.sql(query, params=values).fetchall())

    def column(self, query: str) -> list[Any]:
        """Return the first column of a query."""
        return [row[0] for row in self.rows(query)]

    def number(self, query: str) -> int:
        """Return the single number of a query, 0 for null."""
        return int(self.column(query)[0] or 0)
