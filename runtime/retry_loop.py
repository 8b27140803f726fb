"""Trying again, in one way: a bounded number of attempts with a pause that doubles."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from runtime.retry_limits import Bound

T = TypeVar("T")


def with_retries(
    call: Callable[[], T],
    attempts: Bound,
    pause: Bound,
    *,
    passes: Callable[[Exception], bool],
) -> T:
    """Return what `call` returns, calling it again after an exception that may pass.

    Args:
        call: the work; it must be safe to repeat.
        attempts: calls in all, the first one included.
        pause: seconds before the second call; doubled before each further one.
        passes: returns True for an exception after which another attempt may succeed.

    Raises:
        Exception: the last attempt's exception, or the first that does not pass.
    """
    for attempt in range(attempts.count - 1):
        try:
            return call()
        except Exception as error:
            if not passes(error):
                raise
            time.sleep(backoff_seconds(attempt, pause.seconds, jitter=0.0))
    return call()


def backoff_seconds(
    attempt: int, first: float, *, jitter: float, longest: float = float("inf"), asked: float = 0.0
) -> float:
    """Return the seconds to wait after a failed attempt.

    Args:
        attempt: number of the attempt that failed, from 0.
        first: seconds after attempt 0; doubled after each further one.
        jitter: share by which the wait varies at random in both directions, so that workers don't return all at once.
        longest: upper bound in seconds.
        asked: seconds that the server has asked for; the wait is not shorter.
    """
    own = first * 2.0**attempt * random.uniform(1 - jitter, 1 + jitter)
    return min(max(own, asked), longest)
