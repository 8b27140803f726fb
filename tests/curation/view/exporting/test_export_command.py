"""What `curate export` says of the clips that it left out, and the card that it writes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.curate_runs import curate
from support.exported import scored_dir
from support.shard_factory import LAYER

from shards.storage.store import Store


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return scored_dir(tmp_path_factory.mktemp("command") / "dir", shards=1)


def test_clips_without_text_are_told_by_reason(built: Store, tmp_path: Path) -> None:
    ended = curate("export", built.root, "--format", "jsonl", "--output", tmp_path / "a")
    assert "2 without grounded_text (abstained 1, failed 1)" in ended.out
    ended = curate("export", built.root, "--format", "jsonl", "--null-text", "skip", "--output", tmp_path / "b")
    assert "2 left out, without grounded_text (abstained 1, failed 1)" in ended.out


def test_an_export_without_any_text_names_the_other_texts(built: Store, tmp_path: Path) -> None:
    where = "rewrite_status = 'abstained'"
    ended = curate("export", built.root, "--format", "jsonl", "--where", where, "--output", tmp_path / "out")
    assert "none of these clips has grounded_text; choose another text with --text (caption, subtitle)" in ended.out


def test_the_card_of_a_dataset_says_what_was_taken(built: Store, tmp_path: Path) -> None:
    where = "level <> 'huge' and caption not like '%`%'"
    given = [
        "export",
        built.root,
        "--format",
        "hf",
        "--text",
        "caption",
        "--where",
        where,
        "--output",
        tmp_path / "out",
    ]
    assert curate(*given).status == 0
    _, head, body = (tmp_path / "out/README.md").read_text().split("---\n", 2)
    (config,) = yaml.safe_load(head)["configs"]
    assert all(split["path"] == f"data/{split['split']}-*.parquet" for split in config["data_files"])
    assert "text: `caption`" in body and f"```\n{where}\n```" in body
    assert f"The selection {LAYER} keeps" in body
