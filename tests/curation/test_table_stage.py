"""A stage over all shards, registered in one line: it is planned, run last, resumed and shown like the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.clips_per_video import CLIPS_PER_VIDEO
from support.curate_runs import TAGGER, Ended, curate, finished, talk
from support.dir_contents import all_rows
from support.fake_llm import FakeLLM
from support.model_replies import careful

from curation import stage_registry
from curation.command_line import command_parser
from curation.plan import RunPlan, make_plan
from curation.run_request import RunRequest
from shards.reader import read_artifact, read_table
from shards.storage.store import Store

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Register the stage."""
    monkeypatch.setattr(stage_registry, "STAGES", (*stage_registry.STAGES, CLIPS_PER_VIDEO))


@pytest.fixture(scope="module")
def server() -> Iterator[FakeLLM]:
    """A model server."""
    with FakeLLM(careful) as llm:
        yield llm


@pytest.fixture
def done(tmp_path: Path) -> Path:
    """A finished DIR of its own, made before the stage was registered."""
    return finished().copy(tmp_path)


def planned(output: Path, *extra: str | Path) -> RunPlan:
    """Return the plan of a run over a finished DIR."""
    arguments = [*finished().arguments(output), *extra]
    return make_plan(RunRequest.of(command_parser().parse_args([str(argument) for argument in arguments])))


def run(output: Path, server: FakeLLM, *extra: str | Path) -> Ended:
    """Run everything that is missing in this process, without Ray."""
    ended = curate(*finished().arguments(output, server), "--address", "local", *extra)
    assert ended.status == 0, ended.err
    return ended


def todo(plan: RunPlan) -> dict[str, list[int]]:
    """Return the shards that each stage has to make."""
    return {name: list(shards) for name, shards in plan.todo.items()}


NOTHING: dict[str, list[int]] = {"media": [], "caption": [], "rewrite": [], "select": []}


def test_its_table_is_made_from_the_tables_of_all_shards(done: Path, server: FakeLLM) -> None:
    assert todo(planned(done)) == NOTHING | {"clips_per_video": [0, 1, 2]}
    run(done, server)
    store = Store(done)
    rows = read_table(store, CLIPS_PER_VIDEO.path).to_pylist()
    clips = Counter(row["video_id"] for row in all_rows(store, f"text/{TAGGER}"))
    assert {row["video_id"]: row["clips"] for row in rows} == clips
    assert curate("check", done, "--quick").status == 0
    names = [f"text/{TAGGER}/{shard:07d}.parquet" for shard in range(3)]
    assert read_artifact(store, CLIPS_PER_VIDEO.path).inputs == {
        name: read_artifact(store, name).digest for name in names
    }


def test_it_is_not_made_again_while_its_inputs_and_settings_are_the_same(done: Path, server: FakeLLM) -> None:
    run(done, server)
    assert planned(done).is_done
    assert "nothing to do" in run(done, server).err


def test_other_settings_make_it_again(done: Path, server: FakeLLM) -> None:
    run(done, server)
    found = planned(done, "--set", "clips_per_video.least=3")
    assert todo(found) == NOTHING | {"clips_per_video": [0, 1, 2]}
    run(done, server, "--set", "clips_per_video.least=3")
    assert min(read_table(Store(done), CLIPS_PER_VIDEO.path)["clips"].to_pylist()) >= 3


def test_a_text_table_that_is_gone_makes_it_again_after_that_table(done: Path, server: FakeLLM) -> None:
    run(done, server)
    (done / "text" / TAGGER / "0000001.parquet").unlink()
    assert todo(planned(done)) == NOTHING | {"rewrite": [1], "select": [0, 1, 2], "clips_per_video": [0, 1, 2]}
    run(done, server)
    assert planned(done).is_done


def test_a_new_source_makes_it_again_with_the_new_shard(done: Path, server: FakeLLM, tmp_path: Path) -> None:
    run(done, server)
    new = talk(tmp_path / "new.mp4", 5)
    assert todo(planned(done, "--input", finished().inputs, new))["clips_per_video"] == [0, 1, 2, 3]


def test_it_stays_up_to_date_when_the_layer_that_it_reads_is_replaced(done: Path, server: FakeLLM) -> None:
    changed = ("--set", "rewrite.max_claims=2")
    run(done, server, *changed, "--replace")
    assert planned(done, *changed).is_done
    assert all(name.startswith(f"text/{TAGGER}/") for name in read_artifact(Store(done), CLIPS_PER_VIDEO.path).inputs)


def test_a_plan_shows_it_as_one_table(done: Path, server: FakeLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    shown = curate("plan", *finished().arguments(done, server)[1:])
    assert shown.status == 0, shown.err
    (line,) = [line for line in shown.out.splitlines() if CLIPS_PER_VIDEO.path in line]
    assert [cell.strip() for cell in line.split("│")[1:-1]] == [
        "clips_per_video", CLIPS_PER_VIDEO.path, "0", "1", "0",
    ]  # fmt: skip
    assert "clips_per_video reads all shards at once" in shown.out


def test_it_can_be_asked_for_alone_and_is_a_branch_of_the_settings(done: Path, server: FakeLLM) -> None:
    run(done, server, "--stages", "clips_per_video")
    assert Store(done).exists(CLIPS_PER_VIDEO.path)
    printed = curate("run", TAGGER, "--config", finished().config, "--print-config").out
    assert "  # From texts to the number of clips of each video.\n  clips_per_video:\n" in printed
    assert "    # Videos with fewer clips are left out.\n    least: 1\n" in printed
