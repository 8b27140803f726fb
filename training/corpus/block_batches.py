"""Batches of text for training: blocks of tokenised corpora, shuffled, mixed and masked.

A row is a function of its position alone (position = step · batch + row). The position gives a corpus
(`training.corpus.corpus_mixture`), an epoch of that corpus and a block in it, and so the mask. No row is dropped and no
batch is padded: a batch may span two epochs, and the number of ranks changes nothing.

Shapes: B rows, L tokens (a block and its two specials).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from runtime.errors import UserError
from runtime.settings import content_hash
from training.corpus.corpus_mixture import CorpusMixture
from training.corpus.corpus_settings import MaskSettings, TextSettings
from training.corpus.open_corpora import open_corpora
from training.corpus.token_files import TokenBlocks
from training.corpus.token_masking import MASK_RULES, text_batch
from training.data.order.batch_order import Ranked
from training.data.prefetch_thread import prefetch_in_thread
from training.models.vidlankd.text_batch import TextBatch
from training.models.vidlankd.text_tokenizer import TextTokenizer

MAX_HELD_OUT: Final = 10_000
"""Largest number of blocks of a corpus that are held out; the papers hold out as many lines."""


class TextBatches:
    """One rank's batches of text (`training.engine.training_task.Batches`).

    Rank r of W takes rows r·B/W to (r + 1)·B/W of the global batch of B rows.
    """

    def __init__(
        self, settings: TextSettings, *, global_batch: int, ranks: Ranked, seed: int, pin: bool = False
    ) -> None:
        """Open the corpora and plan the batches.

        Args:
            settings: corpora, held-out share, masks.
            global_batch: rows in a step, over all ranks.
            ranks: this process among all.
            seed: seed of the run.
            pin: put batches in page-locked memory.

        Raises:
            UserError: there is no corpus, a corpus can't be used or has fewer than two blocks, corpora have different
                tokenizers or block lengths, there are fewer blocks than a batch takes, or the batch can't be divided
                among the ranks.
        """
        self._settings, self._batch, self._ranks, self._seed, self._pin = settings, global_batch, ranks, seed, pin
        self._corpora, self._valid = open_corpora(settings)
        self._first = np.cumsum([0, *map(len, self._corpora)]).tolist()
        self._train = [len(corpus) - self._held_out_blocks(corpus) for corpus in self._corpora]
        weights = list(settings.corpus.values()) if isinstance(settings.corpus, Mapping) else self._train
        self._mixture = CorpusMixture(self._train, weights, seed)
        if global_batch < 1 or global_batch % ranks.world_size:
            raise UserError(f"--batch-size {global_batch}: must be a multiple of the {ranks.world_size} ranks")
        if sum(self._train) < global_batch:
            raise UserError(
                f"--batch-size {global_batch}: there are only {sum(self._train)} blocks to train on; lower it, or give "
                "more text to --corpus"
            )

    @property
    def tokenizer(self) -> TextTokenizer:
        """The tokenizer of all corpora."""
        return self._corpora[0].tokenizer

    @property
    def length(self) -> int:
        """Tokens of a row, specials included."""
        return self._corpora[0].length

    @property
    def blocks(self) -> int:
        """Number of blocks of all corpora, including those held out; `number_B` counts through the corpora in order."""
        return int(self._first[-1])

    @property
    def corpus_identity(self) -> str:
        """Hash of the blocks that `number_B` counts: those of all corpora, in order."""
        return content_hash([corpus.identity for corpus in self._corpora])

    @property
    def identity(self) -> str:
        """Hash of the corpora, the settings that decide what is drawn, the seed and the batch size; not of paths."""
        named = self._settings.corpus
        weights = list(named.values()) if isinstance(named, Mapping) else None
        held_out = [corpus.identity for corpus in self._valid] if self._valid else self._settings.held_out
        masking = self._settings.masking.content()
        return content_hash(self.corpus_identity, weights, held_out, masking, MASK_RULES, self._seed, self._batch)

    @property
    def steps_per_epoch(self) -> int:
        """Number of global steps that read as many rows as there are blocks to train on, rounded up."""
        return -(-sum(self._train) // self._batch)

    def start(self, step: int) -> Iterator[TextBatch]:
        """Yield this rank's batches from global step `step` on, without end; a thread prepares the next one."""
        return prefetch_in_thread(self._batches(step))

    def fixed(self, numbers: Sequence[int], copy: int = 0) -> TextBatch:
        """Return rows by number (see `blocks`) with the static mask of that copy, even if masks are not static."""
        fixed = self._settings.masking.model_copy(update={"static_copies": copy + 1})
        return self._rows(self._corpora, numbers, [fixed.seed(0, copy, n) for n in numbers], [copy] * len(numbers))

    def held_out(self, batch: int) -> HeldOutBlocks:
        """Return the held-out blocks in batches of `batch` rows, with masks that are the same in every run."""
        if self._valid is not None:
            return HeldOutBlocks(self, range(min(sum(map(len, self._valid)), MAX_HELD_OUT)), batch)
        tails = zip(self._first, self._train, self._corpora, strict=False)
        return HeldOutBlocks(
            self, [first + n for first, train, corpus in tails for n in range(train, len(corpus))], batch
        )

    def held_out_rows(self, numbers: Sequence[int]) -> TextBatch:
        """Return held-out rows by number in the corpora, or in the folder `valid`."""
        fixed = MaskSettings(static_copies=1)
        seeds = [fixed.seed(0, 0, number) for number in numbers]
        return self._rows(self._valid or self._corpora, numbers, seeds, [0] * len(numbers))

    def _held_out_blocks(self, corpus: TokenBlocks) -> int:
        """Return how many blocks at the end of a corpus are not trained on."""
        if self._valid is not None:
            return 0
        if len(corpus) < 2:
            raise UserError(
                f"--corpus {corpus.folder}: has a single block, which is held out; add text, or score on another "
                "folder (--valid)"
            )
        return min(max(round(len(corpus) * self._settings.held_out), 1), MAX_HELD_OUT, len(corpus) - 1)

    def _batches(self, step: int) -> Iterator[TextBatch]:
        own = self._batch // self._ranks.world_size
        while True:
            first = step * self._batch + self._ranks.rank * own
            yield self._rows_at(range(first, first + own))
            step += 1

    def _rows_at(self, positions: Sequence[int]) -> TextBatch:
        """Return the rows at some positions of the run."""
        masking = self._settings.masking
        blocks = [self._mixture.block_at(position) for position in positions]
        numbers = [self._first[block.corpus] + block.number for block in blocks]
        seeds = [masking.seed(self._seed, block.epoch, n) for block, n in zip(blocks, numbers, strict=True)]
        return self._rows(self._corpora, numbers, seeds, [masking.copy_of(block.epoch) for block in blocks])

    def _rows(
        self, corpora: Sequence[TokenBlocks], numbers: Sequence[int], seeds: Sequence[int], copies: Sequence[int]
    ) -> TextBatch:
        first = np.cumsum([0, *map(len, corpora)])
        corpus_B = np.searchsorted(first, numbers, side="right") - 1
        ids_BL = np.empty((len(numbers), self.length), np.int64)
        keys = [""] * len(numbers)
        for corpus in np.unique(corpus_B):
            rows = np.flatnonzero(corpus_B == corpus)
            local = [numbers[row] - int(first[corpus]) for row in rows]
            ids_BL[rows] = corpora[corpus].rows(local)
            for row, number in zip(rows, local, strict=True):
                keys[row] = f"{corpora[corpus].folder.name}:{number}"
        batch = text_batch(
            ids_BL,
            tokenizer=self.tokenizer,
            seeds=seeds,
            settings=self._settings.masking,
            numbers=numbers,
            copies=copies,
            keys=keys,
        )
        return batch.pinned() if self._pin else batch


class HeldOutBlocks:
    """Batches of held-out blocks, the same in each iteration."""

    def __init__(self, batches: TextBatches, numbers: Sequence[int], batch: int) -> None:
        self._batches, self._numbers, self._batch = batches, numbers, batch

    def __len__(self) -> int:
        return -(-len(self._numbers) // self._batch)

    def __iter__(self) -> Iterator[TextBatch]:
        for begin in range(0, len(self._numbers), self._batch):
            yield self._batches.held_out_rows(self._numbers[begin : begin + self._batch])
