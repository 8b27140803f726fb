"""The grounded text of a clip: composed of its supported claims, or of its frame captions without one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curation.grounding.claims import Verdict
from curation.grounding.evidence import Evidence
from curation.prompts.wording import in_sentences
from shards.schema import RewriteStatus


@dataclass(frozen=True)
class GroundedText:
    """The outcome for one clip, as stored."""

    text: str | None
    status: RewriteStatus
    verdicts: tuple[Verdict, ...] = ()
    score: float | None = None
    """Share of the claims that are supported; only if `status` is ``ok``."""


def compose(verdicts: Sequence[Verdict] | None, evidence: Sequence[Evidence], *, abstained: bool) -> GroundedText:
    """Return the text and the status that are stored for a clip.

    ============  ============================================================================
    ``ok``        at least one claim is supported: the text is the supported claims
    ``abstained`` the model said that nothing can be seen, or there is no frame caption to fall
                  back on (and, if the model answered, no supported claim); no text
    ``fallback``  no usable answer, or no claim is supported: the text is the frame captions
    ``failed``    no usable answer, and no frame caption to fall back on; no text
    ============  ============================================================================

    Args:
        verdicts: on the model's claims; ``None`` if it gave no usable answer.
        evidence: all evidence of the clip.
        abstained: the model abstained explicitly, or it was not asked for want of evidence.
    """
    judged = tuple(verdicts or ())
    kept = [verdict for verdict in judged if verdict.verdict == "supported"]
    if abstained:
        return GroundedText(None, "abstained", judged)
    if kept:
        return GroundedText(in_sentences(verdict.text for verdict in kept), "ok", judged, len(kept) / len(judged))
    captions = _captions_as_claims(evidence)
    if captions:
        text = in_sentences(verdict.text for verdict in captions)
        return GroundedText(text, "fallback", (*captions, *judged))
    return GroundedText(None, "failed" if verdicts is None else "abstained", judged)


def _captions_as_claims(evidence: Sequence[Evidence]) -> tuple[Verdict, ...]:
    """Return each distinct frame caption as a supported claim that cites the frames with this caption."""
    frames: dict[str, list[Evidence]] = {}
    for item in evidence:
        if item.kind == "frame":
            frames.setdefault(item.text.casefold(), []).append(item)
    return tuple(Verdict(items[0].text, "supported", tuple(item.id for item in items)) for items in frames.values())
