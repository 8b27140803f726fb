"""Claims of a rewrite on their way to a verdict: as the model wrote them, with their evidence, and as judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from curation.grounding.evidence import Evidence, by_reference
from curation.prompts.wording import tidy

VerdictName = Literal["supported", "unsupported", "uncited", "unjudged"]
"""``uncited``: it names no evidence that exists; ``unjudged``: no judge could decide. Neither is kept."""


@dataclass(frozen=True)
class Claim:
    """One statement of a model, with the evidence that it names."""

    text: str
    cited: tuple[str, ...] = ()
    """Labels or ids of evidence, as the model wrote them."""


@dataclass(frozen=True)
class CitedClaim:
    """A claim with the items that it cites: all that a judge decides on."""

    text: str
    evidence: tuple[Evidence, ...]
    """The cited items that exist, each once, in the order of citation; may be empty."""


@dataclass(frozen=True)
class Verdict:
    """A claim as judged."""

    text: str
    verdict: VerdictName
    evidence: tuple[str, ...]
    """Ids of the cited items that exist."""
    reason: str = ""
    """One word: what speaks against the claim, or why it is unjudged; empty for a supported claim."""
    judge: str | None = None
    """Name of the judge that decided: of those that agreed, the one with the lowest score."""
    score: float | None = None
    """Score of that judge, 0 to 1; None if no judge gave one."""

    @property
    def is_kept(self) -> bool:
        """True if the claim may stand in the grounded text."""
        return self.verdict == "supported"


def cite(claims: Iterable[Claim], evidence: Sequence[Evidence]) -> list[CitedClaim]:
    """Look up the evidence that each claim cites.

    Empty claims and repetitions are left out, and citations of items that don't exist are ignored.
    """
    references = by_reference(evidence)
    cited: dict[str, CitedClaim] = {}
    for claim in claims:
        text = tidy(claim.text)
        if text and text.casefold() not in cited:
            items = {item.id: item for name in claim.cited if (item := references.get(name.strip().casefold()))}
            cited[text.casefold()] = CitedClaim(text, tuple(items.values()))
    return list(cited.values())
