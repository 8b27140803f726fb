"""What the student is to resemble: the last hidden states of a frozen teacher, for each batch of blocks.

They are computed on the fly, from the same masked input that the student sees (as in the released code) or from the
unmasked text, or read from a cache on disk that the first epoch fills. A cache needs an input that comes again: static
masks, or none. Either way the states are rounded to float16 once, so a run that reads them sees the numbers that the
run that computed them saw.

Shapes: B rows, L tokens, G width of the teacher, M masked positions of the batch, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from transformers import BertForMaskedLM

from runtime.errors import UserError
from runtime.log import get_logger
from shards.storage.files import file_sha256
from training.corpus.block_batches import TextBatches
from training.corpus.corpus_settings import MaskSettings
from training.engine.device import to_device
from training.engine.model_folder import WEIGHTS, local_folder
from training.engine.precision import Precision
from training.models.vidlankd.bert_model import hidden_states, mlm_logits
from training.models.vidlankd.teacher_model import Teacher, load_teacher
from training.models.vidlankd.text_batch import TextBatch
from training.models.vidlankd.text_tokenizer import TextTokenizer
from training.vidlankd.student.state_cache import CacheShape, StateCache
from training.vidlankd.vidlankd_settings import StatesSettings

_log = get_logger(__name__)


@dataclass(frozen=True)
class Corpus:
    """What the states are of; numbers of blocks and copies in a batch count within it."""

    identity: str
    """Content of the corpus or corpora."""
    blocks: int
    """Blocks, over all corpora."""
    length: int
    """Tokens of a block, specials included."""
    masking: Mapping[str, Any]
    """Settings of the masks as plain values."""
    static_copies: int | None
    """Static masks of each block; None: masks are drawn anew in each epoch."""

    @classmethod
    def of(cls, batches: TextBatches, masking: MaskSettings) -> Corpus:
        """That of a student's batches, with the masks that are drawn for them."""
        return cls(batches.corpus_identity, batches.blocks, batches.length, masking.content(), masking.static_copies)


