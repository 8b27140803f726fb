"""Settings of the scores that a run makes while it trains. Nothing here imports torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runtime.settings import Runtime, Settings

Clips = Literal["root", "short", "medium", "long"]
"""The clips of a split that are scored: roots, or all of one level."""


class EvaluationSettings(Settings):
    """Retrieval on the held-out split while training."""

    max_clips: Runtime[int] = Field(default=1000, ge=0)
    """Held-out clips at most; 0: no evaluation."""
    clips: Runtime[Clips] = "root"
    """Clips that are scored: roots, or all of one level."""
    term: Runtime[str | None] = None
    """Term of `loss.terms` whose texts are the queries; None: the last."""
    batch_size: Runtime[int] = Field(default=16, ge=1)
    """Clips that a rank embeds at once."""
