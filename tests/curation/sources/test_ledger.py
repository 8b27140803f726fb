"""Outcomes of sources travel between processes and keep class and message."""

from __future__ import annotations

import pickle

import pytest

from curation.sources.ledger import SourceFailed, SourceFiltered


@pytest.mark.parametrize("outcome", [SourceFailed("network", "no\nanswer"), SourceFiltered("too_short", "1  s")])
def test_an_outcome_survives_pickling_with_its_one_line_message(outcome: SourceFailed | SourceFiltered) -> None:
    again = pickle.loads(pickle.dumps(outcome))
    assert (type(again), again.class_, str(again)) == (type(outcome), outcome.class_, outcome.message)
    assert "\n" not in again.message
