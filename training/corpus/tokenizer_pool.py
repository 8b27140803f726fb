"""Pool of processes that tokenise the parts of a corpus (`training.corpus.part_tokenizer`)."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from types import FrameType
from typing import Any

from runtime.errors import MachineError
from training.corpus.corpus_parts import CorpusPart
from training.corpus.token_files import PartRecord

TokenizePart = Callable[[int, CorpusPart], PartRecord]
"""Tokenise the part of that number; `PartTokenizer` is one."""


def tokenize_parts(
    tokenize_part: TokenizePart,
    parts: Iterator[tuple[int, CorpusPart]],
    workers: int,
    done: Mapping[int, PartRecord],
) -> Iterator[tuple[int, PartRecord]]:
    """Tokenise all parts.

    Args:
        tokenize_part: sent to each process.
        parts: parts with their numbers.
        workers: processes; 0: work in this process.
        done: records of parts that are complete already, by number.

    Yields:
        The weight of each part and its record, in order.

    Raises:
        MachineError: a process died.
    """
    if workers == 0:
        with _tokenizer_threads_off():
            for number, part in parts:
                yield part.weight, done.get(number) or tokenize_part(number, part)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _start_worker, (tokenize_part,))
    pending: deque[tuple[int, Future[PartRecord]]] = deque()
    try:
        for number, part in parts:
            future = _completed(done[number]) if number in done else pool.submit(_run, number, part)
            pending.append((part.weight, future))
            if len(pending) >= 2 * workers:
                weight, oldest = pending.popleft()
                yield weight, oldest.result()
        for weight, oldest in pending:
            yield weight, oldest.result()
    except BrokenProcessPool:
        raise MachineError("a tokenizing process died, most likely for lack of memory; lower workers=") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _completed(record: PartRecord) -> Future[PartRecord]:
    future: Future[PartRecord] = Future()
    future.set_result(record)
    return future


@contextmanager
def _tokenizer_threads_off() -> Iterator[None]:
    """Switch off the tokenizer's own threads: processes do the work in parallel."""
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = before


_tokenize_part: TokenizePart | None = None
"""Set once in each process of the pool."""


def _start_worker(tokenize_part: TokenizePart) -> None:
    """Set up a process of the pool: it exits at once when it is interrupted, or when its parent is gone."""
    global _tokenize_part
    _tokenize_part = tokenize_part
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    signal.signal(signal.SIGINT, _exit_interrupted)
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_exit_with_parent, args=(parent,), daemon=True).start()


def _run(number: int, part: CorpusPart) -> PartRecord:
    assert _tokenize_part is not None
    return _tokenize_part(number, part)


def _exit_interrupted(number: int, frame: FrameType | None) -> None:
    os._exit(130)


def _exit_with_parent(parent: Any) -> None:
    parent.join()
    os._exit(1)
