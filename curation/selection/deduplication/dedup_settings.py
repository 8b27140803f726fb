"""Settings of deduplication: which kinds of duplicates to look for, their limits, and which clip of a group stays."""

from __future__ import annotations

from typing import Any, Final

from pydantic import Field, field_validator

from curation.selection.deduplication.keep_order import parse_order
from runtime.settings import Settings

FOLDER: Final = "duplicates"
NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""Names of tables of duplicates."""


class PerceptualSettings(Settings):
    """The same pictures over time: re-encoded, cropped, letterboxed, mirrored, faster or slower, cut out."""

    scores: str
    """Score set that holds the frame hashes."""
    seconds: float = Field(default=3.0, gt=0)
    """Least length of what two videos have in common."""
    distance: int = Field(default=22, ge=0, le=32)
    """Most bits, of 64, by which the hashes of two matching frames differ."""
    mean_distance: float = Field(default=18.0, ge=0, le=32)
    """Most bits by which matching frames differ on average."""
    share: float = Field(default=0.7, gt=0, le=1)
    """Least share of a clip that another video must show for the clip to be its duplicate."""

    def pair_content(self) -> dict[str, Any]:
        """Return the settings that decide the pairs; `share` only decides what is done with them."""
        return self.model_copy(update={"share": 0.7}).content()


class SemanticSettings(Settings):
    """Clips whose vectors are close."""

    vectors: str
    """Score set and column of the vectors: ``SET.column``."""
    threshold: float = Field(default=0.95, gt=0, le=1)
    """Least cosine of duplicates."""
    floor: float = Field(default=0.8, gt=0, le=1)
    """Least cosine of pairs that are stored, and where the curve begins; thresholds above it need no new pairs."""

    @field_validator("vectors")
    @classmethod
    def _names_both(cls, vectors: str) -> str:
        name, dot, column = vectors.partition(".")
        if not (name and dot and column):
            raise ValueError("must name a score set and a column of vectors, such as demo.clip")
        return vectors

    @property
    def set_name(self) -> str:
        """Name of the score set."""
        return self.vectors.partition(".")[0]

    @property
    def column(self) -> str:
        """Name of the column of vectors."""
        return self.vectors.partition(".")[2]

    @property
    def least(self) -> float:
        """Least cosine of stored pairs: the threshold if it is below the floor."""
        return min(self.threshold, self.floor)


class DedupSettings(Settings):
    """One table of duplicates."""

    name: str = Field(pattern=NAME)
    """Name of the table, `duplicates/<name>.parquet`."""
    exact: bool = False
    """Look for roots with the same bytes, and for the same video of a site under two addresses."""
    perceptual: PerceptualSettings | None = None
    semantic: SemanticSettings | None = None
    keep: tuple[str, ...] = ("resolution", "earliest")
    """The criteria by which a clip of a group stays, in order: `resolution`, `longest`, `earliest`, `SET.column`."""

    @field_validator("keep")
    @classmethod
    def _known_order(cls, keep: tuple[str, ...]) -> tuple[str, ...]:
        parse_order(keep)
        return keep
