"""The judge of texts: do the cited items say what the claim says? It asks a language model for a yes or a no.

The score is the probability of *yes*, read from the log-probabilities of one token; the worked examples before the
question are shared by all claims, so an engine with a prefix cache reads them once. Only what the pictures show is
shown to the model. What was spoken never supports a claim: nobody who writes a subtitle can bring a word into a
grounded text. Measured by `bench.claims`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import Field

from curation.engines.engine_interface import Request
from curation.grounding.claims import CitedClaim
from curation.grounding.engine_judge import EngineJudge, EngineJudgeSettings
from curation.grounding.evidence import seen_texts
from curation.grounding.judge import YES_NO, JudgeKind, JudgeResources, Ruling
from curation.prompts import prompt_templates
from curation.prompts.prompt_templates import Prompt
from curation.prompts.text_language import is_in
from runtime.ray_runner.stage import Service

FIELDS: Final = ("evidence", "claim")
"""Fields that the prompt can use."""
_NOT_SEEN: Final = Ruling(0.0, "not_seen")
_OTHER_LANGUAGE: Final = Ruling(None, "language")


class TextJudgeSettings(EngineJudgeSettings):
    """The judge that asks a language model whether the cited evidence says what a claim says."""

    prompt: str = "entails"
    """Prompt with worked examples, to be answered by yes or no."""
    max_chars: int = Field(default=4000, ge=100)
    """Claims whose evidence is longer stay unjudged."""

    def prompts(self) -> Mapping[str, Prompt]:
        """Return the prompt."""
        return {"text": prompt_templates.load(self.prompt, FIELDS)}


class TextJudge(EngineJudge):
    """The judge that asks a language model about texts."""

    def __init__(self, settings: TextJudgeSettings, engine: Service | None) -> None:
        super().__init__(engine)
        self._settings = settings
        self._prompt = settings.prompts()["text"]
        self._examples = self._prompt.exchanges()

    def request(self, key: str, claim: CitedClaim, counts: Counter[str]) -> Request | Ruling:
        """Return the request about a claim: what the pictures show of its evidence, and the claim."""
        lines = seen_texts(claim.text, claim.evidence)
        refusal = self._refusal(claim.text, lines)
        if refusal is not None:
            return refusal
        system, user = self._prompt.render(evidence=lines, claim=claim.text)
        return Request(key, system, user, max_tokens=1, examples=self._examples, options=YES_NO)

    def _refusal(self, claim: str, lines: Sequence[str]) -> Ruling | None:
        """Return the ruling on a claim that the model is not asked about."""
        if not lines:
            return _NOT_SEEN
        if sum(map(len, lines)) > self._settings.max_chars:
            return Ruling(None, "too_long")
        languages, evidence = self._settings.languages, " ".join(lines)
        known = is_in(evidence, languages, claim) and is_in(claim, languages, evidence)
        return None if known else _OTHER_LANGUAGE


def _build(settings: TextJudgeSettings, resources: JudgeResources) -> TextJudge:
    return TextJudge(settings, resources.engine_of(settings))


TEXT_JUDGE: Final = JudgeKind("text", TextJudgeSettings, build=_build, asks_engine=True)
"""The language model's yes or no."""
