"""Held-out clips of curated shards become a retrieval set."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.selections import marked_rows
from support.shard_factory import LAYER, build_dir

from runtime.errors import UserError
from shards.errors import ShardError
from training.evaluation.benchmarks.retrieval import shards_benchmark


def test_held_out_clips_are_kept_roots_with_their_byte_range_in_the_tar(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=2, videos_per_shard=2)
    found = shards_benchmark.read([store.root], ["grounded_text"], split="train")
    rows = marked_rows(store.root, LAYER)
    expected = [row for row in rows if row["parent_key"] is None and row["keep"]]
    assert [item.id for item in found.items] == [row["key"] for row in expected]
    assert list(found.texts) == [row["grounded_text"] for row in expected]
    media = found.items[0].media
    assert media is not None
    assert Path(media.url).read_bytes()[media.offset + 4 : media.offset + 8] == b"ftyp"
    assert (found.items[0].start, found.items[0].end) == (0.25, 24.25)


def test_clips_of_one_level_can_be_selected(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    found = shards_benchmark.read([store.root], ["grounded_text"], split="train", clips="medium")
    assert len(found.items) == 4
    assert found.items[0].start == 0.25


def test_the_first_column_that_is_not_empty_gives_the_text(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    found = shards_benchmark.read([store.root], ["subtitle_summary", "caption"], split="train")
    assert found.texts[0].startswith("word")
    assert found.texts[1].startswith("a grey wall")


def test_an_empty_split_is_refused_with_the_flags_to_change(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    with pytest.raises(UserError, match="no kept root clip of split 'val'"):
        shards_benchmark.read([store.root], ["caption"])


@pytest.mark.parametrize(
    ("columns", "layer", "said"),
    [
        (["captoin"], None, "no column 'captoin'"),
        (["start"], None, "holds no text"),
        (["caption"], "nope", "no text layer"),
    ],
)
def test_a_column_or_layer_that_is_not_there_is_named(
    columns: list[str], layer: str | None, said: str, tmp_path: Path
) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    with pytest.raises((UserError, ShardError), match=said):
        shards_benchmark.read([store.root], columns, layer=layer)
