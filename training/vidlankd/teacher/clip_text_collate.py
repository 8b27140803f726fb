"""Makes batches for the teacher of roots' clips: texts tokenised and masked, features of their spans read.

Called by `training.vidlankd.teacher.clip_text_batches`, in the order of an epoch. What is drawn for a clip (the part of a text that is
too long, its masks) depends on the root's seed alone. A clip without text or features keeps its place with weight 0;
without features its text is still good for masked language modelling.

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
from training.corpus.token_masking import text_batch
from training.data.clip_batch import video_number
from training.data.clip_tasks import ClipTask, RootTask
from training.data.epoch_order import rng_of, seed_of
from training.features.feature_store import FeatureStore
from training.models.vidlankd.text_batch import ClipTextBatch, TextBatch
from training.models.vidlankd.text_tokenizer import TextTokenizer
from training.vidlankd.vidlankd_settings import Overflow, Window

Features = NDArray[np.float16]
"""[n, D]: rows over time."""

TERM: Final = "text"
"""Name under which a clip's text goes."""

_READERS: Final = 8  # threads that read features: they wait for disks, or for an object store
_ROUND: Final = 8  # lengths are multiples of it, so that there are few different ones
_log = get_logger(__name__)


@dataclass(frozen=True)
class ClipTextMaker:
    """Makes a batch of roots' clips; holds nothing open but what the store does."""

    store: FeatureStore | None
    """None: no one looks at features; every clip with a text is good, and none is read."""
    tokenizer: TextTokenizer
    masking: MaskSettings
    window: Window
    overflow: Overflow
    block: int
    """Longest row of tokens, [CLS] and [SEP] included."""
    max_rows: int
    """Most rows of features of a clip."""
    pin: bool = False
    """Lay tensors into page-locked memory, from which they go to a GPU while it works."""

    @property
    def identity(self) -> str:
        """Hash over all that decides what is made of a root."""
        made = [self.masking, self.window, self.overflow, self.block, self.max_rows]
        features = self.store.identity if self.store else "none"
        return content_hash(features, self.tokenizer.identity, *made)

    def __call__(self, tasks: Sequence[RootTask]) -> ClipTextBatch:
        """A batch of at least one root's clips, in order.

        Raises:
            MachineError: this machine, or the store of features, fails.
            ShardError: a table of features is damaged.
        """
        rows = [self._row(task, number) for task in tasks for number in range(self._clips(task))]
        ids = self._ids(rows)
        with ThreadPoolExecutor(_READERS) as pool:
            features = list(pool.map(self._features, rows))
        batch = self._assemble(rows, self._text(rows, ids), features)
        for reason, example in batch.examples.items():
            _log.info("skipped (%s): %s", reason, example)
        return batch.pinned() if self.pin else batch

    def _clips(self, task: RootTask) -> int:
        return 1 if self.window == "first" else len(task.clips)

    def _row(self, task: RootTask, number: int) -> _Row:
        clip = _beginning(task.clips, self.block) if self.window == "first" else task.clips[number]
        return _Row(task, clip, seed_of(task.seed, number))

    def _ids(self, rows: Sequence[_Row]) -> list[list[int]]:
        """Tokens of each row, without specials, no longer than fits."""
        room = self.block - 2
        anywhere = self.overflow == "window" and self.window != "first"
        found = []
        for row, ids in zip(rows, self.tokenizer.encode([row.text for row in rows]), strict=True):
            spare = len(ids) - room
            begin = rng_of(row.seed, "window").randint(0, spare) if spare > 0 and anywhere else 0
            found.append(ids[begin : begin + room])
        return found

    def _text(self, rows: Sequence[_Row], ids: Sequence[Sequence[int]]) -> TextBatch:
        length = min(self.block, _rounded(max(map(len, ids)) + 2))
        ids_BL = np.full((len(rows), length), self.tokenizer.pad, np.int64)
        for number, found in enumerate(ids):
            ids_BL[number, : len(found) + 2] = [self.tokenizer.cls, *found, self.tokenizer.sep]
        return text_batch(
            ids_BL,
            tokenizer=self.tokenizer,
            seeds=[seed_of(row.seed, "mask") for row in rows],
            settings=self.masking,
            numbers=[0] * len(rows),
            copies=[0] * len(rows),
            keys=[row.clip.key for row in rows],
        )

    def _features(self, row: _Row) -> Features | None:
        """The features of a row's span; None where there are none, or none are wanted."""
        task, clip = row.task, row.clip
        if not row.text or self.store is None:
            return None
        return self.store.read(task.folder, task.shard, task.key, clip.start, clip.end, self.max_rows)

    def _assemble(self, rows: Sequence[_Row], text: TextBatch, features: Sequence[Features | None]) -> ClipTextBatch:
        """Features into one tensor, and what can't be used counted by reason."""
        skips: Counter[str] = Counter()
        examples: dict[str, str] = {}
        wordless = text.special_BL.all(1).tolist()
        reasons = [self._unusable(empty, found) for empty, found in zip(wordless, features, strict=True)]
        for row, reason in zip(rows, reasons, strict=True):
            if (
                reason and row.task.key and row.task.kept
            ):  # what fills up the last batch, or was filtered, is not missed
                skips[reason] += 1
                examples.setdefault(reason, f"{row.clip.key}: {_SAID[reason]}")
        usable = [None if reason else found for found, reason in zip(features, reasons, strict=True)]
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

    def _unusable(self, wordless: bool, found: Features | None) -> str | None:
        """Why a row can't be used; None where it can."""
        if wordless:
            return "no_text"
        if self.store is None:
            return None
        if found is None or not len(found):
            return "no_features"
        return None if np.isfinite(found).all() else "bad_features"


def stack_features(features: Sequence[Features | None], width: int, max_rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Time series of different lengths as one tensor, and which of its rows are there.

    Args:
        features: of each clip, at most `max_rows` long; None where it has none.
        width: D.
        max_rows: longest time series that the tower takes.

    Returns:
        float16 [B, T, D], zeros where there is nothing, and bool [B, T]; the first row always counts as there.
    """
    longest = min(max_rows, _rounded(max((len(found) for found in features if found is not None), default=1)))
    video_BTD = torch.zeros(len(features), longest, width, dtype=torch.float16)
    frames_BT = torch.zeros(len(features), longest, dtype=torch.bool)
    frames_BT[:, 0] = True
    for number, found in enumerate(features):
        if found is not None:
            video_BTD[number, : len(found)] = torch.from_numpy(np.array(found))
            frames_BT[number, : len(found)] = True
    return video_BTD, frames_BT


@dataclass(frozen=True)
class _Row:
    """One row to be: a clip of a root."""

    task: RootTask
    clip: ClipTask
    seed: int

    @property
    def text(self) -> str:
        return self.clip.texts[TERM] or ""


def _beginning(clips: Sequence[ClipTask], words: int) -> ClipTask:
    """The first clips of a root as one, as many as it takes to come to so many words (the released code's rule)."""
    texts: list[str] = []
    for clip in clips:
        texts += (clip.texts[TERM] or "").split()
        last = clip
        if len(texts) >= words:
            break
    first = clips[0]
    return ClipTask(first.key, first.start, last.end, first.video_start, last.video_end, {TERM: " ".join(texts)})


_SAID: Final = {
    "no_text": "none of the text columns has a word",
    "no_features": "its root has no features",
    "bad_features": "its features are infinite or no numbers",
}


def _rounded(length: int) -> int:
    return -(-length // _ROUND) * _ROUND
