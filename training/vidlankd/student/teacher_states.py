"""Targets of the student: the last hidden states of a frozen teacher, for each batch of blocks.

They are computed in each step, from the masked input that the student sees (as in the released code) or from the
unmasked text, or read from a cache on disk that the first epoch fills. A cache needs inputs that repeat: static masks,
or no masks. States are always rounded to float16, so a run that reads them gets the numbers that another run computed.

Shapes: B rows, L tokens, G width of the teacher, M masked positions of the batch, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

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
from training.corpus.token_masking import MASK_RULES
from training.engine.checkpoints.model_config import WEIGHTS, local_folder
from training.engine.parallel.distributed import to_device
from training.engine.precision import Precision
from training.models.vidlankd.bert_model import hidden_states, mlm_logits
from training.models.vidlankd.teacher_model import Teacher, load_teacher
from training.models.vidlankd.text_batch import TextBatch
from training.models.vidlankd.text_tokenizer import TextTokenizer
from training.vidlankd.student.state_cache import CacheShape, StateCache
from training.vidlankd.vidlankd_settings import StatesSettings, check_states

_log = get_logger(__name__)


@dataclass(frozen=True)
class StateCorpus:
    """The blocks that states are computed for; `number_B` and `copy_B` of a batch refer to it."""

    identity: str
    """Hash of the content of the corpora."""
    blocks: int
    """Number of blocks of all corpora."""
    length: int
    """Tokens of a block, specials included."""
    masking: Mapping[str, object]
    """Settings of the masks as plain values."""
    static_copies: int | None
    """Number of static masks of each block; None: masks change in each epoch."""

    @classmethod
    def of(cls, batches: TextBatches, masking: MaskSettings) -> StateCorpus:
        """Describe the corpus of a student's batches and their masks."""
        return cls(batches.corpus_identity, batches.blocks, batches.length, masking.content(), masking.static_copies)


