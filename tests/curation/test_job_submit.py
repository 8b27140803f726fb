"""On a cluster, with a real head node on loopback: `curate` and `train-vidla` as jobs of `ray job submit`, and
`curate` joining with ``--address``; together, because a head node takes long to start."""

from __future__ import annotations

import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from support.curate_runs import CHEAP, config_in, curate, end_of, run_arguments, start_curate, talks
from support.dir_contents import all_rows, assert_texts_hold, latest_states
from support.fake_llm import FakeLLM
from support.model_replies import careful
from support.ray_cluster import Head, head_node, ray
from support.shard_factory import build_dir
from support.vidla_runs import arguments as train_arguments
from support.waiting import PATIENCE, until

from shards.storage.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1800)]  # a head node may take several starts


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """A head node of two logical CPUs."""
    with head_node(cpus=2) as found:
        yield found


@dataclass(frozen=True)
class Submitted:
    """A DIR that a submitted job made."""

    store: Store
    ended: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def submitted(head: Head, tmp_path_factory: pytest.TempPathFactory) -> Submitted:
    """A DIR made by `ray job submit --working-dir FOLDER -- curate run …`."""
    root = tmp_path_factory.mktemp("submitted")
    work, inputs = root / "work", talks(root / "in", 9, 40)
    work.mkdir()
    config = config_in(work)
    with FakeLLM(careful) as llm:
        arguments = run_arguments(CHEAP, Path(config.name), inputs, root / "out", llm)
        arguments += ["--set", "videos_per_shard=1"]
        submit: list[str | Path] = ["job", "submit", "--address", head.dashboard, "--working-dir", work, "--", "curate"]
        ended = ray(head, *submit, *arguments, cwd=root)
    return Submitted(Store(root / "out"), ended)


def test_a_submitted_job_makes_the_shards(submitted: Submitted) -> None:
    store, ended = submitted.store, submitted.ended
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "succeeded" in ended.stdout
    assert curate("check", store.root).status == 0
    assert latest_states(store) == {"written": 2}
    assert assert_texts_hold(store, CHEAP).keys() == {"ok"}
    assert {row["shard"] for row in all_rows(store, "media")} == {0, 1}


def test_a_run_joins_the_cluster_at_an_address(head: Head, submitted: Submitted, tmp_path: Path) -> None:
    store = submitted.store
    sources = {row["source"] for row in all_rows(store, "ledger")}
    with FakeLLM(careful) as llm:
        arguments = run_arguments(CHEAP, config_in(tmp_path), sorted(sources), Path(store.root), llm)
        arguments += ["--layer", "joined", "--address", head.address]
        process = start_curate(*arguments, log=tmp_path / "said", env=head.environment)
        assert end_of(process) == 0, (tmp_path / "said").read_text()
    assert assert_texts_hold(store, "joined").keys() == {"ok"}
    assert curate("check", store.root, "--quick").status == 0


def test_prometheus_reads_the_figures_of_a_run_from_the_node(head: Head, submitted: Submitted) -> None:
    clips = len(all_rows(submitted.store, "media"))
    until(lambda: clips in samples(head, "ray_clipgrove_clips", stage="rewrite"), "metrics of the whole run")
    assert samples(head, "ray_clipgrove_shards_done", stage="media") == [2]
    assert samples(head, "ray_clipgrove_sources", state="written") == [2]
    assert max(samples(head, "ray_clipgrove_worker_seconds", pool="rewrite", work="busy")) > 0


def samples(head: Head, name: str, **labels: str) -> list[float]:
    """The values of a metric with these labels, one for each run."""
    with urllib.request.urlopen(head.metrics, timeout=PATIENCE) as answer:
        families = list(text_string_to_metric_families(answer.read().decode()))
    found = [sample for family in families if family.name == name for sample in family.samples]
    return [sample.value for sample in found if labels.items() <= sample.labels.items()]


def test_a_plan_leaves_the_layout_to_the_cluster_it_would_join(
    head: Head, submitted: Submitted, tmp_path: Path
) -> None:
    inputs = Path(submitted.store.root).parent / "in"
    with FakeLLM(careful) as llm:
        arguments = run_arguments(CHEAP, config_in(tmp_path), inputs, tmp_path / "out", llm)
        ended = curate("plan", *arguments[1:], "--address", head.address)
    assert ended.status == 0, ended.err
    assert "The Ray cluster that the run joins decides" in ended.out


def test_a_submitted_training_leaves_a_model(head: Head, tmp_path: Path) -> None:
    build_dir(tmp_path / "shards")
    arguments = train_arguments(tmp_path / "shards", tmp_path / "run", steps=2)
    (tmp_path / "work").mkdir()
    submit: list[str | Path] = [
        "job",
        "submit",
        "--address",
        head.dashboard,
        "--working-dir",
        tmp_path / "work",
        "--",
        "train-vidla",
    ]
    ended = ray(head, *submit, *arguments, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "step 2 " in ended.stdout
    assert (tmp_path / "run" / "checkpoints" / "step-00000002" / "checkpoint.json").exists()
