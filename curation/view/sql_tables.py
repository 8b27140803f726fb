"""SQL over the tables of a DIR, straight from Parquet; used by `status` and `inspect`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import duckdb
import pyarrow as pa

from runtime.errors import UserError, nearest, one_line
from shards.carried_columns import carried_spans, with_carried
from shards.errors import ShardError
from shards.media.video_facts import with_videos
from shards.schema import CLIPS, TEXT, VIDEOS
from shards.scores.score_set import ScoreSet, score_sets
from shards.scores.scored_sql import with_scores
from shards.selections.marked_sql import marked_clips
from shards.selections.selection import Selection
from shards.selections.sql_expressions import parse_expression, sandbox
from shards.storage.remote_filesystem import remote_filesystem
from shards.storage.store import Store

LOCAL_FILES: Final = "files"
"""The site of all local files."""


def connect(store: Store) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection that can read the files of `store`, on an object store too; it installs nothing."""
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    _register(connection, store)
    return connection


def files_read_by(connection: duckdb.DuckDBPyConnection, store: Store) -> None:
    """Let a connection read the files of `store` and nothing else, for good: no query can change it."""
    _register(connection, store)
    connection.execute(f"set allowed_directories = [{', '.join(map(_quoted, _spellings(store)))}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def _spellings(store: Store) -> list[str]:
    """Return the root of a store as it is named, and as its file system names what it lists."""
    if store.is_local:
        return [f"{store.root}/"]
    protocol, path = store.root.split("://")[0], remote_filesystem(store.root)[1]
    return [f"{store.root}/", f"{protocol}://{path}/"]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _register(connection: duckdb.DuckDBPyConnection, store: Store) -> None:
    if not store.is_local:
        connection.register_filesystem(remote_filesystem(store.root)[0])


def site_sql(column: str) -> str:
    """Return the host of a column of URLs and paths as an expression of SQL: no user, password, port or ``www.``."""
    user = "'^([a-z][a-z0-9+.-]*://)[^/:@?#]*:([^0-9@][^@]*|[0-9]+[^0-9/@][^@]*|[0-9]*)@'"  # also with a slash in it
    host = "'^[a-z][a-z0-9+.-]*://(?:[^/@]*@)?(?:www\\.|m\\.)?([^/:?#]+)'"
    address = f"regexp_replace(lower({column}), {user}, '\\1')"
    return f"coalesce(nullif(regexp_extract({address}, {host}, 1), ''), '{LOCAL_FILES}')"


def files(store: Store, folder: str) -> list[str]:
    """Return the paths of the committed Parquet files of a folder."""
    return [store.path(f"{folder}/{name}") for name in sorted(store.list(folder)) if name.endswith(".parquet")]


@contextmanager
def damage_reported(store: Store, folder: str) -> Iterator[None]:
    """Raise a `ShardError` for tables of a folder that DuckDB can't read, or that lack columns, within the block."""
    try:
        yield
    except duckdb.Error as error:
        raise ShardError(
            f"{store.path(folder)}: its tables can't be read ({one_line(error, keep='first')}); "
            f"see which one is damaged: curate check {store.root}"
        ) from None


def condition(where: str) -> duckdb.Expression:
    """Return a user's condition, parsed by itself: it can't reach out of its place in a query.

    Raises:
        UserError: it is not one expression of SQL.
    """
    try:
        return duckdb.SQLExpression(where)
    except duckdb.Error as error:
        raise UserError(f"--where {where!r}: {one_line(error, keep='first')}") from None


def clips_where(
    store: Store, layer: str, selection: Selection | None, where: str | None, **equal: str | None
) -> duckdb.DuckDBPyRelation:
    """Return the clips of a layer that fulfil a user's condition, and whose columns equal the given values.

    Args:
        store: the DIR.
        layer: name of the text layer.
        selection: marks its clips; None: no selection does.
        where: condition in SQL, over the columns of the clips, their marks, their media, their scores, their videos
            and the manifest; None: all clips.
        equal: a value for each column; None: any.

    Raises:
        UserError: the condition is no SQL, or names no column.
        ShardError: a table of the layer is damaged.
    """
    connection = connect(store)
    with damage_reported(store, f"text/{layer}"):
        clips = marked_clips(connection, files(store, f"text/{layer}"), selection)
        for column, value in equal.items():
            if value is not None:
                clips = clips.filter(duckdb.ColumnExpression(column) == duckdb.ConstantExpression(value))
    if where is None:
        return clips
    columns = [duckdb.ColumnExpression(name) for name in clips.columns]
    return _fulfilling(connection, store, clips, where).select(*columns)


def clips_fulfilling(
    connection: duckdb.DuckDBPyConnection, store: Store, layer: str, selection: Selection | None, where: str
) -> duckdb.DuckDBPyRelation:
    """Return the clips of a layer that fulfil a user's condition, with all columns that it can name.

    Raises:
        UserError: the condition is no SQL, or names no column.
        ShardError: a table is damaged.
    """
    with damage_reported(store, f"text/{layer}"):
        clips = marked_clips(connection, files(store, f"text/{layer}"), selection)
    return _fulfilling(connection, store, clips, where)


def _fulfilling(
    connection: duckdb.DuckDBPyConnection, store: Store, clips: duckdb.DuckDBPyRelation, where: str
) -> duckdb.DuckDBPyRelation:
    try:
        named = {path[0] for path in parse_expression(sandbox(), where, "--where").columns}
    except ShardError as error:
        raise UserError(str(error)) from None
    with damage_reported(store, "media"):
        joined = _with_all_columns(connection, store, clips, named)
    known = {name.lower() for name in joined.columns}
    if unknown := sorted(name for name in named if name.lower() not in known):
        raise UserError(f"--where {where!r}: no column {unknown[0]!r}{nearest(unknown[0], joined.columns)}")
    try:
        return joined.filter(condition(where))
    except duckdb.Error as error:
        raise UserError(f"--where {where!r}: {said(error)}") from None


def _with_all_columns(
    connection: duckdb.DuckDBPyConnection, store: Store, clips: duckdb.DuckDBPyRelation, named: Collection[str]
) -> duckdb.DuckDBPyRelation:
    """Return clips with the columns of their videos, of the manifest, of scores, and of media if one is named."""
    own = [name for name in CLIPS.names if name not in TEXT.names]
    if {name.lower().removeprefix("carried_") for name in named} & set(own):
        clips = _with_media(connection, store, clips, own)
    joined = with_videos(clips, video_rows(connection, store))
    joined = with_carried(connection, joined, carried_spans(store, joined.columns))
    return with_scores(connection, joined, [ScoreSet.open(store, name) for name in score_sets(store)])


def _with_media(
    connection: duckdb.DuckDBPyConnection, store: Store, clips: duckdb.DuckDBPyRelation, columns: Sequence[str]
) -> duckdb.DuckDBPyRelation:
    """Return clips with columns of the media table."""
    paths = files(store, "media")
    if not paths:
        return clips
    media = connection.read_parquet(paths).project(f"key as media_key, {', '.join(columns)}").set_alias("media")
    return clips.set_alias("clips").join(media, "clips.key = media.media_key", "left").project("* exclude (media_key)")


def video_rows(connection: duckdb.DuckDBPyConnection, store: Store) -> duckdb.DuckDBPyRelation:
    """Return the rows of ``videos/*.parquet``; none in a DIR that was made without them."""
    paths = files(store, "videos")
    return connection.read_parquet(paths) if paths else connection.from_arrow(VIDEOS.empty_table())


def arrow_of(relation: duckdb.DuckDBPyRelation, where: str | None) -> pa.Table:
    """Return the rows of a relation as a table of Arrow, for another connection.

    Raises:
        UserError: the user's condition fails on a value.
    """
    try:
        return relation.to_arrow_table()
    except duckdb.Error as error:
        raise UserError(f"--where {where!r}: {said(error)}") from None


def rows_of(relation: duckdb.DuckDBPyRelation, where: str | None) -> list[Any]:
    """Return the rows of a relation, each a dictionary by column.

    Raises:
        UserError: the user's condition fails on a value.
    """
    try:
        return [dict(zip(relation.columns, row, strict=True)) for row in relation.fetchall()]
    except duckdb.Error as error:
        raise UserError(f"--where {where!r}: {said(error)}") from None


def said(error: duckdb.Error) -> str:
    """Return DuckDB's message without the query, of which the user wrote a part only."""
    return " ".join(str(error).partition("\n\nLINE ")[0].split())[:300]


def select(connection: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[object] = ()) -> list[Any]:
    """Return the rows of a query, each a dictionary by column.

    Raises:
        UserError: a table is damaged.
    """
    try:
        result = connection.execute(query, list(parameters))
        names = [column[0] for column in result.description]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
    except duckdb.Error as error:
        raise UserError(f"a table can't be read: {said(error)}") from None
