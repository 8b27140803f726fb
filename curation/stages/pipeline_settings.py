"""The settings that all stages of a pipeline share.

`curation.pipeline.settings_class` adds one branch of settings for each registered stage, named after the stage.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar

from pydantic import Field

from curation.engines.engine_registry import AnyEngineSettings
from curation.engines.engine_settings import EngineSettings
from curation.filters.filter_registry import FilterSettings
from runtime.ray_runner.stage import PoolSettings
from runtime.settings import Runtime, Settings

S = TypeVar("S", bound=Settings)


class PipelineSettings(Settings):
    """All settings of one pipeline."""

    description: Runtime[str] = ""
    """Description of the pipeline in one line."""
    tested: Runtime[bool] = False
    """Set if the whole pipeline has been run with the models that it names; `curate pipelines` shows it."""
    videos_per_shard: Runtime[Literal["auto"] | int] = "auto"
    """Sources in a new shard; `auto`: a sixteenth of all sources of the DIR, at least 1 and at most 64. Shards that are
    there keep their sources."""
    val_percent: float = 1.0
    """Share of videos in the split `val`, in percent. The stage `select` reads it."""
    engines: dict[str, AnyEngineSettings] = Field(default_factory=dict)
    """Language models by name; stages that name the same one share its pool."""
    filters: FilterSettings = FilterSettings()
    """Filters that set `keep`. The stage `select` reads them."""
    resources: Runtime[dict[str, PoolSettings]] = Field(default_factory=dict)
    """Workers of each stage, of `asr`, and of each engine, by name."""

    def branch(self, model: type[S]) -> S:
        """Return the settings of one stage, by their class."""
        (found,) = (value for value in vars(self).values() if isinstance(value, model))
        return found

    def pool(self, name: str) -> PoolSettings:
        """Return the workers of a stage, of ``asr``, or of an engine."""
        return self.resources.get(name, PoolSettings())

    def engine(self, name: str | None) -> EngineSettings | None:
        """Return the settings of an engine by its name; None if `name` is None."""
        return None if name is None else self.engines[name]

    def engines_content(self) -> dict[str, Any]:
        """Return the settings of all engines that decide the content of their answers, by name."""
        return {name: engine.content() for name, engine in self.engines.items()}
