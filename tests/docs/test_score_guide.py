"""The guide of scores names every score and every column."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.scores.score_registry import SCORE_KINDS
from curation.scores.scorer import ScoreKind

GUIDE = (Path(__file__).parents[2] / "docs" / "scores.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", SCORE_KINDS, ids=lambda kind: kind.name)
def test_the_guide_names_a_score_and_its_columns(kind: ScoreKind) -> None:
    for name in (kind.name, *(column.name for column in kind.columns(kind.settings()))):
        assert f"`{name}`" in GUIDE, name
