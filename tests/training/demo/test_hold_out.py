"""The demo's folds: videos are held out in turn, and nothing of a held-out video is trained on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.shard_factory import LAYER, build_dir

from runtime.errors import UserError
from shards.reader import read_table
from shards.selections.selection import table_name
from training.demo.hold_out import PooledScore, divide, pool, write_folds


def test_videos_are_divided_so_that_the_folds_have_about_as_many_clips() -> None:
    film, others = "film", {f"video-{number}": 1 for number in range(5)}
    assert divide({film: 7, **others}, 2) == [{film}, set(others)]
    sizes = [len(fold) for fold in divide(others, 2)]
    assert sorted(sizes) == [2, 3]


def test_scores_are_pooled_over_folds_with_what_chance_gives(tmp_path: Path) -> None:
    reports = []
    for number, (queries, r1, rank) in enumerate([(4, 50.0, 2.0), (10, 10.0, 5.0)]):
        scores = {"queries": queries, "r1": r1, "mean_rank": rank}
        results = [{"dual_softmax": True, "t2v": {}}, {"dual_softmax": False, "t2v": scores}]
        reports.append(tmp_path / f"{number}.json")
        reports[-1].write_text(json.dumps({"videos": queries, "results": results}))
    pooled = pool(reports)
    assert pooled == PooledScore(14, 3, pytest.approx(2.0), pytest.approx(58 / 14), pytest.approx((4 * 2.5 + 55) / 14))


def test_each_fold_holds_out_whole_videos_and_together_they_hold_out_every_text_once(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=3)
    texts = read_table(store, f"text/{LAYER}/0000000.parquet").to_pylist()
    names = write_folds(store.root, 2)
    held_out: list[str] = []
    for name in names:
        marks = {row["key"]: row for row in read_table(store, table_name(name)).to_pylist()}
        splits = {(row["video_id"], marks[row["key"]]["split"]) for row in texts}
        assert len(splits) == len({video for video, _ in splits})
        held_out += [video for video, split in splits if split == "val"]
    assert sorted(held_out) == sorted({row["video_id"] for row in texts if row["grounded_text"]})


def test_too_few_videos_are_refused(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1, videos_per_shard=1)
    with pytest.raises(UserError, match="1 videos have grounded text; 2 folds need one each"):
        write_folds(store.root, 2)
