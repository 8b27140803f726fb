"""Tokenisation of one part of a corpus: its lines become a file of tokens, and a record that marks it complete."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shards.storage.store import Store
from training.corpus.corpus_parts import CorpusPart
from training.corpus.part_lines import read_lines
from training.corpus.token_files import PARTS, PartRecord, TokenType, to_bytes
from training.corpus.tokenize_settings import ReadingSettings
from training.models.vidlankd.text_tokenizer import TextTokenizer

_TEXT_CHARACTERS: Final = 1 << 12
"""Characters of a text: lines are joined up to this length."""
_BATCH_CHARACTERS: Final = 1 << 20
"""Characters that the tokenizer gets at once."""


@dataclass(frozen=True)
class PartTokenizer:
    """Tokenises parts and commits them; pickled into each process."""

    store: Store
    settings: ReadingSettings
    tokenizer: TextTokenizer
    dtype: TokenType

    def __call__(self, number: int, part: CorpusPart) -> PartRecord:
        """Read a part, tokenise it, write its tokens and then its record."""
        counts: Counter[str] = Counter({"bytes": 0, "lines": 0})
        batches = _in_batches(itertools.chain.from_iterable(read_lines(part, self.settings, counts)))
        ids = [_flatten(self.tokenizer.encode(texts), self.dtype) for texts in batches]
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


def _in_batches(lines: Iterable[str]) -> Iterator[list[str]]:
    """Join lines into texts of a few thousand characters, and yield the texts in batches of bounded size."""
    texts: list[str] = []
    size = 0
    for text in _join_lines(lines):
        texts.append(text)
        size += len(text)
        if size >= _BATCH_CHARACTERS:
            yield texts
            texts, size = [], 0
    if texts:
        yield texts


def _join_lines(lines: Iterable[str]) -> Iterator[str]:
    """Join lines: an end of line is white space to the tokenizer, which takes 1.5 times as long for single lines."""
    pending: list[str] = []
    size = 0
    for line in lines:
        pending.append(line)
        size += len(line)
        if size >= _TEXT_CHARACTERS:
            yield "\n".join(pending)
            pending, size = [], 0
    if pending:
        yield "\n".join(pending)


def _flatten(rows: Sequence[Sequence[int]], dtype: TokenType) -> NDArray[Any]:
    return np.fromiter(itertools.chain.from_iterable(rows), dtype, sum(map(len, rows)))
