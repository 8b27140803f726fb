"""The answers of Ray actors, handed to the driver's thread one by one in the order in which they come."""

from __future__ import annotations

import queue
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Final

_AT_ONCE: Final = 200
"""Answers handled before the driver looks at its clock again."""

TakeAnswer = Callable[["Future[Any]"], None]


class Inbox:
    """A queue of answers. Ray's threads fill it; the thread that calls `handle` empties it."""

    def __init__(self) -> None:
        self._answers: queue.SimpleQueue[tuple[TakeAnswer, Future[Any]]] = queue.SimpleQueue()

    def watch(self, reference: Any, take: TakeAnswer) -> None:
        """Have `take` called, by `handle`, with the result or the error behind a reference."""
        reference.future().add_done_callback(lambda answer: self._answers.put((take, answer)))

    def handle(self, patience: float) -> None:
        """Handle the answers that are there, some hundred at most; wait for the first at most `patience` seconds."""
        try:
            for number in range(_AT_ONCE):
                take, answer = self._answers.get(timeout=patience if number == 0 else 0)
                take(answer)
        except queue.Empty:
            return
