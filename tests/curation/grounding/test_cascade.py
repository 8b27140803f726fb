"""The cascade: who is asked about what, who must agree, and what becomes of claims that nobody could judge."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.judging import CLAIMS, EVIDENCE, PHRASES, WORDS, Scoring, is_made_of, seat, verdicts

from curation.captions.frame_captions import FrameCaption
from curation.grounding import cascade as cascade_module
from curation.grounding.cascade import RETRIED_COUNT, Cascade, SeatedJudge
from curation.grounding.claims import CitedClaim, Claim, cite
from curation.grounding.evidence import gather_evidence
from curation.grounding.grounded_text import caption_claims, compose
from curation.grounding.judge import Ruling
from runtime.errors import MachineError
from runtime.retry_limits import Bound


def without(word: str) -> Scoring:
    """A judge that rejects the claims that hold a word."""
    return Scoring(lambda text: 0.1 if word in text else 0.9)


def only(word: str) -> Scoring:
    """A judge that is sure of the claims that hold a word, and can't tell of any other."""
    return Scoring(lambda text: 1.0 if word in text else None)


CLAIM = Claim("a red dog", ("F1",))


def test_each_judge_sees_the_claims_of_all_clips_that_passed_before_it() -> None:
    cited = {
        "a": cite([Claim("red dog", ("F1",)), Claim("blue dog", ("F1",))], EVIDENCE),
        "b": cite([Claim("green dog"), Claim("blue cat", ("F2",))], EVIDENCE),
    }
    judges = {"one": without("red"), "two": without("cat"), "three": without("never")}
    seats = [seat(name, judge) for name, judge in judges.items()]
    found = asyncio.run(Cascade(seats, list(judges)).verify(cited, Counter()))
    assert [judge.batches for judge in judges.values()] == [
        [["red dog", "blue dog", "blue cat"]],
        [["blue dog", "blue cat"]],
        [["blue dog"]],
    ]
    assert {clip: [(v.verdict, v.reason, v.judge) for v in of_clip] for clip, of_clip in found.items()} == {
        "a": [("unsupported", "one", "one"), ("supported", "", "one")],
        "b": [("uncited", "uncited", None), ("unsupported", "two", "two")],
    }


def test_a_judge_is_not_asked_about_nothing() -> None:
    judge = without("red")
    verdicts([seat("one", judge)], [Claim("a dog")])
    assert judge.batches == []


def test_a_claim_is_kept_from_the_threshold_on() -> None:
    for score, verdict in ((0.7, "supported"), (0.69, "unsupported")):
        (found,) = verdicts([seat("one", Scoring(lambda text, s=score: s), 0.7)], [CLAIM])
        assert (found.verdict, found.score, found.judge) == (verdict, score, "one")


def test_of_judges_that_agree_the_least_sure_one_is_stored() -> None:
    seats = [seat("sure", Scoring(lambda text: 0.99)), seat("less", Scoring(lambda text: 0.6))]
    (found,) = verdicts(seats, [CLAIM])
    assert (found.verdict, found.judge, found.score, found.reason) == ("supported", "less", 0.6, "")


def test_a_judge_that_stands_for_another_settles_what_it_is_sure_of() -> None:
    costly = without("cat")
    seats = [seat("cheap", only("red"), stands_for="costly"), seat("costly", costly)]
    claims = [CLAIM, Claim("a blue dog", ("F1",)), Claim("a cat", ("F1",))]
    found = verdicts(seats, claims, require=["costly"])
    assert [(v.verdict, v.judge) for v in found] == [
        ("supported", "cheap"),
        ("supported", "costly"),
        ("unsupported", "costly"),
    ]
    assert costly.batches == [["a blue dog", "a cat"]]


def test_a_judge_that_stands_for_another_never_rejects() -> None:
    seats = [seat("cheap", Scoring(lambda text: 0.0), stands_for="costly"), seat("costly", without("cat"))]
    (found,) = verdicts(seats, [CLAIM], require=["costly"])
    assert found.verdict == "supported"


def test_a_judge_that_is_not_required_advises() -> None:
    counts: Counter[str] = Counter()
    seats = [seat("must", without("cat")), seat("may", without("red"))]
    (found,) = verdicts(seats, [CLAIM], require=["must"], counts=counts)
    assert (found.verdict, found.judge) == ("supported", "must")
    assert counts["advice:may_objects"] == 1


def test_what_a_required_judge_can_not_tell_is_unjudged_and_no_later_one_is_asked() -> None:
    later = without("cat")
    counts: Counter[str] = Counter()
    seats = [seat("one", Scoring(lambda text: Ruling(None, "language"))), seat("two", later)]
    (found,) = verdicts(seats, [CLAIM], counts=counts)
    assert (found.verdict, found.reason, found.judge, found.score) == ("unjudged", "language", "one", None)
    assert later.batches == []
    assert counts[RETRIED_COUNT] == 0


def test_a_judge_may_leave_a_claim_to_the_other_required_ones() -> None:
    narrow = Scoring(lambda text: Ruling(None, "partial", is_left_to_others=True))
    for score, verdict in ((0.9, "supported"), (0.1, "unsupported")):
        (found,) = verdicts([seat("narrow", narrow), seat("wide", Scoring(lambda text, s=score: s))], [CLAIM])
        assert (found.verdict, found.judge, found.score) == (verdict, "wide", score)


