"""The grounded text of a clip: composed of its supported claims, or of judged frame captions without one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from curation.grounding.claim_text import TextLimit, claims_as_text
from curation.grounding.claims import CitedClaim, Verdict
from curation.grounding.evidence import Evidence
from shards.schema import RewriteStatus


@dataclass(frozen=True)
class GroundedText:
    """The outcome for one clip, as stored."""

    text: str | None
    status: RewriteStatus
    verdicts: tuple[Verdict, ...] = ()
    score: float | None = None
    """Share of the claims that are supported; only if `status` is ``ok``."""
    repeated: int = 0
    """Supported claims that are not in the text because another one says the same."""
    over_limit: int = 0
    """Supported claims that the limit of tokens left out or cut."""


def compose(
    verdicts: Sequence[Verdict] | None,
    captions: Sequence[Verdict],
    evidence: Sequence[Evidence],
    *,
    abstained: bool,
    limit: TextLimit | None = None,
) -> GroundedText:
    """Return the text and the status that are stored for a clip.

    ============  ============================================================================
    ``ok``        at least one claim is supported: the text is the supported claims
    ``abstained`` the model said that nothing can be seen, or no frame caption can take the
                  claims' place (and, if the model answered, no claim is supported); no text
    ``fallback``  no usable answer, or no claim is supported: the text is the frame captions
                  on which the judges agree
    ``failed``    no usable answer, and no frame caption at all; no text
    ============  ============================================================================

    Args:
        verdicts: on the model's claims; ``None`` if it gave no usable answer.
        captions: verdicts on the frame captions (`caption_claims`); empty where a claim is supported.
        evidence: all evidence of the clip.
        abstained: the model abstained explicitly, or it was not asked for want of evidence.
        limit: on the text; None for none.
    """
    judged = tuple(verdicts or ())
    kept = [verdict for verdict in judged if verdict.is_kept]
    if abstained:
        return GroundedText(None, "abstained", judged)
    if kept:
        return _as_text(kept, evidence, limit, "ok", judged, len(kept) / len(judged))
    standing_in = [verdict for verdict in captions if verdict.is_kept]
    if standing_in:
        return _as_text(standing_in, evidence, limit, "fallback", (*captions, *judged))
    failed = verdicts is None and not any(item.kind == "frame" for item in evidence)
    return GroundedText(None, "failed" if failed else "abstained", (*captions, *judged))


def _as_text(
    kept: Sequence[Verdict],
    evidence: Sequence[Evidence],
    limit: TextLimit | None,
    status: RewriteStatus,
    verdicts: tuple[Verdict, ...],
    score: float | None = None,
) -> GroundedText:
    made = claims_as_text(kept, evidence, limit)
    return GroundedText(made.text or None, status, verdicts, score, made.repeated, made.over_limit)


def caption_claims(evidence: Iterable[Evidence]) -> list[CitedClaim]:
    """Return each distinct frame caption as a claim that cites the frames with this caption."""
    frames: dict[str, list[Evidence]] = {}
    for item in evidence:
        if item.kind == "frame":
            frames.setdefault(item.text.casefold(), []).append(item)
    return [CitedClaim(items[0].text, tuple(items)) for items in frames.values()]
