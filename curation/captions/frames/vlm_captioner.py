"""A captioner that asks a vision-language model: one request for each keyframe.

The other captioner is the embedded tagger (`curation.captions.frames.image_tagger`);
`curation.captions.frames.frame_observer` chooses between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from curation.captions.frames.caption_wording import caption_line, clean_caption
from curation.captions.frames.frame_settings import FrameSettings
from curation.engines.engine_interface import Answer, CaptionResult, ImageRef, Request
from curation.prompts import prompt_templates
from curation.prompts.answer_flaws import flaw_of
from curation.prompts.text_language import is_foreign
from runtime.ray_runner.stage import Service


class VlmCaptioner:
    """A `Captioner` that asks a vision-language model."""

    def __init__(self, engine: Service, settings: FrameSettings) -> None:
        self._engine = engine
        self._settings = settings
        prompt = prompt_templates.load(settings.prompt)
        self._system, self._user = prompt.render()
        self._language = prompt.language

    async def caption(self, images: Mapping[str, ImageRef]) -> dict[str, CaptionResult]:
        """Caption every image; the result has exactly the same keys.

        `CaptionResult.error` is ``refusal``, ``empty`` or ``loop`` for an answer that is no caption, ``language`` for
        one in another language than the prompt; otherwise that of the answer.

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
        spent = CaptionResult(None, tokens=answer.output_tokens, prompt_tokens=answer.prompt_tokens)
        if not answer.is_usable:
            return replace(spent, error=answer.error)
        caption = clean_caption(answer.text, self._settings.max_chars, is_cut=answer.is_cut)
        error: str | None = None if caption else flaw_of(caption_line(answer.text)) or "empty"
        if caption and is_foreign(caption, self._language):
            caption, error = None, "language"
        return replace(spent, caption=caption, error=error, is_cut=answer.is_cut)
