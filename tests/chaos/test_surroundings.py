"""Runs whose disk fills up, whose clock jumps, whose endpoint, site or store fails, and whose command is killed.

Part of `make chaos`, without Ray: what happens to the workers of a cluster is in `test_chaos`.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.chaos.chaos_dirs import ChaosScene, content, keys_once
from support.chaos.chaos_log import ChaosLog
from support.chaos.disturbed_run import Act, DisturbedRun, planned
from support.chaos.llm_process import LLMProcess
from support.chaos.surroundings import JumpingClock, small_disk
from support.chaos.victims import Victims
from support.curate_runs import Ended, curate, end_of, start_curate
from support.dir_contents import latest_states
from support.faulty_s3 import faulty_s3
from support.s3_server import clients_of, s3_server
from support.video_server import VideoServer, make_videos, video_server

from shards.storage.store import Store

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]

_SEED = int(os.environ.get("CHAOS_SEED", "1"))
_KILLS = int(os.environ.get("CHAOS_KILLS", "50")) // 5
_WALLS = 3
_VIDEOS = int(os.environ.get("CHAOS_VIDEOS", "200")) // 10


@dataclass(frozen=True)
class Scene:
    """The inputs, the endpoint, and the content of an undisturbed run."""

    inputs: ChaosScene
    llm: LLMProcess
    undisturbed: Mapping[str, object]

    def disturb(
        self,
        store: Store,
        root: Path,
        parts: Sequence[str],
        acts: Mapping[str, Act],
        environment: Mapping[str, str] | None = None,
    ) -> DisturbedRun:
        """Run without Ray into `store`, and strike."""
        root.mkdir(exist_ok=True)
        chance = random.Random(_SEED)
        return DisturbedRun(
            lambda said: start_curate(
                *self.inputs.arguments(store.root, "--address", "local"), log=said, env=environment
            ),
            root,
            store,
            Victims(list, root / "none"),
            lambda: self.inputs.progress(store),
            planned(chance, parts),
            chance,
            ChaosLog(root / "chaos.log", _SEED, ", ".join(parts)),
            acts,
            lambda: self.llm.is_up,
            on_ray=False,
        )

    def assert_undisturbed(self, store: Store) -> None:
        """Assert that the DIR is that of an undisturbed run."""
        seen = content(store)
        for name, value in self.undisturbed.items():
            assert seen[name] == value, name
        assert curate("check", store.root).status == 0


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Small videos and an undisturbed run over them."""
    root = tmp_path_factory.mktemp("surroundings")
    with LLMProcess() as llm:
        engine = {"kind": "endpoint", "model": "fake", "base_url": llm.url, "backoff": 0.1, "concurrency": 2}
        inputs = ChaosScene.make(root / "scene", _VIDEOS, 1, llm.url, engines={"llm": engine})
        quiet = start_curate(*inputs.arguments(root / "quiet", "--address", "local"), log=root / "said")
        assert end_of(quiet) == 0, (root / "said").read_text()
        yield Scene(inputs, llm, content(Store(root / "quiet")))


