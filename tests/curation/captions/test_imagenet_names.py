"""Kinds of ImageNet's classes, and articles."""

from __future__ import annotations

import pytest
from timm.data import ImageNetInfo

from curation.captions.frames.imagenet_names import kinds, with_article


def confidences(**by_name: float) -> list[float]:
    """The confidences of all classes; 0 for those that are not named."""
    info = ImageNetInfo()
    names = [info.index_to_description(number).split(",")[0].replace(" ", "_") for number in range(1000)]
    assert set(by_name) <= set(names)
    return [by_name.get(name, 0.0) for name in names]


@pytest.mark.parametrize(
    ("kind", "seen"),
    [
        ("cat", {"tabby": 0.2, "tiger_cat": 0.3, "Egyptian_cat": 0.4}),
        ("motorbike", {"moped": 0.6, "motor_scooter": 0.3}),
        ("tie", {"bow_tie": 0.5, "Windsor_tie": 0.4}),
        ("dog", {"Chihuahua": 0.4, "Mexican_hairless": 0.5}),
        ("bird", {"cock": 0.3, "black_swan": 0.3, "albatross": 0.3}),
    ],
)
def test_a_kind_has_the_confidence_of_its_classes_together(kind: str, seen: dict[str, float]) -> None:
    assert dict(kinds(confidences(**seen)))[kind] == pytest.approx(0.9)


def test_a_class_belongs_to_one_kind_at_most_and_big_cats_are_no_cats() -> None:
    assert all(sum(value for _, value in kinds([float(n == one) for n in range(1000)])) <= 1 for one in range(1000))
    assert not any(value for _, value in kinds(confidences(lion=0.5, cheetah=0.5)))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lion", "a lion"),
        ("obelisk", "an obelisk"),
        ("unicycle", "a unicycle"),
        ("hay", "hay"),
        ("moped", "a motorbike"),
        ("Egyptian cat", "an Egyptian cat"),
    ],
)
def test_a_name_gets_the_article_that_english_gives_it(name: str, said: str) -> None:
    assert with_article(name) == said
