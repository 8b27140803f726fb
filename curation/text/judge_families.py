"""Warnings about judges of pixels whose model is of the same family as the one that writes what they judge. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from curation.captions.observer_registry import CaptionSettings
from curation.stages.pipeline_settings import PipelineSettings
from curation.text.rewrite_settings import RewriteSettings
from runtime.models.model_family import model_family


def same_family_warnings(settings: PipelineSettings) -> list[str]:
    """Return a line for each judge of pixels that has no engine, or one of the writer's or the captioner's family."""
    rewrite = settings.branch(RewriteSettings)
    return [
        warning
        for kind, judge in rewrite.ground.used()
        if kind.looks and kind.asks_engine
        for warning in _same_family(f"rewrite.ground.{kind.name}.engine", judge.judge_engine, settings)
    ]


def _same_family(setting: str, judge: str | None, settings: PipelineSettings) -> Iterator[str]:
    """Yield a warning for each engine that writes what the judge judges and shares the family of its model."""
    rewrite, caption = settings.branch(RewriteSettings), settings.branch(CaptionSettings)
    looking = settings.engine(judge or rewrite.engine)
    if looking is None:
        yield f"{setting}=null: there is no engine to ask, so every claim stays unjudged; name a vision-language model"
        return
    family = model_family(looking.model_name)
    writers = {"rewrite.engine": rewrite.engine, "caption.engine": caption.engine}
    for user, name in writers.items():
        writer = settings.engine(name)
        if writer is not None and model_family(writer.model_name) == family:
            yield (
                f"{setting}: {looking.model_name} judges what {writer.model_name} ({user}) writes, a model of the same "
                f"family ({family}), and may share its mistakes; name an engine of another family"
            )
            return
