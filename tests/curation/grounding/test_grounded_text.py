"""The grounded text of a clip: which text and status follow from the verdicts."""

from __future__ import annotations

import pytest
from support.judging import EVIDENCE, match_claim, match_words

from curation.captions.frame_captions import FrameCaption
from curation.grounding.claims import Claim, Verdict
from curation.grounding.evidence import Evidence, gather_evidence
from curation.grounding.grounded_text import compose


def test_only_supported_claims_make_the_text_and_the_score_is_their_share() -> None:
    verdicts = [
        match_claim("A man chops onions", "F1"),
        match_claim("A man cries", "F1"),
        match_claim("Three dogs", "F2"),
    ]
    outcome = compose(verdicts, EVIDENCE, abstained=False)
    assert outcome.status == "ok"
    assert outcome.text == "A man chops onions. Three dogs."
    assert outcome.score == pytest.approx(2 / 3)
    assert [verdict.verdict for verdict in outcome.verdicts] == ["supported", "unsupported", "supported"]


def test_without_a_supported_claim_the_captions_stand_in_each_once() -> None:
    evidence = gather_evidence([FrameCaption(1.0, "a cat"), FrameCaption(2.0, "A cat"), FrameCaption(3.0, "a dog")], ())
    rejected = match_words([Claim("A lion", ("F1",))], evidence)
    outcome = compose(rejected, evidence, abstained=False)
    assert (outcome.status, outcome.text, outcome.score) == ("fallback", "a cat. a dog.", None)
    assert [(verdict.text, verdict.verdict, verdict.evidence) for verdict in outcome.verdicts] == [
        ("a cat", "supported", ("frame@1.0", "frame@2.0")),
        ("a dog", "supported", ("frame@3.0",)),
        ("A lion", "unsupported", ("frame@1.0",)),
    ]


@pytest.mark.parametrize(
    ("verdicts", "evidence", "abstained", "status"),
    [
        (None, EVIDENCE, False, "fallback"),
        (None, (), False, "failed"),
        ([], (), False, "abstained"),
        ([], EVIDENCE, True, "abstained"),
        (None, (), True, "abstained"),
    ],
)
def test_the_status_follows_from_the_answer_and_the_captions(
    verdicts: list[Verdict] | None, evidence: tuple[Evidence, ...], abstained: bool, status: str
) -> None:
    outcome = compose(verdicts, evidence, abstained=abstained)
    assert outcome.status == status
    assert (outcome.text is None) == (status in ("abstained", "failed"))
    assert outcome.score is None
