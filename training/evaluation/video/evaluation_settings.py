"""Settings of the retrieval scores that a run computes while it trains. Nothing here imports torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from runtime.settings import Runtime, Settings

Clips = Literal["root", "short", "medium", "long"]
"""Clips of a split that are scored: root clips, or all clips of one level."""


class EvaluationSettings(Settings):
    """Retrieval on the held-out split while training."""

    max_clips: Runtime[int] = Field(default=1000, ge=0)
    """Highest number of held-out clips to score; 0: no evaluation."""
    clips: Runtime[Clips] = "root"
    """Clips that are scored: root clips, or all clips of one level."""
    select_on: Runtime[Literal["val", "test"]] = "val"
    """Videos that `finetune` chooses the best checkpoint on: `val`, the benchmark's validation split, or a twentieth of
    its training videos if it has none apart from the published scores' split; `test`, that split itself."""
    term: Runtime[str | None] = None
    """Term of `loss.terms` whose texts are the queries; None: the last one."""
    batch_size: Runtime[int] = Field(default=16, ge=1)
    """Clips that each rank embeds at once."""
