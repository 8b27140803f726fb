"""The score stage over a real DIR: `curate run --stages score`, its table, what it refuses, conditions on scores."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.audits import set_claims
from support.curate_runs import CHEAP, config_in, curate
from support.scored_videos import named
from support.shard_factory import LAYER, build_dir
from support.stage_runs import empty_shard

from curation.scores.score_registry import SCORE_KINDS, ScoreSettings
from curation.scores.score_stage import ScoreWorker, TextFolder, score_hash
from curation.scores.scorer import ScoreColumn
from curation.stages.shard_table import ShardTable
from runtime.ray_runner.stage import ShardResult
from shards.checks.check_dir import check
from shards.manifest import read_stage
from shards.reader import read_artifact, read_table
from shards.schema import CLIPS, TEXT
from shards.scores.score_set import ScoreSet
from shards.selections.selection import MARKS
from shards.storage.store import Store
from shards.writer import commit_table

HASHES = {
    "brightness": "f847d7f92ccb542a",
    "motion": "4ff2ebf17240f4b3",
    "blur": "e344b340fac88424",
    "black_frames": "2f155016debf9c8b",
    "letterbox": "506782dcc30f7666",
    "split_screen": "3a079b964b8dc0b7",
    "overlay": "dd27558cc762d3d7",
    "text_area": "ebd2df8e683845f0",
    "nsfw": "7442b411f97a609d",
    "frame_hashes": "4e8a494282e2131b",
    "speech": "aa48591ce81ab5f5",
    "repetition": "dd465a0e393451bf",
    "language": "4a71a548c37daaee",
}
"""Content hashes of sets of one score with default settings. A change here makes every such set stale."""
TWO = ["--set", "score.scores=[motion,brightness]"]


def score(store: Store, scratch: Path, *scores: str) -> ShardResult:
    """Score shard 0 into the set ``mine``."""
    output = ShardTable("score", store.root, "scores/mine", str(scratch), "s-hash")
    return asyncio.run(ScoreWorker(output, [named(name) for name in scores]).process(0))


def curate_scores(root: str | Path, folder: Path, *arguments: str) -> Any:
    """Run the stage `score` of a cheap pipeline on a DIR, in this process."""
    options = ["--config", config_in(folder), "--layer", LAYER, "--address", "local"]
    return curate("run", CHEAP, "--output", root, *options, "--stages", "score", *arguments)


def test_a_table_has_a_row_for_each_clip_in_the_medias_order(built: Store, scratch: Path) -> None:
    result = score(built, scratch, "brightness", "motion")
    media = read_table(built, "media/0000000.parquet")
    table = read_table(built, "scores/mine/0000000.parquet")
    assert table.column_names == ["key", "shard", "brightness", "motion_magnitude", "camera_motion", "object_motion"]
    assert table["key"].equals(media["key"]) and set(table["shard"].to_pylist()) == {0}
    assert table["brightness"].null_count == 0
    assert result == ShardResult({"clips": media.num_rows})


def test_a_table_records_the_media_that_it_was_made_from(built: Store, scratch: Path) -> None:
    score(built, scratch, "brightness")
    artifact = read_artifact(built, "scores/mine/0000000.parquet")
    assert (artifact.stage, artifact.content_hash, artifact.files) == ("score", "s-hash", {})
    assert artifact.inputs == {"media/0000000.parquet": read_artifact(built, "media/0000000.parquet").digest}


def test_a_shard_without_clips_gets_an_empty_table(tmp_path: Path, scratch: Path) -> None:
    store = empty_shard(tmp_path)
    assert score(store, scratch, "brightness").counts == {"clips": 0}
    assert read_table(store, "scores/mine/0000000.parquet").num_rows == 0


def test_a_shard_whose_media_is_gone_ends_the_run_with_its_name(tmp_path: Path, scratch: Path) -> None:
    result = score(Store(tmp_path / "nothing"), scratch, "brightness")
    assert result.fatal is not None and "media/0000000.parquet" in result.fatal


def test_the_hash_is_that_of_the_named_scores_alone() -> None:
    plain = score_hash(ScoreSettings(scores=["motion"]), None)
    assert plain == score_hash(ScoreSettings(scores=["motion"], name="other"), None)
    assert plain == score_hash(ScoreSettings(scores=["motion"], brightness={"frames_per_second": 2}), None)
    assert plain != score_hash(ScoreSettings(scores=["motion"], motion={"short_side": 64}), None)
    assert plain != score_hash(ScoreSettings(scores=["motion", "brightness"]), None)
    assert plain != score_hash(ScoreSettings(scores=["motion"]), "text/demo")


@pytest.mark.parametrize(("name", "expected"), HASHES.items())
def test_hashes_change_only_on_purpose(name: str, expected: str) -> None:
    assert score_hash(ScoreSettings(scores=[name]), None) == expected


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A DIR with two shards and the score set `quick`."""
    folder = tmp_path_factory.mktemp("scored")
    store = build_dir(folder / "dir", shards=2)
    ended = curate_scores(store.root, folder, *TWO, "--set", "score.name=quick")
    assert ended.status == 0, ended.err
    return store


