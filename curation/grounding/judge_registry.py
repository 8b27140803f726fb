"""The judges, one line each, and the settings that are composed of theirs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from pydantic import Field, create_model, model_validator

from curation.grounding.cascade import Cascade, SeatedJudge
from curation.grounding.encoder_judge import ENCODER_JUDGE
from curation.grounding.judge import JudgeKind, JudgeResources, JudgeSettings
from curation.grounding.parsing.parse_judge import PARSE_JUDGE
from curation.grounding.pixels.image_text_judge import IMAGE_TEXT_JUDGE
from curation.grounding.pixels.vision_judge import VISION_JUDGE
from curation.grounding.text_judge import TEXT_JUDGE
from curation.grounding.words_judge import WORDS_JUDGE
from curation.prompts.prompt_templates import Prompt
from runtime.errors import nearest
from runtime.settings import Settings

JUDGE_KINDS: Final[tuple[JudgeKind, ...]] = (
    WORDS_JUDGE,
    ENCODER_JUDGE,
    PARSE_JUDGE,
    TEXT_JUDGE,
    VISION_JUDGE,
    IMAGE_TEXT_JUDGE,
)
"""All judges; a pipeline names those that it asks, in its own order."""


class CascadeSettings(Settings):
    """The judges of claims: which are asked, in which order, and which must agree."""

    judges: tuple[str, ...] = ("words", "text")
    """Judges in the order in which they are asked, each about the claims that are still open."""
    require: tuple[str, ...] = ()
    """Judges that must agree for a claim to be kept; []: all of `judges` but those that only stand for another one.
    The others advise: their objections are counted. A judge that only rejects (`parse`) does so in any case."""

    @model_validator(mode="after")
    def _are_known(self) -> CascadeSettings:
        known = [kind.name for kind in JUDGE_KINDS]
        for name in self.judges:
            if name not in known:
                raise ValueError(f"judges: {name!r} is no judge{nearest(name, known)}")
        if not self.judges or len(set(self.judges)) < len(self.judges):
            raise ValueError(f"judges={list(self.judges)}: name at least one judge, and each once")
        for name in self.require:
            if name not in self.judges:
                raise ValueError(f"require: {name!r} is not among judges={list(self.judges)}; add it there")
        only_reject = [kind.name for kind, _ in self.used() if kind.vetoes]
        if set(only_reject) & set(self.require):
            raise ValueError(f"require={list(self.require)}: {only_reject[0]} only rejects claims; leave it out there")
        if len(only_reject) == len(self.judges):
            raise ValueError(f"judges={list(self.judges)}: {only_reject[0]} accepts no claim; add one that does")
        return self

    def used(self) -> Iterator[tuple[JudgeKind, JudgeSettings]]:
        """Yield the judges that are asked, in order, with their settings."""
        kinds = {kind.name: kind for kind in JUDGE_KINDS}
        for name in self.judges:
            yield kinds[name], getattr(self, name)

    def required(self) -> tuple[str, ...]:
        """Return the names of the judges that must agree."""
        accepting = [kind for kind, _ in self.used() if not kind.vetoes]
        names = {kind.name for kind in accepting}
        return self.require or tuple(kind.name for kind in accepting if not set(kind.stands_for) & names)

    def engines(self) -> dict[str, str | None]:
        """Return the engine that each judge asks, by the judge's name; None for the engine of the rewrite."""
        return {kind.name: settings.judge_engine for kind, settings in self.used() if kind.asks_engine}

    @property
    def looks(self) -> bool:
        """True if a judge that is asked looks at pictures."""
        return any(kind.looks for kind, _ in self.used())

    def pictures_per_request(self) -> dict[str, tuple[int, int]]:
        """Return the most images and videos in one request of each judge that asks an engine, by the judge's name."""
        return {kind.name: settings.pictures_per_request for kind, settings in self.used() if kind.asks_engine}

    def models(self) -> dict[str, str]:
        """Return URIs of the models that judges load themselves, by purpose."""
        return {purpose: uri for _, settings in self.used() for purpose, uri in settings.models().items()}

    def prompts(self) -> dict[str, Prompt]:
        """Return the prompts of the judges that are asked, by purpose.

        Raises:
            UserError: a prompt can't be read, or uses a field that can't be filled in.
        """
        return {purpose: prompt for _, settings in self.used() for purpose, prompt in settings.prompts().items()}

    def content(self) -> dict[str, Any]:
        """Return `Settings.content` of the judges that are asked, with hashes of prompts in place of their names."""
        own: dict[str, Any] = {"judges": list(self.judges), "require": sorted(self.required())}
        for kind, settings in self.used():
            values = {
                name: value
                for name, value in settings.content().items()
                if name != "prompt" and (name, value) != ("alone_threshold", None)
            }
            own[kind.name] = values | {name: prompt.hash for name, prompt in settings.prompts().items()}
        return own


if TYPE_CHECKING:

    class GroundSettings(CascadeSettings):
        """`CascadeSettings` with a branch for each judge."""

        def __init__(self, **values: Any) -> None: ...

else:
    GroundSettings = create_model(
        "GroundSettings",
        __base__=CascadeSettings,
        __module__=__name__,
        __doc__=CascadeSettings.__doc__,
        **{
            kind.name: (kind.settings, Field(kind.settings(), description=kind.settings.__doc__))
            for kind in JUDGE_KINDS
        },
    )


def build_cascade(settings: CascadeSettings, resources: JudgeResources) -> Cascade:
    """Build the judges that the settings name, in the order in which they are asked."""
    seats = [SeatedJudge.of(kind, own, kind.build(own, resources)) for kind, own in settings.used()]
    return Cascade(seats, settings.required())
