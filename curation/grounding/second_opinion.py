"""The judge that asks the language model about each claim that is left, with the evidence that it cites.

It checks what the word matcher can't: who does what to whom. An answer that can't be read is an objection.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from curation.engines.engine_interface import Request
from curation.engines.shared_requests import ask
from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence, in_label_order
from curation.grounding.judge import JudgeKind, JudgeResources, Ruling
from curation.prompts.model_json import answer_object
from runtime.settings import Settings

OPINION_PROMPT: Final = "opinion"
"""Purpose of the prompt among `JudgeResources.prompts`."""
OPINION_FIELDS: Final = ("evidence", "claim")
"""Fields that the prompt can use."""
OPINION_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"supported": {"type": "boolean"}},
    "required": ["supported"],
    "additionalProperties": False,
}
"""JSON schema of the answer."""
_MAX_TOKENS: Final = 24
_OBJECTION: Final = Ruling("opinion")


class SecondOpinionSettings(Settings):
    """Switch of the second opinion."""

    second_opinion: bool = False
    """Ask the LLM about every claim that passed, with its evidence; only claims that both accept are kept."""


class SecondOpinion:
    """The judge that asks a language model; a `curation.grounding.judge.Judge`."""

    def __init__(self, resources: JudgeResources) -> None:
        self._engine = resources.engine
        self._prompt = resources.prompts.get(OPINION_PROMPT)  # None if no claims are asked for

    def can_support(self, evidence: Sequence[Evidence]) -> bool:
        """Return True: the model may be asked about any evidence."""
        return True

    async def judge(self, claims: Sequence[CitedClaim], counts: Counter[str]) -> list[Ruling]:
        """Return one ruling for each claim, in order.

        Raises:
            MachineError: the engine is dead.
        """
        requests = [self._request(f"opinion/{number}", claim) for number, claim in enumerate(claims)]
        answers = await ask(self._engine, requests, counts)
        agreed = {key for key, answer in answers.items() if answer.is_usable and agrees(answer.text)}
        return [Ruling() if request.key in agreed else _OBJECTION for request in requests]

    def _request(self, key: str, claim: CitedClaim) -> Request:
        assert self._prompt is not None, "claims are judged without the prompt of the second opinion"
        lines = [item.line for item in in_label_order(claim.evidence)]
        system, user = self._prompt.render(evidence=lines, claim=claim.text)
        return Request(key, system, user, schema=OPINION_SCHEMA, max_tokens=_MAX_TOKENS)


def agrees(text: str) -> bool:
    """Return True if an answer says that the claim is supported; an answer that can't be read does not."""
    values = answer_object(text, lambda found: isinstance(found.get("supported"), bool))
    return values is not None and values.get("supported") is True


SECOND_OPINION: Final = JudgeKind(
    SecondOpinionSettings,
    is_on=lambda settings: settings.second_opinion,
    build=lambda settings, resources: SecondOpinion(resources),
)
