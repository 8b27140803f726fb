"""The recipe of a selection: its conditions and figures, as settings that are kept with the selection as YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BeforeValidator, Field, model_validator

from runtime.errors import UserError
from runtime.settings import Runtime, Settings, build, content_hash, load_yaml
from shards.errors import ShardError
from shards.selections.selection import STAGE, recipe_of
from shards.storage.store import Store

RECIPE_VERSION: Final = 1
"""Version of the rules by which a recipe chooses; part of the hash of what it makes."""


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Texts = Annotated[tuple[str, ...], BeforeValidator(_as_list)]


class TopSettings(Settings):
    """The clips with the largest, or the smallest, values."""

    number: int = Field(ge=1)
    """Clips to keep."""
    by: str
    """Number to compare, in SQL over the columns of a clip; clips where it is null or NaN are left out."""
    order: Literal["largest", "smallest"] = "largest"
    """End of the order that is kept."""


class SampleSettings(Settings):
    """A random part, by hash: `number` or `share`."""

    number: int | None = Field(default=None, ge=1)
    """Units to keep: those with the lowest hashes."""
    share: float | None = Field(default=None, gt=0, le=1)
    """Share of units to keep. A unit is in or out whatever other units there are."""
    unit: Literal["clip", "video"] = "clip"
    """The unit that is drawn: single clips, or videos with all their clips."""

    @model_validator(mode="after")
    def _one(self) -> SampleSettings:
        if (self.number is None) == (self.share is None):
            raise ValueError("set one of number and share")
        return self


class BalanceSettings(Settings):
    """At most so many clips of each value."""

    by: str
    """Value, in SQL over the columns of a clip; null is a value like others."""
    most: int = Field(ge=1)
    """Clips of one value to keep: those with the lowest hashes."""


class Recipe(Settings):
    """A selection as a list of conditions, which are applied in the order of these settings."""

    name: Runtime[str | None] = None
    """Name of the selection."""
    layer: str
    """Text layer whose clips are chosen."""
    base: str | None = None
    """Selection to begin with; it also gives the splits. None: that of the layer, or the layer's own marks."""
    licence: Texts = ()
    """Licences to keep, as patterns with * and ?, compared with `video_license` without regard to capitals."""
    clean_of: Texts = ()
    """Tables of contamination; clips in any of them are left out."""
    where: Texts = ()
    """Conditions in SQL over the columns of a clip; a clip is kept if all are true. Null is not true."""
    dedup: str | None = None
    """Table of duplicates; of each group one clip is kept: the one that stays, or the likest to it that is left."""
    balance: BalanceSettings | None = None
    """At most so many clips of each value of a column."""
    top: TopSettings | None = None
    """The clips with the largest or smallest values."""
    sample: SampleSettings | None = None
    """A random part."""
    seed: int = Field(default=0, ge=0)
    """Another number draws other clips for `balance` and `sample`, and breaks ties of `top` otherwise."""
    val_percent: float | None = Field(default=None, ge=0, le=100)
    """Share of videos in the split ``val``, by hash of their ids. None: the splits of `base`."""

    @property
    def hash(self) -> str:
        """Content hash: equal for recipes that choose alike."""
        return content_hash(STAGE, "recipe", RECIPE_VERSION, self.content())

    def to_yaml(self) -> str:
        """Return the settings that differ from their defaults, in order."""
        values = self.model_dump(mode="json", exclude_defaults=True)
        return yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)


def read_recipe(path: Path) -> dict[str, Any]:
    """Return the settings in a recipe's file, not validated yet: the layer and the name may be missing.

    Raises:
        UserError: it can't be read as a YAML mapping.
    """
    return load_yaml(path, "--recipe")


def build_recipe(values: dict[str, Any], where: str = "recipe") -> Recipe:
    """Return settings as a recipe.

    Raises:
        UserError: names the setting that is unknown or wrong.
    """
    return build(Recipe, values, where)


def stored_recipe(store: Store, name: str) -> Recipe | None:
    """Return the recipe that a selection was made by; None for one that a run made, or if there is no such selection.

    Raises:
        UserError: its recipe is not one that this program knows.
        ShardError: its table is unreadable.
    """
    try:
        text = recipe_of(store, name)
    except FileNotFoundError:
        return None
    if text is None:
        return None
    try:
        values = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ShardError(f"selections/{name}.parquet: its recipe is no YAML ({error})") from None
    if not isinstance(values, dict):
        raise UserError(f"selections/{name}.parquet: its recipe is no mapping; make the selection again")
    return build_recipe({**values, "name": name}, f"selections/{name}")
