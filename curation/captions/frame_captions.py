"""Frame captions: a captioner looks at each keyframe and says what it shows.

Two captioners: a vision-language model behind an engine's service (`VlmCaptioner`), or the embedded image tagger
(`curation.engines.image_tagger`). `curation.text.text_stages` hands them the keyframes of a shard and stores what they say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import Field

from curation.engines.engine_interface import Answer, Captioner, ImageRef, Request, Seen
from curation.engines.image_tagger import TaggerSettings
from curation.grounding.evidence import Frame
from curation.prompts import prompt_templates
from curation.prompts.wording import in_sentences, tidy, unquoted
from runtime.ray_runner.stage import Service
from runtime.settings import Runtime, Settings

_PREFIX = re.compile(r"(?:caption|answer|description|assistant)\s*:\s*", re.IGNORECASE)


class CaptionSettings(Settings):
    """How keyframes are captioned."""

    engine: Runtime[str | None] = None
    """Vision-language model, by its name under `engines`; null: the embedded tagger."""
    tagger: TaggerSettings = TaggerSettings()
    """The embedded tagger; used where `engine` is null."""
    prompt: str = "caption"
    """Prompt of the vision-language model: a name, or the path of a file of your own."""
    max_tokens: int = Field(default=96, ge=1)
    """Most tokens of a caption."""
    max_chars: int = Field(default=500, ge=1)
    """Most characters of a caption; longer ones are cut at a word."""

    def content(self) -> dict[str, Any]:
        """The settings that decide what the captions are: those of the captioner in use."""
        if self.engine is None:
            return {"tagger": self.tagger.content(), "max_chars": self.max_chars}
        prompt = prompt_templates.load(self.prompt)
        return {"prompt": prompt.hash, "max_tokens": self.max_tokens, "max_chars": self.max_chars}

    def prompt_ref(self) -> str | None:
        """``name@version`` of the prompt, where one is used."""
        return None if self.engine is None else prompt_templates.load(self.prompt).ref


class VlmCaptioner:
    """A `Captioner` that asks a vision-language model, one request a keyframe."""

    def __init__(self, engine: Service, settings: CaptionSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._system, self._user = prompt_templates.load(settings.prompt).render()

    async def caption(self, images: Mapping[str, ImageRef]) -> dict[str, Seen]:
        """Caption every image; the result has exactly the same keys.

        Raises:
            MachineError: the engine is dead.
        """
        if not images:
            return {}
        requests = [
            Request(key, self._system, self._user, images=(image,), max_tokens=self._settings.max_tokens)
            for key, image in images.items()
        ]
        answers: Mapping[str, Answer] = await self._engine.acall("generate", requests)
        return {key: self._seen(answers.get(key)) for key in images}

    def _seen(self, answer: Answer | None) -> Seen:
        if answer is None:
            return Seen(None, error="no answer")
        usable = answer.error in (None, "length")
        caption = clean_caption(answer.text, self._settings.max_chars) if usable else None
        error = answer.error if not usable else None if caption else "empty"
        return Seen(caption, error=error, tokens=answer.output_tokens)


def captioner_for(settings: CaptionSettings, services: Mapping[str, Service]) -> Captioner:
    """The captioner that the settings name; the tagger is loaded here, in this process."""
    if settings.engine is not None:
        return VlmCaptioner(services[settings.engine], settings)
    from curation.engines.image_tagger import Tagger

    return Tagger(settings.tagger)


def clean_caption(text: str, max_chars: int) -> str | None:
    """A caption on one line, without prefixes and quotation marks, cut at a word; None where nothing is left."""
    line = tidy(text)
    prefix = _PREFIX.match(line)
    return tidy(unquoted(line[prefix.end() if prefix else 0 :]), max_chars) or None


def join_captions(frames: Iterable[Frame]) -> str | None:
    """The captions of a clip as one text: in time order, repetitions removed; None where there is none."""
    return in_sentences(frame.caption for frame in sorted(frames, key=lambda frame: frame.time)) or None
