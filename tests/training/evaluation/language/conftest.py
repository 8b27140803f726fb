"""Fixtures of the evaluation's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.language_tasks import tiny_bert


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny BERT."""
    return tiny_bert(tmp_path_factory.mktemp("model") / "bert")
