"""Controls: what is made of a layer's claims, and what is not because the evidence may agree with it."""

from __future__ import annotations

from collections import Counter

import pytest
from support.controls import parser, source

from curation.grounding.claims import CitedClaim
from curation.grounding.evidence import Evidence
from curation.grounding.injections.control_claims import ControlClaim, SourceClaim, make_controls
from curation.grounding.parsing.claim_parser import ClaimParser
from runtime.errors import UserError


def controls(*sources: SourceClaim, seed: int = 0) -> tuple[list[ControlClaim], Counter[str]]:
    counts: Counter[str] = Counter()
    return make_controls(sources, parser(), counts, seed), counts


def texts(made: list[ControlClaim], kind: str) -> list[str]:
    return [each.claim.text for each in made if each.kind == kind]


def test_an_untouched_claim_is_true_and_all_others_are_false() -> None:
    made, _ = controls(source("Two dogs chase a red ball in the park."), source("A ship sails on a lake.", video="b"))
    assert {each.kind for each in made if each.is_true} == {"untouched"}
    kinds = {each.kind for each in made}
    assert {"number", "colour", "object", "role swap", "negation", "place", "shuffled"} <= kinds


def test_every_injected_error_differs_from_the_claim_and_keeps_its_evidence() -> None:
    made, _ = controls(source("Two dogs chase a red ball in the park."), source("A ship sails.", video="b"))
    injected = [each for each in made if each.kind not in ("untouched", "shuffled")]
    assert injected and all(each.claim.text.casefold() != each.original.casefold() for each in injected)
    assert all(each.claim.evidence[0].text == each.original for each in injected)


def test_an_error_that_the_evidence_agrees_with_is_not_made() -> None:
    other = source("A woman pushes a bicycle.", video="b")
    made, counts = controls(source("A man rides a horse.", "a man, a horse and a bicycle", video="a"), other)
    assert [each.claim.text for each in made if each.kind == "object"] == ["A woman pushes a horse."]
    assert counts["unfit:object"] == 1


@pytest.mark.parametrize("number", ["3", "three"])
def test_a_number_of_the_evidence_is_not_brought_in_whatever_its_spelling(number: str) -> None:
    claims = [source("Two dogs run.", f"two dogs and {number} cats run", video=str(video)) for video in range(8)]
    made, _ = controls(*claims)
    assert "Three dogs run." not in texts(made, "number") and texts(made, "number")


def test_a_person_does_not_take_the_place_of_a_person() -> None:
    made, _ = controls(source("A man walks."), source("A person runs.", video="b"))
    assert texts(made, "object") == []


def test_a_negated_claim_is_not_made_against_evidence_that_negates() -> None:
    made, counts = controls(source("A man walks.", "a man walks and does not run"))
    assert texts(made, "negation") == [] and counts["unfit:negation"] == 1


def test_other_languages_get_no_errors_and_are_counted_but_are_shuffled() -> None:
    german = source("Ein Mann schneidet Zwiebeln in einer Küche mit einem Messer.", video="a")
    spanish = source("Dos perros corren detrás de una pelota roja en el parque.", video="b")
    made, counts = controls(german, spanish)
    assert {each.kind for each in made} == {"untouched", "shuffled"}
    assert counts["other_language"] == 2


def test_a_shuffled_claim_has_the_evidence_of_another_video_which_does_not_hold_its_words() -> None:
    made, counts = controls(source("A cat sleeps.", video="a"), source("A cat.", "a cat sleeps on a bed", video="b"))
    shuffled = [each for each in made if each.kind == "shuffled"]
    assert [(each.video, each.claim.evidence[0].text) for each in shuffled] == []
    assert counts["unfit:shuffled"] == 2


def test_a_caption_in_the_place_of_a_claim_is_altered_but_is_no_untouched_claim() -> None:
    made, _ = controls(source("Two dogs run.", is_proposed=False))
    assert texts(made, "untouched") == [] and texts(made, "number")


def test_claims_that_cite_only_words_are_left_out() -> None:
    spoken = CitedClaim("Two dogs run.", (Evidence("words@0.0-1.0", "W1", "words", "two dogs run"),))
    made, counts = controls(SourceClaim("a", "clip", spoken))
    assert made == [] and counts["no_evidence"] == 1


def test_the_same_seed_gives_the_same_controls() -> None:
    claims = [source("Two dogs chase a red ball in the park.", video=str(video)) for video in range(3)]
    assert controls(*claims)[0] == controls(*claims)[0]
    assert texts(controls(*claims, seed=1)[0], "colour") != texts(controls(*claims, seed=2)[0], "colour")


def test_a_folder_that_is_no_parser_is_refused_in_one_line(tmp_path) -> None:
    with pytest.raises(UserError, match="not a model of spaCy") as refused:
        ClaimParser(f"path://{tmp_path}")
    assert "\n" not in str(refused.value)
