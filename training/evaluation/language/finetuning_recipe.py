"""Settings of one fine-tuning: `FineTuningRecipe`, and `RecipeChange` for the fields that a user sets."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from runtime.settings import Settings

SHORTEST: Final = 8
"""Least number of tokens in an input."""


class FineTuningRecipe(Settings):
    """Recipe of one task: AdamW, a learning rate that falls linearly to zero, gradients clipped at 1."""

    lr: float = Field(default=1e-4, gt=0)
    """Highest learning rate. If seeds collapse at 1e-4, 5e-5 is known to help."""
    batch_size: int = Field(default=32, ge=1)
    """Examples in a step (SQuAD: windows)."""
    epochs: float = Field(default=3, gt=0)
    """Passes over the training examples."""
    max_length: int = Field(default=126, ge=SHORTEST)
    """Tokens with specials; longer texts are cut (SQuAD: the context is read in windows)."""
    warmup: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay."""
    stride: int | None = Field(default=None, ge=1)
    """SQuAD: tokens from the start of one window of a context to the start of the next (``doc_stride`` of the released
    scripts); if a window holds fewer, the next begins at its end. None: windows do not overlap."""
    holdout: float | None = Field(default=None, gt=0, lt=1)
    """Share of the examples to score if there is only one labelled file; None: a single file is refused."""


class RecipeChange(Settings):
    """Changes to a recipe; None: keep its value."""

    lr: float | None = Field(default=None, gt=0)
    """Highest learning rate."""
    batch_size: int | None = Field(default=None, ge=1)
    """Examples in a step."""
    epochs: float | None = Field(default=None, gt=0)
    """Passes over the training examples."""
    max_length: int | None = Field(default=None, ge=SHORTEST)
    """Tokens with specials."""
    warmup: float | None = Field(default=None, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    weight_decay: float | None = Field(default=None, ge=0)
    """Decoupled weight decay."""
    stride: int | None = Field(default=None, ge=1)
    """SQuAD: tokens from the start of one window to the start of the next."""
    holdout: float | None = Field(default=None, gt=0, lt=1)
    """Share of the examples to score if there is only one labelled file."""

    def given(self) -> dict[str, float]:
        """Return the fields that are set."""
        return {name: value for name in type(self).model_fields if (value := getattr(self, name)) is not None}
