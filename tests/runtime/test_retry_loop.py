import pytest

from runtime.retry_limits import Bound
from runtime.retry_loop import backoff_seconds, with_retries

_THREE = Bound("reads", 3, "attempts", "", "")
_NO_PAUSE = Bound("pause", 0, "s", "", "")


class _Flaky:
    """Fails a number of times, then returns 7."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self.failures:
            raise OSError(f"failure {self.calls}")
        return 7


def test_a_failure_that_passes_is_retried() -> None:
    call = _Flaky(2)
    assert with_retries(call, _THREE, _NO_PAUSE, passes=lambda _: True) == 7
    assert call.calls == 3


def test_the_last_failure_is_raised() -> None:
    with pytest.raises(OSError, match="failure 3"):
        with_retries(_Flaky(3), _THREE, _NO_PAUSE, passes=lambda _: True)


def test_a_failure_that_does_not_pass_is_raised_at_once() -> None:
    call = _Flaky(1)
    with pytest.raises(OSError, match="failure 1"):
        with_retries(call, _THREE, _NO_PAUSE, passes=lambda _: False)
    assert call.calls == 1


def test_the_pause_doubles() -> None:
    assert [backoff_seconds(attempt, 0.5, jitter=0) for attempt in range(3)] == [0.5, 1.0, 2.0]


def test_the_pause_varies_within_the_jitter() -> None:
    pauses = [backoff_seconds(0, 4.0, jitter=0.25) for _ in range(200)]
    assert len(set(pauses)) > 1
    assert all(3.0 <= pause <= 5.0 for pause in pauses)


def test_the_pause_is_not_shorter_than_asked_and_not_longer_than_allowed() -> None:
    assert backoff_seconds(0, 1.0, jitter=0, asked=30.0, longest=60.0) == 30.0
    assert backoff_seconds(0, 1.0, jitter=0, asked=3600.0, longest=60.0) == 60.0
