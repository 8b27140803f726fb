"""Collator of the teacher's batches: it tokenises and masks the texts of clips, and reads the features of their spans.

`training.vidlankd.teacher.clip_text_batches` calls it in the order of an epoch. Random choices for a clip (the part of
an overlong text, the mask) depend on the root's seed alone. A clip without text or features keeps its row, with weight
0; the text of a clip without features still serves masked language modelling.

Shapes: B rows, L tokens, T rows of features, D their width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.log import get_logger
from runtime.settings import content_hash
from training.corpus.corpus_settings import MaskSettings
from training.corpus.token_masking import MASK_RULES, text_batch
from training.data.clip_batch import video_number
from training.data.clip_tasks import ClipTask, RootTask
from training.data.order.epoch_order import rng_of, seed_of
from training.features.feature_store import FeatureStore
from training.models.vidlankd.text_batch import ClipTextBatch, TextBatch
from training.models.vidlankd.text_tokenizer import TextTokenizer
from training.vidlankd.vidlankd_settings import Overflow, Window

Features = NDArray[np.float16]
"""[n, D]: rows over time."""

TERM: Final = "text"
"""Name of a clip's text in `ClipTask.texts`."""

_READERS: Final = 8
"""Threads that read features; they wait for disks or an object store."""
_ROUND: Final = 8
"""Lengths are rounded up to a multiple of this, so that few different shapes occur."""
_REASONS: Final = {
    "no_text": "none of the text columns has a word",
    "no_features": "its root has no features",
    "bad_features": "its features are infinite or not numbers",
}
"""Reasons for weight 0, with their messages."""
_log = get_logger(__name__)


@dataclass(frozen=True)
class ClipTextCollator:
    """Makes a batch of roots' clips; only the store keeps files open."""

    store: FeatureStore | None
    """Features; None: the teacher uses none, and every clip with a text has weight 1."""
    tokenizer: TextTokenizer
    masking: MaskSettings
    window: Window
    overflow: Overflow
    block: int
    """Largest number of tokens in a row, [CLS] and [SEP] included."""
    max_rows: int
    """Largest number of feature rows of a clip."""
    pin: bool = False
    """Put tensors in page-locked memory, from which they are sent to a GPU asynchronously."""

    @property
    def identity(self) -> str:
        """Hash of everything that decides how a root becomes rows."""
        settings = [self.masking, MASK_RULES, self.window, self.overflow, self.block, self.max_rows]
        features = self.store.identity if self.store else "none"
        return content_hash(features, self.tokenizer.identity, *settings)

    def __call__(self, tasks: Sequence[RootTask]) -> ClipTextBatch:
        """Make a batch of the clips of at least one root, in order.

        Raises:
            MachineError: this machine or the feature store fails.
            ShardError: a table of features is damaged.
        """
        rows = [self._row(task, number) for task in tasks for number in range(self._clip_count(task))]
        ids = self._encode(rows)
        with ThreadPoolExecutor(_READERS) as pool:
            features = list(pool.map(self._read_features, rows))
        batch = self._assemble(rows, self._mask(rows, ids), features)
        for reason, example in batch.examples.items():
            _log.info("skipped (%s): %s", reason, example)
        return batch.pinned() if self.pin else batch

    def _clip_count(self, task: RootTask) -> int:
        return 1 if self.window == "first" else len(task.clips)

    def _row(self, task: RootTask, number: int) -> _TextRow:
        clip = _join_first_clips(task.clips, self.block) if self.window == "first" else task.clips[number]
        return _TextRow(task, clip, seed_of(task.seed, number))

    def _encode(self, rows: Sequence[_TextRow]) -> list[list[int]]:
        """Return the tokens of each row, without specials, cut to the block."""
        room = self.block - 2
        random_part = self.overflow == "window" and self.window != "first"
        cut = []
        for row, ids in zip(rows, self.tokenizer.encode([row.text for row in rows]), strict=True):
            spare = len(ids) - room
            begin = rng_of(row.seed, "window").randint(0, spare) if spare > 0 and random_part else 0
            cut.append(ids[begin : begin + room])
        return cut

    def _mask(self, rows: Sequence[_TextRow], ids: Sequence[Sequence[int]]) -> TextBatch:
        """Pad the rows of tokens and draw their masks."""
        length = min(self.block, _round_up(max(map(len, ids)) + 2))
        ids_BL = np.full((len(rows), length), self.tokenizer.pad, np.int64)
        for number, tokens in enumerate(ids):
            ids_BL[number, : len(tokens) + 2] = [self.tokenizer.cls, *tokens, self.tokenizer.sep]
        return text_batch(
            ids_BL,
            tokenizer=self.tokenizer,
            seeds=[seed_of(row.seed, "mask") for row in rows],
            settings=self.masking,
            numbers=[0] * len(rows),
            copies=[0] * len(rows),
            keys=[row.clip.key for row in rows],
        )

    def _read_features(self, row: _TextRow) -> Features | None:
        """Read the features of a row's span; None if there are none or none are needed."""
        task, clip = row.task, row.clip
        if not row.text or self.store is None:
            return None
        return self.store.read(task.folder, task.shard, task.key, clip.start, clip.end, self.max_rows)

    def _assemble(
        self, rows: Sequence[_TextRow], text: TextBatch, features: Sequence[Features | None]
    ) -> ClipTextBatch:
        """Stack the features, and count unusable rows by reason."""
        skips: Counter[str] = Counter()
        examples: dict[str, str] = {}
        without_words = text.special_BL.all(1).tolist()
        reasons = [self._unusable(empty, rows_TD) for empty, rows_TD in zip(without_words, features, strict=True)]
        for row, reason in zip(rows, reasons, strict=True):
            is_expected = not row.task.key or not row.task.kept  # padding of the last batch, or filtered
            if reason and not is_expected:
                skips[reason] += 1
                examples.setdefault(reason, f"{row.clip.key}: {_REASONS[reason]}")
        usable = [None if reason else rows_TD for rows_TD, reason in zip(features, reasons, strict=True)]
        video_BTD, frames_BT = stack_features(usable, self.store.width if self.store else 1, self.max_rows)
        return ClipTextBatch(
            keys=text.keys,
            text=text,
            video_BTD=video_BTD,
            frames_BT=frames_BT,
            weight_B=torch.tensor([float(reason is None) for reason in reasons]),
            video_id_B=torch.tensor([video_number(row.task.video_id) for row in rows], dtype=torch.int64),
            skips=skips,
            examples=examples,
        )

    def _unusable(self, without_words: bool, rows_TD: Features | None) -> str | None:
        """Return the reason why a row can't be used; None if it can."""
        if without_words:
            return "no_text"
        if self.store is None:
            return None
        if rows_TD is None or not len(rows_TD):
            return "no_features"
        return None if np.isfinite(rows_TD).all() else "bad_features"


