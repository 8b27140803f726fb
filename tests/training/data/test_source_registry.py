"""The registry of sources: `data.source` names one, and a new one is one line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest
from support.shard_factory import build_dir

from runtime.settings import build
from training.data.clip_source import ClipSource
from training.data.clip_tasks import RootTask
from training.data.data_settings import DataSettings, SourceName, Split
from training.data.sources import source_registry
from training.data.sources.shard_source import ShardSource, Terms
from training.data.sources.source_registry import SOURCES, open_clip_source

TERMS = {"subtitle": "subtitle"}


class NoClips:
    """A source without roots."""

    identity, num_roots, num_clips = "none", 0, 0

    def __init__(self, settings: DataSettings, terms: Terms, seed: int, split: Split, roots_a_batch: int) -> None:
        self.terms, self.seed, self.split = tuple(terms), seed, split

    def epoch(self, epoch: int, skip: int = 0, only: Callable[[int], bool] | None = None) -> Iterator[RootTask]:
        """Yield nothing."""
        return iter(())


def test_every_name_of_the_setting_has_a_source() -> None:
    assert set(get_args(SourceName)) == set(SOURCES)


def test_the_setting_chooses_the_source(tmp_path: Path) -> None:
    build_dir(tmp_path / "dir", shards=1, videos_per_shard=1)
    settings = build(DataSettings, {"shards": [str(tmp_path / "dir")]}, "data")
    opened = open_clip_source(settings, TERMS, seed=3)
    assert isinstance(opened, ShardSource)
    assert opened.identity == ShardSource(settings, TERMS, 3, "train").identity


def test_a_new_source_is_one_line_of_the_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_registry, "SOURCES", {**SOURCES, "shards": NoClips})
    opened: ClipSource = open_clip_source(DataSettings(), TERMS, seed=3, split="val")
    assert (opened.terms, list(opened.epoch(0))) == (("subtitle",), [])
