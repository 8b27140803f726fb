"""Settings of the text that a language model is trained on. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import Field, model_validator

from runtime.settings import Settings
from training.data.epoch_order import seed_of


class MaskSettings(Settings):
    """Which tokens are predicted."""

    probability: float = Field(default=0.15, gt=0, lt=1)
    """Share of a row's tokens, specials not counted; each is drawn by itself, and each row has at least one."""
    static_copies: int | None = Field(default=None, ge=1, le=1000)
    """So many masks of each block, used in turn. Without: drawn anew in each epoch. Cached teacher states that saw the
    masked input need static masks."""
    static_seed: int = Field(default=0, ge=0)
    """Seed of static masks; the run's own seed does not change them, so that runs share cached teacher states."""

    def seed(self, run: int, epoch: int, key: object) -> int:
        """Seed of a row's mask: of the copy in turn where masks are static, else of the run and the epoch.

        Args:
            run: seed of the run.
            epoch: how often the row has been read before.
            key: names the row for ever.
        """
        if self.static_copies is None:
            return seed_of("mask", run, epoch, key)
        return seed_of("static mask", self.static_seed, self.copy_of(epoch), key)

    def copy_of(self, epoch: int) -> int:
        """Number of the static mask that an epoch uses; 0 where masks are not static."""
        return 0 if self.static_copies is None else epoch % self.static_copies


class TextSettings(Settings):
    """Which text is trained on and scored on."""

    corpus: dict[str, float] | tuple[str, ...] = ()
    """Folders that `train-vidlankd tokenize` wrote; with weights, or each as often as it has blocks."""
    valid: str | None = None
    """Such a folder to score on. Without: the end of each corpus."""
    held_out: float = Field(default=0.005, gt=0, lt=1)
    """Share of each corpus's blocks, at its end, that is scored on and never trained on; 1 to 10,000 blocks."""
    masking: MaskSettings = MaskSettings()
    """Which tokens are predicted."""

    @model_validator(mode="after")
    def _weights(self) -> TextSettings:
        if isinstance(self.corpus, Mapping) and any(not 0 < weight < math.inf for weight in self.corpus.values()):
            raise ValueError(f"corpus={self.corpus!r}: weights must be above 0; leave out what is not wanted")
        if not isinstance(self.corpus, Mapping) and len(set(self.corpus)) < len(self.corpus):
            raise ValueError(f"corpus={list(self.corpus)}: a folder is named twice; give it a weight instead")
        return self
