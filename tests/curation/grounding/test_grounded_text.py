"""The grounded text of a clip: which text and status follow from the verdicts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from support.judging import EVIDENCE, Scoring, seat, verdicts

from curation.captions.frame_captions import FrameCaption
from curation.grounding.claims import Claim, Verdict
from curation.grounding.evidence import gather_evidence
from curation.grounding.grounded_text import caption_claims, compose

KEPT = Verdict("a cat", "supported", ("frame@1.0",), "", "words", 1.0)
LOST = Verdict("a lion", "unsupported", ("frame@1.0",), "text", "text", 0.1)
OPEN = Verdict("a dog", "unjudged", ("frame@1.0",), "timeout", "text")


def test_only_supported_claims_make_the_text_and_the_score_is_their_share() -> None:
    claims = [Claim("A man chops onions", ("F1",)), Claim("A man cries", ("F1",)), Claim("Three dogs", ("F2",))]
    judged = verdicts([seat("one", Scoring(lambda text: 0.0 if "cries" in text else 1.0))], claims)
    outcome = compose(judged, [], EVIDENCE, abstained=False)
    assert outcome.status == "ok"
    assert outcome.text == "A man chops onions. Three dogs."
    assert outcome.score == pytest.approx(2 / 3)
    assert [verdict.verdict for verdict in outcome.verdicts] == ["supported", "unsupported", "supported"]


def test_captions_are_claims_that_cite_all_frames_with_this_caption() -> None:
    evidence = gather_evidence([FrameCaption(1.0, "a cat"), FrameCaption(2.0, "A cat"), FrameCaption(3.0, "a dog")], ())
    claims = [(claim.text, [item.id for item in claim.evidence]) for claim in caption_claims(evidence)]
    assert claims == [("a cat", ["frame@1.0", "frame@2.0"]), ("a dog", ["frame@3.0"])]
    assert [claim.text for claim in caption_claims(EVIDENCE)] == [
        item.text for item in EVIDENCE if item.kind == "frame"
    ]


def test_without_a_supported_claim_the_captions_on_which_the_judges_agree_stand_in() -> None:
    outcome = compose([LOST], [KEPT, OPEN], EVIDENCE, abstained=False)
    assert (outcome.status, outcome.text, outcome.score) == ("fallback", "a cat.", None)
    assert outcome.verdicts == (KEPT, OPEN, LOST)


@pytest.mark.parametrize(
    ("verdicts", "captions", "abstained", "has_captions", "status"),
    [
        (None, [KEPT], False, True, "fallback"),
        (None, [LOST], False, True, "abstained"),
        (None, [OPEN], False, True, "abstained"),
        (None, [], False, False, "failed"),
        ([], [], False, False, "abstained"),
        ([KEPT], [], True, True, "abstained"),
        (None, [], True, False, "abstained"),
    ],
)
def test_the_status_follows_from_the_answer_and_the_captions(
    verdicts: list[Verdict] | None, captions: Sequence[Verdict], abstained: bool, has_captions: bool, status: str
) -> None:
    outcome = compose(verdicts, captions, EVIDENCE if has_captions else (), abstained=abstained)
    assert outcome.status == status
    assert (outcome.text is None) == (status in ("abstained", "failed"))
    assert outcome.score is None
