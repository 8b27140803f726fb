"""Each kind of error: what it makes of a claim, and claims that it leaves alone."""

from __future__ import annotations

import random

import pytest
from support.controls import parser

from curation.grounding.injections.colour_injection import COLOUR
from curation.grounding.injections.donors import Donors, Noun, Place, donors_of, words_in
from curation.grounding.injections.injection import InjectionKind
from curation.grounding.injections.injection_registry import INJECTION_KINDS
from curation.grounding.injections.negation_injection import NEGATION
from curation.grounding.injections.number_injection import NUMBER
from curation.grounding.injections.object_injection import OBJECT
from curation.grounding.injections.order_injection import EVENT_ORDER
from curation.grounding.injections.place_injection import PLACE
from curation.grounding.injections.role_injection import ROLE_SWAP

DONORS = Donors((Noun("albatross", "albatross", False), Noun("trucks", "truck", True)), (Place("on a beach", "beach"),))


def altered(kind: InjectionKind, text: str, donors: Donors = DONORS) -> list[str]:
    parse = parser().parse([text])[text]
    return [each.text for each in kind.alter(parse, donors, random.Random(0))]


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        (NUMBER, "Two dogs run.", "Three dogs run."),
        (NUMBER, "A sign shows 12 cars.", "A sign shows 13 cars."),
        (NUMBER, "Both dogs run.", "All three dogs run."),
        (COLOUR, "A red car stops.", "A blue car stops."),
        (COLOUR, "The car is white.", "The car is purple."),
        (COLOUR, "A man holds a green cup.", "A man holds an orange cup."),
        (OBJECT, "A cat sleeps.", "An albatross sleeps."),
        (OBJECT, "The dogs run on grass.", "The trucks run on grass."),
        (OBJECT, "goldfish", "albatross"),
        (ROLE_SWAP, "A dog chases the man.", "The man chases a dog."),
        (ROLE_SWAP, "A cat sits on a box.", "A box sits on a cat."),
        (ROLE_SWAP, "a man riding a horse", "a horse riding a man"),
        (
            EVENT_ORDER,
            "A man opens the door and then sits down on a chair.",
            "A man sits down on a chair and then opens the door.",
        ),
        (EVENT_ORDER, "First a man cuts bread, then he eats it.", "First he eats it, then a man cuts bread."),
        (EVENT_ORDER, "The car stops after the light turns red.", "The car stops before the light turns red."),
        (EVENT_ORDER, "Two men talk before drinking tea.", "Two men talk after drinking tea."),
        (NEGATION, "The woman is holding a cup.", "The woman is not holding a cup."),
        (NEGATION, "The woman holds a cup.", "The woman does not hold a cup."),
        (NEGATION, "A dog chased a cat.", "A dog did not chase a cat."),
        (NEGATION, "The wall is red.", "The wall is not red."),
        (NEGATION, "a man riding a horse", "a man not riding a horse"),
        (NEGATION, "A red car.", "No red car."),
        (NEGATION, "goldfish", "no goldfish"),
        (PLACE, "A man cooks in a kitchen.", "A man cooks on a beach."),
        (PLACE, "A cup is on the table.", "A cup is under the table."),
        (PLACE, "A dog stands in front of a house.", "A dog stands behind a house."),
        (PLACE, "A man waves on the left.", "A man waves on the right."),
    ],
)
def test_an_error_is_injected(kind: InjectionKind, text: str, expected: str) -> None:
    assert expected in altered(kind, text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (NUMBER, "One of the dogs runs."),
        (NUMBER, "The market sells both apples and bananas."),
        (COLOUR, "A man peels an orange."),
        (OBJECT, "The picture shows something."),
        (ROLE_SWAP, "A man meets a woman."),
        (ROLE_SWAP, "A dog sleeps."),
        (ROLE_SWAP, "The picture shows the text Open."),
        (EVENT_ORDER, "A man runs after a bus."),
        (EVENT_ORDER, "A man opens the door and sits down."),
        (NEGATION, "A man does not hold a cup."),
        (NEGATION, "A man without a hat walks."),
        (PLACE, "A man in a hat is walking."),
        (PLACE, "A dog sleeps."),
    ],
)
def test_a_claim_without_a_place_for_the_error_is_left_alone(kind: InjectionKind, text: str) -> None:
    assert altered(kind, text) == []


@pytest.mark.parametrize("kind", INJECTION_KINDS, ids=lambda kind: str(kind.name))
@pytest.mark.parametrize(
    "text", ["...", "12", "then", "“”", "not", "in", "after", "A", "🙂 🙂", "the the the the", "ﬁve"]
)
def test_no_text_makes_a_kind_raise(kind: InjectionKind, text: str) -> None:
    assert all(isinstance(each, str) for each in altered(kind, text))


def test_donors_come_from_other_videos_only() -> None:
    texts = {"a": ["A cat sleeps in a basket."], "b": ["A red fire truck stands on a street."]}
    parses = {video: list(parser().parse(some).values()) for video, some in texts.items()}
    found = donors_of({video: words_in(of_video) for video, of_video in parses.items()}, "a")
    assert [noun.text for noun in found.objects] == ["fire truck", "street"]
    assert [place.text for place in found.places] == ["on a street"]
