"""Counts of an export: clips left out and samples without their text or still, by reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass
class ExportCounts:
    """Counts that grow while an export is written."""

    without_text: Counter[str] = field(default_factory=Counter)
    """Samples written without the text that was asked for, by reason."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Clips left out because they have no such text (`null_text` is ``skip``), by reason."""
    failed: Counter[str] = field(default_factory=Counter)
    """Clips left out because their video can't be read, by reason."""
    removed: int = 0
    """Clips left out because their video was removed on request."""
    shards_without_stills: int = 0
    """Shards whose tar of keyframes is missing or damaged: their samples have no still."""
    shards_without_marks: int = 0
    """Shards left out because the selection was made before them."""
