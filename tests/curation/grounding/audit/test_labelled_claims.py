"""Labelled claims as claims whose truth is known."""

from __future__ import annotations

from dataclasses import replace

from support.audits import audit_clip, claim, label

from curation.grounding.audit.audit_records import EvidenceItem
from curation.grounding.audit.labelled_claims import labelled_controls
from curation.grounding.pixels.clip_pictures import ClipPictures

SPOKEN = replace(claim("spoken"), evidence=("words@0.0-2.0",))
CLIP = audit_clip(
    1,
    *(claim("true"), claim("false"), claim("split"), claim("unsure"), claim("unlabelled"), SPOKEN),
    evidence=(EvidenceItem("frame@1.0", "a man"), EvidenceItem("words@0.0-2.0", "a man"), EvidenceItem("odd", "x")),
)
LABELS = [
    label(CLIP, 0, "complete"),
    label(CLIP, 1, "supported"),
    label(CLIP, 2, "contradicted"),
    label(CLIP, 3, "supported"),
    label(CLIP, 3, "contradicted", "Bea"),
    label(CLIP, 4, "cant_tell"),
    label(CLIP, 6, "supported"),
]


def test_only_claims_that_people_agree_on_and_that_cite_what_is_seen_are_used() -> None:
    controls = list(labelled_controls([CLIP], LABELS, {}))
    assert [(each.original, each.kind, each.is_true) for each in controls] == [
        ("true", "supported", True),
        ("false", "contradicted", False),
    ]
    assert [(item.id, item.label, item.text) for item in controls[0].claim.evidence] == [("frame@1.0", "F1", "a man")]


def test_their_evidence_knows_the_pictures_of_its_clip() -> None:
    pictures = ClipPictures(0.0)
    (first, _) = labelled_controls([CLIP], LABELS, {CLIP.key: pictures})
    assert first.claim.evidence[0].pictures is pictures