class TeacherStates:
    """States of a frozen teacher for the batches of one corpus."""

    def __init__(
        self,
        text: BertForMaskedLM,
        identity: str,
        settings: StatesSettings,
        precision: Precision,
        device: torch.device,
        *,
        cache: StateCache | None = None,
        copies: int = 1,
    ) -> None:
        """Prefer `open_states`, which checks that everything fits together.

        Args:
            text: the teacher's language tower.
            identity: identity of its weights.
            settings: the input it sees.
            precision: precision of its forward pass.
            device: device on which it runs and returns states.
            cache: rows of states by block and copy; None: every batch is computed.
            copies: number of static masks of a block in the cache.
        """
        self._text = text.to(device).eval().requires_grad_(False)
        self.identity = identity
        self.width = int(text.config.hidden_size)
        self._unmasked = settings.input == "unmasked"
        self._precision, self._device = precision, device
        self._cache, self._copies = cache, copies

    @property
    def cached(self) -> bool:
        """Return True if states come from a cache; logits are not available then."""
        return self._cache is not None

    @property
    def facts(self) -> dict[str, str]:
        """Teacher and input of the states as plain values; a run is not resumed with other ones."""
        return {"weights": self.identity, "input": "unmasked" if self._unmasked else "masked"}

    @property
    def text(self) -> BertForMaskedLM:
        """The teacher's language tower."""
        return self._text

    def header(self) -> str:
        """Return a phrase for the run's header."""
        model_input = "unmasked text" if self._unmasked else "the student's input"
        if self._cache is None:
            return f"{self.identity}, width {self.width}, computed from {model_input}"
        shape = self._cache.shape
        return (
            f"{self.identity}, width {self.width}, from {model_input}, cached in {self._cache.folder} "
            f"({self._cache.filled()} of {shape.rows} rows stored, {shape.gigabytes:.3g} GB in all)"
        )

    def states(self, batch: TextBatch) -> torch.Tensor:
        """Return the last hidden states, each of length 1, [B, L, G] float32 (rounded to float16)."""
        if self._cache is None:
            return _round(self._hidden(batch)).float()
        return self._from_cache(batch, self._cache)

    def states_and_logits(self, batch: TextBatch, selected_M: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the states and the teacher's logits at chosen positions: [B, L, G] and [M, V].

        Args:
            batch: on any device.
            selected_M: positions in the flattened batch, on the teacher's device.
        """
        assert self._cache is None, "a cache holds no logits"
        hidden_BLG = self._hidden(batch)
        with torch.no_grad(), self._precision.autocast(self._device):
            logits_MV = mlm_logits(self._text, hidden_BLG.flatten(0, 1)[selected_M])
        return _round(hidden_BLG).float(), logits_MV

    def prefill(self, batches: Iterable[TextBatch], advance: Callable[[int], None] = lambda rows: None) -> int:
        """Compute and cache all rows of `batches` that are missing; return their number.

        Args:
            batches: every block and copy once, in any order; each rank takes a share.
            advance: called with the number of rows of each batch.
        """
        assert self._cache is not None, "prefill needs a cache"
        computed = 0
        for batch in batches:
            computed += int((~self._cache.is_stored(self._rows(batch))).sum())
            self._from_cache(batch, self._cache)
            advance(len(batch))
        self.flush()
        return computed

    def flush(self) -> None:
        """Write computed rows to the disk; the task calls this when it scores and when it saves."""
        if self._cache is not None:
            self._cache.flush()

    def _hidden(self, batch: TextBatch) -> torch.Tensor:
        input_BL = batch.ids_BL if self._unmasked else batch.masked_BL
        with torch.no_grad(), self._precision.autocast(self._device):
            return hidden_states(self._text, to_device(input_BL, self._device), to_device(batch.valid_BL, self._device))

    def _rows(self, batch: TextBatch) -> NDArray[np.int64]:
        copy_B = 0 if self._unmasked else batch.copy_B.cpu().numpy()
        return np.asarray(batch.number_B.cpu().numpy() * self._copies + copy_B, np.int64)

    def _from_cache(self, batch: TextBatch, cache: StateCache) -> torch.Tensor:
        """Read stored rows from the disk; if some are missing, compute the whole batch and store those.

        The whole batch is computed because the last bits of a sum depend on how many rows are computed together, and a
        resumed run may find only some of them.
        """
        rows_B = self._rows(batch)
        stored_B = cache.is_stored(rows_B)
        if stored_B.all():
            return to_device(torch.from_numpy(cache.read(rows_B)), self._device).float()
        states_BLG = _round(self._hidden(batch)).cpu().numpy()
        cache.write(rows_B[~stored_B], states_BLG[~stored_B])
        states_BLG[stored_B] = cache.read(rows_B[stored_B])
        return to_device(torch.from_numpy(states_BLG), self._device).float()


def open_states(
    settings: StatesSettings, corpus: StateCorpus, tokenizer: TextTokenizer, precision: Precision, device: torch.device
) -> TeacherStates | None:
    """Open the teacher that the settings name for batches of `corpus`; None if they name no teacher.

    Args:
        settings: teacher, input, cache.
        corpus: corpus of the batches.
        tokenizer: tokenizer of the corpus.
        precision: precision of the teacher's forward pass.
        device: device on which it runs.

    Raises:
        UserError: there is no teacher, it has another vocabulary or fewer positions, or the cache can't be used.
        MachineError: the cache can't be written.
    """
    try:
        check_states(settings, corpus.static_copies)
    except ValueError as error:
        raise UserError(str(error)) from None
    if settings.teacher is None:
        return None
    folder = local_folder(settings.teacher)
    teacher, teacher_tokenizer = load_teacher(folder)
    text = teacher.text
    _check_fits(folder, teacher, teacher_tokenizer, tokenizer, corpus)
    identity = weights_identity(folder)
    if settings.cache is None:
        return TeacherStates(text, identity, settings, precision, device)
    copies = corpus.static_copies if settings.input == "masked" and corpus.static_copies else 1
    shape = CacheShape(corpus.blocks * copies, corpus.length, int(text.config.hidden_size))
    facts = {
        "teacher": identity,
        "tower": dict(teacher.architecture["text"]),  # equal weights with more heads give other states
        "arithmetic": precision.arithmetic(device),
        "corpus": corpus.identity,
        "input": settings.input,
        "masking": {**corpus.masking, "rules": MASK_RULES} if settings.input == "masked" else None,
    }
    cache = StateCache(settings.cache, shape, facts)
    return TeacherStates(text, identity, settings, precision, device, cache=cache, copies=copies)


def _check_fits(
    folder: Path, teacher: Teacher, teacher_tokenizer: TextTokenizer, tokenizer: TextTokenizer, corpus: StateCorpus
) -> None:
    if teacher_tokenizer.identity != tokenizer.identity:
        raise UserError(
            f"teacher.teacher={folder}: its vocabulary ({teacher_tokenizer.vocab_size} entries, "
            f"{teacher_tokenizer.identity}) is not the corpus's ({tokenizer.vocab_size} entries, "
            f"{tokenizer.identity}); tokenize the corpus with the teacher's tokenizer (path://{folder.resolve()})"
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
            "beyond that are of untrained positions; tokenize with --block %d, or train it with model.block=%d",
            *(folder, teacher.block, corpus.length, teacher.block - 2, corpus.length),
        )


def weights_identity(folder: Path) -> str:
    """Return sixteen hex digits of the SHA-256 of the weights in a teacher's folder."""
    return file_sha256(folder / WEIGHTS)[:16]


def _round(hidden_BLG: torch.Tensor) -> torch.Tensor:
    return F.normalize(hidden_BLG.float(), dim=-1).half()