class TeacherStates:
    """A frozen teacher's states for batches of one corpus."""

    def __init__(
        self,
        text: BertForMaskedLM,
        identity: str,
        settings: StatesSettings,
        precision: Precision,
        device: torch.device,
        cache: StateCache | None = None,
        copies: int = 1,
    ) -> None:
        """Use `open_states`, which checks that all of it fits together.

        Args:
            text: the teacher's language tower.
            identity: of its weights.
            settings: the input it sees.
            precision: arithmetic of its forward pass.
            device: where it runs and where states come out.
            cache: rows of states by block and copy; None: every batch is computed.
            copies: static masks of a block in the cache.
        """
        self._text = text.to(device).eval().requires_grad_(False)
        self.identity = identity
        self.width = int(text.config.hidden_size)
        self._unmasked = settings.input == "unmasked"
        self._precision, self._device = precision, device
        self._cache, self._copies = cache, copies

    @property
    def cached(self) -> bool:
        """Whether states come from a cache (and logits can't be had)."""
        return self._cache is not None

    @property
    def facts(self) -> dict[str, str]:
        """Whose states these are and of which input, as plain values: a run is not resumed with others."""
        return {"weights": self.identity, "input": "unmasked" if self._unmasked else "masked"}

    @property
    def text(self) -> BertForMaskedLM:
        """The teacher's language tower."""
        return self._text

    def header(self) -> str:
        """One phrase for the run's header."""
        seen = "unmasked text" if self._unmasked else "the student's input"
        if self._cache is None:
            return f"{self.identity}, width {self.width}, on the fly from {seen}"
        shape = self._cache.shape
        return (
            f"{self.identity}, width {self.width}, from {seen}, kept in {self._cache.folder} "
            f"({self._cache.filled()} of {shape.rows} rows there, {shape.gigabytes:.3g} GB in all)"
        )

    def states(self, batch: TextBatch) -> torch.Tensor:
        """The last hidden states, of length 1 over the width, [B, L, G] float32 (rounded to float16)."""
        if self._cache is None:
            return _rounded(self._hidden(batch)).float()
        return self._from_cache(batch, self._cache)

    def states_and_logits(self, batch: TextBatch, selected_M: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Those, and what the teacher predicts at chosen positions: [B, L, G] and [M, V].

        Args:
            batch: on any device.
            selected_M: positions in the flattened batch, on the teacher's device.
        """
        assert self._cache is None, "a cache holds no logits"
        hidden_BLG = self._hidden(batch)
        with torch.no_grad(), self._precision.autocast(self._device):
            logits_MV = mlm_logits(self._text, hidden_BLG.flatten(0, 1)[selected_M])
        return _rounded(hidden_BLG).float(), logits_MV

    def prefill(self, batches: Iterable[TextBatch], advance: Callable[[int], None] = lambda rows: None) -> int:
        """Fill the cache with all rows of `batches` that are not there; how many were computed.

        Args:
            batches: every block and copy once, in any order; of several ranks each takes a share.
            advance: called with the rows of each batch.
        """
        assert self._cache is not None, "prefill needs a cache"
        computed = 0
        for batch in batches:
            computed += int((~self._cache.there(self._rows(batch))).sum())
            self._from_cache(batch, self._cache)
            advance(len(batch))
        self.flush()
        return computed

    def flush(self) -> None:
        """Bring what was computed to the disk; the task does so when it scores and when it saves."""
        if self._cache is not None:
            self._cache.flush()

    def _hidden(self, batch: TextBatch) -> torch.Tensor:
        seen_BL = batch.ids_BL if self._unmasked else batch.masked_BL
        with torch.no_grad(), self._precision.autocast(self._device):
            return hidden_states(self._text, to_device(seen_BL, self._device), to_device(batch.valid_BL, self._device))

    def _rows(self, batch: TextBatch) -> NDArray[np.int64]:
        copy_B = 0 if self._unmasked else batch.copy_B.cpu().numpy()
        return np.asarray(batch.number_B.cpu().numpy() * self._copies + copy_B, np.int64)

    def _from_cache(self, batch: TextBatch, cache: StateCache) -> torch.Tensor:
        """Rows that are there from the disk; where some are not, the whole batch is computed and those are put in.

        The whole batch, because the last bits of a sum depend on how many rows are computed together, and a resumed
        run may find only some of them.
        """
        rows_B = self._rows(batch)
        there_B = cache.there(rows_B)
        if there_B.all():
            return to_device(torch.from_numpy(cache.read(rows_B)), self._device).float()
        states_BLG = _rounded(self._hidden(batch)).cpu().numpy()
        cache.write(rows_B[~there_B], states_BLG[~there_B])
        states_BLG[there_B] = cache.read(rows_B[there_B])
        return to_device(torch.from_numpy(states_BLG), self._device).float()


def open_states(
    settings: StatesSettings, corpus: Corpus, tokenizer: TextTokenizer, precision: Precision, device: torch.device
) -> TeacherStates | None:
    """The teacher that the settings name, ready for batches of `corpus`; None where they name none.

    Args:
        settings: teacher, input, cache.
        corpus: what it is asked for.
        tokenizer: the corpus's.
        precision: arithmetic of the teacher's forward pass.
        device: where it runs.

    Raises:
        UserError: no teacher lies there, its vocabulary is another or its texts are shorter, or the cache can't serve.
        MachineError: the cache can't be written.
    """
    if settings.teacher is None:
        if settings.cache is not None:
            raise UserError(f"teacher.cache={settings.cache}: nothing to keep without teacher.teacher; set both")
        return None
    if settings.cache is not None and settings.input == "masked" and corpus.static_copies is None:
        raise UserError(
            f"teacher.cache={settings.cache}: with data.masking.static_copies=None and teacher.input=masked no "
            "input comes twice; set data.masking.static_copies=4, or teacher.input=unmasked, or leave the cache out"
        )
    folder = local_folder(settings.teacher)
    teacher, of_teacher = load_teacher(folder)
    text = teacher.text
    _check_fits(folder, teacher, of_teacher, tokenizer, corpus)
    identity = weights_identity(folder)
    if settings.cache is None:
        return TeacherStates(text, identity, settings, precision, device)
    copies = corpus.static_copies if settings.input == "masked" and corpus.static_copies else 1
    shape = CacheShape(corpus.blocks * copies, corpus.length, int(text.config.hidden_size))
    facts = {
        "teacher": identity,
        "corpus": corpus.identity,
        "input": settings.input,
        "masking": dict(corpus.masking) if settings.input == "masked" else None,
    }
    return TeacherStates(text, identity, settings, precision, device, StateCache(settings.cache, shape, facts), copies)


def _check_fits(
    folder: Path, teacher: Teacher, of_teacher: TextTokenizer, tokenizer: TextTokenizer, corpus: Corpus
) -> None:
    if of_teacher.identity != tokenizer.identity:
        raise UserError(
            f"teacher.teacher={folder}: its vocabulary ({of_teacher.vocab_size} entries, {of_teacher.identity}) is not "
            f"the corpus's ({tokenizer.vocab_size} entries, {tokenizer.identity}); tokenize the corpus with the "
            f"teacher's tokenizer (path://{folder.resolve()})"
        )
    positions = int(teacher.text.config.max_position_embeddings)
    if corpus.length > positions:
        raise UserError(
            f"teacher.teacher={folder}: it has {positions} positions and blocks of the corpus have {corpus.length} "
            "tokens; tokenize with shorter blocks"
        )
    if corpus.length > teacher.block:
        _log.warning(
            "teacher.teacher=%s: was trained on texts of at most %d tokens, blocks of the corpus have %d: its states "
            "beyond that are of positions it never learnt; tokenize with --block %d, or train it with model.block=%d",
            *(folder, teacher.block, corpus.length, teacher.block - 2, corpus.length),
        )


def weights_identity(folder: Path) -> str:
    """Sixteen hex digits over the content of the weights in a teacher's folder, wherever it lies."""
    return file_sha256(folder / WEIGHTS)[:16]


def _rounded(hidden_BLG: torch.Tensor) -> torch.Tensor:
    return F.normalize(hidden_BLG.float(), dim=-1).half()
