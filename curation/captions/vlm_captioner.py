"""A captioner that asks a vision-language model: one request for each keyframe.

The other captioner is the embedded tagger (`curation.captions.image_tagger`). `curation.captions.caption_stage` chooses
between them and stores the captions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from curation.captions.caption_settings import CaptionSettings
from curation.engines.engine_interface import Answer, CaptionResult, ImageRef, Request
from curation.prompts import prompt_templates
from curation.prompts.wording import tidy, unquoted
from runtime.ray_runner.stage import Service

_PREFIX = re.compile(r"(?:caption|answer|description|assistant)\s*:\s*", re.IGNORECASE)


class VlmCaptioner:
    """A `Captioner` that asks a vision-language model."""

    def __init__(self, engine: Service, settings: CaptionSettings) -> None:
        self._engine = engine
        self._settings = settings
        self._system, self._user = prompt_templates.load(settings.prompt).render()

    async def caption(self, images: Mapping[str, ImageRef]) -> dict[str, CaptionResult]:
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
        return {key: self._result(answers.get(key)) for key in images}

    def _result(self, answer: Answer | None) -> CaptionResult:
        if answer is None:
            return CaptionResult(None, error="no answer")
        usable = answer.error in (None, "length")
        caption = clean_caption(answer.text, self._settings.max_chars) if usable else None
        error = answer.error if not usable else None if caption else "empty"
        return CaptionResult(caption, error=error, tokens=answer.output_tokens)


def clean_caption(text: str, max_chars: int) -> str | None:
    """Return a caption on one line, without prefix and quotation marks, cut at a word; None if nothing remains."""
    line = tidy(text)
    prefix = _PREFIX.match(line)
    return tidy(unquoted(line[prefix.end() if prefix else 0 :]), max_chars) or None
