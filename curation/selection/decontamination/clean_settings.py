"""Settings of decontamination: how near a clip must come to a benchmark's video or caption to count."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from curation.selection.deduplication.dedup_settings import NAME
from runtime.settings import Settings

FOLDER: Final = "contamination"


class CleanSettings(Settings):
    """One table of contamination."""

    name: str = Field(pattern=NAME)
    """Name of the table, `contamination/<name>.parquet`."""
    benchmark: str
    """Name of the benchmark."""
    seconds: float = Field(default=3.0, gt=0)
    """Least length of what a clip and a video of the benchmark share, for perceptual matches."""
    distance: int = Field(default=22, ge=0, le=32)
    """Most bits, of 64, by which the hashes of two matching frames differ."""
    mean_distance: float = Field(default=18.0, ge=0, le=32)
    """Most bits by which matching frames differ on average."""
    threshold: float = Field(default=0.95, gt=0, le=1)
    """Least cosine of semantic matches."""
    words: int = Field(default=8, ge=3)
    """Words in a row that count as a match of captions; shorter captions are not looked for."""
    share: float = Field(default=0.5, gt=0, le=1)
    """Least share of a caption's runs of words that a clip's text must hold."""