def test_the_command_adds_scores_to_a_dir_that_is_there(scored: Store) -> None:
    assert scored.folders("scores") == ["quick"]
    found = ScoreSet.open(scored, "quick")
    assert found.shards == (0, 1) and "motion_magnitude" in found.columns
    mark = read_stage(scored, "scores/quick")
    assert mark is not None and set(mark.settings["scores"]) == {"motion", "brightness"}
    assert [one for one in check(scored, decode=False) if one.where.startswith("scores")] == []


def test_a_second_run_has_nothing_to_do(scored: Store, tmp_path: Path) -> None:
    ended = curate_scores(scored.root, tmp_path, *TWO, "--set", "score.name=quick")
    assert ended.status == 0 and "nothing to do" in ended.err


def test_other_settings_are_refused_with_the_remedy(scored: Store, tmp_path: Path) -> None:
    ended = curate_scores(scored.root, tmp_path, "--set", "score.scores=[motion]", "--set", "score.name=quick")
    assert ended.status == 2
    assert "scores/quick was made with other score settings: set score.name=NAME" in ended.err


def test_replace_swaps_the_set_when_it_is_complete(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    assert curate_scores(store.root, tmp_path, "--set", "score.scores=[brightness]").status == 0
    ended = curate_scores(store.root, tmp_path, "--set", "score.scores=[motion]", "--replace")
    assert ended.status == 0, ended.err
    assert "motion_magnitude" in ScoreSet.open(store, LAYER).columns and store.folders("scores") == [LAYER]
    assert [one for one in check(store, decode=False) if one.where.startswith("scores")] == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--stages score: score.scores names no score; add --set score.scores=[NAME,…] (valid: brightness, motion"),
        (["--set", "score.scores=[motoin]"], "motoin: no such score (did you mean 'motion'?)"),
        (["--set", "score.scores=[motion]", "--set", "score.motion.side=3"], "score.motion.side: no such setting"),
        (["--set", "score.scores=[motion]", "--set", "score.name=../up"], "score.name"),
    ],
)
def test_mistakes_end_with_one_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    ended = curate_scores(store.root, tmp_path, *arguments)
    assert ended.status == 2 and words in ended.err


