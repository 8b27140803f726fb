"""Batches of text for the loop: blocks of tokenised corpora, shuffled, mixed with one another, masked.

A row of training is a function of its position alone (position = step · batch + row): it names a corpus
(`training.corpus.corpus_mixture`), a place in that corpus's own epochs, and so a block and its mask. Nothing is dropped and
nothing filled up: epochs follow one another inside a batch, and the number of ranks changes nothing.

Shapes: B rows, L tokens (a block and its two specials).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from runtime.errors import UserError
from runtime.settings import content_hash
from training.corpus.corpus_mixture import Mixture
from training.corpus.corpus_settings import MaskSettings, TextSettings
from training.corpus.token_files import TokenBlocks
from training.corpus.token_masking import text_batch
from training.data.batch_order import Ranked
from training.data.prefetch_thread import prefetch_in_thread
from training.models.vidlankd.text_batch import TextBatch
from training.models.vidlankd.text_tokenizer import TextTokenizer

MAX_HELD_OUT: Final = 10_000
"""Blocks of a corpus that are held out at most; as many lines as the papers keep apart."""


class TextBatches:
    """One rank's batches of text (`training.engine.training_task.Batches`).

    Rank r of W takes rows r·B/W to (r + 1)·B/W of the global batch of B rows.
    """

    def __init__(
        self, settings: TextSettings, *, global_batch: int, ranks: Ranked, seed: int, pin: bool = False
    ) -> None:
        """Open the corpora and plan the batches.

        Args:
            settings: corpora, what is held out, masks.
            global_batch: rows in a step, over all ranks.
            ranks: this process among all.
            seed: of the run.
            pin: lay batches into page-locked memory.

        Raises:
            UserError: no corpus, one that can't be used or has no two blocks, corpora that don't go together, fewer
                blocks than a batch takes, or a batch that can't be divided among the ranks.
        """
        self._settings, self._batch, self._ranks, self._seed, self._pin = settings, global_batch, ranks, seed, pin
        self._corpora = _open_all(settings.corpus, "--corpus")
        self._valid = _open_all((settings.valid,), "--valid") if settings.valid is not None else None
        _check_agree([*self._corpora, *(self._valid or [])])
        self._first = np.cumsum([0, *map(len, self._corpora)]).tolist()
        self._train = [len(corpus) - self._kept_apart(corpus) for corpus in self._corpora]
        weights = list(settings.corpus.values()) if isinstance(settings.corpus, Mapping) else self._train
        self._mixture = Mixture(self._train, weights, seed)
        if global_batch < 1 or global_batch % ranks.world_size:
            raise UserError(f"--batch-size {global_batch}: must be a multiple of the {ranks.world_size} ranks")
        if sum(self._train) < global_batch:
            raise UserError(
                f"--batch-size {global_batch}: there are only {sum(self._train)} blocks to train on; lower it, or give "
                "more text to --corpus"
            )

    @property
    def tokenizer(self) -> TextTokenizer:
        """That all corpora were made with."""
        return self._corpora[0].tokenizer

    @property
    def length(self) -> int:
        """Tokens of a row, specials included."""
        return self._corpora[0].length

    @property
    def blocks(self) -> int:
        """Blocks of all corpora, those held out included: `number_B` counts through the corpora in their order."""
        return int(self._first[-1])

    @property
    def corpus_identity(self) -> str:
        """Hash over what `number_B` names: the blocks of all corpora, in their order."""
        return content_hash([corpus.identity for corpus in self._corpora])

    @property
    def identity(self) -> str:
        """Hash over the corpora, the settings that decide what is drawn, the seed and the batch; not over paths."""
        named = self._settings.corpus
        weights = list(named.values()) if isinstance(named, Mapping) else None
        held_out = [corpus.identity for corpus in self._valid] if self._valid else self._settings.held_out
        masking = self._settings.masking.content()
        return content_hash(self.corpus_identity, weights, held_out, masking, self._seed, self._batch)

    @property
    def steps_per_epoch(self) -> int:
        """Global steps in which as many rows are read as there are blocks to train on; borders lie inside batches."""
        return -(-sum(self._train) // self._batch)

    def start(self, step: int) -> Iterator[TextBatch]:
        """This rank's batches from global step `step` on, without end; the next one is made in a thread."""
        return prefetch_in_thread(self._from(step))

    def fixed(self, numbers: Sequence[int], copy: int = 0) -> TextBatch:
        """Rows by number (see `blocks`), with the static mask of that copy whether masks are static or not."""
        fixed = self._settings.masking.model_copy(update={"static_copies": copy + 1})
        return self._rows(self._corpora, numbers, [fixed.seed(0, copy, n) for n in numbers], [copy] * len(numbers))

    def held_out(self, batch: int) -> HeldOut:
        """The held-out blocks in batches of `batch` rows, with masks that are the same in every run."""
        if self._valid is not None:
            return HeldOut(self, range(min(sum(map(len, self._valid)), MAX_HELD_OUT)), batch)
        tails = zip(self._first, self._train, self._corpora, strict=False)
        return HeldOut(self, [first + n for first, train, corpus in tails for n in range(train, len(corpus))], batch)

    def held_out_rows(self, numbers: Sequence[int]) -> TextBatch:
        """Held-out rows: by number in the corpora, or in the folder `valid`."""
        fixed = MaskSettings(static_copies=1)
        seeds = [fixed.seed(0, 0, number) for number in numbers]
        return self._rows(self._valid or self._corpora, numbers, seeds, [0] * len(numbers))

    def _kept_apart(self, corpus: TokenBlocks) -> int:
        """Blocks at the end of a corpus that are not trained on."""
        if self._valid is not None:
            return 0
        if len(corpus) < 2:
            raise UserError(
                f"--corpus {corpus.folder}: has a single block, which is held out; give more text, or score on another "
                "folder (--valid)"
            )
        return min(max(round(len(corpus) * self._settings.held_out), 1), MAX_HELD_OUT, len(corpus) - 1)

    def _from(self, step: int) -> Iterator[TextBatch]:
        own = self._batch // self._ranks.world_size
        while True:
            first = step * self._batch + self._ranks.rank * own
            yield self._drawn_rows(range(first, first + own))
            step += 1

    def _drawn_rows(self, positions: Sequence[int]) -> TextBatch:
        """The rows at some positions of the run."""
        masking = self._settings.masking
        places = [self._mixture.place(position) for position in positions]
        numbers = [self._first[place.corpus] + place.number for place in places]
        seeds = [masking.seed(self._seed, place.epoch, n) for place, n in zip(places, numbers, strict=True)]
        return self._rows(self._corpora, numbers, seeds, [masking.copy_of(place.epoch) for place in places])

    def _rows(
        self, corpora: Sequence[TokenBlocks], numbers: Sequence[int], seeds: Sequence[int], copies: Sequence[int]
    ) -> TextBatch:
        first = np.cumsum([0, *map(len, corpora)])
        which = np.searchsorted(first, numbers, side="right") - 1
        ids_BL = np.empty((len(numbers), self.length), np.int64)
        keys = [""] * len(numbers)
        for corpus in np.unique(which):
            rows = np.flatnonzero(which == corpus)
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


