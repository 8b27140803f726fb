"""The clips of a text layer with their marks and scores, in a scratch database: filters, counts and pages in a moment.

    text/<layer>/*.parquet + selections/<name>.parquet + scores/*/*.parquet -> table ``clips`` of a DuckDB file

Texts stay in their Parquet files. The keys that match a text or a condition in SQL are kept, so that the pages of one
search cost one scan. The database can read the DIR and nothing else of this machine, whatever a condition says.
"""

from __future__ import annotations

import hashlib
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from curation.view.sql_tables import clips_fulfilling, damage_reported, files, files_read_by, said
from runtime.errors import UserError
from shards.scores.score_set import ScoreSet, score_sets
from shards.selections.marked_sql import marked_clips
from shards.selections.selection import Selection
from shards.storage.store import Store

MEMORY: Final = "256MB"
"""Most that the database holds in memory; what does not fit goes to scratch."""
SECONDS: Final = 60.0
"""Longest that one query may take."""
TEXTS: Final = ("grounded_text", "caption", "subtitle")
"""Columns that a search for words looks into."""
_CLIPS: Final = "clips"
_FRESH: Final = "fresh_clips"
"""Table of the clips while they are read anew."""
_KEPT_MATCHES: Final = 8
_KEPT_ANSWERS: Final = 64
_FACTS: Final = (
    "(shard::bigint << 32) | file_row_number as place, hash(key) as id, hash(root_key) as root, "
    "hash(parent_key) as parent, hash(video_id) as video, parent_key is null as is_root, key, root_key, source, "
    'level::varchar as level, shard, start, "end", "end" - start as seconds, language, '
    "rewrite_status::varchar as rewrite_status, grounding_score, keep, filter_reason, split::varchar as split"
)
"""Columns; keys are hashed to numbers too, which are joined several times faster."""
_NUMBERS: Final = ("FLOAT", "DOUBLE", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")


@dataclass(frozen=True)
class RangeColumn:
    """A column of numbers that a range can be chosen of."""

    name: str
    low: float
    """Smallest value of all clips."""
    high: float
    """Largest value of all clips."""


class ClipTables:
    """The clips of one text layer; safe to use from several threads."""

    def __init__(self, store: Store, layer: str, selection: Selection | None) -> None:
        """Open a DIR; its clips are read in the background, and the first query waits for them."""
        self.store = store
        self.layer = layer
        self.selection = selection
        self._scratch = tempfile.TemporaryDirectory(prefix="curate-view-")
        self._database = _sandbox(store, Path(self._scratch.name))
        self._reader = self._database.cursor()
        self._ranges: Future[Sequence[RangeColumn]] = Future()
        self._matches: OrderedDict[str, str] = OrderedDict()
        self._answers: OrderedDict[str, list[dict[str, Any]]] = OrderedDict()
        self._lock = threading.Lock()
        self._answered_from = 0
        threading.Thread(target=self._read, name="clip tables", daemon=True).start()

    def close(self) -> None:
        """Remove the scratch database."""
        self._reader.interrupt()
        self._ranges.exception()
        self._database.close()
        self._scratch.cleanup()

    def refresh(self, selection: Selection | None) -> None:
        """Read the clips anew, as the selection marks them now; queries are answered from the old ones until then.

        Raises:
            ShardError: a table is damaged; the old clips stay.
        """
        self._ranges.result()
        fresh: Future[Sequence[RangeColumn]] = Future()
        with damage_reported(self.store, f"text/{self.layer}"):
            fresh.set_result(self._made(selection, _FRESH))
            self._reader.execute(
                f"begin; drop table {_CLIPS}; alter table {_FRESH} rename to {_CLIPS}; commit; checkpoint"
            )
        with self._lock:
            self._matches.clear()
            self._answers.clear()
            self._answered_from += 1
            self.selection, self._ranges = selection, fresh

    @property
    def ranges(self) -> Sequence[RangeColumn]:
        """The columns of numbers: length, share of supported claims, and scores.

        Raises:
            ShardError: a table is damaged.
        """
        return self._ranges.result()

    def select(self, query: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a query over ``clips``.

        Raises:
            UserError: it takes too long, or fails on a value.
            ShardError: a table is damaged.
        """
        self._ranges.result()
        with self._bounded() as cursor:
            result = cursor.execute(query, dict(parameters or {}))
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def select_once(self, query: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a query over ``clips``; those of the last queries are kept.

        Raises:
            UserError: it takes too long, or fails on a value.
            ShardError: a table is damaged.
        """
        asked = f"{query} {sorted((parameters or {}).items())}"
        with self._lock:
            if asked in self._answers:
                self._answers.move_to_end(asked)
                return self._answers[asked]
            answered_from = self._answered_from
        rows = self.select(query, parameters)
        with self._lock:
            if answered_from == self._answered_from:
                self._answers[asked] = rows
            if len(self._answers) > _KEPT_ANSWERS:
                self._answers.popitem(last=False)
        return rows

    def matching_text(self, words: str) -> str:
        """Return the name of a table of the keys of clips one of whose texts contains `words`, in any case."""
        looked_in = " or ".join(f"contains(lower({column}), lower($words))" for column in TEXTS)
        query = f"select hash(key) as id from read_parquet($files) where {looked_in}"  # noqa: S608  constants
        return self._match("text", words, lambda cursor, table: self._keep_keys(cursor, table, query, words))

    def matching_sql(self, where: str) -> str:
        """Return the name of a table of the keys of clips that fulfil a condition in SQL.

        Raises:
            UserError: the condition is no SQL, names no column, fails on a value, or takes too long.
        """
        return self._match("sql", where, lambda cursor, table: self._keep_fulfilling(cursor, table, where))

    def _match(self, kind: str, given: str, make: Any) -> str:
        self._ranges.result()
        table = f"match_{hashlib.sha256(f'{kind}:{given}'.encode('utf-8', 'replace')).hexdigest()[:16]}"
        with self._lock:
            if table in self._matches:
                self._matches.move_to_end(table)
                return table
            with self._bounded() as cursor:
                make(cursor, table)
                self._matches[table] = given
                if len(self._matches) > _KEPT_MATCHES:
                    cursor.execute(f"drop table if exists {self._matches.popitem(last=False)[0]}")
        return table

    def _keep_keys(self, cursor: duckdb.DuckDBPyConnection, table: str, query: str, words: str) -> None:
        parameters = {"files": files(self.store, f"text/{self.layer}"), "words": words}
        cursor.execute(f"create or replace table {table} as {query}", parameters)

    def _keep_fulfilling(self, cursor: duckdb.DuckDBPyConnection, table: str, where: str) -> None:
        clips = clips_fulfilling(cursor, self.store, self.layer, self.selection, where)
        cursor.execute(f"drop table if exists {table}")
        clips.project("hash(key) as id").create(table)

    @contextmanager
    def _bounded(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a connection whose queries end after `SECONDS`."""
        cursor = self._database.cursor()
        clock = threading.Timer(SECONDS, cursor.interrupt)
        clock.daemon = True
        clock.start()
        try:
            yield cursor
        except duckdb.InterruptException:
            raise UserError(f"the query took longer than {SECONDS:.0f} s; narrow it by a filter") from None
        except duckdb.Error as error:
            raise UserError(f"the query can't be answered: {said(error)}") from None
        finally:
            clock.cancel()
            cursor.close()

    def _read(self) -> None:
        try:
            with damage_reported(self.store, f"text/{self.layer}"):
                self._ranges.set_result(self._made(self.selection, _CLIPS))
        except Exception as error:
            self._ranges.set_exception(error)  # whoever asks next gets it

    def _made(self, selection: Selection | None, table: str) -> list[RangeColumn]:
        """Make a table of the clips, and return its columns of numbers."""
        cursor = self._reader
        cursor.execute(f"drop table if exists {table}")
        clips = marked_clips(cursor, files(self.store, f"text/{self.layer}"), selection, numbered=True)
        clips = clips.project(_FACTS)
        scores: list[str] = []
        for name in score_sets(self.store):
            clips, added = _with_numbers(cursor, clips, ScoreSet.open(self.store, name), scores)
            scores += added
        clips.create(table)
        ranges = []
        for column in ("seconds", "grounding_score", *scores):
            name = quoted(column)
            found = cursor.execute(
                f"select min({name}), max({name}) from {table} where isfinite({name})"  # noqa: S608  quoted
            ).fetchone()
            if found is not None and found[0] is not None:
                ranges.append(RangeColumn(column, float(found[0]), float(found[1])))
        return ranges


def quoted(name: str) -> str:
    """Return the name of a column as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def _with_numbers(
    cursor: duckdb.DuckDBPyConnection, clips: duckdb.DuckDBPyRelation, scored: ScoreSet, taken: Sequence[str]
) -> tuple[duckdb.DuckDBPyRelation, list[str]]:
    """Return clips with the scores of a set that are numbers, and their names: ``column``, or ``set.column``."""
    paths = scored.files() if scored.columns else []
    if not paths:
        return clips, []
    table = cursor.read_parquet(paths)
    numbers = [
        name for name, kind in zip(table.columns, table.types, strict=True) if name != "shard" and str(kind) in _NUMBERS
    ]
    known = {name.lower() for name in (*clips.columns, *taken)}
    names = {column: f"{scored.name}.{column}" if column.lower() in known else column for column in numbers}
    chosen = ", ".join(f"{quoted(column)}::float as {quoted(name)}" for column, name in names.items())
    if not numbers:
        return clips, []
    scores = table.project(f"key as score_key, {chosen}").set_alias("scores")
    joined = clips.set_alias("own").join(scores, "own.key = scores.score_key", "left")
    return joined.project("* exclude (score_key)"), list(names.values())


def _sandbox(store: Store, scratch: Path) -> duckdb.DuckDBPyConnection:
    """Return a database on scratch that can read `store`, and no other file of this machine or of the network."""
    database = duckdb.connect(
        str(scratch / "clips.duckdb"),
        config={
            "memory_limit": MEMORY,
            "temp_directory": str(scratch / "spilled"),
            "autoinstall_known_extensions": "false",
            "preserve_insertion_order": "false",
        },
    )
    files_read_by(database, store)
    return database
