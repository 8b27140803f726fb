"""Expressions in DuckDB's SQL that a user writes over the columns of clips: what they name, and what they may not do.

An expression is one formula over the columns of one clip. It is parsed here before any table is read, so that it can
neither reach another table or a file nor depend on anything but the clip.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shards.errors import ShardError, one_line

if TYPE_CHECKING:
    import duckdb

_REFUSED: Final = {
    "SUBQUERY": "a query inside it",
    "WINDOW": "a window over other clips",
    "STAR": "* or columns(…); name the columns",
    "PARAMETER": "a parameter",
}
"""The parts that an expression may not hold, by DuckDB's class of syntax."""

_SEVERAL_ROWS: Final = frozenset(("unnest", "unlist"))

ColumnPath = tuple[str, ...]
"""A column as it is written: ``("motion",)``, ``("look", "blur")``, or with fields of a struct behind it."""


@dataclass(frozen=True)
class SqlExpression:
    """One expression of a user, parsed."""

    option: str
    """The flag or setting that it was given by, for messages."""
    text: str
    columns: frozenset[ColumnPath]
    """The columns that it names, as they are written."""

    def refusal(self, error: Exception) -> ShardError:
        """Return the error of DuckDB about this expression as one line, without the query around it."""
        said = " ".join(str(error).partition("\n\nLINE ")[0].split())[:300]
        return ShardError(f"{self.option} {self.text!r}: {said}")


def sandbox() -> duckdb.DuckDBPyConnection:
    """Return a connection that reads only tables handed to it: no files, no network, no extensions."""
    import duckdb

    settings = {
        "enable_external_access": "false",
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        "lock_configuration": "true",
    }
    return duckdb.connect(config=settings)


def parse_expression(connection: duckdb.DuckDBPyConnection, text: str, option: str) -> SqlExpression:
    """Parse an expression of a user.

    Args:
        connection: of `sandbox`; no table is read.
        text: the expression.
        option: the flag or setting that it was given by.

    Raises:
        ShardError: it is no expression, more than one, or holds what is not allowed in it: another query, a window, a
            star, or a function whose value changes from one call to the next.
    """
    import duckdb

    try:
        duckdb.SQLExpression(text)
        (answer,) = connection.execute("select json_serialize_sql(?)", [f"select {text}\n"]).fetchall()[0]
        tree = json.loads(answer)
    except duckdb.Error as error:
        raise ShardError(f"{option} {text!r}: {one_line(error, keep='first')}") from None
    except RecursionError:
        raise ShardError(f"{option} {text[:60]!r}…: is nested too deeply") from None
    if tree["error"] or len(tree["statements"]) != 1 or len(tree["statements"][0]["node"]["select_list"]) != 1:
        raise ShardError(f"{option} {text!r}: is not one expression of SQL")
    nodes = list(_nodes(tree["statements"][0]["node"]["select_list"]))
    for node in nodes:
        if (refused := _REFUSED.get(node["class"])) is not None:
            raise ShardError(f"{option} {text!r}: may not hold {refused}")
    functions = {node["function_name"] for node in nodes if node["class"] == "FUNCTION"}
    if several := sorted(functions & _SEVERAL_ROWS):
        raise ShardError(f"{option} {text!r}: {several[0]}() makes several rows of one clip; use list functions")
    _refuse_unsteady(connection, functions, text, option)
    own = {name for node in nodes if node["class"] == "LAMBDA" for name in _parameters(node["lhs"])}
    paths = {tuple(node["column_names"]) for node in nodes if node["class"] == "COLUMN_REF"}
    return SqlExpression(option, text, frozenset(path for path in paths if path[0] not in own))


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every part of a syntax tree that has a class."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if "class" in one:
                yield one
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one


def _parameters(lambda_head: Any) -> list[str]:
    """Return the names that a lambda gives to its arguments."""
    return [node["column_names"][0] for node in _nodes(lambda_head) if node["class"] == "COLUMN_REF"]


def _refuse_unsteady(connection: duckdb.DuckDBPyConnection, names: set[str], text: str, option: str) -> None:
    """Refuse functions that give another value at each call or in each query: a choice could not be repeated."""
    query = """
        select function_name from duckdb_functions() where function_name in (select unnest(?)) and stability is not null
        group by 1 having not bool_or(stability = 'CONSISTENT')
    """
    for (name,) in connection.execute(query, [sorted(names)]).fetchall():
        raise ShardError(f"{option} {text!r}: {name}() gives another value each time; a choice must be repeatable")
