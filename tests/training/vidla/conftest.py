"""Fixtures of several test modules."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.colour_videos import BLUE, RED, colour_video

from training.evaluation.benchmarks.classification import class_folders
from training.evaluation.benchmarks.classification.classification_set import ClassificationSet


@pytest.fixture
def colours(tmp_path: Path) -> ClassificationSet:
    """Two classes, blue and red, of three videos each."""
    for number in range(3):
        colour_video(tmp_path / "videos" / "blue" / f"{number}.mp4", BLUE, seconds=4)
        colour_video(tmp_path / "videos" / "red" / f"{number}.mp4", RED, seconds=1)
    return class_folders.read(tmp_path / "videos")
