"""The pipeline, top to bottom: settings of the three stages, the models they share, and the stages themselves.

    sources -> media -> caption -> rewrite -> DIR

`pipelines.yaml` names whole sets of settings; `stages_of` turns one of them, and the shards that are to be
made, into what the runner runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from curation.captions.caption_settings import CaptionSettings
from curation.captions.caption_stage import caption_worker
from curation.engines.engine_registry import AnyEngineSettings, engine_for
from curation.engines.speech_recognizer import Recognizer
from curation.filters.filter_registry import FilterSettings
from curation.media.media_stage import MediaSettings, MediaWorkerSpec, media_worker
from curation.shard_table import ShardTable
from curation.text.rewrite_stage import model_names, rewrite_worker
from curation.text.rewrite_settings import RewriteSettings
from curation.text.text_rows import TextLayer
from runtime.attempts import DEATHS_ALLOWED
from runtime.errors import UserError, nearest
from runtime.ray_runner.stage import PoolSettings, ServiceSpec, StageSpec
from runtime.settings import Runtime, Settings, build, load_yaml, override

StageName = Literal["media", "caption", "rewrite"]
STAGES: tuple[StageName, ...] = ("media", "caption", "rewrite")

_OTHER_DEATHS = 3  # of a worker on one shard, for which no video is to blame


class PipelineSettings(Settings):
    """All settings of one pipeline."""

    description: Runtime[str] = ""
    """One line for people."""
    videos_per_shard: Runtime[Literal["auto"] | int] = "auto"
    """Sources a shard; `auto` is decided at the first run and then fixed in the manifest."""
    val_percent: float = 1.0
    """Share of videos that go to the split `val`, in percent."""
    media: MediaSettings = MediaSettings()
    """From source to clips."""
    engines: dict[str, AnyEngineSettings] = Field(default_factory=dict)
    """Language models by name; stages that name the same one share its pool."""
    caption: CaptionSettings = CaptionSettings()
    """From keyframes to frame captions."""
    rewrite: RewriteSettings = RewriteSettings()
    """From speech and captions to summaries and grounded text."""
    filters: FilterSettings = FilterSettings()
    """What sets `keep`."""
    resources: Runtime[dict[str, PoolSettings]] = Field(default_factory=dict)
    """Workers of `media`, `asr`, `caption`, `rewrite` and of each engine by its name."""

    @model_validator(mode="after")
    def _names_exist(self) -> PipelineSettings:
        for where, name in (("caption.engine", self.caption.engine), ("rewrite.engine", self.rewrite.engine)):
            if name is not None and name not in self.engines:
                raise ValueError(f"{where}={name!r}: no such engine{nearest(name, self.engines)}")
        known = {*STAGES, "asr", *self.engines}
        for name in self.resources:
            if name not in known:
                raise ValueError(f"resources.{name}: no such pool{nearest(name, known)}")
        return self

    def pool(self, name: str) -> PoolSettings:
        """Workers of a stage, of ``asr``, or of an engine."""
        return self.resources.get(name, PoolSettings())


@dataclass(frozen=True)
class Places:
    """Where a run reads and writes: the DIR, fast local disk, and the folders of this run's texts."""

    root: str
    scratch: str
    captions: str
    """Folder of the caption set, ``captions/<name>``."""
    text: str
    """Folder of the text layer, ``text/<layer>`` (another name while a layer is being replaced)."""


@dataclass(frozen=True)
class Hashes:
    """Content hash of each stage's folder."""

    media: str
    caption: str
    rewrite: str


def load_pipeline(name: str, config: Path | None, assignments: Sequence[str]) -> PipelineSettings:
    """Read the pipeline `name` from `config` (default: the pipelines that come with the package).

    Raises:
        UserError: no such pipeline, an unknown setting, a value that is not allowed.
    """
    pipelines = load_yaml(config or default_config())
    if name not in pipelines:
        raise UserError(f"PIPELINE {name}: no such pipeline in {config or 'pipelines.yaml'}{nearest(name, pipelines)}")
    values: Any = pipelines[name] or {}
    if not isinstance(values, dict):
        raise UserError(f"{name}: must be a mapping of settings")
    return build(PipelineSettings, override(values, assignments), name)


def default_config() -> Path:
    """The pipelines.yaml of the package, or of the checkout it is installed from."""
    packaged = Path(str(files("curation"))) / "pipelines.yaml"
    return packaged if packaged.exists() else Path(__file__).parent.parent / "pipelines.yaml"


def stages_of(
    settings: PipelineSettings,
    places: Places,
    hashes: Hashes,
    todo: Mapping[StageName, Sequence[int]],
    *,
    videos_per_shard: int,
) -> list[StageSpec]:
    """The stages of a run, in order, for the shards that each has to make.

    Each video of a shard may end its worker `DEATHS_ALLOWED` times before it is given up; only deaths beyond those
    end the run.
    """
    media = partial(media_worker, MediaWorkerSpec(places.root, places.scratch, settings.media, hashes.media))
    captions = ShardTable("caption", places.root, places.captions, places.scratch, hashes.caption)
    texts = ShardTable("rewrite", places.root, places.text, places.scratch, hashes.rewrite)
    names = model_names(settings.caption, settings.rewrite, settings.engines)
    layer = TextLayer(settings.filters, settings.val_percent, names)
    caption = partial(caption_worker, captions, settings.caption)
    rewrite = partial(rewrite_worker, texts, places.captions, settings.rewrite, layer)
    builds: Mapping[StageName, Any] = {"media": media, "caption": caption, "rewrite": rewrite}
    needs = services_needed(settings)
    deaths: Mapping[StageName, int] = {"media": _OTHER_DEATHS + DEATHS_ALLOWED * videos_per_shard}
    return [
        StageSpec(name, builds[name], settings.pool(name), todo[name], needs[name], deaths.get(name, _OTHER_DEATHS))
        for name in STAGES
        if todo.get(name)
    ]


def stage_contents(settings: PipelineSettings) -> dict[str, dict[str, Any]]:
    """The settings that decide what each stage makes, defaults filled in, without addresses and secrets."""
    engines = {name: engine.content() for name, engine in settings.engines.items()}
    media = settings.media.content()
    caption = settings.caption.content() | {"engines": engines}
    rewrite = settings.rewrite.content() | {"filters": settings.filters.content(), "engines": engines}
    return {"media": media, "caption": caption, "rewrite": rewrite | {"val_percent": settings.val_percent}}


def services_needed(settings: PipelineSettings) -> Mapping[StageName, tuple[str, ...]]:
    """The pools that each stage calls."""
    asr = ("asr",) if settings.media.video.transcribe.asr else ()
    caption = (settings.caption.engine,) if settings.caption.engine else ()
    rewrite = (settings.rewrite.engine,) if settings.rewrite.engine else ()
    return {"media": asr, "caption": caption, "rewrite": rewrite}


def services_of(settings: PipelineSettings, stages: Sequence[StageSpec]) -> list[ServiceSpec]:
    """The pools that the given stages call, each once."""
    names = dict.fromkeys(name for stage in stages for name in stage.services)
    return [ServiceSpec(name, _service(settings, name), settings.pool(name)) for name in names]


def _service(settings: PipelineSettings, name: str) -> Any:
    asr = settings.media.video.transcribe.asr
    if name == "asr" and asr is not None:
        return partial(Recognizer, asr)
    return partial(engine_for, settings.engines[name])