def test_a_judge_to_which_a_claim_was_left_may_have_to_be_surer() -> None:
    narrow = Scoring(lambda text: Ruling(None, "partial", is_left_to_others=True) if "red" in text else 0.9)
    seats = [seat("narrow", narrow), SeatedJudge("wide", Scoring(lambda text: 0.5), 0.3, alone_threshold=0.6)]
    found = verdicts(seats, [CLAIM, Claim("a blue dog", ("F1",))])
    assert [verdict.verdict for verdict in found] == ["unsupported", "supported"]


def test_a_claim_that_every_judge_leaves_to_the_others_is_unjudged() -> None:
    narrow = Scoring(lambda text: Ruling(None, "partial", is_left_to_others=True))
    counts: Counter[str] = Counter()
    (found,) = verdicts([seat("narrow", narrow), seat("too", narrow)], [CLAIM], counts=counts)
    assert (found.verdict, found.reason, found.judge) == ("unjudged", "partial", "narrow")
    assert counts[RETRIED_COUNT] == 0


def test_a_claim_that_only_a_missing_judge_could_settle_is_unjudged() -> None:
    (found,) = verdicts([seat("words", only("cat"))], [CLAIM])
    assert (found.verdict, found.is_kept) == ("unjudged", False)


class Failing:
    """A judge that fails in a given way."""

    def __init__(self, error: Exception | None = None, rulings: Sequence[Ruling] = ()) -> None:
        self._error = error
        self._rulings = rulings

    def can_support(self, evidence: object) -> bool:
        return True

    async def judge(self, claims: Sequence[CitedClaim], counts: Counter[str]) -> list[Ruling]:
        if self._error is not None:
            raise self._error
        if not self._rulings:
            await asyncio.sleep(60)
        return list(self._rulings)


@pytest.mark.parametrize(
    ("judge", "reason"),
    [
        (Failing(MachineError("the engine died 4 times")), "died"),
        (Failing(RuntimeError("a bug")), "died"),
        (Failing(rulings=[Ruling(1.0)] * 3), "failed"),
        (Failing(), "timeout"),
    ],
)
def test_the_claims_of_a_judge_that_dies_or_times_out_are_not_kept_and_the_clip_is_counted(
    judge: Failing, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cascade_module, "JUDGE_SECONDS", Bound("short", 0.05, "s", "", ""))
    counts: Counter[str] = Counter()
    claims = [CLAIM, Claim("a cat", ("F1",)), Claim("a bird")]
    found = verdicts([seat("one", judge)], claims, counts=counts)
    assert [(v.verdict, v.reason) for v in found] == [
        ("unjudged", reason),
        ("unjudged", reason),
        ("uncited", "uncited"),
    ]
    assert counts[RETRIED_COUNT] == 1


def test_a_judge_that_dies_on_several_shards_in_a_row_ends_the_run() -> None:
    judge = Failing(MachineError("the engine died"))
    cascade = Cascade([seat("one", judge)], ["one"])
    cited = {"clip": cite([CLAIM], EVIDENCE)}
    for _ in range(2):
        asyncio.run(cascade.verify(cited, Counter()))
    with pytest.raises(MachineError, match="judge one: it died on 3 shards in a row"):
        asyncio.run(cascade.verify(cited, Counter()))


def test_a_full_disk_is_no_fault_of_the_judge() -> None:
    with pytest.raises(OSError, match="No space"):
        verdicts([seat("one", Failing(OSError(28, "No space left on device")))], [CLAIM])


@pytest.mark.parametrize("cited", [[], ["F9"], ["frame@3.0", "W77"], ["the kitchen"]])
def test_a_claim_that_cites_nothing_that_exists_is_uncited(cited: list[str]) -> None:
    (found,) = verdicts([seat("one", without("cat"))], [Claim("A man chops onions", tuple(cited))])
    assert (found.verdict, found.evidence, found.judge) == ("uncited", (), None)


def test_citations_that_do_not_exist_are_not_stored() -> None:
    claim = Claim("A man chops onions", ("F9", "F1", "f1", "frame@2.0"))
    (found,) = verdicts([seat("one", without("cat"))], [claim])
    assert found.evidence == ("frame@2.0",)


def test_repeated_claims_are_judged_once() -> None:
    claims = [Claim("A man chops onions", ("F1",)), Claim("a man chops onions ", ("F1",)), Claim("  ", ("F1",))]
    assert len(verdicts([seat("one", without("cat"))], claims)) == 1


@settings(deadline=None)
@given(CLAIMS, st.lists(PHRASES, max_size=4), st.sampled_from([None, 0.0, 0.4, 1.0]), st.sampled_from([None, 0.0, 0.6]))
def test_kept_text_is_made_of_supported_claims_whose_evidence_exists(
    claims: list[Claim], captions: list[str], one: float | None, two: float | None
) -> None:
    evidence = gather_evidence([FrameCaption(float(i), text) for i, text in enumerate(captions)], WORDS)
    seats = [seat("one", Scoring(lambda text: one)), seat("two", Scoring(lambda text: two if "a" in text else 1.0))]
    of_claims = verdicts(seats, claims, evidence)
    cited = {"clip": caption_claims(evidence)}
    of_captions = asyncio.run(Cascade(seats, ["one", "two"]).verify(cited, Counter()))["clip"]
    outcome = compose(of_claims, of_captions, evidence, abstained=False)
    kept = [verdict for verdict in outcome.verdicts if verdict.verdict == "supported"]
    assert is_made_of(outcome.text or "", [verdict.text for verdict in kept])
    assert (outcome.text is not None) == bool(kept)
    assert all(verdict.evidence and (verdict.score or 0) >= 0.5 for verdict in kept)
    assert {id_ for verdict in outcome.verdicts for id_ in verdict.evidence} <= {item.id for item in evidence}
