"""What a parse shows to contradict, and what it must leave to the judges of meaning."""

from __future__ import annotations

import pytest
from support.controls import parser

from curation.grounding.parsing.contradictions import contradiction
from curation.grounding.parsing.statements import Relation, statements_of


def found(evidence: str, claim: str) -> str | None:
    parses = parser().parse([evidence, claim])
    return contradiction(statements_of(parses[claim]), [statements_of(parses[evidence])])


@pytest.mark.parametrize(
    ("evidence", "claim", "kind"),
    [
        ("A dog chases a man.", "A man chases a dog.", "roles"),
        ("A man is chased by a dog.", "A man chases a dog.", "roles"),
        ("A dog that chases a cat.", "The dog is chased by the cat.", "roles"),
        ("A cat sleeps on a box.", "A box sleeps on a cat.", "roles"),
        ("a boy stands and holds a ball", "a ball holds a boy", "roles"),
        ("A white cat and a black dog.", "A black cat and a white dog.", "attribute"),
        ("A wooden bench near a metal fence.", "A metal bench.", "attribute"),
        ("Two dogs run.", "Three dogs run.", "number"),
        ("Two dogs run.", "Two dogs and 3 dogs run.", "number"),
        ("A dog is running.", "Four dogs are running.", "number"),
        ("A couple of dogs run.", "Five puppies run.", "number"),
        ("The picture shows the text “May 2013”.", "The picture shows the text “May 2015”.", "number"),
        ("A red car stops.", "A blue car stops.", "colour"),
        ("The car is white.", "The purple car.", "colour"),
        ("A cup left of the plate.", "A cup right of the plate.", "place"),
        ("A cat on the table.", "A cat under the table.", "place"),
        ("A man cooks in a kitchen.", "A man cooks on a beach.", "place"),
        ("A man holds a red cup.", "A man is holding a hammer.", "object"),
        ("A man holds a cup.", "A man does not hold a cup.", "negation"),
    ],
)
def test_a_contradiction_is_named_by_its_kind(evidence: str, claim: str, kind: str) -> None:
    assert found(evidence, claim) == kind


@pytest.mark.parametrize(
    ("evidence", "claim"),
    [
        ("A dog chases a man.", "A man is chased by a dog."),
        ("A man who holds a cup.", "A cup held by a man."),
        ("A man and a woman talk.", "A woman talks with a man."),
        ("Two dogs run.", "A couple of dogs are running."),
        ("A dog sits beside another dog.", "Two dogs sit."),
        ("A man and a woman sit.", "Two people sit."),
        ("2 cars and 3 trucks.", "Three trucks and two cars."),
        ("Two people with bibs 12 and 15.", "Bibs 15 and 12 of 2 people."),
        ("Call 01234567890123 or 7.", "Call 01234567890123."),
        ("A man eats a hot dog.", "A man eats a hotdog."),
        ("A cup in the middle of the room.", "A cup in the centre of the room."),
        ("A man holds a cup in the kitchen.", "A man holds a hammer and a cup in a large room of a kitchen."),
        ("A silver car.", "A grey car."),
        ("A car.", "A red car."),
        ("Nobody wears a hat.", "The people do not wear hats."),
        ("A cup on the left and a plate on the right.", "A plate on the right."),
        ("", "A man."),
        ("A man.", ""),
    ],
)
def test_other_words_for_the_same_contradict_nothing(evidence: str, claim: str) -> None:
    assert found(evidence, claim) is None


def test_passives_participles_and_relative_clauses_have_their_doers() -> None:
    (parse,) = parser().parse(["A girl holding a cat that was bitten by a dog is followed by men."]).values()
    assert statements_of(parse).relations >= {
        Relation("hold", "girl", "cat"),
        Relation("bite", "dog", "cat"),
        Relation("follow", "man", "girl"),
    }
