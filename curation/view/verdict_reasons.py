"""The reasons of verdicts on claims, in words for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

REASONS: Final[Mapping[str, str]] = {
    "uncited": "cites no evidence that there is",
    "not_seen": "nothing that it cites was seen",
    "not_sure": "no judge was sure",
    "partial": "its evidence says only a part of it",
    "language": "no judge reads its language",
    "too_long": "too long for the judge",
    "garbage": "the judge gave no answer that can be read",
    "failed": "the judge failed",
    "timeout": "the judge took too long",
    "died": "the judge died",
    "roles": "its evidence has who does what the other way round",
    "attribute": "its evidence says this of another thing",
    "number": "its evidence has another number",
    "colour": "its evidence has another colour",
    "place": "its evidence has another place",
    "object": "its evidence has another object",
    "negation": "its evidence says the opposite",
}
"""Words for the reasons that are stored; a judge's own name as a reason means that its score is too low."""


def why(claim: Mapping[str, Any]) -> str:
    """Return the judge that decided on a stored claim, its score and its reason; "" for layers that don't hold them."""
    judge, score, reason = claim.get("judge"), claim.get("score"), claim.get("reason")
    if judge is None:
        return "" if reason is None else reason_words(reason)
    ruling = f"{judge}" if score is None else f"{judge} {score:.2f}"
    if claim.get("verdict") == "supported":
        return f"{ruling}: repeats its evidence word for word" if judge == "words" else ruling
    return f"{ruling}: {'its score is too low' if reason in (judge, None) else reason_words(str(reason))}"


def reason_words(reason: str) -> str:
    """Return a stored reason in words; one that is not known as it is."""
    return REASONS.get(reason, reason.replace("_", " "))


def rejections(claims: Sequence[Mapping[str, Any]]) -> str:
    """Return how many claims were rejected for each reason, such as ``2 not seen, 1 uncited``; "" if none was."""
    rejected = [claim for claim in claims if claim.get("verdict") != "supported"]
    reasons = Counter(str(claim.get("reason") or claim.get("verdict")).replace("_", " ") for claim in rejected)
    return ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
