"""The judge of pixels: do the cited frames show what the claim says? It asks a vision-language model for a yes or a no.

It never sees the captions, so it does not repeat the captioner's mistakes; by rule its model is of another family than
the one that writes (`runtime.models.model_family`). Claims are asked one at a time, in an order that has nothing to
do with that in which they were written. The score is the probability of *yes*, from the log-probabilities of one token.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from pydantic import Field

from curation.engines.engine_interface import Request
from curation.grounding.claims import CitedClaim
from curation.grounding.engine_judge import EngineJudge, EngineJudgeSettings
from curation.grounding.judge import YES_NO, JudgeKind, JudgeResources, Ruling
from curation.grounding.pixels.cited_pictures import NO_FRAMES, NOT_SEEN, cited_pictures
from curation.grounding.pixels.clip_pictures import ShownPictures
from curation.prompts import prompt_templates
from curation.prompts.prompt_templates import Prompt
from curation.prompts.text_language import is_in
from runtime.ray_runner.stage import Service
from runtime.settings import Runtime

FIELDS: Final = ("claim", "frames")
"""Fields that the prompt can use."""


class VisionJudgeSettings(EngineJudgeSettings):
    """The judge that asks a vision-language model whether the cited frames show what a claim says."""

    engine: Runtime[str | None] = None
    """Vision-language model, by its name under `engines`; null: that of the rewrite. It should be of another family
    than the writer's, and its log-probabilities are needed."""
    prompt: str = "sees"
    """Prompt, to be answered by yes or no."""
    max_frames: int = Field(default=6, ge=1)
    """Most frames that are shown for a claim; the engine's `images_per_prompt` must allow them."""

    @property
    def pictures_per_request(self) -> tuple[int, int]:
        """Most images and most videos in one request."""
        return self.max_frames, 0

    def prompts(self) -> Mapping[str, Prompt]:
        """Return the prompt."""
        return {"vision": prompt_templates.load(self.prompt, FIELDS)}


class VisionJudge(EngineJudge):
    """The judge that looks at the cited frames; a claim whose clip has no frames has no score (``no_frames``)."""

    def __init__(self, settings: VisionJudgeSettings, engine: Service | None) -> None:
        super().__init__(engine)
        self._settings = settings
        self._prompt = settings.prompts()["vision"]
        self._examples = self._prompt.exchanges()

    def request(self, key: str, claim: CitedClaim, counts: Counter[str]) -> Request | Ruling:
        """Return the request about a claim, with the pictures of what it cites."""
        shown = cited_pictures(claim, self._settings.max_frames)
        if shown is None:
            return NOT_SEEN
        if not is_in(claim.text, self._settings.languages, _context(claim)):
            return Ruling(None, "language")
        if shown.are_missing:
            counts["claims_without_frames"] += 1
            return NO_FRAMES
        return self._request(key, claim, shown)

    def _request(self, key: str, claim: CitedClaim, shown: ShownPictures) -> Request:
        count = len(shown.frames.times) if shown.frames else len(shown.images)
        system, user = self._prompt.render(claim=claim.text, frames=count)
        return Request(
            key,
            system,
            user,
            images=shown.images,
            frames=shown.frames,
            max_tokens=1,
            examples=self._examples,
            options=YES_NO,
        )


def _context(claim: CitedClaim) -> str:
    """Return the cited texts, which help to tell the language of a short claim; the model is not shown them."""
    return " ".join(item.text for item in claim.evidence if item.is_seen)


def _build(settings: VisionJudgeSettings, resources: JudgeResources) -> VisionJudge:
    return VisionJudge(settings, resources.engine_of(settings))


VISION_JUDGE: Final = JudgeKind("vision", VisionJudgeSettings, build=_build, asks_engine=True, looks=True)
"""The vision-language model's yes or no."""
