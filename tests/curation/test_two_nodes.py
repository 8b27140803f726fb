"""The job of the guide on two nodes of a Ray cluster: list, videos and DIR are in a store that speaks S3."""

from __future__ import annotations

import io
import json
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.curate_runs import TAGGER, config_in, curate, end_of, start_curate, talks
from support.dir_contents import all_rows, assert_texts_hold, latest_states
from support.fake_llm import FakeLLM
from support.model_replies import careful
from support.ray_cluster import Head, head_node, joined_node
from support.s3_server import clients_of, s3_server

from shards.reader import read_table
from shards.scores.score_set import ScoreSet
from shards.storage.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.timeout(1800)]

_SECONDS = (9.0, 9.0, 9.0, 12.0)
"""Lengths of videos that all show the same picture."""
_VIDEOS = len(_SECONDS)


@dataclass(frozen=True)
class Nodes:
    """A cluster of two nodes, and a DIR in a bucket that both reach."""

    head: Head
    store: Store


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """A DIR on S3 that a job on two nodes of one logical CPU each has made."""
    root = tmp_path_factory.mktemp("two-nodes")
    with ExitStack() as stack:
        server = stack.enter_context(s3_server(root / "s3-log"))
        stack.enter_context(clients_of(server))
        head = stack.enter_context(head_node(cpus=1, variables=server.environment))
        stack.enter_context(joined_node(head, cpus=1))
        found = Nodes(head, Store(server.url("out")))
        _upload(talks(root / "in", *_SECONDS), Store(server.url("")))
        _submit(found, root)
        yield found


def _upload(folder: Path, bucket: Store) -> None:
    """Copy videos, their subtitles and a list that names the videos by relative names into a bucket."""
    for path in sorted(folder.iterdir()):
        bucket.commit_bytes(path.read_bytes(), path.name)
    listed = io.BytesIO()
    pq.write_table(pa.table({"url": [path.name for path in sorted(folder.glob("*.mp4"))]}), listed)
    bucket.commit_bytes(listed.getvalue(), "urls.parquet")


def _command() -> list[str]:
    """Return the first command of the guide to clusters, which names this bucket, list and DIR."""
    text = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
    block = text.partition("```bash\n")[2].partition("```")[0]
    return shlex.split(block.replace("\\\n", " ").splitlines()[0])


def _submit(nodes: Nodes, root: Path) -> None:
    """Submit the guide's command with a small pipeline and two media workers, of which each node has room for one."""
    small = {"media": {"cpus": 0.6, "min": 2, "max": 2}}
    settings = [f"resources.{name}.{key}={value}" for name, pool in small.items() for key, value in pool.items()]
    work = root / "work"
    work.mkdir()
    with FakeLLM(careful) as llm:
        command = [TAGGER if word == "grounded" else word for word in _command()]
        command += ["--config", config_in(work).name, "--set", f"engines.llm.base_url={llm.url}"]
        command += [word for setting in ("videos_per_shard=1", *settings) for word in ("--set", setting)]
        environment = nodes.head.environment | {"RAY_API_SERVER_ADDRESS": nodes.head.dashboard}
        with (root / "said").open("wb") as said:
            process = subprocess.Popen(
                command, cwd=work, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        status = end_of(process)
        assert status == 0, (root / "said").read_text()


def _media_nodes(store: Store) -> set[str]:
    """Return the nodes that made media, from the traces of the runs of a DIR."""
    traces = [name for name in store.list("log") if name.endswith(".trace.json")]
    lines = [line for name in traces for line in store.read_bytes(f"log/{name}").decode().splitlines()]
    events = [json.loads(line.strip("[,")) for line in lines if line.strip("[],")]
    return {event["args"]["node"] for event in events if event["name"] == "media"}


def test_both_nodes_work_on_the_shards_of_a_dir_in_an_object_store(nodes: Nodes) -> None:
    assert len(_media_nodes(nodes.store)) == 2
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
