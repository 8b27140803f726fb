"""The command at the end of an export: it runs as it is printed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from support.curate_runs import curate, next_command
from support.shard_factory import build_dir

from curation.view.exporting.look_command import look_command
from shards.storage.store import Store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return build_dir(tmp_path_factory.mktemp("look") / "out", shards=1)


@pytest.mark.parametrize(
    ("format_", "shown"),
    [("webdataset", ".mp4"), ("jsonl", '"grounded_text"'), ("hf", "grounded_text"), ("lance", "grounded_text")],
)
def test_the_next_command_after_an_export_shows_what_is_in_it(
    store: Store, tmp_path: Path, format_: str, shown: str
) -> None:
    output = tmp_path / "an export's folder"
    ended = curate("export", store.root, "--format", format_, "--output", output)
    assert ended.status == 0, ended.err
    done = subprocess.run(next_command(ended.out), capture_output=True, text=True, check=True)
    assert shown in done.stdout


def test_an_export_without_samples_has_nothing_to_look_at(tmp_path: Path) -> None:
    assert look_command(str(tmp_path), "webdataset") is None
