"""The common part of the judges that ask a language model: settings, and one request for a yes or a no a claim."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence

from curation.engines.engine_interface import Request
from curation.engines.shared_requests import ask
from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence
from curation.grounding.judge import JudgeSettings, Ruling, ruling_in
from runtime.ray_runner.stage import Service
from runtime.settings import Runtime


class EngineJudgeSettings(JudgeSettings):
    """Settings of a judge that asks a language model."""

    engine: Runtime[str | None] = None
    """Language model, by its name under `engines`; null: that of the rewrite. Its log-probabilities are needed."""
    languages: tuple[str, ...] = ("en",)
    """Languages in which the model was measured (ISO 639-1); claims in others stay unjudged. []: all."""

    @property
    def judge_engine(self) -> str | None:
        """Name of the engine that the judge asks."""
        return self.engine


class EngineJudge(ABC):
    """A judge that asks a language model about one claim at a time; a `curation.grounding.judge.Judge`.

    Claims are asked in an order that has nothing to do with that in which they were written.
    """

    def __init__(self, engine: Service | None) -> None:
        self._engine = engine

    @abstractmethod
    def request(self, key: str, claim: CitedClaim, counts: Counter[str]) -> Request | Ruling:
        """Return the request about a claim, answered by one of `YES_NO`; the ruling if the model is not asked."""

    def can_support(self, evidence: Sequence[Evidence]) -> bool:
        """Return True if there is anything that can be seen."""
        return any(item.is_seen for item in evidence)

    async def judge(self, claims: Sequence[CitedClaim], counts: Counter[str]) -> list[Ruling]:
        """Return one ruling for each claim, in order.

        Raises:
            MachineError: the engine is dead.
        """
        prepared = [self.request(str(number), claim, counts) for number, claim in enumerate(claims)]
        requests = [each for each in prepared if isinstance(each, Request)]
        answers = await ask(self._engine, sorted(requests, key=_shuffled), counts)
        return [each if isinstance(each, Ruling) else ruling_in(answers.get(each.key)) for each in prepared]


def _shuffled(request: Request) -> bytes:
    """Return a place for a request that does not depend on where its claim was written; the same in each run."""
    return hashlib.sha256(request.user.encode("utf-8", "surrogatepass")).digest()
