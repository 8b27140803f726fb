"""The judge with a cross-encoder: does the cited evidence say what the claim says?

It reads evidence and claim together in a model of its own, hundreds of claims a second on a processor. The embedded
default was trained for this (`curation.grounding.claim_encoder`); any NLI model can take its place. As the judge of
texts, it is shown only what the pictures show, and stays silent about languages in which it was not measured.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import Field

from curation.grounding.claim_encoder import MINILM, TRAINED, ClaimEncoder
from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence, seen_texts
from curation.grounding.judge import JudgeKind, JudgeResources, JudgeSettings, Ruling
from curation.prompts.text_language import is_in
from runtime.load_once import LoadOnce
from runtime.settings import Runtime

_NOT_SEEN: Final = Ruling(0.0, "not_seen")
_OTHER_LANGUAGE: Final = Ruling(None, "language")
_TOO_LONG: Final = Ruling(None, "too_long")
_PARTIAL: Final = Ruling(None, "partial", is_left_to_others=True)


class EncoderJudgeSettings(JudgeSettings):
    """The judge that reads evidence and claim with a cross-encoder."""

    threshold: float = Field(default=0.7, ge=0, le=1)
    """Least score of a claim that the judge accepts, 0 to 1."""
    model: str = MINILM
    """Model URI of a sequence classifier of transformers with a label `entailment` or a single output; of an encoder,
    if `adapter` brings the rest."""
    adapter: str | None = TRAINED
    """Weights that `bench.train_encoder` made for `model`: `trained` for those of this package, or a safetensors file;
    null: `model` is a whole classifier."""
    least_share: float = Field(default=0.6, ge=0, le=1)
    """Claims with less than this share of their evidence's words are left to the other judges: `trained` was measured
    on claims about whole captions, and rejects most of those about a part. 0 for an NLI model."""
    languages: tuple[str, ...] = ("en",)
    """Languages of claims and evidence in which the model was measured (ISO 639-1); others stay unjudged. []: all."""
    batch: Runtime[int] = Field(default=32, ge=1)
    """Claims in one forward pass."""
    device: Runtime[str] = "cpu"
    """Device of the model: `cpu`, `cuda`."""

    def models(self) -> Mapping[str, str]:
        """Return the URI of the model."""
        return {"claim encoder": self.model}


class EncoderJudge:
    """The judge with a cross-encoder; a `curation.grounding.judge.Judge`. The model is loaded when it is needed."""

    def __init__(self, settings: EncoderJudgeSettings) -> None:
        self._settings = settings
        self._encoder = LoadOnce(lambda: ClaimEncoder(settings.model, settings.adapter, settings.device))

    def can_support(self, evidence: Sequence[Evidence]) -> bool:
        """Return True if there is anything that can be seen."""
        return any(item.is_seen for item in evidence)

    async def judge(self, claims: Sequence[CitedClaim], counts: Counter[str]) -> list[Ruling]:
        """Return one ruling for each claim, in order.

        Raises:
            UserError: the model can't be read.
        """
        shown = [_sentences(claim) for claim in claims]
        refusals = [self._refusal(claim.text, text) for claim, text in zip(claims, shown, strict=True)]
        asked = [n for n, refusal in enumerate(refusals) if refusal is None]
        pairs = [(shown[n], claims[n].text) for n in asked]
        scores = iter(await self._scores(pairs) if pairs else [])
        counts["claims_encoded"] += len(pairs)
        return [refusal or _ruling(next(scores)) for refusal in refusals]

    async def _scores(self, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        return await asyncio.to_thread((await self._encoder.get()).scores, pairs, self._settings.batch)

    def _refusal(self, claim: str, evidence: str) -> Ruling | None:
        """Return the ruling on a claim that the model is not asked about."""
        if not evidence:
            return _NOT_SEEN
        languages = self._settings.languages
        if not (is_in(evidence, languages, claim) and is_in(claim, languages, evidence)):
            return _OTHER_LANGUAGE
        return _PARTIAL if len(claim.split()) < self._settings.least_share * len(evidence.split()) else None


def _sentences(claim: CitedClaim) -> str:
    """Return what the pictures show of the cited evidence, as sentences on one line."""
    texts = dict.fromkeys(text.rstrip(" .") for text in seen_texts(claim.text, claim.evidence))
    return ". ".join(text for text in texts if text)


def _ruling(score: float | None) -> Ruling:
    return _TOO_LONG if score is None else Ruling(score)


def _build(settings: EncoderJudgeSettings, resources: JudgeResources) -> EncoderJudge:
    return EncoderJudge(settings)


ENCODER_JUDGE: Final = JudgeKind("encoder", EncoderJudgeSettings, build=_build)
"""The cross-encoder."""
