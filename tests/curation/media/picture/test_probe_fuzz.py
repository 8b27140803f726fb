"""Any bytes are probed or fail as one of two classes: no other error, hang, crash or use of much memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.mutated_videos import CONTAINERS, bad_outcomes, mutated

from runtime.children.helper_process import HelperProcess

EACH = 800
"""Mutations of each container; they take about two seconds."""
SECONDS, MEGABYTES = 5.0, 300.0
"""Limits of one probe; the whole of a small video's pictures has less than a megabyte."""


@pytest.fixture(scope="module")
def helper() -> Iterator[HelperProcess]:
    """A process in which a crash or a hang ends no other test."""
    process = HelperProcess()
    with pytest.MonkeyPatch.context() as patch:
        tests = str(Path(__file__).parents[3])
        patch.setenv("PYTHONPATH", os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")]))
        yield process
        process.close()


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_a_video_with_mutated_headers_is_probed_or_classed(helper: HelperProcess, suffix: str) -> None:
    assert helper.call(120.0, bad_outcomes, suffix, range(EACH), SECONDS, MEGABYTES) == []


def test_a_mutation_can_be_made_again() -> None:
    assert mutated("mp4", 7) == mutated("mp4", 7) != mutated("mp4", 8)
