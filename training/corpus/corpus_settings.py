"""Settings of the text that a language model is trained on. Nothing here imports torch."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import Field, model_validator

from runtime.settings import Settings
from training.data.order.epoch_order import seed_of


class MaskSettings(Settings):
    """Selection of the tokens that are predicted."""

    probability: float = Field(default=0.15, gt=0, lt=1)
    """Probability that a token is predicted; drawn independently for each token, specials excepted. Each row has at
    least one."""
    static_copies: int | None = Field(default=None, ge=1, le=1000)
    """Number of fixed masks of each block, used in turn; unset: a new mask in each epoch. A cache of teacher states for
    masked input needs static masks."""
    static_seed: int = Field(default=0, ge=0)
    """Seed of static masks. They do not depend on the run's seed, so that runs share cached teacher states."""

    def seed(self, run: int, epoch: int, key: object) -> int:
        """Return the seed of a row's mask: from the copy in turn if masks are static, otherwise from run and epoch.

        Args:
            run: seed of the run.
            epoch: number of times that the row was read before.
            key: permanent name of the row.
        """
        if self.static_copies is None:
            return seed_of("mask", run, epoch, key)
        return seed_of("static mask", self.static_seed, self.copy_of(epoch), key)

    def copy_of(self, epoch: int) -> int:
        """Return the number of the static mask that an epoch uses; 0 if masks are not static."""
        return 0 if self.static_copies is None else epoch % self.static_copies


class TextSettings(Settings):
    """Text that a language model is trained on and scored on."""

    corpus: dict[str, float] | tuple[str, ...] = ()
    """Folders that `train-vidlankd tokenize` wrote; with weights, or each in proportion to its blocks."""
    valid: str | None = None
    """Folder that `train-vidlankd tokenize` wrote, to score on; unset: the end of each corpus."""
    held_out: float = Field(default=0.005, gt=0, lt=1)
    """Share of each corpus's blocks, at its end, that are scored on and never trained on; 1 to 10,000 blocks."""
    masking: MaskSettings = MaskSettings()
    """Selection of the tokens that are predicted."""

    @model_validator(mode="after")
    def _check_corpora(self) -> TextSettings:
        if isinstance(self.corpus, Mapping) and any(not 0 < weight < math.inf for weight in self.corpus.values()):
            raise ValueError(f"corpus={self.corpus!r}: weights must be above 0; to leave a corpus out, remove it")
        if not isinstance(self.corpus, Mapping) and len(set(self.corpus)) < len(self.corpus):
            raise ValueError(f"corpus={list(self.corpus)}: a folder is named twice; give it a weight instead")
        return self
