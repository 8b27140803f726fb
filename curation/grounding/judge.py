"""The interface of a judge: it decides whether the evidence that a claim cites supports it.

A judge is one file of this folder and one line of `curation.grounding.judge_registry`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence
from curation.prompts.prompt_templates import Prompt
from runtime.ray_runner.stage import Service
from runtime.settings import Settings


@dataclass(frozen=True)
class Ruling:
    """The decision of one judge on one claim."""

    objection: str = ""
    """Why the claim is not supported, as one word that is stored and counted; empty if it is supported."""

    @property
    def is_supported(self) -> bool:
        """True if the judge has no objection."""
        return not self.objection


class Judge(Protocol):
    """Decides on claims; no claim and no answer of a model makes it raise."""

    def can_support(self, evidence: Sequence[Evidence]) -> bool:
        """Return True if a claim that cites some of this evidence could be supported; no model is asked if not."""

    async def judge(self, claims: Sequence[CitedClaim], counts: Counter[str]) -> list[Ruling]:
        """Return one ruling for each claim, in order.

        Args:
            claims: all claims of a shard that no earlier judge objected to; each cites at least one item.
            counts: figures of the shard to add to, such as requests and tokens.

        Raises:
            MachineError: the engine of the judge is dead.
        """


@dataclass(frozen=True)
class JudgeResources:
    """The engine and the prompts that a judge may use."""

    engine: Service | None = None
    """Language model of the rewrite; None if the pipeline has none."""
    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    """Prompts of the rewrite by purpose."""


@dataclass(frozen=True)
class JudgeKind:
    """One kind of judge, as registered."""

    settings: type[Settings]
    """Its settings; their names are also the names under `rewrite.ground`, so no other judge may have them."""
    is_on: Callable[[Any], bool]
    """Return True if the settings ask for this judge."""
    build: Callable[[Any, JudgeResources], Judge]
    """Build the judge; called with an instance of `settings`."""
