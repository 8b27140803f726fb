"""Claims with what people say of them, and the same as claims whose truth is known, to measure judges on. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from curation.grounding.audit.audit_records import AuditClaim, AuditClip, Label
from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import stored_evidence
from curation.grounding.injections.control_claims import CONTRADICTED, SUPPORTED, ControlClaim
from curation.grounding.pixels.clip_pictures import ClipPictures

CITATION: Final = "citation"
"""The step that rejects claims that cite nothing."""
VERIFIER: Final = "verifier"
"""The one judge of layers that name none (schema version 1)."""

Target = tuple[str, int, str]
"""Key of the clip, number of the claim (0 for the clip itself), and its text."""


@dataclass(frozen=True)
class LabelledClaim:
    """A claim with what people say of it."""

    clip: AuditClip
    claim: AuditClaim
    weight: float
    """Clips of the layer that its clip speaks for."""
    says: Mapping[str, str]
    """Label by labeller."""

    @property
    def truth(self) -> str:
        """Return the label of the majority: ``supported``, ``contradicted``, or ``cant_tell``."""
        counts = Counter(label for label in self.says.values() if label != "cant_tell")
        supported, contradicted = counts["supported"], counts["contradicted"]
        if supported == contradicted:
            return "cant_tell"
        return "supported" if supported > contradicted else "contradicted"

    @property
    def judge(self) -> str:
        """The step that decided."""
        if self.claim.verdict == "uncited":
            return CITATION
        return self.claim.judge or VERIFIER

    @property
    def is_kept(self) -> bool:
        """True if the claim may be in the grounded text."""
        return self.claim.verdict == "supported"


def labels_by_target(labels: Iterable[Label]) -> dict[Target, dict[str, str]]:
    """Return the label of each labeller by what is labelled."""
    says: dict[Target, dict[str, str]] = defaultdict(dict)
    for label in labels:
        says[label.target][label.labeller] = label.label
    return dict(says)


def labelled_claims(
    clips: Iterable[AuditClip], says: Mapping[Target, Mapping[str, str]], weights: Mapping[str, float]
) -> list[LabelledClaim]:
    """Return the claims of clips that somebody labelled.

    Args:
        clips: of the sample.
        says: as `labels_by_target` returned it.
        weights: of the clips by key.
    """
    return [
        LabelledClaim(clip, claim, weights[clip.key], says[clip.key, number, claim.text])
        for clip in clips
        for number, claim in enumerate(clip.claims, 1)
        if (clip.key, number, claim.text) in says
    ]


def labelled_controls(
    clips: Sequence[AuditClip], labels: Iterable[Label], pictures: Mapping[str, ClipPictures]
) -> Iterator[ControlClaim]:
    """Yield the labelled claims that people call true or false, with the evidence that they cite.

    Those that cite nothing that can be seen are left out: no judge decides on them.

    Args:
        clips: of the sample.
        labels: of all people.
        pictures: of the clips by key, for judges that look.
    """
    unweighted = {clip.key: 1.0 for clip in clips}
    for each in labelled_claims(clips, labels_by_target(labels), unweighted):
        texts = ((item.id, item.text) for item in each.clip.evidence)
        by_id = {item.id: item for item in stored_evidence(texts, pictures.get(each.clip.key))}
        cited = tuple(by_id[id_] for id_ in each.claim.evidence if id_ in by_id)
        if each.truth != "cant_tell" and any(item.is_seen for item in cited):
            kind = SUPPORTED if each.truth == "supported" else CONTRADICTED
            text = each.claim.text
            yield ControlClaim(kind, each.clip.video_id, each.clip.key, text, CitedClaim(text, cited))
