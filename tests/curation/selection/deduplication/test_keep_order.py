"""The order in which clips are kept."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from curation.selection.deduplication.keep_order import OrderTerm, parse_order, ranks

CLIPS = pa.table(
    {
        "width": [640, 640, 1280],
        "height": [360, 360, 720],
        "start": [0.0, 0.0, 0.0],
        "end": [9.0, 5.0, 1.0],
        "upload_date": ["20200101", "20190101", "soon"],
    }
)


@pytest.mark.parametrize(
    ("order", "best_first"),
    [(["resolution", "earliest"], [2, 1, 0]), (["longest"], [0, 1, 2]), (["earliest"], [1, 0, 2])],
)
def test_terms_count_in_their_order(order: list[str], best_first: list[int]) -> None:
    assert np.argsort(ranks(CLIPS, parse_order(order), {})).tolist() == best_first


def test_a_higher_score_is_better_and_none_is_worst() -> None:
    (term,) = parse_order(["demo.looks"])
    assert term == OrderTerm("score", "demo", "looks")
    assert np.argsort(ranks(CLIPS, [term], {term: np.array([np.nan, 0.1, 0.9])})).tolist() == [2, 1, 0]


def test_ties_are_broken_by_the_order_of_rows() -> None:
    same = pa.concat_tables([CLIPS.slice(0, 1)] * 3)
    assert ranks(same, parse_order(["resolution"]), {}).tolist() == [0, 1, 2]


@pytest.mark.parametrize("word", ["resolutoin", "best", "demo."])
def test_an_unknown_order_is_refused_with_the_valid_ones(word: str) -> None:
    with pytest.raises(ValueError, match=rf"{word}: no such order.*resolution"):
        parse_order([word])
