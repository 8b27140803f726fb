"""Many kills at random over a run of many small videos on two nodes; `make chaos` runs it and prints its log.

``CHAOS_SEED``, ``CHAOS_KILLS`` and ``CHAOS_VIDEOS`` change the faults and the size of the run.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.chaos.chaos_dirs import CHAOS, ChaosScene, content, keys_once
from support.chaos.chaos_log import ChaosLog
from support.chaos.disturbed_run import DisturbedRun, planned
from support.chaos.llm_process import LLMProcess
from support.chaos.surroundings import JumpingClock
from support.chaos.two_nodes import TwoNodes, two_nodes
from support.chaos.victims import Victims
from support.curate_runs import curate, end_of, start_curate
from support.dir_contents import assert_texts_hold, latest_states
from support.faulty_s3 import faulty_s3
from support.s3_server import clients_of, s3_server

from shards.storage.store import Store

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(7200)]

_SEED = int(os.environ.get("CHAOS_SEED", "1"))
_KILLS = int(os.environ.get("CHAOS_KILLS", "50"))
_VIDEOS = int(os.environ.get("CHAOS_VIDEOS", "200"))
_PARTS = ("worker",) * 10 + ("service",) * 4 + ("node",) * 2 + ("command", "driver", "endpoint")
"""Parts in the proportion in which they are struck."""
_POOLS = {"media": {"cpus": 0.6, "min": 1, "max": 2}}


def _parts(kills: int) -> Sequence[str]:
    """Return as many parts, each at least once where they suffice."""
    return [_PARTS[int(index * len(_PARTS) / kills) % len(_PARTS)] for index in range(kills)]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ChaosScene, LLMProcess, Path]]:
    """The videos, the endpoint, and the DIR of an undisturbed run without Ray."""
    root = tmp_path_factory.mktemp("chaos")
    with LLMProcess() as llm:
        engine = {"kind": "endpoint", "model": "fake", "base_url": llm.url, "backoff": 0.5, "retries": 7}
        recognized = {"languages": [], "transcribe": {"asr": {"cpu_threads": 1}}}
        pools = {**_POOLS, "asr": {"cpus": 0.25}}
        scene = ChaosScene.make(
            root / "scene", _VIDEOS, 4, llm.url, engines={"llm": engine}, media={"video": recognized}, resources=pools
        )
        quiet = start_curate(*scene.arguments(root / "quiet", "--address", "local"), log=root / "said")
        assert end_of(quiet) == 0, (root / "said").read_text()
        yield scene, llm, root / "quiet"


@pytest.mark.parametrize("place", ["folder", "object store"])
def test_a_dir_is_that_of_an_undisturbed_run_whatever_is_killed(
    scene: tuple[ChaosScene, LLMProcess, Path], place: str, tmp_path: Path
) -> None:
    inputs, llm, quiet = scene
    kills = _KILLS if place == "folder" else max(_KILLS // 5, 1)
    clock = JumpingClock(tmp_path / "clock")
    with ExitStack() as stack:
        root, scratch, variables = str(tmp_path / "out"), tmp_path / "out" / ".scratch", {**clock.environment}
        if place == "object store":
            server = stack.enter_context(s3_server(tmp_path / "s3-log"))
            faulty = stack.enter_context(faulty_s3(server, rate=0.05, seed=_SEED))
            stack.enter_context(clients_of(server))
            root, variables = server.url("dir"), variables | dict(faulty.server.environment)
            scratch = tmp_path / "scratch"
        nodes = stack.enter_context(two_nodes(variables))
        run = _disturbed(inputs, llm, nodes, Store(root), tmp_path, scratch, kills, clock)
        run.finish()
        assert run.endings[-1].status == 0
        _assert_clean(run, nodes, scratch)
        if place == "object store":
            run.log.say(f"{sum(faulty.failed.values())} of {len(faulty.requests)} requests failed: {faulty.failed}")
        _assert_same(Store(root), Store(quiet), root)
        run.log.say(f"{place}: the same as an undisturbed run")


def _disturbed(
    inputs: ChaosScene,
    llm: LLMProcess,
    nodes: TwoNodes,
    store: Store,
    folder: Path,
    scratch: Path,
    kills: int,
    clock: JumpingClock,
) -> DisturbedRun:
    chance, running = random.Random(_SEED), [0]
    more = ["--address", nodes.head.address, *([] if store.is_local else ["--scratch", str(scratch)])]

    def start(said: Path) -> subprocess.Popen[bytes]:
        process = start_curate(*inputs.arguments(store.root, *more), log=said, env=nodes.head.environment)
        running[:] = [process.pid]
        return process

    acts = {
        "node": lambda _: nodes.kill_second(),
        "endpoint": lambda _: llm.die(chance.uniform(1, 10)),
        "clock": lambda _: clock.jump(chance.uniform(-86_400, 86_400)),
    }
    return DisturbedRun(
        start,
        folder,
        store,
        Victims(lambda: [*running, *nodes.roots], scratch),
        lambda: inputs.progress(store),
        planned(chance, [*_parts(kills), *["clock"] * (kills // 10)]),
        chance,
        ChaosLog(folder / "chaos.log", _SEED, f"{kills} kills, {inputs.videos} videos, {store.root}"),
        acts,
        lambda: llm.is_up,
    )


def _assert_clean(run: DisturbedRun, nodes: TwoNodes, scratch: Path) -> None:
    """Assert that neither tracebacks, processes nor scratch are left."""
    for ending in run.endings:
        assert "Traceback" not in ending.said, ending.said
        assert ending.left_running == ()
    left = [part for part in ("worker", "service") if run.victims.of(part)]
    assert not left, "the cluster still has actors of the run"
    assert not any("ffmpeg" in process.name() for process in run.victims.all())
    assert not scratch.is_dir() or not any(scratch.iterdir())


def _assert_same(store: Store, quiet: Store, root: str) -> None:
    seen, undisturbed = content(store), content(quiet)
    for name, value in undisturbed.items():
        assert seen[name] == value, name
    assert latest_states(store) == {"written": _VIDEOS}
    assert len(keys_once(store)) >= _VIDEOS
    assert assert_texts_hold(store, CHAOS).keys() == {"ok"}
    assert curate("check", root).status == 0