def stack_features(features: Sequence[Features | None], width: int, max_rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Stack time series of different lengths into one padded tensor.

    Args:
        features: features of each clip, at most `max_rows` long; None if it has none.
        width: D, the width of a row.
        max_rows: rows of the longest time series that the tower takes.

    Returns:
        Features, float16 [B, T, D], padded with zeros; and a mask, bool [B, T], true for rows that exist and for the
        first.
    """
    longest = min(max_rows, _round_up(max((len(rows_TD) for rows_TD in features if rows_TD is not None), default=1)))
    video_BTD = torch.zeros(len(features), longest, width, dtype=torch.float16)
    frames_BT = torch.zeros(len(features), longest, dtype=torch.bool)
    frames_BT[:, 0] = True
    for number, rows_TD in enumerate(features):
        if rows_TD is not None:
            video_BTD[number, : len(rows_TD)] = torch.from_numpy(np.array(rows_TD))
            frames_BT[number, : len(rows_TD)] = True
    return video_BTD, frames_BT


@dataclass(frozen=True)
class _TextRow:
    """A row of the batch: a clip of a root, and its seed."""

    task: RootTask
    clip: ClipTask
    seed: int

    @property
    def text(self) -> str:
        """Text of the clip; empty if it has none."""
        return self.clip.texts[TERM] or ""


def _join_first_clips(clips: Sequence[ClipTask], words: int) -> ClipTask:
    """Join the first clips of a root until they have `words` words (the rule of the released code)."""
    texts: list[str] = []
    for clip in clips:
        texts += (clip.texts[TERM] or "").split()
        last = clip
        if len(texts) >= words:
            break
    first = clips[0]
    return ClipTask(first.key, first.start, last.end, first.video_start, last.video_end, {TERM: " ".join(texts)})


def _round_up(length: int) -> int:
    return -(-length // _ROUND) * _ROUND
