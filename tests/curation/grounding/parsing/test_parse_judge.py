"""The judge by parse in a cascade: it rejects contradictions, accepts nothing, and stays silent where it can't tell."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from support.controls import cited
from support.judging import Scoring

from curation.grounding.cascade import Cascade, SeatedJudge
from curation.grounding.claims import CitedClaim, Verdict
from curation.grounding.evidence import Evidence
from curation.grounding.judge import Ruling
from curation.grounding.judge_registry import GroundSettings
from curation.grounding.parsing.parse_judge import PARSE_JUDGE, ParseJudge, ParseJudgeSettings
from runtime.errors import UserError
from runtime.settings import build

JUDGE = ParseJudge(ParseJudgeSettings())
SWAPPED = cited("A man chases a dog in the park.", "A dog chases a man in the park.")
TRUE = cited("A man is chased by a dog.", "A dog chases a man in the park.")
GERMAN = cited("Drei Hunde laufen über die Wiese.", "Zwei Hunde laufen über die grüne Wiese.")


def rulings(*claims: CitedClaim) -> list[Ruling]:
    return asyncio.run(JUDGE.judge(claims, Counter()))


def decided(claim: CitedClaim, score: float | None) -> Verdict:
    """Return the verdict of a cascade of the parse and a judge with a fixed score."""
    seats = [
        SeatedJudge.of(PARSE_JUDGE, ParseJudgeSettings(), JUDGE),
        SeatedJudge("other", Scoring(lambda text: score), 0.5),
    ]
    return asyncio.run(Cascade(seats, ["other"]).verify({"clip": [claim]}, Counter()))["clip"][0]


def test_a_contradiction_scores_0_with_its_kind_and_a_language_without_a_parser_has_no_score() -> None:
    assert rulings(SWAPPED, TRUE, GERMAN) == [Ruling(0.0, "roles"), Ruling(1.0), Ruling(None, "language")]


def test_what_was_only_said_is_not_compared() -> None:
    spoken = CitedClaim("A man chases a dog.", (Evidence("words@0.0-2.0", "W1", "words", "a dog chases a man"),))
    assert rulings(spoken) == [Ruling(None, "not_seen")]


def test_it_rejects_what_others_accept_and_accepts_nothing_itself() -> None:
    rejected = decided(SWAPPED, 0.9)
    assert (rejected.verdict, rejected.judge, rejected.reason) == ("unsupported", "parse", "roles")
    kept = decided(TRUE, 0.9)
    assert (kept.verdict, kept.judge, kept.score) == ("supported", "other", 0.9)
    assert decided(TRUE, 0.1).verdict == "unsupported"


def test_where_it_can_not_tell_the_others_decide() -> None:
    assert decided(GERMAN, 0.9).verdict == "supported"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"judges": ["parse"]}, "parse accepts no claim; add one that does"),
        ({"judges": ["text", "parse"], "require": ["parse"]}, "parse only rejects claims"),
    ],
)
def test_it_can_neither_stand_alone_nor_be_required(values: dict[str, list[str]], said: str) -> None:
    with pytest.raises(UserError, match=said):
        build(GroundSettings, values, "ground")


def test_a_cascade_of_words_and_parse_keeps_only_repetitions() -> None:
    assert GroundSettings(judges=("words", "parse")).required() == ("words",)


def test_a_folder_without_a_parser_is_named() -> None:
    judge = ParseJudge(ParseJudgeSettings(model="path:///nowhere"))
    with pytest.raises(UserError, match="nowhere"):
        asyncio.run(judge.judge([TRUE], Counter()))
