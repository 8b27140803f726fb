"""Questions to other machines before a run (model hub, registry, model servers): all at once, with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


def ask_all(questions: Mapping[K, Callable[[], T]], seconds: float) -> dict[K, T | Exception]:
    """Ask every question in a thread of its own, and return the answers by key, in the order of the questions.

    A question that raises is answered by its exception, and one without an answer after `seconds` by `TimeoutError`:
    its thread is left behind and does not keep the process from ending.
    """
    answers: dict[K, T | Exception] = {}

    def ask(key: K, question: Callable[[], T]) -> None:
        try:
            answers[key] = question()
        except Exception as error:
            answers[key] = error

    threads = [threading.Thread(target=ask, args=item, name="question", daemon=True) for item in questions.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    return {key: answers.get(key, TimeoutError(f"no answer within {seconds:g} s")) for key in questions}