class HeldOut:
    """Batches of held-out blocks; the same each time they are gone through."""

    def __init__(self, batches: TextBatches, numbers: Sequence[int], batch: int) -> None:
        self._batches, self._numbers, self._batch = batches, numbers, batch

    def __len__(self) -> int:
        return -(-len(self._numbers) // self._batch)

    def __iter__(self) -> Iterator[TextBatch]:
        for begin in range(0, len(self._numbers), self._batch):
            yield self._batches.held_out_rows(self._numbers[begin : begin + self._batch])


def _open_all(folders: Mapping[str, float] | Sequence[str], flag: str) -> list[TokenBlocks]:
    corpora = [TokenBlocks.open(folder) for folder in folders]
    if not corpora:
        raise UserError(f"{flag}: name at least one folder that `train-vidlankd tokenize` wrote")
    for corpus in corpora:
        if not len(corpus):
            raise UserError(f"{flag} {corpus.folder}: holds no tokens; tokenize a file that has text")
    return corpora


def _check_agree(corpora: Sequence[TokenBlocks]) -> None:
    """All must be cut alike, out of one vocabulary."""
    one = corpora[0]
    for other in corpora[1:]:
        if other.tokenizer.identity != one.tokenizer.identity:
            raise UserError(
                f"corpora {one.folder} and {other.folder} have different tokenizers ({one.tokenizer.identity} and "
                f"{other.tokenizer.identity}); tokenize both with one"
            )
        if other.length != one.length:
            raise UserError(
                f"corpora {one.folder} and {other.folder} have blocks of {one.length - 2} and {other.length - 2} "
                "tokens; tokenize both with one --block"
            )