def test_a_dir_without_texts_is_scored(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    for folder in ("text", "captions", "selections"):
        store.delete_folder(folder)
    ended = curate_scores(store.root, tmp_path, *TWO)
    assert ended.status == 0, ended.err
    assert ScoreSet.open(store, LAYER).shards == (0,)


def test_conditions_name_scores_by_themselves_and_by_their_set(scored: Store) -> None:
    every = curate("inspect", scored.root, "--where", "brightness >= 0")
    assert every.status == 0 and "clip" in every.out
    assert curate("inspect", scored.root, "--where", "quick.brightness > 1").status == 1
    unknown = curate("inspect", scored.root, "--where", "brightnes > 0.1")
    assert unknown.status == 2 and "brightness" in unknown.err


def test_a_plan_shows_the_stage_only_if_scores_are_named(scored: Store, tmp_path: Path) -> None:
    def plan(*arguments: str) -> str:
        options = ["--config", config_in(tmp_path), "--layer", LAYER, "--address", "local"]
        return curate("plan", CHEAP, "--output", scored.root, *options, "--stages", "score", *arguments).out

    assert "scores/more" in plan(*TWO, "--set", "score.name=more")


def test_a_clip_in_full_shows_its_scores(scored: Store) -> None:
    row = read_table(scored, "scores/quick/0000000.parquet").to_pylist()[0]
    ended = curate("inspect", scored.root, "--key", row["key"])
    assert ended.status == 0
    assert "scores quick" in ended.out and f"brightness {row['brightness']:.4g}" in ended.out


def test_status_shows_the_scores(scored: Store) -> None:
    out = curate("status", scored.root).out
    assert "scores quick" in out and "brightness" in out


def test_no_two_scores_make_a_column_of_one_name() -> None:
    columns = [column for kind in SCORE_KINDS for column in kind.columns(kind.settings())]
    names = [column.name for column in columns]
    assert not {*names} & {*TEXT.names, *CLIPS.names, *MARKS}  # conditions in SQL name them all
    assert len(names) == len(set(names)) and all(name.isidentifier() for name in names)
    assert all(column.meaning for column in columns if isinstance(column, ScoreColumn))


def test_a_score_of_texts_reads_the_text_layer_and_is_made_again_with_it(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    texts = ["--set", "score.scores=[language]", "--set", "score.language.column=grounded_text"]
    assert curate_scores(store.root, tmp_path, *texts).status == 0
    artifact = read_artifact(store, f"scores/{LAYER}/0000000.parquet")
    text = read_artifact(store, f"text/{LAYER}/0000000.parquet")
    assert artifact.inputs[f"text/{LAYER}/0000000.parquet"] == text.digest
    set_claims(store, LAYER, lambda row: [])
    ended = curate_scores(store.root, tmp_path, *texts)
    assert ended.status == 0 and "nothing to do" not in ended.err
    again = read_artifact(store, f"scores/{LAYER}/0000000.parquet")
    assert again.inputs[f"text/{LAYER}/0000000.parquet"] != text.digest


def test_a_score_of_texts_on_a_dir_without_texts_names_the_stage_that_is_missing(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    store.delete_folder("text")
    texts = ["--set", "score.scores=[language]", "--set", "score.language.column=caption"]
    ended = curate_scores(store.root, tmp_path, *texts)
    assert ended.status == 2 and "--stages score" in ended.err and "rewrite" in ended.err


def test_texts_of_other_media_end_the_run_with_the_remedy(tmp_path: Path, scratch: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    name = f"text/{LAYER}/0000000.parquet"
    older = replace(read_artifact(store, name), inputs={"media/0000000.parquet": "older"})
    commit_table(store, tmp_path, name, read_table(store, name), older)
    output = ShardTable("score", store.root, "scores/mine", str(scratch), "s-hash")
    texts = TextFolder(f"text/{LAYER}", f"text/{LAYER}")
    worker = ScoreWorker(output, [named("language", column="caption")], texts)
    result = asyncio.run(worker.process(0))
    assert result.fatal is not None and "run the rewrite stage again" in result.fatal


def test_a_score_that_fails_is_counted_in_status(tmp_path: Path) -> None:
    store = build_dir(tmp_path / "dir", shards=1)
    clips = read_table(store, "media/0000000.parquet").to_pylist()
    tar = Path(store.path("media/0000000.tar"))
    data = bytearray(tar.read_bytes())
    for row in clips:
        data[row["byte_offset"] : row["byte_offset"] + row["byte_size"]] = bytes(row["byte_size"])
    tar.write_bytes(data)
    assert curate_scores(store.root, tmp_path, *TWO).status == 0
    assert f"because it failed: decode {len(clips)}" in curate("status", store.root).out
