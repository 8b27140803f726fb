"""Counts the calls of a DIR's store by kind, as an object store would bill them.

Calls are counted where `shards.storage.store.Store` makes them. Files that DuckDB and Parquet datasets open by path are
not calls of the store, and are not counted.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final

from shards.storage.local_folder import LocalFolder

KINDS: Final = (
    "list", "info", "folders", "exists", "open", "read_bytes", "commit", "commit_bytes", "create", "delete",
)  # fmt: skip
"""Calls of `shards.storage.backend.Backend` that ask an object store at least once."""
NAMES_A_PAGE: Final = 1000
"""Names in one answer to a listing (Amazon S3, ListObjectsV2)."""
PAGES: Final = "list pages"

_counts: Counter[str] = Counter()


def count_requests() -> None:
    """Count the calls of this process from now on; calling it again changes nothing."""
    for kind in KINDS:
        method = getattr(LocalFolder, kind)
        if not hasattr(method, "__wrapped__"):
            setattr(LocalFolder, kind, _counted(kind, method))


def requests_so_far() -> Counter[str]:
    """Return the number of calls of this process by kind, and of the pages of its listings."""
    return _counts.copy()


@contextmanager
def requests_within() -> Iterator[Counter[str]]:
    """Yield a counter that holds the calls of the block after it."""
    before, within = requests_so_far(), Counter[str]()
    yield within
    within.update(requests_so_far() - before)


def added(counts: Mapping[str, float]) -> dict[str, int]:
    """Return the counts of requests among the figures of a stage, by kind."""
    return {name.removeprefix(PREFIX): round(value) for name, value in counts.items() if name.startswith(PREFIX)}


PREFIX: Final = "request:"
"""Prefix of the figures by which a worker reports its requests."""


def _counted(kind: str, method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:
        answer = method(*arguments, **options)
        _counts[kind] += 1
        if kind == "list":
            _counts[PAGES] += max(1, math.ceil(len(answer) / NAMES_A_PAGE))
        return answer

    return call
