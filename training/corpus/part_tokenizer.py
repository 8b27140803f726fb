"""One part of a corpus to tokens on disk, and the processes that do it (`training.corpus.tokenize_corpus`)."""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from runtime.errors import MachineError
from shards.storage.store import Store
from training.corpus.corpus_files import Part, ReadingSettings
from training.corpus.corpus_lines import read_lines
from training.corpus.token_files import PARTS, PartRecord, TokenType, to_bytes
from training.models.vidlankd.text_tokenizer import TextTokenizer

_TEXT: Final = 1 << 12  # characters of a text
_BATCH: Final = 1 << 20  # characters that go through the tokenizer at once


@dataclass(frozen=True)
class PartMaker:
    """Makes parts and commits them; the same in each process."""

    store: Store
    settings: ReadingSettings
    tokenizer: TextTokenizer
    dtype: TokenType

    def __call__(self, number: int, part: Part) -> PartRecord:
        """Read a part, tokenise it, write its tokens and then its record."""
        counts: Counter[str] = Counter({"bytes": 0, "lines": 0})
        batches = _in_batches(itertools.chain.from_iterable(read_lines(part, self.settings, counts)))
        ids = [_flat(self.tokenizer.encode(texts), self.dtype) for texts in batches]
        data = to_bytes(np.concatenate(ids) if ids else np.empty(0, self.dtype), self.dtype)
        record = PartRecord(
            name=f"{number:05d}.bin",
            tokens=sum(map(len, ids)),
            sha256=hashlib.sha256(data).hexdigest(),
            counts=dict(counts),
        )
        self.store.commit_bytes(data, f"{PARTS}/{record.name}")
        self.store.commit_bytes(record.model_dump_json().encode(), f"{PARTS}/{number:05d}.json")
        return record


def made_by(
    maker: PartMaker, parts: Iterator[tuple[int, Part]], workers: int, done: Mapping[int, PartRecord]
) -> Iterator[tuple[int, PartRecord]]:
    """Make all parts.

    Args:
        maker: goes to each process.
        parts: with their numbers.
        workers: processes; 0: this one.
        done: parts that need not be made, by number.

    Yields:
        The weight of each part and its record, in order.

    Raises:
        MachineError: a process died.
    """
    if workers == 0:
        with _one_thread():
            for number, part in parts:
                yield part.weight, done.get(number) or maker(number, part)
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, _begin, (maker,))
    waiting: deque[tuple[int, Future[PartRecord]]] = deque()
    try:
        for number, part in parts:
            waiting.append((part.weight, _known(done[number]) if number in done else pool.submit(_run, number, part)))
            if len(waiting) >= 2 * workers:
                weight, coming = waiting.popleft()
                yield weight, coming.result()
        for weight, coming in waiting:
            yield weight, coming.result()
    except BrokenProcessPool:
        raise MachineError("a tokenizing process died, most likely for want of memory; lower workers=") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _known(record: PartRecord) -> Future[PartRecord]:
    future: Future[PartRecord] = Future()
    future.set_result(record)
    return future


@contextmanager
def _one_thread() -> Iterator[None]:
    """No threads of the tokenizer's own: processes are the workers."""
    before = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = before


_maker: PartMaker | None = None  # of a process of the pool


def _begin(maker: PartMaker) -> None:
    """Begin a process of the pool: it ends at once when it is interrupted, or when the one that began it is gone."""
    global _maker
    _maker = maker
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    signal.signal(signal.SIGINT, _end)
    if (main := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_with, args=(main,), daemon=True).start()


def _run(number: int, part: Part) -> PartRecord:
    assert _maker is not None
    return _maker(number, part)


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(130)


def _end_with(main: Any) -> None:
    main.join()
    os._exit(1)


def _in_batches(lines: Iterable[str]) -> Iterator[list[str]]:
    """Lines as texts of a few thousand characters, in batches of bounded size."""
    texts: list[str] = []
    size = 0
    for text in _joined(lines):
        texts.append(text)
        size += len(text)
        if size >= _BATCH:
            yield texts
            texts, size = [], 0
    if texts:
        yield texts


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """An end of line is white space to the tokenizer, which takes half as long again over lines one by one."""
    held: list[str] = []
    size = 0
    for line in lines:
        held.append(line)
        size += len(line)
        if size >= _TEXT:
            yield "\n".join(held)
            held, size = [], 0
    if held:
        yield "\n".join(held)


def _flat(rows: Sequence[Sequence[int]], dtype: TokenType) -> NDArray[Any]:
    return np.fromiter(itertools.chain.from_iterable(rows), dtype, sum(map(len, rows)))
