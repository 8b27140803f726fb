"""Attempts at one call to an object store: a failure that may pass is waited out, any other is raised at once.

The libraries for stores have retries of their own (`shards.storage.remote_filesystem` sets those of S3), but none of
them covers every failure: s3fs reads the parts of a large object once, the file system for HTTP does not retry at all,
and a status 500 that lasts for seconds outlives the rest.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

from shards.storage.storage_errors import StorageError

T = TypeVar("T")

STORE_ATTEMPTS: Final = 5
"""Attempts at a call to a store, the first one included."""
STORE_PAUSE: Final = 0.5
"""Seconds before the second attempt, doubled before each further one; half of the pause is drawn at random."""


def with_patience(call: Callable[[], T]) -> T:
    """Return what `call` returns, calling it again after a `StorageError` that may pass; it must be safe to repeat.

    Raises:
        StorageError: of the last attempt, or the first that does not pass.
    """
    for attempt in range(STORE_ATTEMPTS - 1):
        try:
            return call()
        except StorageError as error:
            if not error.may_pass:
                raise
        time.sleep(STORE_PAUSE * 2.0**attempt * random.uniform(0.5, 1.0))
    return call()
