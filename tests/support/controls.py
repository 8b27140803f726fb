"""Claims with the caption that they cite, and the parser that errors are injected with."""

from __future__ import annotations

from functools import cache

from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence
from curation.grounding.injections.control_claims import ControlClaim, SourceClaim
from curation.grounding.parsing.claim_parser import ClaimParser


@cache
def parser() -> ClaimParser:
    """Return the parser from its package."""
    return ClaimParser()


def cited(text: str, evidence: str | None = None) -> CitedClaim:
    """Return a claim that cites one caption; without one, the caption says the same."""
    return CitedClaim(text, (Evidence("frame@1.0", "F1", "frame", evidence or text),))


def source(text: str, evidence: str | None = None, video: str = "a", *, is_proposed: bool = True) -> SourceClaim:
    """Return a claim of a layer."""
    return SourceClaim(video, f"{video}_clip", cited(text, evidence), is_proposed)


def control(kind: str, text: str) -> ControlClaim:
    """Return a claim whose truth is known."""
    return ControlClaim(kind, "a", "a_clip", text, cited(text))