def test_a_disk_that_fills_up_stops_the_run_and_no_source_is_to_blame(scene: Scene, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        store, chance = Store(disk.folder / "out"), random.Random(_SEED)
        parts = ["disk"] * 5
        run = scene.disturb(store, tmp_path / "runs", parts, {"disk": lambda _: disk.fill(chance.randrange(0, 20_000))})
        run.before_start = disk.free
        run.finish()
        disk.free()
        for ending in run.endings[:-1]:
            assert ending.status == 1 and "Traceback" not in ending.said, ending.said
            assert ".lock" not in ending.top and ".scratch" not in ending.top
        assert len(run.endings) > 1
        scene.assert_undisturbed(store)


def test_a_clock_that_jumps_by_hours_changes_nothing(scene: Scene, tmp_path: Path) -> None:
    clock, chance = JumpingClock(tmp_path / "clock"), random.Random(_SEED)
    store = Store(tmp_path / "out")
    acts: Mapping[str, Act] = {"clock": lambda _: clock.jump(chance.choice([-1, 1]) * chance.uniform(60, 86_400))}
    run = scene.disturb(store, tmp_path / "runs", ["clock"] * 8, acts, clock.environment)
    run.finish()
    assert [ending.status for ending in run.endings] == [0]
    assert not run.faults
    scene.assert_undisturbed(store)


def test_a_run_goes_on_when_an_endpoint_that_went_away_is_back(scene: Scene, tmp_path: Path) -> None:
    store = Store(tmp_path / "out")
    acts: Mapping[str, Act] = {"endpoint": lambda _: scene.llm.die(5.0)}
    run = scene.disturb(store, tmp_path / "runs", ["endpoint"] * 4, acts)
    run.finish()
    assert [ending.status for ending in run.endings] == [0]
    scene.assert_undisturbed(store)


def test_a_command_that_is_killed_again_and_again_resumes_where_it_was(scene: Scene, tmp_path: Path) -> None:
    store = Store(tmp_path / "out")
    run = scene.disturb(store, tmp_path / "runs", ["command"] * _KILLS, {})
    run.finish()
    assert [ending.status for ending in run.endings] == [-9] * _KILLS + [0]
    assert all(ending.left_running == () for ending in run.endings)
    assert not {".lock", ".scratch"} & set(run.endings[-1].top)
    scene.assert_undisturbed(store)


def test_a_store_that_fails_on_5_percent_of_the_requests_changes_nothing(scene: Scene, tmp_path: Path) -> None:
    with s3_server(tmp_path / "s3-log") as server, faulty_s3(server, rate=0.05, seed=_SEED) as faulty:
        with clients_of(faulty.server):
            run = scene.disturb(Store(faulty.server.url("dir")), tmp_path / "runs", [], {})
            run.finish()
        print(dict(faulty.failed), len(faulty.requests))
        with clients_of(server):
            scene.assert_undisturbed(Store(server.url("dir")))
        assert sum(faulty.failed.values()) > 10


def test_a_site_that_refuses_everything_for_a_while_loses_no_source(scene: Scene, tmp_path: Path) -> None:
    with video_server(make_videos(tmp_path / "site")) as site:
        (tmp_path / "list.txt").write_text("\n".join(site.url(f"wall/{number}.mp4") for number in range(_VIDEOS)))
        download = ("allow_private_addresses=true", "postpone_after=2", "backoff=0", "retries=0")
        settings = [*(f"media.download.{setting}" for setting in download), "media.video.min_seconds=1"]

        def run(output: Path) -> Ended:
            arguments = scene.inputs.arguments(output, "--address", "local", "--stages", "media", "--retry-failed")
            arguments[arguments.index(scene.inputs.root / "in")] = tmp_path / "list.txt"
            return curate(*arguments, *(word for setting in settings for word in ("--set", setting)))

        assert run(tmp_path / "quiet").status == 0
        chance, statuses = random.Random(_SEED), []
        for wall in range(_WALLS + 2):
            with _wall_after(site, chance.randrange(_VIDEOS // 3)) if wall < _WALLS else nullcontext():
                statuses.append(run(tmp_path / "out").status)
    assert (statuses[0], statuses[-1]) == (3, 0), statuses
    assert latest_states(Store(tmp_path / "out")) == {"written": _VIDEOS}
    assert sorted(keys_once(Store(tmp_path / "out"))) == sorted(keys_once(Store(tmp_path / "quiet")))
    assert curate("check", tmp_path / "out").status == 0


@contextmanager
def _wall_after(site: VideoServer, requests: int) -> Iterator[None]:
    """Have the site refuse everything after some more requests, until the block ends."""
    last, ended = len(site.requests) + requests, threading.Event()

    def watch() -> None:
        while len(site.requests) < last and not ended.wait(0.005):
            pass
        site.walled = not ended.is_set()

    thread = threading.Thread(target=watch)
    thread.start()
    yield
    ended.set()
    thread.join()
    site.walled = False
