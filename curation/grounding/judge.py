"""The interface of a judge: it scores a claim by the evidence that the claim cites.

A judge is one file of this folder, which ends with a `JudgeKind`, and one line of `curation.grounding.judge_registry`.
The cascade (`curation.grounding.cascade`) asks the judges that a pipeline names and decides by their scores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from pydantic import Field

from curation.engines.engine_interface import Answer
from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence
from curation.prompts.prompt_templates import Prompt
from runtime.ray_runner.stage import Service
from runtime.settings import Settings

YES_NO: Final = ("yes", "no")
"""Options of a request that a judge sends to a model (`Request.options`); the score is the probability of the first."""


class JudgeSettings(Settings):
    """Settings that every judge has."""

    threshold: float = Field(default=0.5, ge=0, le=1)
    """Least score of a claim that the judge accepts, 0 to 1."""
    alone_threshold: float | None = Field(default=None, ge=0, le=1)
    """Least score where another required judge leaves the claim to this one; null: `threshold`."""

    @property
    def judge_engine(self) -> str | None:
        """Name of the engine that the judge asks; None: the engine of the rewrite, if it asks one at all."""
        return None

    @property
    def pictures_per_request(self) -> tuple[int, int]:
        """Most images and most videos that the judge puts into one request to its engine."""
        return 0, 0

    def prompts(self) -> Mapping[str, Prompt]:
        """Return the prompts that the judge uses, by purpose.

        Raises:
            UserError: a prompt can't be read, or uses a field that can't be filled in.
        """
        return {}

    def models(self) -> Mapping[str, str]:
        """Return URIs of the models that the judge loads in its worker, by purpose."""
        return {}


@dataclass(frozen=True)
class Ruling:
    """The finding of one judge on one claim."""

    score: float | None
    """From 0, surely not supported, to 1, surely supported; None: the judge can't tell."""
    reason: str = ""
    """One word that is stored and counted: why there is no score, or what speaks against the claim."""
    may_be_retried: bool = False
    """True without a score if a fault is the reason: another run may get one."""
    is_left_to_others: bool = False
    """True without a score if the judge was not made for claims of this kind: the other required judges decide."""


def ruling_in(answer: Answer | None) -> Ruling:
    """Return the ruling in a model's answer to a request between `YES_NO`; a fault may be gone another time."""
    if answer is None:
        return Ruling(None, "no_engine", may_be_retried=True)
    if answer.probabilities:
        return Ruling(answer.probabilities[0])
    reason = (answer.error or "garbage").partition(":")[0].replace(" ", "_")
    return Ruling(None, reason, may_be_retried=reason != "too_long")


class Judge(Protocol):
    """Scores claims. What it can't score has no score: no claim and no answer of a model makes it raise."""

    def can_support(self, evidence: Sequence[Evidence]) -> bool:
        """Return True if a claim that cites some of this evidence could be accepted; no model is asked if not."""

    async def judge(self, claims: Sequence[CitedClaim], counts: Counter[str]) -> list[Ruling]:
        """Return one ruling for each claim, in order.

        Args:
            claims: claims of all clips of a shard whose fate is open; each cites at least one item.
            counts: figures of the shard to add to, such as requests and tokens.

        Raises:
            MachineError: the engine of the judge is dead.
        """


@dataclass(frozen=True)
class JudgeResources:
    """The language models that judges may ask."""

    engines: Mapping[str, Service] = field(default_factory=dict)
    """Pools of engines by name."""
    rewriter: str | None = None
    """Name of the engine of the rewrite."""

    def engine_of(self, settings: JudgeSettings) -> Service | None:
        """Return the engine that a judge with these settings asks; None if the pipeline has none."""
        name = settings.judge_engine or self.rewriter
        return None if name is None else self.engines.get(name)


@dataclass(frozen=True)
class JudgeKind:
    """One kind of judge, as registered."""

    name: str
    """Name in `rewrite.ground.judges`, of its settings beside it, and in the stored claims."""
    settings: type[JudgeSettings]
    build: Callable[[Any, JudgeResources], Judge]
    """Build the judge in a worker; called with an instance of `settings`."""
    stands_for: tuple[str, ...] = ()
    """Names of the judges that need not be asked about a claim that this one accepts. A judge that stands for others
    never rejects a claim."""
    vetoes: bool = False
    """True if it only rejects: a claim that it does not reject needs the agreement of others, and where it can't tell,
    the others decide."""
    asks_engine: bool = False
    """True if it asks a language model (`JudgeSettings.judge_engine`)."""
    looks: bool = False
    """True if it looks at pictures (`Evidence.pictures`)."""
