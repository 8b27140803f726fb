"""Reasons to stop a run before its end: a signal, too much data that can't be used, too many losses without a value."""

from __future__ import annotations

import signal
import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

from runtime.errors import UserError


class StopSignal:
    """Stores that SIGTERM (or a first Ctrl-C) asked the run to stop; the loop then saves after the current step."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Catch the signals while the block runs; a second Ctrl-C interrupts it.

        Without effect in another thread than the main one, as in a worker of Ray Train, which has its own way to end.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.asked = True


class FiniteGuard:
    """Counts the steps that were left out because a loss or gradient was not finite."""

    def __init__(self, most: int, window: int = 1000) -> None:
        """Set the limits.

        Args:
            most: largest number of such steps among the newest.
            window: number of the newest steps.
        """
        self._most, self._window = most, window
        self._steps: deque[int] = deque()

    def allows(self, step: int) -> bool:
        """Add a step that was not finite; return False if there are now too many of them."""
        self._steps.append(step)
        while self._steps[0] <= step - self._window:
            self._steps.popleft()
        return len(self._steps) <= self._most


class SkipGuard:
    """Watches the share of unusable clips in the newest batches."""

    def __init__(self, share: float = 0.5, window: int = 200, least: int = 20) -> None:
        """Set the limits.

        Args:
            share: highest share of unusable clips that is allowed, 0 to 1.
            window: number of the newest clips that the share is taken over (whole batches, at least so many clips).
            least: the run is not stopped for fewer unusable clips.
        """
        self._share, self._window, self._least = share, window, least
        self._batches: deque[tuple[int, Counter[str], tuple[str, ...]]] = deque()

    def add(self, clips: int, skips: Mapping[str, int], examples: Sequence[str] = ()) -> None:
        """Add one batch.

        Args:
            clips: number of its clips, usable or not.
            skips: number of unusable clips by reason.
            examples: some of them, each with its error message.

        Raises:
            UserError: more than the share is unusable; the message names reasons and two examples.
        """
        self._batches.append((clips, Counter(skips), tuple(examples[:2])))
        while sum(n for n, _, _ in self._batches) - self._batches[0][0] >= self._window:
            self._batches.popleft()
        seen = sum(n for n, _, _ in self._batches)
        reasons = sum((c for _, c, _ in self._batches), Counter[str]())
        if reasons.total() >= self._least and reasons.total() > self._share * seen:
            named = ", ".join(f"{reason} {n}" for reason, n in reasons.most_common())
            clips_named = [said for _, _, of_batch in self._batches for said in of_batch][:2]
            raise UserError(
                f"data: {reasons.total()} of the last {seen} clips could not be used ({named}), for example "
                f"{' and '.join(clips_named) or '(none named)'}: check the data (`curate check`), or the access to it"
            )
