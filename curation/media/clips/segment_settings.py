"""Settings of segmentation: the lengths of clips of each level, and the places where a video is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from runtime.settings import Settings

if TYPE_CHECKING:  # a type only, so that printing settings need not import Arrow
    from shards.schema import Level


class LevelSettings(Settings):
    """Lengths of the clips of one level, in seconds."""

    target: float = Field(gt=0)
    """Preferred length."""
    minimum: float = Field(gt=0)
    """Clips shorter than this are avoided."""
    maximum: float = Field(gt=0)
    """Longest clip, unless there is no cut point within it."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.minimum <= self.target <= self.maximum:
            raise ValueError(f"minimum <= target <= maximum must hold ({self.minimum}, {self.target}, {self.maximum})")
        return self


class SegmentSettings(Settings):
    """Settings of dividing a video into clip trees."""

    short: LevelSettings = LevelSettings(target=13.0, minimum=4.0, maximum=26.0)
    """Lengths of short clips: a couple of sentences."""
    medium: LevelSettings = LevelSettings(target=30.0, minimum=15.0, maximum=52.0)
    """Lengths of medium clips: a few short clips."""
    long: LevelSettings = LevelSettings(target=60.0, minimum=32.0, maximum=100.0)
    """Lengths of long clips: a few medium clips."""
    smallest: float = Field(default=2.0, gt=0)
    """Shortest clip, in seconds, that is cut out of a longer span."""
    smallest_span: float = Field(default=0.5, ge=0.001)
    """A span shorter than this many seconds gives no clip."""
    max_gap: float = Field(default=10.0, gt=0)
    """Longest silence inside a clip, in seconds; a longer one gets root clips of its own."""
    pause_weight: float = Field(default=0.1, ge=0)
    """Preference for a cut in a pause of a second or more over a cut without a pause."""
    shot_weight: float = Field(default=0.1, ge=0)
    """Preference for a cut at a shot boundary over a cut far from any."""
    shot_distance: float = Field(default=0.5, gt=0)
    """A shot boundary more than this many seconds from a cut counts as far."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.short.target < self.medium.target < self.long.target:
            raise ValueError("short.target < medium.target < long.target must hold")
        if self.max_gap < 3 * self.smallest:
            raise ValueError(f"max_gap ({self.max_gap}) must be at least three times smallest ({self.smallest})")
        return self

    def level(self, name: Level) -> LevelSettings:
        """Return the lengths of a level."""
        lengths: LevelSettings = getattr(self, name)
        return lengths
