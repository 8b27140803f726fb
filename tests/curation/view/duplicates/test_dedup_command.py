"""`curate dedup` as a command: what it prints, and the arguments that it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.curate_runs import next_command
from support.duplicates import SET, VECTORS, rows_of, score_all
from support.shard_factory import build_dir

from curation.cli import main
from shards.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A DIR with one shard and its scores."""
    made = build_dir(tmp_path / "dir", shards=1, videos_per_shard=2)
    score_all(made)
    return made


def curate(store: Store, *arguments: str) -> int:
    return main(["dedup", store.root, "--name", "all", "--address", "local", "--quiet", *arguments])


def test_what_goes_and_the_curve_are_printed(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert curate(store, "--exact", "--perceptual", "--semantic", "--vectors", VECTORS, "--threshold", "0.9") == 0
    out = capsys.readouterr().out
    assert "11 clips: 5 (45.5 %) are duplicates of 1 that stay (5 exact, 0 perceptual, 0 semantic)" in out
    assert " 0.900    0.0 %  <" in out
    assert next_command(out) == ["curate", "select", store.root, "--name", "without-all", "--dedup", "all"]
    assert len(rows_of(store)) == 6
    assert main(next_command(out)[1:]) == 0
    chosen = next_command(capsys.readouterr().out)
    assert chosen == ["curate", "inspect", store.root, "--select", "without-all", "--where", "keep"]
    assert main(chosen[1:]) == 0 and "clips of layer" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--semantic"], "--semantic: needs --vectors SET.COLUMN"),
        (["--exact", "--threshold", "0.9"], "--threshold 0.9: is for --semantic, which is not asked for"),
        (["--semantic", "--vectors", "mine"], "dedup.semantic.vectors='mine': must name a score set and a column"),
        (["--semantic", "--vectors", VECTORS, "--threshold", "2"], "dedup.semantic.threshold=2"),
        (["--exact", "--keep", "longset"], "longset: no such order (did you mean 'longest'?)"),
        (["--perceptual", "other"], "no score set 'other'"),
        ([], "name at least one of --exact, --perceptual and --semantic"),
    ],
)
def test_a_mistake_is_named_in_one_line(
    store: Store, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert curate(store, *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_without_scores_the_remedy_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = build_dir(tmp_path / "bare", shards=1)
    assert curate(store, "--perceptual") == 2
    assert "has no frame hashes yet; add frame_hashes to score.scores" in capsys.readouterr().err
    assert curate(store, "--semantic", "--vectors", f"{SET}.look") == 2
    assert "has no score set 'mine' (there are: none yet)" in capsys.readouterr().err


def test_a_folder_that_is_no_dir_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert curate(Store(tmp_path / "nowhere"), "--exact") == 2
    assert "no such folder, or nothing in it" in capsys.readouterr().err
