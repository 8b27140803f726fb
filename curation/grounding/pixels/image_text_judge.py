"""The cheap judge of pixels: how near is the claim to the cited frames in an image–text model such as CLIP?

The score is the largest cosine similarity of the claim with a shown frame, below 0 counted as 0. Such models know what
is in a picture better than who does what to whom, and their scores differ from model to model: fit the threshold
before this judge is required (`curation.grounding.measurement.threshold_fit`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from pydantic import Field

from curation.engines.models.image_text_model import ImageTextModel
from curation.engines.request_frames import load_frames
from curation.engines.request_images import UnreadableImage, load
from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence
from curation.grounding.judge import JudgeKind, JudgeResources, JudgeSettings, Ruling
from curation.grounding.pixels.cited_pictures import NO_FRAMES, NOT_SEEN, cited_pictures
from curation.grounding.pixels.clip_pictures import ShownPictures
from curation.prompts.text_language import is_in
from runtime.load_once import LoadOnce
from runtime.settings import Runtime

if TYPE_CHECKING:
    from PIL import Image

_UNREADABLE: Final = Ruling(None, "image", may_be_retried=True)


class ImageTextJudgeSettings(JudgeSettings):
    """The judge that compares a claim with the cited frames in an image–text model."""

    threshold: float = Field(default=0.25, ge=0, le=1)
    """Least similarity of a claim that the judge accepts; every model has its own: fit it."""
    model: str = "hf://timm/ViT-B-16-SigLIP2"
    """Model URI of a folder with an image–text model of open_clip."""
    languages: tuple[str, ...] = ("en",)
    """Languages of claims that the model is asked about (ISO 639-1); others stay unjudged. []: all."""
    max_frames: int = Field(default=6, ge=1)
    """Most frames that a claim is compared with."""
    device: Runtime[str] = "cpu"
    """Device of the model: `cpu`, `cuda`."""

    def models(self) -> Mapping[str, str]:
        """Return the URI of the model."""
        return {"image-text model": self.model}


class ImageTextJudge:
    """The judge with an image–text model; a `curation.grounding.judge.Judge`. The model is loaded when it is needed."""

    def __init__(self, settings: ImageTextJudgeSettings) -> None:
        self._settings = settings
        self._model = LoadOnce(lambda: ImageTextModel(settings.model, settings.device))

    def can_support(self, evidence: Sequence[Evidence]) -> bool:
        """Return True if there is anything that can be seen."""
        return any(item.is_seen for item in evidence)

    async def judge(self, claims: Sequence[CitedClaim], counts: Counter[str]) -> list[Ruling]:
        """Return one ruling for each claim, in order; a claim whose clip has no frames has no score (``no_frames``).

        Raises:
            UserError: the model can't be read.
            MachineError: pictures can't be read because the disk or the network fails.
        """
        rulings: list[Ruling] = [NOT_SEEN] * len(claims)
        asked: dict[ShownPictures, list[int]] = {}
        for number, claim in enumerate(claims):
            shown = cited_pictures(claim, self._settings.max_frames)
            context = " ".join(item.text for item in claim.evidence if item.is_seen)
            if shown is not None and not is_in(claim.text, self._settings.languages, context):
                rulings[number] = Ruling(None, "language")
            elif shown is not None and shown.are_missing:
                rulings[number] = NO_FRAMES
                counts["claims_without_frames"] += 1
            elif shown is not None:
                asked.setdefault(shown, []).append(number)
        for shown, numbers in asked.items():
            found = await self._compare(shown, [claims[number].text for number in numbers])
            for number, ruling in zip(numbers, found, strict=True):
                rulings[number] = ruling
        counts["claims_compared"] += sum(map(len, asked.values()))
        return rulings

    async def _compare(self, shown: ShownPictures, texts: Sequence[str]) -> list[Ruling]:
        model = await self._model.get()
        try:
            pictures = await asyncio.to_thread(_load, shown)
        except UnreadableImage:
            return [_UNREADABLE] * len(texts)
        rows = await asyncio.to_thread(model.similarities, pictures, texts)
        return [Ruling(min(1.0, max(0.0, *row, 0.0))) for row in rows]


def _load(shown: ShownPictures) -> list[Image.Image]:
    return load_frames(shown.frames) if shown.frames else [load(image) for image in shown.images]


def _build(settings: ImageTextJudgeSettings, resources: JudgeResources) -> ImageTextJudge:
    return ImageTextJudge(settings)


IMAGE_TEXT_JUDGE: Final = JudgeKind("image_text", ImageTextJudgeSettings, build=_build, looks=True)
"""The image–text model."""
