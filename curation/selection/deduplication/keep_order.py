"""The order in which clips are kept: of a group of duplicates the first one stays. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from runtime.errors import nearest

Doubles = NDArray[np.float64]
_LATEST: Final = "99999999"


class OrderTerm(NamedTuple):
    """One thing that the order depends on."""

    name: str
    """``resolution``, ``longest``, ``earliest`` or ``score``."""
    score_set: str = ""
    column: str = ""


def parse_order(keep: Sequence[str]) -> list[OrderTerm]:
    """Return the terms of an order.

    Raises:
        ValueError: a word is neither a term nor ``SET.column``; or there is none.
    """
    if not keep:
        raise ValueError(f"name at least one of {', '.join(_VALUES)} or SET.column")
    return [_term(word) for word in keep]


def _term(word: str) -> OrderTerm:
    if word in _VALUES:
        return OrderTerm(word)
    score_set, dot, column = word.partition(".")
    if not (score_set and dot and column):
        raise ValueError(f"{word}: no such order{nearest(word, [*_VALUES, 'SET.column'])}")
    return OrderTerm("score", score_set, column)


def ranks(clips: pa.Table, terms: Sequence[OrderTerm], scores: Mapping[OrderTerm, Doubles]) -> NDArray[np.int64]:
    """Return the rank of each clip, 0 for the best one; ties are broken by the order of rows.

    Args:
        clips: columns `width`, `height`, `start`, `end` and `upload_date` (YYYYMMDD or null).
        terms: of `parse_order`.
        scores: the values of each term that is a score, for each clip; NaN where there is none.
    """
    columns = [scores[term] if term.name == "score" else _VALUES[term.name](clips) for term in terms]
    keys = [np.where(np.isnan(column), np.inf, -column) for column in columns]
    order = np.lexsort([np.arange(clips.num_rows), *reversed(keys)])
    rank = np.empty(clips.num_rows, np.int64)
    rank[order] = np.arange(clips.num_rows)
    return rank


def _resolution(clips: pa.Table) -> Doubles:
    return _doubles(clips, "width") * _doubles(clips, "height")


def _longest(clips: pa.Table) -> Doubles:
    return _doubles(clips, "end") - _doubles(clips, "start")


def _earliest(clips: pa.Table) -> Doubles:
    dates = pc.fill_null(clips["upload_date"], _LATEST)
    are_dates = pc.match_substring_regex(dates, "^[0-9]{8}$")
    numbers = pc.cast(pc.if_else(are_dates, dates, _LATEST), pa.float64())
    return -np.asarray(numbers.to_numpy(), np.float64)


def _doubles(clips: pa.Table, name: str) -> Doubles:
    return np.asarray(clips[name].to_numpy(), np.float64)


_VALUES: Final[dict[str, Callable[[pa.Table], Doubles]]] = {
    "resolution": _resolution,
    "longest": _longest,
    "earliest": _earliest,
}
