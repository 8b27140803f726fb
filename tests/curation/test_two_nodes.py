"""Two nodes of a Ray cluster, each with a raylet of its own, and a DIR in an object store that speaks S3."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from support.curate_runs import TAGGER, config_in, curate, end_of, run_arguments, start_curate, talks
from support.dir_contents import all_rows, assert_texts_hold, latest_states
from support.fake_llm import FakeLLM
from support.model_replies import careful
from support.processes import below
from support.ray_cluster import Head, head_node, joined_node
from support.s3_server import clients_of, s3_server

from shards.reader import read_table
from shards.scores.score_set import ScoreSet
from shards.storage.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1800)]

_SECONDS = (9.0, 9.0, 9.0, 12.0)
"""Lengths of videos that all show the same picture."""
_VIDEOS = len(_SECONDS)
_WORKING = "ray::StageActor.process"
"""Title that Ray gives to a worker of a stage that has just begun with a shard."""


@dataclass
class Nodes:
    """A head node and a second node, with a bucket that both reach."""

    head: Head
    second: subprocess.Popen[bytes]
    store: Store
    busy: set[str] = field(default_factory=set)
    """Nodes on which a worker was seen at work on a shard."""

    def look(self) -> None:
        """Note on which nodes workers have shards."""
        for name, pid in (("head", self.head.process.pid), ("second", self.second.pid)):
            if any(_title(process).startswith(_WORKING) for process in below(pid)):
                self.busy.add(name)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """A DIR on S3 that a run on two nodes of one logical CPU each has made."""
    root = tmp_path_factory.mktemp("two-nodes")
    with ExitStack() as stack:
        server = stack.enter_context(s3_server(root / "s3-log"))
        stack.enter_context(clients_of(server))
        head = stack.enter_context(head_node(cpus=1, variables=server.environment))
        second = stack.enter_context(joined_node(head, cpus=1))
        found = Nodes(head, second, Store(server.url("dir")))
        _curate(found, root)
        yield found


def _curate(nodes: Nodes, root: Path) -> None:
    """Run all stages with two media workers, of which each node has room for one."""
    small = {"media": {"cpus": 0.6, "min": 2, "max": 2}}
    inputs = talks(root / "in", *_SECONDS)
    settings = [f"resources.{name}.{key}={value}" for name, pool in small.items() for key, value in pool.items()]
    with FakeLLM(careful) as llm:
        arguments = run_arguments(TAGGER, config_in(root), inputs, Path("DIR"), llm)
        arguments[arguments.index(Path("DIR"))] = nodes.store.root
        arguments += ["--set", "videos_per_shard=1", "--address", nodes.head.address]
        arguments += [word for setting in settings for word in ("--set", setting)]
        process = start_curate(*arguments, log=root / "said", env=nodes.head.environment)
        watch = threading.Thread(target=_watch, args=(nodes, process), daemon=True)
        watch.start()
        status = end_of(process)
        watch.join()
        assert status == 0, (root / "said").read_text()


def _watch(nodes: Nodes, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        nodes.look()
        time.sleep(0.2)


def test_both_nodes_work_on_the_shards_of_a_dir_in_an_object_store(nodes: Nodes) -> None:
    assert nodes.busy == {"head", "second"}
    assert latest_states(nodes.store) == {"written": _VIDEOS}
    assert {row["shard"] for row in all_rows(nodes.store, "media")} == set(range(_VIDEOS))
    assert assert_texts_hold(nodes.store, TAGGER).keys() == {"ok"}


def test_a_dir_in_an_object_store_is_checked_and_shown(nodes: Nodes) -> None:
    assert curate("check", nodes.store.root).status == 0
    assert curate("status", nodes.store.root).status == 0
    shown = curate("inspect", nodes.store.root, "--where", "keep", "--limit", "1")
    assert shown.status == 0 and "red ball" in shown.out


_SCORES = "score.scores=[brightness,motion,frame_hashes]"


def test_scores_are_made_on_the_cluster_for_a_dir_in_an_object_store(nodes: Nodes, tmp_path: Path) -> None:
    arguments: list[str | Path] = ["run", TAGGER, "--config", config_in(tmp_path), "--output", nodes.store.root]
    arguments += ["--address", nodes.head.address, "--stages", "score", "--set", _SCORES]
    process = start_curate(*arguments, log=tmp_path / "said", env=nodes.head.environment)
    assert end_of(process) == 0, (tmp_path / "said").read_text()
    scores = ScoreSet.open(nodes.store, TAGGER)
    keys = [row["key"] for row in all_rows(nodes.store, "media")]
    assert scores.shards == tuple(range(_VIDEOS))
    assert [key for shard in scores.shards for key in scores.table(shard)["key"].to_pylist()] == keys
    assert curate("check", nodes.store.root).status == 0
    shown = curate("inspect", nodes.store.root, "--where", "brightness between 0 and 1", "--limit", "1")
    assert shown.status == 0


def test_copies_are_found_on_the_cluster_and_left_out(nodes: Nodes, tmp_path: Path) -> None:
    root = nodes.store.root
    arguments = ["dedup", root, "--name", "all", "--exact", "--perceptual", "--address", nodes.head.address]
    process = start_curate(*arguments, log=tmp_path / "said", env=nodes.head.environment)
    assert end_of(process) == 0, (tmp_path / "said").read_text()
    rows = read_table(nodes.store, "duplicates/all.parquet").to_pylist()
    assert {row["kind"] for row in rows if not row["keep"]} == {"exact", "perceptual"}
    assert len([row for row in rows if row["keep"]]) == 1 and len(rows) == _VIDEOS
    chosen = curate("select", root, "--name", "distinct", "--dedup", "all")
    assert chosen.status == 0 and f"keeps 1 of {_VIDEOS} clips" in chosen.out
    assert curate("check", root, "--quick").status == 0
